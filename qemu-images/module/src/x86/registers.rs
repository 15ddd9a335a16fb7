// SPDX-License-Identifier: GPL-2.0-only
//! The processor's registers.

use resctrl_types::Here;
use resctrl_x86::{Cpuid, Gp, Registers, TelemetryFeature};

use super::ffi;
use super::telemetry::KernelTelemetry;

/// CPUID and the model specific registers of the CPU that runs.
pub(crate) struct KernelRegisters;

impl Registers for KernelRegisters {
    type Telemetry = KernelTelemetry;

    fn telemetry(&self, feature: TelemetryFeature) -> Option<KernelTelemetry> {
        KernelTelemetry::get(feature)
    }

    fn cpuid(&self, leaf: u32, subleaf: u32) -> Cpuid {
        let mut out = ffi::Cpuid::default();
        // SAFETY: `out` is writable; every leaf may be asked for.
        unsafe { ffi::shim_cpuid(leaf, subleaf, &raw mut out) };
        Cpuid { eax: out.eax, ebx: out.ebx, ecx: out.ecx, edx: out.edx }
    }

    fn read_msr(&self, _here: Here<'_>, msr: u32) -> Result<u64, Gp> {
        let mut value = 0;
        // SAFETY: `value` is writable; the kernel catches the fault of an MSR that is not there.
        match unsafe { ffi::shim_rdmsr(msr, &raw mut value) } {
            0 => Ok(value),
            _ => Err(Gp),
        }
    }

    fn write_msr(&self, _here: Here<'_>, msr: u32, value: u64) -> Result<(), Gp> {
        // SAFETY: the architecture writes registers of RDT, which do not touch memory that Rust knows of; the kernel
        // catches the fault of a value that is refused.
        match unsafe { ffi::shim_wrmsr(msr, value) } {
            0 => Ok(()),
            _ => Err(Gp),
        }
    }

    fn flush_caches(&self, _here: Here<'_>) {
        ffi::shim_flush_caches();
    }
}
