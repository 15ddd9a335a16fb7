// SPDX-License-Identifier: GPL-2.0-only
//! The CPUID leaves of RDT and of the processor's identity, each register declared once.
//!
//! Source: SDM volume 2A, instruction CPUID, and volume 3B, sections "Enumeration and Detecting Support of Intel RDT
//! Monitoring Feature Set" (leaf 0xF) and "... Allocation Feature Set" (leaf 0x10); for AMD's leaves (0x8000_0000 and up)
//! APM volume 3, appendix on CPUID.

use crate::Registers;
use crate::register::registers;

/// Which of the four registers of a leaf.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

/// A register of a CPUID leaf.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    leaf: u32,
    subleaf: u32,
    output: Output,
}

impl Address {
    /// Asks the CPU. The caller has made sure that the leaf exists: a CPU answers a leaf beyond its last with the last.
    pub(crate) fn read(self, registers: &impl Registers) -> u64 {
        let answer = registers.cpuid(self.leaf, self.subleaf);
        u64::from(match self.output {
            Output::Eax => answer.eax,
            Output::Ebx => answer.ebx,
            Output::Ecx => answer.ecx,
            Output::Edx => answer.edx,
        })
    }

    /// The same register of another subleaf, where several are laid out alike.
    pub(crate) const fn at(self, subleaf: u32) -> Address {
        Address { leaf: self.leaf, subleaf, output: self.output }
    }
}

/// Last CPUID leaf without which there is no monitoring.
pub(crate) const MONITORING_LEAF: u64 = 0xf;
/// Last CPUID leaf without which there is no allocation.
pub(crate) const ALLOCATION_LEAF: u64 = 0x10;
/// Subleaf of leaf 0x10 for the L3.
pub(crate) const ALLOCATION_L3: u32 = 1;
/// Subleaf of leaf 0x10 for the L2.
pub(crate) const ALLOCATION_L2: u32 = 2;
/// Subleaf of leaf 0x10 for memory bandwidth.
pub(crate) const ALLOCATION_MBA: u32 = 3;

const fn leaf(leaf: u32, subleaf: u32, output: Output) -> Address {
    Address { leaf, subleaf, output }
}

registers! {
    Address;

    /// The last basic leaf.
    MaxLeaf = leaf(0, 0, Output::Eax); {
        /// Its number.
        LEAF: 31, 0;
    }

    /// Bytes 0 to 3 of the vendor's name.
    VendorEbx = leaf(0, 0, Output::Ebx); {}
    /// Bytes 4 to 7 of the vendor's name.
    VendorEdx = leaf(0, 0, Output::Edx); {}
    /// Bytes 8 to 11 of the vendor's name.
    VendorEcx = leaf(0, 0, Output::Ecx); {}

    /// Which processor this is.
    Version = leaf(1, 0, Output::Eax); {
        /// Revision of the model.
        STEPPING: 3, 0;
        /// Low digit of the model.
        MODEL: 7, 4;
        /// Family, up to 15.
        FAMILY: 11, 8;
        /// High digit of the model, for families 6 and 15.
        EXTENDED_MODEL: 19, 16;
        /// Added to family 15.
        EXTENDED_FAMILY: 27, 20;
    }

    /// Structured extended features.
    Features = leaf(7, 0, Output::Ebx); {
        /// RDT monitoring: leaf 0xF means something.
        RDT_M: 12, 12;
        /// RDT allocation: leaf 0x10 means something.
        RDT_A: 15, 15;
    }

    /// What can be monitored.
    MonitoringResources = leaf(0xf, 0, Output::Edx); {
        /// The L3.
        L3: 1, 1;
    }

    /// Width of the L3's bandwidth counters.
    MonitoringWidth = leaf(0xf, 1, Output::Eax); {
        /// Bits beyond 24.
        OFFSET: 7, 0;
    }

    /// What one step of the L3's counters stands for.
    MonitoringScale = leaf(0xf, 1, Output::Ebx); {
        /// Bytes.
        BYTES: 31, 0;
    }

    /// RMIDs of the L3's monitors.
    MonitoringRmids = leaf(0xf, 1, Output::Ecx); {
        /// The highest.
        MAX: 31, 0;
    }

    /// What the L3's monitors count.
    MonitoringEvents = leaf(0xf, 1, Output::Edx); {
        /// Occupancy.
        OCCUPANCY: 0, 0;
        /// All bandwidth.
        TOTAL: 1, 1;
        /// Bandwidth to local memory.
        LOCAL: 2, 2;
    }

    /// What can be controlled.
    AllocationResources = leaf(0x10, 0, Output::Ebx); {
        /// L3 CAT, subleaf [`ALLOCATION_L3`].
        L3: 1, 1;
        /// L2 CAT, subleaf [`ALLOCATION_L2`].
        L2: 2, 2;
        /// MBA, subleaf [`ALLOCATION_MBA`].
        MBA: 3, 3;
    }

    /// Length of a cache's masks; subleaf 1 or 2.
    CatLength = leaf(0x10, 1, Output::Eax); {
        /// Bits, less one.
        CBM_LEN: 4, 0;
    }

    /// Portions of a cache that others than CPUs fill too; subleaf 1 or 2.
    CatShareable = leaf(0x10, 1, Output::Ebx); {
        /// A mask.
        MASK: 31, 0;
    }

    /// What a cache's control can do; subleaf 1 or 2.
    CatAbilities = leaf(0x10, 1, Output::Ecx); {
        /// Tell code and data apart.
        CDP: 2, 2;
        /// Masks with gaps.
        SPARSE: 3, 3;
    }

    /// CLOSIDs of a resource; subleaf 1, 2 or 3.
    Closids = leaf(0x10, 1, Output::Edx); {
        /// The highest.
        MAX: 15, 0;
    }

    /// Range of memory bandwidth control.
    MbaRange = leaf(0x10, 3, Output::Eax); {
        /// The largest delay, less one.
        MAX_DELAY: 11, 0;
    }

    /// What memory bandwidth control can do.
    MbaAbilities = leaf(0x10, 3, Output::Ecx); {
        /// The threads of a core are slowed down each for itself.
        PER_THREAD: 0, 0;
        /// A delay of n takes n percent away.
        LINEAR: 2, 2;
    }

    /// The last extended leaf (AMD).
    MaxExtendedLeaf = leaf(0x8000_0000, 0, Output::Eax); {
        /// Its number.
        LEAF: 31, 0;
    }

    /// The L2 of an AMD processor.
    AmdL2 = leaf(0x8000_0006, 0, Output::Ecx); {
        /// KiB.
        SIZE: 31, 16;
    }

    /// Whether AMD has limits of bandwidth.
    Bandwidth = leaf(0x8000_0008, 0, Output::Ebx); {
        /// Memory bandwidth enforcement: subleaf 1 of leaf 0x8000_0020 counts.
        MBE: 6, 6;
    }

    /// What else AMD has.
    QosFeatures = leaf(0x8000_0020, 0, Output::Ebx); {
        /// Limits of bandwidth to slow memory, subleaf 2.
        SMBE: 2, 2;
        /// It can be configured what bandwidth events count, subleaf 3.
        BMEC: 3, 3;
        /// Bandwidth counters that can be assigned, subleaf 5.
        ABMC: 5, 5;
        /// Devices can have a CLOSID of their own.
        SDCIAE: 6, 6;
    }

    /// Range of a limit; subleaf 1 or 2.
    LimitRange = leaf(0x8000_0020, 1, Output::Eax); {
        /// Two to the power of it is no limit.
        BITS: 31, 0;
    }

    /// CLOSIDs of a limit; subleaf 1 or 2.
    LimitClosids = leaf(0x8000_0020, 1, Output::Edx); {
        /// The highest.
        MAX: 31, 0;
    }

    /// What can be counted.
    TransactionKinds = leaf(0x8000_0020, 3, Output::Ecx); {
        /// One bit a kind.
        MASK: 6, 0;
    }

    /// Counters that can be assigned.
    Counters = leaf(0x8000_0020, 5, Output::Ebx); {
        /// The highest.
        MAX: 15, 0;
    }
}
