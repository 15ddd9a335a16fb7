// SPDX-License-Identifier: GPL-2.0-only
//! The caches of a machine.

/// A cache as the kernel's cacheinfo describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheInfo {
    /// The id that distinguishes it from others of its level.
    pub id: u32,
    /// Bytes.
    pub size: u32,
}

/// A level of cache that resctrl knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheLevel {
    /// Level 2.
    L2,
    /// Level 3.
    L3,
}
