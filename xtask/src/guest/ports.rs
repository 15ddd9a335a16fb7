// SPDX-License-Identifier: GPL-2.0-only
//! The serial ports of a guest, by the names it has for them.

use crate::kernels::Arch;

/// Who talks over which port. The guest's `init` learns the last three from its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    /// The kernel's console.
    pub(super) console: &'static str,
    /// The control channel, or the shell.
    pub(super) control: &'static str,
    /// Standard output of a script.
    pub(super) output: &'static str,
    /// Standard error of a script.
    pub(super) error: &'static str,
}

impl Ports {
    /// The ports of a guest in QEMU.
    pub(super) const fn of(arch: Arch) -> Self {
        match arch {
            Arch::Amd64 => Self { console: "ttyS0", control: "ttyS1", output: "ttyS2", error: "ttyS3" },
            // The machine `virt` has one port of its own; the others are PCI cards.
            Arch::Arm64 => Self { console: "ttyAMA0", control: "ttyS0", output: "ttyS1", error: "ttyS2" },
        }
    }

    /// The ports of a guest in Arm's model, which has four of its own. The second has firmware's run-time messages, too,
    /// which do no harm in standard error.
    pub(super) const FVP: Self = Self { console: "ttyAMA0", control: "ttyAMA2", output: "ttyAMA3", error: "ttyAMA1" };

    /// The part of the environment that `init` reads.
    pub(super) fn environment(self) -> [(&'static str, &'static str); 3] {
        [("PORT_CONTROL", self.control), ("PORT_OUTPUT", self.output), ("PORT_ERROR", self.error)]
    }
}
