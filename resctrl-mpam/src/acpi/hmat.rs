// SPDX-License-Identifier: GPL-2.0-only
//! The HMAT, of which one thing matters: whether there are caches in front of memory.
//!
//! Source: ACPI 6.5, 5.2.28 "Heterogeneous Memory Attribute Table".

use super::{Bytes, HEADER_SIZE, TableError, table};

/// Reserved bytes between the header and the first structure.
const RESERVED: usize = 4;

/// Type and size of a memory side cache information structure, without the handles that follow it.
const MEMORY_SIDE_CACHE: u16 = 2;
const MEMORY_SIDE_CACHE_SIZE: usize = 32;

/// Bytes of the header of a structure.
const STRUCTURE_SIZE: usize = 8;

/// Whether the table describes a memory side cache.
///
/// # Errors
/// See [`TableError`].
pub fn has_memory_side_cache(bytes: &[u8]) -> Result<bool, TableError> {
    let (table, _) = table(bytes, b"HMAT")?;
    let mut rest = table.get(HEADER_SIZE + RESERVED..).ok_or(TableError::Length)?;
    let mut found = false;
    while !rest.is_empty() {
        let (kind, length) = (rest.u16_at(0)?, rest.u32_at(4)?);
        let length = usize::try_from(length).map_err(|_| TableError::Node)?;
        let needed = if kind == MEMORY_SIDE_CACHE { MEMORY_SIDE_CACHE_SIZE } else { STRUCTURE_SIZE };
        if length < needed {
            return Err(TableError::Node);
        }
        let (structure, next) = rest.split_at_checked(length).ok_or(TableError::Node)?;
        // Bits 3:0 of the attributes: how many levels there are; 0 is none.
        found |= kind == MEMORY_SIDE_CACHE && structure.u32_at(24)? & 0xf != 0;
        rest = next;
    }
    Ok(found)
}
