// SPDX-License-Identifier: GPL-2.0-only
//! Puts the machine's PCI devices under the guest: QEMU's `vfio-user-pci` is the client, threads of this plugin are the servers, one
//! for each device.
//!
//! QEMU loads plugins before it makes devices, so a server listens by the time its client connects. A server takes no lock of
//! QEMU's, so it answers also while a CPU of the guest waits for the answer with one held.

use crate::nanoseconds_since;
use resctrl_hardware::Rdt;
use resctrl_hardware::caches::Model;
use resctrl_hardware::machine::Device;
use resctrl_hardware::memory_controller::{Happened, Space};
use resctrl_hardware::telemetry::Oobmsm;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;
use vfio_bindings::bindings::vfio::{
    VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS,
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE, vfio_region_info,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

/// Starts a server for each device. The path of its socket is `path`, a dot, and the place of the device among those of the machine.
pub(crate) fn serve(rdt: &'static Rdt, path: &str) -> Result<(), String> {
    let channels = rdt.machine().memory_controllers.as_ref().map_or(0, |memory| memory.channels);
    for (place, device) in rdt.machine().devices().into_iter().enumerate() {
        let path = format!("{path}.{place}");
        let named = |problem: io::Error| format!("socket {path}: {problem}");
        let registers = match (device, rdt.telemetry()) {
            (Device::Telemetry(socket), Some(telemetry)) => Registers::Telemetry(Oobmsm::new(telemetry, socket)),
            (Device::Telemetry(_), None) => continue,
            (Device::Memory(function), _) => {
                let space = Box::new(function.reset(channels));
                Registers::Memory { space, caches: rdt.caches(), started: Instant::now() }
            }
        };
        let listener = UnixListener::bind(&path).map_err(named)?;
        let backend = Backend { registers, path: Some(PathBuf::from(&path)) };
        thread::Builder::new().name(format!("device {place}")).spawn(move || run(listener, backend)).map_err(named)?;
    }
    Ok(())
}

/// Serves one client, which is QEMU, to its end.
fn run(listener: UnixListener, mut backend: Backend) {
    let irqs = (0..VFIO_PCI_NUM_IRQS).map(|index| IrqInfo { index, flags: 0, count: 0 }).collect();
    let server = Server::from_owned_fd(OwnedFd::from(listener), true, irqs, regions(&backend.registers));
    if let Err(problem) = server.run(&mut backend) {
        eprintln!("resctrl plugin: a device: {problem}");
    }
}

/// What a device has: neither interrupts nor access to the guest's memory.
enum Registers {
    Telemetry(Oobmsm),
    Memory { space: Box<Space>, caches: Option<&'static Model>, started: Instant },
}

impl Registers {
    fn memory_size(&self) -> usize {
        match self {
            Self::Telemetry(device) => device.memory_size(),
            Self::Memory { .. } => 0,
        }
    }

    fn config_size(&self) -> usize {
        match self {
            Self::Telemetry(device) => device.config_size(),
            Self::Memory { .. } => Space::SIZE,
        }
    }

    fn read(&mut self, region: u32, offset: usize, data: &mut [u8]) -> io::Result<()> {
        match (region, self) {
            (VFIO_PCI_BAR0_REGION_INDEX, Self::Telemetry(device)) => device.read_memory(offset, data),
            (VFIO_PCI_CONFIG_REGION_INDEX, Self::Telemetry(device)) => device.read_config(offset, data),
            (VFIO_PCI_CONFIG_REGION_INDEX, Self::Memory { space, caches, started }) => {
                space.read(offset, data, happened(*caches, *started));
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }

    fn write(&mut self, region: u32, offset: usize, data: &[u8]) -> io::Result<()> {
        match (region, self) {
            (VFIO_PCI_BAR0_REGION_INDEX, Self::Telemetry(device)) => device.write_memory(offset, data),
            (VFIO_PCI_CONFIG_REGION_INDEX, Self::Telemetry(device)) => device.write_config(offset, data),
            (VFIO_PCI_CONFIG_REGION_INDEX, Self::Memory { space, caches, started }) => {
                space.write(offset, data, happened(*caches, *started));
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }
}

/// What memory has done.
fn happened(caches: Option<&Model>, started: Instant) -> Happened {
    let lines = caches.map(Model::lines).unwrap_or_default();
    Happened { time: nanoseconds_since(started), read: lines.read, written: lines.written }
}

/// Bytes of what is told of a region.
#[expect(clippy::cast_possible_truncation, reason = "a struct of a few words")]
const INFO_SIZE: u32 = size_of::<vfio_region_info>() as u32;

fn regions(device: &Registers) -> Vec<ServerRegion> {
    let region = |index| {
        let size = match index {
            VFIO_PCI_BAR0_REGION_INDEX => device.memory_size() as u64,
            VFIO_PCI_CONFIG_REGION_INDEX => device.config_size() as u64,
            _ => 0,
        };
        let flags = if size == 0 { 0 } else { VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE };
        let region_info = vfio_region_info { argsz: INFO_SIZE, flags, index, size, ..Default::default() };
        ServerRegion { region_info, sparse_areas: Vec::new(), mmap_fd: None }
    };
    (0..VFIO_PCI_NUM_REGIONS).map(region).collect()
}

/// What is behind a server.
struct Backend {
    registers: Registers,
    /// Where the socket is, until QEMU has connected.
    path: Option<PathBuf>,
}

impl Backend {
    /// Removes the socket, of which there is no more need.
    fn connected(&mut self) {
        if let Some(path) = self.path.take() {
            // Somebody may have cleaned up already.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn offset_of(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl ServerBackend for Backend {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.connected();
        self.registers.read(region, offset_of(offset)?, data)
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        self.registers.write(region, offset_of(offset)?, data)
    }

    fn dma_map(
        &mut self,
        _flags: DmaMapFlags,
        _offset: u64,
        _address: u64,
        _size: u64,
        _memory: Option<File>,
    ) -> io::Result<()> {
        Ok(())
    }

    fn dma_unmap(&mut self, _flags: DmaUnmapFlags, _address: u64, _size: u64) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn set_irqs(&mut self, _index: u32, _flags: u32, _start: u32, _count: u32, _events: Vec<File>) -> io::Result<()> {
        Ok(())
    }
}
