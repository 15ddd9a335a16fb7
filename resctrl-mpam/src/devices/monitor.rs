// SPDX-License-Identifier: GPL-2.0-only
//! Monitors: taking one, telling it what to count, reading it.

use core::sync::atomic::{AtomicU32, Ordering};

use resctrl_types::{KVec, Ref, Result};

use super::msc::{Access, Ris};
use crate::Msc;
use crate::registers::{Csu, CsuCtl, CsuFlt, MbwuCtl, TYPE_CSU};

/// Monitors that are free or taken.
#[derive(Debug)]
pub struct MonitorPool(KVec<AtomicU32>);

/// A monitor that nobody else has. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "dropped at once, the monitor is free again"]
pub struct TakenMonitor {
    pool: Ref<MonitorPool>,
    number: u16,
}

impl MonitorPool {
    /// A pool of `count` free monitors.
    pub(crate) fn new(count: u16) -> Result<Ref<MonitorPool>> {
        let words = KVec::from_fn(usize::from(count).div_ceil(32), |word| {
            AtomicU32::new(super::config::ones(count, u16::try_from(word).unwrap_or(u16::MAX)))
        })?;
        Ref::new(MonitorPool(words))
    }

    /// Takes a free monitor; `None` when there is none.
    pub fn take(this: &Ref<MonitorPool>) -> Option<TakenMonitor> {
        for (word, free) in (0_u16..).zip(this.0.iter()) {
            let taken = free.fetch_update(Ordering::Acquire, Ordering::Relaxed, |bits| {
                // Clears the lowest one.
                (bits != 0).then(|| bits & bits.wrapping_sub(1))
            });
            if let Ok(bits) = taken {
                return Some(TakenMonitor {
                    pool: this.clone(),
                    number: word.saturating_mul(32).saturating_add(u16::try_from(bits.trailing_zeros()).unwrap_or(0)),
                });
            }
        }
        None
    }
}

impl TakenMonitor {
    /// Its number in every component of the class.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for TakenMonitor {
    fn drop(&mut self) {
        if let Some(free) = self.pool.0.get(usize::from(self.number) / 32) {
            free.fetch_or(1 << (self.number % 32), Ordering::Release);
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_monitor_is_taken_once_and_comes_back() {
        let pool = MonitorPool::new(33).unwrap();
        let mut taken: Vec<_> = (0..33).map(|_| MonitorPool::take(&pool).unwrap()).collect();
        let mut numbers: Vec<_> = taken.iter().map(TakenMonitor::number).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..33));
        assert!(MonitorPool::take(&pool).is_none());
        let number = taken.pop().map(|monitor| monitor.number());
        assert_eq!(MonitorPool::take(&pool).map(|monitor| monitor.number()), number);
    }

    #[test]
    fn a_pool_of_no_monitors_gives_none() {
        assert!(MonitorPool::take(&MonitorPool::new(0).unwrap()).is_none());
    }
}
