// SPDX-License-Identifier: GPL-2.0-only
//! Counters of the processor, of each CPU: architectural performance monitoring, version 2, of Intel's, core performance counters
//! with the second version of performance monitoring of AMD's, and of Arm's the events that its PMU does not know in QEMU.
//!
//! What happens is counted elsewhere ([`Happened`]: the caches that follow what programs do, whoever executes instructions); here
//! are the registers that choose among it, and hold what was chosen. A value is made up when it is asked for, from what has
//! happened since it was made up last, so a counter that nobody reads costs nothing.
//!
//! * Cycles are time: one a nanosecond, of user and kernel alike, also while the CPU is idle.
//! * A counter that overflows says so in `IA32_PERF_GLOBAL_STATUS` (`PerfCntrGlobalStatus`), and interrupts nobody: programs can count,
//!   not sample.
//! * Edge detection, counter masks, inversion and the any-thread bits are kept and change nothing.
//!
//! The counters are the same for all; which registers and events there are is in `intel`, `amd` and [`arm`].
//!
//! Registers: [`crate::registers`].

mod amd;
pub mod arm;
mod intel;

use crate::Gp;
use crate::caches::Mode;
use crate::machine::{Machine, PmuFeatures};
use crate::numbers::{place, word};
use crate::registers::{FixedCtrCtrl, PerfEvtSel};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bits of every counter of an x86 processor.
const WIDTH: u64 = 48;
const COUNTER: u64 = (1 << WIDTH) - 1;
/// The bit of the first fixed counter in the global registers.
const FIRST_FIXED_BIT: usize = 32;

/// An event that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Cycles,
    Instructions,
    Accesses,
    References,
    Misses,
}

/// Whose registers a processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Intel,
    Amd,
    /// Only its events: its registers are in [`arm`].
    Arm,
}

impl Kind {
    /// What the fixed counters count.
    const fn fixed(self) -> &'static [Event] {
        match self {
            Self::Intel => &[Event::Instructions, Event::Cycles, Event::Cycles],
            Self::Amd | Self::Arm => &[],
        }
    }

    /// The largest value of a counter.
    const fn largest(self) -> u64 {
        match self {
            Self::Intel | Self::Amd => COUNTER,
            Self::Arm => (1 << 32) - 1,
        }
    }

    /// The event that a register selects; one that is not counted here has none.
    fn event(self, select: u64) -> Option<Event> {
        match self {
            Self::Intel => intel::event(select),
            Self::Amd => amd::event(select),
            Self::Arm => arm::event(select),
        }
    }

    /// Whose doings a register has counted, if it is on.
    fn whose(self, select: u64) -> Option<Modes> {
        // Where AMD has these bits, too.
        let set = |field| PerfEvtSel(select).get(field) != 0;
        match self {
            Self::Arm => Some(arm::whose(select)),
            Self::Intel | Self::Amd => set(PerfEvtSel::EN).then(|| modes(set(PerfEvtSel::USR), set(PerfEvtSel::OS))),
        }
    }

    /// The register at an address, with so many general-purpose counters.
    fn register(self, address: u32, counters: usize) -> Option<Register> {
        match self {
            Self::Intel => intel::register(address, counters),
            Self::Amd => amd::register(address, counters),
            Self::Arm => None,
        }
    }

    /// What a register can be written with.
    fn writable(self, register: Register, counters: usize) -> Result<u64, Gp> {
        match self {
            Self::Intel => intel::writable(register, counters),
            Self::Amd => amd::writable(register, counters),
            Self::Arm => Err(Gp::ReadOnly),
        }
    }
}

/// What a CPU has done, by [`Mode`] where there are two, since whenever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Nanoseconds.
    pub time: u64,
    /// Instructions executed.
    pub instructions: [u64; 2],
    /// Accesses that got to its caches, past the filter.
    pub accesses: [u64; 2],
    /// References of the last level cache: those that the L2, if there is one, did not have.
    pub references: [u64; 2],
    /// Those that it did not have either.
    pub misses: [u64; 2],
}

impl Happened {
    fn of(&self, event: Event, modes: Modes) -> u64 {
        let by_mode = match event {
            Event::Cycles => return if modes.contains(&true) { self.time } else { 0 },
            Event::Instructions => self.instructions,
            Event::Accesses => self.accesses,
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
    kind: Kind,
    counters: usize,
    cpus: Vec<Mutex<Counters>>,
}

/// Those of a CPU: general-purpose ones first, then the fixed ones.
#[derive(Debug)]
struct Counters {
    kind: Kind,
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
    fn at_reset(kind: Kind, counters: usize, seen: Happened) -> Self {
        Self {
            kind,
            select: vec![0; counters],
            values: vec![0; counters + kind.fixed().len()],
            fixed_control: 0,
            // The general-purpose ones are on after reset, as before there was a register for that.
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
        match self.select.get(counter).copied() {
            Some(select) => self.kind.event(select).zip(self.kind.whose(select)),
            None => {
                let fixed = counter - self.select.len();
                let control = self.fixed_control >> (FixedCtrCtrl::STRIDE * fixed);
                let modes = modes(control & FixedCtrCtrl::USR != 0, control & FixedCtrCtrl::OS != 0);
                Some((self.kind.fixed()[fixed], modes))
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
            let largest = self.kind.largest();
            self.values[counter] = sum & largest;
            if sum > largest {
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
        let kind = match (&machine.qos, &machine.rdt) {
            (Some(_), _) => Kind::Amd,
            (None, Some(_)) => Kind::Intel,
            (None, None) => return None,
        };
        let cpus = (0..machine.topology.cpus()).map(|_| Counters::at_reset(kind, counters, Happened::default()));
        Some(Self { kind, counters, cpus: cpus.map(Mutex::new).collect() })
    }

    /// Answers CPUID for a leaf that is theirs: EAX, EBX, ECX, EDX. `None` for any other leaf.
    #[must_use]
    pub fn cpuid(&self, leaf: u32) -> Option<[u32; 4]> {
        match self.kind {
            Kind::Intel => (leaf == intel::LEAF).then(|| intel::cpuid(self.counters)),
            Kind::Amd => (leaf == amd::LEAF).then(|| amd::cpuid(self.counters)),
            Kind::Arm => None,
        }
    }

    /// Takes power from all CPUs and gives it back.
    pub fn lose_power(&self) {
        for cpu in 0..self.cpus.len() {
            let mut counters = self.counters(cpu);
            *counters = Counters::at_reset(self.kind, self.counters, counters.seen);
        }
    }

    /// Whether a model specific register is one of theirs.
    #[must_use]
    pub fn has(&self, address: u32) -> bool {
        self.kind.register(address, self.counters).is_some()
    }

    /// Executes RDMSR on a CPU which has done so much. `None` for an address that is not theirs.
    #[must_use]
    pub fn rdmsr(&self, cpu: usize, address: u32, happened: Happened) -> Option<u64> {
        let register = self.kind.register(address, self.counters)?;
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
        let Some(register) = self.kind.register(address, self.counters) else { return Ok(false) };
        if value & !self.kind.writable(register, self.counters)? != 0 {
            return Err(Gp::ReservedBits);
        }
        let mut counters = self.counters(cpu);
        counters.settle(happened);
        match register {
            Register::Value(counter) if self.kind == Kind::Intel && counter < self.counters => {
                counters.values[counter] = intel::written(value);
            }
            Register::Value(counter) => counters.values[counter] = value & COUNTER,
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
        let counter = match self.kind {
            Kind::Intel => intel::read_by(ecx, self.counters),
            Kind::Amd => amd::read_by(ecx, self.counters),
            Kind::Arm => None,
        }?;
        let mut counters = self.counters(cpu);
        counters.settle(happened);
        Some(counters.values[counter])
    }

    fn counters(&self, cpu: usize) -> MutexGuard<'_, Counters> {
        self.cpus[cpu].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of an address among so many registers, each so far behind the one before.
fn among(address: u32, first: u32, stride: u32, count: usize) -> Option<usize> {
    let offset = address.checked_sub(first).filter(|offset| offset.is_multiple_of(stride))?;
    Some(place((offset / stride).into())).filter(|place| *place < count)
}

#[cfg(test)]
mod amd_tests;
#[cfg(test)]
mod tests;
