// SPDX-License-Identifier: GPL-2.0-only
//! What processors say of themselves, whatever control hardware they have.
//!
//! Source: SDM, volume 2, "CPUID", leaves 1 and 0xB; DDI 0487, "MIDR_EL1" and "ID_AA64PFR0_EL1".

use super::Field;
use std::fmt;

registers! {
    /// CPUID.1:EAX: which processor it is.
    Signature {
        /// Stepping.
        STEPPING[3:0],
        /// Lower half of the model.
        MODEL[7:4],
        /// Family, to which [`Signature::EXTENDED_FAMILY`] is added if this is 15.
        FAMILY[11:8],
        /// 0 for a processor that is sold as a processor.
        TYPE[13:12],
        /// Upper half of the model.
        EXTENDED_MODEL[19:16],
        /// The part of the family beyond 15.
        EXTENDED_FAMILY[27:20],
    }

    /// CPUID.(0xB,n):EBX.
    TopologyEbx {
        /// CPUs in one part of this level.
        CPUS[15:0],
    }

    /// CPUID.(0xB,n):ECX.
    TopologyEcx {
        /// The subleaf.
        LEVEL[7:0],
        /// 0: no level, 1: of the threads of a core, 2: of the cores of a package.
        TYPE[15:8],
    }

    /// `MIDR_EL1`: which processor it is.
    Midr {
        /// Revision within the variant.
        REVISION[3:0],
        /// The implementer's number for it.
        PART[15:4],
        /// Always 0xF: see the feature registers.
        ARCHITECTURE[19:16],
        /// Variant.
        VARIANT[23:20],
        /// Who has made it: 0x41 for Arm.
        IMPLEMENTER[31:24],
    }

    /// `ID_AA64PFR0_EL1`, the fields that QEMU's options make.
    ProcessorFeatures {
        /// 0: there is no EL2.
        EL2[11:8],
        /// 0: the interrupt controller has no system registers, as versions before 3 have none.
        GIC[27:24],
    }
}
