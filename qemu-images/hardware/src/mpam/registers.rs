// SPDX-License-Identifier: GPL-2.0-only
//! Every register of an MSC, declared once: offset and fields.
//!
//! Source: Arm Memory System Resource Partitioning and Monitoring (MPAM) System Component Specification, IHI 0099, chapter
//! "Memory-mapped registers"; the system registers from the Arm Architecture Reference Manual, DDI 0487, "MPAM
//! registers".

use std::ops::BitOr;

/// Bits `high..=low` of a register, numbered as the manual does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    high: u32,
    low: u32,
}

impl Bits {
    pub(super) const fn new(high: u32, low: u32) -> Self {
        assert!(high >= low && high < 64, "a field's bits run from high to low within 64 bits");
        Self { high, low }
    }

    /// The field's bits, in place.
    #[must_use]
    pub const fn mask(self) -> u64 {
        (u64::MAX >> (63 - (self.high - self.low))) << self.low
    }

    /// The field's bits in a register of 32 bits.
    ///
    /// # Panics
    /// For a field above bit 31.
    #[must_use]
    pub const fn mask32(self) -> u32 {
        assert!(self.high < 32, "the field is in the upper half");
        (u32::MAX >> (31 - (self.high - self.low))) << self.low
    }

    /// What the field holds in a register of this value.
    #[must_use]
    pub const fn get(self, register: u64) -> u64 {
        (register & self.mask()) >> self.low
    }

    /// As [`Bits::get`], for a field of at most 16 bits.
    ///
    /// # Panics
    /// For a wider one.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the line above has compared the width")]
    pub const fn get16(self, register: u64) -> u16 {
        assert!(self.high - self.low < 16, "the field has more than 16 bits");
        self.get(register) as u16
    }

    /// As [`Bits::get`], for a field of at most 8 bits.
    ///
    /// # Panics
    /// For a wider one.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the line above has compared the width")]
    pub const fn get8(self, register: u64) -> u8 {
        assert!(self.high - self.low < 8, "the field has more than 8 bits");
        self.get(register) as u8
    }

    /// `value` in place of the field; bits the field has no room for are lost.
    #[must_use]
    pub const fn put(self, value: u64) -> u64 {
        (value << self.low) & self.mask()
    }
}

/// A register that has these values in these fields, and zeros elsewhere.
pub(super) fn holding<const N: usize>(fields: [(Bits, u64); N]) -> u64 {
    fields.into_iter().map(|(field, value)| field.put(value)).fold(0, BitOr::bitor)
}

/// The bits of all these fields.
pub(super) fn places<const N: usize>(fields: [Bits; N]) -> u64 {
    fields.into_iter().map(Bits::mask).fold(0, BitOr::bitor)
}

/// As [`places`], in a register of 32 bits.
pub(super) fn places32<const N: usize>(fields: [Bits; N]) -> u32 {
    fields.into_iter().map(Bits::mask32).fold(0, BitOr::bitor)
}

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident @ $offset:literal { $($(#[$field_doc:meta])* $field:ident [$high:literal : $low:literal]),* $(,)? })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl $name {
            /// Byte offset in the MSC's page.
            pub const OFFSET: u32 = $offset;
            $( $(#[$field_doc])* pub const $field: Bits = Bits::new($high, $low); )*
        }
    )* };
}

registers! {
    /// `MPAMF_IDR`: what the MSC, or the selected resource instance, has. 64 bits when `EXT` is set.
    Idr @ 0x000 {
        /// Largest PARTID.
        PARTID_MAX[15:0],
        /// Largest PMG.
        PMG_MAX[23:16],
        /// Cache capacity partitioning.
        HAS_CCAP_PART[24:24],
        /// Cache portion partitioning.
        HAS_CPOR_PART[25:25],
        /// Memory bandwidth partitioning.
        HAS_MBW_PART[26:26],
        /// Priority partitioning.
        HAS_PRI_PART[27:27],
        /// The register has an upper half.
        EXT[28:28],
        /// `MPAMF_IMPL_IDR` is implemented.
        HAS_IMPL_IDR[29:29],
        /// Monitors.
        HAS_MSMON[30:30],
        /// PARTID narrowing.
        HAS_PARTID_NRW[31:31],
        /// Resource instance selection.
        HAS_RIS[32:32],
        /// The error status register has an upper half.
        HAS_EXTD_ESR[38:38],
        /// Error status and control are implemented.
        HAS_ESR[39:39],
        /// Largest resource instance.
        RIS_MAX[59:56],
    }
    /// `MPAMF_IIDR`: who made it.
    Iidr @ 0x018 {
        /// JEP106 code of the implementer.
        IMPLEMENTER[11:0],
        /// Revision.
        REVISION[15:12],
        /// Variant.
        VARIANT[19:16],
        /// Product.
        PRODUCTID[31:20],
    }
    /// `MPAMF_AIDR`: architecture version.
    Aidr @ 0x020 {
        /// Minor revision.
        MINOR[3:0],
        /// Major revision.
        MAJOR[7:4],
    }
    /// `MPAMF_IMPL_IDR`: features only the implementer knows.
    ImplIdr @ 0x028 {}
    /// `MPAMF_CPOR_IDR`.
    CporIdr @ 0x030 {
        /// Bits of a cache portion bit map.
        CPBM_WD[15:0],
    }
    /// `MPAMF_CCAP_IDR`.
    CcapIdr @ 0x038 {
        /// Fraction bits of capacities.
        CMAX_WD[5:0],
        /// Fraction bits of associativities.
        CASSOC_WD[12:8],
        /// A maximum associativity can be set.
        HAS_CASSOC[28:28],
        /// A minimum capacity can be set.
        HAS_CMIN[29:29],
        /// A maximum capacity can not be set.
        NO_CMAX[30:30],
        /// The maximum can be a soft limit.
        HAS_CMAX_SOFTLIM[31:31],
    }
    /// `MPAMF_MBW_IDR`.
    MbwIdr @ 0x040 {
        /// Fraction bits of bandwidths.
        BWA_WD[5:0],
        /// A minimum can be set.
        HAS_MIN[10:10],
        /// A maximum can be set.
        HAS_MAX[11:11],
        /// Portions can be set.
        HAS_PBM[12:12],
        /// A proportional stride can be set.
        HAS_PROP[13:13],
        /// The window width can be written.
        WINDWR[14:14],
        /// Bits of a bandwidth portion bit map.
        BWPBM_WD[28:16],
    }
    /// `MPAMF_PRI_IDR`.
    PriIdr @ 0x048 {
        /// Internal priorities can be set.
        HAS_INTPRI[0:0],
        /// 0 is the lowest internal priority, not the highest.
        INTPRI_0_IS_LOW[1:1],
        /// Bits of an internal priority.
        INTPRI_WD[9:4],
        /// Downstream priorities can be set.
        HAS_DSPRI[16:16],
        /// 0 is the lowest downstream priority.
        DSPRI_0_IS_LOW[17:17],
        /// Bits of a downstream priority.
        DSPRI_WD[25:20],
    }
    /// `MPAMF_PARTID_NRW_IDR`.
    PartidNrwIdr @ 0x050 {
        /// Largest internal PARTID.
        INTPARTID_MAX[15:0],
    }
    /// `MPAMF_MSMON_IDR`.
    MsmonIdr @ 0x080 {
        /// Cache storage usage monitors.
        MSMON_CSU[16:16],
        /// Memory bandwidth usage monitors.
        MSMON_MBWU[17:17],
        /// Software can cause a capture.
        HAS_LOCAL_CAPT_EVNT[31:31],
    }
    /// `MPAMF_CSUMON_IDR`.
    CsumonIdr @ 0x088 {
        /// How many monitors.
        NUM_MON[15:0],
        /// Clean lines can be left out.
        HAS_XCL[29:29],
        /// The value cannot be written.
        CSU_RO[30:30],
        /// Values can be captured.
        HAS_CAPTURE[31:31],
    }
    /// `MPAMF_MBWUMON_IDR`.
    MbwumonIdr @ 0x090 {
        /// How many monitors.
        NUM_MON[15:0],
        /// Reads and writes can be told apart.
        HAS_RWBW[28:28],
        /// The long counter has 63 bits, not 44.
        LWD[29:29],
        /// There is a long counter.
        HAS_LONG[30:30],
        /// Values can be captured.
        HAS_CAPTURE[31:31],
    }
    /// `MPAMF_ECR`: error control.
    Ecr @ 0x0f0 {
        /// Errors raise the interrupt.
        INTEN[0:0],
    }
    /// `MPAMF_ESR`: error status. 64 bits when `HAS_EXTD_ESR` is set.
    Esr @ 0x0f8 {
        /// PARTID or monitor concerned.
        PARTID_MON[15:0],
        /// PMG concerned.
        PMG[23:16],
        /// What happened; 0 is nothing.
        ERRCODE[27:24],
        /// An earlier error was overwritten.
        OVRWR[31:31],
        /// Resource instance concerned.
        RIS[35:32],
    }
    /// `MPAMCFG_PART_SEL`: whom the configuration registers are about.
    PartSel @ 0x100 {
        /// PARTID.
        PARTID_SEL[15:0],
        /// It is an internal PARTID.
        INTERNAL[16:16],
        /// Resource instance.
        RIS[27:24],
    }
    /// `MPAMCFG_CMAX`: maximum capacity.
    Cmax @ 0x108 {
        /// Fraction of the cache.
        CMAX[15:0],
        /// The limit is soft.
        SOFTLIM[31:31],
    }
    /// `MPAMCFG_CMIN`: minimum capacity.
    Cmin @ 0x110 {
        /// Fraction of the cache.
        CMIN[15:0],
    }
    /// `MPAMCFG_CASSOC`: maximum associativity.
    Cassoc @ 0x118 {
        /// Fraction of the ways.
        CASSOC[15:0],
    }
    /// `MPAMCFG_MBW_MIN`: minimum bandwidth.
    MbwMin @ 0x200 {
        /// Fraction of the bandwidth.
        MIN[15:0],
    }
    /// `MPAMCFG_MBW_MAX`: maximum bandwidth.
    MbwMax @ 0x208 {
        /// Fraction of the bandwidth.
        MAX[15:0],
        /// The limit holds even with bandwidth left.
        HARDLIM[31:31],
    }
    /// `MPAMCFG_MBW_WINWD`: window width.
    MbwWinwd @ 0x220 {
        /// Microseconds in 24 bits of fixed point.
        US[23:0],
    }
    /// `MPAMCFG_PRI`: priorities.
    Pri @ 0x400 {
        /// Internal.
        INTPRI[15:0],
        /// Downstream.
        DSPRI[31:16],
    }
    /// `MPAMCFG_MBW_PROP`: proportional stride.
    MbwProp @ 0x500 {
        /// Stride, less one.
        STRIDEM1[15:0],
        /// The stride counts.
        EN[31:31],
    }
    /// `MPAMCFG_INTPARTID`: the internal PARTID of the selected one.
    Intpartid @ 0x600 {
        /// Internal PARTID.
        INTPARTID[15:0],
        /// Has to be set on writes.
        INTERNAL[16:16],
    }
    /// `MSMON_CFG_MON_SEL`: which monitor the monitor registers are about.
    MonSel @ 0x800 {
        /// Monitor.
        MON_SEL[15:0],
        /// Resource instance.
        RIS[27:24],
    }
    /// `MSMON_CAPT_EVNT`: causes a capture.
    CaptEvnt @ 0x808 {
        /// Now.
        NOW[0:0],
    }
    /// `MSMON_CFG_CSU_FLT`: whom a usage monitor counts.
    CsuFlt @ 0x810 {
        /// PARTID.
        PARTID[15:0],
        /// PMG.
        PMG[23:16],
        /// Leave clean lines out.
        XCL[31:31],
    }
    /// `MSMON_CFG_CSU_CTL`: how a usage monitor counts. Fields as [`MonCtl`].
    CsuCtl @ 0x818 {}
    /// `MSMON_CFG_MBWU_FLT`: what a bandwidth monitor counts.
    MbwuFlt @ 0x820 {
        /// PARTID.
        PARTID[15:0],
        /// PMG.
        PMG[23:16],
        /// 0 reads and writes, 1 writes, 2 reads.
        RWBW[31:30],
    }
    /// `MSMON_CFG_MBWU_CTL`, and the fields of both control registers.
    MonCtl @ 0x828 {
        /// Kind of monitor, read only.
        TYPE[7:0],
        /// The long counter overflowed.
        OFLOW_STATUS_L[15:15],
        /// Count only the PARTID.
        MATCH_PARTID[16:16],
        /// Count only the PMG.
        MATCH_PMG[17:17],
        /// What is counted, for monitors that know several things.
        SUBTYPE[22:20],
        /// Stop at an overflow.
        OFLOW_FRZ[24:24],
        /// Raise the interrupt at an overflow.
        OFLOW_INTR[25:25],
        /// The counter overflowed.
        OFLOW_STATUS[26:26],
        /// A capture makes 0 of the value.
        CAPT_RESET[27:27],
        /// Which event captures: 0 none, 7 the local one.
        CAPT_EVNT[30:28],
        /// The monitor counts.
        EN[31:31],
    }
    /// `MSMON_CSU`: usage in bytes. The fields are those of every short value.
    Csu @ 0x840 {
        /// The count.
        VALUE[30:0],
        /// Not ready.
        NRDY[31:31],
    }
    /// `MSMON_CSU_CAPTURE`: usage when it was captured.
    CsuCapture @ 0x848 {}
    /// `MSMON_MBWU`: bytes transferred.
    Mbwu @ 0x860 {}
    /// `MSMON_MBWU_CAPTURE`: bytes transferred when they were captured.
    MbwuCapture @ 0x868 {}
    /// `MSMON_MBWU_L`: the long counter. 64 bits.
    MbwuLong @ 0x880 {
        /// Not ready.
        NRDY[63:63],
    }
    /// `MSMON_MBWU_L_CAPTURE`: the long counter when it was captured. 64 bits.
    MbwuLongCapture @ 0x890 {}
    /// `MPAMCFG_CPBM<n>`: cache portions. As many words as bits need.
    Cpbm @ 0x1000 {}
    /// `MPAMCFG_MBW_PBM<n>`: bandwidth portions. As many words as bits need.
    MbwPbm @ 0x2000 {}
}

/// Bytes of an MSC's page that registers can be in.
pub const PAGE_SIZE: u32 = 0x3000;

/// `MSMON_CFG_CSU_CTL.TYPE`.
pub const TYPE_CSU: u32 = 0x43;

/// `MSMON_CFG_MBWU_CTL.TYPE`.
pub const TYPE_MBWU: u32 = 0x42;
