// SPDX-License-Identifier: GPL-2.0-only
//! Crossing to other CPUs: which of them stay, which of them a domain has, and how to get to one.
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
//! So bound workers of the system's queue, which is what [`Platform::call_on`] uses, are served there until the mutex is
//! let go of. Coming is the same in reverse: workers are bound before the online callback runs.
//!
//! It cannot deadlock: who waits for the other CPU holds the mutex, and what runs there takes no lock of resctrl. The
//! offline callback that waits for the mutex sleeps, and leaves its CPU to the worker.

use core::marker::PhantomData;

use crate::context::{CpusHeld, Here, Pinned};
use crate::cpumask::CpuMask;
use crate::errno::{Errno, Result};
use crate::ids::CpuId;
use crate::locked::MutexHeld;
use crate::online::OnlineCpus;
use crate::platform::Platform;

/// CPUs that do not go while this lives. See [`crate::crossing`].
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

/// The CPUs of a domain, with what it takes to run on one of them.
#[derive(Clone, Copy, Debug)]
pub struct DomainCpus<'a> {
    stay: CpusStay<'a>,
    mask: &'a CpuMask,
    here: Option<Pinned<'a>>,
}

impl<'a> DomainCpus<'a> {
    /// The CPUs of `mask`, from a thread that may run anywhere.
    #[must_use]
    pub fn new(stay: impl Into<CpusStay<'a>>, mask: &'a CpuMask) -> Self {
        DomainCpus { stay: stay.into(), mask, here: None }
    }

    /// The same from a thread that stays on a CPU.
    #[must_use]
    pub const fn from_here(self, here: Pinned<'a>) -> Self {
        DomainCpus { here: Some(here), ..self }
    }

    /// That they stay.
    pub const fn stay(self) -> CpusStay<'a> {
        self.stay
    }

    /// Which they are.
    #[must_use]
    pub const fn mask(self) -> &'a CpuMask {
        self.mask
    }

    /// Where the caller is, if that is a CPU of the domain.
    #[must_use]
    pub fn inside(self) -> Option<Pinned<'a>> {
        self.here.filter(|here| self.mask.contains(here.cpu()))
    }

    /// Runs `f` once on a CPU of the domain: right here, or else in a thread on a CPU that takes unbound work, or else, in
    /// a domain of CPUs that are all to be left alone (`nohz_full`), in an interrupt, which disturbs less.
    ///
    /// # Errors
    /// `ENOENT` for a domain without CPUs, and those of [`Platform::call_on`]; `f` has then not run.
    pub fn on_one<P: Platform>(self, platform: &P, f: &mut (dyn FnMut(Here<'_>) + Send)) -> Result<()> {
        if let Some(here) = self.inside() {
            f(here.into());
            return Ok(());
        }
        let cpu = platform.any_housekeeping(self.mask).ok_or(Errno::ENOENT)?;
        if platform.is_housekeeping(cpu) {
            platform.call_on(self.stay, cpu, &mut |here| f(here.into()))
        } else {
            platform.interrupt(self.stay, cpu, &mut |here| f(here.into()))
        }
    }

    /// Runs `f` once, in a thread, on a CPU of `reach`: right here, or else on one of the domain if possible, or else on
    /// any; among those, rather on one that takes unbound work.
    ///
    /// # Errors
    /// `ENODEV` when none of them is online, and those of [`Platform::call_on`]; `f` has then not run.
    pub fn on_one_of<P: Platform>(
        self,
        platform: &P,
        reach: &CpuMask,
        f: &mut (dyn FnMut(Pinned<'_>) + Send),
    ) -> Result<()> {
        if let Some(here) = self.here.filter(|here| reach.contains(here.cpu())) {
            f(here);
            return Ok(());
        }
        for (inside, housekeeping) in [(true, true), (true, false), (false, true), (false, false)] {
            let wanted = |cpu: &CpuId| {
                self.mask.contains(*cpu) == inside
                    && platform.is_housekeeping(*cpu) == housekeeping
                    && self.stay.includes(*cpu)
            };
            for cpu in reach.iter().filter(wanted) {
                match platform.call_on(self.stay, cpu, f) {
                    Err(Errno::ENODEV) => {}
                    called => return called,
                }
            }
        }
        Err(Errno::ENODEV)
    }
}
