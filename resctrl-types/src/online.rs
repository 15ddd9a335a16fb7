// SPDX-License-Identifier: GPL-2.0-only
//! The CPUs that are online as a mutex knows them: while it is held, none of them goes.
//!
//! Workers do not hold CPU hotplug off, and need not. A CPU goes offline through a callback that takes the mutex and takes the
//! CPU out of this set. Whoever holds the mutex and finds a CPU in the set knows that the callback has not passed, and cannot
//! before the mutex is released; and until it has returned the CPU serves its workers and its interrupts.

use crate::context::{BoundTo, HotplugCpu, Pinned};
use crate::cpumask::CpuMask;
use crate::errno::Result;
use crate::ids::CpuId;
use crate::locked::{Key, MutexHeld};

/// The CPUs that have been reported online and not yet offline: what the mutex of a key keeps.
///
/// Only hotplug callbacks change it, each for its own CPU, and both must, with the mutex held: [`OnlineCpus::come`] and
/// [`OnlineCpus::go`].
#[derive(Debug)]
pub struct OnlineCpus {
    key: u64,
    cpus: CpuMask,
}

impl OnlineCpus {
    /// None yet, kept by the mutex of `key`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(key: &Key, nr_cpu_ids: u32) -> Result<Self> {
        Ok(OnlineCpus { key: key.number(), cpus: CpuMask::new(nr_cpu_ids)? })
    }

    /// A CPU has come.
    ///
    /// # Errors
    /// `ERANGE` for one that is not possible.
    pub fn come(&mut self, cpu: HotplugCpu<'_>) -> Result<()> {
        self.cpus.set(cpu.cpu())
    }

    /// A CPU is about to go.
    pub fn go(&mut self, cpu: HotplugCpu<'_>) {
        self.cpus.clear(cpu.cpu());
    }

    /// Which they are.
    #[must_use]
    pub const fn mask(&self) -> &CpuMask {
        &self.cpus
    }

    /// Whether `cpu` is one of them and stays one, because the mutex that is held is the one that keeps them.
    #[must_use]
    pub fn keeps(&self, cpu: CpuId, held: MutexHeld<'_>) -> bool {
        self.is_kept_by(held) && self.cpus.contains(cpu)
    }

    /// Whether the mutex that is held is the one that keeps them.
    pub(crate) fn is_kept_by(&self, held: MutexHeld<'_>) -> bool {
        held.number() == self.key
    }
}

impl<'a> BoundTo<'a> {
    /// The proof of running on this CPU for as long as the mutex is held; `None` when the CPU has been reported offline, or
    /// when it is not this mutex that keeps `online`.
    #[must_use]
    pub fn pin<'k>(self, online: &OnlineCpus, held: MutexHeld<'k>) -> Option<Pinned<'k>>
    where
        'a: 'k,
    {
        // SAFETY: the CPU's offline callback takes it out of the set with the mutex held (what `OnlineCpus` asks of its
        // owner). It has not done so yet, and cannot while the mutex is held; so the thread stays where it is.
        online.keeps(self.cpu(), held).then(|| unsafe { Pinned::new(self.cpu()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locked::LockedBy;

    fn callback(cpu: u32) -> HotplugCpu<'static> {
        // SAFETY: there are no CPUs here, nor registers that would be read.
        unsafe { HotplugCpu::new(CpuId(cpu)) }
    }

    fn worker(cpu: u32) -> BoundTo<'static> {
        // SAFETY: as above.
        unsafe { BoundTo::new(CpuId(cpu)) }
    }

    #[test]
    fn a_worker_is_pinned_to_its_cpu_until_that_is_reported_offline() {
        let mut key = Key::new();
        let domain = LockedBy::new(&key, 7);
        let mut online = OnlineCpus::new(&key, 4).unwrap();
        online.come(callback(2)).unwrap();

        let (_, held) = domain.get_mut_held(&mut key);
        assert_eq!(worker(2).pin(&online, held).map(Pinned::cpu), Some(CpuId(2)));
        assert!(worker(1).pin(&online, held).is_none(), "never online");
        online.go(callback(2));
        assert!(worker(2).pin(&online, held).is_none(), "gone");
    }

    #[test]
    fn another_mutex_proves_nothing() {
        let (key, other) = (Key::new(), Key::new());
        let mut online = OnlineCpus::new(&key, 4).unwrap();
        online.come(callback(2)).unwrap();
        assert!(worker(2).pin(&online, other.held()).is_none());
        assert!(worker(2).pin(&online, key.held()).is_some());
    }
}
