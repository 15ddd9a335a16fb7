// SPDX-License-Identifier: GPL-2.0-only
//! The MSC driver: `drivers/resctrl/mpam_devices.c`.
//!
//! A memory system component (MSC) controls and monitors resources, each through a resource instance (RIS) that is
//! selected before its registers are used. The firmware says where MSCs are and what their instances are part of; what
//! the instances can do the MSC says itself. Here both become [`Class`]es of [`Component`]s, labels that all of them
//! understand, and the programming of a component.
//!
//! # Invariants
//!
//! * Nothing is ever written for a PARTID, a PMG, a monitor or an instance that the hardware does not have.
//! * An MSC is only touched from a CPU that can reach it, and so never without power.
//! * What a component is programmed with is remembered once it is programmed; the memory outlives the power of the MSC.
//! * What the registers of an instance hold is remembered, too; that memory ends where their power may end. Nothing is written
//!   that they hold.

mod bits;
mod class;
mod config;
mod errata;
mod error;
mod in_use;
mod limits;
mod mbwu;
mod monitor;
mod msc;
mod pool;
mod probe;
mod program;
mod props;
pub mod t241;

use core::sync::atomic::Ordering;

use resctrl_types::arch::Trust;
use resctrl_types::platform::LogLevel;
use resctrl_types::{CpuId, CpuMask, CpusHeld, Errno, Here, KVec, Pinned, Platform, Result, Switch};

pub use class::{Class, Component, Reach, Vmsc};
pub use config::{Config, Configs, Managed};
pub use errata::{BandwidthEffect, Quirks};
pub use error::MscError;
pub use limits::{Ids, Limits};
pub use mbwu::{Direction, Filter};
pub use monitor::{NotReady, Waited};
pub use msc::{Access, ClassKind, MscDevice, Ris};
pub use pool::{MonitorPool, TakenMonitor};
pub use props::{Feature, Features, Props};

pub(crate) use mbwu::MbwuState;

use config::Held;

use crate::acpi::{Caches, Linked, Locator, MpamTable, MscNode, TableError};
use crate::{Firmware, Msc};

/// What becomes of MSCs that somebody can reach again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// They are programmed, and count.
    Used,
    /// They are only known to be reachable: MPAM has failed.
    LeftAlone,
}

/// Every MSC, and what they make up.
pub struct Devices<M> {
    /// The MSCs, in the order of the firmware table.
    pub mscs: KVec<MscDevice<M>>,
    /// What their instances are part of.
    pub classes: KVec<Class>,
    /// Labels that are safe everywhere.
    pub ids: Ids,
    /// The caches of the machine.
    pub caches: Caches,
}

/// An error of a firmware table, as an error number.
fn errno(error: TableError) -> Errno {
    match error {
        TableError::NoMemory => Errno::ENOMEM,
        _ => Errno::EINVAL,
    }
}

/// Why an MSC makes MPAM unusable. No text: whoever found out has said so, or there is no memory.
struct Refusal {
    errno: Errno,
    text: &'static str,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Refusal { errno, text: "" }
    }
}

const fn refuse<T>(errno: Errno, text: &'static str) -> Result<T, Refusal> {
    Err(Refusal { errno, text })
}

impl<M: Msc> Devices<M> {
    /// Finds the MSCs in the firmware's tables, probes each from a CPU that can reach it, and puts together what they are.
    /// `requestors` are the labels that the processors can make; `map` makes the registers of an MSC accessible.
    ///
    /// Logs a line that says what is wrong, unless that is memory or `map` said it.
    ///
    /// # Errors
    /// `EINVAL` for tables that are broken or describe what cannot be, `ENODEV` when no CPU is online that can reach some
    /// MSC (safe labels are not known then), those of [`MscDevice::probe`], of `map`, and `ENOMEM`.
    // Its locals are off the stack again when it returns: a thread of the kernel has 16 kB of it.
    #[inline(never)]
    pub fn discover<P: Platform>(
        platform: &P,
        cpus: CpusHeld<'_>,
        firmware: &Firmware<'_>,
        requestors: Ids,
        map: &mut dyn FnMut(&MscNode<'_>) -> Result<M>,
    ) -> Result<Self> {
        let nr_cpu_ids = platform.nr_cpu_ids();
        let refused = |table, error: TableError| {
            platform.log(LogLevel::Warn, format_args!("the firmware's table {table} {error}"));
            errno(error)
        };
        let table = MpamTable::parse(firmware.mpam).map_err(|error| refused("MPAM", error))?;
        let caches =
            Caches::parse(firmware.pptt, nr_cpu_ids, firmware.processor).map_err(|error| refused("PPTT", error))?;
        let mut limits = Limits::default();
        limits.register(requestors)?;
        let mut mscs = KVec::new();
        for node in table.mscs() {
            let found = describe(&node, &caches, firmware, nr_cpu_ids, map)
                .and_then(|msc| probe_somewhere(platform, cpus, msc))
                .inspect_err(|refusal| {
                    if !refusal.text.is_empty() {
                        platform.log(LogLevel::Warn, format_args!("MSC {}: {}", node.id, refusal.text));
                    }
                });
            let msc = found.map_err(|refusal| refusal.errno)?;
            limits.register(msc.ids)?;
            mscs.push(msc)?;
        }
        tell_errata(platform, &mscs);
        if mscs.is_empty() {
            platform.log(LogLevel::Warn, format_args!("No MSC devices found in firmware"));
            return Err(Errno::EINVAL);
        }
        let ids = limits.publish()?;
        for ris in mscs.iter_mut().flat_map(|msc| msc.ris.iter_mut()) {
            ris.held = Held::new(ids.partid_max)?;
        }
        let classes =
            class::build(&mscs, ids, nr_cpu_ids, &|kind, id| affinity(platform, &caches, kind, id, nr_cpu_ids))?;
        Ok(Devices { mscs, classes, ids, caches })
    }

    /// A CPU that can reach some MSCs comes: those that nobody reached before are programmed anew, since they may have been
    /// without power, and count on.
    pub(crate) fn cpu_online(&self, here: Here<'_>, reached: Reached) {
        for msc in self.mscs.iter().filter(|msc| msc.cpus.contains(here.cpu())) {
            let first = msc.online.fetch_add(1, Ordering::Relaxed) == 0 && reached == Reached::Used;
            if first && let Ok(access) = msc.access(here) {
                self.program_all(&access);
                for ris in &msc.ris {
                    access.restore_mbwu(ris);
                }
            }
            if first {
                msc.switch_error_interrupt(here, Switch::On);
            }
        }
    }

    /// The opposite of [`Devices::cpu_online`]: MSCs that nobody will reach are left unrestricted.
    pub(crate) fn cpu_offline(&self, here: Pinned<'_>) {
        self.leave(here.into(), |access| {
            self.reset_msc(access);
            access.msc.ris.iter().for_each(|ris| access.save_mbwu(ris));
        });
    }

    /// A CPU is about to stop because the system is to sleep: what monitors have counted in MSCs that nobody will reach is put
    /// aside. What they are programmed with is in memory.
    pub(crate) fn cpu_suspend(&self, here: Here<'_>) {
        self.leave(here, |access| access.msc.ris.iter().for_each(|ris| access.save_mbwu(ris)));
    }

    /// A CPU does not reach its MSCs any more: silences those that nobody else does, and calls `last` for each.
    fn leave(&self, here: Here<'_>, last: impl Fn(&Access<'_, M>)) {
        for msc in self.mscs.iter().filter(|msc| msc.cpus.contains(here.cpu())) {
            if msc.online.fetch_sub(1, Ordering::Relaxed) != 1 {
                continue;
            }
            msc.switch_error_interrupt(here, Switch::Off);
            if let Ok(access) = msc.access(here) {
                last(&access);
            }
            // Nobody knows what the power does to it now.
            msc.forget_controls();
        }
    }

    /// Lifts every restriction of an MSC that there is known to be, or may be: `mpam_reset_ris()`.
    pub(crate) fn reset_msc(&self, access: &Access<'_, M>) {
        for ris in &access.msc.ris {
            for partid in 0..=self.ids.partid_max {
                access.program(ris, partid, Config::OPEN);
            }
        }
    }

    /// Programs an MSC, of which nothing is known, with what is remembered of its components.
    fn program_all(&self, access: &Access<'_, M>) {
        access.msc.forget_controls();
        for ris in &access.msc.ris {
            let component = self.component(ris.class, ris.component);
            for partid in 0..=self.ids.partid_max {
                let config = component.and_then(|component| component.configs.get(partid));
                access.program(ris, partid, config.unwrap_or(Config::OPEN));
            }
        }
    }

    /// Says of each MSC whose limits may not have taken effect that it is so, once.
    pub(crate) fn tell_limits<P: Platform>(&self, platform: &P) {
        for msc in self.mscs.iter().filter(|msc| msc.shadows_differ.swap(false, Ordering::Relaxed)) {
            platform.log(
                LogLevel::Warn,
                format_args!(
                    "MSC {}: inconsistent shadow registers, limits of the bandwidth may not be in effect",
                    msc.id
                ),
            );
        }
    }

    fn component(&self, kind: ClassKind, id: u32) -> Option<&Component> {
        let class = self.classes.iter().find(|class| class.kind == kind)?;
        class.components.iter().find(|component| component.id == id).map(|component| &**component)
    }

    /// Programs PARTIDs of the part of a component that one MSC controls, but for what its registers hold already. `value` is
    /// what changes: with [`Trust::Registers`] they are asked whether they hold it.
    ///
    /// # Errors
    /// Those of [`MscDevice::access`]; nothing was written.
    pub fn program(
        &self,
        here: Here<'_>,
        vmsc: &Vmsc,
        configs: impl Iterator<Item = (u16, Config)>,
        (value, trust): (Managed, Trust),
    ) -> Result<()> {
        let msc = self.mscs.get(vmsc.msc).ok_or(Errno::EINVAL)?;
        let access = msc.access(here)?;
        for (partid, config) in configs {
            if partid > self.ids.partid_max {
                return Err(Errno::EINVAL);
            }
            for ris in vmsc.ris.iter().filter_map(|&place| msc.ris.get(place)) {
                if trust == Trust::Registers {
                    access.verify(ris, partid, config, value);
                }
                access.program(ris, partid, config);
            }
        }
        Ok(())
    }

    /// Whether these parts of a component are known to hold what a PARTID is to have.
    pub(crate) fn holds(&self, reach: &Reach, partid: u16, config: Config) -> bool {
        reach.vmscs.iter().all(|vmsc| {
            let ris = self.mscs.get(vmsc.msc).map_or(&[][..], |msc| &msc.ris);
            vmsc.ris.iter().filter_map(|&place| ris.get(place)).all(|ris| ris.holds(partid, config))
        })
    }

    /// Whether some CPU is online from which these parts of a component are reached.
    #[must_use]
    pub fn is_reachable(&self, reach: &Reach) -> bool {
        // All of them are reached from the same CPUs.
        reach.vmscs.first().and_then(|vmsc| self.mscs.get(vmsc.msc)).is_some_and(MscDevice::is_online)
    }

    /// What a PARTID and PMG hold of parts of a component, in bytes, counted by usage monitor `monitor`.
    ///
    /// # Errors
    /// Those of [`MscDevice::access`]. Inside: [`NotReady`].
    pub fn usage(
        &self,
        here: Here<'_>,
        reach: &Reach,
        monitor: u16,
        label: (u16, u8),
        waited: Waited,
    ) -> Result<Result<u64, NotReady>> {
        let mut sum = 0_u64;
        let mut ready = true;
        for vmsc in &reach.vmscs {
            let msc = self.mscs.get(vmsc.msc).ok_or(Errno::EINVAL)?;
            let access = msc.access(here)?;
            for ris in vmsc.ris.iter().filter_map(|&place| msc.ris.get(place)).filter(|ris| ris.props.has(Feature::Csu))
            {
                let value = if waited == Waited::TimeOut && msc.quirks.ignore_csu_nrdy {
                    Ok(access.read_csu_regardless(ris, monitor, label.0, label.1))
                } else {
                    access.read_csu(ris, monitor, label.0, label.1)
                };
                // All of them are told what to count before anybody waits.
                match value {
                    Ok(value) => sum = sum.saturating_add(value),
                    Err(NotReady) => ready = false,
                }
            }
        }
        Ok(if ready { Ok(sum) } else { Err(NotReady) })
    }
}

/// Says what is done about an erratum that takes more than the MSC's own registers, and where nothing can be done.
fn tell_errata<P: Platform, M>(platform: &P, mscs: &[MscDevice<M>]) {
    let with = |effect| mscs.iter().find(|msc| msc.quirks.bandwidth_effect == effect);
    if with(BandwidthEffect::WhenPassedOn).is_some() {
        platform.log(LogLevel::Info, format_args!("Enabled workaround for NVIDIA T241 erratum T241-MPAM-1"));
    }
    if let Some(msc) = with(BandwidthEffect::Never) {
        platform.log(
            LogLevel::Warn,
            format_args!("MSC {}: no limit of the bandwidth: it has erratum T241-MPAM-1, and this is no T241", msc.id),
        );
    }
}

/// An MSC as the firmware describes it.
// Its locals are off the stack again when it returns: a thread of the kernel has 16 kB of it.
#[inline(never)]
fn describe<M: Msc>(
    node: &MscNode<'_>,
    caches: &Caches,
    firmware: &Firmware<'_>,
    nr_cpu_ids: u32,
    map: &mut dyn FnMut(&MscNode<'_>) -> Result<M>,
) -> Result<MscDevice<M>, Refusal> {
    let mut cpus = CpuMask::new(nr_cpu_ids)?;
    match node.linked {
        Linked::Everywhere => (0..nr_cpu_ids).try_for_each(|cpu| cpus.set(CpuId(cpu)))?,
        Linked::Container(id) => match caches.container(id) {
            Some(container) => cpus.copy_from(container),
            None => return refuse(Errno::EINVAL, "not accessible from any CPU"),
        },
    }
    // A shared interrupt may arrive anywhere, but not every CPU could then ask the MSC why.
    let shared = node.error.is_some_and(|interrupt| !interrupt.private);
    if shared && cpus.len() != nr_cpu_ids {
        return refuse(Errno::EINVAL, "its error interrupt may come to a CPU from which it is not accessible");
    }
    let mut ris = KVec::new();
    for resource in node.resources() {
        let resource = resource.map_err(errno)?;
        let (class, component) = match resource.locator {
            Locator::Cache(id) => match caches.cache(id) {
                Some(cache) => (ClassKind::Cache(cache.level), id),
                None => return refuse(Errno::EINVAL, "part of a cache that the table PPTT does not have"),
            },
            Locator::Memory(domain) => (ClassKind::Memory, (firmware.proximity)(domain).unwrap_or(0)),
            Locator::Other(_) => continue,
        };
        if ris.iter().any(|known: &Ris| known.index == resource.ris) {
            return refuse(Errno::EBUSY, "a resource instance is described twice");
        }
        ris.push(Ris::new(resource.ris, class, component))?;
    }
    let mut msc = MscDevice::new(node.id, map(node)?, cpus);
    msc.not_ready_us = node.not_ready_us;
    msc.error_interrupt = node.error;
    msc.ris = ris;
    Ok(msc)
}

/// Probes an MSC from the first online CPU that can reach it.
// Its locals are off the stack again when it returns: a thread of the kernel has 16 kB of it.
#[inline(never)]
fn probe_somewhere<P: Platform, M: Msc>(
    platform: &P,
    cpus: CpusHeld<'_>,
    mut msc: MscDevice<M>,
) -> Result<MscDevice<M>, Refusal> {
    let reach = msc.cpus.try_clone()?;
    for cpu in reach.iter() {
        let mut result = Ok(());
        match platform.call_on(cpus, cpu, &mut |here| result = msc.probe(here.into())) {
            Err(Errno::ENODEV) => {}
            called => {
                return match called.and(result) {
                    Ok(()) => Ok(msc),
                    Err(Errno::EIO) => refuse(Errno::EIO, "does not match architecture v1.x"),
                    Err(Errno::EINVAL) => refuse(Errno::EINVAL, "has no such resource instance as the firmware says"),
                    Err(errno) => Err(errno.into()),
                };
            }
        }
    }
    refuse(Errno::ENODEV, "no CPU is online from which it is accessible")
}

/// The CPUs that a component belongs to.
fn affinity<P: Platform>(platform: &P, caches: &Caches, kind: ClassKind, id: u32, nr_cpu_ids: u32) -> Result<CpuMask> {
    match kind {
        ClassKind::Cache(_) => caches.cache(id).ok_or(Errno::EINVAL)?.cpus.try_clone(),
        ClassKind::Memory => {
            let mut cpus = CpuMask::new(nr_cpu_ids)?;
            for cpu in (0..nr_cpu_ids).map(CpuId).filter(|&cpu| platform.node(cpu).unwrap_or(0) == id) {
                cpus.set(cpu)?;
            }
            Ok(cpus)
        }
        ClassKind::Unknown => CpuMask::new(nr_cpu_ids),
    }
}
