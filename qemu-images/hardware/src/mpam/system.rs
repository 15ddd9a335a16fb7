// SPDX-License-Identifier: GPL-2.0-only
//! MPAM of one whole machine: the processors' system registers, the pages of all MSCs, and the traffic between them.

mod caches;
mod control;
mod shown;
mod traffic;

use super::page::Page;
use super::registers::{
    CaptEvnt, Cassoc, Cmax, Cmin, Cpbm, Ecr, Esr, Intpartid, MbwMax, MbwMin, MbwPbm, MbwProp, MbwWinwd, PAGE_SIZE,
    PartSel, Pri,
};
use super::t241;
use super::{Cpu, Label, Level, Msc, SystemRegister};
use crate::caches::{Caches, Model};
use crate::machine::{MSC_STRIDE, Machine, MachineError, MpamFeatures, Place};
use crate::numbers::{low, place, word};
use crate::write_log::{Kind, MsrWrite, WriteLog};
use std::sync::{Mutex, MutexGuard, PoisonError};
use traffic::Traffic;

/// MPAM of one machine.
///
/// All methods take `&self` and may be called from any thread; one lock is held for the length of a call. `cpu` counts
/// CPUs from 0; `now` is monotonic time in nanoseconds from any beginning. What a call asks of the rest of the machine
/// comes back as an [`Effects`].
///
/// # Panics
///
/// Every method panics for a `cpu` or `msc` the machine does not have.
#[derive(Debug)]
pub struct System {
    machine: Machine,
    features: MpamFeatures,
    caches: Option<Model>,
    state: Mutex<State>,
}

/// What has to happen outside because of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Effects {
    /// Words of memory that must be changed, for plain loads to read the registers: physical address and value.
    pub memory: Vec<(u64, u32)>,
    /// Interrupts that became pending, by their number at the GIC; those below [`FIRST_SHARED_INTERRUPT`](super::FIRST_SHARED_INTERRUPT) on every CPU.
    pub interrupts: Vec<u32>,
}

/// Where a page of registers was accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The MSC.
    pub msc: usize,
    /// Byte offset in its page.
    pub offset: u32,
    /// Bytes: 1, 2, 4 or 8.
    pub size: u32,
}

#[derive(Debug)]
struct State {
    cpus: Vec<Cpu>,
    mscs: Vec<Unit>,
    traffic: Traffic,
    log: WriteLog,
    /// Of a machine that is one.
    chip: Option<t241::Chip>,
}

/// An MSC with what surrounds it.
#[derive(Debug)]
struct Unit {
    msc: Msc,
    page: Page,
    /// Whether the error and the overflow interrupt were asserted when last looked at.
    asserted: [bool; 2],
    /// Accesses from CPUs that cannot reach it.
    strays: u64,
}

impl Unit {
    /// Memory holds something at an offset that no register took: makes certain that it is put back.
    fn put_back(&mut self, offset: u32, now: u64) {
        let other = !self.msc.peek32(offset, now);
        self.page.stored(offset, other);
    }
}

impl System {
    /// Powers a machine on.
    ///
    /// # Errors
    ///
    /// The machine has no MPAM, or its description, made by hand, is not a valid one.
    pub fn new(machine: &Machine) -> Result<Self, MachineError> {
        machine.validate()?;
        let features = machine.mpam.clone().ok_or_else(|| MachineError("mpam: this machine has none".to_owned()))?;
        let unit = |component: &crate::machine::Component| {
            let config = component.config(&features);
            Unit { page: Page::new(&config), msc: Msc::new(config), asserted: [false; 2], strays: 0 }
        };
        let state = State {
            cpus: vec![Cpu::new(features.cpu()); machine.topology.cpus()],
            mscs: features.msc.iter().map(unit).collect(),
            traffic: Traffic::new(machine),
            log: WriteLog::default(),
            chip: features.t241.then(t241::Chip::default),
        };
        let caches = Self::caches_of(machine, &features);
        let system = Self { machine: machine.clone(), features, caches, state: Mutex::new(state) };
        if machine.cache.model {
            // Pages are filled later, see `power_on`.
            let _ = system.set_caches(Caches::Follow, 0);
        }
        Ok(system)
    }

    /// The machine this is the hardware of.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the pages have to contain before the first access.
    pub fn power_on(&self, now: u64) -> Effects {
        let mut effects = Effects::default();
        let mut state = self.state();
        for msc in 0..state.mscs.len() {
            self.refresh(&mut state, msc, 0, now, &mut effects);
        }
        effects
    }

    /// The MSC whose page a physical address is in, and the offset there.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<(usize, u32)> {
        let distance = address.checked_sub(self.features.base)?;
        let msc = usize::try_from(distance / MSC_STRIDE).ok().filter(|msc| *msc < self.features.msc.len())?;
        Some((msc, low(distance % MSC_STRIDE)))
    }

    /// Which words of 4 KiB can be registers that do not read as zero, of any MSC: a bit each. The memory of all others is
    /// right at any time, so loads need not be looked at.
    #[must_use]
    pub fn words_to_watch(&self) -> [u64; 16] {
        let mut bits = [0; 16];
        let state = self.state();
        let of_pages = state.mscs.iter().flat_map(|unit| unit.page.live().iter().copied());
        let partids = if state.chip.is_some() { u32::from(self.features.partid_max) + 1 } else { 0 };
        let of_chip = (0..partids).map(|partid| t241::SHADOW_IN_PAGE + partid * 8);
        for offset in of_pages.chain(of_chip) {
            let word = offset % 4096 / 4;
            bits[word as usize / 64] |= 1 << (word % 64);
        }
        bits
    }

    /// The offset among the registers of the chip that a physical address is, on a machine that has them.
    #[must_use]
    pub fn at_chip(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(t241::BASE).filter(|offset| *offset < t241::SIZE)?;
        self.features.t241.then_some(offset)
    }

    /// What firmware answers to `SMCCC_ARCH_SOC_ID`, on a machine where it knows.
    #[must_use]
    pub fn soc_id(&self) -> Option<u32> {
        self.features.t241.then_some(t241::SOC_ID)
    }

    /// Loads 64 bits from a register of the chip.
    #[must_use]
    pub fn chip_load(&self, offset: u64) -> u64 {
        self.state().chip.as_mut().map_or(0, |chip| chip.read64(offset))
    }

    /// Stores 64 bits to a register of the chip.
    pub fn chip_store(&self, offset: u64, value: u64, now: u64) -> Effects {
        let mut state = self.state();
        let mut effects = Effects::default();
        // What has moved so far has moved under the limits so far.
        self.settle(&mut state, now, &mut effects);
        if let Some(chip) = &mut state.chip {
            chip.write64(offset, value);
        }
        self.show_chip(&state);
        effects
    }

    // ---- Processors ----

    /// MRS on a CPU, at an exception level. `None` where the instruction is undefined.
    #[must_use]
    pub fn mrs(&self, cpu: usize, level: Level, register: SystemRegister) -> Option<u64> {
        self.state().cpus[cpu].read(register, level)
    }

    /// MSR on a CPU, at an exception level. `None` where the instruction is undefined.
    pub fn msr(&self, cpu: usize, level: Level, register: SystemRegister, value: u64, now: u64) -> Option<Effects> {
        let mut state = self.state();
        let mut effects = Effects::default();
        self.settle(&mut state, now, &mut effects);
        let before = state.cpus[cpu].read(register, level);
        if !state.cpus[cpu].write(register, value, level) {
            return None;
        }
        let changed = before != state.cpus[cpu].read(register, level);
        if changed {
            self.show_labels(&state, cpu);
        }
        state.log.add(Kind::Assoc, MsrWrite { sequence: 0, cpu, address: register as u32, value, changed });
        Some(effects)
    }

    /// A CPU lost power and has it again.
    pub fn power_cycle(&self, cpu: usize, now: u64) -> Effects {
        let mut state = self.state();
        let mut effects = Effects::default();
        self.settle(&mut state, now, &mut effects);
        state.cpus[cpu].power_cycle();
        self.show_labels(&state, cpu);
        effects
    }

    /// The whole machine lost power and has it again: processors, MSCs and the chip are as after reset.
    pub fn lose_power(&self, now: u64) -> Effects {
        let mut state = self.state();
        let mut effects = Effects::default();
        self.settle(&mut state, now, &mut effects);
        state.cpus.iter_mut().for_each(Cpu::power_cycle);
        if let Some(chip) = &mut state.chip {
            *chip = t241::Chip::default();
        }
        for msc in 0..state.mscs.len() {
            state.mscs[msc].msc.power_off();
            state.mscs[msc].msc.power_on();
            self.refresh(&mut state, msc, 0, now, &mut effects);
        }
        self.empty_caches(&state);
        effects
    }

    /// The labels of a CPU's data requests at EL0.
    #[must_use]
    pub fn label(&self, cpu: usize) -> Label {
        self.state().cpus[cpu].label(Level::El0, false)
    }

    /// Whether a kernel at this level is the machine's own, not that of a guest: it sees that there is MPAM.
    #[must_use]
    pub fn shows_mpam(&self, level: Level) -> bool {
        level == if self.features.el2 { Level::El2 } else { Level::El1 }
    }

    // ---- Pages ----

    /// A CPU loads from a page: the value, as wide as the access.
    pub fn load(&self, cpu: usize, at: Access, now: u64) -> (u64, Effects) {
        let mut effects = Effects::default();
        let mut state = self.state();
        if !self.reaches(&mut state, cpu, at.msc) {
            return (0, effects);
        }
        self.settle(&mut state, now, &mut effects);
        let msc = &mut state.mscs[at.msc].msc;
        let errors = msc.error_status();
        let word = at.offset & !3;
        let value = match at.size {
            8 => msc.read64(word, now),
            4 => msc.read32(word, now).into(),
            // An MSC need not support these; they read a part of the register here, as memory would.
            size => u64::from(msc.read32(word, now)) >> (8 * (at.offset & 3)) & ((1 << (8 * size)) - 1),
        };
        // A load changes registers only by being a mistake.
        if msc.error_status() != errors {
            state.log.record_refused();
            self.refresh(&mut state, at.msc, 0, now, &mut effects);
        }
        (value, effects)
    }

    /// A CPU has stored to a page, which is memory and so holds the value now.
    pub fn store(&self, cpu: usize, at: Access, value: u64, now: u64) -> Effects {
        let mut effects = Effects::default();
        let mut state = self.state();
        let words = if at.size == 8 { 2 } else { 1 };
        for word in 0..words {
            let offset = (at.offset & !3) + 4 * word;
            let value = low(value >> (32 * word));
            if !self.reaches(&mut state, cpu, at.msc) || at.size < 4 {
                state.mscs[at.msc].put_back(offset, now);
            } else {
                self.settle(&mut state, now, &mut effects);
                self.store_word(&mut state, cpu, at.msc, offset, value, now);
            }
            self.refresh(&mut state, at.msc, offset, now, &mut effects);
        }
        effects
    }

    fn store_word(&self, state: &mut State, cpu: usize, index: usize, offset: u32, value: u32, now: u64) {
        let unit = &mut state.mscs[index];
        unit.page.stored(offset, value);
        let selected = unit.msc.peek32(PartSel::OFFSET, now);
        let (before, errors) = (unit.msc.peek32(offset, now), unit.msc.error_status());
        unit.msc.write32(offset, value, now);
        if let Some(chip) = &mut state.chip {
            chip.follow(&unit.msc, offset, now);
        }
        let changed = unit.msc.peek32(offset, now) != before;
        if changed {
            self.show_controls(state, offset);
        }
        let unit = &state.mscs[index];
        let failed = unit.msc.error_status() != errors && offset != Esr::OFFSET && offset != Esr::OFFSET + 4;
        if failed {
            return state.log.record_refused();
        }
        let ris = PartSel::RIS.get(selected.into());
        let kind = self.kind(index, place(ris), offset);
        let address = word(index) << 16 | offset;
        let value = u64::from(value) | PartSel::PARTID_SEL.get(selected.into()) << 32 | ris << 48;
        state.log.add(kind, MsrWrite { sequence: 0, cpu, address, value, changed });
    }

    /// Which group of registers the one at an offset belongs to.
    fn kind(&self, msc: usize, ris: usize, offset: u32) -> Kind {
        let place = self.features.msc[msc].ris.get(ris).and_then(|ris| ris.part_of);
        match offset {
            MbwMin::OFFSET | MbwMax::OFFSET | MbwProp::OFFSET | MbwWinwd::OFFSET | MbwPbm::OFFSET..PAGE_SIZE => {
                Kind::Mba
            }
            Intpartid::OFFSET | Ecr::OFFSET | CaptEvnt::OFFSET => Kind::Config,
            Cmax::OFFSET | Cmin::OFFSET | Cassoc::OFFSET | Pri::OFFSET | Cpbm::OFFSET..MbwPbm::OFFSET => match place {
                Some(place) if place.l2_domain(&self.machine).is_some() => Kind::L2Mask,
                _ => Kind::L3Mask,
            },
            _ => Kind::Select,
        }
    }

    /// Whether a CPU can reach an MSC; takes note if not.
    fn reaches(&self, state: &mut State, cpu: usize, msc: usize) -> bool {
        let component = &self.features.msc[msc];
        let reaches = component.reached_from_l3.is_none_or(|domain| self.machine.topology.l3_domain(cpu) == domain)
            && component.reached_from_cpus.as_ref().is_none_or(|cpus| cpus.contains(&cpu));
        if !reaches {
            state.mscs[msc].strays += 1;
        }
        reaches
    }

    /// Brings memory and interrupts of an MSC up to date with its registers.
    fn refresh(&self, state: &mut State, index: usize, also: u32, now: u64, effects: &mut Effects) {
        let unit = &mut state.mscs[index];
        let address = self.features.address(index);
        let changes = unit.page.refresh(&unit.msc, also, now);
        effects.memory.extend(changes.into_iter().map(|(offset, value)| (address + u64::from(offset), value)));
        let asserted = [unit.msc.error_interrupt(), unit.msc.overflow_interrupt()];
        let component = &self.features.msc[index];
        let numbers = [component.error_interrupt, component.overflow_interrupt];
        for ((number, now), before) in numbers.into_iter().zip(asserted).zip(unit.asserted) {
            effects.interrupts.extend(number.filter(|_| now && !before));
        }
        unit.asserted = asserted;
    }

    /// The MSCs and instances that a request of an L3 domain's CPUs goes through, with the place of each.
    fn instances(&self) -> impl Iterator<Item = (usize, usize, Place)> {
        self.features.msc.iter().enumerate().flat_map(|(msc, component)| {
            let ris = component.ris.iter().enumerate();
            ris.filter_map(move |(ris, instance)| Some((msc, ris, instance.part_of?)))
        })
    }

    // ---- What was written ----

    /// How often registers of a group were written.
    #[must_use]
    pub fn writes(&self, kind: Kind) -> u64 {
        self.state().log.total(kind)
    }
}

#[cfg(test)]
mod tests;
