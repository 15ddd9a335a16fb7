// SPDX-License-Identifier: GPL-2.0-only
//! What only AMD's processors do.

use resctrl_hardware::{Fault, Machine};
use resctrl_types::arch::{Assignment, Change, IoAlloc, MonId, OccupancyThreshold, ReadError, Resources};
use resctrl_types::counter::{Counter, CounterAssignment, Transactions};
use resctrl_types::event::EventSet;
use resctrl_types::platform::LogLevel;
use resctrl_types::resource::{BandwidthControl, CacheControl, Control, ControlKind, Scope};
use resctrl_types::sim::{self, SimPlatform};
use resctrl_types::{Closid, ConfType, CpuId, DomainCpus, Errno, EventId, ResourceId, Result, Rmid};
use resctrl_x86::X86;
use resctrl_x86_board::{Emulated, Processor};

use crate::machine::{Rig, amd, amd_abmc, amd_sdciae, intel, probe};

const L3_QOS_CFG: u32 = 0xc81;
const L3_QOS_EXT_CFG: u32 = 0xc000_03ff;
const EVT_CFG: u32 = 0xc000_0400;
/// Bytes that a step of a counter of these machines stands for.
const UNIT: u64 = 64;

fn control(x86: &X86<Emulated>, resource: ResourceId) -> Option<Control> {
    Resources::control(x86, resource)
}

fn events(x86: &X86<Emulated>) -> EventSet {
    Resources::monitor(x86, ResourceId::L3).map_or(EventSet::EMPTY, |monitor| monitor.events)
}

/// Probes a machine and hands it over with the log.
fn probed(
    machine: Machine,
    bend: fn(u32, u32, [u32; 4]) -> [u32; 4],
    options: &'static str,
    f: fn(&X86<Emulated>, &[String]),
) {
    sim::run(move || {
        let processor = Processor { bend, ..Processor::of(&machine) };
        let (sim, board, x86) = probe(&machine, processor, options);
        f(&x86.unwrap(), &sim.log_lines());
        assert_eq!(board.rdt.next_write(), 0, "probing writes no register");
    });
}

fn as_it_is(_: u32, _: u32, answer: [u32; 4]) -> [u32; 4] {
    answer
}

fn counter(number: u32, rmid: u32, event: EventId) -> Counter {
    Counter { number, id: MonId { closid: Closid(3), rmid: Rmid(rmid) }, event }
}

impl Rig {
    /// What a switch of each CPU holds.
    fn of_each_cpu(&self, msr: u32) -> [u64; 4] {
        [0, 1, 2, 3].map(|cpu| self.msr(cpu, msr))
    }

    fn assign(&self, domain: u32, counter: Counter, filter: Transactions) {
        self.with_cpus(|cpus| {
            let mut domains = self.domains();
            let (domain, mask) = domains.mon.get_mut(&domain).unwrap();
            let cpus = DomainCpus::new(cpus, mask);
            Assignment::configure_counter(self.arch(), &self.sim, cpus, domain, counter, Some(filter));
        });
    }

    fn unassign(&self, domain: u32, counter: Counter) {
        self.with_cpus(|cpus| {
            let mut domains = self.domains();
            let (domain, mask) = domains.mon.get_mut(&domain).unwrap();
            Assignment::configure_counter(self.arch(), &self.sim, DomainCpus::new(cpus, mask), domain, counter, None);
        });
    }

    fn assigned(&self, domain: u32, counter: Counter) -> Result<u64, ReadError> {
        let mut result = None;
        self.with_cpus(|cpus| {
            let mut domains = self.domains();
            let (domain, mask) = domains.mon.get_mut(&domain).unwrap();
            self.arch()
                .read_counters(&self.sim, DomainCpus::new(cpus, mask), &mut |read| result = read(domain, counter))
        })
        .unwrap();
        result.unwrap()
    }

    fn set_counters_assigned(&self, assigned: bool) -> Result<()> {
        self.with_cpus(|cpus| {
            self.arch().set_counters_assigned(assigned.into())?;
            for (domain, mask) in self.domains().mon.values_mut() {
                self.arch().program_counters_assigned(&self.sim, cpus, domain, mask);
            }
            Ok(())
        })
    }

    fn set_io_alloc(&self, resource: ResourceId, enable: bool) -> Result<()> {
        self.with_cpus(|cpus| {
            self.arch().set_io_alloc(resource, enable.into())?;
            for ctrl in self.domains().ctrl.iter_mut().filter(|((of, _), _)| *of == resource).map(|(_, ctrl)| ctrl) {
                self.arch().program_io_alloc(&self.sim, cpus, resource, &mut ctrl.domain, &ctrl.mask);
            }
            Ok(())
        })
    }

    fn event_config(&self, domain: u32, event: EventId) -> Result<u32> {
        self.with_cpus(|cpus| {
            let domains = self.domains();
            self.arch().event_config(&self.sim, cpus, &domains.mon[&domain].1, event)
        })
    }

    fn set_event_config(&self, domain: u32, event: EventId, config: u32) -> Result<()> {
        self.with_cpus(|cpus| {
            let mut domains = self.domains();
            let (domain, mask) = domains.mon.get_mut(&domain).unwrap();
            self.arch().set_event_config(&self.sim, cpus, domain, mask, event, config)
        })
    }

    fn transact(&self, domain: usize, rmid: usize, kinds: &[&str], steps: u64) {
        let kinds = kinds.iter().map(|name| Transactions::from_name(name.as_bytes()).unwrap());
        let mask = kinds.fold(Transactions::EMPTY, Transactions::union).bits();
        self.board.rdt.transact(domain, rmid, mask.into(), steps * UNIT, 0).unwrap();
    }
}

#[test]
fn everything_that_a_machine_has_is_found() {
    probed(amd(), as_it_is, "", |x86, log| {
        let l3 = CacheControl { cbm_len: 16, min_cbm_bits: 0, shareable_bits: 0xc000, sparse_masks: true };
        assert_eq!(
            control(x86, ResourceId::L3),
            Some(Control { scope: Scope::L3Cache, num_closid: 16, cdp_capable: true, kind: ControlKind::Cache(l3) })
        );
        let limit = BandwidthControl {
            min_bw: 0,
            max_bw: 2048,
            bw_gran: 1,
            delay_linear: false,
            needs_linear: false,
            throttle_mode: None,
        };
        for resource in [ResourceId::Mb, ResourceId::Smba] {
            assert_eq!(
                control(x86, resource),
                Some(Control {
                    scope: Scope::L3Cache,
                    num_closid: 16,
                    cdp_capable: false,
                    kind: ControlKind::Bandwidth(limit)
                })
            );
        }
        assert_eq!(control(x86, ResourceId::L2), None);
        assert!(EventId::L3.into_iter().all(|event| events(x86).contains(event)));
        // The kernel takes the L2 for the last level cache.
        assert_eq!(Resources::occupancy_threshold(x86), OccupancyThreshold { limit: 1 << 20, unit: UNIT as u32 });
        assert_eq!(Assignment::<SimPlatform>::counters(x86), None);
        assert_eq!(IoAlloc::<SimPlatform>::io_alloc(x86, ResourceId::L3), None);
        for event in EventId::MBM {
            assert_eq!(Assignment::<SimPlatform>::configurable_transactions(x86, event), Some(Transactions::ALL));
        }
        assert_eq!(Assignment::<SimPlatform>::configurable_transactions(x86, EventId::LlcOccupancy), None);
        assert_eq!(
            log,
            [
                "resctrl: L3 allocation detected",
                "resctrl: MB allocation detected",
                "resctrl: SMBA allocation detected",
                "resctrl: L3 monitoring detected"
            ]
        );
    });
}

#[test]
fn counters_to_assign_are_found_and_assignment_is_on() {
    probed(amd_abmc(), as_it_is, "", |x86, _| {
        let supported = Transactions::ALL;
        let counters = CounterAssignment { count: 8, configurable: true, switchable: true, supported };
        assert_eq!(Assignment::<SimPlatform>::counters(x86), Some(counters));
        assert!(Assignment::<SimPlatform>::counters_assigned(x86));
        assert_eq!(control(x86, ResourceId::Smba), None);
    });
}

#[test]
fn a_cache_for_devices_is_found_in_the_l3_alone() {
    probed(amd_sdciae(), as_it_is, "", |x86, _| {
        assert_eq!(IoAlloc::<SimPlatform>::io_alloc(x86, ResourceId::L3), Some(false));
        assert_eq!(IoAlloc::<SimPlatform>::io_alloc(x86, ResourceId::L2), None);
        assert!(control(x86, ResourceId::L2).is_some());
    });
}

#[test]
fn features_are_turned_off_one_by_one() {
    probed(amd(), as_it_is, "!smba,!bmec", |x86, _| {
        assert!(control(x86, ResourceId::Smba).is_none() && control(x86, ResourceId::Mb).is_some());
        assert_eq!(Assignment::<SimPlatform>::configurable_transactions(x86, EventId::MbmTotal), None);
    });
    probed(amd(), as_it_is, "!mba,!mbmlocal", |x86, _| {
        assert!(control(x86, ResourceId::Smba).is_some() && control(x86, ResourceId::Mb).is_none());
        assert!(Assignment::<SimPlatform>::configurable_transactions(x86, EventId::MbmTotal).is_some());
        assert_eq!(Assignment::<SimPlatform>::configurable_transactions(x86, EventId::MbmLocal), None);
    });
    probed(amd_abmc(), as_it_is, "!abmc", |x86, _| {
        assert_eq!(Assignment::<SimPlatform>::counters(x86), None);
        assert!(!Assignment::<SimPlatform>::counters_assigned(x86));
    });
    probed(amd_abmc(), as_it_is, "!mbmtotal", |x86, _| {
        assert!(Assignment::<SimPlatform>::counters(x86).is_some(), "one event is enough");
    });
    probed(amd_sdciae(), as_it_is, "!sdciae", |x86, _| {
        assert_eq!(IoAlloc::<SimPlatform>::io_alloc(x86, ResourceId::L3), None);
    });
    probed(amd_sdciae(), as_it_is, "!l3cat", |x86, _| {
        assert_eq!(IoAlloc::<SimPlatform>::io_alloc(x86, ResourceId::L3), None);
    });
}

#[test]
fn counters_without_an_event_to_show_are_none_but_monitoring_is_there() {
    probed(amd_abmc(), as_it_is, "!cmt,!mbmtotal,!mbmlocal", |x86, log| {
        assert!(events(x86).is_empty());
        assert_eq!(Assignment::<SimPlatform>::counters(x86), None);
        assert!(log.contains(&"resctrl: L3 monitoring detected".to_owned()));
    });
}

#[test]
fn without_an_event_and_without_counters_to_assign_there_is_no_monitoring() {
    for (machine, options) in [(amd(), "!cmt,!mbmtotal,!mbmlocal"), (amd_abmc(), "!cmt,!mbmtotal,!mbmlocal,!abmc")] {
        probed(machine, as_it_is, options, |x86, log| {
            assert_eq!(Resources::monitor(x86, ResourceId::L3), None);
            assert!(!log.contains(&"resctrl: L3 monitoring detected".to_owned()));
        });
    }
}

#[test]
fn a_limit_that_does_not_fit_is_given_up() {
    let wide = |leaf: u32, subleaf: u32, answer: [u32; 4]| match (leaf, subleaf) {
        (0x8000_0020, 1) => [32, 0, 0, answer[3]],
        _ => answer,
    };
    probed(amd(), wide, "", |x86, log| {
        assert_eq!(control(x86, ResourceId::Mb), None);
        assert!(control(x86, ResourceId::Smba).is_some());
        assert!(log.contains(&"resctrl: Unable to support hardware's maximum bandwidth".to_owned()));
    });
}

#[test]
fn extended_leaves_that_do_not_exist_are_not_asked() {
    let short = |leaf: u32, _: u32, answer: [u32; 4]| match leaf {
        0x8000_0000 => [0x8000_0005, 0, 0, 0],
        0x8000_0001.. => [u32::MAX; 4],
        _ => answer,
    };
    probed(amd(), short, "", |x86, _| {
        assert!(control(x86, ResourceId::L3).is_some());
        assert!([ResourceId::Mb, ResourceId::Smba].into_iter().all(|resource| control(x86, resource).is_none()));
        assert_eq!(Assignment::<SimPlatform>::counters(x86), None);
        assert_eq!(Resources::occupancy_threshold(x86).limit, 32768 << 10);
    });
}

#[test]
fn hygon_has_no_slow_memory_and_narrower_counters() {
    sim::run(|| {
        let machine = amd();
        let rig = Rig::boot_on(&machine, Processor { vendor: b"HygonGenuine", ..Processor::of(&machine) });
        assert!(control(&rig.x86, ResourceId::Mb).is_some() && control(&rig.x86, ResourceId::Smba).is_none());
        // The register goes back, from beyond 32 bits to 5: of 32 bits that is a wrap.
        rig.board.rdt.set(0, 1, resctrl_hardware::Event::MbmTotal, 0xffff_fff0 * UNIT, 0).unwrap();
        rig.rebase(0, 1);
        rig.board.rdt.set(0, 1, resctrl_hardware::Event::MbmTotal, 5 * UNIT, 0).unwrap();
        assert_eq!(rig.read(0, 1, EventId::MbmTotal), Ok(0x15 * UNIT));
        rig.halt();
    });
}

#[test]
fn counters_are_44_bits_wide_where_nothing_is_said() {
    sim::run(|| {
        let rig = Rig::boot(&amd());
        let below_the_end = (1 << 44) - 3;
        rig.board.rdt.set(0, 1, resctrl_hardware::Event::MbmTotal, below_the_end * UNIT, 0).unwrap();
        rig.rebase(0, 1);
        rig.transact(0, 1, &["remote_reads"], 10);
        assert_eq!(rig.read(0, 1, EventId::MbmTotal), Ok(10 * UNIT));
        rig.halt();
    });
}

#[test]
fn masks_without_a_bit_and_limits_of_zero_are_programmed() {
    sim::run(|| {
        let rig = Rig::boot(&amd());
        let to = |value| [Change { closid: Closid(2), conf_type: ConfType::Both, value }];
        for (resource, msr, values) in [
            (ResourceId::L3, 0xc92, [0, 0x8001, 0xffff]),
            (ResourceId::Mb, 0xc000_0202, [0, 2047, 2048]),
            (ResourceId::Smba, 0xc000_0282, [0, 1, 2048]),
        ] {
            for value in values {
                assert_eq!(rig.apply(resource, 1, &to(value)), Ok(()));
                assert_eq!((rig.msr(2, msr), rig.value(resource, 1, 2, ConfType::Both)), (value.into(), value));
            }
            assert_eq!(rig.apply(resource, 1, &to(values[2] + 1)), Err(Errno::EINVAL));
        }
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
}

#[test]
fn code_and_data_are_told_apart_on_every_cpu_and_on_those_that_come_later() {
    sim::run(|| {
        let rig = Rig::boot(&amd());
        rig.sim.offline(CpuId(1)).unwrap();
        rig.set_cdp(ResourceId::L3, true).unwrap();
        assert_eq!(rig.of_each_cpu(L3_QOS_CFG), [1, 0, 1, 1]);
        rig.sim.online(CpuId(1)).unwrap();
        assert_eq!(rig.of_each_cpu(L3_QOS_CFG), [1; 4], "abi-217");
        rig.sim.offline(CpuId(3)).unwrap();
        rig.set_cdp(ResourceId::L3, false).unwrap();
        rig.sim.online(CpuId(3)).unwrap();
        assert_eq!(rig.of_each_cpu(L3_QOS_CFG), [0; 4]);
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
}

#[test]
fn devices_get_their_class_on_every_cpu_and_on_those_that_come_later() {
    sim::run(|| {
        let rig = Rig::boot(&amd_sdciae());
        assert_eq!(rig.of_each_cpu(L3_QOS_EXT_CFG), [0; 4]);
        rig.sim.offline(CpuId(3)).unwrap();
        rig.set_io_alloc(ResourceId::L3, true).unwrap();
        assert_eq!(rig.arch().io_alloc(ResourceId::L3), Some(true));
        assert_eq!(rig.of_each_cpu(L3_QOS_EXT_CFG), [2, 2, 2, 0]);
        rig.sim.offline(CpuId(2)).unwrap();
        rig.sim.online(CpuId(3)).unwrap();
        assert_eq!(rig.msr(3, L3_QOS_EXT_CFG), 2, "of a domain that is new");
        rig.set_io_alloc(ResourceId::L3, false).unwrap();
        rig.sim.online(CpuId(2)).unwrap();
        assert_eq!(rig.of_each_cpu(L3_QOS_EXT_CFG), [0; 4]);
        for enable in [true, false] {
            assert_eq!(rig.set_io_alloc(ResourceId::L2, enable), Err(Errno::EINVAL));
        }
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
    sim::run(|| {
        let without = Rig::boot(&amd());
        assert_eq!(without.set_io_alloc(ResourceId::L3, true), Err(Errno::EINVAL));
        assert_eq!(without.refused(), 0);
        without.halt();
    });
}

#[test]
fn an_assigned_counter_counts_from_zero_what_its_filter_admits() {
    sim::run(|| {
        let rig = Rig::boot(&amd_abmc());
        assert_eq!(rig.of_each_cpu(L3_QOS_EXT_CFG), [1; 4]);
        let (total, local) = (counter(7, 4, EventId::MbmTotal), counter(0, 4, EventId::MbmLocal));
        rig.assign(1, total, Transactions::ALL);
        rig.assign(1, local, Transactions::LOCAL);
        rig.transact(1, 4, &["remote_reads"], 10);
        rig.transact(1, 4, &["local_reads_slow_memory"], 1);
        rig.transact(0, 4, &["local_reads"], 99);
        assert_eq!((rig.assigned(1, total), rig.assigned(1, local)), (Ok(11 * UNIT), Ok(UNIT)));
        assert_eq!(rig.assigned(0, total), Err(ReadError::Error), "in the other domain it was not assigned");
        // Another filter makes it begin anew.
        rig.assign(1, total, Transactions::from_name(b"remote_reads").unwrap());
        assert_eq!((rig.assigned(1, total), rig.assigned(1, local)), (Ok(0), Ok(UNIT)));
        rig.transact(1, 4, &["local_reads"], 3);
        assert_eq!((rig.assigned(1, total), rig.assigned(1, local)), (Ok(0), Ok(4 * UNIT)));
        rig.unassign(1, local);
        assert_eq!(rig.assigned(1, local), Err(ReadError::Error));
        // The same counter for another group.
        let other = counter(0, 9, EventId::MbmTotal);
        rig.assign(1, other, Transactions::ALL);
        rig.transact(1, 9, &["dirty_victim_writes_all"], 2);
        assert_eq!(rig.assigned(1, other), Ok(2 * UNIT));
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
}

#[test]
fn a_counter_in_error_for_a_while_loses_nothing_of_its_total() {
    sim::run(|| {
        let rig = Rig::boot(&amd_abmc());
        let total = counter(3, 4, EventId::MbmTotal);
        rig.assign(0, total, Transactions::ALL);
        rig.transact(0, 4, &["local_reads"], 5);
        assert_eq!(rig.assigned(0, total), Ok(5 * UNIT));
        let event = resctrl_hardware::Event::MbmTotal;
        rig.board.rdt.set_fault(0, 4, event, Some(Fault::Error), 0).unwrap();
        assert_eq!(rig.assigned(0, total), Err(ReadError::Error));
        rig.board.rdt.set_fault(0, 4, event, None, 0).unwrap();
        rig.transact(0, 4, &["local_reads"], 5);
        assert_eq!(rig.assigned(0, total), Ok(10 * UNIT));
        rig.halt();
    });
}

#[test]
fn the_mode_is_every_cpus_and_a_change_makes_all_counts_zero() {
    sim::run(|| {
        let rig = Rig::boot(&amd_abmc());
        let total = counter(0, 4, EventId::MbmTotal);
        rig.assign(0, total, Transactions::ALL);
        rig.transact(0, 4, &["local_reads"], 5);
        assert_eq!(rig.assigned(0, total), Ok(5 * UNIT));
        rig.sim.offline(CpuId(3)).unwrap();
        rig.set_counters_assigned(false).unwrap();
        assert!(!rig.arch().counters_assigned());
        assert_eq!(rig.of_each_cpu(L3_QOS_EXT_CFG), [0, 0, 0, 1]);
        rig.sim.online(CpuId(3)).unwrap();
        assert_eq!(rig.of_each_cpu(L3_QOS_EXT_CFG), [0; 4]);
        assert_eq!(rig.read(0, 4, EventId::MbmTotal), Ok(0));
        rig.transact(0, 4, &["local_reads"], 2);
        assert_eq!(rig.read(0, 4, EventId::MbmTotal), Ok(2 * UNIT));
        rig.set_counters_assigned(true).unwrap();
        assert_eq!(rig.of_each_cpu(L3_QOS_EXT_CFG), [1; 4]);
        assert_eq!(rig.assigned(0, total), Err(ReadError::Error), "nothing is assigned by itself");
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
}

#[test]
fn a_counter_that_does_not_exist_reaches_no_register() {
    sim::run(|| {
        let rig = Rig::boot(&amd_abmc());
        rig.assign(0, counter(8, 4, EventId::MbmTotal), Transactions::ALL);
        assert_eq!(rig.refused(), 0);
        rig.halt();
    });
    sim::run(|| {
        let intel = Rig::boot(&intel());
        intel.assign(0, counter(0, 4, EventId::MbmTotal), Transactions::ALL);
        assert_eq!(intel.set_counters_assigned(true), Err(Errno::EINVAL));
        assert_eq!(intel.refused(), 0);
        intel.halt();
    });
}

#[test]
fn what_an_event_counts_is_chosen_by_domain_and_makes_its_counts_zero() {
    sim::run(|| {
        let rig = Rig::boot(&amd());
        let [total, local] = EventId::MBM;
        assert_eq!((rig.event_config(0, total), rig.event_config(1, local)), (Ok(0x7f), Ok(0x15)));
        rig.transact(0, 4, &["local_reads"], 5);
        rig.transact(1, 4, &["local_reads"], 6);
        assert_eq!((rig.read(0, 4, total), rig.read(0, 4, local)), (Ok(5 * UNIT), Ok(5 * UNIT)));
        rig.set_event_config(0, total, 0x02).unwrap();
        assert_eq!((rig.event_config(0, total), rig.event_config(1, total)), (Ok(0x02), Ok(0x7f)));
        assert_eq!((rig.msr(1, EVT_CFG), rig.msr(2, EVT_CFG)), (0x02, 0x7f));
        for event in [total, local] {
            assert_eq!(rig.read(0, 4, event), Err(ReadError::Unavailable));
            assert_eq!(rig.read(0, 4, event), Ok(0));
        }
        assert_eq!(rig.read(1, 4, total), Ok(6 * UNIT), "the other domain goes on");
        rig.transact(0, 4, &["local_reads"], 5);
        rig.transact(0, 4, &["remote_reads"], 1);
        assert_eq!((rig.read(0, 4, total), rig.read(0, 4, local)), (Ok(UNIT), Ok(5 * UNIT)));
        for (event, config) in [(total, 0x80), (EventId::LlcOccupancy, 1)] {
            assert_eq!(rig.set_event_config(0, event, config), Err(Errno::EINVAL));
        }
        assert_eq!(rig.event_config(0, EventId::LlcOccupancy), Err(Errno::EINVAL));
        assert_eq!(rig.refused(), 0);
        assert_eq!(rig.sim.log_lines_at(LogLevel::Warn).len(), 0);
        rig.halt();
    });
}

#[test]
fn without_the_leaf_of_masks_caches_are_not_shared_out_and_bandwidth_is() {
    // CPUID leaf 0 gives the last leaf.
    let short = |leaf, _, [a, b, c, d]: [u32; 4]| [if leaf == 0 { 0xf } else { a }, b, c, d];
    probed(amd(), short, "", |x86, _| {
        let there = [ResourceId::L3, ResourceId::L2, ResourceId::Mb].map(|resource| control(x86, resource).is_some());
        assert_eq!(there, [false, false, true]);
    });
}

#[test]
fn without_the_flag_of_allocation_nothing_is_shared_out_and_what_is_counted_is() {
    // Leaf 7 has the flag.
    let unannounced = |leaf, _, [a, b, c, d]: [u32; 4]| [a, if leaf == 7 { b & !(1 << 15) } else { b }, c, d];
    probed(amd(), unannounced, "", |x86, _| {
        assert!(ResourceId::ALL.iter().all(|&resource| control(x86, resource).is_none()));
        assert!(events(x86).contains(EventId::LlcOccupancy));
    });
}
