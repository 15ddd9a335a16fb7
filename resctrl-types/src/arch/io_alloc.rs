// SPDX-License-Identifier: GPL-2.0-only
//! A part of a cache for devices.

use super::domains::Domains;
use crate::context::CpusHeld;
use crate::cpumask::CpuMask;
use crate::errno::{Errno, Result};
use crate::ids::ResourceId;
use crate::platform::Platform;
use crate::switch::Switch;

/// A class of service for devices. An architecture that has none leaves everything as it is.
pub trait IoAlloc<P: Platform>: Domains {
    /// Whether devices fill this cache through a CLOSID of their own, the highest of the resource; `None` where it cannot.
    /// The capability is constant. AMD SDCIAE (APM vol. 2, "L3 Smart Data Cache Injection Allocation Enforcement").
    fn io_alloc(&self, _resource: ResourceId) -> Option<bool> {
        None
    }

    /// Decides whether devices do, also for CPUs and domains that come online later. The caller then calls
    /// [`IoAlloc::program_io_alloc`] for every control domain of the resource.
    ///
    /// # Errors
    /// `EINVAL` when the resource cannot, or the architecture's; nothing changed. Disabling what can be enabled cannot fail.
    fn set_io_alloc(&self, _resource: ResourceId, _enable: Switch) -> Result<()> {
        Err(Errno::EINVAL)
    }

    /// Brings one domain in line with [`IoAlloc::set_io_alloc`].
    fn program_io_alloc(
        &self,
        _platform: &P,
        _cpus: CpusHeld<'_>,
        _resource: ResourceId,
        _domain: &mut Self::CtrlDomain,
        _mask: &CpuMask,
    ) {
    }
}
