// SPDX-License-Identifier: GPL-2.0-only
//! The model specific registers of RDT, each declared once.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual (SDM), volume 3B, sections "Intel Resource
//! Director Technology (Intel RDT) Monitoring Features" and "... Allocation Features", volume 4 for the addresses. The
//! sections below these are named by their titles, since their numbers move.

use crate::register::registers;

registers! {
    u32;

    /// `IA32_L3_QOS_CFG`, one an L3 ("Enabling Code and Data Prioritization (CDP) Technology").
    L3QosCfg = 0xc81; {
        /// Masks are pairs: data at index `2 * CLOSID`, code behind it.
        CDP_ENABLE: 0, 0;
    }

    /// `IA32_L2_QOS_CFG`, one an L2, as for the L3.
    L2QosCfg = 0xc82; {
        /// As [`L3QosCfg::CDP_ENABLE`].
        CDP_ENABLE: 0, 0;
    }

    /// `IA32_QM_EVTSEL`, one a thread: what [`QmCtr`] shows ("Monitoring Resource Selection and
    /// Reporting Infrastructure").
    QmEvtsel = 0xc8d; {
        /// The event: [`EventId`](resctrl_types::EventId)'s number.
        EVENT: 7, 0;
        /// The RMID, of the L3 that the thread uses.
        RMID: 41, 32;
    }

    /// `IA32_QM_CTR`, one a thread, read only: the count that is selected.
    QmCtr = 0xc8e; {
        /// The count, in units that CPUID gives. Bandwidth counts are narrower and wrap.
        DATA: 61, 0;
        /// Nothing has been counted yet.
        UNAVAILABLE: 62, 62;
        /// The RMID or the event does not exist.
        ERROR: 63, 63;
    }

    /// `IA32_PQR_ASSOC`, one a thread: whom it works for ("Monitoring Resource RMID Association", "Class of
    /// Service to Logical Processor Association").
    PqrAssoc = 0xc8f; {
        /// Monitored as.
        RMID: 31, 0;
        /// Controlled as.
        CLOSID: 63, 32;
    }

    /// `IA32_L3_MASK_n`, an array an L3: which ways index `n` may fill ("Cache Mask Configuration").
    L3Mask = 0xc90 => 128; {
        /// One bit a portion of the cache.
        WAYS: 31, 0;
    }

    /// `IA32_L2_MASK_n`, an array an L2, as for the L3.
    L2Mask = 0xd10 => 64; {
        /// One bit a portion of the cache.
        WAYS: 31, 0;
    }

    /// `IA32_L2_QOS_EXT_BW_THRTL_n`, an array an L3: how much CLOSID `n` is slowed down ("Memory Bandwidth
    /// Allocation Configuration").
    MbaThrottle = 0xd50 => 64; {
        /// On a linear scale the percentage taken away.
        DELAY: 15, 0;
    }
}
