// SPDX-License-Identifier: GPL-2.0-only
//! Architectural performance monitoring, version 2.
//!
//! Source: SDM, volume 3, "Architectural Performance Monitoring", volume 4 for the addresses, and volume 2, "CPUID", leaf 0AH, and
//! "RDPMC".

use super::Field;
use std::fmt;

registers! {
    /// `IA32_PMCx`, per thread: general-purpose counters.
    Pmc @ 0xC1 x 8 {
        /// How much was counted. Written with 32 bits, of which the highest is that of all above.
        VALUE[47:0],
    }

    /// `IA32_PERFEVTSELx`, per thread: what [`Pmc`] counts.
    PerfEvtSel @ 0x186 x 8 {
        /// Number of the event, and above it the mask of its units.
        EVENT[15:0],
        /// In user mode.
        USR[16:16],
        /// In kernel mode.
        OS[17:17],
        /// How often it begins.
        EDGE[18:18],
        /// A pin tells of it.
        PIN_CONTROL[19:19],
        /// An overflow interrupts.
        INT[20:20],
        /// For all threads of the core (version 3).
        ANY_THREAD[21:21],
        /// Is on.
        EN[22:22],
        /// The comparison with the counter mask is the other way round.
        INV[23:23],
        /// In cycles with at least so many.
        COUNTER_MASK[31:24],
    }

    /// `IA32_FIXED_CTRx`, per thread: instructions, cycles, cycles of the reference clock.
    FixedCtr @ 0x309 x 3 {
        /// How much was counted.
        VALUE[47:0],
    }

    /// `IA32_FIXED_CTR_CTRL`, per thread: four bits for each [`FixedCtr`].
    FixedCtrCtrl @ 0x38D {
        /// Of the first: its modes, `OS` and `USR`, any thread, and whether an overflow interrupts.
        FIRST[3:0],
        /// Of the second.
        SECOND[7:4],
        /// Of the third.
        THIRD[11:8],
    }

    /// `IA32_PERF_GLOBAL_STATUS`, per thread, read only: which counters have overflowed.
    PerfGlobalStatus @ 0x38E {
        /// General-purpose ones, a bit each.
        PMC[7:0],
        /// Fixed ones.
        FIXED[34:32],
    }

    /// `IA32_PERF_GLOBAL_CTRL`, per thread: which counters are on.
    PerfGlobalCtrl @ 0x38F {
        /// General-purpose ones, a bit each.
        PMC[7:0],
        /// Fixed ones.
        FIXED[34:32],
    }

    /// `IA32_PERF_GLOBAL_OVF_CTRL`, per thread: what is written with 1 is cleared in [`PerfGlobalStatus`].
    PerfGlobalOvfCtrl @ 0x390 {
        /// General-purpose ones, a bit each.
        PMC[7:0],
        /// Fixed ones.
        FIXED[34:32],
        /// That a buffer has overflowed.
        OVF_BUFFER[62:62],
        /// That something has changed.
        COND_CHANGED[63:63],
    }

    /// CPUID.0AH:EAX.
    PmuEax {
        /// Version of all this.
        VERSION[7:0],
        /// General-purpose counters of a thread.
        COUNTERS[15:8],
        /// Bits of each.
        WIDTH[23:16],
        /// How many bits of [`PmuEbx`] mean something.
        EVENTS[31:24],
    }

    /// CPUID.0AH:EBX: events that are *not* counted.
    PmuEbx {
        /// Branches.
        BRANCHES[5:5],
        /// Those that were mispredicted.
        MISPREDICTED[6:6],
    }

    /// CPUID.0AH:EDX.
    PmuEdx {
        /// Fixed counters.
        FIXED[4:0],
        /// Bits of each.
        WIDTH[12:5],
    }

    /// ECX of RDPMC: which counter.
    RdpmcEcx {
        /// Its place.
        COUNTER[29:0],
        /// It is a fixed one.
        FIXED[30:30],
    }
}

impl FixedCtrCtrl {
    /// Bits of a fixed counter.
    pub(crate) const STRIDE: usize = 4;
    /// Of these: in kernel mode.
    pub(crate) const OS: u64 = 1;
    /// In user mode.
    pub(crate) const USR: u64 = 2;
}
