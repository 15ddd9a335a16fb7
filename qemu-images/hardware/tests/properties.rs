// SPDX-License-Identifier: GPL-2.0-only
//! Random sequences against a model that is too simple to be wrong: it steps through time and keeps plain maps.

use proptest::prelude::*;
use resctrl_hardware::registers::{L3Mask, L3QosCfg, MbaThrottle, PqrAssoc};
use resctrl_hardware::{Event, Flow, Machine, Rdt};
use std::collections::HashMap;

const CPUS: usize = 4;
const STEP: u64 = 1_000_000_000;

fn intel() -> Rdt {
    let machine = Machine::parse(include_str!("../../machines/intel.toml")).expect("the machine file is valid");
    Rdt::new(&machine).expect("a parsed machine is valid")
}

/// Whether the manual lets machine `intel` take this value, written down without regard to how [`Rdt`] decides it.
fn allowed(address: u32, value: u64) -> bool {
    let bits: Vec<bool> = (0..64).map(|bit| value >> bit & 1 == 1).collect();
    match address {
        0xc81 => value <= 1,
        0xc8d => bits.iter().enumerate().all(|(i, set)| !set || i < 8 || (32..44).contains(&i)),
        0xc8f => value & 0xffff_ffff <= 31 && value >> 32 <= 15,
        0xc90..=0xc9f => {
            let edges = bits.windows(2).filter(|pair| pair[0] != pair[1]).count() + usize::from(bits[0]);
            edges == 2 && value <= 0xfff
        }
        0xd50..=0xd57 => value <= 90,
        _ => false,
    }
}

fn address() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0xc81),
        Just(0xc82),
        Just(0xc8d),
        Just(0xc8e),
        Just(0xc8f),
        0xc90..0xca2_u32,
        Just(0xd10),
        0xd50..0xd5a_u32,
    ]
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..128_u64,
        0..0x2000_u64,
        (0..16_u32, 0..16_u32).prop_map(|(low, length)| ((1 << length) - 1) << low),
        (0..20_u64, 0..40_u64).prop_map(|(high, low)| high << 32 | low),
        (0..64_u32).prop_map(|bit| 1 << bit),
        any::<u64>(),
    ]
}

/// Which copy of a register a CPU reaches: one a domain, except what belongs to the thread.
fn copy(cpu: usize, address: u32) -> usize {
    if matches!(address, 0xc8d | 0xc8f) { 100 + cpu } else { cpu / 2 }
}

fn reset(address: u32) -> u64 {
    if (0xc90..0xca0).contains(&address) { 0xfff } else { 0 }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn registers_hold_the_last_value_the_manual_allows(
        writes in prop::collection::vec((0..CPUS, address(), value()), 0..60)
    ) {
        let rdt = intel();
        let mut model = HashMap::new();
        let mut accepted = 0;
        for (cpu, address, value) in writes {
            let outcome = rdt.wrmsr(cpu, address, value, 0);
            prop_assert_eq!(outcome.is_ok(), allowed(address, value), "{:#x} = {:#x}", address, value);
            if outcome.is_ok() {
                model.insert((copy(cpu, address), address), value);
                accepted += u64::from(address != 0xc8d);
            }
        }
        for address in [0xc81, 0xc8d, 0xc8f].into_iter().chain(0xc90..0xca0).chain(0xd50..0xd58) {
            for cpu in 0..CPUS {
                let expected = model.get(&(copy(cpu, address), address)).copied().unwrap_or(reset(address));
                prop_assert_eq!(rdt.rdmsr(cpu, address, 0), Ok(Some(expected)), "{:#x} of CPU {}", address, cpu);
            }
        }
        prop_assert_eq!(rdt.next_write(), accepted);
    }
}

/// What may happen between two steps of time.
#[derive(Clone, Debug)]
enum Action {
    Assign { cpu: usize, closid: u64, rmid: u64 },
    Delay { cpu: usize, closid: u64, tens: u64 },
    Mask { cpu: usize, closid: u64, ways: u32 },
    Cdp { cpu: usize, on: bool },
    Flow { cpu: usize, total: u64, footprint: u64 },
    Rate { domain: usize, rmid: usize, rate: u64 },
    Drain { domain: usize, rate: u64 },
    Add { domain: usize, rmid: usize, bytes: u64 },
    Wait { steps: u64 },
}

const RMIDS: usize = 3;
const CLOSIDS: u64 = 3;

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    prop_oneof![
        (0..CPUS, 0..CLOSIDS, 0..RMIDS as u64).prop_map(|(cpu, closid, rmid)| Assign { cpu, closid, rmid }),
        (0..CPUS, 0..CLOSIDS, 0..10_u64).prop_map(|(cpu, closid, tens)| Delay { cpu, closid, tens }),
        (0..CPUS, 0..2 * CLOSIDS, 1..13_u32).prop_map(|(cpu, closid, ways)| Mask { cpu, closid, ways }),
        (0..CPUS, any::<bool>()).prop_map(|(cpu, on)| Cdp { cpu, on }),
        (0..CPUS, 0..2_000_u64, 0..64_u64 << 20).prop_map(|(cpu, total, footprint)| Flow {
            cpu,
            total: total << 10,
            footprint
        }),
        (0..2_usize, 0..RMIDS, 0..1_000_u64).prop_map(|(domain, rmid, rate)| Rate { domain, rmid, rate }),
        (0..2_usize, 0..1_000_000_u64).prop_map(|(domain, rate)| Drain { domain, rate }),
        (0..2_usize, 0..RMIDS, 0..10_000_u64).prop_map(|(domain, rmid, bytes)| Add { domain, rmid, bytes }),
        (0..6_u64).prop_map(|steps| Wait { steps }),
    ]
}

/// Machine `intel`, one second at a time.
#[derive(Default)]
struct Model {
    assoc: [(u64, u64); CPUS],
    flow: [(u64, u64); CPUS],
    cdp: [bool; 2],
    delay: HashMap<(usize, u64), u64>,
    ways: HashMap<(usize, u64), u32>,
    rate: HashMap<(usize, usize), u64>,
    drain: [u64; 2],
    total: HashMap<(usize, usize), u64>,
    occupancy: HashMap<(usize, usize), u64>,
}

impl Model {
    fn second(&mut self) {
        let mut fill: HashMap<(usize, usize), (u64, u64)> = HashMap::new();
        for cpu in 0..CPUS {
            let domain = cpu / 2;
            let ((closid, rmid), (total, footprint)) = (self.assoc[cpu], self.flow[cpu]);
            let slowed = total * (100 - self.delay.get(&(domain, closid)).copied().unwrap_or(0)) / 100;
            let key = (domain, usize::try_from(rmid).expect("RMIDs are small"));
            *self.total.entry(key).or_default() += slowed;
            let index = if self.cdp[domain] { 2 * closid } else { closid };
            let ways = self.ways.get(&(domain, index)).copied().unwrap_or(12);
            let (rate, limit) = fill.entry(key).or_default();
            *rate += slowed;
            *limit = (*limit).max(footprint.min(u64::from(ways) * (2 << 20)));
        }
        for (key, (rate, limit)) in fill {
            let occupied = self.occupancy.entry(key).or_default();
            if *occupied < limit {
                *occupied = (*occupied + rate).min(limit);
            }
        }
        for domain in 0..2 {
            for rmid in 0..RMIDS {
                *self.total.entry((domain, rmid)).or_default() += self.rate.get(&(domain, rmid)).unwrap_or(&0);
                let used = (0..CPUS).any(|cpu| cpu / 2 == domain && self.assoc[cpu].1 == rmid as u64);
                if !used {
                    let occupied = self.occupancy.entry((domain, rmid)).or_default();
                    *occupied = occupied.saturating_sub(self.drain[domain]);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counters_match_a_second_by_second_model(actions in prop::collection::vec(action(), 0..60)) {
        let rdt = intel();
        let mut model = Model::default();
        let mut now = 0;
        for action in actions {
            match action {
                Action::Assign { cpu, closid, rmid } => {
                    rdt.wrmsr(cpu, PqrAssoc::ADDRESS, closid << 32 | rmid, now).unwrap();
                    model.assoc[cpu] = (closid, rmid);
                }
                Action::Delay { cpu, closid, tens } => {
                    let address = MbaThrottle::ADDRESS + u32::try_from(closid).unwrap();
                    rdt.wrmsr(cpu, address, tens * 10, now).unwrap();
                    model.delay.insert((cpu / 2, closid), tens * 10);
                }
                Action::Mask { cpu, closid, ways } => {
                    let address = L3Mask::ADDRESS + u32::try_from(closid).unwrap();
                    rdt.wrmsr(cpu, address, (1 << ways) - 1, now).unwrap();
                    model.ways.insert((cpu / 2, closid), ways);
                }
                Action::Cdp { cpu, on } => {
                    rdt.wrmsr(cpu, L3QosCfg::ADDRESS, on.into(), now).unwrap();
                    model.cdp[cpu / 2] = on;
                }
                Action::Flow { cpu, total, footprint } => {
                    rdt.set_flow(cpu, Some(Flow { total, local: 0, footprint }), now).unwrap();
                    model.flow[cpu] = (total, footprint);
                }
                Action::Rate { domain, rmid, rate } => {
                    rdt.set_rate(domain, rmid, Event::MbmTotal, rate, now).unwrap();
                    model.rate.insert((domain, rmid), rate);
                }
                Action::Drain { domain, rate } => {
                    rdt.set_drain(domain, rate, now).unwrap();
                    model.drain[domain] = rate;
                }
                Action::Add { domain, rmid, bytes } => {
                    rdt.add(domain, rmid, Event::MbmTotal, bytes, now).unwrap();
                    *model.total.entry((domain, rmid)).or_default() += bytes;
                }
                Action::Wait { steps } => {
                    for _ in 0..steps {
                        model.second();
                    }
                    now += steps * STEP;
                }
            }
        }
        for domain in 0..2 {
            for rmid in 0..RMIDS {
                let expected = model.total.get(&(domain, rmid)).copied().unwrap_or(0);
                prop_assert_eq!(rdt.get(domain, rmid, Event::MbmTotal, now).unwrap().0, expected);
                let expected = model.occupancy.get(&(domain, rmid)).copied().unwrap_or(0);
                prop_assert_eq!(rdt.get(domain, rmid, Event::LlcOccupancy, now).unwrap().0, expected);
            }
        }
    }
}
