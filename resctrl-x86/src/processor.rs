// SPDX-License-Identifier: GPL-2.0-only
//! The processor: what this crate asks of whoever runs it.

use resctrl_types::Here;

/// What the instruction CPUID answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpuid {
    /// Register EAX.
    pub eax: u32,
    /// Register EBX.
    pub ebx: u32,
    /// Register ECX.
    pub ecx: u32,
    /// Register EDX.
    pub edx: u32,
}

/// The processor refused an access to a model specific register: a general protection fault, caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gp;

/// The registers of the CPU that the calling code runs on.
///
/// All of this crate's access to hardware goes through here. The kernel module executes the instructions; tests put
/// emulated hardware in their place.
pub trait Registers: Send + Sync + 'static {
    /// Telemetry of packages, which is not in registers but in memory of a device; [`NoTelemetry`] where there is none.
    type Telemetry: TelemetryRegions;

    /// Every telemetry region of a feature: the kernel's `intel_pmt_get_regions_by_feature`. May wait for a module to load.
    fn telemetry(&self, feature: TelemetryFeature) -> Option<Self::Telemetry>;

    /// Executes CPUID with this leaf in EAX and subleaf in ECX.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> Cpuid;

    /// Executes RDMSR: the kernel's `rdmsrq_safe`. Callable with interrupts off.
    ///
    /// # Errors
    /// The processor refused.
    fn read_msr(&self, here: Here<'_>, msr: u32) -> Result<u64, Gp>;

    /// Executes WRMSR: the kernel's `wrmsrq_safe`. Callable with interrupts off.
    ///
    /// # Errors
    /// The processor refused; the register is as it was.
    fn write_msr(&self, here: Here<'_>, msr: u32, value: u64) -> Result<(), Gp>;

    /// Executes WBINVD: writes back and empties every cache that this CPU uses. Takes long.
    fn flush_caches(&self, here: Here<'_>);
}

/// What a region is about: the kernel's `enum pmt_feature_id`, which the hardware's tables have, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TelemetryFeature {
    /// `FEATURE_PER_RMID_PERF_TELEM`: what cores did for each RMID.
    Perf = 0x3,
    /// `FEATURE_PER_RMID_ENERGY_TELEM`: what energy they used for it.
    Energy = 0xb,
}

impl TelemetryFeature {
    /// What the parameter `rdt=` and the log call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            TelemetryFeature::Perf => "perf",
            TelemetryFeature::Energy => "energy",
        }
    }
}

/// What the kernel's driver knows of a region: `struct telemetry_region`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelemetryRegion {
    /// Says what is in it.
    pub guid: u32,
    /// The package that it counts for, as the kernel numbers packages.
    pub package: u32,
    /// RMIDs that the hardware can count for at the same time.
    pub num_rmids: u32,
    /// Bytes.
    pub size: usize,
}

/// All the regions of a feature: `struct pmt_feature_group`. Dropping it gives them back to their driver.
pub trait TelemetryRegions: Send + Sync + 'static {
    /// How many there are. Constant.
    fn count(&self) -> usize;

    /// What is known of one, below [`TelemetryRegions::count`]. Constant.
    fn region(&self, index: usize) -> TelemetryRegion;

    /// Reads eight bytes of a region, at a multiple of eight below its size: `readq`. Callable with interrupts off.
    fn read(&self, index: usize, offset: usize) -> u64;
}

/// The regions of machines that have none.
#[derive(Clone, Copy, Debug)]
pub enum NoTelemetry {}

impl TelemetryRegions for NoTelemetry {
    fn count(&self) -> usize {
        match *self {}
    }

    fn region(&self, _index: usize) -> TelemetryRegion {
        match *self {}
    }

    fn read(&self, _index: usize, _offset: usize) -> u64 {
        match *self {}
    }
}
