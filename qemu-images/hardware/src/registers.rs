// SPDX-License-Identifier: GPL-2.0-only
//! Every register of Intel RDT, declared once: address, fields, what is reserved. Those that only AMD has are declared in
//! the same way in a file of their own.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual ("SDM"), volume 3, the chapter that ends with the
//! sections "Intel Resource Director Technology (Intel RDT) Monitoring Features" and "... Allocation Features", volume 4
//! for the addresses and scopes, and volume 2 (CPUID) for the leaves. Sections are cited by title: their numbers move.

use std::fmt;
use std::marker::PhantomData;

/// Bits `high..=low` of register `R`, numbered as the manual does.
pub struct Field<R> {
    high: u32,
    low: u32,
    register: PhantomData<R>,
}

impl<R> Field<R> {
    const fn new(high: u32, low: u32) -> Self {
        assert!(high >= low && high < 64, "a field's bits run from high to low within 64 bits");
        Self { high, low, register: PhantomData }
    }

    /// Largest value the field can hold.
    pub const fn max(&self) -> u64 {
        u64::MAX >> (63 - (self.high - self.low))
    }

    /// The field's bits, in place.
    pub const fn mask(&self) -> u64 {
        self.max() << self.low
    }

    /// What the field holds in a register of this value.
    pub(crate) const fn get(&self, register: u64) -> u64 {
        register >> self.low & self.max()
    }

    /// `value` in place of the field.
    ///
    /// # Panics
    ///
    /// If `value` does not fit: the caller has checked what it puts into a register.
    pub fn encode(&self, value: u64) -> u64 {
        assert!(value <= self.max(), "{value:#x} does not fit bits {}:{}", self.high, self.low);
        value << self.low
    }
}

/// Declares registers: name, address (and how many follow each other), fields as `NAME[high:low]`. What no field names is
/// reserved.
macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident $(@ $address:literal $(x $count:literal)?)? {
        $($(#[$field_doc:meta])* $field:ident [$high:literal : $low:literal]),* $(,)?
    })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq)]
        pub struct $name(pub u64);

        impl $name {
            $(
                /// Address for RDMSR and WRMSR; of the first one where several follow each other.
                pub const ADDRESS: u32 = $address;
                $(
                    /// How many addresses the architecture sets aside.
                    pub const COUNT: u32 = $count;
                )?
            )?
            $( $(#[$field_doc])* pub const $field: Field<$name> = Field::new($high, $low); )*
            /// Bits that belong to a field; every other bit is reserved.
            pub const DEFINED: u64 = 0 $( | Self::$field.mask() )*;

            /// Reads one field.
            pub const fn get(self, field: Field<$name>) -> u64 {
                field.get(self.0)
            }

            /// Sets one field, which is zero so far.
            #[must_use]
            pub fn with(self, field: &Field<$name>, value: u64) -> Self {
                Self(self.0 | field.encode(value))
            }

            /// Tells whether a reserved bit is set.
            pub const fn has_reserved_bits(self) -> bool {
                self.0 | Self::DEFINED != Self::DEFINED
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    $( .field(stringify!($field), &format_args!("{:#x}", self.get(Self::$field))) )*
                    .finish()
            }
        }
    )* };
}

mod amd_pmu;
mod arm_pmu;
mod memory_controller;
mod pmu;
mod processor;
mod qos;
mod telemetry;

pub use amd_pmu::{
    LegacyPerfCtr, LegacyPerfEvtSel, PerfCntrGlobalCtl, PerfCntrGlobalStatus, PerfCntrGlobalStatusClr, PerfCtl,
    PerfCtr, PerfMonEax, PerfMonEbx,
};
pub use arm_pmu::{ArmEvtyper, ArmPmcr};
pub use memory_controller::{ImcBoxCtl, ImcCtl, ImcFixedCtl};
pub use pmu::{
    FixedCtr, FixedCtrCtrl, PerfEvtSel, PerfGlobalCtrl, PerfGlobalOvfCtrl, PerfGlobalStatus, Pmc, PmuEax, PmuEbx,
    PmuEdx, RdpmcEcx,
};
pub use processor::{Midr, ProcessorFeatures, Signature, TopologyEbx, TopologyEcx};
pub use qos::{
    AbmcEax, AbmcEbx, AmdCacheEcx, BandwidthEbx, EvtCfg, ExtendedEbx, ExtendedFeaturesEcx, L3QosAbmcCfg, L3QosAbmcDsc,
    L3QosExtCfg, MbaBandwidth, QmEvtselAmd, SmbaBandwidth, TransactionKinds,
};
pub use telemetry::{
    FeatureEntry, FeatureHeader, RegionEntry, TpmiBus, TpmiCommand, TpmiEntry, TpmiMailbox, TpmiVersion,
};

registers! {
    /// `IA32_L3_QOS_CFG`, per L3 domain (AMD: per thread). "Enabling CDP: Code and Data Prioritization".
    L3QosCfg @ 0xC81 {
        /// The masks of CLOSID `c` are pairs: data at index `2c`, code at `2c + 1`.
        CDP_ENABLE[0:0],
    }

    /// `IA32_L2_QOS_CFG`, per L2 domain (AMD: per thread). "L2 CDP".
    L2QosCfg @ 0xC82 {
        /// As [`L3QosCfg::CDP_ENABLE`], for the L2 masks.
        CDP_ENABLE[0:0],
    }

    /// `IA32_QM_EVTSEL`, per thread: what [`QmCtr`] shows. "Monitoring Resource Selection and Reporting Infrastructure".
    QmEvtsel @ 0xC8D {
        /// 1 occupancy, 2 total and 3 local bandwidth.
        EVENT[7:0],
        /// The RMID to report on, of the L3 domain of this thread. Its width is that of the highest RMID in CPUID; more
        /// than 12 bits no processor has.
        RMID[43:32],
    }

    /// `IA32_QM_CTR`, per thread, read only: the value selected by [`QmEvtsel`].
    QmCtr @ 0xC8E {
        /// In units of CPUID.(0xF,1):EBX bytes.
        DATA[61:0],
        /// The RMID is valid, but there is no data for it.
        UNAVAILABLE[62:62],
        /// RMID or event are not supported.
        ERROR[63:63],
    }

    /// `MSR_RMID_SNC_CONFIG`, per package, on those divided into NUMA nodes. There it is in the place of the seventeenth
    /// [`L3Mask`]. The manual does not have it; the kernel (`arch/x86/include/asm/msr-index.h`) does.
    RmidSncConfig @ 0xCA0 {
        /// As after reset: RMIDs are counted as they are. Clear: a thread's RMID is one of its node's share, and counts at
        /// the same place of that share.
        DISTRIBUTED[0:0],
    }

    /// `IA32_PQR_ASSOC`, per thread: who the thread works for. "Monitoring Resource RMID Association" and "Class of
    /// Service to Logical Processor Association".
    PqrAssoc @ 0xC8F {
        /// Monitoring id, as wide as [`QmEvtsel::RMID`].
        RMID[11:0],
        /// Class of service.
        CLOSID[63:32],
    }

    /// `IA32_L3_MASK_n`, per L3 domain: the ways CLOSID `n` may fill. "Cache Mask Configuration".
    L3Mask @ 0xC90 x 128 {
        /// One bit a share of the cache; only CPUID.(0x10,1):EAX of them exist.
        WAYS[31:0],
    }

    /// `IA32_L2_MASK_n`, per L2 domain.
    L2Mask @ 0xD10 x 64 {
        /// One bit a share of the cache; only CPUID.(0x10,2):EAX of them exist.
        WAYS[31:0],
    }

    /// `IA32_L2_QOS_EXT_BW_THRTL_n`, per L3 domain: the delay of CLOSID `n`. "Memory Bandwidth Allocation Configuration".
    MbaThrottle @ 0xD50 x 64 {
        /// 0 is no delay; at most CPUID.(0x10,3):EAX + 1.
        DELAY[15:0],
    }

    /// CPUID.(4,n):EAX, deterministic cache parameters.
    CacheEax {
        /// 0: no more caches, 3: unified.
        TYPE[4:0],
        /// Level, from 1.
        LEVEL[7:5],
        /// Needs no initialisation by software.
        SELF_INITIALISING[8:8],
        /// Any line may sit in any way.
        FULLY_ASSOCIATIVE[9:9],
        /// APIC ids sharing this cache, rounded up to a power of two, less one.
        SHARING[25:14],
        /// APIC ids of cores in the package, rounded up to a power of two, less one.
        CORES[31:26],
    }

    /// CPUID.(4,n):EBX.
    CacheEbx {
        /// Line size in bytes, less one.
        LINE_SIZE[11:0],
        /// Physical line partitions, less one.
        PARTITIONS[21:12],
        /// Ways, less one.
        WAYS[31:22],
    }

    /// CPUID.(7,0):EBX, only the bits of RDT.
    FeaturesEbx {
        /// RDT monitoring: leaf 0xF counts.
        RDT_M[12:12],
        /// RDT allocation: leaf 0x10 counts.
        RDT_A[15:15],
    }

    /// CPUID.(0xF,0):EDX, resource types with monitoring.
    MonitoringEdx {
        /// L3 cache.
        L3[1:1],
    }

    /// CPUID.(0xF,1):EAX.
    L3MonitoringEax {
        /// Width of a counter, less 24.
        COUNTER_WIDTH[7:0],
    }

    /// CPUID.(0xF,1):EDX, events of L3 monitoring.
    L3MonitoringEdx {
        /// Event 1.
        OCCUPANCY[0:0],
        /// Event 2.
        TOTAL[1:1],
        /// Event 3.
        LOCAL[2:2],
    }

    /// CPUID.(0x10,0):EBX, resources that can be allocated.
    AllocationEbx {
        /// L3 CAT, subleaf 1.
        L3[1:1],
        /// L2 CAT, subleaf 2.
        L2[2:2],
        /// MBA, subleaf 3.
        MBA[3:3],
    }

    /// CPUID.(0x10,1):EAX and CPUID.(0x10,2):EAX.
    CatEax {
        /// Bits of a mask, less one.
        CBM_LEN[4:0],
    }

    /// CPUID.(0x10,1):ECX and CPUID.(0x10,2):ECX.
    CatEcx {
        /// Code and data prioritization is there.
        CDP[2:2],
        /// Masks may have holes.
        NON_CONTIGUOUS[3:3],
    }

    /// CPUID.(0x10,3):EAX.
    MbaEax {
        /// Largest delay, less one.
        MAX_DELAY[11:0],
    }

    /// CPUID.(0x10,3):ECX.
    MbaEcx {
        /// A thread's delay does not follow its sibling's.
        PER_THREAD[0:0],
        /// A delay of n is n percent.
        LINEAR[2:2],
    }

    /// CPUID.(0x10,1..3):EDX.
    ClosidEdx {
        /// Highest CLOSID of the resource.
        MAX_CLOSID[15:0],
    }
}

/// One model specific register of the ranges of RDT and AMD's QoS, decoded from its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Msr {
    /// [`L3QosCfg`].
    L3QosCfg,
    /// [`L2QosCfg`].
    L2QosCfg,
    /// [`QmEvtsel`].
    QmEvtsel,
    /// [`QmCtr`].
    QmCtr,
    /// [`RmidSncConfig`]; [`Msr::at`] does not know it.
    RmidSncConfig,
    /// [`PqrAssoc`].
    PqrAssoc,
    /// [`L3Mask`] of this index.
    L3Mask(usize),
    /// [`L2Mask`] of this index.
    L2Mask(usize),
    /// [`MbaThrottle`] of this index.
    MbaThrottle(usize),
    /// [`MbaBandwidth`] of this index.
    MbaBandwidth(usize),
    /// [`SmbaBandwidth`] of this index.
    SmbaBandwidth(usize),
    /// [`EvtCfg`] of this index: 0 total, 1 local bandwidth.
    EvtCfg(usize),
    /// [`L3QosAbmcCfg`].
    L3QosAbmcCfg,
    /// [`L3QosAbmcDsc`].
    L3QosAbmcDsc,
    /// [`L3QosExtCfg`].
    L3QosExtCfg,
}

impl Msr {
    /// Decodes an address; `None` outside the ranges.
    pub fn at(address: u32) -> Option<Self> {
        let index = |base: u32, count: u32| {
            address.checked_sub(base).filter(|offset| *offset < count).map(|offset| offset as usize)
        };
        Some(match address {
            L3QosCfg::ADDRESS => Self::L3QosCfg,
            L2QosCfg::ADDRESS => Self::L2QosCfg,
            QmEvtsel::ADDRESS => Self::QmEvtsel,
            QmCtr::ADDRESS => Self::QmCtr,
            PqrAssoc::ADDRESS => Self::PqrAssoc,
            L3QosAbmcCfg::ADDRESS => Self::L3QosAbmcCfg,
            L3QosAbmcDsc::ADDRESS => Self::L3QosAbmcDsc,
            L3QosExtCfg::ADDRESS => Self::L3QosExtCfg,
            MbaBandwidth::ADDRESS.. => {
                if let Some(n) = index(MbaBandwidth::ADDRESS, MbaBandwidth::COUNT) {
                    Self::MbaBandwidth(n)
                } else if let Some(n) = index(SmbaBandwidth::ADDRESS, SmbaBandwidth::COUNT) {
                    Self::SmbaBandwidth(n)
                } else {
                    Self::EvtCfg(index(EvtCfg::ADDRESS, EvtCfg::COUNT)?)
                }
            }
            _ => {
                if let Some(n) = index(L3Mask::ADDRESS, L3Mask::COUNT) {
                    Self::L3Mask(n)
                } else if let Some(n) = index(L2Mask::ADDRESS, L2Mask::COUNT) {
                    Self::L2Mask(n)
                } else {
                    Self::MbaThrottle(index(MbaThrottle::ADDRESS, MbaThrottle::COUNT)?)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cover_the_bits_the_manual_gives_them() {
        let select = QmEvtsel(0x0000_03ff_0000_0002);
        assert_eq!(select.get(QmEvtsel::RMID), 0x3ff);
        assert_eq!(select.get(QmEvtsel::EVENT), 2);
        assert!(!select.has_reserved_bits());
        assert!(QmEvtsel(1 << 44).has_reserved_bits());
        assert!(QmEvtsel(1 << 8).has_reserved_bits());
        assert_eq!(PqrAssoc::DEFINED, 0xffff_ffff_0000_0fff);
        assert_eq!(QmCtr::DEFINED, u64::MAX);
    }

    #[test]
    fn every_address_of_the_ranges_decodes_and_their_neighbours_do_not() {
        assert_eq!(Msr::at(0xc80), None);
        assert_eq!(Msr::at(0xc83), None);
        assert_eq!(Msr::at(0xc8c), None);
        assert_eq!(Msr::at(0xc8f), Some(Msr::PqrAssoc));
        assert_eq!(Msr::at(0xc90), Some(Msr::L3Mask(0)));
        assert_eq!(Msr::at(0xd0f), Some(Msr::L3Mask(127)));
        assert_eq!(Msr::at(0xd10), Some(Msr::L2Mask(0)));
        assert_eq!(Msr::at(0xd4f), Some(Msr::L2Mask(63)));
        assert_eq!(Msr::at(0xd50), Some(Msr::MbaThrottle(0)));
        assert_eq!(Msr::at(0xd8f), Some(Msr::MbaThrottle(63)));
        assert_eq!(Msr::at(0xd90), None);
    }

    #[test]
    fn addresses_of_amd_decode_and_their_neighbours_do_not() {
        assert_eq!(Msr::at(0xc000_01ff), None);
        assert_eq!(Msr::at(0xc000_0200), Some(Msr::MbaBandwidth(0)));
        assert_eq!(Msr::at(0xc000_027f), Some(Msr::MbaBandwidth(127)));
        assert_eq!(Msr::at(0xc000_0280), Some(Msr::SmbaBandwidth(0)));
        // The registers of performance monitoring lie behind.
        assert_eq!(Msr::at(0xc000_0300), None);
        assert_eq!(Msr::at(0xc000_03fc), None);
        assert_eq!(Msr::at(0xc000_03fd), Some(Msr::L3QosAbmcCfg));
        assert_eq!(Msr::at(0xc000_03fe), Some(Msr::L3QosAbmcDsc));
        assert_eq!(Msr::at(0xc000_03ff), Some(Msr::L3QosExtCfg));
        assert_eq!(Msr::at(0xc000_0401), Some(Msr::EvtCfg(1)));
        assert_eq!(Msr::at(0xc000_0402), None);
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_value_too_large_for_its_field_is_refused() {
        let _ = CatEax::default().with(&CatEax::CBM_LEN, 32);
    }
}
