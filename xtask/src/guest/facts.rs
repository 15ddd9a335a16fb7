// SPDX-License-Identifier: GPL-2.0-only
//! The facts of a machine that scenarios compare with what they read: variables of their environment.

use std::collections::BTreeMap;
use std::fmt;

use resctrl_hardware::machine::{Cache, Machine, RdtFeatures};

/// Name and value of every fact about `machine`.
pub(super) fn of(machine: &Machine) -> BTreeMap<String, String> {
    let mut facts = Facts::default();
    let topology = &machine.topology;
    facts.set("ARCH", crate::kernels::Arch::from(machine.arch));
    facts.set("CPUS", topology.cpus());
    facts.set("L3_DOMAINS", topology.l3_domains());
    facts.set("L2_DOMAINS", topology.l2_domains());
    let size = |cache: &Option<Cache>| cache.as_ref().map_or(0, |cache| cache.size_kib * 1024);
    facts.set("L3_SIZE", size(&machine.cache.l3));
    facts.set("L2_SIZE", size(&machine.cache.l2));
    if let Some(rdt) = &machine.rdt {
        facts.rdt(rdt);
    }
    facts.0
}

#[derive(Default)]
struct Facts(BTreeMap<String, String>);

impl Facts {
    fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.0.insert(name.to_owned(), format!("{value}"));
    }

    fn rdt(&mut self, rdt: &RdtFeatures) {
        for (name, cat) in [("L3", &rdt.l3), ("L2", &rdt.l2)] {
            let Some(cat) = cat else { continue };
            self.set(&format!("{name}_CLOSIDS"), cat.closids);
            self.set(&format!("{name}_MASK"), format!("{:x}", cat.full_mask()));
            self.set(&format!("{name}_SHAREABLE"), format!("{:x}", cat.shareable));
            self.set(&format!("{name}_CDP"), u8::from(cat.cdp));
            self.set(&format!("{name}_SPARSE"), u8::from(cat.noncontiguous));
        }
        if let Some(mba) = &rdt.mba {
            self.set("MB_CLOSIDS", mba.closids);
            self.set("MB_MIN", 100 - mba.max_delay);
            self.set("MB_PER_THREAD", u8::from(mba.per_thread));
        }
        if let Some(monitoring) = &rdt.monitoring {
            self.set("RMIDS", monitoring.rmids);
            self.set("MON_UNIT", monitoring.unit);
            self.set("MON_COUNTER_BITS", monitoring.counter_bits);
        }
    }
}
