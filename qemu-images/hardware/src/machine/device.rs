// SPDX-License-Identifier: GPL-2.0-only
//! PCI devices that a machine has besides QEMU's own.

use super::Machine;
use crate::memory_controller::{Function, functions};

/// A PCI device whose registers are emulated here. QEMU makes a `vfio-user-pci` of it, and the plugin serves that on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Package telemetry of a socket. QEMU chooses where it is.
    Telemetry(usize),
    /// Something of a memory controller, which has its place.
    Memory(Function),
}

impl Device {
    /// Where it has to be, as QEMU's property `addr` takes it.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        match self {
            Self::Telemetry(_) => None,
            Self::Memory(Function { device, function, .. }) => Some(format!("{device:02x}.{function}")),
        }
    }
}

impl Machine {
    /// The PCI devices, in the order of their sockets.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        let packages = if self.telemetry.is_some() { self.topology.sockets } else { 0 };
        let memory = self.memory_controllers.iter().flat_map(|memory| functions(memory.channels));
        (0..packages).map(Device::Telemetry).chain(memory.map(Device::Memory)).collect()
    }
}
