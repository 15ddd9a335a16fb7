// SPDX-License-Identifier: GPL-2.0-only
//! The table `[mpam]` of a machine file: processors with FEAT_MPAM, memory system components, and the firmware tables
//! that tell of them.
//!
//! ```toml
//! [mpam]
//! partid_max = 63
//! pmg_max = 3
//!
//! [[mpam.msc]]                      # one page of registers; the pages follow one another from `base`
//! error_interrupt = 120
//!
//! [[mpam.msc.ris]]                  # resource instance 0 of that MSC
//! part_of = { l3 = 0 }
//! cpor_bits = 16
//! usage = { count = 8, not_ready_us = 20 }
//! ```
//!
//! What a table leaves out is not implemented. A few settings make a machine that cannot be, on purpose: see
//! [`TableDefect`] and [`Component`].

mod tables;
mod validate;

use super::Machine;
use crate::mpam::{
    BandwidthControls, BandwidthMonitors, CapacityControls, CpuConfig, MscConfig, NotReady, Priority, RisConfig,
    UsageMonitors, t241,
};
use serde::Deserialize;

/// From one MSC's page to the next.
pub const MSC_STRIDE: u64 = 0x1_0000;

/// Most MSCs of a machine.
pub(super) const MSC_LIMIT: usize = 32;

/// Bytes of memory that are given to QEMU for the pages of the MSCs.
pub(super) const MSC_MEMORY: u64 = MSC_STRIDE * MSC_LIMIT as u64;

/// Where QEMU's machine `virt` has its memory.
const RAM_BASE: u64 = 0x4000_0000;

const GIB: u64 = 1 << 30;

/// Microseconds that firmware allows a monitor whose own time is not known.
const NOT_READY_US: u32 = 1000;

/// Memory System Resource Partitioning and Monitoring of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MpamFeatures {
    /// Largest PARTID of the processors, and of every component that says nothing else.
    pub partid_max: u16,
    /// Largest PMG of the processors, and of every component that says nothing else.
    pub pmg_max: u8,
    /// Physical address of the first MSC's page. The others follow, 64 KiB ([`MSC_STRIDE`]) apart.
    #[serde(default = "default_base")]
    pub base: u64,
    /// Whether there is `MPAMSM_EL1`: on processors with FEAT_SME, such as QEMU's `max`, and no others.
    #[serde(default)]
    pub streaming: bool,
    /// Whether processors have EL2 and give it to the kernel, which then runs there if they have FEAT_VHE.
    #[serde(default)]
    pub el2: bool,
    /// The machine is a chip of NVIDIA's T241, with the errata of its MPAM.
    #[serde(default)]
    pub t241: bool,
    /// Memory system components.
    pub msc: Vec<Component>,
    /// What is wrong with the firmware's tables.
    pub table_defect: Option<TableDefect>,
}

/// Address of the first page if a file says nothing: behind all that QEMU's `virt` has below 4 GiB.
fn default_base() -> u64 {
    0x1_0000_0000
}

fn yes() -> bool {
    true
}

/// An MSC.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Resource instances, by index.
    pub ris: Vec<Instance>,
    /// Number of the interrupt that tells of errors, private to each processor (16 to 31) or a shared one of the GIC (32
    /// and above); none if not given.
    pub error_interrupt: Option<u32>,
    /// Number of the interrupt that tells of overflows, likewise.
    pub overflow_interrupt: Option<u32>,
    /// Microseconds until any monitor is ready, as firmware says; what the slowest of them takes if not given, 0 for a
    /// firmware that does not say.
    pub not_ready_us: Option<u32>,
    /// The L3 domain whose CPUs alone can reach it.
    pub reached_from_l3: Option<usize>,
    /// CPUs of one L3 domain that alone can reach it, in order: firmware puts them into a container of their own.
    pub reached_from_cpus: Option<Vec<usize>>,
    /// `MPAMF_IIDR`, which tells the maker; that of a T241 in a machine that is one.
    pub iidr: Option<u32>,
    /// `MPAMF_AIDR`, the version of the architecture; 0x11, version 1.1, if not given.
    pub aidr: Option<u32>,
    /// Whether `MPAMF_IDR` has an upper half. More than one resource instance needs it.
    #[serde(default = "yes")]
    pub extended: bool,
    /// Whether there are registers that tell of errors.
    #[serde(default = "yes")]
    pub error_status: bool,
    /// Whether they tell the resource instance.
    #[serde(default = "yes")]
    pub extended_error_status: bool,
    /// Whether software can cause a capture.
    #[serde(default = "yes")]
    pub local_capture: bool,
    /// Whether firmware has turned it off, which it says by a page of no bytes.
    #[serde(default)]
    pub disabled: bool,
}

/// A resource instance of an MSC.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// What it is part of, as firmware says. Not given: firmware does not mention it.
    pub part_of: Option<Place>,
    /// Largest PARTID; the processors' if not given.
    pub partid_max: Option<u16>,
    /// Largest PMG; the processors' if not given.
    pub pmg_max: Option<u8>,
    /// Bits of the cache portion bit map.
    #[serde(default)]
    pub cpor_bits: u32,
    /// Cache capacity partitioning.
    pub capacity: Option<CapacityControls>,
    /// Memory bandwidth partitioning.
    pub bandwidth: Option<BandwidthControls>,
    /// Internal priority.
    pub internal_priority: Option<Priority>,
    /// Downstream priority.
    pub downstream_priority: Option<Priority>,
    /// PARTID narrowing: the largest internal PARTID.
    pub narrowing: Option<u16>,
    /// Cache storage usage monitors.
    pub usage: Option<UsageMonitors>,
    /// Memory bandwidth usage monitors.
    pub traffic: Option<BandwidthMonitors>,
}

/// What a resource instance is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The level 3 cache of this domain.
    L3(usize),
    /// The level 2 cache of this domain, counted over the whole machine.
    L2(usize),
    /// The cache with this id, whether there is one or not.
    CacheId(u32),
    /// The memory of this proximity domain.
    Memory(u64),
    /// Something else: the type's number in the table.
    Other(u8),
}

/// A fault of the firmware's tables. The table MPAM has it, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TableDefect {
    /// The bytes do not sum up to zero.
    Checksum,
    /// It ends within its last node.
    Truncated,
    /// The first node claims to be no longer than the header of a node.
    NodeLength,
    /// The first node claims more resources than it has room for.
    ResourceCount,
    /// A reserved field of the first node is not zero.
    Reserved,
    /// Revision 0, from before the specification was final.
    Revision,
    /// The PPTT gives no cache an id.
    NoCacheIds,
}

impl Component {
    /// What the page of registers does.
    #[must_use]
    pub fn config(&self, features: &MpamFeatures) -> MscConfig {
        let standard = MscConfig::new(self.ris.iter().map(|ris| ris.config(features)).collect());
        MscConfig {
            iidr: self.iidr.unwrap_or(if features.t241 { t241::IIDR } else { standard.iidr }),
            aidr: self.aidr.unwrap_or(standard.aidr),
            extended: self.extended,
            error_status: self.error_status,
            extended_error_status: self.extended_error_status,
            local_capture: self.local_capture,
            ..standard
        }
    }

    /// Microseconds that firmware says a monitor may take.
    fn firmware_not_ready_us(&self) -> u32 {
        let slowest = self
            .ris
            .iter()
            .flat_map(|ris| [ris.usage.map(|usage| usage.not_ready), ris.traffic.map(|traffic| traffic.not_ready)]);
        let slowest = slowest.flatten().filter_map(|not_ready| match not_ready {
            NotReady::Unmanaged => None,
            NotReady::Nanoseconds(duration) => Some(u32::try_from(duration.div_ceil(1000)).unwrap_or(u32::MAX)),
        });
        self.not_ready_us.or_else(|| slowest.max().filter(|&time| time > 0)).unwrap_or(NOT_READY_US)
    }
}

impl Instance {
    /// What its registers do.
    #[must_use]
    pub fn config(&self, features: &MpamFeatures) -> RisConfig {
        RisConfig {
            partid_max: self.partid_max.unwrap_or(features.partid_max),
            pmg_max: self.pmg_max.unwrap_or(features.pmg_max),
            cpor_bits: self.cpor_bits,
            capacity: self.capacity,
            bandwidth: self.bandwidth,
            internal_priority: self.internal_priority,
            downstream_priority: self.downstream_priority,
            narrowing: self.narrowing,
            usage: self.usage,
            traffic: self.traffic,
        }
    }
}

impl MpamFeatures {
    /// What the processors' system registers do.
    #[must_use]
    pub const fn cpu(&self) -> CpuConfig {
        CpuConfig {
            partid_max: self.partid_max,
            pmg_max: self.pmg_max,
            streaming: self.streaming,
            el2: self.el2,
            enabled_by_firmware: true,
        }
    }

    /// Physical address of an MSC's page.
    #[must_use]
    pub const fn address(&self, msc: usize) -> u64 {
        self.base + MSC_STRIDE * msc as u64
    }

    /// QEMU's options for the memory behind the pages: an NVDIMM, so that the guest sees no System RAM there.
    pub(super) fn qemu_args(&self) -> [String; 4] {
        [
            "-object".to_owned(),
            format!("memory-backend-ram,id=msc,size={MSC_MEMORY}"),
            "-device".to_owned(),
            format!("nvdimm,memdev=msc,addr={:#x}", self.base),
        ]
    }

    /// Where memory that is plugged in begins, given the bytes of the machine's own: QEMU rounds up.
    const fn plugged_base(ram: u64) -> u64 {
        (RAM_BASE + ram).next_multiple_of(GIB)
    }

    /// `maxmem` for a machine with so many bytes: everything up to the end of the pages can be plugged in.
    pub(super) const fn max_memory(&self, ram: u64) -> u64 {
        (ram + self.base + MSC_MEMORY - Self::plugged_base(ram)).next_multiple_of(GIB)
    }
}

impl Machine {
    /// The ACPI tables that firmware does not have, by file name, for the initial RAM disk: PPTT and MPAM. None for a
    /// machine without `[mpam]`.
    ///
    /// Linux takes them from an uncompressed cpio archive at the very beginning of the initial RAM disk, folder
    /// `kernel/firmware/acpi`.
    #[must_use]
    pub fn acpi_tables(&self) -> Vec<(String, Vec<u8>)> {
        let Some(features) = &self.mpam else { return Vec::new() };
        let [pptt, mpam] = tables::tables(self, features);
        vec![("pptt.aml".to_owned(), pptt), ("mpam.aml".to_owned(), mpam)]
    }
}

/// Ids of caches: those that the operating system knows domains by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CacheIds {
    l3: u32,
    l2: u32,
}

impl CacheIds {
    fn of(machine: &Machine) -> Self {
        let first = |cache: &Option<super::Cache>, standard| {
            cache.as_ref().and_then(|cache| cache.first_id).unwrap_or(standard)
        };
        Self { l3: first(&machine.cache.l3, 0), l2: first(&machine.cache.l2, 0x100) }
    }
}

impl Place {
    /// The L3 domain that the place is, if it is one of this machine.
    #[must_use]
    pub fn l3_domain(self, machine: &Machine) -> Option<usize> {
        let id = CacheIds::of(machine).l3;
        let domain = match self {
            Self::L3(domain) => domain,
            Self::CacheId(number) => number.checked_sub(id)? as usize,
            _ => return None,
        };
        (domain < machine.topology.l3_domains()).then_some(domain)
    }

    /// The L2 domain that the place is, if it is one of this machine.
    #[must_use]
    pub fn l2_domain(self, machine: &Machine) -> Option<usize> {
        let id = CacheIds::of(machine).l2;
        let domain = match self {
            Self::L2(domain) => domain,
            Self::CacheId(number) => number.checked_sub(id)? as usize,
            _ => return None,
        };
        (domain < machine.topology.l2_domains()).then_some(domain)
    }
}
