// SPDX-License-Identifier: GPL-2.0-only
//! Counters of the processor: architectural performance monitoring, version 2, of each CPU.
//!
//! What happens is counted elsewhere ([`Happened`]: the caches that follow what programs do, whoever executes instructions); here
//! are the registers that choose among it, and hold what was chosen. A value is made up when it is asked for, from what has
//! happened since it was made up last, so a counter that nobody reads costs nothing.
//!
//! * Cycles are time: one a nanosecond, of user and kernel alike, also while the CPU is idle.
//! * A counter that overflows says so in `IA32_PERF_GLOBAL_STATUS`, and interrupts nobody: programs can count, not sample.
//! * Edge detection, counter masks, inversion and the any-thread bits are kept and change nothing.
//!
//! Source: SDM Vol. 3, "Performance Monitoring Events"; registers: [`crate::registers`].

use crate::Gp;
use crate::caches::Mode;
use crate::cpuid::narrow;
use crate::machine::{Machine, PmuFeatures};
use crate::numbers::{low, place, word};
use crate::registers::{
    FixedCtr, FixedCtrCtrl, PerfEvtSel, PerfGlobalCtrl, PerfGlobalOvfCtrl, PerfGlobalStatus, Pmc, PmuEax, PmuEbx,
    PmuEdx, RdpmcEcx,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// CPUID leaf of architectural performance monitoring.
pub(crate) const LEAF: u32 = 0xa;

/// The version of all this.
const VERSION: u64 = 2;
/// How many events CPUID speaks of.
const EVENTS: u64 = 7;

/// The bit of the first fixed counter in the global registers.
const FIRST_FIXED_BIT: usize = 32;
/// Bits of every counter.
const WIDTH: u64 = 48;
const COUNTER: u64 = Pmc::VALUE.max();
/// Fixed counters.
const FIXED: usize = FIXED_EVENTS.len();

/// An event that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Cycles,
    Instructions,
    References,
    Misses,
}

impl Event {
    /// By unit mask and number; an event that is not counted here has none.
    fn of(select: PerfEvtSel) -> Option<Self> {
        match select.get(PerfEvtSel::EVENT) {
            0x003c | 0x013c => Some(Self::Cycles),
            0x00c0 => Some(Self::Instructions),
            0x4f2e => Some(Self::References),
            0x412e => Some(Self::Misses),
            _ => None,
        }
    }
}

/// What the fixed counters count.
const FIXED_EVENTS: [Event; 3] = [Event::Instructions, Event::Cycles, Event::Cycles];

/// What a CPU has done, by [`Mode`] where there are two, since whenever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Nanoseconds.
    pub time: u64,
    /// Instructions executed.
    pub instructions: [u64; 2],
    /// References of the last level cache.
    pub references: [u64; 2],
    /// Those that it did not have.
    pub misses: [u64; 2],
}

impl Happened {
    fn of(&self, event: Event, modes: Modes) -> u64 {
        let by_mode = match event {
            Event::Cycles => return if modes.contains(&true) { self.time } else { 0 },
            Event::Instructions => self.instructions,
            Event::References => self.references,
            Event::Misses => self.misses,
        };
        by_mode.into_iter().zip(modes).filter(|(_, counts)| *counts).map(|(count, _)| count).sum()
    }
}

/// Whose doings a counter counts, by [`Mode`].
type Modes = [bool; 2];

/// The two of them, by the order of [`Mode`].
const fn modes(user: bool, kernel: bool) -> Modes {
    let mut modes = [false; 2];
    modes[Mode::User as usize] = user;
    modes[Mode::Kernel as usize] = kernel;
    modes
}

/// The counters of a machine.
#[derive(Debug)]
pub struct Pmu {
    counters: usize,
    cpus: Vec<Mutex<Counters>>,
}

/// Those of a CPU: general-purpose ones first, then the fixed ones.
#[derive(Debug)]
struct Counters {
    select: Vec<u64>,
    values: Vec<u64>,
    fixed_control: u64,
    enabled: u64,
    overflowed: u64,
    /// What had happened when the values were made up last.
    seen: Happened,
}

/// A register of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Value(usize),
    Select(usize),
    FixedControl,
    Status,
    Control,
    OverflowControl,
}

impl Counters {
    fn at_reset(counters: usize, seen: Happened) -> Self {
        Self {
            select: vec![0; counters],
            values: vec![0; counters + FIXED],
            fixed_control: 0,
            // The general-purpose ones are on after reset, as version 1 had them, which knows no such register.
            enabled: (1 << counters) - 1,
            overflowed: 0,
            seen,
        }
    }

    /// The bit of a counter in the global registers.
    fn bit(&self, counter: usize) -> u32 {
        let fixed = counter.checked_sub(self.select.len());
        word(fixed.map_or(counter, |fixed| FIRST_FIXED_BIT + fixed))
    }

    /// What a counter counts, if it does.
    fn counts(&self, counter: usize) -> Option<(Event, Modes)> {
        if self.enabled >> self.bit(counter) & 1 == 0 {
            return None;
        }
        match self.select.get(counter).copied().map(PerfEvtSel) {
            Some(select) => {
                let set = |field| select.get(field) != 0;
                let modes = modes(set(PerfEvtSel::USR), set(PerfEvtSel::OS));
                Event::of(select).filter(|_| set(PerfEvtSel::EN)).map(|event| (event, modes))
            }
            None => {
                let fixed = counter - self.select.len();
                let control = self.fixed_control >> (FixedCtrCtrl::STRIDE * fixed);
                let modes = modes(control & FixedCtrCtrl::USR != 0, control & FixedCtrCtrl::OS != 0);
                Some((FIXED_EVENTS[fixed], modes))
            }
        }
    }

    /// Makes the values up.
    fn settle(&mut self, happened: Happened) {
        let before = std::mem::replace(&mut self.seen, happened);
        for counter in 0..self.values.len() {
            let Some((event, modes)) = self.counts(counter) else { continue };
            // Caches that have begun anew have done less than before.
            let more = happened.of(event, modes).saturating_sub(before.of(event, modes));
            let sum = self.values[counter] + more;
            self.values[counter] = sum & COUNTER;
            if sum > COUNTER {
                self.overflowed |= 1 << self.bit(counter);
            }
        }
    }
}

impl Pmu {
    /// The counters of a machine, if it has any.
    #[must_use]
    pub fn of(machine: &Machine) -> Option<Self> {
        let PmuFeatures { counters } = *machine.pmu.as_ref()?;
        let cpus = (0..machine.topology.cpus()).map(|_| Counters::at_reset(counters, Happened::default()));
        Some(Self { counters, cpus: cpus.map(Mutex::new).collect() })
    }

    /// Answers CPUID for a leaf that is theirs: EAX, EBX, ECX, EDX. `None` for any other leaf.
    #[must_use]
    pub fn cpuid(&self, leaf: u32) -> Option<[u32; 4]> {
        let general = PmuEax::default()
            .with(&PmuEax::VERSION, VERSION)
            .with(&PmuEax::COUNTERS, self.counters as u64)
            .with(&PmuEax::WIDTH, WIDTH)
            .with(&PmuEax::EVENTS, EVENTS);
        let missing = PmuEbx::default().with(&PmuEbx::BRANCHES, 1).with(&PmuEbx::MISPREDICTED, 1);
        let fixed = PmuEdx::default().with(&PmuEdx::FIXED, FIXED as u64).with(&PmuEdx::WIDTH, WIDTH);
        (leaf == LEAF).then(|| [narrow(general.0), narrow(missing.0), 0, narrow(fixed.0)])
    }

    /// Takes power from all CPUs and gives it back.
    pub fn lose_power(&self) {
        for cpu in 0..self.cpus.len() {
            let mut counters = self.counters(cpu);
            *counters = Counters::at_reset(self.counters, counters.seen);
        }
    }

    /// Whether a model specific register is one of theirs.
    #[must_use]
    pub fn has(&self, address: u32) -> bool {
        self.register(address).is_some()
    }

    /// Executes RDMSR on a CPU which has done so much. `None` for an address that is not theirs.
    #[must_use]
    pub fn rdmsr(&self, cpu: usize, address: u32, happened: Happened) -> Option<u64> {
        let register = self.register(address)?;
        let mut counters = self.counters(cpu);
        counters.settle(happened);
        Some(match register {
            Register::Value(counter) => counters.values[counter],
            Register::Select(counter) => counters.select[counter],
            Register::FixedControl => counters.fixed_control,
            Register::Status => counters.overflowed,
            Register::Control => counters.enabled,
            // Write-only, in effect.
            Register::OverflowControl => 0,
        })
    }

    /// Executes WRMSR on a CPU which has done so much. `false` for an address that is not theirs.
    ///
    /// # Errors
    ///
    /// #GP, with nothing changed.
    pub fn wrmsr(&self, cpu: usize, address: u32, value: u64, happened: Happened) -> Result<bool, Gp> {
        let Some(register) = self.register(address) else { return Ok(false) };
        let mut counters = self.counters(cpu);
        // Of general-purpose counters, those that there are.
        let missing = PerfGlobalCtrl::PMC.mask() & !((1 << self.counters) - 1);
        let allowed = match register {
            Register::Value(counter) if counter < self.counters => u64::MAX,
            Register::Value(_) => FixedCtr::DEFINED,
            Register::Select(_) => PerfEvtSel::DEFINED,
            Register::FixedControl => FixedCtrCtrl::DEFINED,
            Register::Control => PerfGlobalCtrl::DEFINED & !missing,
            Register::OverflowControl => PerfGlobalOvfCtrl::DEFINED & !missing,
            Register::Status => return Err(Gp::ReadOnly),
        };
        if value & !allowed != 0 {
            return Err(Gp::ReservedBits);
        }
        counters.settle(happened);
        match register {
            Register::Value(counter) if counter < self.counters => {
                // 32 bits, of which the highest is that of all above.
                counters.values[counter] = i64::from(low(value).cast_signed()).cast_unsigned() & COUNTER;
            }
            Register::Value(counter) => counters.values[counter] = value,
            Register::Select(counter) => counters.select[counter] = value,
            Register::FixedControl => counters.fixed_control = value,
            Register::Control => counters.enabled = value,
            Register::OverflowControl => counters.overflowed &= !value,
            Register::Status => {}
        }
        Ok(true)
    }

    /// Executes RDPMC with this ECX on a CPU which has done so much. `None` where it faults.
    #[must_use]
    pub fn rdpmc(&self, cpu: usize, ecx: u32, happened: Happened) -> Option<u64> {
        let which = RdpmcEcx(ecx.into());
        let (place, fixed) = (place(which.get(RdpmcEcx::COUNTER)), which.get(RdpmcEcx::FIXED) != 0);
        let (first, count) = if fixed { (self.counters, FIXED) } else { (0, self.counters) };
        if which.has_reserved_bits() || place >= count {
            return None;
        }
        let mut counters = self.counters(cpu);
        counters.settle(happened);
        Some(counters.values[first + place])
    }

    fn register(&self, address: u32) -> Option<Register> {
        let among = |first: u32, count: usize| {
            let place = address.checked_sub(first).map(|offset| place(offset.into()));
            place.filter(|place| *place < count)
        };
        match address {
            FixedCtrCtrl::ADDRESS => Some(Register::FixedControl),
            PerfGlobalStatus::ADDRESS => Some(Register::Status),
            PerfGlobalCtrl::ADDRESS => Some(Register::Control),
            PerfGlobalOvfCtrl::ADDRESS => Some(Register::OverflowControl),
            _ => among(Pmc::ADDRESS, self.counters)
                .map(Register::Value)
                .or_else(|| among(PerfEvtSel::ADDRESS, self.counters).map(Register::Select))
                .or_else(|| among(FixedCtr::ADDRESS, FIXED).map(|fixed| Register::Value(self.counters + fixed))),
        }
    }

    fn counters(&self, cpu: usize) -> MutexGuard<'_, Counters> {
        self.cpus[cpu].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
