// SPDX-License-Identifier: GPL-2.0-only
//! The system sleeps: the power of processors and of MSCs goes, and comes back.

use std::format;
use std::string::String;

use resctrl_hardware::mpam::registers::Cpbm;
use resctrl_hardware::mpam::{CounterWidth, Label, Level};
use resctrl_types::CpuId;
use resctrl_types::sim::{self, TaskSpec};

use super::board::{Spec, counters};
use super::file_system::{Machine, PLAIN};

/// Two level 3 caches, the MSC of the second reachable from its own CPUs alone. Both count.
fn machine() -> Machine {
    let mut spec = Spec::new(2);
    spec.mscs[1].cluster = Some(1);
    for msc in &mut spec.mscs[..2] {
        msc.config.ris[0].traffic = Some(counters(CounterWidth::Bits31));
    }
    let machine = Machine::mounted(&spec, &PLAIN);
    machine.mkdir("", "p0").unwrap();
    machine
}

impl Machine {
    /// Lets the system sleep: nothing is left in any register. CPUs of `lost` do not come back.
    fn sleep(&self, lost: &[CpuId]) {
        let slept = self.sim.sleep(lost, || {
            for msc in 0..3 {
                self.board.msc(msc).power_off();
                self.board.msc(msc).power_on();
            }
            (0..4).for_each(|cpu| self.board.cpu(cpu).power_cycle());
        });
        assert!(slept);
    }

    #[track_caller]
    fn counted(&self, domain: u32) -> String {
        self.read(&format!("p0/mon_data/mon_L3_{domain}/mbm_total_bytes")).unwrap().trim_end().into()
    }

    fn user_label(&self, cpu: u32) -> Label {
        let label = self.board.cpu(cpu).label(Level::El0, false);
        assert_eq!(self.board.cpu(cpu).label(Level::El1, true), label, "the kernel's, and of code");
        label
    }
}

#[test]
fn what_was_counted_before_the_sleep_is_part_of_what_is_shown_after_it() {
    sim::run(|| {
        let machine = machine();
        let mut total = 0;
        for bytes in [1000, (1 << 31) - 1, 7] {
            for msc in 0..2 {
                machine.traffic(msc, 1, 0, bytes);
            }
            total += bytes;
            // The last of a round wraps between two readings, and the power goes before anybody looks.
            machine.sleep(&[]);
            assert_eq!([machine.counted(768), machine.counted(769)], [format!("{total}"), format!("{total}")]);
        }
        for msc in 0..3 {
            assert_eq!(machine.board.msc(msc).error_status(), 0);
            assert_eq!(machine.board.msc(msc).accesses_unpowered(), 0);
        }
        machine.finish();
    });
}

#[test]
fn after_the_sleep_every_msc_holds_what_schemata_shows() {
    sim::run(|| {
        let machine = machine();
        machine.write("p0/schemata", "L3:768=f;769=f0\n").unwrap();
        machine.sleep(&[]);
        let held = |msc, partid| machine.board.msc(msc).control(0, partid, Cpbm::OFFSET);
        assert_eq!([held(0, 1), held(1, 1)], [Some(0xf), Some(0xf0)]);
        assert_eq!([held(0, 0), held(1, 31)], [Some(0xffff); 2], "what the power loss has closed is open");
        assert!(machine.read("p0/schemata").unwrap().contains("L3:768=f;769=f0"));
        machine.finish();
    });
}

#[test]
fn after_the_sleep_cpus_have_the_labels_of_whom_they_work_for() {
    sim::run(|| {
        let machine = machine();
        machine.write("p0/cpus_list", "1\n").unwrap();
        let task = machine.sim.spawn_task(TaskSpec::default());
        machine.write("p0/tasks", &format!("{}\n", task.pid())).unwrap();
        machine.sim.switch_to(CpuId(0), Some(&task)).unwrap();
        let ours = Label { partid: 1, pmg: 0 };
        let before = [0, 1, 2, 3].map(|cpu| machine.user_label(cpu));
        assert_eq!(before, [ours, ours, Label::default(), Label::default()]);
        machine.sleep(&[]);
        assert_eq!([0, 1, 2, 3].map(|cpu| machine.user_label(cpu)), before, "the first one's task goes on");
        // Nothing is taken for known that the power may have changed.
        for cpu in 0..4 {
            machine.sim.switch_to(CpuId(cpu), None).unwrap();
        }
        let idle = [Label::default(), ours, Label::default(), Label::default()];
        assert_eq!([0, 1, 2, 3].map(|cpu| machine.user_label(cpu)), idle);
        machine.finish();
    });
}

#[test]
fn a_cache_whose_cpus_do_not_come_back_is_no_domain_and_is_not_touched() {
    sim::run(|| {
        let machine = machine();
        machine.write("p0/schemata", "L3:768=f;769=f0\n").unwrap();
        machine.sleep(&[CpuId(2), CpuId(3)]);
        assert!(machine.read("p0/schemata").unwrap().trim_end().ends_with("L3:768=f"));
        let writes = machine.board.msc(1).writes();
        machine.write("p0/schemata", "L3:768=ff\n").unwrap();
        assert_eq!(machine.board.msc(0).control(0, 1, Cpbm::OFFSET), Some(0xff));
        assert_eq!(machine.board.msc(1).writes(), writes);
        machine.finish();
    });
}
