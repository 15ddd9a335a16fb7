// SPDX-License-Identifier: GPL-2.0-only
//! The firmware tables: where MSCs are and what they are part of (MPAM), which caches there are and whose (PPTT), and
//! whether some are in front of memory (HMAT).
//!
//! A table is bytes from outside. Every offset, length and count in it is checked before it is used; a table that lies is
//! refused with an error, and nothing reads beyond its end.

mod hmat;
mod mpam;
mod pptt;

use core::fmt;

pub use hmat::has_memory_side_cache;
pub use mpam::{Interrupt, Linked, Locator, MpamTable, MscNode, Resource, Resources};
pub use pptt::{Caches, FirmwareCache};

/// Why a table is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// It does not begin with the signature it should.
    Signature,
    /// Its header, its length or the bytes given contradict each other.
    Length,
    /// Its bytes do not add up to 0.
    Checksum,
    /// It is of a revision that lacks what is needed.
    Revision,
    /// A node goes beyond its table or is too short for its kind.
    Node,
    /// Nodes refer to each other in a circle, or to what is no node.
    Reference,
    /// There is no memory.
    NoMemory,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TableError::Signature => "is another table",
            TableError::Length => "has a wrong length",
            TableError::Checksum => "has a wrong checksum",
            TableError::Revision => "is of an unknown revision or describes an unknown kind of MSC",
            TableError::Node => "has a node of a wrong length",
            TableError::Reference => "refers to what is not there",
            TableError::NoMemory => "cannot be read: no memory",
        })
    }
}

/// Bytes of the header that every table starts with (ACPI 6.5, table 5.4).
const HEADER_SIZE: usize = 36;

/// A little-endian number at an offset.
trait Bytes {
    fn u8_at(&self, offset: usize) -> Result<u8, TableError>;
    fn u16_at(&self, offset: usize) -> Result<u16, TableError>;
    fn u32_at(&self, offset: usize) -> Result<u32, TableError>;
    fn u64_at(&self, offset: usize) -> Result<u64, TableError>;
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], TableError> {
    bytes.get(offset..).and_then(|rest| rest.get(..N)).and_then(|found| found.try_into().ok()).ok_or(TableError::Node)
}

impl Bytes for [u8] {
    fn u8_at(&self, offset: usize) -> Result<u8, TableError> {
        self.get(offset).copied().ok_or(TableError::Node)
    }

    fn u16_at(&self, offset: usize) -> Result<u16, TableError> {
        array(self, offset).map(u16::from_le_bytes)
    }

    fn u32_at(&self, offset: usize) -> Result<u32, TableError> {
        array(self, offset).map(u32::from_le_bytes)
    }

    fn u64_at(&self, offset: usize) -> Result<u64, TableError> {
        array(self, offset).map(u64::from_le_bytes)
    }
}

/// Checks the header of a table and returns the whole table, cut to the length it claims, and its revision.
fn table<'a>(bytes: &'a [u8], signature: &[u8; 4]) -> Result<(&'a [u8], u8), TableError> {
    if bytes.get(..4) != Some(&signature[..]) {
        return Err(TableError::Signature);
    }
    let length = bytes.u32_at(4).ok().and_then(|length| usize::try_from(length).ok()).ok_or(TableError::Length)?;
    let table = bytes.get(..length).filter(|table| table.len() >= HEADER_SIZE).ok_or(TableError::Length)?;
    if table.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)) != 0 {
        return Err(TableError::Checksum);
    }
    Ok((table, table.u8_at(8)?))
}

#[cfg(test)]
mod tests;
