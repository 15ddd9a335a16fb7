// SPDX-License-Identifier: GPL-2.0-only
//! The model specific registers of RDT and of AMD's QoS, each declared once.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual (SDM), volume 3B, sections "Intel Resource
//! Director Technology (Intel RDT) Monitoring Features" and "... Allocation Features", volume 4 for the addresses. The
//! sections below these are named by their titles, since their numbers move. For AMD: APM volume 2, chapter "Platform
//! Quality of Service Extension".

use crate::register::registers;

registers! {
    u32;

    /// `MSR_MISC_FEATURE_CONTROL`, one a core ("Miscellaneous Feature Control", for some models).
    MiscFeatureControl = 0x1a4; {
        /// Prefetchers that are off. Which of the bits there are is a matter of the model.
        PREFETCHERS_OFF: 3, 0;
    }

    /// `IA32_L3_QOS_CFG`, one an L3, on AMD one a thread ("Enabling Code and Data Prioritization (CDP) Technology").
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
        /// AMD: the event is an extended one, of which 1 is an assigned counter.
        EXTENDED: 31, 31;
        /// The RMID, of the L3 that the thread uses; for an extended event the number of a counter. On Intel as
        /// wide as CPUID's highest RMID; no processor has more bits.
        RMID: 43, 32;
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

    /// `MSR_RMID_SNC_CONFIG`, one a package (`arch/x86/include/asm/msr-index.h`): how RMIDs work with sub-NUMA
    /// clustering. No section of the SDM has it.
    RmidSncConfig = 0xca0; {
        /// As after reset: an RMID belongs to one node. Clear: each thread counts by the RMIDs of its node, which are told
        /// apart by a multiple of the number of RMIDs a node has.
        DISTRIBUTED: 0, 0;
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

    /// `L3QOS_BW_CONTROL_n`, an array an L3 (AMD): how much bandwidth CLOSID `n` may use.
    MbaLimit = 0xc000_0200 => 128; {
        /// Eighths of 10^9 bytes a second; the largest value is no limit.
        LIMIT: 31, 0;
    }

    /// `L3QOS_SLOWBW_CONTROL_n`, an array an L3 (AMD), as for all memory.
    SmbaLimit = 0xc000_0280 => 128; {
        /// As [`MbaLimit::LIMIT`].
        LIMIT: 31, 0;
    }

    /// `L3_QOS_ABMC_CFG`, one an L3 (AMD): a write changes one counter.
    L3QosAbmcCfg = 0xc000_03fd; {
        /// What it counts: bits of [`Transactions`](resctrl_types::counter::Transactions).
        KINDS: 31, 0;
        /// For which RMID.
        RMID: 43, 32;
        /// Which counter.
        COUNTER: 52, 48;
        /// It counts.
        COUNTER_ENABLE: 62, 62;
        /// The write changes the counter, which begins at 0.
        CONFIGURE: 63, 63;
    }

    /// `L3_QOS_EXT_CFG`, one a thread (AMD).
    L3QosExtCfg = 0xc000_03ff; {
        /// Bandwidth is counted by assigned counters.
        ABMC: 0, 0;
        /// Devices fill the L3 through the highest CLOSID.
        SDCIAE: 1, 1;
    }

    /// `QOS_EVT_CFG_n`, two an L3 (AMD): what total (0) and local (1) bandwidth count.
    EvtCfg = 0xc000_0400; {
        /// Bits of [`Transactions`](resctrl_types::counter::Transactions).
        KINDS: 6, 0;
    }
}
