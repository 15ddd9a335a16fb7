// SPDX-License-Identifier: GPL-2.0-only
//! The registers that only AMD has.
//!
//! Source: "AMD64 Technology Platform Quality of Service Extensions" (publication 56375), and AMD64 Architecture
//! Programmer's Manual ("APM"), volume 2, chapter "Platform Quality of Service Extension", and volume 3, appendix on CPUID.

use super::Field;
use std::fmt;

registers! {
    /// `L3QOS_BW_CONTROL_n`, per L3 domain: the limit of CLOSID `n`.
    MbaBandwidth @ 0xC000_0200 x 128 {
        /// Eighths of 10^9 bytes a second; two to the power of CPUID.(0x80000020,1):EAX is no limit.
        LIMIT[31:0],
    }

    /// `L3QOS_SLOWBW_CONTROL_n`, per L3 domain: the limit of CLOSID `n` to slow memory.
    SmbaBandwidth @ 0xC000_0280 x 128 {
        /// As [`MbaBandwidth::LIMIT`], with CPUID.(0x80000020,2):EAX.
        LIMIT[31:0],
    }

    /// `QM_EVTSEL` as AMD has it: an RMID of more bits, and counters by their number.
    QmEvtselAmd @ 0xC8D {
        /// The event, or with [`EXTENDED`](Self::EXTENDED) 1 for a counter that was assigned.
        EVENT[7:0],
        /// The extended events are meant.
        EXTENDED[31:31],
        /// The RMID, or the number of a counter.
        RMID[43:32],
    }

    /// `L3_QOS_ABMC_CFG`, per L3 domain: changes one counter.
    L3QosAbmcCfg @ 0xC000_03FD {
        /// The kinds of transactions it counts.
        KINDS[31:0],
        /// RMID or CLOSID whose transactions it counts.
        SOURCE[43:32],
        /// The source is a CLOSID.
        SOURCE_IS_CLOSID[47:47],
        /// Which counter.
        COUNTER[52:48],
        /// It counts.
        COUNTER_ENABLE[62:62],
        /// The write changes the counter, which starts at 0; else it only names the one to look at.
        CONFIGURE[63:63],
    }

    /// `L3_QOS_ABMC_DSC`, per L3 domain, read only: the configuration of the counter that [`L3QosAbmcCfg`] named last.
    L3QosAbmcDsc @ 0xC000_03FE {
        /// As [`L3QosAbmcCfg::KINDS`].
        KINDS[31:0],
        /// As [`L3QosAbmcCfg::SOURCE`].
        SOURCE[43:32],
        /// As [`L3QosAbmcCfg::SOURCE_IS_CLOSID`].
        SOURCE_IS_CLOSID[47:47],
        /// As [`L3QosAbmcCfg::COUNTER`].
        COUNTER[52:48],
        /// As [`L3QosAbmcCfg::COUNTER_ENABLE`].
        COUNTER_ENABLE[62:62],
    }

    /// `L3_QOS_EXT_CFG`, per thread; software keeps it the same on all threads of an L3 domain.
    L3QosExtCfg @ 0xC000_03FF {
        /// Bandwidth is counted by assigned counters.
        ABMC[0:0],
        /// What devices inject is confined to the highest CLOSID.
        SDCIAE[1:1],
    }

    /// `QOS_EVT_CFG_n`, per L3 domain: what total (0) and local (1) bandwidth count.
    EvtCfg @ 0xC000_0400 x 2 {
        /// A mask of [`TransactionKinds`].
        KINDS[6:0],
    }

    /// Kinds of transactions, as masks choose among them.
    TransactionKinds {
        /// Reads of memory of the own NUMA domain.
        LOCAL_READS[0:0],
        /// Reads of memory of other NUMA domains.
        REMOTE_READS[1:1],
        /// Non-temporal writes to the own NUMA domain.
        LOCAL_WRITES[2:2],
        /// Non-temporal writes to other NUMA domains.
        REMOTE_WRITES[3:3],
        /// Reads of slow memory of the own NUMA domain.
        LOCAL_SLOW_READS[4:4],
        /// Reads of slow memory of other NUMA domains.
        REMOTE_SLOW_READS[5:5],
        /// Dirty victims, to any memory.
        DIRTY_VICTIMS[6:6],
    }

    /// CPUID.0x80000001:ECX, only the bits that caches and counters need.
    ExtendedFeaturesEcx {
        /// Leaves 0x8000001D and 0x8000001E count.
        TOPOLOGY_EXTENSIONS[22:22],
        /// There are six counters of the processor, at addresses of their own.
        CORE_COUNTERS[23:23],
    }

    /// CPUID.0x80000006:ECX, the L2.
    AmdCacheEcx {
        /// Line size in bytes.
        LINE_SIZE[7:0],
        /// Lines a tag.
        LINES_PER_TAG[11:8],
        /// Associativity, as a code.
        ASSOCIATIVITY[15:12],
        /// Size in KiB.
        SIZE[31:16],
    }

    /// CPUID.0x80000008:EBX, only the bit of QoS.
    BandwidthEbx {
        /// Bandwidth limits: leaf 0x80000020, subleaf 1 counts.
        MBE[6:6],
    }

    /// CPUID.(0x80000020,0):EBX.
    ExtendedEbx {
        /// Bandwidth limits, subleaf 1.
        MBE[1:1],
        /// Limits of slow memory, subleaf 2.
        SMBE[2:2],
        /// What bandwidth events count can be configured, subleaf 3.
        BMEC[3:3],
        /// Assignable counters, subleaf 5.
        ABMC[5:5],
        /// Device injection can be confined.
        SDCIAE[6:6],
    }

    /// CPUID.(0x80000020,5):EAX.
    AbmcEax {
        /// Width of an assignable counter, less 24.
        COUNTER_WIDTH[7:0],
    }

    /// CPUID.(0x80000020,5):EBX.
    AbmcEbx {
        /// The highest counter.
        MAX_COUNTER[15:0],
    }
}
