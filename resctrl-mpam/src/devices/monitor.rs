// SPDX-License-Identifier: GPL-2.0-only
//! Monitors: telling one what to count, reading it.

use super::msc::{Access, Ris};
use crate::Msc;
use crate::registers::{Csu, CsuCtl, CsuFlt, MbwuCtl, TYPE_CSU};

/// How long it is since monitors were told what to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Perhaps not at all.
    NotYet,
    /// The time-out of the class: what claims not to be ready though it always is then is not believed.
    TimeOut,
}

/// The count of a monitor is not to be relied on yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotReady;

impl<M: Msc> Access<'_, M> {
    /// Tells a usage monitor to count what a PARTID and PMG hold, unless it does already, and reads it: bytes.
    ///
    /// # Errors
    /// [`NotReady`] for up to the MSC's time-out after the monitor was told something new.
    pub fn read_csu(&self, ris: &Ris, monitor: u16, partid: u16, pmg: u8) -> Result<u64, NotReady> {
        self.tell_csu(ris, monitor, partid, pmg);
        let value = self.read(Csu::OFFSET);
        if Csu::NRDY.of(value) != 0 { Err(NotReady) } else { Ok(Csu::VALUE.of(value).into()) }
    }

    /// [`Access::read_csu`] for a monitor whose not-ready bit means nothing, after the time-out.
    pub(crate) fn read_csu_regardless(&self, ris: &Ris, monitor: u16, partid: u16, pmg: u8) -> u64 {
        self.tell_csu(ris, monitor, partid, pmg);
        Csu::VALUE.of(self.read(Csu::OFFSET)).into()
    }

    fn tell_csu(&self, ris: &Ris, monitor: u16, partid: u16, pmg: u8) {
        let filter = CsuFlt::PARTID.word(partid.into()) | CsuFlt::PMG.word(pmg.into());
        let control = CsuCtl::TYPE.word(TYPE_CSU) | MbwuCtl::MATCH_PARTID.word(1) | MbwuCtl::MATCH_PMG.word(1);
        let enabled = control | MbwuCtl::EN.word(1);
        self.select_monitor(ris.index, monitor);
        // A new configuration makes the monitor not ready, so the same one again is not written.
        if self.read(CsuFlt::OFFSET) != filter || self.read(CsuCtl::OFFSET) != enabled {
            self.write(CsuFlt::OFFSET, filter);
            self.write(CsuCtl::OFFSET, control);
            self.write(CsuCtl::OFFSET, enabled);
        }
    }
}
