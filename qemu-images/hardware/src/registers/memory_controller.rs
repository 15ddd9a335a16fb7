// SPDX-License-Identifier: GPL-2.0-only
//! Performance monitoring of a memory controller's channel, in the configuration space of its PCI function.
//!
//! Source: Intel Xeon Processor Scalable Memory Family Uncore Performance Monitoring Reference Manual (336274), "Memory Controller
//! (IMC) Performance Monitoring": "iMC Box Level PMON State", "iMC PMON state - Counter/Control Pairs".

use super::Field;
use std::fmt;

registers! {
    /// `MCn_CHy_PCI_PMON_BOX_CTL`: of all counters of the channel.
    ImcBoxCtl {
        /// Clears what counters count. Reads as 0.
        RST_CTRL[0:0],
        /// Clears the counters. Reads as 0.
        RST_CTRS[1:1],
        /// They stand still.
        FRZ[8:8],
    }

    /// `MCn_CHy_PCI_PMON_CTLx`: what a counter counts.
    ImcCtl {
        /// Number of the event.
        EV_SEL[7:0],
        /// Units of it.
        UMASK[15:8],
        /// Clears the counter. Reads as 0.
        RST[17:17],
        /// How often it begins.
        EDGE_DET[18:18],
        /// An overflow tells the box.
        OV_EN[20:20],
        /// Is on.
        EN[22:22],
        /// The comparison with the threshold is the other way round.
        INVERT[23:23],
        /// In cycles with at least so many.
        THRESH[31:24],
    }

    /// `MCn_CHy_PCI_PMON_FIXED_CTL`: of the counter of the memory's clock.
    ImcFixedCtl {
        /// Clears the counter. Reads as 0.
        RST[19:19],
        /// An overflow tells the box.
        OV_EN[20:20],
        /// Is on.
        EN[22:22],
    }
}
