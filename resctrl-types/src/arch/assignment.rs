// SPDX-License-Identifier: GPL-2.0-only
//! Counters that are assigned, and what events count.

use super::domains::Domains;
use super::values::{Counters, ReadError};
use crate::context::CpusHeld;
use crate::counter::{Counter, CounterAssignment, Transactions};
use crate::cpumask::CpuMask;
use crate::crossing::DomainCpus;
use crate::errno::{Errno, Result};
use crate::event::EventId;
use crate::platform::Platform;
use crate::switch::Switch;

/// Counters that are given to groups, and choosing what an event counts. An architecture that has neither leaves everything as it
/// is.
pub trait Assignment<P: Platform>: Domains {
    /// The counters of the L3 that can be given to groups; `None` where every group is counted. Constant but for their number,
    /// which a setting (CDP) may lower while the file system is mounted.
    fn counters(&self) -> Option<CounterAssignment> {
        None
    }

    /// Whether bandwidth is counted by assigned counters now: the mode `mbm_event`. Where [`Assignment::counters`] is `None`, whether
    /// it would be: an architecture that knows no other way (MPAM) then refuses the mode `default`.
    fn counters_assigned(&self) -> bool {
        false
    }

    /// Decides whether bandwidth is counted by assigned counters, also for CPUs that come online later. The caller then
    /// calls [`Assignment::program_counters_assigned`] for every monitor domain of the L3. Asked for only where
    /// [`CounterAssignment::switchable`] says so.
    ///
    /// # Errors
    /// The architecture's; nothing changed.
    fn set_counters_assigned(&self, _assigned: Switch) -> Result<()> {
        Err(Errno::EINVAL)
    }

    /// Brings one domain in line with [`Assignment::set_counters_assigned`]. All bandwidth counts of the domain are 0 then, and
    /// no counter counts.
    fn program_counters_assigned(
        &self,
        _platform: &P,
        _cpus: CpusHeld<'_>,
        _domain: &mut Self::MonDomain,
        _mask: &CpuMask,
    ) {
    }

    /// Lets a counter of a domain begin to count, from 0, the transactions of `filter`; without a filter, ends that. Not
    /// called for a domain that goes offline: what it held is dropped.
    fn configure_counter(
        &self,
        _platform: &P,
        _cpus: DomainCpus<'_>,
        _domain: &mut Self::MonDomain,
        _counter: Counter,
        _filter: Option<Transactions>,
    ) {
    }

    /// Reads counters of one domain: bytes since each was assigned. Otherwise as [`Monitors::read`](crate::arch::Monitors::read).
    ///
    /// # Errors
    /// As [`Monitors::read`](crate::arch::Monitors::read).
    fn read_counters(
        &self,
        _platform: &P,
        _cpus: DomainCpus<'_>,
        counters: &mut Counters<'_, Self::MonDomain, Counter>,
    ) -> Result<()> {
        counters(&mut |_, _| Some(Err(ReadError::Unassigned)));
        Ok(())
    }

    /// Which transactions a bandwidth event of the L3 can be made to count; `None` where that is not for a user to choose.
    /// Constant. What an event counts can be chosen only while counters are not assigned
    /// ([`Assignment::counters_assigned`]). AMD BMEC (APM vol. 3, `CPUID Fn8000_0020_ECX_x3`).
    fn configurable_transactions(&self, _event: EventId) -> Option<Transactions> {
        None
    }

    /// What an event counts in a domain, from the register of some CPU of it: bits of [`Transactions`]. Asked for only
    /// where [`Assignment::configurable_transactions`] says so.
    ///
    /// # Errors
    /// The architecture's: no CPU of the domain could be asked.
    fn event_config(&self, _platform: &P, _cpus: CpusHeld<'_>, _mask: &CpuMask, _event: EventId) -> Result<u32> {
        Err(Errno::EINVAL)
    }

    /// Chooses what an event counts in a domain: writes the register on some CPU of it, and forgets what was counted of
    /// every bandwidth event for every RMID there, since hardware may begin all of them anew. `config` has no bit outside
    /// [`Assignment::configurable_transactions`].
    ///
    /// # Errors
    /// The architecture's; nothing changed.
    fn set_event_config(
        &self,
        _platform: &P,
        _cpus: CpusHeld<'_>,
        _domain: &mut Self::MonDomain,
        _mask: &CpuMask,
        _event: EventId,
        _config: u32,
    ) -> Result<()> {
        Err(Errno::EINVAL)
    }
}
