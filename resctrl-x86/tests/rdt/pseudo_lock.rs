// SPDX-License-Identifier: GPL-2.0-only
//! How a cache is filled with memory, and how that is measured.

use resctrl_types::arch::{Ids, PseudoLock};
use resctrl_types::cache::CacheLevel;
use resctrl_types::pseudo_lock::{Measurement, PseudoLocking, Trace};
use resctrl_types::sim::{self, Refusal, SimLockMemory};
use resctrl_types::{Closid, CpuId, Pinned, TaskWord};
use resctrl_x86_board::{MISC, Processor, Step};

use crate::machine::{Rig, intel};

const BROADWELL_X: u32 = 0x406f1;
const GOLDMONT: u32 = 0x506c9;
const GOLDMONT_PLUS: u32 = 0x706a1;
const PQR_ASSOC: u32 = 0xc8f;
const LINE: u32 = 64;

fn on_model(version: u32, test: impl Fn(&Rig, &SimLockMemory) + Send + Sync + 'static) {
    sim::run(move || {
        let rig = Rig::boot_on(&intel(), Processor { version, ..Processor::default() });
        let memory = rig.sim.memory(4 * LINE).unwrap();
        let _ = rig.board.take_steps();
        test(&rig, &memory);
        drop(memory);
        rig.halt();
    });
}

fn measure(rig: &Rig, memory: &SimLockMemory, what: Measurement) -> Vec<Trace> {
    rig.on(2, |here: Pinned<'_>| rig.arch().measure(&rig.sim, &rig.sim, here, memory, LINE, what));
    rig.sim.take_traces()
}

#[test]
fn only_processors_whose_prefetchers_are_known_can() {
    for (version, known) in
        [(BROADWELL_X, true), (GOLDMONT, true), (GOLDMONT_PLUS, true), (resctrl_x86_board::ICELAKE_X, false)]
    {
        on_model(version, move |rig, _| assert_eq!(rig.arch().can_pseudo_lock(), known, "{version:#x}"));
    }
}

/// With CLOSID 0, as the kernel does it, the memory would go wherever the default group's may (hazard B5).
#[test]
fn memory_is_read_with_the_closid_of_its_group_between_turning_prefetchers_off_and_on() {
    for (version, off) in [(BROADWELL_X, 0xf), (GOLDMONT, 0x5)] {
        on_model(version, move |rig, memory| {
            rig.irq(2, |here| rig.arch().sched_in(here, TaskWord(3 << 32 | 7)));
            rig.board.misc()[2] = 0x2;
            let _ = rig.board.take_steps();
            rig.on(2, |here: Pinned<'_>| rig.arch().pseudo_lock(&rig.sim, &rig.sim, here, memory, LINE, Closid(5)));
            let write = |msr, value| Step::Write { msr, value };
            assert_eq!(
                rig.board.take_steps(),
                [
                    Step::Flush,
                    write(MISC, off),
                    write(PQR_ASSOC, 5 << 32 | 7),
                    write(PQR_ASSOC, 3 << 32 | 7),
                    write(MISC, 0x2),
                ]
            );
            assert_eq!(rig.sim.take_readings(), [(CpuId(2), 4096), (CpuId(2), LINE)]);
            assert_eq!((rig.msr(2, PQR_ASSOC), rig.refused()), (3 << 32 | 7, 0));
        });
    }
}

#[test]
fn nothing_is_read_where_the_prefetchers_stay_on() {
    on_model(BROADWELL_X, |rig, memory| {
        rig.board.refusing.store(MISC, std::sync::atomic::Ordering::Relaxed);
        rig.on(0, |here: Pinned<'_>| rig.arch().pseudo_lock(&rig.sim, &rig.sim, here, memory, LINE, Closid(1)));
        assert_eq!(rig.sim.take_readings(), []);
        assert!(rig.sim.log_lines().iter().any(|line| line.contains("MSR 0x1a4")), "{:?}", rig.sim.log_lines());
    });
}

#[test]
fn latency_is_told_for_each_thirty_two_bytes() {
    on_model(BROADWELL_X, |rig, memory| {
        assert_eq!(measure(rig, memory, Measurement::Latency), [Trace::Latency(40); 8]);
        assert_eq!(rig.board.misc()[2], 0);
    });
}

#[test]
fn each_model_counts_what_it_can_count() {
    let residency = |level| Measurement::Residency(level);
    // The simulated processor's counters see hits and misses on the way into a section with interrupts off, and out of it.
    // Of the memory it has a hit for each line.
    for (version, level, other) in
        [(BROADWELL_X, CacheLevel::L3, CacheLevel::L2), (GOLDMONT, CacheLevel::L2, CacheLevel::L3)]
    {
        on_model(version, move |rig, memory| {
            assert_eq!(measure(rig, memory, residency(level)), [Trace::Residency { level, hits: 4, misses: 0 }]);
            assert_eq!(rig.sim.take_readings(), [(CpuId(2), LINE)]);
            assert_eq!(measure(rig, memory, residency(other)), []);
        });
    }
}

#[test]
fn what_cannot_be_counted_is_told_as_nothing() {
    on_model(GOLDMONT, |rig, memory| {
        for refusal in [Refusal::Counters, Refusal::Counting] {
            rig.sim.refuse(refusal);
            let level = CacheLevel::L2;
            let traces = measure(rig, memory, Measurement::Residency(level));
            assert_eq!(traces, [Trace::Residency { level, hits: 0, misses: 0 }], "{refusal:?}");
            assert_eq!(rig.board.misc()[2], 0);
        }
    });
}
