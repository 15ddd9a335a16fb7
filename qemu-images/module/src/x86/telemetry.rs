// SPDX-License-Identifier: GPL-2.0-only
//! What is counted by package, in regions that the kernel's driver for them has found and mapped.

use core::ptr::NonNull;

use resctrl_x86::{TelemetryFeature, TelemetryRegion, TelemetryRegions};

use super::ffi;

/// `struct resctrl_aet_group`: the regions of a feature.
///
/// # Invariants
/// The group is one of `shim_telemetry_get`, and is given back when this value is dropped.
pub(crate) struct KernelTelemetry(NonNull<ffi::TelemetryGroup>);

// SAFETY: a group does not change; any thread may read its regions, and give it back.
unsafe impl Send for KernelTelemetry {}
// SAFETY: as above.
unsafe impl Sync for KernelTelemetry {}

impl KernelTelemetry {
    /// Every region of a feature. May wait for a module to load.
    pub(super) fn get(feature: TelemetryFeature) -> Option<Self> {
        // INVARIANT: just got.
        NonNull::new(ffi::shim_telemetry_get(feature as u32)).map(KernelTelemetry)
    }
}

impl Drop for KernelTelemetry {
    fn drop(&mut self) {
        // SAFETY: got by the invariant, and nobody refers to it any more.
        unsafe { ffi::shim_telemetry_put(self.0.as_ptr()) };
    }
}

impl TelemetryRegions for KernelTelemetry {
    fn count(&self) -> usize {
        // SAFETY: the group is alive by the invariant.
        unsafe { ffi::shim_telemetry_count(self.0.as_ptr()) }
    }

    fn region(&self, index: usize) -> TelemetryRegion {
        let mut region = ffi::TelemetryRegion::default();
        // What does not exist has no bytes.
        if index < self.count() {
            // SAFETY: the group is alive by the invariant, and has this region; `region` is writable.
            unsafe { ffi::shim_telemetry_region(self.0.as_ptr(), index, &raw mut region) };
        }
        let ffi::TelemetryRegion { guid, package, num_rmids, size } = region;
        TelemetryRegion { guid, package, num_rmids, size }
    }

    fn read(&self, index: usize, offset: usize) -> u64 {
        let is_there = self.region(index).size.checked_sub(8).is_some_and(|last| offset <= last);
        if !is_there || !offset.is_multiple_of(8) {
            return 0;
        }
        // SAFETY: the group is alive by the invariant and has this region, in which the eight bytes are.
        unsafe { ffi::shim_telemetry_read(self.0.as_ptr(), index, offset) }
    }
}
