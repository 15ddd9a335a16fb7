// SPDX-License-Identifier: GPL-2.0-only
//! The hardware: what this crate asks of whoever runs the machine.

use resctrl_types::{CpuId, Here, Pinned};

/// The memory-mapped registers of one MSC.
///
/// All of this crate's access to MSCs goes through here. It is only used from CPUs that the MSC can be reached from.
pub trait Msc: Send + Sync + 'static {
    /// Reads 32 bits at a byte offset below 0x3000, as `readl_relaxed` does. Callable with interrupts off.
    fn read32(&self, here: Here<'_>, offset: u32) -> u32;

    /// Writes 32 bits, as `writel_relaxed` does. Callable with interrupts off.
    fn write32(&self, here: Here<'_>, offset: u32, value: u32);

    /// The registers of the chip that it is on, outside of its page: on a machine whose SoC id is [`SOC_ID`](crate::devices::t241::SOC_ID) those at
    /// [`registers_of`](crate::devices::t241::registers_of) its address, on any other none.
    fn chip(&self) -> Option<&dyn ChipRegisters> {
        None
    }
}

/// Registers of a chip, mapped: see [`registers_of`](crate::devices::t241::registers_of).
pub trait ChipRegisters: Send + Sync {
    /// Reads 64 bits at a byte offset below [`SIZE`](crate::devices::t241::SIZE), as `readq_relaxed` does. Callable with interrupts off.
    fn read64(&self, here: Here<'_>, offset: u32) -> u64;

    /// Writes 64 bits, as `writeq_relaxed` does. Callable with interrupts off.
    fn write64(&self, here: Here<'_>, offset: u32, value: u64);
}

/// A register of FEAT_MPAM that is written at context switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemRegister {
    /// `MPAM0_EL1`: labels of user space.
    Mpam0,
    /// `MPAM1_EL1`: labels of the kernel. At EL2 that name stands for `MPAM2_EL2`.
    Mpam1,
    /// `MPAM1_EL12`, the name of `MPAM1_EL1` at EL2: labels of the kernels of guests.
    Mpam1Guest,
    /// `MPAMSM_EL1`: labels of the streaming mode compute unit.
    Mpamsm,
}

/// The system registers of the processor that the calling code runs on.
pub trait SystemRegisters: Send + Sync + 'static {
    /// Reads `MPAMIDR_EL1`.
    fn mpamidr(&self, here: Here<'_>) -> u64;

    /// Whether there is `MPAMSM_EL1` (FEAT_SME); the same on all processors.
    fn has_streaming(&self) -> bool;

    /// Whether the kernel runs at EL2, and the kernels of guests have registers of their own; the same on all processors.
    fn has_guests(&self) -> bool;

    /// Writes a register. Callable with interrupts off.
    fn write(&self, here: Here<'_>, register: SystemRegister, value: u64);

    /// Makes writes so far take effect before what comes (ISB). Callable with interrupts off.
    fn synchronize(&self, here: Here<'_>);

    /// Waits at least so many microseconds: `fsleep`. Sleeps.
    fn wait_us(&self, here: Pinned<'_>, us: u32);
}

/// What the firmware says.
pub struct Firmware<'a> {
    /// The table MPAM.
    pub mpam: &'a [u8],
    /// The table PPTT.
    pub pptt: &'a [u8],
    /// The possible CPU with a processor id of the MADT.
    pub processor: &'a dyn Fn(u32) -> Option<CpuId>,
    /// The NUMA node of a proximity domain.
    pub proximity: &'a dyn Fn(u64) -> Option<u32>,
    /// There is a cache between memory and those who request from it (HMAT): what goes to memory is then not what leaves
    /// the level 3 cache.
    pub memory_side_cache: bool,
}
