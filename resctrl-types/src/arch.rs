// SPDX-License-Identifier: GPL-2.0-only
//! The contract of an architecture: what hardware must do for the file system.
//!
//! The kernel's `resctrl_arch_*` functions as a trait, with one change: the file system owns the lists of domains and
//! their life (what CPU hotplug does to them is the same on every architecture and is where the bugs were), and an
//! architecture supplies what each domain holds of it, as [`Domains::CtrlDomain`] and [`Domains::MonDomain`]. Dropping that
//! value is the architecture's release function; the last reference to a monitor domain does it.
//!
//! # What holds for every call
//!
//! * `&mut` to a domain's value is the proof that the rdtgroup mutex is held: no two calls on one domain overlap.
//! * A call that must run on a CPU takes [`Pinned`](crate::Pinned) or [`IrqOff`](crate::IrqOff).
//! * A call that crosses to other CPUs takes the platform and [`DomainCpus`](crate::DomainCpus): the domain's mask, what keeps its CPUs from
//!   going meanwhile, and where the caller is already. Only the architecture knows how often it has to cross, and to where:
//!   never if the caller is where it has to be. Those that only commands make take [`CpusHeld`](crate::CpusHeld) and the mask instead.
//! * [`Ids::sched_in`] alone is called without any lock.
//! * Nothing panics on what a user or the firmware can cause.
//!
//! # Monitors
//!
//! Three kinds of machines are behind these calls. Where an RMID is a global number (x86), [`Ids::rmid_index`] ignores
//! the CLOSID. Where it is only a part of one (MPAM), the index is made of both and
//! [`Ids::RMID_DEPENDS_ON_CLOSID`] tells the file system to allocate pairs. Where a read needs a monitor that must be
//! allocated first (MPAM CSU), that is [`Monitors::MonContext`], taken before the reading, and taking it may sleep.
//!
//! Counters are read many at a time ([`Counters`]), those of a group and its monitor groups or those of everybody, so that
//! the number of crossings depends on the hardware and not on the number of groups.
//!
//! # Counters that are assigned
//!
//! Where bandwidth is counted by fewer counters than there are groups, [`Assignment::counters`] says so, and the file system
//! keeps the table of who has which, for each domain its own. Such a machine may have a second mode without assignment:
//! [`Assignment::counters_assigned`] says which is on, and only then are bandwidth events read by [`Assignment::read_counters`]
//! instead of [`Monitors::read`], and never rebased. An architecture without such counters leaves these functions as they are.

mod assignment;
mod cdp;
mod controls;
mod cpus;
mod domains;
mod ids;
mod io_alloc;
mod monitors;
mod pseudo_lock;
mod resources;
mod telemetry;
mod values;

pub use crate::ids::MonId;
pub use assignment::Assignment;
pub use cdp::Cdp;
pub use controls::Controls;
pub use cpus::Cpus;
pub use domains::Domains;
pub use ids::Ids;
pub use io_alloc::IoAlloc;
pub use monitors::Monitors;
pub use pseudo_lock::PseudoLock;
pub use resources::Resources;
pub use telemetry::Telemetry;
pub use values::{Change, Counters, Counting, EachCounting, OccupancyThreshold, ReadError, ReadOne, Trust};

use crate::platform::Platform;

/// What an architecture does for resctrl: each trait of this module is about one thing, and an architecture that has no such
/// thing says so, or nothing.
///
/// Code over an architecture knows no registers. In the file system it is a line of `schemata` that is programmed, here a
/// machine that limits the bandwidth of each package, by a register for each class:
///
#[cfg_attr(not(feature = "sim"), doc = "```ignore")]
#[cfg_attr(feature = "sim", doc = "```")]
/// # use resctrl_types::arch::{self, Assignment, Cdp, Counters, EachCounting, Ids, IoAlloc, MonId, Monitors, OccupancyThreshold};
/// # use resctrl_types::arch::{PseudoLock, ReadError, Telemetry};
/// # use resctrl_types::resource::{BandwidthControl, ControlKind, Monitor};
/// # use resctrl_types::cpu::CpuLabels;
/// # use resctrl_types::{Closid, ConfType, CpuId, CpusHeld, DomainId, EventId, Here, HotplugCpu, Rmid, RmidIndex};
/// # use resctrl_types::{Switch, TaskWord};
/// use core::sync::atomic::{AtomicU32, Ordering};
/// use std::sync::{Arc, Mutex};
///
/// use resctrl_types::arch::{Change, Controls, Cpus, Domains, Resources, Trust};
/// use resctrl_types::platform::CpusReadGuard;
/// use resctrl_types::resource::{Control, Scope};
/// use resctrl_types::sim::{self, SimPlatform, Topology, current_cpu};
/// use resctrl_types::{Arch, CpuMask, DomainCpus, Platform, ResourceId, Result};
///
/// /// Percent of the bandwidth of each package that each class may have.
/// #[derive(Default)]
/// struct Limiter([[AtomicU32; 4]; 2]);
///
/// /// What its domains hold: where their registers are, and what is in them.
/// struct Package(usize, [u32; 4]);
///
/// impl Resources for Limiter {
///     fn control(&self, resource: ResourceId) -> Option<Control> {
///         let (scope, num_closid, cdp_capable) = (Scope::Package, 4, false);
///         let kind = PERCENT;
///         (resource == ResourceId::Mb).then_some(Control { scope, num_closid, cdp_capable, kind })
///     }
///     // ...
/// #     fn monitor(&self, _: ResourceId) -> Option<Monitor> { None }
/// #     fn occupancy_threshold(&self) -> OccupancyThreshold { OccupancyThreshold { limit: 0, unit: 1 } }
/// }
///
/// impl<P: Platform> Controls<P> for Limiter {
///     fn apply(
///         &self,
///         platform: &P,
///         cpus: DomainCpus<'_>,
///         _resource: ResourceId,
///         Package(number, values): &mut Package,
///         changes: &[Change],
///         trust: Trust,
///     ) -> Result<()> {
///         if trust == Trust::Memory && changes.iter().all(|change| values[change.closid.index()] == change.value) {
///             return Ok(());
///         }
///         cpus.on_one(platform, &mut |here| {
///             assert_eq!(current_cpu(), Some(here.cpu()), "registers are touched where they are");
///             for change in changes {
///                 values[change.closid.index()] = change.value;
///                 self.0[*number][change.closid.index()].store(change.value, Ordering::Relaxed);
///             }
///         })
///     }
///     // ...
/// #     fn control_value(&self, _: ResourceId, domain: &Package, closid: Closid, _: ConfType) -> u32 { domain.1[closid.index()] }
/// #     fn reset(&self, _: &P, _: CpusHeld<'_>, _: ResourceId, _: &mut Package, _: &CpuMask) {}
/// }
/// # const PERCENT: ControlKind = ControlKind::Bandwidth(BandwidthControl {
/// #     min_bw: 1, max_bw: 100, bw_gran: 1, delay_linear: true, needs_linear: false, throttle_mode: None,
/// # });
/// #
/// # impl Ids for Limiter {
/// #     const RMID_DEPENDS_ON_CLOSID: bool = false;
/// #     fn num_rmid_index(&self) -> u32 { 0 }
/// #     fn rmid_index(&self, id: MonId) -> RmidIndex { RmidIndex(id.rmid.0) }
/// #     fn rmid_decode(&self, index: RmidIndex) -> MonId { MonId { closid: Closid::RESERVED, rmid: Rmid(index.0) } }
/// #     const CLOSID_PLACES: u64 = 0xff;
/// #     const RMID_PLACES: u64 = 0;
/// #     fn task_word(&self, id: MonId) -> TaskWord { TaskWord(id.closid.0.into()) }
/// #     fn task_ids(&self, word: TaskWord) -> MonId { MonId { closid: Closid(word.0 as u32), rmid: Rmid::RESERVED } }
/// #     fn cpu_labels(&self, _: CpuId) -> Option<&CpuLabels> { None }
/// #     fn effective(&self, task: TaskWord, _: TaskWord) -> u64 { task.0 }
/// #     fn write_labels(&self, _: Here<'_>, _: u64) {}
/// #     fn cdp_enabled(&self, _: ResourceId) -> bool { false }
/// # }
/// # impl<P: Platform> Cpus<P> for Limiter {
/// #     fn cpu_online(&self, _: &P, _: HotplugCpu<'_>) -> Result<()> { Ok(()) }
/// #     fn cpu_offline(&self, _: &P, _: HotplugCpu<'_>) {}
/// #     fn cpu_suspend(&self, _: Here<'_>) {}
/// #     fn cpu_resume(&self, _: &P, _: Here<'_>) {}
/// # }
/// # impl Domains for Limiter {
/// #     type CtrlDomain = Package;
/// #     type MonDomain = ();
/// #     fn ctrl_domain_online(&self, _: HotplugCpu<'_>, _: ResourceId, id: DomainId) -> Result<Package> {
/// #         Ok(Package(id.0 as usize, [100; 4]))
/// #     }
/// #     fn ctrl_domain_join(&self, _: HotplugCpu<'_>, _: ResourceId, _: &mut Package) {}
/// #     fn mon_domain_online(&self, _: HotplugCpu<'_>, _: ResourceId, _: DomainId) -> Result<()> { Ok(()) }
/// #     fn ctrl_domain_resume(&self, _: Here<'_>, _: ResourceId, _: &mut Package) {}
/// #     fn mon_domain_suspend(&self, _: Here<'_>, _: &mut (), _: EachCounting<'_>) {}
/// #     fn mon_domain_resume(&self, _: Here<'_>, _: &mut (), _: EachCounting<'_>) {}
/// # }
/// # impl<P: Platform> Cdp<P> for Limiter {
/// #     fn set_cdp(&self, _: &P, _: CpusHeld<'_>, _: ResourceId, _: Switch) -> Result<()> { Ok(()) }
/// #     fn program_cdp(&self, _: &P, _: CpusHeld<'_>, _: ResourceId, _: &mut Package, _: &CpuMask) {}
/// # }
/// # impl<P: Platform> Monitors<P> for Limiter {
/// #     type MonContext = ();
/// #     fn mon_context(&self, _: ResourceId, _: EventId) -> Result<(), ReadError> { Ok(()) }
/// #     fn read(
/// #         &self, _: &P, _: DomainCpus<'_>, _: EventId, (): &mut (), _: &mut Counters<'_, (), MonId>,
/// #     ) -> Result<()> { Ok(()) }
/// # }
///
/// impl<P: Platform> Assignment<P> for Limiter {}
/// impl<P: Platform> IoAlloc<P> for Limiter {}
/// // ... and so on: nothing is counted, and nothing else controlled.
/// # impl<P: Platform> PseudoLock<P> for Limiter {}
/// # impl<P: Platform> Telemetry<P> for Limiter {}
///
/// /// A domain of any architecture, on any kernel.
/// struct Domain<A: Arch<P>, P: Platform> {
///     arch: A::CtrlDomain,
///     cpus: CpuMask,
///     platform: P,
/// }
///
/// impl<A: Arch<P>, P: Platform> Domain<A, P> {
///     fn halve(&mut self, arch: &A, closid: Closid) -> Result<()> {
///         let control = arch.control(ResourceId::Mb).expect("it limits the bandwidth");
///         let value = control.default_value() / 2;
///         let change = Change { closid, conf_type: ConfType::Both, value };
///         let stay = self.platform.cpus_read_lock();
///         let cpus = DomainCpus::new(stay.held(), &self.cpus);
///         arch.apply(&self.platform, cpus, ResourceId::Mb, &mut self.arch, &[change], Trust::Memory)
///     }
/// }
///
/// sim::run(|| {
///     let sim = SimPlatform::new(Topology::packages(2, 2));
///     let limiter = Arc::new(Limiter::default());
///     let domains: Arc<Mutex<Vec<Domain<Limiter, SimPlatform>>>> = Arc::default();
///
///     // What the file system does when CPUs come: the first one of each package makes its domain.
///     let (arch, platform, made) = (limiter.clone(), sim.clone(), domains.clone());
///     let come = move |cpu: HotplugCpu<'_>| {
///         arch.cpu_online(&platform, cpu)?;
///         let id = DomainId(platform.package(cpu.cpu()).expect("every CPU is in one"));
///         let mut made = made.lock().unwrap();
///         if let Some(domain) = made.iter_mut().find(|domain| domain.arch.0 == id.0 as usize) {
///             arch.ctrl_domain_join(cpu, ResourceId::Mb, &mut domain.arch);
///             return domain.cpus.set(cpu.cpu());
///         }
///         let mut cpus = CpuMask::new(platform.nr_cpu_ids())?;
///         cpus.set(cpu.cpu())?;
///         let domain = arch.ctrl_domain_online(cpu, ResourceId::Mb, id)?;
///         made.push(Domain { arch: domain, cpus, platform: platform.clone() });
///         Ok(())
///     };
///     sim.register_hotplug(come, |_| {}).unwrap();
///
///     let domain = &mut domains.lock().unwrap()[1];
///     domain.halve(&limiter, Closid(3)).unwrap();
///     assert_eq!(limiter.0[1][3].load(Ordering::Relaxed), 50);
///     assert_eq!(sim.stats().calls, 1);
///
///     // It is programmed already: nobody is disturbed.
///     domain.halve(&limiter, Closid(3)).unwrap();
///     assert_eq!(sim.stats().calls, 1);
/// #   sim.power_off();
/// });
/// ```
pub trait Arch<P: Platform>:
    Ids
    + Resources
    + Cpus<P>
    + Domains
    + Controls<P>
    + Cdp<P>
    + Monitors<P>
    + Telemetry<P>
    + Assignment<P>
    + IoAlloc<P>
    + PseudoLock<P>
{
}

impl<
    P: Platform,
    A: Ids
        + Resources
        + Cpus<P>
        + Domains
        + Controls<P>
        + Cdp<P>
        + Monitors<P>
        + Telemetry<P>
        + Assignment<P>
        + IoAlloc<P>
        + PseudoLock<P>,
> Arch<P> for A
{
}

#[cfg(all(test, feature = "sim"))]
mod tests;
