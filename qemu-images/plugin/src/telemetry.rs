// SPDX-License-Identifier: GPL-2.0-only
//! Puts the devices of package telemetry under the guest: QEMU's `vfio-user-pci` is the client, threads of this plugin are
//! the servers, one for each package.
//!
//! QEMU loads plugins before it makes devices, so a server listens by the time its client connects. A server takes no lock of
//! QEMU's, so it answers also while a CPU of the guest waits for the answer with one held.

use resctrl_hardware::telemetry::{Oobmsm, Telemetry};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use vfio_bindings::bindings::vfio::{
    VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS,
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE, vfio_region_info,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

/// Starts a server for each package. The path of its socket is `path`, a dot, and the number of the package.
pub(crate) fn serve(telemetry: &Arc<Telemetry>, path: &str) -> Result<(), String> {
    for socket in 0..telemetry.sockets() {
        let path = format!("{path}.{socket}");
        let named = |problem: io::Error| format!("telemetry socket {path}: {problem}");
        let listener = UnixListener::bind(&path).map_err(named)?;
        let backend = Backend { device: Oobmsm::new(telemetry, socket), path: Some(PathBuf::from(&path)) };
        thread::Builder::new()
            .name(format!("telemetry {socket}"))
            .spawn(move || run(listener, backend))
            .map_err(named)?;
    }
    Ok(())
}

/// Serves one client, which is QEMU, to its end.
fn run(listener: UnixListener, mut backend: Backend) {
    let irqs = (0..VFIO_PCI_NUM_IRQS).map(|index| IrqInfo { index, flags: 0, count: 0 }).collect();
    let server = Server::from_owned_fd(OwnedFd::from(listener), true, irqs, regions(&backend.device));
    if let Err(problem) = server.run(&mut backend) {
        eprintln!("resctrl plugin: telemetry: {problem}");
    }
}

/// Bytes of what is told of a region.
#[expect(clippy::cast_possible_truncation, reason = "a struct of a few words")]
const INFO_SIZE: u32 = size_of::<vfio_region_info>() as u32;

fn regions(device: &Oobmsm) -> Vec<ServerRegion> {
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

/// The device behind a server: it has registers, and neither interrupts nor access to the guest's memory.
struct Backend {
    device: Oobmsm,
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
        match region {
            VFIO_PCI_BAR0_REGION_INDEX => self.device.read_memory(offset_of(offset)?, data),
            VFIO_PCI_CONFIG_REGION_INDEX => self.device.read_config(offset_of(offset)?, data),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        match region {
            VFIO_PCI_BAR0_REGION_INDEX => self.device.write_memory(offset_of(offset)?, data),
            VFIO_PCI_CONFIG_REGION_INDEX => self.device.write_config(offset_of(offset)?, data),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
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
