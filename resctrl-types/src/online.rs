// SPDX-License-Identifier: GPL-2.0-only
//! How a mutex knows each CPU to stand: while it is held, none that is online goes.
//!
//! Workers do not hold CPU hotplug off, and need not. A CPU goes offline through a callback that takes the mutex and follows an
//! edge away from [`Life::Online`]. Whoever holds the mutex and finds a CPU online knows that the callback has not passed, and
//! cannot before the mutex is released; and until it has returned the CPU serves its workers and its interrupts.

use crate::context::{BoundTo, Here, HotplugCpu, Pinned};
use crate::cpu::{Edge, Life};
use crate::cpumask::CpuMask;
use crate::errno::Result;
use crate::ids::CpuId;
use crate::locked::{Key, MutexHeld};
use crate::mem::KVec;

/// The life of every possible CPU: what the mutex of a key keeps.
///
/// Edges to [`Life::Online`] are followed with a proof of running on the CPU. Those away from it must be followed by the callback
/// that tells of them, with the mutex held.
///
/// # Invariants
/// `members` are the CPUs whose [`Life::is_member`].
#[derive(Debug)]
pub struct OnlineCpus {
    key: u64,
    lives: KVec<Life>,
    members: CpuMask,
}

impl OnlineCpus {
    /// All offline, kept by the mutex of `key`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(key: &Key, nr_cpu_ids: u32) -> Result<Self> {
        let lives = KVec::from_fn(CpuId(nr_cpu_ids).index(), |_| Life::Offline)?;
        Ok(OnlineCpus { key: key.number(), lives, members: CpuMask::new(nr_cpu_ids)? })
    }

    /// How it stands to a CPU. One that is not possible is offline.
    #[must_use]
    pub fn of(&self, cpu: CpuId) -> Life {
        self.lives.get(cpu.index()).copied().unwrap_or_default()
    }

    /// Whether this would lead anywhere: see [`Life::after`].
    #[must_use]
    pub fn can(&self, cpu: CpuId, edge: Edge) -> bool {
        self.of(cpu).after(edge).is_some()
    }

    /// A CPU has come. False, and nothing happens, where that leads nowhere.
    pub fn come(&mut self, cpu: HotplugCpu<'_>) -> bool {
        self.follow(cpu.cpu(), Edge::Come)
    }

    /// A CPU is back from the system's sleep. False, and nothing happens, where that leads nowhere.
    pub fn resume(&mut self, here: Here<'_>) -> bool {
        self.follow(here.cpu(), Edge::Resume)
    }

    /// A CPU is about to stop, or is not used any more, by one of the edges away from [`Life::Online`]. False, and nothing happens,
    /// where that leads nowhere.
    pub fn leave(&mut self, cpu: CpuId, edge: Edge) -> bool {
        !matches!(edge, Edge::Come | Edge::Resume) && self.follow(cpu, edge)
    }

    fn follow(&mut self, cpu: CpuId, edge: Edge) -> bool {
        let Some(life) = self.lives.get_mut(cpu.index()) else { return false };
        let Some(next) = life.after(edge) else { return false };
        *life = next;
        if next.is_member() {
            // There is a bit for each possible CPU.
            let _ = self.members.set(cpu);
        } else {
            self.members.clear(cpu);
        }
        true
    }

    /// Whether some CPU of `cpus` can be crossed to.
    #[must_use]
    pub fn reaches(&self, cpus: &CpuMask) -> bool {
        cpus.iter().any(|cpu| self.of(cpu) == Life::Online)
    }

    /// Whether the hardware has failed: then it has for every CPU.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.lives.contains(&Life::Failed)
    }

    /// All possible CPUs.
    pub fn possible(&self) -> impl Iterator<Item = CpuId> + use<> {
        (0..self.members.nr_cpu_ids()).map(CpuId)
    }

    /// The CPUs that are in their groups and domains. While commands run, those that are online.
    #[must_use]
    pub const fn mask(&self) -> &CpuMask {
        &self.members
    }

    /// Whether `cpu` is online and stays so, because the mutex that is held is the one that keeps them.
    #[must_use]
    pub fn keeps(&self, cpu: CpuId, held: MutexHeld<'_>) -> bool {
        self.is_kept_by(held) && self.of(cpu) == Life::Online
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
    fn hardware_has_not_failed_before_it_does() {
        assert!(!OnlineCpus::new(&Key::new(), 4).unwrap().failed());
    }

    #[test]
    fn a_worker_is_pinned_to_its_cpu_until_that_is_reported_offline() {
        let mut key = Key::new();
        let domain = LockedBy::new(&key, 7);
        let mut online = OnlineCpus::new(&key, 4).unwrap();
        assert!(online.come(callback(2)));

        let (_, held) = domain.get_mut_held(&mut key);
        assert_eq!(worker(2).pin(&online, held).map(Pinned::cpu), Some(CpuId(2)));
        assert!(worker(1).pin(&online, held).is_none(), "never online");
        assert!(online.leave(CpuId(2), Edge::Go));
        assert!(worker(2).pin(&online, held).is_none(), "gone");
    }

    #[test]
    fn another_mutex_proves_nothing() {
        let (key, other) = (Key::new(), Key::new());
        let mut online = OnlineCpus::new(&key, 4).unwrap();
        assert!(online.come(callback(2)));
        assert!(worker(2).pin(&online, other.held()).is_none());
        assert!(worker(2).pin(&online, key.held()).is_some());
    }

    #[test]
    fn members_are_those_that_are_online_or_asleep_and_only_those_online_are_kept() {
        let key = Key::new();
        let mut online = OnlineCpus::new(&key, 3).unwrap();
        let here: Here<'_> = callback(2).here().into();
        let all = online.possible().fold(CpuMask::new(3).unwrap(), |mut all, cpu| {
            all.set(cpu).unwrap();
            all
        });
        for (edge, followed, member, reached) in [
            (Edge::Go, false, false, false),
            (Edge::Come, true, true, true),
            (Edge::Suspend, true, true, false),
            (Edge::Go, false, true, false),
            (Edge::Resume, true, true, true),
            (Edge::Suspend, true, true, false),
            (Edge::Lose, true, false, false),
            (Edge::Fail, true, false, false),
            (Edge::Come, false, false, false),
        ] {
            let can = online.can(CpuId(2), edge);
            let was = match edge {
                Edge::Come => online.come(callback(2)),
                Edge::Resume => online.resume(here),
                _ => online.leave(CpuId(2), edge),
            };
            assert_eq!((can, was), (followed, followed), "{edge:?}");
            let keeps = worker(2).pin(&online, key.held()).is_some();
            assert_eq!((online.mask().contains(CpuId(2)), online.reaches(&all), keeps), (member, reached, reached));
        }
        assert!(online.failed());
        assert!(
            !online.leave(CpuId(1), Edge::Come) && !online.leave(CpuId(3), Edge::Fail),
            "not by this way, nor this CPU"
        );
    }
}
