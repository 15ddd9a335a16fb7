// SPDX-License-Identifier: GPL-2.0-only
//! What the registers hold, for people who look into a failure.

use super::Rdt;
use crate::registers::{
    EvtCfg, L2Mask, L2QosCfg, L3Mask, L3QosAbmcCfg, L3QosCfg, L3QosExtCfg, MbaBandwidth, MbaThrottle, Msr, PqrAssoc,
    QmEvtsel, RmidSncConfig, SmbaBandwidth,
};
use crate::write_log::{Kind, MsrWrite};
use std::fmt::Write as _;
use std::ops::Range;

/// How many of the last writes are shown.
pub(crate) const LAST_WRITES: usize = 64;

/// Addresses of all registers but those that count: reading these is no mere look.
fn addresses() -> impl Iterator<Item = u32> {
    let single = |address: u32| address..address + 1;
    let ranges: [Range<u32>; 14] = [
        single(L3QosCfg::ADDRESS),
        single(L2QosCfg::ADDRESS),
        single(QmEvtsel::ADDRESS),
        single(PqrAssoc::ADDRESS),
        L3Mask::ADDRESS..L3Mask::ADDRESS + L3Mask::COUNT,
        single(RmidSncConfig::ADDRESS),
        L2Mask::ADDRESS..L2Mask::ADDRESS + L2Mask::COUNT,
        MbaThrottle::ADDRESS..MbaThrottle::ADDRESS + MbaThrottle::COUNT,
        MbaBandwidth::ADDRESS..MbaBandwidth::ADDRESS + MbaBandwidth::COUNT,
        SmbaBandwidth::ADDRESS..SmbaBandwidth::ADDRESS + SmbaBandwidth::COUNT,
        single(L3QosAbmcCfg::ADDRESS),
        single(L3QosExtCfg::ADDRESS),
        EvtCfg::ADDRESS..EvtCfg::ADDRESS + EvtCfg::COUNT,
        0..0,
    ];
    ranges.into_iter().flatten()
}

impl Rdt {
    /// Every register that this machine has, with what it holds on each CPU, and the last writes: lines of text. Changes
    /// nothing.
    #[must_use]
    pub fn shown(&self, now: u64) -> String {
        let cpus = self.machine.topology.cpus();
        let mut text = String::new();
        for address in addresses() {
            let values: Vec<u64> = (0..cpus).filter_map(|cpu| self.rdmsr(cpu, address, now).ok().flatten()).collect();
            if values.is_empty() {
                continue;
            }
            let name = Msr::at(address).map_or("RmidSncConfig".to_owned(), |msr| format!("{msr:?}"));
            // Writing to a string does not fail.
            let _ = write!(text, "{address:#x} {name}:");
            let mut first = 0;
            while first < values.len() {
                let alike = values[first..].iter().take_while(|value| **value == values[first]).count();
                let _ = match alike {
                    1 => write!(text, " {:#x} (CPU {first})", values[first]),
                    _ => write!(text, " {:#x} (CPUs {first}-{})", values[first], first + alike - 1),
                };
                first += alike;
            }
            text.push('\n');
        }
        let (writes, next) = (self.writes_since(0), self.next_write());
        text.push_str(&writes_shown(&writes, next, |kind| self.writes(kind)));
        text
    }
}

/// The last of these writes, and how many there were of each kind.
pub(crate) fn writes_shown(writes: &[MsrWrite], next: u64, total: impl Fn(Kind) -> u64) -> String {
    let totals: Vec<String> = Kind::ALL.iter().map(|kind| format!("{} {}", total(*kind), kind.name())).collect();
    let last = &writes[writes.len().saturating_sub(LAST_WRITES)..];
    let mut text = format!("writes: {}\nthe last {} before number {next}:\n", totals.join(", "), last.len());
    for MsrWrite { sequence, cpu, address, value, changed } in last {
        let same = if *changed { "" } else { " same" };
        let _ = writeln!(text, "  {sequence}: CPU {cpu} {address:#x} = {value:#x}{same}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    fn rdt(name: &str) -> Rdt {
        let path = format!("{}/../machines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        Rdt::new(&Machine::load(path.as_ref()).expect("a machine")).expect("it has RDT")
    }

    #[test]
    fn a_register_is_shown_with_its_value_on_each_domain_and_looking_changes_nothing() {
        let rdt = rdt("intel");
        rdt.wrmsr(2, 0xc91, 0x3, 5).expect("there is one");
        rdt.wrmsr(1, 0xc8f, 4 << 32 | 2, 6).expect("there is one");
        let shown = rdt.shown(7);
        let has = |line: &str| assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
        has("0xc91 L3Mask(1): 0xfff (CPUs 0-1) 0x3 (CPUs 2-3)");
        has("0xc8f PqrAssoc: 0x0 (CPU 0) 0x400000002 (CPU 1) 0x0 (CPUs 2-3)");
        has("  0: CPU 2 0xc91 = 0x3");
        has("the last 2 before number 2:");
        assert!(!shown.contains("L2Mask") && !shown.contains("QmCtr"), "{shown}");
        assert_eq!(rdt.shown(7), shown);
    }

    #[test]
    fn only_the_last_writes_are_shown() {
        let rdt = rdt("amd");
        for n in 0..200_u64 {
            rdt.wrmsr(0, 0xc90, 1 + (n & 1), n).expect("there is one");
        }
        let shown = rdt.shown(1);
        assert!(shown.contains("200 l3") && shown.contains("  136: ") && !shown.contains("  135: "), "{shown}");
        assert!(shown.contains("MbaBandwidth(0): "), "{shown}");
    }
}
