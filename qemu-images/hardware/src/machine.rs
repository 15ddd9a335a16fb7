// SPDX-License-Identifier: GPL-2.0-only
//! The declarative description of a machine.
//!
//! A machine is a TOML file, see [`MachineFile`]: what QEMU has to provide (processors, memory) and which control hardware sits on top.
//! Everything about the hardware is optional; a table that is not there is a feature the machine does not have. Control
//! hardware of each make has a table of its own, `[rdt]`, `[qos]` or `[mpam]`; a file that names one this crate cannot
//! emulate is refused as an unknown field, not half honoured.

mod device;
mod file;
mod library;
mod likeness;
mod mpam;
mod place;
mod processor;
mod qos;
mod telemetry;
mod validate;

use crate::monitor::Event;
use serde::Deserialize;
use std::fmt;
use std::path::Path;

pub use device::Device;
pub use file::MachineFile;
pub use library::{is_path, name_in_library, names};
pub use likeness::Likeness;
pub use mpam::{Component, Instance, MSC_STRIDE, MpamFeatures, Place, TableDefect};
pub use processor::{TELLING_LEAVES, processor_name, property_number};
pub use qos::{Abmc, BandwidthLimit, QosFeatures};
pub use telemetry::{KNOWN_COUNTERS, TelemetryFeatures, TelemetryGroup};

/// Bytes in a cache line; the manual allows others, no processor with RDT has one.
pub const LINE_SIZE: u64 = 64;

/// A machine, as its file describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// One line for lists and help texts.
    pub description: String,
    /// Instruction set, which also says which QEMU runs it.
    pub arch: Arch,
    /// Memory as QEMU's `-m` takes it, with a unit: `1G`, `768M`.
    pub memory: String,
    /// What QEMU itself has to be told.
    pub qemu: Qemu,
    /// How many processors there are, and which of them share what.
    pub topology: Topology,
    /// Geometry of the caches that can be controlled.
    #[serde(default)]
    pub cache: Caches,
    /// Intel Resource Director Technology.
    pub rdt: Option<RdtFeatures>,
    /// Counters of the processors: architectural performance monitoring of Intel's, core performance counters of AMD's, events
    /// of the caches in the counters of Arm's.
    pub pmu: Option<PmuFeatures>,
    /// Counters of Intel's memory controllers.
    pub memory_controllers: Option<MemoryControllers>,
    /// Intel Application Energy Telemetry.
    pub telemetry: Option<TelemetryFeatures>,
    /// AMD Platform Quality of Service.
    pub qos: Option<QosFeatures>,
    /// Arm MPAM.
    pub mpam: Option<MpamFeatures>,
}

/// Instruction set of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Arch {
    /// `qemu-system-x86_64`.
    #[serde(rename = "x86_64")]
    X86_64,
    /// `qemu-system-aarch64`.
    #[serde(rename = "aarch64")]
    Aarch64,
}

/// What QEMU is told beside topology and memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// Value of `-machine`.
    pub machine: String,
    /// Value of `-cpu`. The plugin compares vendor, family, model, stepping and levels, as far as they are said, with QEMU's processor.
    /// Of x86's `max`, QEMU takes model and stepping only with a family.
    pub cpu: String,
}

/// Processors and what they share. CPUs are numbered socket by socket, core by core, thread by thread.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Packages.
    pub sockets: usize,
    /// Cores a socket.
    pub cores: usize,
    /// Threads a core.
    #[serde(default = "one")]
    pub threads: usize,
    /// Cores that share one L2; 1 if not given.
    #[serde(default = "one")]
    pub l2_cores: usize,
    /// Cores that share one L3; all of the socket if not given.
    pub l3_cores: Option<usize>,
    /// NUMA nodes that a socket, with one L3, is divided into: sub-NUMA clustering. Each has an equal part of the memory.
    #[serde(default = "one")]
    pub nodes: usize,
}

fn one() -> usize {
    1
}

/// The caches whose geometry the machine overrides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Caches {
    /// Level 2, unified.
    pub l2: Option<Cache>,
    /// Level 3, unified.
    pub l3: Option<Cache>,
    /// Whether caches follow what the guest does from the beginning, and counters with them. A guest can turn it on and off:
    /// `rdt-traffic caches follow`. Needs `cache.l3`, and no more than 64 ways.
    #[serde(default)]
    pub model: bool,
}

/// Geometry of one cache.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Size of each such cache, in KiB.
    pub size_kib: u64,
    /// Associativity.
    pub ways: u64,
    /// Id of the first such cache, where firmware says it (MPAM); the others count on. No two caches of a machine, of
    /// whatever level, have the same. If not given, L3s count from 0 and L2s from 256.
    pub first_id: Option<u32>,
}

/// The parts of Resource Director Technology a machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RdtFeatures {
    /// L3 cache allocation.
    pub l3: Option<Cat>,
    /// L2 cache allocation.
    pub l2: Option<Cat>,
    /// Memory bandwidth allocation.
    pub mba: Option<Mba>,
    /// L3 monitoring.
    pub monitoring: Option<Monitoring>,
}

/// Cache allocation of one level.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cat {
    /// Bits of a mask, 1 to 32.
    pub cbm_len: u32,
    /// Bits that others than CPUs (devices) may fill too.
    #[serde(default)]
    pub shareable: u32,
    /// Classes of service, before CDP halves them.
    pub closids: usize,
    /// Whether code and data prioritization can be switched on.
    #[serde(default)]
    pub cdp: bool,
    /// Whether masks may have holes. Not said in `[qos]`: AMD's always may, and may be empty too.
    #[serde(default)]
    pub noncontiguous: bool,
    /// Bits a mask must have at least.
    #[serde(default = "one")]
    pub min_bits: usize,
    /// Whether CPUID keeps quiet about it, as on Haswell servers: only the registers are there.
    #[serde(default)]
    pub unannounced: bool,
}

impl Cat {
    /// All bits of a mask.
    pub fn full_mask(&self) -> u64 {
        u64::MAX >> (64 - self.cbm_len)
    }
}

/// Memory bandwidth allocation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Mba {
    /// Largest delay, in percent, 1 to 99.
    pub max_delay: u64,
    /// Whether a delay of n is n percent; else delays are powers of two.
    pub linear: bool,
    /// Classes of service.
    pub closids: usize,
    /// Whether a thread is spared its sibling's delay.
    #[serde(default)]
    pub per_thread: bool,
}

/// L3 monitoring.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Monitoring {
    /// Monitoring ids, 1 to 4096.
    pub rmids: usize,
    /// Bytes a step of any counter stands for.
    pub unit: u64,
    /// Width of the bandwidth counters, 24 to 62 bits.
    pub counter_bits: u32,
    /// Events there are.
    pub events: Vec<Event>,
}

/// Counters of the processor: with `[rdt]`, architectural performance monitoring, version 2, with three fixed ones besides; with `[qos]`,
/// AMD's core performance counters, version 2; with `[mpam]`, events of the caches in the counters that QEMU has for a Cortex-A57.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PmuFeatures {
    /// General-purpose counters of each CPU, 2 to 8; of AMD's and Arm's always 6. They count cycles, which are nanoseconds, and, while caches follow
    /// what the guest does, instructions, and references and misses of the L3, or of AMD's L2s.
    pub counters: usize,
}

/// Memory controllers with counters in PCI functions, as Xeon Scalable processors have them. Linux' driver looks for them on processors of
/// family 6, model 85.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MemoryControllers {
    /// Channels of the socket, 1 to 6. They count lines read and written while caches follow what the guest does.
    pub channels: usize,
}

/// Most channels of a socket.
pub const MAX_CHANNELS: usize = 6;

/// Why a machine file is no good, in a sentence that names the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineError(pub(crate) String);

impl fmt::Display for MachineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MachineError {}

impl Machine {
    /// Whether there is anything to emulate below QEMU: RDT, AMD's QoS, or MPAM.
    #[must_use]
    pub fn has_controls(&self) -> bool {
        self.rdt.is_some() || self.qos.is_some() || self.mpam.is_some()
    }

    /// Reads and validates the text of a machine file that is like no other.
    ///
    /// # Errors
    ///
    /// Syntax, an unknown or missing key, or a value no hardware can have; the message has line, column and key.
    pub fn parse(text: &str) -> Result<Self, MachineError> {
        Ok(MachineFile::parse(text)?.machine)
    }

    /// Reads and validates a machine file. If it is like another by name, that one is in the same folder.
    ///
    /// # Errors
    ///
    /// As [`MachineFile::load`].
    pub fn load(path: &Path) -> Result<Self, MachineError> {
        Ok(MachineFile::load(path, path.parent().unwrap_or(Path::new("")))?.machine)
    }

    /// Value of QEMU's `-smp`.
    pub fn smp(&self) -> String {
        let Topology { sockets, cores, threads, .. } = self.topology;
        format!("{},sockets={sockets},cores={cores},threads={threads}", self.topology.cpus())
    }

    /// How much memory it has.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        // Read before, when the machine was found to be a good one.
        validate::memory_bytes(&self.memory).unwrap_or_default()
    }

    /// QEMU's arguments for processors and memory: `-machine`, `-cpu`, `-smp`, `-m`, and what the emulated hardware lies
    /// in. Firmware, devices and what to boot are not among them.
    pub fn qemu_args(&self) -> Vec<String> {
        let (machine, memory) = match &self.mpam {
            None => (self.qemu.machine.clone(), self.memory.clone()),
            Some(mpam) => {
                let bytes = validate::memory_bytes(&self.memory).unwrap_or_default();
                let most = mpam.max_memory(bytes) >> 30;
                let el2 = if mpam.el2 { ",virtualization=on" } else { "" };
                let machine = format!("{},gic-version=3,nvdimm=on{el2}", self.qemu.machine);
                (machine, format!("{},slots=1,maxmem={most}G", self.memory))
            }
        };
        [("-machine", machine), ("-cpu", self.qemu.cpu.clone()), ("-smp", self.smp()), ("-m", memory)]
            .into_iter()
            .flat_map(|(option, value)| [option.to_owned(), value])
            .chain(self.mpam.iter().flat_map(MpamFeatures::qemu_args))
            .chain(self.numa_args())
            .collect()
    }

    /// QEMU's arguments for the NUMA nodes of divided sockets. Whole ones need none.
    fn numa_args(&self) -> Vec<String> {
        let Topology { sockets, nodes, .. } = self.topology;
        if nodes == 1 {
            return Vec::new();
        }
        let count = sockets * nodes;
        let size = validate::memory_bytes(&self.memory).unwrap_or_default() / count as u64;
        let cpus = self.topology.cpus() / count;
        (0..count)
            .flat_map(|node| {
                let (first, last) = (node * cpus, (node + 1) * cpus - 1);
                [
                    "-object".to_owned(),
                    format!("memory-backend-ram,id=node{node},size={size}"),
                    "-numa".to_owned(),
                    format!("node,nodeid={node},cpus={first}-{last},memdev=node{node}"),
                ]
            })
            .collect()
    }
}

impl Topology {
    /// CPUs of the machine.
    pub fn cpus(&self) -> usize {
        self.sockets * self.cores * self.threads
    }

    /// Cores that share one L3.
    pub fn l3_cores(&self) -> usize {
        self.l3_cores.unwrap_or(self.cores)
    }

    /// L3 domains of the machine.
    pub fn l3_domains(&self) -> usize {
        self.sockets * (self.cores / self.l3_cores())
    }

    /// L2 domains of the machine.
    pub fn l2_domains(&self) -> usize {
        self.sockets * (self.cores / self.l2_cores)
    }

    /// L3 domain of a CPU, which is also the id the operating system gives that cache.
    pub fn l3_domain(&self, cpu: usize) -> usize {
        cpu / (self.l3_cores() * self.threads)
    }

    /// Place of a CPU's NUMA node among those of its socket.
    pub fn node_of_socket(&self, cpu: usize) -> usize {
        let cpus = self.cores * self.threads;
        cpu % cpus / (cpus / self.nodes)
    }

    /// NUMA node of a CPU, counted over the whole machine.
    pub fn node(&self, cpu: usize) -> usize {
        cpu / (self.cores * self.threads) * self.nodes + self.node_of_socket(cpu)
    }

    /// The part of something of a socket's L3 that each of its nodes has.
    pub(crate) fn share(&self, whole: u64) -> u64 {
        whole / self.nodes as u64
    }

    /// L2 domain of a CPU, counted over the whole machine.
    pub fn l2_domain(&self, cpu: usize) -> usize {
        cpu / (self.l2_cores * self.threads)
    }

    /// Core of a CPU, counted over the whole machine.
    pub fn core(&self, cpu: usize) -> usize {
        cpu / self.threads
    }

    /// CPUs of an L3 domain.
    pub fn l3_domain_cpus(&self, domain: usize) -> std::ops::Range<usize> {
        let width = self.l3_cores() * self.threads;
        domain * width..(domain + 1) * width
    }

    /// APIC ids a cache of this many cores spans: each level's ids take a power of two.
    pub(crate) fn apic_span(&self, cores: usize) -> usize {
        cores.next_power_of_two() * self.threads.next_power_of_two()
    }
}
