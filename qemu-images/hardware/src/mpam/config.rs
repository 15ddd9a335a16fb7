// SPDX-License-Identifier: GPL-2.0-only
//! What an MSC implements, and the identification registers that say so.

use serde::{Deserialize, Deserializer};

use super::registers::{CcapIdr, CporIdr, CsumonIdr, Idr, MbwIdr, MbwumonIdr, MsmonIdr, PartidNrwIdr, PriIdr, holding};

/// Interrupts below this number are private to each processor (GIC architecture, 2.2.1 "INTIDs").
pub const FIRST_SHARED_INTERRUPT: u32 = 32;

/// What an MSC implements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MscConfig {
    /// Resource instances, by index: at least one, at most 16. More than one needs `extended`.
    pub ris: Vec<RisConfig>,
    /// `MPAMF_IIDR`.
    pub iidr: u32,
    /// `MPAMF_AIDR`: 0x10 is version 1.0, 0x11 is 1.1, 0x01 is 0.1.
    pub aidr: u32,
    /// `MPAMF_IDR` has an upper half: resource instance selection and the presence of errors are told there.
    pub extended: bool,
    /// Error status and control are there. Always so without `extended`.
    pub error_status: bool,
    /// The error status register tells the resource instance.
    pub extended_error_status: bool,
    /// Software can cause a capture.
    pub local_capture: bool,
}

impl MscConfig {
    /// An MSC of version 1.1 with these resource instances and everything that any MSC can have.
    #[must_use]
    pub fn new(ris: Vec<RisConfig>) -> Self {
        MscConfig {
            ris,
            // No product that is known to have errata.
            iidr: 0x1230_043b,
            aidr: 0x11,
            extended: true,
            error_status: true,
            extended_error_status: true,
            local_capture: true,
        }
    }
}

/// Fraction bits and abilities of cache capacity partitioning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CapacityControls {
    /// Fraction bits, `0..=16`.
    pub bits: u32,
    /// A maximum can be set.
    pub max: bool,
    /// The maximum can be soft.
    pub soft_limit: bool,
    /// A minimum can be set.
    pub min: bool,
    /// Fraction bits of a maximum associativity; 0 where there is none.
    pub associativity_bits: u32,
}

/// Abilities of memory bandwidth partitioning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BandwidthControls {
    /// Fraction bits, `0..=16`; the register can claim more.
    pub bits: u32,
    /// A maximum can be set.
    pub max: bool,
    /// A minimum can be set.
    pub min: bool,
    /// A proportional stride can be set.
    pub proportional: bool,
    /// Bits of the portion bit map; 0 where there is none.
    pub portion_bits: u32,
    /// The window width can be written.
    pub window: bool,
}

/// One of the two priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Priority {
    /// Bits of the priority, `1..=16`.
    pub bits: u32,
    /// 0 is the lowest, not the highest.
    #[serde(default)]
    pub zero_is_low: bool,
}

/// Who manages the not-ready bit of a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// Nobody: the bit is software's to write and read.
    Unmanaged,
    /// Hardware sets it for this many nanoseconds after a change of the monitor's configuration.
    Nanoseconds(u64),
}

impl NotReady {
    /// Reads the field `not_ready_us` of a machine file: microseconds. A machine that has no such field leaves the bit to
    /// software.
    fn from_microseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::Nanoseconds(u64::from(u32::deserialize(deserializer)?) * 1000))
    }

    const fn unmanaged() -> Self {
        Self::Unmanaged
    }
}

/// Cache storage usage monitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UsageMonitors {
    /// How many, at least 1.
    pub count: u16,
    /// Clean lines can be left out.
    #[serde(default)]
    pub exclude_clean: bool,
    /// Values can be captured.
    #[serde(default)]
    pub capture: bool,
    /// Microseconds that a monitor needs; if not given, its not-ready bit is software's alone.
    #[cfg_attr(feature = "schema", schemars(with = "Option<u32>"))]
    #[serde(
        rename = "not_ready_us",
        default = "NotReady::unmanaged",
        deserialize_with = "NotReady::from_microseconds"
    )]
    pub not_ready: NotReady,
}

/// How wide the widest counter of a bandwidth monitor is. Machine files say it in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "u32"))]
#[serde(try_from = "u32")]
pub enum CounterWidth {
    /// 31 bits only.
    Bits31,
    /// A long counter of 44 bits.
    Bits44,
    /// A long counter of 63 bits.
    Bits63,
}

impl TryFrom<u32> for CounterWidth {
    type Error = String;

    fn try_from(bits: u32) -> Result<Self, String> {
        match bits {
            31 => Ok(Self::Bits31),
            44 => Ok(Self::Bits44),
            63 => Ok(Self::Bits63),
            _ => Err(format!("a counter of {bits} bits; there are 31, 44 and 63")),
        }
    }
}

impl CounterWidth {
    /// The largest count.
    #[must_use]
    pub const fn mask(self) -> u64 {
        match self {
            CounterWidth::Bits31 => (1 << 31) - 1,
            CounterWidth::Bits44 => (1 << 44) - 1,
            CounterWidth::Bits63 => (1 << 63) - 1,
        }
    }
}

/// Memory bandwidth usage monitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BandwidthMonitors {
    /// How many, at least 1.
    pub count: u16,
    /// Bits of the widest counter: 31, 44 or 63.
    pub width: CounterWidth,
    /// Reads and writes can be told apart.
    #[serde(default)]
    pub direction: bool,
    /// Values can be captured.
    #[serde(default)]
    pub capture: bool,
    /// Microseconds that a monitor needs; if not given, its not-ready bit is software's alone.
    #[cfg_attr(feature = "schema", schemars(with = "Option<u32>"))]
    #[serde(
        rename = "not_ready_us",
        default = "NotReady::unmanaged",
        deserialize_with = "NotReady::from_microseconds"
    )]
    pub not_ready: NotReady,
    /// Bytes one count stands for: 1, or 64 on a component that counts lines without saying so.
    #[serde(default = "one")]
    pub bytes_per_count: u64,
}

const fn one() -> u64 {
    1
}

/// What one resource instance implements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RisConfig {
    /// Largest PARTID.
    pub partid_max: u16,
    /// Largest PMG.
    pub pmg_max: u8,
    /// Bits of the cache portion bit map; 0 where there is none.
    pub cpor_bits: u32,
    /// Cache capacity partitioning.
    pub capacity: Option<CapacityControls>,
    /// Memory bandwidth partitioning.
    pub bandwidth: Option<BandwidthControls>,
    /// Internal priority.
    pub internal_priority: Option<Priority>,
    /// Downstream priority.
    pub downstream_priority: Option<Priority>,
    /// PARTID narrowing: the largest internal PARTID.
    pub narrowing: Option<u16>,
    /// Cache storage usage monitors.
    pub usage: Option<UsageMonitors>,
    /// Memory bandwidth usage monitors.
    pub traffic: Option<BandwidthMonitors>,
}

impl RisConfig {
    /// An instance which knows so many PARTIDs and PMGs and can do nothing with them.
    #[must_use]
    pub const fn new(partid_max: u16, pmg_max: u8) -> Self {
        RisConfig {
            partid_max,
            pmg_max,
            cpor_bits: 0,
            capacity: None,
            bandwidth: None,
            internal_priority: None,
            downstream_priority: None,
            narrowing: None,
            usage: None,
            traffic: None,
        }
    }

    /// `MPAMF_IDR` of this instance in an MSC with the highest instance `ris_max`.
    pub(super) fn idr(&self, msc: &MscConfig, ris_max: usize) -> u64 {
        let mut idr = holding([
            (Idr::PARTID_MAX, self.partid_max.into()),
            (Idr::PMG_MAX, self.pmg_max.into()),
            (Idr::HAS_CCAP_PART, self.capacity.is_some().into()),
            (Idr::HAS_CPOR_PART, (self.cpor_bits > 0).into()),
            (Idr::HAS_MBW_PART, self.bandwidth.is_some().into()),
            (Idr::HAS_PRI_PART, (self.internal_priority.is_some() || self.downstream_priority.is_some()).into()),
            (Idr::HAS_MSMON, (self.usage.is_some() || self.traffic.is_some()).into()),
            (Idr::HAS_PARTID_NRW, self.narrowing.is_some().into()),
        ]);
        if msc.extended {
            idr |= holding([
                (Idr::EXT, 1),
                (Idr::HAS_RIS, (ris_max > 0).into()),
                (Idr::HAS_ESR, msc.error_status.into()),
                (Idr::HAS_EXTD_ESR, msc.extended_error_status.into()),
                (Idr::RIS_MAX, ris_max as u64),
            ]);
        }
        idr
    }

    /// What the identification register at `offset`, other than `MPAMF_IDR`, reads as.
    pub(super) fn identification(&self, msc: &MscConfig, offset: u32) -> Option<u64> {
        let value = match offset {
            CporIdr::OFFSET => CporIdr::CPBM_WD.put(self.cpor_bits.into()),
            CcapIdr::OFFSET => self.capacity.map_or(0, |capacity| {
                holding([
                    (CcapIdr::CMAX_WD, capacity.bits.into()),
                    (CcapIdr::CASSOC_WD, capacity.associativity_bits.into()),
                    (CcapIdr::HAS_CASSOC, (capacity.associativity_bits > 0).into()),
                    (CcapIdr::HAS_CMIN, capacity.min.into()),
                    (CcapIdr::NO_CMAX, (!capacity.max).into()),
                    (CcapIdr::HAS_CMAX_SOFTLIM, capacity.soft_limit.into()),
                ])
            }),
            MbwIdr::OFFSET => self.bandwidth.map_or(0, |bandwidth| {
                holding([
                    (MbwIdr::BWA_WD, bandwidth.bits.into()),
                    (MbwIdr::HAS_MIN, bandwidth.min.into()),
                    (MbwIdr::HAS_MAX, bandwidth.max.into()),
                    (MbwIdr::HAS_PBM, (bandwidth.portion_bits > 0).into()),
                    (MbwIdr::HAS_PROP, bandwidth.proportional.into()),
                    (MbwIdr::WINDWR, bandwidth.window.into()),
                    (MbwIdr::BWPBM_WD, bandwidth.portion_bits.into()),
                ])
            }),
            PriIdr::OFFSET => {
                let of = |priority: Option<Priority>| {
                    priority.map_or([0; 3], |priority| [1, priority.zero_is_low.into(), priority.bits.into()])
                };
                let (internal, downstream) = (of(self.internal_priority), of(self.downstream_priority));
                holding([
                    (PriIdr::HAS_INTPRI, internal[0]),
                    (PriIdr::INTPRI_0_IS_LOW, internal[1]),
                    (PriIdr::INTPRI_WD, internal[2]),
                    (PriIdr::HAS_DSPRI, downstream[0]),
                    (PriIdr::DSPRI_0_IS_LOW, downstream[1]),
                    (PriIdr::DSPRI_WD, downstream[2]),
                ])
            }
            PartidNrwIdr::OFFSET => self.narrowing.map_or(0, |max| PartidNrwIdr::INTPARTID_MAX.put(max.into())),
            MsmonIdr::OFFSET => holding([
                (MsmonIdr::MSMON_CSU, self.usage.is_some().into()),
                (MsmonIdr::MSMON_MBWU, self.traffic.is_some().into()),
                (MsmonIdr::HAS_LOCAL_CAPT_EVNT, msc.local_capture.into()),
            ]),
            CsumonIdr::OFFSET => self.usage.map_or(0, |usage| {
                holding([
                    (CsumonIdr::NUM_MON, usage.count.into()),
                    (CsumonIdr::HAS_XCL, usage.exclude_clean.into()),
                    (CsumonIdr::CSU_RO, (usage.not_ready != NotReady::Unmanaged).into()),
                    (CsumonIdr::HAS_CAPTURE, usage.capture.into()),
                ])
            }),
            MbwumonIdr::OFFSET => self.traffic.map_or(0, |traffic| {
                holding([
                    (MbwumonIdr::NUM_MON, traffic.count.into()),
                    (MbwumonIdr::HAS_RWBW, traffic.direction.into()),
                    (MbwumonIdr::LWD, (traffic.width == CounterWidth::Bits63).into()),
                    (MbwumonIdr::HAS_LONG, (traffic.width != CounterWidth::Bits31).into()),
                    (MbwumonIdr::HAS_CAPTURE, traffic.capture.into()),
                ])
            }),
            _ => return None,
        };
        Some(value)
    }
}

#[cfg(test)]
mod tests;
