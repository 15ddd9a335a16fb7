// SPDX-License-Identifier: GPL-2.0-only
//! No number of groups, ids, CPUs or domains is built in.

use std::collections::BTreeSet;

use resctrl_hardware::Event;
use resctrl_hardware::registers::L3Mask;
use resctrl_types::sim::run;
use resctrl_types::{CpuId, Errno};

use crate::machine::Machine;

/// 64 CPUs in 16 domains, 128 classes, 2,048 RMIDs.
const SCALE: &str = include_str!("../../../qemu-images/machines/intel-scale.toml");

const CLOSIDS: u32 = 128;
const RMIDS: u32 = 2048;
const CPUS: u32 = 64;

fn number(machine: &Machine, path: &str) -> u32 {
    machine.read(path).unwrap().trim().parse().unwrap()
}

#[test]
fn every_class_every_rmid_every_cpu_and_every_domain_can_be_used_at_once() {
    run(|| {
        let machine = Machine::mounted_on(SCALE);
        assert_eq!(number(&machine, "info/L3/num_closids"), CLOSIDS);
        assert_eq!(number(&machine, "info/L3_MON/num_rmids"), RMIDS);
        let mut groups = vec![String::new()];
        for closid in 1..CLOSIDS {
            groups.push(format!("c{closid}"));
            machine.mkdir(&groups[groups.len() - 1]).unwrap();
        }
        assert_eq!(machine.mkdir("more"), Err(Errno::ENOSPC));
        for rmid in CLOSIDS..RMIDS {
            groups.push(format!("c{}/mon_groups/m{rmid}", rmid % (CLOSIDS - 1) + 1));
            machine.mkdir(&groups[groups.len() - 1]).unwrap();
        }
        assert_eq!(machine.mkdir("c1/mon_groups/more"), Err(Errno::ENOSPC));
        let rmids: BTreeSet<u32> = groups.iter().map(|group| number(&machine, &format!("{group}/mon_hw_id"))).collect();
        assert_eq!(rmids, (0..RMIDS).collect());

        // The last of everything.
        let ctrl = format!("c{}", CLOSIDS - 1);
        assert_eq!(number(&machine, &format!("{ctrl}/ctrl_hw_id")), CLOSIDS - 1);
        machine.write(&format!("{ctrl}/schemata"), "L3:15=f0\n").unwrap();
        assert_eq!(machine.msr(CpuId(CPUS - 1), L3Mask::ADDRESS + CLOSIDS - 1), 0xf0);
        assert_eq!(machine.msr(CpuId(0), L3Mask::ADDRESS + CLOSIDS - 1), 0xfff);
        machine.write(&format!("{ctrl}/cpus_list"), "63\n").unwrap();
        assert_eq!(machine.read("cpus_list").unwrap(), "0-62\n");
        assert_eq!(machine.read(&format!("{ctrl}/cpus")).unwrap(), "80000000,00000000\n");
        let mon = &groups[groups.len() - 1];
        assert_eq!(number(&machine, &format!("{mon}/mon_hw_id")), RMIDS - 1);
        machine.board.rdt.add(15, 2047, Event::MbmTotal, 1 << 20, 0).unwrap();
        let bytes = |l3: u32| machine.read(&format!("{mon}/mon_data/mon_L3_{l3:02}/mbm_total_bytes")).unwrap();
        assert_eq!((bytes(15).as_str(), bytes(14).as_str()), ("1048576\n", "0\n"));

        (60..CPUS).for_each(|cpu| machine.offline(cpu));
        assert!(machine.read(&format!("{mon}/mon_data/mon_L3_15/mbm_total_bytes")).is_err());
        (60..CPUS).for_each(|cpu| machine.online(cpu));
        assert_eq!(bytes(15), "0\n");
        assert_eq!(machine.audit(), "");
        machine.finish();
    });
}
