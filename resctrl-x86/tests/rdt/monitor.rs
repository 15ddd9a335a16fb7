// SPDX-License-Identifier: GPL-2.0-only
//! Counters read through their registers.

use std::sync::atomic::Ordering;

use proptest::prelude::*;
use resctrl_hardware::write_log::Kind;
use resctrl_hardware::{Event, Fault, Machine};
use resctrl_types::arch::{Ids, MonId, Monitors, ReadError};
use resctrl_types::platform::LogLevel;
use resctrl_types::sim;
use resctrl_types::{Closid, CpuId, DomainCpus, EventId, ResourceId, Result, Rmid, RmidIndex};
use resctrl_x86_board::Processor;

use crate::machine::{Rig, intel, intel_l2, intel_mon_only};

const BROADWELL_X: u32 = 0x406f1;

fn below(event: EventId) -> Event {
    match event {
        EventId::LlcOccupancy => Event::LlcOccupancy,
        EventId::MbmTotal => Event::MbmTotal,
        EventId::MbmLocal => Event::MbmLocal,
        other => panic!("the L3 does not count {}", other.name()),
    }
}

fn id(rmid: u32) -> MonId {
    MonId { closid: Closid(7), rmid: Rmid(rmid) }
}

impl Rig {
    pub(crate) fn read(&self, domain: u32, rmid: u32, event: EventId) -> Result<u64, ReadError> {
        self.mon_context_is_free(event);
        let mut result = None;
        self.with_cpus(|cpus| {
            let mut domains = self.domains();
            let (domain, mask) = domains.mon.get_mut(&domain).unwrap();
            self.arch().read(&self.sim, DomainCpus::new(cpus, mask), event, &mut (), &mut |read| {
                result = read(domain, id(rmid));
            })
        })
        .unwrap();
        result.unwrap()
    }

    fn mon_context_is_free(&self, event: EventId) {
        assert_eq!(self.arch().mon_context(ResourceId::L3, event), Ok(()));
    }

    pub(crate) fn rebase(&self, domain: u32, rmid: u32) {
        self.with_cpus(|cpus| {
            let mut domains = self.domains();
            let (domain, mask) = domains.mon.get_mut(&domain).unwrap();
            let mut ids = core::iter::once(id(rmid));
            self.arch().rebase(&self.sim, DomainCpus::new(cpus, mask), domain, &mut ids).unwrap();
        });
    }

    fn traffic(&self, domain: usize, rmid: usize, event: EventId, bytes: u64) {
        self.board.rdt.add(domain, rmid, below(event), bytes, 0).unwrap();
    }

    fn fault(&self, event: EventId, fault: Option<Fault>) {
        self.board.rdt.set_fault(0, 1, below(event), fault, 0).unwrap();
    }
}

fn with_monitoring(counter_bits: u32, unit: u64, rmids: usize) -> Machine {
    let mut machine = intel();
    let monitoring = machine.rdt.as_mut().unwrap().monitoring.as_mut().unwrap();
    (monitoring.counter_bits, monitoring.unit, monitoring.rmids) = (counter_bits, unit, rmids);
    machine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_total_grows_by_all_traffic_however_often_the_counter_wraps(
        counter_bits in 24..=40_u32,
        start in any::<u32>(),
        rounds in prop::collection::vec((0..2_u32, any::<u64>(), 0..2_usize), 1..30),
    ) {
        sim::run(move || {
            const UNIT: u64 = 64;
            let rig = Rig::boot(&with_monitoring(counter_bits, UNIT, 32));
            let mut expected = [[0_u64; 2]; 2];
            for domain in 0..2 {
                for event in EventId::MBM {
                    rig.traffic(domain as usize, 3, event, u64::from(start) * UNIT);
                    rig.rebase(domain, 3);
                }
            }
            for &(domain, steps, event) in &rounds {
                let steps = steps % (1 << counter_bits);
                rig.traffic(domain as usize, 3, EventId::MBM[event], steps * UNIT);
                expected[domain as usize][event] += steps * UNIT;
                assert_eq!(rig.read(domain, 3, EventId::MBM[event]), Ok(expected[domain as usize][event]));
            }
            for domain in 0..2_u32 {
                for (event, expected) in EventId::MBM.into_iter().zip(expected[domain as usize]) {
                    assert_eq!(rig.read(domain, 3, event), Ok(expected));
                }
            }
            assert_eq!(rig.refused(), 0);
            rig.halt();
        });
    }
}

#[test]
fn occupancy_is_what_is_there_now() {
    sim::run(|| {
        let rig = Rig::boot(&intel_mon_only());
        for chunks in [10, 3, 3, 0] {
            rig.board.rdt.set(1, 22, Event::LlcOccupancy, chunks * 114_688 + 5, 0).unwrap();
            assert_eq!(rig.read(1, 22, EventId::LlcOccupancy), Ok(chunks * 114_688));
        }
        rig.halt();
    });
}

#[test]
fn rebasing_makes_nothing_of_what_was_counted() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        rig.traffic(0, 1, EventId::MbmTotal, 5 << 16);
        assert_eq!(rig.read(0, 1, EventId::MbmTotal), Ok(5 << 16));
        rig.traffic(0, 1, EventId::MbmTotal, 2 << 16);
        rig.rebase(0, 1);
        assert_eq!(rig.read(0, 1, EventId::MbmTotal), Ok(0));
        rig.traffic(0, 1, EventId::MbmTotal, 3 << 16);
        assert_eq!(rig.read(0, 1, EventId::MbmTotal), Ok(3 << 16));
        rig.halt();
    });
}

#[test]
fn an_error_changes_no_total() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        for event in EventId::L3 {
            rig.traffic(0, 1, event, 4 << 16);
            assert_eq!(rig.read(0, 1, event), Ok(4 << 16));
            rig.fault(event, Some(Fault::Error));
            assert_eq!(rig.read(0, 1, event), Err(ReadError::Error));
            rig.traffic(0, 1, event, 1 << 16);
            rig.fault(event, None);
            assert_eq!(rig.read(0, 1, event), Ok(5 << 16));
        }
        rig.halt();
    });
}

#[test]
fn after_unavailable_a_total_goes_on_with_a_counter_from_zero() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        for event in EventId::MBM {
            rig.traffic(0, 1, event, 9 << 16);
            assert_eq!(rig.read(0, 1, event), Ok(9 << 16));
            rig.fault(event, Some(Fault::Unavailable));
            assert_eq!(rig.read(0, 1, event), Err(ReadError::Unavailable));
            rig.fault(event, None);
            rig.traffic(0, 1, event, 2 << 16);
            assert_eq!(rig.read(0, 1, event), Ok(11 << 16));
        }
        rig.fault(EventId::LlcOccupancy, Some(Fault::Unavailable));
        assert_eq!(rig.read(0, 1, EventId::LlcOccupancy), Err(ReadError::Unavailable));
        rig.halt();
    });
}

#[test]
fn rebasing_while_unavailable_starts_from_zero() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        rig.traffic(0, 1, EventId::MbmLocal, 9 << 16);
        assert_eq!(rig.read(0, 1, EventId::MbmLocal), Ok(9 << 16));
        rig.fault(EventId::MbmLocal, Some(Fault::Unavailable));
        rig.rebase(0, 1);
        rig.fault(EventId::MbmLocal, None);
        rig.traffic(0, 1, EventId::MbmLocal, 1 << 16);
        assert_eq!(rig.read(0, 1, EventId::MbmLocal), Ok(1 << 16));
        rig.halt();
    });
}

#[test]
fn a_call_selects_once_and_reads_once() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        for event in EventId::L3 {
            let selected = rig.board.rdt.writes(Kind::Select);
            let read = rig.board.reads.load(Ordering::Relaxed);
            rig.read(1, 31, event).unwrap();
            // Both bandwidth events.
            rig.rebase(1, 31);
            assert_eq!(rig.board.rdt.writes(Kind::Select) - selected, 3);
            assert_eq!(rig.board.reads.load(Ordering::Relaxed) - read, 3);
        }
        rig.halt();
    });
}

#[test]
fn what_cannot_be_counted_is_an_error_without_touching_a_register() {
    sim::run(|| {
        let mut machine = intel();
        machine.rdt.as_mut().unwrap().monitoring.as_mut().unwrap().events = vec![Event::MbmTotal];
        let rig = Rig::boot(&machine);
        let wrong = [
            (32, EventId::MbmTotal),
            (u32::MAX, EventId::MbmTotal),
            (0, EventId::MbmLocal),
            (0, EventId::LlcOccupancy),
            (0, EventId::CoreEnergy),
        ];
        for (rmid, event) in wrong {
            assert_eq!(rig.read(1, rmid, event), Err(ReadError::Error));
        }
        [32, u32::MAX].into_iter().for_each(|rmid| rig.rebase(1, rmid));
        assert_eq!(rig.board.rdt.writes(Kind::Select), 0);
        rig.halt();
    });
}

#[test]
fn a_register_that_refuses_is_an_error_and_goes_to_the_log_once() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        rig.board.refusing.store(0xc8e, Ordering::Relaxed);
        assert_eq!(rig.read(0, 1, EventId::MbmTotal), Err(ReadError::Error));
        rig.board.refusing.store(0xc8d, Ordering::Relaxed);
        assert_eq!(rig.read(0, 1, EventId::MbmTotal), Err(ReadError::Error));
        rig.board.refusing.store(0, Ordering::Relaxed);
        for _ in 0..2 {
            rig.sim.offline(CpuId(3)).unwrap();
            rig.sim.online(CpuId(3)).unwrap();
        }
        assert_eq!(
            rig.sim.log_lines_at(LogLevel::Warn),
            ["resctrl: CPU 0 refused to read MSR 0xc8e; control or monitoring does not work as shown"]
        );
        rig.halt();
    });
}

#[test]
fn a_processor_that_miscounts_is_corrected_above_the_threshold() {
    sim::run(|| {
        let broadwell = Processor { version: BROADWELL_X, ..Processor::default() };
        // 24 RMIDs: from the 16th on 0.969650 of what was counted.
        let rig = Rig::boot_on(&with_monitoring(24, 64, 24), broadwell);
        for (rmid, steps) in [(15, 1_000_000), (16, 969_650)] {
            for times in 1..=3 {
                rig.traffic(0, rmid as usize, EventId::MbmTotal, 64_000_000);
                // The total is corrected, not each step: nothing is lost by rounding more than once.
                let bytes = rig.read(0, rmid, EventId::MbmTotal).unwrap();
                assert!(bytes.abs_diff(steps * times * 64) <= 64 * 2, "{bytes}");
            }
        }
        rig.board.rdt.set(0, 16, Event::LlcOccupancy, 64_000_000, 0).unwrap();
        assert_eq!(rig.read(0, 16, EventId::LlcOccupancy), Ok(64_000_000), "occupancy counts right");
        rig.halt();
    });
}

#[test]
fn a_processor_that_counts_right_is_believed() {
    sim::run(|| {
        let rig = Rig::boot(&with_monitoring(24, 64, 24));
        rig.traffic(0, 16, EventId::MbmTotal, 64_000_000);
        assert_eq!(rig.read(0, 16, EventId::MbmTotal), Ok(64_000_000));
        rig.halt();
    });
}

#[test]
fn the_index_of_a_monitor_id_is_its_rmid() {
    sim::run(|| {
        let rig = Rig::boot(&intel());
        for rmid in 0..32 {
            let index = rig.arch().rmid_index(id(rmid));
            assert_eq!(index, RmidIndex(rmid));
            assert_eq!(rig.arch().rmid_decode(index), MonId { closid: Closid::RESERVED, rmid: Rmid(rmid) });
        }
        rig.halt();
    });
}

#[test]
fn a_machine_without_monitoring_has_no_monitor_domains() {
    sim::run(|| {
        let rig = Rig::boot(&intel_l2());
        assert!(rig.domains().mon.is_empty());
        assert_eq!(rig.board.rdt.writes(Kind::Select), 0);
        rig.halt();
    });
}
