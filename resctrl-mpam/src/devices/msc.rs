// SPDX-License-Identifier: GPL-2.0-only
//! One MSC as the driver knows it, and the way to its registers.
//!
//! Most registers are about whatever a selector register names, so two users of one MSC at the same time would garble
//! each other's accesses. All users run under the rdtgroup mutex (see [`resctrl_types::Arch`]), which excludes that;
//! [`Access`] makes sure: a second one is refused, it never waits. The error interrupt, which comes whenever it wants,
//! touches no selected register.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use resctrl_types::{CpuMask, Errno, Here, KVec, Result, Switch};

use super::config::Held;
use super::in_use::{InUse, Using};
use super::{Ids, MbwuState, MscError, Props, Quirks};
use crate::Msc;
use crate::acpi::Interrupt;
use crate::registers::{Ecr, Esr, MonSel, PartSel};

/// What an MSC is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassKind {
    /// A cache of this level.
    Cache(u8),
    /// Memory.
    Memory,
    /// Something that is reset and otherwise left alone.
    Unknown,
}

/// One resource instance of an MSC.
#[derive(Debug)]
pub struct Ris {
    /// Its number in the selectors.
    pub index: u8,
    /// What kind of thing it is part of.
    pub class: ClassKind,
    /// Which one of them: cache id, node number.
    pub component: u32,
    /// What it can do.
    pub props: Props,
    /// What its controls are known to hold.
    pub(super) held: Held,
    /// What is known of its bandwidth monitors, by number.
    pub(crate) mbwu: KVec<MbwuState>,
}

impl Ris {
    pub(crate) fn new(index: u8, class: ClassKind, component: u32) -> Ris {
        Ris { index, class, component, props: Props::default(), held: Held::default(), mbwu: KVec::new() }
    }
}

/// One memory system component.
pub struct MscDevice<M> {
    /// Its number in the firmware table.
    pub id: u32,
    /// From where it can be reached. Never empty.
    pub cpus: CpuMask,
    /// Microseconds after which every monitor is ready.
    pub not_ready_us: u32,
    /// Its error interrupt, if it has a usable one.
    pub error_interrupt: Option<Interrupt>,
    /// Labels that it understands.
    pub ids: Ids,
    /// What it does wrong.
    pub quirks: Quirks,
    /// Its resource instances, ascending.
    pub ris: KVec<Ris>,
    pub(crate) registers: M,
    pub(crate) has_errors: bool,
    pub(crate) has_extended_errors: bool,
    /// How many CPUs of `cpus` are online. Without one it may be without power.
    pub(crate) online: AtomicU32,
    in_use: InUse,
    /// T241-MPAM-1: a limit may not have taken effect, and nobody has said so yet.
    pub(super) shadows_differ: AtomicBool,
}

impl<M: Msc> MscDevice<M> {
    /// An MSC that has not been probed.
    pub(crate) fn new(id: u32, registers: M, cpus: CpuMask) -> Self {
        MscDevice {
            id,
            cpus,
            not_ready_us: 0,
            error_interrupt: None,
            ids: Ids { partid_max: u16::MAX, pmg_max: u8::MAX },
            quirks: Quirks::default(),
            ris: KVec::new(),
            registers,
            has_errors: false,
            has_extended_errors: false,
            online: AtomicU32::new(0),
            in_use: InUse::default(),
            shadows_differ: AtomicBool::new(false),
        }
    }

    /// The way to the registers, from a CPU that can reach them.
    ///
    /// # Errors
    /// `EIO` from any other CPU, `EBUSY` while somebody else has it.
    pub fn access<'a>(&'a self, here: Here<'a>) -> Result<Access<'a, M>> {
        if !self.cpus.contains(here.cpu()) {
            return Err(Errno::EIO);
        }
        let using = self.in_use.begin().ok_or(Errno::EBUSY)?;
        Ok(Access { msc: self, here, _using: using })
    }

    /// Whether some CPU that can reach it is online.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.online.load(Ordering::Relaxed) > 0
    }

    /// Nothing is known any more of what its controls hold.
    pub(crate) fn forget_controls(&self) {
        self.ris.iter().for_each(|ris| ris.held.forget());
    }

    /// Lets errors raise the interrupt, or not.
    pub(crate) fn switch_error_interrupt(&self, here: Here<'_>, raise: Switch) {
        if self.has_errors && self.error_interrupt.is_some() {
            self.registers.write32(here, Ecr::OFFSET, Ecr::INTEN.word(raise.is_on().into()));
        }
    }

    /// Takes note of an error and clears it, upper half first: the lower one holds the code. Selects nothing, so it may
    /// interrupt any other access.
    pub(crate) fn take_error(&self, here: Here<'_>) -> Option<MscError> {
        if !self.has_errors {
            return None;
        }
        let high = if self.has_extended_errors { self.registers.read32(here, Esr::OFFSET + 4) } else { 0 };
        let status = u64::from(high) << 32 | u64::from(self.registers.read32(here, Esr::OFFSET));
        let error = MscError::decode(self.id, status)?;
        if self.has_extended_errors {
            self.registers.write32(here, Esr::OFFSET + 4, 0);
        }
        self.registers.write32(here, Esr::OFFSET, 0);
        Some(error)
    }
}

/// The registers of one MSC, used by nobody else meanwhile.
#[must_use = "dropped at once, others use the registers"]
pub struct Access<'a, M: Msc> {
    /// Whose registers.
    pub msc: &'a MscDevice<M>,
    pub(super) here: Here<'a>,
    _using: Using<'a>,
}

impl<M: Msc> Access<'_, M> {
    pub(crate) fn read(&self, offset: u32) -> u32 {
        self.msc.registers.read32(self.here, offset)
    }

    pub(crate) fn write(&self, offset: u32, value: u32) {
        self.msc.registers.write32(self.here, offset, value);
    }

    /// Selects a PARTID of a resource instance for configuration.
    pub(crate) fn select_part(&self, ris: u8, partid: u16) {
        self.write(PartSel::OFFSET, PartSel::RIS.word(ris.into()) | PartSel::PARTID_SEL.word(partid.into()));
    }

    /// Selects an internal PARTID of a resource instance for configuration.
    pub(crate) fn select_internal_part(&self, ris: u8, partid: u16) {
        let internal = PartSel::INTERNAL.word(1);
        self.write(PartSel::OFFSET, internal | PartSel::RIS.word(ris.into()) | PartSel::PARTID_SEL.word(partid.into()));
    }

    /// Selects a monitor of a resource instance.
    pub(crate) fn select_monitor(&self, ris: u8, monitor: u16) {
        self.write(MonSel::OFFSET, MonSel::RIS.word(ris.into()) | MonSel::MON_SEL.word(monitor.into()));
    }
}
