// SPDX-License-Identifier: GPL-2.0-only
//! Bandwidth through the file system: counters that are assigned to groups, on emulated MSCs.

use std::format;
use std::string::String;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use resctrl_hardware::mpam::firmware::Locator;
use resctrl_hardware::mpam::{CounterWidth, NotReady, Request, RisConfig};
use resctrl_types::sim::{self, fail_allocation};
use resctrl_types::{CpuId, Errno};

use super::board::{MscSpec, Spec, counters, memory};
use super::file_system::{CDP, Fs, Machine, PLAIN};

const ALL_SEVEN: &str = "local_reads,remote_reads,local_non_temporal_writes,remote_non_temporal_writes,\
                         local_reads_slow_memory,remote_reads_slow_memory,dirty_victim_writes_all\n";

/// Level 3 caches with four counters each; the caches' ids are 768 and up.
fn counting(caches: u32) -> Spec {
    let mut spec = Spec::new(caches);
    for msc in &mut spec.mscs[..caches as usize] {
        msc.config.ris[0].traffic = Some(counters(CounterWidth::Bits44));
    }
    spec
}

impl Machine {
    pub(super) fn traffic(&self, msc: usize, partid: u16, pmg: u8, bytes: u64) {
        self.board.msc(msc).request(0, Request { partid, pmg, bytes, write: false });
    }

    /// What a group shows of a domain.
    #[track_caller]
    fn total(&self, group: &str, domain: u32) -> String {
        let text = self.read(&format!("{group}/mon_data/mon_L3_{domain}/mbm_total_bytes")).unwrap();
        text.trim_end().into()
    }
}

#[test]
fn counters_are_always_assigned_and_what_they_count_is_fixed() {
    sim::run(|| {
        let machine = Machine::mounted(&counting(1), &PLAIN);
        let info = |file: &str| machine.read(&format!("info/L3_MON/{file}")).unwrap();
        assert_eq!(info("mon_features"), "llc_occupancy\nmbm_total_bytes\n");
        assert_eq!(info("mbm_assign_mode"), "[mbm_event]\n");
        assert_eq!(info("mbm_assign_on_mkdir"), "1\n");
        assert_eq!((info("num_mbm_cntrs"), info("available_mbm_cntrs")), ("768=4\n".into(), "768=3\n".into()));
        assert_eq!(info("event_configs/mbm_total_bytes/event_filter"), ALL_SEVEN);
        assert!(!machine.has("info/L3_MON/event_configs/mbm_local_bytes"));
        assert!(!machine.has("mon_data/mon_L3_768/mbm_local_bytes"));
        assert_eq!(machine.read("mbm_L3_assignments").unwrap(), "mbm_total_bytes:768=e\n");

        let mode = "info/L3_MON/mbm_assign_mode";
        machine.write(mode, "mbm_event\n").unwrap();
        machine.refuses(mode, "default\n", Errno::EINVAL, "Counter assignment mode is not configurable\n");
        let filter = "info/L3_MON/event_configs/mbm_total_bytes/event_filter";
        machine.refuses(filter, "local_reads\n", Errno::EPERM, "event_filter is not configurable\n");
        machine.finish();
    });
}

#[test]
fn a_machine_without_counters_has_no_files_about_them() {
    sim::run(|| {
        let machine = Machine::mounted(&Spec::new(1), &PLAIN);
        assert_eq!(machine.read("info/L3_MON/mbm_assign_mode").unwrap(), "[default]\n");
        assert!(!machine.has("info/L3_MON/num_mbm_cntrs"));
        assert!(!machine.has("mbm_L3_assignments"));
        machine.finish();
    });
}

#[test]
fn a_group_counts_its_own_traffic_and_that_of_its_monitor_groups() {
    for (memory_counts, name) in [(false, "cache"), (true, "memory")] {
        sim::run(move || {
            let traffic = Some(counters(CounterWidth::Bits31));
            let mut spec = Spec::new(1);
            let counts = usize::from(memory_counts);
            spec.mscs[counts].config.ris[0].traffic = traffic;
            let machine = Machine::mounted(&spec, &PLAIN);
            machine.mkdir("", "p0").unwrap();
            machine.mkdir("p0/mon_groups", "m0").unwrap();
            machine.traffic(counts, 1, 0, 1000);
            machine.traffic(counts, 1, 1, 200);
            machine.traffic(counts, 0, 0, 3);
            machine.traffic(counts, 2, 0, 90_000);
            assert_eq!(machine.total("p0/mon_groups/m0", 768), "200", "{name}");
            assert_eq!(machine.total("p0", 768), "1200", "{name}");
            assert_eq!(machine.total("", 768), "3", "{name}");
            machine.write("p0/mbm_L3_assignments", "mbm_total_bytes:768=_\n").unwrap();
            assert_eq!(machine.total("p0", 768), "200", "a monitor group's counter is enough");
            machine.write("p0/mon_groups/m0/mbm_L3_assignments", "mbm_total_bytes:*=_\n").unwrap();
            assert_eq!(machine.total("p0", 768), "Unassigned");
            machine.finish();
        });
    }
}

#[test]
fn the_fifth_group_of_four_counters_is_not_counted_until_one_is_freed_for_it() {
    sim::run(|| {
        let machine = Machine::mounted(&counting(1), &PLAIN);
        (0..4).for_each(|group| machine.mkdir("", &format!("p{group}")).unwrap());
        let missing = "Failed to allocate counter for mbm_total_bytes in domain 768\n";
        assert_eq!(machine.read("info/last_cmd_status").unwrap(), missing);
        assert_eq!(machine.total("p3", 768), "Unassigned");
        let words = format!("{missing}Assign operation 'mbm_total_bytes:768=e' failed\n");
        machine.refuses("p3/mbm_L3_assignments", "mbm_total_bytes:768=e\n", Errno::ENOSPC, &words);
        machine.traffic(0, 1, 0, 500);
        machine.traffic(0, 4, 0, 60);
        assert_eq!(machine.total("p0", 768), "500");
        machine.rmdir("p0").unwrap();
        machine.write("p3/mbm_L3_assignments", "mbm_total_bytes:768=e\n").unwrap();
        assert_eq!(machine.total("p3", 768), "0", "nothing of whom the counter was taken from");
        machine.traffic(0, 4, 0, 7);
        machine.traffic(0, 1, 0, 500);
        assert_eq!(machine.total("p3", 768), "7");
        machine.finish();
    });
}

#[test]
fn b14_a_counter_taken_away_in_one_domain_still_counts_in_the_others() {
    sim::run(|| {
        let machine = Machine::mounted(&counting(2), &PLAIN);
        machine.mkdir("", "p0").unwrap();
        let both = |bytes| {
            machine.traffic(0, 1, 0, bytes);
            machine.traffic(1, 1, 0, 2 * bytes);
        };
        both(100);
        machine.write("p0/mbm_L3_assignments", "mbm_total_bytes:768=_\n").unwrap();
        both(100);
        assert_eq!((machine.total("p0", 768), machine.total("p0", 769)), ("Unassigned".into(), "400".into()));
        assert_eq!(machine.read("p0/mbm_L3_assignments").unwrap(), "mbm_total_bytes:768=_;769=e\n");
        // The next group gets the counter in one domain, and another one in the other.
        machine.mkdir("", "p1").unwrap();
        machine.traffic(0, 2, 0, 11);
        machine.traffic(1, 2, 0, 22);
        assert_eq!((machine.total("p1", 768), machine.total("p1", 769)), ("11".into(), "22".into()));
        assert_eq!(machine.total("p0", 769), "400");
        machine.finish();
    });
}

#[test]
fn under_cdp_a_counter_is_a_pair_of_monitors() {
    sim::run(|| {
        let machine = Machine::mounted(&counting(1), &CDP);
        let info = |file: &str| machine.read(&format!("info/L3_MON/{file}")).unwrap();
        assert_eq!((info("num_mbm_cntrs"), info("available_mbm_cntrs")), ("768=2\n".into(), "768=1\n".into()));
        machine.mkdir("", "p0").unwrap();
        machine.traffic(0, 2, 0, 1000);
        machine.traffic(0, 3, 0, 30);
        machine.traffic(0, 0, 0, 5);
        assert_eq!((machine.total("p0", 768), machine.total("", 768)), ("1030".into(), "5".into()));
        Fs::unmount(&machine.fs);
        // Until the freed RMID is clean, its CLOSID would not be the first choice.
        machine.sim.advance(2000);
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        assert_eq!((info("num_mbm_cntrs"), info("available_mbm_cntrs")), ("768=4\n".into(), "768=3\n".into()));
        assert_eq!(machine.total("", 768), "0");
        (0..3).for_each(|group| machine.mkdir("", &format!("p{group}")).unwrap());
        machine.traffic(0, 3, 0, 30);
        assert_eq!((machine.total("p2", 768), machine.total("p1", 768)), ("30".into(), "0".into()));
        machine.finish();
    });
}

#[test]
fn a_domain_that_comes_back_has_no_counter_assigned() {
    sim::run(|| {
        let mut spec = counting(2);
        spec.mscs[1].cluster = Some(1);
        let machine = Machine::mounted(&spec, &PLAIN);
        machine.mkdir("", "p0").unwrap();
        machine.traffic(0, 1, 0, 10);
        machine.traffic(1, 1, 0, 20);
        for cpu in [2, 3] {
            machine.sim.offline(CpuId(cpu)).unwrap();
        }
        assert_eq!(machine.read("p0/mbm_L3_assignments").unwrap(), "mbm_total_bytes:768=e\n");
        assert_eq!(machine.read("info/L3_MON/num_mbm_cntrs").unwrap(), "768=4\n");
        machine.board.msc(1).power_off();
        machine.board.msc(1).power_on();
        for cpu in [2, 3] {
            machine.sim.online(CpuId(cpu)).unwrap();
        }
        assert_eq!(machine.read("p0/mbm_L3_assignments").unwrap(), "mbm_total_bytes:768=e;769=_\n");
        assert_eq!(machine.read("info/L3_MON/available_mbm_cntrs").unwrap(), "768=2;769=4\n");
        assert_eq!((machine.total("p0", 768), machine.total("p0", 769)), ("10".into(), "Unassigned".into()));
        machine.write("p0/mbm_L3_assignments", "mbm_total_bytes:769=e\n").unwrap();
        assert_eq!(machine.total("p0", 769), "0");
        machine.traffic(1, 1, 0, 8);
        assert_eq!(machine.total("p0", 769), "8");
        assert_eq!(machine.board.msc(1).accesses_unpowered(), 0);
        machine.finish();
    });
}

#[test]
fn the_overflow_worker_reads_each_counter_before_it_can_wrap_twice() {
    sim::run(|| {
        let mut spec = counting(1);
        spec.mscs[0].config.ris[0].traffic = Some(counters(CounterWidth::Bits31));
        let machine = Machine::mounted(&spec, &PLAIN);
        machine.mkdir("", "p0").unwrap();
        let mut sum = 0;
        for _ in 0..5 {
            machine.traffic(0, 1, 0, (1 << 31) - 1);
            sum += (1_u64 << 31) - 1;
            machine.sim.advance(1000);
        }
        assert_eq!(machine.total("p0", 768), format!("{sum}"));
        machine.finish();
    });
}

#[test]
fn b7_a_counter_that_does_not_become_ready_in_time_shows_no_number() {
    sim::run(|| {
        for (ready_after_ns, shown) in [(8_000, "0"), (1_000_000_000, "Unavailable")] {
            let mut spec = counting(1);
            let mut traffic = counters(CounterWidth::Bits44);
            traffic.not_ready = NotReady::Nanoseconds(ready_after_ns);
            spec.mscs[0].config.ris[0].traffic = Some(traffic);
            let machine = Machine::mounted(&spec, &PLAIN);
            assert_eq!(machine.total("", 768), shown);
            machine.finish();
        }
    });
}

#[test]
fn b15_a_level_3_cache_that_counts_replaces_memory_that_was_seen_first() {
    for cache_first in [false, true] {
        sim::run(move || {
            let mut spec = counting(1);
            spec.mscs[1].config.ris[0].traffic = Some(counters(CounterWidth::Bits44));
            if !cache_first {
                spec.mscs.reverse();
            }
            let (cache, memory) = if cache_first { (0, 1) } else { (1, 0) };
            let machine = Machine::mounted(&spec, &PLAIN);
            machine.traffic(cache, 0, 0, 40);
            machine.traffic(memory, 0, 0, 2);
            assert_eq!(machine.total("", 768), "40");
            machine.finish();
        });
    }
}

#[test]
fn the_parts_of_a_component_are_counted_together() {
    sim::run(|| {
        let part = RisConfig { traffic: Some(counters(CounterWidth::Bits44)), ..memory(8) };
        let mut spec = Spec::new(1);
        spec.mscs[1] = MscSpec::one(part, Locator::Memory(0));
        spec.mscs.push(spec.mscs[1].clone());
        let machine = Machine::mounted(&spec, &PLAIN);
        machine.traffic(1, 0, 0, 100);
        machine.traffic(2, 0, 0, 20);
        assert_eq!(machine.total("", 768), "120");
        machine.finish();
    });
}

#[test]
fn the_bandwidth_controller_does_not_work_with_assigned_counters() {
    sim::run(|| {
        let machine = Machine::mounted(&counting(1), &PLAIN);
        let mut options = PLAIN;
        assert!(machine.fs.parse_option(&mut options, "mba_MBps").is_err());
        machine.finish();
    });
}

/// Whether monitors were selected, told anything or read while `f` ran.
fn touches_monitors(machine: &Machine, f: impl FnOnce()) -> bool {
    let touched = Arc::new(AtomicBool::new(false));
    let sees = Arc::clone(&touched);
    machine.board.preempt(move |offset| {
        sees.fetch_or((0x800..0x1000).contains(&offset), Ordering::Relaxed);
    });
    f();
    machine.board.preempt(|_| {});
    touched.load(Ordering::Relaxed)
}

#[test]
fn monitors_that_count_for_nobody_are_neither_put_aside_nor_started_again() {
    sim::run(|| {
        let mut spec = counting(2);
        spec.mscs[1].cluster = Some(1);
        let machine = Machine::mounted(&spec, &PLAIN);
        let cycle = || {
            for cpu in [2, 3] {
                machine.sim.offline(CpuId(cpu)).unwrap();
            }
            machine.board.msc(1).power_off();
            machine.board.msc(1).power_on();
            for cpu in [2, 3] {
                machine.sim.online(CpuId(cpu)).unwrap();
            }
        };
        let file = "mbm_L3_assignments";
        assert!(touches_monitors(&machine, cycle), "the default group's counter");
        // The domain that has come back has none.
        assert!(machine.read(file).unwrap().ends_with("769=_\n"));
        assert!(!touches_monitors(&machine, cycle), "a domain that went");
        machine.write(file, "mbm_total_bytes:769=e\n").unwrap();
        machine.write(file, "mbm_total_bytes:769=_\n").unwrap();
        assert!(!touches_monitors(&machine, cycle), "a counter that was taken away");
        machine.finish();
    });
}

#[test]
fn a_counter_that_there_was_no_memory_to_start_begins_with_its_first_reading() {
    sim::run(|| {
        let mut left_to_reading = 0;
        for n in 0.. {
            let machine = Machine::mounted(&counting(1), &PLAIN);
            let file = "mbm_L3_assignments";
            machine.traffic(0, 0, 0, 1000);
            assert_eq!(machine.total("", 768), "1000");
            machine.write(file, "mbm_total_bytes:768=_\n").unwrap();
            // The same monitor for the same group: its registers are as they were.
            let (assigned, failed) = fail_allocation(n, || machine.write(file, "mbm_total_bytes:768=e\n"));
            if assigned.is_err() {
                machine.write(file, "mbm_total_bytes:768=e\n").unwrap();
            }
            left_to_reading += u32::from(assigned.is_ok() && failed);
            assert_eq!(machine.total("", 768), "0", "allocation {n}");
            machine.traffic(0, 0, 0, 7);
            assert_eq!(machine.total("", 768), "7", "allocation {n}");
            machine.finish();
            if !failed {
                break;
            }
        }
        assert!(left_to_reading > 0, "nobody has to go there to start it");
    });
}
