// SPDX-License-Identifier: GPL-2.0-only
//! Counters that every RMID has.

use super::domains::Domains;
use super::values::{Counters, ReadError};
use crate::crossing::DomainCpus;
use crate::errno::Result;
use crate::event::EventId;
use crate::ids::{MonId, ResourceId};
use crate::platform::Platform;

/// Reading counters.
pub trait Monitors<P: Platform>: Domains {
    /// What must be allocated before a counter can be read; given back by dropping it.
    type MonContext: Send;

    /// Takes what reading `event` needs. May sleep until one is free.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when there is none or the wait was interrupted.
    fn mon_context(&self, resource: ResourceId, event: EventId) -> Result<Self::MonContext, ReadError>;

    /// Reads the counters of one event of the L3. Bandwidth: bytes since the last [`Monitors::rebase`]; occupancy: bytes now.
    /// `counters` may name several domains if those are parts of one L3 ([`Scope::Node`](crate::resource::Scope)): then
    /// `cpus` are those of all of them, and any will do.
    ///
    /// What belongs to CPUs that are all offline is not there: it adds nothing to an occupancy, and to bandwidth what it had
    /// counted before they went.
    ///
    /// # Errors
    /// `ENOENT` for a domain without CPUs, `ENODEV` or `ENOMEM` when a CPU could not be called: some counters have then been
    /// given nothing.
    fn read(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        event: EventId,
        context: &mut Self::MonContext,
        counters: &mut Counters<'_, Self::MonDomain, MonId>,
    ) -> Result<()>;

    /// Makes 0 of all bandwidth counts of `ids` in a domain: what is counted from now on is added to it. Not asked for while
    /// counters are assigned.
    ///
    /// # Errors
    /// As [`Monitors::read`]; nothing changed.
    fn rebase(
        &self,
        _platform: &P,
        _cpus: DomainCpus<'_>,
        _domain: &mut Self::MonDomain,
        _ids: &mut (dyn Iterator<Item = MonId> + Send),
    ) -> Result<()> {
        Ok(())
    }
}
