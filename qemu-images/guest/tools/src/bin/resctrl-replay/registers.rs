// SPDX-License-Identifier: GPL-2.0-only
//! The controls below resctrl: model specific registers, or what memory system components hold.

use guest_tools::{Failure, channel};
use resctrl_hardware::control::Request;
use resctrl_hardware::mpam::registers as msc;

use super::seen::Seen;

/// Registers of one kind, one for each id, the same for all CPUs of a domain.
struct Bank {
    name: &'static str,
    address: u64,
    count: u64,
    /// As many as there are CPUs, if each has its own.
    domains: usize,
}

/// A part of an MSC.
struct Instance {
    msc: u64,
    part: u64,
    /// The CPUs it is for, if not all. Nobody can tell what it holds while they are all offline.
    cpus: Option<(usize, usize)>,
}

pub(super) struct Registers {
    banks: Vec<Bank>,
    cpus: usize,
    /// Resource instances of an Arm machine.
    instances: Vec<Instance>,
    partids: u64,
}

/// A fact of the machine, zero if it has none.
fn fact(name: &str) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn count(name: &str) -> usize {
    usize::try_from(fact(name)).unwrap_or(0)
}

/// The CPUs behind a resource instance, as the machine's facts have it: `MSC.RIS=FIRST-LAST`, many of them.
fn cpus_of(msc: u64, part: u64) -> Option<(usize, usize)> {
    let list = std::env::var("MSC_CPUS").ok()?;
    let name = format!("{msc}.{part}");
    let (_, cpus) = list.split(' ').filter_map(|place| place.split_once('=')).find(|(place, _)| *place == name)?;
    let (first, last) = cpus.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

impl Registers {
    pub(super) fn new() -> Result<Self, Failure> {
        let (mut banks, mut instances) = (Vec::new(), Vec::new());
        let cpus = count("CPUS");
        if cfg!(target_arch = "x86_64") {
            let l3 = count("L3_DOMAINS");
            let amd = std::fs::read_to_string("/proc/cpuinfo")?.contains("AuthenticAMD");
            // What AMD has of every thread, Intel has of every cache.
            let of_l2 = count("L2_DOMAINS");
            let (l3_switch, l2_switch) = if amd { (cpus, cpus) } else { (l3, of_l2) };
            let bandwidth = if amd { 0xc000_0200 } else { 0xd50 };
            banks = vec![
                Bank { name: "L3 mask", address: 0xc90, count: fact("L3_CLOSIDS"), domains: l3 },
                Bank { name: "L2 mask", address: 0xd10, count: fact("L2_CLOSIDS"), domains: of_l2 },
                Bank { name: "MB", address: bandwidth, count: fact("MB_CLOSIDS"), domains: l3 },
                Bank { name: "SMBA", address: 0xc000_0280, count: fact("SMBA_CLOSIDS"), domains: l3 },
                Bank { name: "L3 CDP", address: 0xc81, count: fact("L3_CDP"), domains: l3_switch },
                Bank { name: "L2 CDP", address: 0xc82, count: fact("L2_CDP"), domains: l2_switch },
                Bank { name: "nodes", address: 0xca0, count: u64::from(fact("NODES") > 1), domains: l3 },
                Bank {
                    name: "extensions",
                    address: 0xc000_03ff,
                    count: u64::from(fact("SDCIAE") + fact("COUNTERS") > 0),
                    domains: cpus,
                },
            ];
            banks.retain(|bank| bank.count > 0 && bank.domains > 0);
        }
        if fact("PARTIDS") > 0 {
            for number in 0.. {
                let Ok([_, parts, _]) = channel::send(Request::Msc(number)) else { break };
                instances.extend((0..parts).map(|part| Instance { msc: number, part, cpus: cpus_of(number, part) }));
            }
        }
        Ok(Self { banks, cpus, instances, partids: fact("PARTIDS") })
    }

    /// Adds what all of them hold, as far as a CPU that is online can tell.
    pub(super) fn read(&self, seen: &mut Seen, online: &[usize]) {
        for Bank { name, address, count, domains } in &self.banks {
            let cpus = self.cpus / domains;
            for domain in 0..*domains {
                // With all of its CPUs offline there is no domain.
                let Some(&cpu) = online.iter().find(|&&cpu| cpu / cpus == domain) else { continue };
                for index in 0..*count {
                    // Asked of the hardware: a driver would interrupt that CPU for each.
                    if let Ok([value, ..]) = channel::send(Request::Register(cpu as u64, address + index)) {
                        let place = if cpus == 1 { "CPU" } else { "domain" };
                        seen.insert(format!("{name} {index:02} of {place} {domain}"), format!("{value:x}"));
                    }
                }
            }
        }
        for &Instance { msc: number, part, cpus } in &self.instances {
            if cpus.is_some_and(|(first, last)| !online.iter().any(|cpu| (first..=last).contains(cpu))) {
                continue;
            }
            for (name, offset) in [("cpbm", msc::Cpbm::OFFSET), ("mbw_max", msc::MbwMax::OFFSET)] {
                for partid in 0..self.partids {
                    let request = Request::MscControl(number, part, partid, u64::from(offset));
                    if let Ok([value, ..]) = channel::send(request) {
                        seen.insert(format!("{name} {partid:03} of MSC {number}.{part}"), format!("{value:x}"));
                    }
                }
            }
        }
    }
}
