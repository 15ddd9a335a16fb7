// SPDX-License-Identifier: GPL-2.0-only
//! CPUs that stay: what has to be known before anything is sent to another.
//!
//! Whoever sends work to another CPU must know that it does not go offline in the middle. There are two ways to know, and
//! [`CpusStay`] is either:
//!
//! * CPU hotplug is held off ([`CpusHeld`]): no CPU goes. Commands and hotplug callbacks have that.
//! * The mutex is held that both hotplug callbacks take, and the CPU is in a set ([`OnlineCpus`]) which its online callback
//!   put it into and its offline callback takes it out of, under that mutex. Workers have that.
//!
//! # Why the second is enough
//!
//! A CPU is in the set, and the mutex is held: so its offline callback has not taken the mutex, or its online callback has
//! let go of it already. A CPU that goes runs the callbacks of higher states first, in a thread of its own, and waits for
//! each. This one (`CPUHP_AP_ONLINE_DYN`) waits for the mutex, and before it has returned, nothing below it happens: not
//! the unbinding of the CPU's workers (`CPUHP_AP_WORKQUEUE_ONLINE`), not the end of its interrupts (`CPUHP_TEARDOWN_CPU`).
//! So bound workers of the system's queue, which is what [`Platform::call_on`](crate::Platform::call_on) uses, are served there until the mutex is
//! let go of. Coming is the same in reverse: workers are bound before the online callback runs.
//!
//! It cannot deadlock: who waits for the other CPU holds the mutex, and what runs there takes no lock of resctrl. The
//! offline callback that waits for the mutex sleeps, and leaves its CPU to the worker.

use core::marker::PhantomData;

use crate::context::CpusHeld;
use crate::cpumask::CpuMask;
use crate::ids::CpuId;
use crate::locked::MutexHeld;
use crate::online::OnlineCpus;

/// CPUs that do not go while this lives. See [`crate::stay`].
#[derive(Clone, Copy, Debug)]
#[must_use = "it proves something only to whoever asks for it"]
pub enum CpusStay<'a> {
    /// No CPU comes or goes at all.
    All(CpusHeld<'a>),
    /// Those of a set do not go.
    Reported(Reported<'a>),
}

/// CPUs that have been reported online, under the mutex without which they cannot be reported offline.
#[derive(Clone, Copy, Debug)]
pub struct Reported<'a> {
    cpus: &'a CpuMask,
    /// Neither `Send` nor `Sync`: the mutex is this thread's.
    scope: PhantomData<*const ()>,
}

impl OnlineCpus {
    /// That they stay for as long as the mutex is held.
    ///
    /// # Panics
    /// With another mutex than the one that keeps them: a mistake of the programmer, not reachable by input.
    pub fn stay<'a>(&'a self, held: MutexHeld<'a>) -> CpusStay<'a> {
        assert!(self.is_kept_by(held), "CPUs that another mutex keeps");
        CpusStay::Reported(Reported { cpus: self.mask(), scope: PhantomData })
    }
}

impl<'a> From<CpusHeld<'a>> for CpusStay<'a> {
    fn from(cpus: CpusHeld<'a>) -> Self {
        CpusStay::All(cpus)
    }
}

impl CpusStay<'_> {
    /// Whether `cpu` may be called: not if it may go meanwhile. One that may be called can still be offline, and is then
    /// refused, if hotplug is held off.
    #[must_use]
    pub fn includes(self, cpu: CpuId) -> bool {
        match self {
            CpusStay::All(_) => true,
            CpusStay::Reported(reported) => reported.cpus.contains(cpu),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::locked::Key;

    #[test]
    fn of_those_that_a_mutex_keeps_only_the_online_stay_and_with_hotplug_held_off_all_do() {
        let key = Key::new();
        let mut online = OnlineCpus::new(&key, 4).unwrap();
        // SAFETY: there are no CPUs here, nor registers that would be read.
        let callback = unsafe { crate::context::HotplugCpu::new(CpuId(2)) };
        assert!(online.come(callback));
        let stay = online.stay(key.held());
        assert_eq!([1, 2, 3].map(|cpu| stay.includes(CpuId(cpu))), [false, true, false]);
        let all = CpusStay::from(callback.cpus());
        assert_eq!([1, 2, 3].map(|cpu| all.includes(CpuId(cpu))), [true; 3]);
    }

    #[test]
    #[should_panic = "CPUs that another mutex keeps"]
    fn another_mutex_keeps_none() {
        let online = OnlineCpus::new(&Key::new(), 4).unwrap();
        let _ = online.stay(Key::new().held());
    }
}
