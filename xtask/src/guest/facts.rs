// SPDX-License-Identifier: GPL-2.0-only
//! The facts of a machine that scenarios compare with what they read: variables of their environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use resctrl_hardware::Event;
use resctrl_hardware::machine::{
    Cache, Cat, Instance, Machine, Monitoring, MpamFeatures, Place, QosFeatures, RdtFeatures, property_number,
};

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
    let first_id = |cache: &Option<Cache>, usual| cache.as_ref().and_then(|cache| cache.first_id).unwrap_or(usual);
    facts.set("L3_FIRST_ID", first_id(&machine.cache.l3, 0));
    facts.set("L2_FIRST_ID", first_id(&machine.cache.l2, if machine.mpam.is_some() { 256 } else { 0 }));
    // What the kernel takes for the size of the last level cache.
    facts.set("LLC_SIZE", size(if machine.qos.is_some() { &machine.cache.l2 } else { &machine.cache.l3 }));
    if let Some(rdt) = &machine.rdt {
        facts.rdt(rdt, topology.nodes, &machine.qemu.cpu);
    }
    if let Some(telemetry) = &machine.telemetry {
        let rmids = telemetry.groups().map(|(group, _)| group.rmids).min();
        facts.set("TELEMETRY_RMIDS", rmids.unwrap_or_default());
    }
    if let Some(qos) = &machine.qos {
        facts.qos(qos);
    }
    if let Some(mpam) = &machine.mpam {
        facts.mpam(machine, mpam);
    }
    facts.0
}

#[derive(Default)]
struct Facts(BTreeMap<String, String>);

impl Facts {
    fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.0.insert(name.to_owned(), format!("{value}"));
    }

    /// What resctrl makes of RDT where an L3 is so many NUMA nodes.
    fn rdt(&mut self, rdt: &RdtFeatures, nodes: usize, processor: &str) {
        self.set("NODES", nodes);
        self.set("PSEUDO_LOCK", u8::from(can_lock_regions(processor)));
        for (name, cat) in [("L3", &rdt.l3), ("L2", &rdt.l2)] {
            let Some(cat) = cat else { continue };
            self.cat(name, cat, cat.noncontiguous);
        }
        // A delay that is no percentage is of no use to resctrl.
        if let Some(mba) = rdt.mba.as_ref().filter(|mba| mba.linear) {
            self.set("MB_CLOSIDS", mba.closids);
            self.set("MB_MIN", 100 - mba.max_delay);
            self.set("MB_MAX", 100);
            self.set("MB_STEP", 100 - mba.max_delay);
            self.set("MB_PER_THREAD", u8::from(mba.per_thread));
        }
        if let Some(monitoring) = &rdt.monitoring {
            self.monitoring(monitoring, nodes);
        }
    }

    fn qos(&mut self, qos: &QosFeatures) {
        self.set("VENDOR", "amd");
        for (name, cat) in [("L3", &qos.l3), ("L2", &qos.l2)] {
            let Some(cat) = cat else { continue };
            self.cat(name, cat, true);
            self.set(&format!("{name}_MIN_BITS"), 0);
        }
        for (name, limit) in [("MB", &qos.mba), ("SMBA", &qos.smba)] {
            let Some(limit) = limit else { continue };
            self.set(&format!("{name}_CLOSIDS"), limit.closids);
            self.set(&format!("{name}_MIN"), 0);
            self.set(&format!("{name}_MAX"), limit.unlimited());
            self.set(&format!("{name}_STEP"), 1);
        }
        if let Some(monitoring) = &qos.monitoring {
            self.monitoring(monitoring, 1);
        }
        self.set("BMEC", u8::from(qos.bmec));
        self.set("SDCIAE", u8::from(qos.sdciae));
        if let Some(abmc) = &qos.abmc {
            self.set("COUNTERS", abmc.counters);
        }
    }

    fn cat(&mut self, name: &str, cat: &Cat, sparse: bool) {
        self.set(&format!("{name}_CLOSIDS"), cat.closids);
        self.set(&format!("{name}_MASK"), format!("{:x}", cat.full_mask()));
        self.set(&format!("{name}_SHAREABLE"), format!("{:x}", cat.shareable));
        self.set(&format!("{name}_CDP"), u8::from(cat.cdp));
        self.set(&format!("{name}_SPARSE"), u8::from(sparse));
        self.set(&format!("{name}_MIN_BITS"), cat.min_bits);
    }

    fn monitoring(&mut self, monitoring: &Monitoring, nodes: usize) {
        self.set("RMIDS", monitoring.rmids / nodes);
        self.set("MON_UNIT", monitoring.unit);
        self.set("MON_COUNTER_BITS", monitoring.counter_bits);
        let events: Vec<&str> =
            Event::ALL.into_iter().filter(|event| monitoring.events.contains(event)).map(Event::name).collect();
        self.set("MON_EVENTS", events.join(" "));
    }

    /// What resctrl makes of a machine with MPAM that works: a CLOSID is a PARTID, an RMID a pair of PARTID and PMG.
    fn mpam(&mut self, machine: &Machine, mpam: &MpamFeatures) {
        let instances: Vec<&Instance> =
            mpam.msc.iter().filter(|msc| !msc.disabled).flat_map(|msc| msc.ris.iter()).collect();
        // Software uses what every part of the machine knows.
        let partids = instances
            .iter()
            .flat_map(|instance| [instance.partid_max, instance.narrowing])
            .flatten()
            .fold(mpam.partid_max, u16::min);
        let pmgs = instances.iter().filter_map(|instance| instance.pmg_max).fold(mpam.pmg_max, u8::min);
        let (partids, pmgs) = (u32::from(partids) + 1, u32::from(pmgs) + 1);
        self.set("PARTIDS", partids);
        self.set("PMGS", pmgs);
        self.set("MSC_CPUS", cpus_behind(machine, mpam));
        let [l3, limits] = places(machine, mpam);
        self.set("L3_INSTANCES", l3);
        self.set("MB_INSTANCES", limits);
        self.set("RMIDS", partids * pmgs);
        let in_l3 = |instance: &&&Instance| instance.part_of.is_some_and(|place| place.l3_domain(machine).is_some());
        let in_l2 = |instance: &&&Instance| instance.part_of.is_some_and(|place| place.l2_domain(machine).is_some());
        let in_memory = |instance: &&&Instance| matches!(instance.part_of, Some(Place::Memory(_)));
        let l2s: BTreeSet<usize> =
            instances.iter().filter_map(|instance| instance.part_of?.l2_domain(machine)).collect();
        // A cache of which some have nothing is not used.
        let all_l2s = l2s.len() == machine.topology.l2_domains();
        for (name, bits) in [
            ("L3", portions(instances.iter().filter(in_l3).map(|instance| instance.cpor_bits))),
            ("L2", portions(instances.iter().filter(in_l2).map(|instance| instance.cpor_bits)).filter(|_| all_l2s)),
        ] {
            let Some(bits) = bits else { continue };
            let mask = u64::MAX >> (64 - bits);
            self.set(&format!("{name}_CLOSIDS"), partids);
            self.set(&format!("{name}_MASK"), format!("{mask:x}"));
            self.set(&format!("{name}_SHAREABLE"), format!("{mask:x}"));
            self.set(&format!("{name}_CDP"), 1);
            self.set(&format!("{name}_SPARSE"), 1);
            self.set(&format!("{name}_MIN_BITS"), 1);
        }
        // Memory's bandwidth is that of the one cache before it, if there is but one.
        let memory_counts = machine.topology.l3_domains() == 1;
        let bits = |instance: &Instance| {
            instance
                .bandwidth
                .filter(|bandwidth| bandwidth.max)
                .map(|bandwidth| bandwidth.bits.min(16))
                .filter(|&w| w > 0)
        };
        let of_l3 = instances.iter().filter(in_l3);
        let of_memory = instances.iter().filter(in_memory).filter(|_| memory_counts);
        // What controls or monitors the same has in common what the least of it has.
        let bits_of_l3 = of_l3.clone().filter_map(|instance| bits(instance)).min();
        if let Some(bits) = bits_of_l3.or_else(|| of_memory.clone().filter_map(|instance| bits(instance)).min()) {
            let (minimum, step) = bandwidth_limits(bits);
            self.set("MB_CLOSIDS", partids);
            self.set("MB_BITS", bits);
            self.set("MB_MIN", minimum);
            self.set("MB_MAX", 100);
            self.set("MB_STEP", step);
            self.set("MB_PER_THREAD", 0);
        }
        let occupancy = of_l3.clone().find_map(|instance| instance.usage);
        let traffic_of_l3: Vec<_> = of_l3.filter_map(|instance| instance.traffic).collect();
        let traffic_of_memory = of_memory.filter_map(|instance| instance.traffic).collect();
        let traffic = if traffic_of_l3.is_empty() { traffic_of_memory } else { traffic_of_l3 };
        if let Some(usage) = occupancy {
            self.set("USAGE_MONITORS", usage.count);
        }
        if let Some(counters) = traffic.iter().map(|traffic| traffic.count).min() {
            self.set("COUNTERS", counters);
        }
        if let Some(bits) = traffic.iter().map(|traffic| traffic.width.mask().count_ones()).min() {
            self.set("MON_COUNTER_BITS", bits);
        }
        let events = [("llc_occupancy", occupancy.is_some()), ("mbm_total_bytes", !traffic.is_empty())];
        let events: Vec<&str> = events.into_iter().filter_map(|(name, there)| there.then_some(name)).collect();
        self.set("MON_EVENTS", events.join(" "));
        self.set("MON_UNIT", 1);
    }
}

/// Portions of caches that can be used: whatever controls some must control as many.
fn portions(bits: impl Iterator<Item = u32>) -> Option<u32> {
    let mut bits = bits.filter(|&bits| bits != 0);
    let first = bits.next()?;
    (first <= 32 && bits.all(|other| other == first)).then_some(first)
}

/// Where an L3 is controlled and monitored, and where bandwidth is limited: `DOMAIN,MSC,RIS` each.
fn places(machine: &Machine, mpam: &MpamFeatures) -> [String; 2] {
    let (mut l3, mut limits, mut of_memory) = (Vec::new(), Vec::new(), Vec::new());
    for (number, msc) in mpam.msc.iter().enumerate().filter(|(_, msc)| !msc.disabled) {
        for (ris, instance) in msc.ris.iter().enumerate() {
            let Some(place) = instance.part_of else { continue };
            let is_limit = instance.bandwidth.is_some_and(|bandwidth| bandwidth.max && bandwidth.bits > 0);
            match (place.l3_domain(machine), place) {
                (Some(domain), _) => {
                    l3.push(format!("{domain},{number},{ris}"));
                    limits.extend(is_limit.then(|| format!("{domain},{number},{ris}")));
                }
                (None, Place::Memory(_)) if is_limit => of_memory.push(format!("0,{number},{ris}")),
                _ => {}
            }
        }
    }
    // Memory's bandwidth is that of the one cache before it, if there is but one.
    if limits.is_empty() && machine.topology.l3_domains() == 1 {
        limits = of_memory;
    }
    [l3.join(" "), limits.join(" ")]
}

/// Whether Linux knows how to turn the prefetchers of this QEMU processor off: of Broadwell-X, Goldmont and Goldmont Plus
/// (`resctrl_arch_get_prefetch_disable_bits()`). Family 6 is that of QEMU's `max`.
fn can_lock_regions(processor: &str) -> bool {
    property_number(processor, "family").is_none_or(|family| family == 6)
        && matches!(property_number(processor, "model"), Some(0x4f | 0x5c | 0x7a))
}

/// The CPUs that each resource instance of a cache is for: `MSC.RIS=FIRST-LAST`. They are numbered domain by domain.
fn cpus_behind(machine: &Machine, mpam: &MpamFeatures) -> String {
    let topology = &machine.topology;
    let mut places = Vec::new();
    for (number, msc) in mpam.msc.iter().enumerate() {
        for (ris, instance) in msc.ris.iter().enumerate() {
            let l3 = instance.part_of.and_then(|place| Some((place.l3_domain(machine)?, topology.l3_domains())));
            let l2 = instance.part_of.and_then(|place| Some((place.l2_domain(machine)?, topology.l2_domains())));
            if let Some((domain, domains)) = l3.or(l2) {
                let cpus = topology.cpus() / domains;
                places.push(format!("{number}.{ris}={}-{}", domain * cpus, (domain + 1) * cpus - 1));
            }
        }
    }
    places.join(" ")
}

/// `min_bandwidth` and `bandwidth_gran`, in percent, of a maximum with so many fraction bits: of the value zero, which
/// stands for one part of 2^bits, to the nearest percent; and one such part, rounded up.
fn bandwidth_limits(bits: u32) -> (u32, u32) {
    let parts = 1_u32 << bits;
    ((200 + parts) / (2 * parts), 100_u32.div_ceil(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_limits_are_those_of_the_kernels_own_unit_tests() {
        let minima = [50, 25, 13, 6, 3, 2, 1, 0];
        for (bits, minimum) in (1..).zip(minima) {
            assert_eq!(bandwidth_limits(bits).0, minimum, "{bits} bits");
        }
        let steps = [(1, 50), (2, 25), (3, 13), (6, 2), (7, 1), (16, 1)];
        for (bits, step) in steps {
            assert_eq!(bandwidth_limits(bits).1, step, "{bits} bits");
        }
    }

    #[test]
    fn regions_can_be_locked_where_the_kernel_knows_the_prefetchers() {
        assert!(can_lock_regions("max,vendor=GenuineIntel,family=6,model=79,stepping=1"));
        assert!(can_lock_regions("max,model=122"));
        for other in ["max", "max,model=85", "max,family=15,model=79", "max,model=790"] {
            assert!(!can_lock_regions(other), "{other}");
        }
    }

    fn hardware(name: &str) -> Machine {
        crate::machine::load(name, crate::guest::platform::Kind::Qemu).unwrap().hardware
    }

    #[test]
    fn controls_are_where_the_machine_has_them() {
        for (name, l3, limits) in [
            ("mpam", "0,0,0", "0,1,0"),
            ("mpam-2l3", "0,0,0 1,1,0", "0,0,0 1,1,0"),
            ("mpam-split", "0,0,0 0,1,0", "0,0,0 0,1,0"),
            ("mpam-ris", "0,0,0 0,0,1", "0,0,2"),
            ("mpam-l2", "0,0,0", ""),
            ("mpam-broken-off", "0,0,0", ""),
        ] {
            let facts = of(&hardware(name));
            assert_eq!((facts["L3_INSTANCES"].as_str(), facts["MB_INSTANCES"].as_str()), (l3, limits), "{name}");
        }
    }

    #[test]
    fn portions_that_are_not_the_same_in_all_caches_cannot_be_used() {
        assert!(!of(&hardware("mpam-broken-widths")).contains_key("L3_MASK"));
        let mut machine = hardware("mpam-ris");
        machine.mpam.as_mut().unwrap().msc[0].ris[1].cpor_bits = 0;
        assert_eq!(of(&machine)["L3_MASK"], "ffff", "one that monitors only");
    }

    #[test]
    fn a_machine_with_mpam_has_as_many_ids_as_its_smallest_part() {
        let mut machine = hardware("mpam");
        let facts = of(&machine);
        let fact = |name: &str| facts.get(name).map(String::as_str);
        assert_eq!((fact("RMIDS"), fact("L3_MASK"), fact("MB_STEP")), (Some("128"), Some("ffff"), Some("1")));
        assert_eq!(fact("MON_EVENTS"), Some("llc_occupancy mbm_total_bytes"));
        assert_eq!(fact("MSC_CPUS"), Some("0.0=0-3"));
        machine.mpam.as_mut().unwrap().msc[1].ris[0].partid_max = Some(3);
        assert_eq!(of(&machine)["L3_CLOSIDS"], "4");
    }
}
