// SPDX-License-Identifier: GPL-2.0-only
//! Domains: what each holds of the architecture, and how it begins.

use super::values::EachCounting;
use crate::context::{Here, HotplugCpu};
use crate::errno::Result;
use crate::ids::{DomainId, ResourceId};

/// What domains hold of the architecture, and what happens to them.
pub trait Domains: Sized + Send + Sync + 'static {
    /// What a control domain holds of this architecture: at least the control values last programmed.
    type CtrlDomain: Send + 'static;
    /// What a monitor domain holds of this architecture: at least the state that turns counters of limited width into
    /// running totals.
    type MonDomain: Send + Sync + 'static;

    /// Makes the control domain `id` around its first CPU: enables CDP as it is set, programs every CLOSID with the
    /// default, or (see [`Controls::reset_away`](crate::arch::Controls::reset_away)) leaves it the value that it had before the domain's last CPU went.
    ///
    /// # Errors
    /// `ENOMEM`; the domain then does not exist, the CPU still comes online.
    fn ctrl_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, id: DomainId) -> Result<Self::CtrlDomain>;

    /// Another CPU joins an existing control domain.
    fn ctrl_domain_join(&self, cpu: HotplugCpu<'_>, resource: ResourceId, domain: &mut Self::CtrlDomain);

    /// Makes the monitor domain `id` around its first CPU. Nothing has been counted in it.
    ///
    /// # Errors
    /// `ENOMEM`; the domain then does not exist, the CPU still comes online.
    fn mon_domain_online(&self, cpu: HotplugCpu<'_>, resource: ResourceId, id: DomainId) -> Result<Self::MonDomain>;

    /// The first CPU of a control domain is back: writes every register of the domain from memory, whatever it holds.
    fn ctrl_domain_resume(&self, here: Here<'_>, resource: ResourceId, domain: &mut Self::CtrlDomain);

    /// The last CPU of a monitor domain is about to stop: takes in what `counting` shows, and puts aside whatever of the domain
    /// is kept in its registers alone.
    fn mon_domain_suspend(&self, here: Here<'_>, domain: &mut Self::MonDomain, counting: EachCounting<'_>);

    /// The first CPU of a monitor domain is back: writes every register of the domain from memory, whatever it holds. Each count
    /// goes on from where [`Domains::mon_domain_suspend`] took it in, wherever the hardware begins.
    fn mon_domain_resume(&self, here: Here<'_>, domain: &mut Self::MonDomain, counting: EachCounting<'_>);
}
