// SPDX-License-Identifier: GPL-2.0-only
//! Processors whose kernel runs at EL2: kernels of guests run at EL1, with labels of their own.

use resctrl_hardware::mpam::{CpuConfig, Label, Level};
use resctrl_types::CpuId;
use resctrl_types::arch::Ids;
use resctrl_types::sim::{self};

use super::board::{CPU, Rig, Spec, build, start_on};
use super::resctrl::id;
use crate::resctrl::Options;

/// Processors that can make labels which no MSC knows.
fn spec() -> Spec {
    Spec { cpu: CpuConfig { el2: true, ..CPU }, ..Spec::new(1) }
}

fn guest(rig: &Rig, cpu: u32) -> Label {
    let labels = [Level::El0, Level::El1, Level::El2].map(|level| rig.board.cpu(cpu).label(level, false));
    assert!(labels.iter().all(|label| *label == labels[1]), "programs, guests and the kernel differ: {labels:?}");
    assert_eq!(rig.board.cpu(cpu).label(Level::El1, true), labels[1], "code and data differ");
    labels[1]
}

#[test]
fn a_guest_has_the_labels_of_the_task_that_runs_it() {
    sim::run(|| {
        let rig = Rig::new(&spec());
        assert_eq!(guest(&rig, 1), Label::default());
        let word = Ids::task_word(&*rig.driver, id(5, 2));
        rig.irq(1, |here| rig.driver.sched_in(here, word));
        assert_eq!((guest(&rig, 1), guest(&rig, 0)), (Label { partid: 5, pmg: 2 }, Label::default()));
        rig.board.cpu(1).power_cycle();
        rig.irq(1, |here| rig.driver.cpu_resumed(here));
        assert_eq!(guest(&rig, 1), Label { partid: 5, pmg: 2 }, "power management gives it back");
        rig.sim.offline(CpuId(1)).unwrap();
        rig.board.cpu(1).power_cycle();
        rig.sim.online(CpuId(1)).unwrap();
        assert_eq!(guest(&rig, 1), Label::default(), "a CPU that comes works for the default group");
    });
}

#[test]
fn no_cpu_has_the_labels_that_firmware_left_when_errors_begin_to_count() {
    for el2 in [false, true] {
        sim::run(move || {
            let spec = Spec { cpu: CpuConfig { el2, ..CPU }, ..Spec::new(1) };
            let (sim, board) = build(&spec);
            for cpu in 0..spec.cpus() {
                board.cpu(cpu).power_cycle();
            }
            start_on(&spec, &sim, &board, Options::default()).unwrap();
            for cpu in 0..spec.cpus() {
                assert_eq!(board.cpu(cpu).label(Level::El0, false), Label::default());
                let kernel = if el2 { Level::El2 } else { Level::El1 };
                assert_eq!(board.cpu(cpu).label(kernel, false), Label::default());
                assert_eq!(board.cpu(cpu).label(Level::El1, true), Label::default());
            }
        });
    }
}
