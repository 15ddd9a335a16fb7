// SPDX-License-Identifier: GPL-2.0-only
//! Code and data prioritisation.

use super::domains::Domains;
use crate::context::CpusHeld;
use crate::cpumask::CpuMask;
use crate::errno::Result;
use crate::ids::ResourceId;
use crate::platform::Platform;
use crate::switch::Switch;

/// Telling code and data apart.
pub trait Cdp<P: Platform>: Domains {
    /// Decides whether code and data are told apart. The caller then calls [`Cdp::program_cdp`] for every control
    /// domain of the resource. Control values are not touched, only what their index means: all of them are at their
    /// default when this is called.
    ///
    /// # Errors
    /// `EINVAL` when the resource cannot, `EOPNOTSUPP` when the kernel refuses; nothing changed. Disabling cannot fail.
    fn set_cdp(&self, platform: &P, cpus: CpusHeld<'_>, resource: ResourceId, cdp: Switch) -> Result<()>;

    /// Brings one domain in line with [`Cdp::set_cdp`].
    fn program_cdp(
        &self,
        platform: &P,
        cpus: CpusHeld<'_>,
        resource: ResourceId,
        domain: &mut Self::CtrlDomain,
        mask: &CpuMask,
    );
}
