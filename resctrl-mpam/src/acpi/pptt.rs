// SPDX-License-Identifier: GPL-2.0-only
//! The PPTT: a tree of processors and processor containers, with caches hanging on it.
//!
//! Source: ACPI 6.5, 5.2.30 "Processor Properties Topology Table". A processor's caches are its private ones and, one
//! after another, the next levels of those, then the same for the container it is in, and so on up; the level of a cache
//! is its place in this order.

use resctrl_types::{CpuId, CpuMask, KVec};

use super::{Bytes, HEADER_SIZE, TableError, table};

/// The first revision that tells cache ids.
const REVISION: u8 = 3;

/// Node types.
const PROCESSOR: u8 = 0;
const CACHE: u8 = 1;

/// Bytes of a processor node before its private resources, and of a cache node.
const PROCESSOR_SIZE: usize = 20;
const CACHE_SIZE: usize = 28;

/// Flags of a processor node: its id is that of a processor or container; it is a processor.
const ID_VALID: u32 = 1 << 1;
const LEAF: u32 = 1 << 3;

/// Flags of a cache node: the size and the id are valid.
const SIZE_VALID: u32 = 1 << 0;
const CACHE_ID_VALID: u32 = 1 << 7;

/// `attributes`, bits 3:2: the cache holds instructions only.
const INSTRUCTION: u8 = 1;

/// More nodes above a processor, or more levels of caches, than any machine has: the table is a circle.
const DEEPEST: usize = 16;

/// A cache that has an id.
#[derive(Debug)]
pub struct FirmwareCache {
    /// The id that MSCs name it by.
    pub id: u32,
    /// 1 is nearest to the processor.
    pub level: u8,
    /// Bytes; 0 when the firmware does not say.
    pub size: u32,
    /// The processors that share it, online or not.
    pub cpus: CpuMask,
}

/// The caches and containers of a machine.
#[derive(Debug)]
pub struct Caches {
    caches: KVec<FirmwareCache>,
    containers: KVec<(u32, CpuMask)>,
}

impl Caches {
    /// Reads a table. `processor` says which CPU has a processor id of the MADT, if it is a possible one.
    ///
    /// # Errors
    /// See [`TableError`].
    // Its locals are off the stack again when it returns: a thread of the kernel has 16 kB of it.
    #[inline(never)]
    pub fn parse(bytes: &[u8], nr_cpu_ids: u32, processor: &dyn Fn(u32) -> Option<CpuId>) -> Result<Self, TableError> {
        let (table, revision) = table(bytes, b"PPTT")?;
        if revision < REVISION {
            return Err(TableError::Revision);
        }
        let mut caches = Caches { caches: KVec::new(), containers: KVec::new() };
        let mut offset = HEADER_SIZE;
        while offset < table.len() {
            let bytes = node(table, offset)?;
            if bytes.first() == Some(&PROCESSOR) {
                let (flags, id) = (processor_flags(bytes)?, bytes.u32_at(12)?);
                if flags & (LEAF | ID_VALID) == LEAF | ID_VALID
                    && let Some(cpu) = processor(id)
                {
                    caches.climb(table, bytes, cpu, nr_cpu_ids)?;
                }
            }
            offset = offset.saturating_add(bytes.len());
        }
        Ok(caches)
    }

    /// Every cache with an id.
    #[must_use]
    pub fn caches(&self) -> &[FirmwareCache] {
        &self.caches
    }

    /// The cache with this id.
    #[must_use]
    pub fn cache(&self, id: u32) -> Option<&FirmwareCache> {
        self.caches.iter().find(|cache| cache.id == id)
    }

    /// The processors in the container with this id.
    #[must_use]
    pub fn container(&self, id: u32) -> Option<&CpuMask> {
        self.containers.iter().find(|container| container.0 == id).map(|container| &container.1)
    }

    /// Goes from a processor up to the root and notes that it shares what is on the way.
    fn climb(&mut self, table: &[u8], leaf: &[u8], cpu: CpuId, nr_cpu_ids: u32) -> Result<(), TableError> {
        let mut level = 0;
        let mut bytes = leaf;
        for height in 0..DEEPEST {
            level = self.caches_of(table, bytes, level, cpu, nr_cpu_ids)?;
            if height > 0 && processor_flags(bytes)? & ID_VALID != 0 {
                let id = bytes.u32_at(12)?;
                let place = self.containers.iter().position(|container| container.0 == id);
                join(&mut self.containers, place, cpu, nr_cpu_ids, |mask| (id, mask), |container| &mut container.1)?;
            }
            let Some(parent) = reference(bytes.u32_at(8)?) else { return Ok(()) };
            bytes = node(table, parent)
                .ok()
                .filter(|node| node.first() == Some(&PROCESSOR))
                .ok_or(TableError::Reference)?;
        }
        Err(TableError::Reference)
    }

    /// Notes the private caches of a node and their next levels, which begin behind `level`; returns the last level.
    fn caches_of(
        &mut self,
        table: &[u8],
        bytes: &[u8],
        level: u8,
        cpu: CpuId,
        nr_cpu_ids: u32,
    ) -> Result<u8, TableError> {
        let mut last = level;
        let count = usize::try_from(bytes.u32_at(16)?).map_err(|_| TableError::Node)?;
        for place in 0..count {
            let mut next = reference(bytes.u32_at(place.saturating_mul(4).saturating_add(PROCESSOR_SIZE))?);
            let mut at = level;
            while let Some(offset) = next {
                let cache = node(table, offset).map_err(|_| TableError::Reference)?;
                if cache.first() != Some(&CACHE) {
                    break;
                }
                at = at.saturating_add(1);
                if usize::from(at) > DEEPEST {
                    return Err(TableError::Reference);
                }
                self.note(cache, at, cpu, nr_cpu_ids)?;
                next = reference(cache.u32_at(8)?);
            }
            last = last.max(at);
        }
        Ok(last)
    }

    /// Notes that `cpu` uses a cache at this level.
    fn note(&mut self, bytes: &[u8], level: u8, cpu: CpuId, nr_cpu_ids: u32) -> Result<(), TableError> {
        let flags = bytes.u32_at(4)?;
        let kind = bytes.u8_at(21)? >> 2 & 3;
        if flags & CACHE_ID_VALID == 0 || kind == INSTRUCTION {
            return Ok(());
        }
        let id = bytes.u32_at(24)?;
        let size = if flags & SIZE_VALID == 0 { 0 } else { bytes.u32_at(12)? };
        let place = self.caches.iter().position(|cache| cache.id == id);
        if place.and_then(|place| self.caches.get(place)).is_some_and(|cache| cache.level != level) {
            return Err(TableError::Reference);
        }
        let make = |cpus| FirmwareCache { id, level, size, cpus };
        join(&mut self.caches, place, cpu, nr_cpu_ids, make, |cache| &mut cache.cpus)
    }
}

/// Adds `cpu` to the element at `place`, or to a new one.
fn join<T>(
    list: &mut KVec<T>,
    place: Option<usize>,
    cpu: CpuId,
    nr_cpu_ids: u32,
    make: impl FnOnce(CpuMask) -> T,
    mask_of: impl FnOnce(&mut T) -> &mut CpuMask,
) -> Result<(), TableError> {
    let element = match place {
        Some(place) => list.get_mut(place),
        None => {
            let mask = CpuMask::new(nr_cpu_ids).map_err(|_| TableError::NoMemory)?;
            list.push(make(mask)).map_err(|_| TableError::NoMemory)?;
            list.last_mut()
        }
    };
    mask_of(element.ok_or(TableError::Reference)?).set(cpu).map_err(|_| TableError::Reference)
}

/// An offset from the start of the table; 0 is none.
fn reference(offset: u32) -> Option<usize> {
    usize::try_from(offset).ok().filter(|&offset| offset != 0)
}

/// The bytes of the node at `offset`, as many as it claims and its kind needs.
fn node(table: &[u8], offset: usize) -> Result<&[u8], TableError> {
    if offset < HEADER_SIZE {
        return Err(TableError::Node);
    }
    let rest = table.get(offset..).ok_or(TableError::Node)?;
    let (kind, length) = (rest.u8_at(0)?, usize::from(rest.u8_at(1)?));
    let bytes = rest.get(..length).ok_or(TableError::Node)?;
    let needed = match kind {
        PROCESSOR => {
            let resources = usize::try_from(bytes.u32_at(16)?).map_err(|_| TableError::Node)?;
            resources.checked_mul(4).and_then(|size| size.checked_add(PROCESSOR_SIZE)).ok_or(TableError::Node)?
        }
        CACHE => CACHE_SIZE,
        // Other kinds are stepped over; they have at least type and length.
        _ => 2,
    };
    if length < needed { Err(TableError::Node) } else { Ok(bytes) }
}

fn processor_flags(bytes: &[u8]) -> Result<u32, TableError> {
    bytes.u32_at(4)
}
