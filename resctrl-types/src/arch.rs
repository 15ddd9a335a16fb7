// SPDX-License-Identifier: GPL-2.0-only
//! The contract of an architecture: what hardware must do for the file system.
//!
//! The kernel's `resctrl_arch_*` functions as a trait, with one change: the file system owns the lists of domains and
//! their life (what CPU hotplug does to them is the same on every architecture and is where the bugs were), and an
//! architecture supplies what each domain holds of it, as [`Arch::CtrlDomain`] and [`Arch::MonDomain`]. Dropping that
//! value is the architecture's release function; the last reference to a monitor domain does it.
//!
//! # What holds for every call
//!
//! * `&mut` to a domain's value is the proof that the rdtgroup mutex is held: no two calls on one domain overlap.
//! * A call that must run on a CPU takes [`Pinned`] or [`IrqOff`].
//! * A call that crosses to other CPUs takes the platform and [`DomainCpus`]: the domain's mask, what keeps its CPUs from
//!   going meanwhile, and where the caller is already. Only the architecture knows how often it has to cross, and to where:
//!   never if the caller is where it has to be. Those that only commands make take [`CpusHeld`] and the mask instead.
//! * [`Arch::sched_in`] alone is called without any lock.
//! * Nothing panics on what a user or the firmware can cause.
//!
//! # Monitors
//!
//! Three kinds of machines are behind these calls. Where an RMID is a global number (x86), [`Arch::rmid_index`] ignores
//! the CLOSID. Where it is only a part of one (MPAM), the index is made of both and
//! [`Arch::RMID_DEPENDS_ON_CLOSID`] tells the file system to allocate pairs. Where a read needs a monitor that must be
//! allocated first (MPAM CSU), that is [`Arch::MonContext`], taken before the reading, and taking it may sleep.
//!
//! Counters are read many at a time ([`Counters`]), those of a group and its monitor groups or those of everybody, so that
//! the number of crossings depends on the hardware and not on the number of groups.
//!
//! # Counters that are assigned
//!
//! Where bandwidth is counted by fewer counters than there are groups, [`Arch::counters`] says so, and the file system
//! keeps the table of who has which, for each domain its own. Such a machine may have a second mode without assignment:
//! [`Arch::counters_assigned`] says which is on, and only then are bandwidth events read by [`Arch::read_counters`]
//! instead of [`Arch::read`], and never rebased. An architecture without such counters leaves these functions as they are.

use crate::context::{CpusHeld, Here, HotplugCpu, IrqOff, Pinned};
use crate::counter::{Counter, CounterAssignment, Transactions};
use crate::cpumask::CpuMask;
use crate::crossing::DomainCpus;
use crate::errno::{Errno, Result};
use crate::event::{EventId, FractionBits};
use crate::ids::{Closid, CpuId, DomainId, RmidIndex, TaskWord};
use crate::platform::Platform;
use crate::pseudo_lock::{Measurement, MemoryOf};
use crate::resource::{ConfType, Control, Monitor, ResourceId};
use crate::switch::Switch;

pub use crate::ids::MonId;

/// Why a counter has no number to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The hardware refuses the RMID, the event or the place it is read from. Shown as `Error`.
    Error,
    /// The hardware has no data yet, or no monitor is free. Shown as `Unavailable`.
    Unavailable,
    /// The event has no counter. Shown as `Unassigned`.
    Unassigned,
}

impl ReadError {
    /// What the event's file shows.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            ReadError::Error => "Error",
            ReadError::Unavailable => "Unavailable",
            ReadError::Unassigned => "Unassigned",
        }
    }
}

/// One control value to be written: for a CLOSID of the file system and a half of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose value.
    pub closid: Closid,
    /// Which half; [`ConfType::Both`] unless CDP is enabled on the resource.
    pub conf_type: ConfType,
    /// The value, already validated against the resource's [`Control`].
    pub value: u32,
}

/// The largest and the initial value of `max_threshold_occupancy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OccupancyThreshold {
    /// Largest value a user may set, in bytes.
    pub limit: u32,
    /// Values are rounded down to a multiple of this many bytes; 1 where they are not. At least 1.
    pub unit: u32,
}

/// Reads one counter, in the domain that has it.
///
/// Gives `None` while only a part of what it has to be made of has been read: it will be asked for again.
pub type ReadOne<'a, D, C> = dyn FnMut(&mut D, C) -> Option<Result<u64, ReadError>> + 'a;

/// Counters that are read together: asks for each of them, and takes note of what comes.
///
/// Called once or more often, always for the same counters in the same order; each of them is given a value (or the reason
/// why there is none) once. It may run on another CPU, with interrupts off. `D` is what the domain holds of the
/// architecture, `C` says which counter.
pub type Counters<'a, D, C> = dyn FnMut(&mut ReadOne<'_, D, C>) + Send + 'a;

/// What registers are taken to hold when values are programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// What was programmed last. A value that was is left out, and if all were, no CPU is crossed to.
    Memory,
    /// What they show. Only a value that they show is left out: so that whoever writes a value again repairs a register
    /// that has lost it without anybody telling.
    Registers,
}

/// Something that counts in a domain, and goes on counting when the system has slept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// A bandwidth event of these ids, where every group is counted.
    Always(MonId, EventId),
    /// A counter that was assigned, and what it counts.
    Assigned(Counter, Transactions),
}

/// Calls what it is given with everything that counts in a domain.
pub type EachCounting<'a> = &'a dyn Fn(&mut dyn FnMut(Counting));

/// What an architecture does for resctrl.
pub trait Arch<P: Platform>: Sized + Send + Sync + 'static {
    /// What a control domain holds of this architecture: at least the control values last programmed.
    type CtrlDomain: Send + 'static;
    /// What a monitor domain holds of this architecture: at least the state that turns counters of limited width into
    /// running totals.
    type MonDomain: Send + Sync + 'static;
    /// What must be allocated before a counter can be read; given back by dropping it.
    type MonContext: Send;

    /// Whether an RMID means something only together with a CLOSID
    /// (`CONFIG_RESCTRL_RMID_DEPENDS_ON_CLOSID`).
    const RMID_DEPENDS_ON_CLOSID: bool;

    /// Whether there is such a thing as pseudo-locking (`CONFIG_RESCTRL_FS_PSEUDO_LOCK`); if not, its modes are unknown words.
    const PSEUDO_LOCKING: bool = false;

    // ---- What there is ----

    /// The control half of a resource, `None` when the machine (or, for the moment, another setting such as CDP) has
    /// none. Constant while mounted.
    fn control(&self, resource: ResourceId) -> Option<Control>;

    /// The monitor half of a resource. Constant, but that package telemetry may be there from [`Arch::pre_mount`] on.
    fn monitor(&self, resource: ResourceId) -> Option<Monitor>;

    /// Looks for what is only found once devices have their drivers: package telemetry. Called once, before the file system
    /// is first mounted, with no lock held but that of [`LockClass::FirstMount`](crate::platform::LockClass); may wait for
    /// modules to load. CPUs come and go meanwhile. Should memory be short, for this or for what the file system makes of it,
    /// it is called again before the next mount.
    ///
    /// # Errors
    /// `ENOMEM`, which fails the mount.
    fn pre_mount(&self, _platform: &P) -> Result<()> {
        Ok(())
    }

    /// Bounds of the occupancy below which a freed RMID counts as clean. Meaningful when the L3 has
    /// [`EventId::LlcOccupancy`].
    fn occupancy_threshold(&self) -> OccupancyThreshold;

    // ---- Ids ----

    /// How many RMID indexes there are: the least that any resource has. At least 1 when something can be monitored; constant,
    /// but that [`Arch::pre_mount`] makes it smaller, or more than 0.
    fn num_rmid_index(&self) -> u32;

    /// The dense index of a monitor id.
    fn rmid_index(&self, id: MonId) -> RmidIndex;

    /// The monitor id of an index. Where RMIDs are global the CLOSID is [`Closid::RESERVED`].
    fn rmid_decode(&self, index: RmidIndex) -> MonId;

    /// The word that makes a task run with these ids. The word of the two reserved ids is 0.
    fn task_word(&self, id: MonId) -> TaskWord;

    /// The ids in a task's word; the inverse of [`Arch::task_word`].
    fn task_ids(&self, word: TaskWord) -> MonId;

    /// Sets the ids with which `cpu` runs tasks of the default group. Takes effect at the next [`Arch::sched_in`] there.
    fn set_cpu_default(&self, cpu: CpuId, id: MonId);

    /// Makes this CPU run with the ids of a task with this word, or with the CPU's default where the task has none.
    /// Writes registers only if something changes. Called at every context switch: no lock, no loop, no allocation.
    fn sched_in(&self, here: IrqOff<'_>, word: TaskWord);

    // ---- CPUs and domains ----

    /// A CPU comes: brings its own registers into a known state (ids 0). Called before its domains hear of it.
    ///
    /// # Errors
    /// Fails the hotplug of the CPU; nothing of this crate refers to it then.
    fn cpu_online(&self, platform: &P, cpu: HotplugCpu<'_>) -> Result<()>;

    /// A CPU goes: the opposite of [`Arch::cpu_online`]. Called after its domains have forgotten it.
    fn cpu_offline(&self, platform: &P, cpu: HotplugCpu<'_>);

    // ---- The system sleeps ----

    /// The power of this CPU may go, and nothing may be written that its domains keep; called with interrupts off for the CPU
    /// that suspends the system. Called after [`Arch::mon_domain_suspend`].
    fn cpu_suspend(&self, here: Here<'_>);

    /// This CPU is back: writes its own registers from memory, whatever they hold. Called before the domains of which it is
    /// the first that is back are told.
    fn cpu_resume(&self, platform: &P, here: Here<'_>);

    /// The first CPU of a control domain is back: writes every register of the domain from memory, whatever it holds.
    fn ctrl_domain_resume(&self, here: Here<'_>, resource: ResourceId, domain: &mut Self::CtrlDomain);

    /// The last CPU of a monitor domain is about to stop: takes in what `counting` shows, and puts aside whatever of the domain
    /// is kept in its registers alone.
    fn mon_domain_suspend(&self, here: Here<'_>, domain: &mut Self::MonDomain, counting: EachCounting<'_>);

    /// The first CPU of a monitor domain is back: writes every register of the domain from memory, whatever it holds. Each count
    /// goes on from where [`Arch::mon_domain_suspend`] took it in, wherever the hardware begins.
    fn mon_domain_resume(&self, here: Here<'_>, domain: &mut Self::MonDomain, counting: EachCounting<'_>);

    // ---- The hardware fails ----

    /// Whether the hardware has failed, so that nothing is changed or read any more. Once true, for good; callable anywhere.
    fn has_failed(&self) -> bool {
        false
    }

    /// The end after a failure: every CPU runs without labels, nothing restricts anything. Nothing is asked of this
    /// architecture afterwards but context switches.
    fn shut_down(&self, _platform: &P, _cpus: CpusHeld<'_>) {}

    // ---- Domains ----

    /// Makes the control domain `id` around its first CPU: enables CDP as it is set, programs every CLOSID with the
    /// default, or (see [`Arch::reset_away`]) leaves it the value that it had before the domain's last CPU went.
    ///
    /// # Errors
    /// `ENOMEM`; the domain then does not exist, the CPU still comes online.
    fn ctrl_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, id: DomainId) -> Result<Self::CtrlDomain>;

    /// Another CPU joins an existing control domain.
    fn ctrl_domain_join(&self, cpu: HotplugCpu<'_>, resource: ResourceId, domain: &mut Self::CtrlDomain);

    /// Makes the monitor domain `id` around its first CPU. Nothing has been counted in it.
    ///
    /// # Errors
    /// `ENOMEM`; the domain then does not exist, the CPU still comes online.
    fn mon_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, id: DomainId) -> Result<Self::MonDomain>;

    // ---- Control ----

    /// The value last programmed.
    fn control_value(
        &self,
        resource: ResourceId,
        domain: &Self::CtrlDomain,
        closid: Closid,
        conf_type: ConfType,
    ) -> u32;

    /// Programs those of `changes` that are not what the registers are taken to hold, all in one crossing to each CPU that is
    /// needed.
    ///
    /// # Errors
    /// The architecture's; x86 has none. Some values may have been written.
    fn apply(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        resource: ResourceId,
        domain: &mut Self::CtrlDomain,
        changes: &[Change],
        trust: Trust,
    ) -> Result<()>;

    /// Programs the default for every CLOSID of the hardware, both halves.
    fn reset(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        resource: ResourceId,
        domain: &mut Self::CtrlDomain,
        mask: &CpuMask,
    );

    /// Programs the default in what belongs to offline CPUs only, and so is in no domain now: for a CLOSID that a new group
    /// gets, or at the end of a mount for every one. For an architecture that goes on with old values when such CPUs come back.
    /// `online` are the CPUs that [`Arch::cpu_online`] has seen come and that have not gone.
    fn reset_away(
        &self,
        _platform: &P,
        _cpus: CpusHeld<'_>,
        _online: &CpuMask,
        _resource: ResourceId,
        _closid: Option<Closid>,
    ) {
    }

    /// Whether code and data are told apart in this cache now.
    fn cdp_enabled(&self, resource: ResourceId) -> bool;

    /// Decides whether code and data are told apart. The caller then calls [`Arch::program_cdp`] for every control
    /// domain of the resource. Control values are not touched, only what their index means: all of them are at their
    /// default when this is called.
    ///
    /// # Errors
    /// `EINVAL` when the resource cannot, `EOPNOTSUPP` when the kernel refuses; nothing changed. Disabling cannot fail.
    fn set_cdp(&self, platform: &P, cpus: CpusHeld<'_>, resource: ResourceId, cdp: Switch) -> Result<()>;

    /// Brings one domain in line with [`Arch::set_cdp`].
    fn program_cdp(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        resource: ResourceId,
        domain: &mut Self::CtrlDomain,
        mask: &CpuMask,
    );

    // ---- Monitoring ----

    /// Takes what reading `event` needs. May sleep until one is free.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when there is none or the wait was interrupted.
    fn mon_context(&self, resource: ResourceId, event: EventId) -> Result<Self::MonContext, ReadError>;

    /// Reads the counters of one event of the L3. Bandwidth: bytes since the last [`Arch::rebase`]; occupancy: bytes now.
    /// `counters` may name several domains if those are parts of one L3 ([`Scope::Node`](crate::resource::Scope)): then
    /// `cpus` are those of all of them, and any will do.
    ///
    /// What belongs to CPUs that are all offline is not there: it adds nothing to an occupancy, and to bandwidth what it had
    /// counted before they went.
    ///
    /// # Errors
    /// `ENOENT` for a domain without CPUs, `ENODEV` or `ENOMEM` when a CPU could not be called: some counters have then been
    /// given nothing.
    fn read(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        event: EventId,
        context: &mut Self::MonContext,
        counters: &mut Counters<'_, Self::MonDomain, MonId>,
    ) -> Result<()>;

    /// Makes 0 of all bandwidth counts of `ids` in a domain: what is counted from now on is added to it. Not asked for while
    /// counters are assigned.
    ///
    /// # Errors
    /// As [`Arch::read`]; nothing changed.
    fn rebase(
        &self,
        _platform: &P,
        _cpus: DomainCpus<'_>,
        _domain: &mut Self::MonDomain,
        _ids: &mut (dyn Iterator<Item = MonId> + Send),
    ) -> Result<()> {
        Ok(())
    }

    // ---- Package telemetry ----

    /// Reads an event of [`ResourceId::PerfPkg`] in one package, from any CPU. It is never rebased: an RMID that is used
    /// again goes on from where it was.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn read_package(&self, _platform: &P, _package: DomainId, _id: MonId, _event: EventId) -> Result<u64, ReadError> {
        Err(ReadError::Unavailable)
    }

    /// How many of the low bits of an event's value are a fraction; `None` for an event that is a whole number.
    fn fraction_bits(&self, _event: EventId) -> Option<FractionBits> {
        None
    }

    // ---- Counters that are assigned ----

    /// The counters of the L3 that can be given to groups; `None` where every group is counted. Constant but for their number,
    /// which a setting (CDP) may lower while the file system is mounted.
    fn counters(&self) -> Option<CounterAssignment> {
        None
    }

    /// Whether bandwidth is counted by assigned counters now: the mode `mbm_event`. Where [`Arch::counters`] is `None`, whether
    /// it would be: an architecture that knows no other way (MPAM) then refuses the mode `default`.
    fn counters_assigned(&self) -> bool {
        false
    }

    /// Decides whether bandwidth is counted by assigned counters, also for CPUs that come online later. The caller then
    /// calls [`Arch::program_counters_assigned`] for every monitor domain of the L3. Asked for only where
    /// [`CounterAssignment::switchable`] says so.
    ///
    /// # Errors
    /// The architecture's; nothing changed.
    fn set_counters_assigned(&self, _assigned: Switch) -> Result<()> {
        Err(Errno::EINVAL)
    }

    /// Brings one domain in line with [`Arch::set_counters_assigned`]. All bandwidth counts of the domain are 0 then, and
    /// no counter counts.
    fn program_counters_assigned(
        &self,
        _platform: &P,
        _cpus: CpusHeld<'_>,
        _domain: &mut Self::MonDomain,
        _mask: &CpuMask,
    ) {
    }

    /// Lets a counter of a domain begin to count, from 0, the transactions of `filter`; without a filter, ends that. Not
    /// called for a domain that goes offline: what it held is dropped.
    fn configure_counter(
        &self,
        _platform: &P,
        _cpus: DomainCpus<'_>,
        _domain: &mut Self::MonDomain,
        _counter: Counter,
        _filter: Option<Transactions>,
    ) {
    }

    /// Reads counters of one domain: bytes since each was assigned. Otherwise as [`Arch::read`].
    ///
    /// # Errors
    /// As [`Arch::read`].
    fn read_counters(
        &self,
        _platform: &P,
        _cpus: DomainCpus<'_>,
        counters: &mut Counters<'_, Self::MonDomain, Counter>,
    ) -> Result<()> {
        counters(&mut |_, _| Some(Err(ReadError::Unassigned)));
        Ok(())
    }

    // ---- What an event counts ----

    /// Which transactions a bandwidth event of the L3 can be made to count; `None` where that is not for a user to choose.
    /// Constant. What an event counts can be chosen only while counters are not assigned
    /// ([`Arch::counters_assigned`]). AMD BMEC (APM vol. 3, `CPUID Fn8000_0020_ECX_x3`).
    fn configurable_transactions(&self, _event: EventId) -> Option<Transactions> {
        None
    }

    /// What an event counts in a domain, from the register of some CPU of it: bits of [`Transactions`]. Asked for only
    /// where [`Arch::configurable_transactions`] says so.
    ///
    /// # Errors
    /// The architecture's: no CPU of the domain could be asked.
    fn event_config(&self, _platform: &P, _cpus: CpusHeld<'_>, _mask: &CpuMask, _event: EventId) -> Result<u32> {
        Err(Errno::EINVAL)
    }

    /// Chooses what an event counts in a domain: writes the register on some CPU of it, and forgets what was counted of
    /// every bandwidth event for every RMID there, since hardware may begin all of them anew. `config` has no bit outside
    /// [`Arch::configurable_transactions`].
    ///
    /// # Errors
    /// The architecture's; nothing changed.
    fn set_event_config(
        &self,
        _platform: &P,
        _cpus: CpusHeld<'_>,
        _domain: &mut Self::MonDomain,
        _mask: &CpuMask,
        _event: EventId,
        _config: u32,
    ) -> Result<()> {
        Err(Errno::EINVAL)
    }

    // ---- Cache for devices ----

    /// Whether devices fill this cache through a CLOSID of their own, the highest of the resource; `None` where it cannot.
    /// The capability is constant. AMD SDCIAE (APM vol. 2, "L3 Smart Data Cache Injection Allocation Enforcement").
    fn io_alloc(&self, _resource: ResourceId) -> Option<bool> {
        None
    }

    /// Decides whether devices do, also for CPUs and domains that come online later. The caller then calls
    /// [`Arch::program_io_alloc`] for every control domain of the resource.
    ///
    /// # Errors
    /// `EINVAL` when the resource cannot, or the architecture's; nothing changed. Disabling what can be enabled cannot fail.
    fn set_io_alloc(&self, _resource: ResourceId, _enable: Switch) -> Result<()> {
        Err(Errno::EINVAL)
    }

    /// Brings one domain in line with [`Arch::set_io_alloc`].
    fn program_io_alloc(
        &self,
        _platform: &P,
        _cpus: CpusHeld<'_>,
        _resource: ResourceId,
        _domain: &mut Self::CtrlDomain,
        _mask: &CpuMask,
    ) {
    }

    // ---- Pseudo-locking ----

    /// Whether it is known how this processor's prefetchers are turned off, without which what is locked would be mixed
    /// with what they fetch.
    fn can_pseudo_lock(&self) -> bool {
        false
    }

    /// Fills what `closid` may fill of the caches of this CPU with `memory`, and with little else: nothing of it is cached
    /// before. Asked for only where [`Arch::can_pseudo_lock`]; may take milliseconds with interrupts off.
    fn pseudo_lock(
        &self,
        _platform: &P,
        _kernel: &P::PseudoLocking,
        _here: Pinned<'_>,
        _memory: &MemoryOf<P>,
        _line_size: u32,
        _closid: Closid,
    ) {
    }

    /// Reads `memory` and [tells](crate::pseudo_lock::PseudoLocking::trace) what was found; nothing where this processor
    /// cannot measure that.
    fn measure(
        &self,
        _platform: &P,
        _kernel: &P::PseudoLocking,
        _here: Pinned<'_>,
        _memory: &MemoryOf<P>,
        _line_size: u32,
        _what: Measurement,
    ) {
    }
}
