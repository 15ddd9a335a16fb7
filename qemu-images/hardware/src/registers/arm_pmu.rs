// SPDX-License-Identifier: GPL-2.0-only
//! The registers of Arm's PMU that say what is counted.
//!
//! Source: DDI 0487, "Performance Monitors registers".

use super::Field;
use std::fmt;

registers! {
    /// `PMCR_EL0`, the fields that are looked at.
    ArmPmcr {
        /// Counters that are enabled count.
        ENABLE[0:0],
        /// Written with 1: all counters of events are 0.
        RESET_COUNTERS[1:1],
    }

    /// `PMEVTYPER<n>_EL0`, the fields that are looked at.
    ArmEvtyper {
        /// Number of the event.
        EVENT[15:0],
        /// Not at EL0.
        NOT_EL0[30:30],
        /// Not at EL1.
        NOT_EL1[31:31],
    }
}
