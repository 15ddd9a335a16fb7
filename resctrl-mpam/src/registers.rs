// SPDX-License-Identifier: GPL-2.0-only
//! The registers of an MSC, each declared once, and the layout of the processors' labels.
//!
//! Source: Arm MPAM System Component Specification, IHI 0099, "Memory-mapped registers"; DDI 0487, "MPAM registers".

use resctrl_types::register::Field;

use crate::register::registers;

registers! {
    /// `MPAMF_IDR`: features of the selected resource instance. The upper half is there when `EXT` is set.
    Idr = 0x000; {
        /// Largest PARTID.
        PARTID_MAX: 15, 0;
        /// Largest PMG.
        PMG_MAX: 23, 16;
        /// Cache capacity partitioning.
        HAS_CCAP_PART: 24, 24;
        /// Cache portion partitioning.
        HAS_CPOR_PART: 25, 25;
        /// Memory bandwidth partitioning.
        HAS_MBW_PART: 26, 26;
        /// Priority partitioning.
        HAS_PRI_PART: 27, 27;
        /// The register has an upper half.
        EXT: 28, 28;
        /// Monitors.
        HAS_MSMON: 30, 30;
        /// PARTID narrowing.
        HAS_PARTID_NRW: 31, 31;
        /// Resource instance selection.
        HAS_RIS: 32, 32;
        /// The error status register has an upper half.
        HAS_EXTD_ESR: 38, 38;
        /// Error status and control registers.
        HAS_ESR: 39, 39;
        /// Largest resource instance.
        RIS_MAX: 59, 56;
    }
    /// `MPAMF_IIDR`: who made it; see [`crate::devices::Quirks`].
    Iidr = 0x018; {
        /// Implementer and product, without variant and revision.
        REVISION_AND_VARIANT: 19, 12;
    }
    /// `MPAMF_AIDR`: architecture version.
    Aidr = 0x020; {
        /// Minor revision.
        MINOR: 3, 0;
        /// Major revision.
        MAJOR: 7, 4;
    }
    /// `MPAMF_CPOR_IDR`.
    CporIdr = 0x030; {
        /// Bits of a cache portion bit map.
        CPBM_WD: 15, 0;
    }
    /// `MPAMF_CCAP_IDR`.
    CcapIdr = 0x038; {
        /// Fraction bits of capacities.
        CMAX_WD: 5, 0;
        /// Fraction bits of associativities.
        CASSOC_WD: 12, 8;
        /// A maximum associativity.
        HAS_CASSOC: 28, 28;
        /// A minimum capacity.
        HAS_CMIN: 29, 29;
        /// No maximum capacity.
        NO_CMAX: 30, 30;
        /// The maximum can be soft.
        HAS_CMAX_SOFTLIM: 31, 31;
    }
    /// `MPAMF_MBW_IDR`.
    MbwIdr = 0x040; {
        /// Fraction bits of bandwidths.
        BWA_WD: 5, 0;
        /// A minimum.
        HAS_MIN: 10, 10;
        /// A maximum.
        HAS_MAX: 11, 11;
        /// Portions.
        HAS_PBM: 12, 12;
        /// A proportional stride.
        HAS_PROP: 13, 13;
        /// Bits of a bandwidth portion bit map.
        BWPBM_WD: 28, 16;
    }
    /// `MPAMF_PRI_IDR`.
    PriIdr = 0x048; {
        /// Internal priorities.
        HAS_INTPRI: 0, 0;
        /// 0 is the lowest internal priority.
        INTPRI_0_IS_LOW: 1, 1;
        /// Bits of an internal priority.
        INTPRI_WD: 9, 4;
        /// Downstream priorities.
        HAS_DSPRI: 16, 16;
        /// 0 is the lowest downstream priority.
        DSPRI_0_IS_LOW: 17, 17;
        /// Bits of a downstream priority.
        DSPRI_WD: 25, 20;
    }
    /// `MPAMF_PARTID_NRW_IDR`.
    PartidNrwIdr = 0x050; {
        /// Largest internal PARTID.
        INTPARTID_MAX: 15, 0;
    }
    /// `MPAMF_MSMON_IDR`.
    MsmonIdr = 0x080; {
        /// Cache storage usage monitors.
        MSMON_CSU: 16, 16;
        /// Memory bandwidth usage monitors.
        MSMON_MBWU: 17, 17;
    }
    /// `MPAMF_CSUMON_IDR`.
    CsumonIdr = 0x088; {
        /// How many monitors.
        NUM_MON: 15, 0;
        /// Clean lines can be left out.
        HAS_XCL: 29, 29;
    }
    /// `MPAMF_MBWUMON_IDR`.
    MbwumonIdr = 0x090; {
        /// How many monitors.
        NUM_MON: 15, 0;
        /// Reads and writes can be told apart.
        HAS_RWBW: 28, 28;
        /// The long counter has 63 bits.
        LWD: 29, 29;
        /// There is a long counter.
        HAS_LONG: 30, 30;
    }
    /// `MPAMF_ECR`: error control.
    Ecr = 0x0f0; {
        /// Errors raise the interrupt.
        INTEN: 0, 0;
    }
    /// `MPAMF_ESR`: error status; the upper half when `HAS_EXTD_ESR` is set.
    Esr = 0x0f8; {
        /// PARTID or monitor concerned.
        PARTID_MON: 15, 0;
        /// PMG concerned.
        PMG: 23, 16;
        /// What happened.
        ERRCODE: 27, 24;
        /// Resource instance concerned.
        RIS: 35, 32;
    }
    /// `MPAMCFG_PART_SEL`: whom the configuration registers are about.
    PartSel = 0x100; {
        /// PARTID.
        PARTID_SEL: 15, 0;
        /// It is an internal one.
        INTERNAL: 16, 16;
        /// Resource instance.
        RIS: 27, 24;
    }
    /// `MPAMCFG_CMAX`.
    Cmax = 0x108; {}
    /// `MPAMCFG_CMIN`.
    Cmin = 0x110; {}
    /// `MPAMCFG_CASSOC`.
    Cassoc = 0x118; {}
    /// `MPAMCFG_MBW_MIN`.
    MbwMin = 0x200; {}
    /// `MPAMCFG_MBW_MAX`.
    MbwMax = 0x208; {}
    /// `MPAMCFG_PRI`.
    Pri = 0x400; {
        /// Internal.
        INTPRI: 15, 0;
        /// Downstream.
        DSPRI: 31, 16;
    }
    /// `MPAMCFG_MBW_PROP`.
    MbwProp = 0x500; {}
    /// `MPAMCFG_INTPARTID`: the internal PARTID of the selected one.
    Intpartid = 0x600; {
        /// Internal PARTID.
        INTPARTID: 15, 0;
        /// Always set.
        INTERNAL: 16, 16;
    }
    /// `MSMON_CFG_MON_SEL`: which monitor the monitor registers are about.
    MonSel = 0x800; {
        /// Monitor.
        MON_SEL: 15, 0;
        /// Resource instance.
        RIS: 27, 24;
    }
    /// `MSMON_CFG_CSU_FLT`. The filters of both kinds have PARTID and PMG alike.
    CsuFlt = 0x810; {
        /// PARTID.
        PARTID: 15, 0;
        /// PMG.
        PMG: 23, 16;
    }
    /// `MSMON_CFG_CSU_CTL`; fields as [`MbwuCtl`].
    CsuCtl = 0x818; {
        /// What this kind of monitor says it is.
        TYPE: 7, 0;
    }
    /// `MSMON_CFG_MBWU_FLT`.
    MbwuFlt = 0x820; {
        /// 0 reads and writes, 1 writes, 2 reads.
        RWBW: 31, 30;
    }
    /// `MSMON_CFG_MBWU_CTL`.
    MbwuCtl = 0x828; {
        /// The long counter overflowed.
        OFLOW_STATUS_L: 15, 15;
        /// Count only the PARTID.
        MATCH_PARTID: 16, 16;
        /// Count only the PMG.
        MATCH_PMG: 17, 17;
        /// The counter overflowed.
        OFLOW_STATUS: 26, 26;
        /// The monitor counts.
        EN: 31, 31;
    }
    /// `MSMON_CSU`; all short values look the same.
    Csu = 0x840; {
        /// The count.
        VALUE: 30, 0;
        /// Not ready.
        NRDY: 31, 31;
    }
    /// `MSMON_MBWU`.
    Mbwu = 0x860; {}
    /// `MSMON_MBWU_L`: the long counter, low word first.
    MbwuLong = 0x880; {
        /// Count of 44 bits.
        VALUE_44: 43, 0;
        /// Count of 63 bits.
        VALUE_63: 62, 0;
        /// Not ready.
        NRDY: 63, 63;
    }
    /// `MPAMCFG_CPBM<n>`: cache portions, one bit each.
    Cpbm = 0x1000; {}
    /// `MPAMCFG_MBW_PBM<n>`: bandwidth portions, one bit each.
    MbwPbm = 0x2000; {}
}

/// `MSMON_CFG_CSU_CTL.TYPE`.
pub(crate) const TYPE_CSU: u32 = 0x43;

/// `MSMON_CFG_MBWU_CTL.TYPE`.
pub(crate) const TYPE_MBWU: u32 = 0x42;

/// Fields of `MPAM0_EL1` and `MPAM1_EL1`.
pub(crate) struct Labels;

impl Labels {
    /// PARTID of instruction fetches.
    pub(crate) const PARTID_I: Field = Field::new(15, 0);
    /// PARTID of data accesses.
    pub(crate) const PARTID_D: Field = Field::new(31, 16);
    /// PMG of instruction fetches.
    pub(crate) const PMG_I: Field = Field::new(39, 32);
    /// PMG of data accesses.
    pub(crate) const PMG_D: Field = Field::new(47, 40);
    /// `MPAM1_EL1` only: labelling is on.
    pub(crate) const MPAMEN: Field = Field::new(63, 63);
}

/// Fields of `MPAMIDR_EL1`.
pub(crate) struct Mpamidr;

impl Mpamidr {
    /// Largest PARTID.
    pub(crate) const PARTID_MAX: Field = Field::new(15, 0);
    /// Largest PMG.
    pub(crate) const PMG_MAX: Field = Field::new(39, 32);
}
