// SPDX-License-Identifier: GPL-2.0-only
//! Where memory is: the physical addresses of RAM, and the NUMA node that each line is home to.

use super::LINE_SIZE;
use crate::machine::{Arch, Machine};

/// Where QEMU's `virt` has its memory.
const ARM_RAM_BASE: u64 = 0x4000_0000;

/// Where memory goes on behind the devices, on a PC.
const ABOVE_4G: u64 = 1 << 32;

/// The memory of a machine.
///
/// It is divided evenly among all NUMA nodes, socket by socket, in order of addresses. That holds as well where firmware tells of
/// no nodes, because sockets are not divided: each socket has its part then, as on hardware whose firmware keeps quiet about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// First byte of each range, and its length.
    ranges: [(u64, u64); 2],
    lines_per_node: u64,
}

impl Memory {
    /// The memory of a machine as QEMU lays it out.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        let size = machine.memory_bytes();
        let ranges = match machine.arch {
            Arch::Aarch64 => [(ARM_RAM_BASE, size), (0, 0)],
            Arch::X86_64 => {
                // QEMU's q35 leaves room for devices: from 2816 MiB on, or from 2 GiB on if memory would go beyond that.
                let room = if size >= 0xb000_0000 { 0x8000_0000 } else { 0xb000_0000 };
                let below = size.min(room);
                [(0, below), (ABOVE_4G, size - below)]
            }
        };
        let nodes = (machine.topology.sockets * machine.topology.nodes) as u64;
        Self { ranges, lines_per_node: (size / LINE_SIZE).div_ceil(nodes).max(1) }
    }

    /// The number of the line that a physical address is in, counted through all memory; `None` for what is not memory.
    #[must_use]
    pub fn line(&self, address: u64) -> Option<u64> {
        let [(first, length), (second, rest)] = self.ranges;
        let offset = match address.checked_sub(first) {
            Some(offset) if offset < length => offset,
            _ => length + address.checked_sub(second).filter(|offset| *offset < rest)?,
        };
        Some(offset / LINE_SIZE)
    }

    /// The NUMA node that a line is home to, counted over the whole machine.
    #[must_use]
    pub fn home(&self, line: u64) -> u64 {
        line / self.lines_per_node
    }

    /// Lines of each node.
    #[must_use]
    pub fn lines_per_node(&self) -> u64 {
        self.lines_per_node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(name: &str, size: &str) -> Memory {
        let path = format!("{}/../machines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let mut machine = Machine::load(path.as_ref()).expect("a machine");
        machine.memory = size.to_owned();
        Memory::of(&machine)
    }

    #[test]
    fn lines_are_counted_through_the_hole_for_devices() {
        let memory = memory("intel", "4G");
        assert_eq!(memory.line(0x7fff_ffff), Some((2 << 30) / 64 - 1));
        assert_eq!(memory.line(0x8000_0000), None);
        assert_eq!(memory.line(1 << 32), Some((2 << 30) / 64));
        assert_eq!(memory.line((6 << 30) - 1), Some((4 << 30) / 64 - 1));
        assert_eq!(memory.line(6 << 30), None);
    }

    #[test]
    fn memory_of_arm_begins_at_1_gib() {
        let memory = memory("mpam", "1G");
        assert_eq!((memory.line(0x3fff_ffff), memory.line(0x4000_0000)), (None, Some(0)));
        assert_eq!((memory.line(0x7fff_ffc0), memory.line(0x8000_0000)), (Some((1 << 30) / 64 - 1), None));
    }

    #[test]
    fn each_node_has_its_part() {
        let two = memory("intel", "1G");
        assert_eq!([0, 0x1fff_ffff, 0x2000_0000].map(|at| two.home(two.line(at).unwrap())), [0, 0, 1]);
        let four = memory("intel-snc", "1G");
        let at = |part: u64| four.home(four.line(part << 28).unwrap());
        assert_eq!([0, 1, 2, 3].map(at), [0, 1, 2, 3]);
    }
}
