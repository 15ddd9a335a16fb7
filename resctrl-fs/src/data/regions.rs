// SPDX-License-Identifier: GPL-2.0-only
//! The pseudo-locked regions, by the minor numbers of their devices.
//!
//! They are under a mutex of their own, the innermost, because mapping a device comes with the lock of an address space
//! held, which other threads may want while they hold the rdtgroup mutex. A region outlives its group while its device is
//! open, and keeps its part of the cache so long; therefore it is here and not in the group.

use resctrl_types::platform::Mutex;
use resctrl_types::platform::{LatencyLimitOf, MemoryOf, NodesOf};
use resctrl_types::{CpuId, CpuMask, DomainId, Errno, KVec, Platform, Ref, ResourceId};

use crate::nodes::SchemaId;
use crate::status::{Refusal, Status};

/// How many regions there can be: the bits of a minor number, by which the kernel limits them.
pub(crate) const MAX_REGIONS: usize = 20;

/// The minor number of a region's device. Not given to another while its region is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Minor(pub(crate) u32);

impl Minor {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A region; never used again. What a group knows of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegionId(u64);

/// What a region has that never changes. Dropping it gives everything back.
pub(crate) struct Region<P: Platform> {
    pub(crate) memory: MemoryOf<P>,
    /// Bytes of a line of its cache.
    pub(crate) line_size: u32,
    /// Its CPUs do not sleep so deeply that their caches are flushed.
    pub(crate) _limits: KVec<LatencyLimitOf<P>>,
}

/// How users reach a region.
pub(crate) enum Nodes<P: Platform> {
    /// By its device.
    There(NodesOf<P>),
    /// The device is being removed, by a thread that holds no lock.
    Going,
    /// Not any more, but some have it open.
    Gone,
}

/// Which part of a cache a region is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) schema: SchemaId,
    pub(crate) domain: DomainId,
    pub(crate) cbm: u32,
}

/// A region in the table.
pub(crate) struct Slot<P: Platform> {
    pub(crate) id: RegionId,
    pub(crate) region: Ref<Region<P>>,
    /// `None` since its domain went offline: what was cached is lost.
    pub(crate) part: Option<Part>,
    /// Those of the domain; empty exactly when there is no part.
    pub(crate) cpus: CpuMask,
    pub(crate) nodes: Nodes<P>,
    /// How many open files of the device there are.
    pub(crate) users: u32,
}

impl<P: Platform> Slot<P> {
    /// Whether its group lives.
    pub(crate) const fn has_group(&self) -> bool {
        matches!(self.nodes, Nodes::There(_))
    }
}

/// Says that the domain of a region, and with it what was cached, is gone.
pub(crate) fn offline(status: &mut Status) -> Refusal {
    status.refuse(Errno::ENODEV, "Cache domain offline\n")
}

/// All regions.
pub(crate) struct Regions<P: Platform> {
    slots: [Option<Slot<P>>; MAX_REGIONS],
    next: u64,
}

/// A region whose group is gone: what has to be dropped without a lock.
#[must_use = "the region goes when this is finished, without a lock"]
pub(crate) struct Departure<P: Platform> {
    minor: Minor,
    nodes: NodesOf<P>,
}

impl<P: Platform> Departure<P> {
    /// Removes the nodes and then, if nobody has the device open, the region. To be called without a lock.
    pub(crate) fn finish(self, regions: &P::Mutex<Regions<P>>) {
        drop(self.nodes);
        let gone = {
            let mut regions = regions.lock();
            if let Some(slot) = regions.get_mut(self.minor) {
                slot.nodes = Nodes::Gone;
            }
            regions.take_unused(self.minor)
        };
        drop(gone);
    }
}

impl<P: Platform> Regions<P> {
    pub(crate) const fn new() -> Self {
        Regions { slots: [const { None }; MAX_REGIONS], next: 0 }
    }

    /// The lowest number that is free.
    pub(crate) fn free_minor(&self) -> Option<Minor> {
        let at = self.slots.iter().position(Option::is_none)?;
        u32::try_from(at).ok().map(Minor)
    }

    pub(crate) fn get(&self, minor: Minor) -> Option<&Slot<P>> {
        self.slots.get(minor.index())?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, minor: Minor) -> Option<&mut Slot<P>> {
        self.slots.get_mut(minor.index())?.as_mut()
    }

    /// The region of a group.
    pub(crate) fn of(&self, id: RegionId) -> Option<&Slot<P>> {
        self.iter().map(|(_, slot)| slot).find(|slot| slot.id == id)
    }

    /// The name of a new region.
    pub(crate) const fn new_id(&mut self) -> RegionId {
        self.next = self.next.wrapping_add(1);
        RegionId(self.next)
    }

    /// Fills a free slot.
    pub(crate) fn insert(&mut self, minor: Minor, slot: Slot<P>) {
        if let Some(place) = self.slots.get_mut(minor.index()) {
            debug_assert!(place.is_none());
            *place = Some(slot);
        }
    }

    /// Every region, of groups that live and that do not.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Minor, &Slot<P>)> {
        (0..).map(Minor).zip(&self.slots).filter_map(|(minor, slot)| slot.as_ref().map(|slot| (minor, slot)))
    }

    /// The bits of a domain that regions are in.
    pub(crate) fn locked_bits(&self, resource: ResourceId, domain: DomainId) -> u32 {
        let parts = self.iter().filter_map(|(_, slot)| slot.part);
        parts
            .filter(|part| part.schema.resource == resource && part.domain == domain)
            .fold(0, |bits, part| bits | part.cbm)
    }

    /// Whether some CPU of `cpus` uses a cache with a region in it.
    pub(crate) fn any_beside(&self, cpus: &CpuMask) -> bool {
        self.iter().any(|(_, slot)| slot.cpus.intersects(cpus))
    }

    /// A CPU has come to a domain.
    pub(crate) fn join(&mut self, resource: ResourceId, domain: DomainId, cpu: CpuId) {
        for slot in self.slots.iter_mut().flatten() {
            if slot.part.is_some_and(|part| part.schema.resource == resource && part.domain == domain) {
                // The mask holds every possible CPU.
                let _ = slot.cpus.set(cpu);
            }
        }
    }

    /// A CPU goes. With the last of its CPUs a domain goes, and whatever was in its cache.
    pub(crate) fn leave(&mut self, cpu: CpuId) {
        for slot in self.slots.iter_mut().flatten() {
            slot.cpus.clear(cpu);
            if slot.cpus.is_empty() {
                slot.part = None;
            }
        }
    }

    /// The group of a region goes. What is returned is to be finished.
    #[must_use]
    pub(crate) fn depart(&mut self, id: RegionId) -> Option<Departure<P>> {
        let (minor, _) = self.iter().find(|(_, slot)| slot.id == id)?;
        self.depart_minor(minor)
    }

    fn depart_minor(&mut self, minor: Minor) -> Option<Departure<P>> {
        let slot = self.get_mut(minor)?;
        match core::mem::replace(&mut slot.nodes, Nodes::Going) {
            Nodes::There(nodes) => Some(Departure { minor, nodes }),
            other => {
                slot.nodes = other;
                None
            }
        }
    }

    /// Every group goes.
    #[must_use]
    pub(crate) fn depart_all(&mut self) -> [Option<Departure<P>>; MAX_REGIONS] {
        core::array::from_fn(|minor| u32::try_from(minor).ok().and_then(|minor| self.depart_minor(Minor(minor))))
    }

    /// Takes out a region that nobody can reach any more; to be dropped without the lock.
    #[must_use]
    pub(crate) fn take_unused(&mut self, minor: Minor) -> Option<Slot<P>> {
        let place = self.slots.get_mut(minor.index())?;
        place.take_if(|slot| slot.users == 0 && matches!(slot.nodes, Nodes::Gone))
    }
}
