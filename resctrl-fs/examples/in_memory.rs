// SPDX-License-Identifier: GPL-2.0-only
//! resctrl in memory: the file system over an emulated Intel machine, on the simulated kernel.
//!
//! `cargo run --package resctrl-fs --example in_memory`

mod common;

use std::sync::Arc;

use common::{read, write};
use resctrl_fs::{MountOptions, Resctrl};
use resctrl_hardware::Machine;
use resctrl_types::sim::{self, SimPlatform};
use resctrl_types::{CpuId, Errno};
use resctrl_x86::{Options, X86};
use resctrl_x86_board::{Board, Emulated, Processor, topology};

type Fs = Resctrl<X86<Emulated>, SimPlatform>;

pub(crate) fn main() {
    sim::run(|| {
        let machine = Machine::parse(include_str!("../../qemu-images/machines/intel.toml")).expect("a machine");
        let kernel = SimPlatform::new(topology(&machine));
        let board = Arc::new(Board::new(&machine, Processor::of(&machine), &kernel).expect("hardware"));
        let arch = X86::new(Emulated(board), &kernel, Options::default()).expect("an Intel processor");
        let fs = Fs::new(kernel.clone(), arch).expect("it can share something out");
        let (comes, goes) = (fs.clone(), fs.clone());
        kernel
            .register_hotplug(move |cpu| Fs::cpu_online(&comes, cpu), move |cpu| Fs::cpu_offline(&goes, cpu))
            .expect("CPUs");
        Fs::mount(&fs, &MountOptions::default()).expect("mounted");

        Fs::mkdir(&fs, fs.root().expect("mounted"), b"web", 0o755).expect("a class is free");
        write(&fs, "web/schemata", "L3:0=f").expect("four ways");
        print!("{}", read(&fs, "web/schemata").expect("readable"));

        // What is refused says why, and changes nothing.
        assert_eq!(write(&fs, "web/schemata", "L3:0=f0f"), Err(Errno::EINVAL));
        print!("{}", read(&fs, "info/last_cmd_status").expect("readable"));
        assert!(read(&fs, "web/schemata").expect("readable").contains("0=f;1=fff"));

        // Without its CPUs a domain is gone, and comes back with the default.
        for cpu in [0, 1].map(CpuId) {
            kernel.offline(cpu).expect("it can go");
        }
        assert!(!read(&fs, "web/schemata").expect("readable").contains("0="));

        Fs::unmount(&fs);
        kernel.unregister_hotplug();
        kernel.advance(3000);
        assert!(Fs::is_idle(&fs), "no worker and no domain is left");
    });
}
