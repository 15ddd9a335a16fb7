// SPDX-License-Identifier: GPL-2.0-only
//! Who has which monitor.
//!
//! What somebody has told a monitor is over before somebody else has it.

use resctrl_types::{KVec, Ref, Result};

use crate::atomic::{AtomicU32, Ordering};

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
            AtomicU32::new(super::bits::ones(count, u16::try_from(word).unwrap_or(u16::MAX)))
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
        // Whichever it is: the others stay taken.
        for _ in 0..33 {
            let number = taken.remove(0).number();
            let again = MonitorPool::take(&pool).unwrap();
            assert_eq!(again.number(), number);
            assert!(MonitorPool::take(&pool).is_none());
            taken.push(again);
        }
    }

    #[test]
    fn a_pool_of_no_monitors_gives_none() {
        assert!(MonitorPool::take(&MonitorPool::new(0).unwrap()).is_none());
    }
}
