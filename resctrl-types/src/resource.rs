// SPDX-License-Identifier: GPL-2.0-only
//! What can be shared out: resources, their control and their monitor half.
//!
//! A resource may be controllable, monitorable or both, and each half has domains of its own (an L3 is controlled per
//! cache but may be monitored per NUMA node; memory bandwidth is controlled and monitored through the L3's monitors).
//! A half that the machine lacks is `None`, not a flag beside meaningless numbers.

use crate::event::EventSet;

/// Which half of a CDP-enabled cache a control value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfType {
    /// Code and data alike: CDP is off, or the resource knows no CDP.
    Both,
    /// Instruction fetches.
    Code,
    /// Data accesses.
    Data,
}

impl ConfType {
    /// What the schema name gets appended.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            ConfType::Both => "",
            ConfType::Code => "CODE",
            ConfType::Data => "DATA",
        }
    }

    /// The other half under CDP, or itself without.
    #[must_use]
    pub const fn peer(self) -> ConfType {
        match self {
            ConfType::Both => ConfType::Both,
            ConfType::Code => ConfType::Data,
            ConfType::Data => ConfType::Code,
        }
    }
}

/// Which CPUs share one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The CPUs that share a level 2 cache; the id is the cache's.
    L2Cache,
    /// The CPUs that share a level 3 cache; the id is the cache's.
    L3Cache,
    /// The CPUs of a NUMA node; the id is the node number.
    Node,
    /// The CPUs of a package; the id is the package's.
    Package,
}

/// The control half of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Which CPUs share a control domain.
    pub scope: Scope,
    /// How many CLOSIDs the hardware has for this resource, CDP off. At least 1.
    pub num_closid: u32,
    /// Whether code and data can be told apart.
    pub cdp_capable: bool,
    /// What a control value means.
    pub kind: ControlKind,
}

/// What a control value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// A capacity bit mask.
    Cache(CacheControl),
    /// An amount of bandwidth.
    Bandwidth(BandwidthControl),
}

/// Parameters of a capacity bit mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheControl {
    /// Bits in a mask, `1..=32`.
    pub cbm_len: u32,
    /// How many bits the lowest run of a mask needs; 0 where the empty mask is legal.
    pub min_cbm_bits: u32,
    /// Bits that hardware other than the CPUs may also fill.
    pub shareable_bits: u32,
    /// Whether masks may have gaps.
    pub sparse_masks: bool,
}

impl CacheControl {
    /// The mask with every bit set: the default of each CLOSID.
    #[must_use]
    pub const fn full_mask(&self) -> u32 {
        crate::cbm::full(self.cbm_len)
    }
}

/// Parameters of an amount of bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthControl {
    /// Smallest amount that can be asked for, in the unit of the value (percent on Intel and MPAM).
    pub min_bw: u32,
    /// Largest amount, the default of each CLOSID.
    pub max_bw: u32,
    /// Amounts are rounded up to a multiple of this. At least 1.
    pub bw_gran: u32,
    /// Whether the control is linear: what `delay_linear` shows.
    pub delay_linear: bool,
    /// Whether a value can only be used when the control is linear (Intel).
    pub needs_linear: bool,
    /// How hardware combines the values of the threads of a core; `None` where that is not defined.
    pub throttle_mode: Option<ThrottleMode>,
}

/// How hardware combines the bandwidth values of the threads of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThrottleMode {
    /// The smallest amount of the core's threads is applied to all of them.
    Max,
    /// Each thread has its own.
    PerThread,
}

impl Control {
    /// The value each CLOSID has unless told otherwise: the full mask, the largest amount.
    #[must_use]
    pub const fn default_value(&self) -> u32 {
        match self.kind {
            ControlKind::Cache(cache) => cache.full_mask(),
            ControlKind::Bandwidth(bandwidth) => bandwidth.max_bw,
        }
    }
}

/// The monitor half of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Which CPUs share a monitor domain.
    pub scope: Scope,
    /// How many RMIDs there are, as `num_rmids` shows it. At least 1.
    pub num_rmid: u32,
    /// Which events can be read.
    pub events: EventSet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_code_and_data_apart_each_is_the_others_peer_and_has_its_suffix() {
        let all = [ConfType::Both, ConfType::Code, ConfType::Data];
        assert_eq!(all.map(ConfType::suffix), ["", "CODE", "DATA"]);
        assert_eq!(all.map(ConfType::peer), [ConfType::Both, ConfType::Data, ConfType::Code]);
    }

    #[test]
    fn by_default_a_group_may_use_everything() {
        let cache = CacheControl { cbm_len: 11, min_cbm_bits: 2, shareable_bits: 0, sparse_masks: false };
        let bandwidth = BandwidthControl {
            min_bw: 10,
            max_bw: 90,
            bw_gran: 10,
            delay_linear: true,
            needs_linear: false,
            throttle_mode: None,
        };
        let of = |kind| Control { scope: Scope::L3Cache, num_closid: 4, cdp_capable: false, kind }.default_value();
        assert_eq!([of(ControlKind::Cache(cache)), of(ControlKind::Bandwidth(bandwidth))], [0x7ff, 90]);
    }
}
