// SPDX-License-Identifier: GPL-2.0-only
//! Domains: the CPUs that share one instance of a resource.
//!
//! A control domain belongs to its list and to nobody else. A monitor domain is shared with its two delayed workers and
//! therefore counted: the list holds one [`Ref`] to it and so does each worker that is scheduled, and the domain, with
//! its arrays and what the architecture keeps in it, dies with the last of them. A worker can be late, displaced or the
//! very last to know; what it can not be is without the domain it was scheduled for.
//!
//! What is in a monitor domain opens with the key of the rdtgroup mutex ([`LockedBy`]), so a worker that has a reference
//! still cannot look inside without the mutex.

use resctrl_types::platform::WorkKind;
use resctrl_types::{Closid, CpuId, CpuMask, DomainId, KVec, Result, RmidIndex, bits};

use crate::data::counters::CounterTable;

/// MB/s target of a CLOSID without a target.
pub(crate) const MBPS_UNLIMITED: u32 = u32::MAX;

/// A control domain of some resource.
pub(crate) struct CtrlDomain<D> {
    pub(crate) id: DomainId,
    /// Never empty.
    pub(crate) cpus: CpuMask,
    pub(crate) arch: D,
    /// The size of the cache in bytes; 0 where the kernel does not know it, and for anything but a cache.
    pub(crate) cache_size: u32,
    /// MB/s target of each CLOSID, for the bandwidth controller; empty for anything but MB.
    pub(crate) mbps: KVec<u32>,
}

impl<D> CtrlDomain<D> {
    /// The MB/s target of a CLOSID.
    pub(crate) fn target(&self, closid: Closid) -> u32 {
        self.mbps.get(closid.index()).copied().unwrap_or(MBPS_UNLIMITED)
    }
}

/// A package that is monitored as a whole. Nothing is kept of it and no worker visits it, so it belongs to its list.
pub(crate) struct PackageDomain {
    pub(crate) id: DomainId,
    /// Never empty.
    pub(crate) cpus: CpuMask,
}

/// Where a worker is meant to run next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// It is not scheduled.
    Idle,
    /// It is scheduled on this CPU of the domain, or has started there and waits for the mutex.
    On(CpuId),
    /// It is scheduled on a CPU that has left since: when it runs it must pick another.
    Nowhere,
}

/// What a monitor domain holds.
///
/// # Invariants
/// * `On(cpu)` means that `cpu` is in `cpus`: the callback that removes a CPU turns its targets into `Nowhere`.
/// * A worker is scheduled, or running before it has taken the mutex, exactly when its target is not `Idle`.
pub(crate) struct MonState<D> {
    /// In the domain list. A dead domain has no CPUs and is never measured again.
    pub(crate) alive: bool,
    pub(crate) cpus: CpuMask,
    pub(crate) arch: D,
    pub(crate) overflow: Target,
    pub(crate) limbo: Target,
    /// The RMID indexes in limbo here; empty without occupancy monitoring.
    pub(crate) busy: BusyMap,
    /// What the bandwidth controller remembers of each RMID index, for each event of [`resctrl_types::EventId::MBM`];
    /// empty where there is no such event.
    pub(crate) bandwidth: [KVec<Bandwidth>; 2],
    /// Who has which counter; empty where counters are not assigned.
    pub(crate) counters: CounterTable,
}

/// What the bandwidth controller remembers of a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bandwidth {
    /// Bytes at the last reading.
    pub(crate) bytes: u64,
    /// MiB between the last two readings, a second apart.
    pub(crate) mbps: u32,
}

impl<D> MonState<D> {
    pub(crate) fn target(&mut self, kind: WorkKind) -> &mut Target {
        match kind {
            WorkKind::Overflow => &mut self.overflow,
            WorkKind::Limbo => &mut self.limbo,
        }
    }
}

/// The RMID indexes that are in limbo in one domain: `rmid_busy_llc`.
#[derive(Default)]
pub(crate) struct BusyMap {
    words: KVec<u64>,
    count: u32,
}

impl BusyMap {
    /// No index of `0..len` busy.
    pub(crate) fn new(len: u32) -> Result<Self> {
        Ok(BusyMap { words: KVec::from_fn(len.div_ceil(64) as usize, |_| 0)?, count: 0 })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether an index is busy here.
    pub(crate) fn contains(&self, index: RmidIndex) -> bool {
        self.words.get(index.index() / 64).is_some_and(|word| word >> (index.0 % 64) & 1 == 1)
    }

    /// Adds an index that is not busy here.
    pub(crate) fn insert(&mut self, index: RmidIndex) {
        if let Some(word) = self.words.get_mut(index.index() / 64) {
            *word |= 1 << (index.0 % 64);
            self.count = self.count.saturating_add(1);
        }
    }

    /// Removes an index that is busy here.
    pub(crate) fn remove(&mut self, index: RmidIndex) {
        if let Some(word) = self.words.get_mut(index.index() / 64) {
            *word &= !(1 << (index.0 % 64));
            self.count = self.count.saturating_sub(1);
        }
    }

    /// The lowest busy index from `from` on.
    pub(crate) fn first_from(&self, from: RmidIndex) -> Option<RmidIndex> {
        bits::first_from(&self.words, from.0).map(RmidIndex)
    }

    /// The lowest busy index behind `index`.
    pub(crate) fn next_after(&self, index: RmidIndex) -> Option<RmidIndex> {
        self.first_from(RmidIndex(index.0.checked_add(1)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_map_visits_its_members_and_nothing_else() {
        let mut map = BusyMap::new(130).unwrap();
        for index in [1, 63, 64, 129] {
            map.insert(RmidIndex(index));
        }
        let mut seen = KVec::new();
        let mut next = map.first_from(RmidIndex(0));
        while let Some(index) = next {
            seen.push(index.0).unwrap();
            // What is removed under way does not change what comes behind it.
            if index.0 < 64 {
                map.remove(index);
            }
            next = map.next_after(index);
        }
        assert_eq!(&seen[..], &[1, 63, 64, 129]);
        assert!(map.contains(RmidIndex(64)));
        assert!(!map.contains(RmidIndex(63)));
        assert_eq!(map.first_from(RmidIndex(65)), Some(RmidIndex(129)));
        assert_eq!(map.first_from(RmidIndex(1000)), None);
        map.remove(RmidIndex(129));
        assert!(!map.is_empty());
        map.remove(RmidIndex(64));
        assert!(map.is_empty());
        assert_eq!(BusyMap::default().first_from(RmidIndex(0)), None);
    }
}
