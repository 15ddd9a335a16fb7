// SPDX-License-Identifier: GPL-2.0-only
//! What an architecture is that has no more than it must.

use core::sync::atomic::{AtomicU64, Ordering};

use super::{Assignment, Domains, EachCounting, Ids, IoAlloc, MonId, Monitors, PseudoLock, ReadError, Telemetry};
use crate::context::{CpusHeld, Here, HotplugCpu, IrqOff};
use crate::counter::{Counter, Transactions};
use crate::cpu::CpuLabels;
use crate::cpumask::CpuMask;
use crate::crossing::DomainCpus;
use crate::errno::{Errno, Result};
use crate::event::EventId;
use crate::ids::{Closid, CpuId, DomainId, ResourceId, Rmid, RmidIndex, TaskWord};
use crate::sim::{SimPlatform, Topology, run};
use crate::switch::Switch;

/// Nothing.
struct Bare;

impl Domains for Bare {
    type CtrlDomain = ();
    type MonDomain = ();

    fn ctrl_domain_online(&self, _: HotplugCpu<'_>, _: ResourceId, _: DomainId) -> Result<()> {
        Ok(())
    }

    fn ctrl_domain_join(&self, _: HotplugCpu<'_>, _: ResourceId, (): &mut ()) {}

    fn mon_domain_online(&self, _: HotplugCpu<'_>, _: ResourceId, _: DomainId) -> Result<()> {
        Ok(())
    }

    fn ctrl_domain_resume(&self, _: Here<'_>, _: ResourceId, (): &mut ()) {}

    fn mon_domain_suspend(&self, _: Here<'_>, (): &mut (), _: EachCounting<'_>) {}

    fn mon_domain_resume(&self, _: Here<'_>, (): &mut (), _: EachCounting<'_>) {}
}

impl Monitors<SimPlatform> for Bare {
    type MonContext = ();

    fn mon_context(&self, _: ResourceId, _: EventId) -> Result<(), ReadError> {
        Err(ReadError::Unavailable)
    }

    fn read(
        &self,
        _: &SimPlatform,
        _: DomainCpus<'_>,
        _: EventId,
        (): &mut (),
        _: &mut super::Counters<'_, (), MonId>,
    ) -> Result<()> {
        Err(Errno::ENODEV)
    }
}

impl Assignment<SimPlatform> for Bare {}
impl IoAlloc<SimPlatform> for Bare {}
impl PseudoLock<SimPlatform> for Bare {}
impl Telemetry<SimPlatform> for Bare {}

const ID: MonId = MonId { closid: Closid(1), rmid: Rmid(1) };
const TOTAL: EventId = EventId::MbmTotal;

/// Calls `test` with a simulated machine, the proof that its CPUs stay, and the set of one of them.
fn on_a_machine(test: fn(&SimPlatform, CpusHeld<'_>, &CpuMask)) {
    run(move || {
        let sim = SimPlatform::new(Topology::packages(1, 2));
        let mut mask = CpuMask::new(2).unwrap();
        mask.set(CpuId(0)).unwrap();
        // SAFETY: no CPU of the simulated machine comes or goes.
        test(&sim, unsafe { CpusHeld::new() }, &mask);
    });
}

#[test]
fn without_counters_to_assign_none_is_assigned_and_the_mode_stays_what_it_is() {
    on_a_machine(|sim, held, mask| {
        let arch: &dyn Fn() -> Option<_> = &|| Assignment::<SimPlatform>::counters(&Bare);
        assert_eq!((arch(), Assignment::<SimPlatform>::counters_assigned(&Bare)), (None, false));
        for mode in [Switch::On, Switch::Off] {
            assert_eq!(Assignment::<SimPlatform>::set_counters_assigned(&Bare, mode), Err(Errno::EINVAL));
        }
        Bare.program_counters_assigned(sim, held, &mut (), mask);
        let counter = Counter { number: 0, id: ID, event: TOTAL };
        let cpus = DomainCpus::new(held, mask);
        Bare.configure_counter(sim, cpus, &mut (), counter, Some(Transactions::ALL));
        let mut read = None;
        Bare.read_counters(sim, cpus, &mut |one| read = one(&mut (), counter)).unwrap();
        assert_eq!(read, Some(Err(ReadError::Unassigned)));
    });
}

#[test]
fn events_that_cannot_be_configured_have_no_configuration() {
    on_a_machine(|sim, held, mask| {
        assert_eq!(Assignment::<SimPlatform>::configurable_transactions(&Bare, TOTAL), None);
        assert_eq!(Bare.event_config(sim, held, mask, TOTAL), Err(Errno::EINVAL));
        assert_eq!(Bare.set_event_config(sim, held, &mut (), mask, TOTAL, 1), Err(Errno::EINVAL));
    });
}

#[test]
fn devices_have_no_part_of_a_cache() {
    on_a_machine(|sim, held, mask| {
        assert_eq!(IoAlloc::<SimPlatform>::io_alloc(&Bare, ResourceId::L3), None);
        for enable in [Switch::On, Switch::Off] {
            assert_eq!(IoAlloc::<SimPlatform>::set_io_alloc(&Bare, ResourceId::L3, enable), Err(Errno::EINVAL));
        }
        Bare.program_io_alloc(sim, held, ResourceId::L3, &mut (), mask);
    });
}

#[test]
fn nothing_is_counted_by_package_and_nothing_can_be_locked_into_a_cache() {
    on_a_machine(|sim, held, mask| {
        assert_eq!(Bare.pre_mount(sim), Ok(()));
        assert_eq!(Bare.read_package(sim, DomainId(0), ID, EventId::CoreEnergy), Err(ReadError::Unavailable));
        assert_eq!(Telemetry::<SimPlatform>::fraction_bits(&Bare, EventId::CoreEnergy), None);
        assert!(!PseudoLock::<SimPlatform>::can_pseudo_lock(&Bare));
        const { assert!(!<Bare as PseudoLock<SimPlatform>>::PSEUDO_LOCKING) };
        assert_eq!(Bare.rebase(sim, DomainCpus::new(held, mask), &mut (), &mut core::iter::once(ID)), Ok(()));
    });
}

/// One CPU, whose register holds the CLOSID.
struct OneCpu {
    labels: CpuLabels,
    register: AtomicU64,
}

impl Ids for OneCpu {
    const RMID_DEPENDS_ON_CLOSID: bool = false;
    const CLOSID_PLACES: u64 = 0xff;
    const RMID_PLACES: u64 = 0;

    fn num_rmid_index(&self) -> u32 {
        0
    }

    fn rmid_index(&self, id: MonId) -> RmidIndex {
        RmidIndex(id.rmid.0)
    }

    fn rmid_decode(&self, index: RmidIndex) -> MonId {
        MonId { closid: Closid::RESERVED, rmid: Rmid(index.0) }
    }

    fn task_word(&self, id: MonId) -> TaskWord {
        TaskWord(id.closid.0.into())
    }

    fn task_ids(&self, word: TaskWord) -> MonId {
        MonId { closid: Closid(word.0.try_into().unwrap()), rmid: Rmid::RESERVED }
    }

    fn cpu_labels(&self, cpu: CpuId) -> Option<&CpuLabels> {
        (cpu == CpuId(0)).then_some(&self.labels)
    }

    fn effective(&self, task: TaskWord, default: TaskWord) -> u64 {
        if task.0 == 0 { default.0 } else { task.0 }
    }

    fn write_labels(&self, _: Here<'_>, labels: u64) {
        self.register.store(labels, Ordering::Relaxed);
    }

    fn cdp_enabled(&self, _: ResourceId) -> bool {
        false
    }
}

#[test]
fn a_cpu_works_for_its_task_and_without_one_of_a_group_for_whom_it_is_told() {
    let arch = OneCpu { labels: CpuLabels::default(), register: AtomicU64::new(99) };
    // SAFETY: there is no CPU, and the register is memory.
    let here = || unsafe { IrqOff::new(CpuId(0)) };
    let holds = || arch.register.load(Ordering::Relaxed);
    arch.sched_in(here(), TaskWord(2));
    assert_eq!(holds(), 2);
    arch.set_cpu_default(CpuId(0), MonId { closid: Closid(3), rmid: Rmid(0) });
    assert_eq!(holds(), 2, "not before the next switch");
    arch.sched_in(here(), TaskWord(0));
    assert_eq!(holds(), 3);
    // There is no such CPU.
    arch.set_cpu_default(CpuId(1), MonId { closid: Closid(4), rmid: Rmid(0) });
    arch.sched_in(here(), TaskWord(0));
    assert_eq!(holds(), 3);
}
