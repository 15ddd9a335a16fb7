// SPDX-License-Identifier: GPL-2.0-only
//! What the device of a package's management unit has in its memory: tables that lead to the counters, and a mailbox.
//!
//! Sources: Intel Platform Monitoring Technology External Specification; the kernel's `drivers/platform/x86/intel/pmt` and
//! `vsec_tpmi.c`, which read it.

use super::Field;
use std::fmt;

registers! {
    /// First eight bytes of an entry of the discovery table: a feature.
    FeatureEntry {
        /// Where the feature's table is: behind this entry.
        ACCESS[3:0],
        /// Version of the feature's table.
        VERSION[11:4],
        /// Size of the feature's table, in 32-bit words.
        WORDS[27:12],
        /// Which feature.
        ID[63:32],
    }

    /// First eight bytes of a feature's table.
    FeatureHeader {
        /// Words of attributes behind the header.
        ATTRIBUTES[7:0],
        /// GUIDs behind the attributes.
        GUIDS[15:8],
        /// First attribute: what the feature can do.
        CAPABILITIES[63:32],
    }

    /// First eight bytes of an entry of the telemetry table: a region.
    RegionEntry {
        /// Where the region is: in the memory that the offset names.
        ACCESS[3:0],
        /// Size of the region, in 32-bit words.
        WORDS[27:12],
        /// What is in it.
        GUID[63:32],
    }

    /// An entry of the table of TPMI (Topology Aware Register and PM Capsule Interface).
    TpmiEntry {
        /// Which feature.
        ID[7:0],
        /// Instances.
        INSTANCES[15:8],
        /// Size of an instance, in 32-bit words.
        WORDS[31:16],
        /// Where it is, from the table on, in KiB.
        OFFSET[47:32],
        /// Whose it is: 1 for the operating system.
        OWNER[49:48],
    }

    /// First register of TPMI's feature INFO.
    TpmiVersion {
        /// Minor version. From 2 on the partition is in [`TpmiBus`].
        MINOR[4:0],
        /// Major version.
        MAJOR[7:5],
    }

    /// Second register of TPMI's feature INFO: where the device belongs.
    TpmiBus {
        /// The package.
        PACKAGE[23:16],
        /// Compute dies of the partition, a mask.
        DIES[49:34],
    }

    /// TPMI's feature CONTROL: a mailbox. Its second register holds a command, then half of the answer.
    TpmiMailbox {
        /// The command is given; clear again when it is done.
        RUN_BUSY[0:0],
        /// Who has written a command: 0 nobody, 1 software of the package.
        OWNER[5:4],
        /// Software has seen the answer.
        COMPLETE[6:6],
        /// How it went.
        RESULT[15:8],
        /// Words of the command.
        LENGTH[31:16],
    }

    /// A command in the mailbox.
    TpmiCommand {
        /// What to do.
        COMMAND[7:0],
        /// Of which feature.
        FEATURE[48:40],
    }
}
