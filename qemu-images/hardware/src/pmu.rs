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
//! Source: SDM Vol. 3, "Architectural Performance Monitoring" and "Performance Monitoring Events"; Vol. 4 for the addresses; Vol. 2,
//! "CPUID", leaf 0AH, and "RDPMC".

use crate::Gp;
use crate::caches::Mode;
use crate::machine::{Machine, PmuFeatures};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// CPUID leaf of architectural performance monitoring.
pub(crate) const LEAF: u32 = 0xa;

/// `IA32_PMC0`, the first of the counters.
const PMC: u32 = 0xc1;
/// `IA32_PERFEVTSEL0`, what it counts.
const PERFEVTSEL: u32 = 0x186;
/// `IA32_FIXED_CTR0`, the first of those that count one thing.
const FIXED_CTR: u32 = 0x309;
/// `IA32_FIXED_CTR_CTRL`, when they do.
const FIXED_CTR_CTRL: u32 = 0x38d;
/// `IA32_PERF_GLOBAL_STATUS`.
const GLOBAL_STATUS: u32 = 0x38e;
/// `IA32_PERF_GLOBAL_CTRL`.
const GLOBAL_CTRL: u32 = 0x38f;
/// `IA32_PERF_GLOBAL_OVF_CTRL`.
const GLOBAL_OVF_CTRL: u32 = 0x390;

/// The version of all this.
const VERSION: u32 = 2;
/// How many events CPUID speaks of, and which of them are not there: branches, and those that were mispredicted.
const EVENTS: u32 = 7;
const MISSING_EVENTS: u32 = 3 << 5;

/// The bit of the first fixed counter in the global registers.
const FIRST_FIXED_BIT: usize = 32;
/// What else `IA32_PERF_GLOBAL_OVF_CTRL` takes: that a buffer has overflowed, and that something has changed.
const CONDITIONS: u64 = 3 << 62;

/// Bits of every counter.
const WIDTH: u32 = 48;
const COUNTER: u64 = (1 << WIDTH) - 1;
/// Fixed counters: instructions, cycles, cycles of the reference clock.
const FIXED: usize = 3;
/// Of the ECX that RDPMC reads: a fixed counter is meant.
const RDPMC_FIXED: u32 = 1 << 30;

/// Fields of `IA32_PERFEVTSELx`.
const EVENT: u64 = 0xffff;
const USER: u64 = 1 << 16;
const KERNEL: u64 = 1 << 17;
const ENABLE: u64 = 1 << 22;
/// Fields of a fixed counter in `IA32_FIXED_CTR_CTRL`, four bits each.
const FIXED_KERNEL: u64 = 1;
const FIXED_USER: u64 = 2;

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
    fn of(select: u64) -> Option<Self> {
        match select & EVENT {
            0x003c | 0x013c => Some(Self::Cycles),
            0x00c0 => Some(Self::Instructions),
            0x4f2e => Some(Self::References),
            0x412e => Some(Self::Misses),
            _ => None,
        }
    }
}

/// What the fixed counters count.
const FIXED_EVENTS: [Event; FIXED] = [Event::Instructions, Event::Cycles, Event::Cycles];

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
            Event::Cycles => return if modes.user || modes.kernel { self.time } else { 0 },
            Event::Instructions => self.instructions,
            Event::References => self.references,
            Event::Misses => self.misses,
        };
        let user = if modes.user { by_mode[Mode::User as usize] } else { 0 };
        let kernel = if modes.kernel { by_mode[Mode::Kernel as usize] } else { 0 };
        user.wrapping_add(kernel)
    }
}

/// Whose doings a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Modes {
    user: bool,
    kernel: bool,
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
        // There are few.
        u32::try_from(fixed.map_or(counter, |fixed| FIRST_FIXED_BIT + fixed)).unwrap_or(u32::MAX)
    }

    /// What a counter counts, if it does.
    fn counts(&self, counter: usize) -> Option<(Event, Modes)> {
        if self.enabled >> self.bit(counter) & 1 == 0 {
            return None;
        }
        match self.select.get(counter) {
            Some(select) => {
                let modes = Modes { user: select & USER != 0, kernel: select & KERNEL != 0 };
                Event::of(*select).filter(|_| select & ENABLE != 0).map(|event| (event, modes))
            }
            None => {
                let fixed = counter - self.select.len();
                let control = self.fixed_control >> (4 * fixed);
                let modes = Modes { user: control & FIXED_USER != 0, kernel: control & FIXED_KERNEL != 0 };
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
        let counters = u32::try_from(self.counters).unwrap_or(0);
        let fixed = u32::try_from(FIXED).unwrap_or(0);
        let general = VERSION | counters << 8 | WIDTH << 16 | EVENTS << 24;
        (leaf == LEAF).then_some([general, MISSING_EVENTS, 0, fixed | WIDTH << 5])
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
        let all = ((1 << self.counters) - 1) | (((1 << FIXED) - 1) << FIRST_FIXED_BIT);
        let allowed = match register {
            // Written with 32 bits, of which the highest is that of all above.
            Register::Value(counter) if counter < self.counters => u64::MAX,
            Register::Value(_) => COUNTER,
            Register::Select(_) => u64::from(u32::MAX),
            Register::FixedControl => (1 << (4 * FIXED)) - 1,
            Register::Control => all,
            Register::OverflowControl => all | CONDITIONS,
            Register::Status => return Err(Gp::ReadOnly),
        };
        if value & !allowed != 0 {
            return Err(Gp::ReservedBits);
        }
        counters.settle(happened);
        match register {
            Register::Value(counter) if counter < self.counters => {
                let low = u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
                counters.values[counter] = i64::from(low.cast_signed()).cast_unsigned() & COUNTER;
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
        let address = if ecx & RDPMC_FIXED == 0 { PMC } else { FIXED_CTR }.checked_add(ecx & !RDPMC_FIXED)?;
        let value = matches!(self.register(address), Some(Register::Value(_)));
        self.rdmsr(cpu, address, happened).filter(|_| value)
    }

    fn register(&self, address: u32) -> Option<Register> {
        let among = |first: u32, count: usize| {
            let place = address.checked_sub(first).and_then(|place| usize::try_from(place).ok());
            place.filter(|place| *place < count)
        };
        match address {
            FIXED_CTR_CTRL => Some(Register::FixedControl),
            GLOBAL_STATUS => Some(Register::Status),
            GLOBAL_CTRL => Some(Register::Control),
            GLOBAL_OVF_CTRL => Some(Register::OverflowControl),
            _ => among(PMC, self.counters)
                .map(Register::Value)
                .or_else(|| among(PERFEVTSEL, self.counters).map(Register::Select))
                .or_else(|| among(FIXED_CTR, FIXED).map(|fixed| Register::Value(self.counters + fixed))),
        }
    }

    fn counters(&self, cpu: usize) -> MutexGuard<'_, Counters> {
        self.cpus[cpu].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
