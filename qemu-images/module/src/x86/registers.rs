// SPDX-License-Identifier: GPL-2.0-only
//! The processor's registers.

use core::arch::asm;
use core::sync::atomic::{AtomicI32, Ordering};

use resctrl_types::Here;
use resctrl_x86::{Cpuid, Gp, Registers, TelemetryFeature};

use super::ffi;
use super::telemetry::KernelTelemetry;

/// The kernel's `EX_TYPE_DEFAULT`: to go on elsewhere is all. The shim asserts it.
const EX_TYPE_DEFAULT: u32 = 1;

#[cold]
fn write_traced(msr: u32, value: u64) -> Result<(), Gp> {
    // SAFETY: as in `write_msr`; the kernel catches the fault.
    match unsafe { ffi::shim_wrmsr(msr, value) } {
        0 => Ok(()),
        _ => Err(Gp),
    }
}

/// CPUID and the model specific registers of the CPU that runs.
pub(crate) struct KernelRegisters {
    /// Not 0 while somebody traces writes of MSRs.
    traced: &'static AtomicI32,
}

impl KernelRegisters {
    pub(crate) fn new() -> Self {
        // SAFETY: part of the kernel, which is there for good and changes it as an atomic of this size.
        KernelRegisters { traced: unsafe { AtomicI32::from_ptr(ffi::shim_wrmsr_traced().cast_mut()) } }
    }
}

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

    /// Not by a call, since one is written in the context switch: through the shim and the kernel it would take four times as many
    /// instructions. What the kernel does besides is to tell those who trace writes.
    #[inline]
    fn write_msr(&self, _here: Here<'_>, msr: u32, value: u64) -> Result<(), Gp> {
        if self.traced.load(Ordering::Relaxed) != 0 {
            return write_traced(msr, value);
        }
        let (low, high) = (value & u64::from(u32::MAX), value >> 32);
        // SAFETY: the architecture writes registers of RDT, which do not touch memory that Rust knows of. If the value is
        // refused, the kernel goes on at `refused`, as the entry in its table of faults says (`_ASM_EXTABLE`).
        unsafe {
            asm!(
                "2: wrmsr",
                ".pushsection __ex_table, \"a\"",
                ".balign 4",
                ".long 2b - .",
                ".long {refused} - .",
                ".long {type}",
                ".popsection",
                in("ecx") msr,
                in("rax") low,
                in("rdx") high,
                refused = label { return Err(Gp) },
                type = const EX_TYPE_DEFAULT,
                options(nostack, preserves_flags),
            );
        }
        Ok(())
    }

    fn flush_caches(&self, _here: Here<'_>) {
        ffi::shim_flush_caches();
    }
}
