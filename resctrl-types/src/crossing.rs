// SPDX-License-Identifier: GPL-2.0-only
//! Crossing to other CPUs: which of them a domain has, and how to get to one of those that [stay](crate::stay).

use crate::context::{Here, Pinned};
use crate::cpumask::CpuMask;
use crate::errno::{Errno, Result};
use crate::ids::CpuId;
use crate::platform::Platform;
use crate::stay::CpusStay;

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

    /// Runs `f` once on a CPU of the domain: right here, or else in a thread on a CPU that takes unbound work, the caller's own
    /// if it happens to be there, or else, in a domain of CPUs that are all to be left alone (`nohz_full`), in an interrupt, which
    /// disturbs less.
    ///
    /// # Errors
    /// `ENOENT` for a domain without CPUs, and those of [`Platform::call_on`]; `f` has then not run.
    pub fn on_one<P: Platform>(self, platform: &P, f: &mut (dyn FnMut(Here<'_>) + Send)) -> Result<()> {
        if let Some(here) = self.inside() {
            f(here.into());
            return Ok(());
        }
        let here = self.likely_here(platform, self.mask).filter(|&here| platform.is_housekeeping(here));
        let cpu = here.or_else(|| platform.any_housekeeping(self.mask)).ok_or(Errno::ENOENT)?;
        if platform.is_housekeeping(cpu) {
            platform.call_on(self.stay, cpu, &mut |here| f(here.into()))
        } else {
            platform.interrupt(self.stay, cpu, &mut |here| f(here.into()))
        }
    }

    /// Where the caller happens to be, if that is a CPU of `reach` which stays: who is there already need not wait for another
    /// thread.
    fn likely_here<P: Platform>(self, platform: &P, reach: &CpuMask) -> Option<CpuId> {
        // Whoever is bound is known not to be.
        let free = self.here.is_none();
        free.then(|| platform.likely_here()).flatten().filter(|&here| reach.contains(here) && self.stay.includes(here))
    }

    /// Runs `f` once on a CPU of the domain for so short a time that an interrupt costs less than waiting for a thread: right
    /// here, or where the caller happens to be, or else on a CPU that takes unbound work, or else on any.
    ///
    /// # Errors
    /// `ENOENT` for a domain without CPUs, and those of [`Platform::interrupt`]; `f` has then not run.
    pub fn on_one_briefly<P: Platform>(self, platform: &P, f: &mut (dyn FnMut(Here<'_>) + Send)) -> Result<()> {
        if let Some(here) = self.inside() {
            f(here.into());
            return Ok(());
        }
        let here = self.likely_here(platform, self.mask);
        let cpu = here.or_else(|| platform.any_housekeeping(self.mask)).ok_or(Errno::ENOENT)?;
        platform.interrupt(self.stay, cpu, &mut |here| f(here.into()))
    }

    /// Runs `f` once, in a thread, on a CPU of `reach`: right here, or where the caller happens to be, or else on one of the domain
    /// if possible, or else on any; among those, rather on one that takes unbound work.
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
        if let Some(cpu) = self.likely_here(platform, reach) {
            match platform.call_on(self.stay, cpu, f) {
                Err(Errno::ENODEV) => {}
                called => return called,
            }
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
