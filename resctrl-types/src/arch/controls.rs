// SPDX-License-Identifier: GPL-2.0-only
//! Control values.

use super::domains::Domains;
use super::values::{Change, Trust};
use crate::context::CpusHeld;
use crate::cpumask::CpuMask;
use crate::crossing::DomainCpus;
use crate::errno::Result;
use crate::ids::{Closid, ResourceId};
use crate::platform::Platform;
use crate::resource::ConfType;

/// Programming control values.
pub trait Controls<P: Platform>: Domains {
    /// The value last programmed.
    fn control_value(
        &self,
        resource: ResourceId,
        domain: &Self::CtrlDomain,
        closid: Closid,
        conf_type: ConfType,
    ) -> u32;

    /// Programs those of `changes` that are not what the registers are taken to hold, all in one crossing to each CPU that is
    /// needed.
    ///
    /// # Errors
    /// The architecture's; x86 has none. Some values may have been written.
    fn apply(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        resource: ResourceId,
        domain: &mut Self::CtrlDomain,
        changes: &[Change],
        trust: Trust,
    ) -> Result<()>;

    /// Programs the default for every CLOSID of the hardware, both halves.
    fn reset(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        resource: ResourceId,
        domain: &mut Self::CtrlDomain,
        mask: &CpuMask,
    );

    /// Programs the default in what belongs to offline CPUs only, and so is in no domain now: for a CLOSID that a new group
    /// gets, or at the end of a mount for every one. For an architecture that goes on with old values when such CPUs come back.
    /// `online` are the CPUs that [`Cpus::cpu_online`](crate::arch::Cpus::cpu_online) has seen come and that have not gone.
    fn reset_away(
        &self,
        _platform: &P,
        _cpus: CpusHeld<'_>,
        _online: &CpuMask,
        _resource: ResourceId,
        _closid: Option<Closid>,
    ) {
    }
}
