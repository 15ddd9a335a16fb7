// SPDX-License-Identifier: GPL-2.0-only
//! Events that an Arm processor's own PMU does not know, in its counters.
//!
//! QEMU has a PMU of Arm's (FEAT_PMUv3) for its processors, which counts cycles and next to nothing else. It is left as it is: whatever
//! is written goes there as well. Of a counter that was told an event of these it is asked here what it holds, and CPUs say here
//! which events there are.
//!
//! Counters have 32 bits, as without FEAT_PMUv3p5, and an overflow is told nobody.
//!
//! Source: DDI 0487, "The Performance Monitors Extension", and "Performance Monitors registers" for the registers.

use super::{Counters, Event, Happened, Kind, modes};
use crate::machine::Machine;
use crate::registers::{ArmEvtyper, ArmPmcr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most counters of events that there can be.
pub const MAX_COUNTERS: usize = 31;

/// A register that chooses events, or holds what was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArmRegister {
    /// `PMCR_EL0`.
    Control,
    /// `PMCNTENSET_EL0`.
    EnableSet,
    /// `PMCNTENCLR_EL0`.
    EnableClear,
    /// `PMSELR_EL0`, the counter that `PMXEV…` are about.
    Selection,
    /// `PMXEVTYPER_EL0`.
    SelectedType,
    /// `PMXEVCNTR_EL0`.
    SelectedCounter,
    /// `PMEVTYPER<n>_EL0`.
    Type(u8),
    /// `PMEVCNTR<n>_EL0`.
    Counter(u8),
    /// `PMCEID0_EL0`, events 0 to 31 that are counted.
    CommonEvents0,
    /// `PMCEID1_EL0`, events 32 to 63.
    CommonEvents1,
}

/// Events that QEMU counts: software's increments, and cycles.
const OF_QEMU: u64 = 1 | 1 << 0x11;

/// What is counted here, by Arm's numbers.
const EVENTS: [(u64, Event); 8] = [
    // L1D_CACHE_REFILL: what the filter of the CPU does not hide.
    (0x03, Event::Accesses),
    // INST_RETIRED.
    (0x08, Event::Instructions),
    // L3D_CACHE_REFILL and L3D_CACHE.
    (0x2a, Event::Misses),
    (0x2b, Event::References),
    // LL_CACHE and LL_CACHE_MISS; the same of reads, which all are: a store reads the line first.
    (0x32, Event::References),
    (0x33, Event::Misses),
    (0x36, Event::References),
    (0x37, Event::Misses),
];

/// The event of a number.
pub(super) fn event(select: u64) -> Option<Event> {
    let number = ArmEvtyper(select).get(ArmEvtyper::EVENT);
    EVENTS.into_iter().find(|(known, _)| *known == number).map(|(_, event)| event)
}

/// Whose doings a counter counts: those of levels that are not excluded.
pub(super) fn whose(select: u64) -> [bool; 2] {
    let excludes = |field| ArmEvtyper(select).get(field) != 0;
    modes(!excludes(ArmEvtyper::NOT_EL0), !excludes(ArmEvtyper::NOT_EL1))
}

/// The counters of a machine.
#[derive(Debug)]
pub struct ArmPmu(Vec<Mutex<Cpu>>);

#[derive(Debug)]
struct Cpu {
    counters: Counters,
    on: bool,
    enabled: u64,
    selected: usize,
}

impl ArmPmu {
    /// Those of a machine, if its file has any.
    #[must_use]
    pub fn of(machine: &Machine) -> Option<Self> {
        let count = machine.pmu.as_ref().filter(|_| machine.mpam.is_some())?.counters;
        let cpu = |_| {
            let mut counters = Counters::at_reset(Kind::Arm, count, Happened::default());
            counters.enabled = 0;
            Mutex::new(Cpu { counters, on: false, enabled: 0, selected: 0 })
        };
        Some(Self((0..machine.topology.cpus()).map(cpu).collect()))
    }

    /// MRS on a CPU that has done so much. `None` for what is the processor's own to answer.
    #[must_use]
    pub fn read(&self, cpu: usize, register: ArmRegister, happened: Happened) -> Option<u64> {
        let common = |first: u64| {
            let bits = EVENTS.iter().filter_map(|(number, _)| number.checked_sub(first).filter(|bit| *bit < 32));
            bits.fold(0, |all, bit| all | 1 << bit)
        };
        let mut cpu = self.cpu(cpu);
        let counter = match register {
            ArmRegister::CommonEvents0 => return Some(common(0) | OF_QEMU),
            ArmRegister::CommonEvents1 => return Some(common(32)),
            ArmRegister::Counter(counter) => usize::from(counter),
            ArmRegister::SelectedCounter => cpu.selected,
            _ => return None,
        };
        event(*cpu.counters.select.get(counter)?)?;
        cpu.counters.settle(happened);
        Some(cpu.counters.values[counter])
    }

    /// MSR on a CPU that has done so much, which the processor carries out besides.
    pub fn write(&self, cpu: usize, register: ArmRegister, value: u64, happened: Happened) {
        let mut cpu = self.cpu(cpu);
        cpu.counters.settle(happened);
        let selected = cpu.selected;
        match register {
            ArmRegister::Control => {
                let control = ArmPmcr(value);
                cpu.on = control.get(ArmPmcr::ENABLE) != 0;
                if control.get(ArmPmcr::RESET_COUNTERS) != 0 {
                    cpu.counters.values.fill(0);
                }
            }
            ArmRegister::EnableSet => cpu.enabled |= value,
            ArmRegister::EnableClear => cpu.enabled &= !value,
            ArmRegister::Selection => cpu.selected = (value & 0x1f) as usize,
            ArmRegister::Type(counter) => cpu.choose(counter.into(), value),
            ArmRegister::SelectedType => cpu.choose(selected, value),
            ArmRegister::Counter(counter) => cpu.set(counter.into(), value),
            ArmRegister::SelectedCounter => cpu.set(selected, value),
            ArmRegister::CommonEvents0 | ArmRegister::CommonEvents1 => {}
        }
        cpu.counters.enabled = if cpu.on { cpu.enabled } else { 0 };
    }

    /// A CPU has lost power: nothing is counted until it is told to.
    pub fn lose_power(&self, cpu: usize) {
        let mut cpu = self.cpu(cpu);
        (cpu.on, cpu.enabled, cpu.counters.enabled) = (false, 0, 0);
    }

    fn cpu(&self, cpu: usize) -> MutexGuard<'_, Cpu> {
        self.0[cpu].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cpu {
    fn choose(&mut self, counter: usize, value: u64) {
        if let Some(select) = self.counters.select.get_mut(counter) {
            *select = value;
        }
    }

    fn set(&mut self, counter: usize, value: u64) {
        if let Some(held) = self.counters.values.get_mut(counter) {
            *held = value & u64::from(u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLC_MISSES: u64 = 0x37;
    const NOT_KERNEL: u64 = 1 << 31;

    fn pmu() -> ArmPmu {
        let text = include_str!("../../../machines/mpam.toml");
        ArmPmu::of(&Machine::parse(&format!("{text}\n[pmu]\ncounters = 6\n")).unwrap()).unwrap()
    }

    fn misses(user: u64, kernel: u64) -> Happened {
        Happened { misses: [user, kernel], ..Happened::default() }
    }

    #[test]
    fn a_machine_without_them_has_none_and_cpus_say_which_events_there_are() {
        assert!(ArmPmu::of(&Machine::parse(include_str!("../../../machines/mpam.toml")).unwrap()).is_none());
        let read = |register| pmu().read(0, register, Happened::default());
        assert_eq!(read(ArmRegister::CommonEvents0), Some(0x0002_0109));
        assert_eq!(read(ArmRegister::CommonEvents1), Some(0x00cc_0c00));
    }

    #[test]
    fn a_counter_counts_while_it_and_all_are_on_and_what_is_not_excluded() {
        let pmu = pmu();
        pmu.write(0, ArmRegister::Type(2), LLC_MISSES | NOT_KERNEL, misses(0, 0));
        pmu.write(0, ArmRegister::Type(3), LLC_MISSES, misses(0, 0));
        pmu.write(0, ArmRegister::EnableSet, 0b1100, misses(0, 0));
        let read = |counter, happened| pmu.read(0, ArmRegister::Counter(counter), happened);
        assert_eq!(read(2, misses(5, 50)), Some(0), "PMCR.E is off");
        pmu.write(0, ArmRegister::Control, 1, misses(5, 50));
        assert_eq!((read(2, misses(7, 90)), read(3, misses(7, 90))), (Some(2), Some(42)));
        pmu.write(0, ArmRegister::EnableClear, 0b0100, misses(7, 90));
        assert_eq!((read(2, misses(9, 91)), read(3, misses(9, 91))), (Some(2), Some(45)));
        pmu.write(0, ArmRegister::Counter(3), 100, misses(9, 91));
        assert_eq!(read(3, misses(9, 92)), Some(101));
        pmu.write(0, ArmRegister::Control, 0b11, misses(9, 92));
        assert_eq!(read(3, misses(9, 92)), Some(0), "all counters were reset");
        assert_eq!(pmu.read(1, ArmRegister::Counter(3), misses(9, 92)), None, "another CPU, which was told no event");
    }

    #[test]
    fn what_the_processor_counts_is_its_own_to_answer() {
        let pmu = pmu();
        // CPU_CYCLES.
        pmu.write(0, ArmRegister::Type(0), 0x11, misses(0, 0));
        assert_eq!(pmu.read(0, ArmRegister::Counter(0), misses(9, 9)), None);
        for register in [ArmRegister::Control, ArmRegister::EnableSet, ArmRegister::Type(0), ArmRegister::Counter(6)] {
            assert_eq!(pmu.read(0, register, misses(9, 9)), None, "{register:?}");
        }
    }

    #[test]
    fn one_counter_at_a_time_can_be_selected_and_values_wrap_behind_32_bits() {
        let pmu = pmu();
        pmu.write(0, ArmRegister::Selection, 5, misses(0, 0));
        pmu.write(0, ArmRegister::SelectedType, 0x2a, misses(0, 0));
        pmu.write(0, ArmRegister::SelectedCounter, 0xffff_fffe, misses(0, 0));
        pmu.write(0, ArmRegister::EnableSet, 1 << 5, misses(0, 0));
        pmu.write(0, ArmRegister::Control, 1, misses(0, 0));
        assert_eq!(pmu.read(0, ArmRegister::SelectedCounter, misses(3, 0)), Some(1));
        assert_eq!(pmu.read(0, ArmRegister::Counter(5), misses(3, 0)), Some(1));
        pmu.lose_power(0);
        assert_eq!(pmu.read(0, ArmRegister::Counter(5), misses(9, 0)), Some(1), "it does not count on");
    }
}
