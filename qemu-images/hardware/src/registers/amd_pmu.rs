// SPDX-License-Identifier: GPL-2.0-only
//! Counters of AMD's processors: core performance counters, and the second version of performance monitoring.
//!
//! Source: AMD64 Architecture Programmer's Manual ("APM"), volume 2, "Performance Monitoring Counters", its appendix of MSRs for the
//! addresses, and volume 3, appendix on CPUID, leaves 0x80000001 and 0x80000022.

use super::Field;
use std::fmt;

registers! {
    /// `PERF_CTLn`, per thread: what [`PerfCtr`] counts. One at every second address.
    PerfCtl @ 0xC001_0200 {
        /// Number of the event, its lower part, and above it the mask of its units.
        EVENT[15:0],
        /// In user mode.
        USR[16:16],
        /// In kernel mode.
        OS[17:17],
        /// How often it begins.
        EDGE[18:18],
        /// An overflow interrupts.
        INT[20:20],
        /// Is on.
        EN[22:22],
        /// The comparison with the counter mask is the other way round.
        INV[23:23],
        /// In cycles with at least so many.
        COUNTER_MASK[31:24],
        /// Number of the event, its higher part.
        EVENT_HIGH[35:32],
        /// In guests.
        GUEST_ONLY[40:40],
        /// Outside of guests.
        HOST_ONLY[41:41],
    }

    /// `PERF_CTRn`, per thread: a counter. One at every second address.
    PerfCtr @ 0xC001_0201 {
        /// How much was counted.
        VALUE[47:0],
    }

    /// `PerfEvtSeln`, per thread: the first four [`PerfCtl`], where they were before there were six.
    LegacyPerfEvtSel @ 0xC001_0000 x 4 {
        /// As there.
        ALL[63:0],
    }

    /// `PerfCtrn`, per thread: the first four [`PerfCtr`].
    LegacyPerfCtr @ 0xC001_0004 x 4 {
        /// As there.
        VALUE[47:0],
    }

    /// `PerfCntrGlobalStatus`, per thread, read only: which counters have overflowed.
    PerfCntrGlobalStatus @ 0xC000_0300 {
        /// A bit each.
        PMC[5:0],
        /// Branches are no longer recorded.
        LBR_FROZEN[58:58],
        /// Counters no longer count.
        PMC_FROZEN[59:59],
    }

    /// `PerfCntrGlobalCtl`, per thread: which counters are on.
    PerfCntrGlobalCtl @ 0xC000_0301 {
        /// A bit each.
        PMC[5:0],
    }

    /// `PerfCntrGlobalStatusClr`, per thread, write only: what is written with 1 is cleared in [`PerfCntrGlobalStatus`].
    PerfCntrGlobalStatusClr @ 0xC000_0302 {
        /// As there.
        PMC[5:0],
        /// As there.
        LBR_FROZEN[58:58],
        /// As there.
        PMC_FROZEN[59:59],
    }

    /// CPUID.0x80000022:EAX.
    PerfMonEax {
        /// The global registers are there, and [`PerfMonEbx`] says how many counters.
        VERSION_2[0:0],
    }

    /// CPUID.0x80000022:EBX.
    PerfMonEbx {
        /// Core performance counters.
        COUNTERS[3:0],
    }
}

impl PerfCtl {
    /// How far apart they are, and [`PerfCtr`].
    pub(crate) const STRIDE: u32 = 2;
}
