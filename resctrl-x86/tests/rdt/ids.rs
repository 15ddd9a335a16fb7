// SPDX-License-Identifier: GPL-2.0-only
//! Task words and the register that says whom a CPU works for.

use std::sync::Arc;

use proptest::prelude::*;
use resctrl_hardware::Machine;
use resctrl_hardware::write_log::Kind;
use resctrl_types::arch::{Cpus, Ids, MonId};
use resctrl_types::sim::{self, SimPlatform, SimTask, TaskSpec};
use resctrl_types::{Closid, CpuId, Platform, Rmid, TaskWord, TaskWords};
use resctrl_x86_board::Side;

use crate::machine::{Rig, intel, intel_l2, intel_mon_only};

const PQR_ASSOC: u32 = 0xc8f;

fn id(closid: u32, rmid: u32) -> MonId {
    MonId { closid: Closid(closid), rmid: Rmid(rmid) }
}

fn pqr(closid: u32, rmid: u32) -> u64 {
    u64::from(closid) << 32 | u64::from(rmid)
}

fn machines() -> [(Machine, u32, u32); 3] {
    // How many CLOSIDs and RMIDs the register takes.
    [(intel(), 16, 32), (intel_l2(), 16, 1), (intel_mon_only(), 1, 23)]
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Default(u32, u32, u32),
    Switch(u32, u32, u32),
    Bounce(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few ids, so that tasks and CPUs often agree and often have none.
    let id = || prop_oneof![Just(0), 0..4_u32, any::<u32>()];
    let step = prop_oneof![
        2 => (0..4_u32, id(), id()).prop_map(|(cpu, closid, rmid)| Step::Default(cpu, closid, rmid)),
        6 => (0..4_u32, id(), id()).prop_map(|(cpu, closid, rmid)| Step::Switch(cpu, closid, rmid)),
        1 => (0..4_u32).prop_map(Step::Bounce),
    ];
    prop::collection::vec(step, 1..60)
}

/// Where the word of a task has its CLOSID and its RMID.
fn places<A: Ids>(_: &A) -> (u64, u64) {
    (A::CLOSID_PLACES, A::RMID_PLACES)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_cpu_works_for_its_task_else_for_its_default_and_is_told_only_of_changes(
        machine in 0..machines().len(), steps in steps(),
    ) {
        sim::run(move || {
            let (machine, closids, rmids) = &machines()[machine];
            let rig = Rig::boot(machine);
            let mut defaults = [(0, 0); 4];
            let mut current = [(0, 0); 4];
            for &step in &steps {
                let writes = rig.board.rdt.writes(Kind::Assoc);
                let mut expected_writes = 0;
                match step {
                    Step::Default(cpu, closid, rmid) => {
                        rig.arch().set_cpu_default(CpuId(cpu), id(closid, rmid));
                        defaults[cpu as usize] = (closid, rmid);
                    }
                    Step::Switch(cpu, closid, rmid) => {
                        let word = rig.arch().task_word(id(closid, rmid));
                        rig.irq(cpu, |here| rig.arch().sched_in(here, word));
                        let default = defaults[cpu as usize];
                        let own_or = |own, default| if own == 0 { default } else { own };
                        let within = |id, limit: &u32| if id < *limit { id } else { 0 };
                        let pair = (
                            within(own_or(closid, default.0), closids),
                            within(own_or(rmid, default.1), rmids),
                        );
                        expected_writes = u64::from(current[cpu as usize] != pair);
                        current[cpu as usize] = pair;
                    }
                    Step::Bounce(cpu) => {
                        rig.sim.offline(CpuId(cpu)).unwrap();
                        assert_eq!(rig.msr(cpu, PQR_ASSOC), 0);
                        rig.sim.online(CpuId(cpu)).unwrap();
                        (defaults[cpu as usize], current[cpu as usize]) = ((0, 0), (0, 0));
                        expected_writes = 2;
                    }
                }
                assert_eq!(rig.board.rdt.writes(Kind::Assoc) - writes, expected_writes, "{step:?}");
                for (cpu, (closid, rmid)) in (0..).zip(current) {
                    assert_eq!(rig.msr(cpu, PQR_ASSOC), pqr(closid, rmid), "CPU {cpu} after {step:?}");
                }
            }
            assert_eq!(rig.refused(), 0);
            rig.halt();
        });
    }

    #[test]
    fn a_task_word_leads_back_to_its_ids(closid in any::<u32>(), rmid in any::<u32>()) {
        sim::run(move || {
            let rig = Rig::boot(&intel());
            let word = rig.arch().task_word(id(closid, rmid));
            assert_eq!(rig.arch().task_ids(word), id(closid, rmid));
            let (of_closid, of_rmid) = places(rig.arch());
            for (other_closid, other_rmid) in [(closid, rmid), (closid, !rmid), (!closid, rmid), (!closid, !rmid)] {
                let other = rig.arch().task_word(id(other_closid, other_rmid));
                assert_eq!(TaskWords::like(word, of_closid).contain(other), other_closid == closid);
                assert_eq!(TaskWords::like(word, of_rmid).contain(other), other_rmid == rmid);
            }
            rig.halt();
        });
    }
}

#[test]
fn the_word_of_the_default_group_is_zero() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        assert_eq!(rig.arch().task_word(id(0, 0)), TaskWord(0));
        assert_eq!(rig.arch().task_word(id(3, 5)), TaskWord(3 << 32 | 5));
        rig.halt();
    });
}

#[test]
fn a_monitored_task_of_the_default_group_takes_the_closid_of_its_cpu() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        rig.arch().set_cpu_default(CpuId(1), id(4, 9));
        for (word, ids) in [(id(0, 2), pqr(4, 2)), (id(0, 0), pqr(4, 9)), (id(6, 0), pqr(6, 9)), (id(6, 2), pqr(6, 2))]
        {
            let word = rig.arch().task_word(word);
            rig.irq(1, |here| rig.arch().sched_in(here, word));
            assert_eq!(rig.msr(1, PQR_ASSOC), ids);
        }
        rig.halt();
    });
}

#[test]
fn a_cpu_that_the_machine_does_not_have_is_nobodys() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        let before = rig.board.rdt.next_write();
        rig.arch().set_cpu_default(CpuId(4), id(1, 1));
        rig.arch().set_cpu_default(CpuId(u32::MAX), id(1, 1));
        assert_eq!(rig.board.rdt.next_write(), before);
        rig.halt();
    });
}

/// A task with ids 3 and 7, on a machine that looks at context switches.
fn task_to_switch_to(rig: &Rig) -> SimTask {
    let task = rig.sim.spawn_task(TaskSpec::default());
    rig.sim.set_task_word(&task, rig.arch().task_word(id(3, 7)));
    let hook = Arc::clone(&rig.x86);
    rig.sim.set_sched_in(move |here, word| {
        Ids::sched_in(&*hook, here, word);
    });
    task
}

#[test]
fn when_a_cpu_goes_to_sleep_nothing_is_known_of_its_register_any_more() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        let task = task_to_switch_to(&rig);
        let watching = rig.sim.watch_switches().unwrap();
        let writes = || rig.board.rdt.writes(Kind::Assoc);
        rig.sim.switch_to(CpuId(3), Some(&task)).unwrap();
        let before = writes();
        rig.sim.switch_to(CpuId(3), Some(&task)).unwrap();
        assert_eq!(writes(), before, "it holds that");
        rig.on(3, |here| Cpus::<SimPlatform>::cpu_suspend(&*rig.x86, here.into()));
        rig.sim.switch_to(CpuId(3), Some(&task)).unwrap();
        assert_eq!(writes(), before + 1, "whoever runs next has it written");
        assert_eq!(rig.msr(3, PQR_ASSOC), pqr(3, 7));
        drop(watching);
        rig.halt();
    });
}

/// CPU 3 comes online; on one side of the register's being reset it is switched to a task with ids 3 and 7.
fn switched_in_the_middle_of_a_reset(side: Side, check: fn(&Rig, &SimTask)) {
    sim::run(move || {
        let rig = Rig::boot(&intel());
        let task = task_to_switch_to(&rig);
        let _watching = rig.sim.watch_switches().unwrap();
        rig.sim.offline(CpuId(3)).unwrap();
        let (machine, switched_to) = (rig.sim.clone(), task.clone());
        let switch = move || machine.switch_to(CpuId(3), Some(&switched_to)).unwrap();
        rig.board.beside_next_write(side, switch);
        rig.sim.online(CpuId(3)).unwrap();
        assert!(rig.board.has_happened(), "the switch has happened");
        check(&rig, &task);
        rig.halt();
    });
}

#[test]
fn a_switch_just_before_the_reset_does_not_make_the_next_switch_skip_its_write() {
    switched_in_the_middle_of_a_reset(Side::Before, |rig, task| {
        assert_eq!(rig.msr(3, PQR_ASSOC), 0);
        rig.sim.switch_to(CpuId(3), Some(task)).unwrap();
        assert_eq!(rig.msr(3, PQR_ASSOC), pqr(3, 7));
    });
}

#[test]
fn a_switch_just_after_the_reset_does_not_pass_its_ids_on_to_tasks_without() {
    switched_in_the_middle_of_a_reset(Side::After, |rig, _| {
        assert_eq!(rig.msr(3, PQR_ASSOC), pqr(3, 7));
        rig.sim.switch_to(CpuId(3), None).unwrap();
        assert_eq!(rig.msr(3, PQR_ASSOC), 0);
    });
}
