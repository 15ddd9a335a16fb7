// SPDX-License-Identifier: GPL-2.0-only
//! What the nodes of a PPTT mean (ACPI 6.5, 5.2.30), on tables that are made node by node.

use super::*;

const PROCESSOR: u8 = 0;
const CACHE: u8 = 1;

/// Flags of a processor node: bit 1 its id is valid, bit 3 it is a leaf.
const PROCESSOR_FLAGS: core::ops::Range<u32> = 0..32;
const VALID_LEAF: u32 = 0b01010;

/// The bit of a cache node's flags that is set when its size is valid, and that when its id is.
const SIZE_VALID: u32 = 0x01;
const ID_VALID: u32 = 0x80;

/// A table in the making.
struct Table(Vec<u8>);

impl Table {
    fn new() -> Self {
        let mut bytes = b"PPTT".to_vec();
        bytes.resize(HEADER_SIZE, 0);
        bytes[8] = 3;
        Table(bytes)
    }

    /// Where the next node will be.
    fn end(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap()
    }

    /// Adds bytes and says where they are.
    fn add(&mut self, bytes: &[u8]) -> u32 {
        let at = self.end();
        self.0.extend(bytes);
        at
    }

    fn processor(&mut self, flags: u32, parent: u32, id: u32, caches: &[u32]) -> u32 {
        self.add(&processor_node(flags, parent, id, caches))
    }

    fn cache(&mut self, flags: u32, next: u32, id: u32) -> u32 {
        self.add(&cache_node(flags, next, 0, id))
    }

    fn parse(mut self) -> Result<Caches, TableError> {
        let length = self.end();
        self.0[4..8].copy_from_slice(&length.to_le_bytes());
        Caches::parse(&resum(self.0), CPUS, &processor)
    }
}

fn processor_node(flags: u32, parent: u32, id: u32, caches: &[u32]) -> Vec<u8> {
    let length = u8::try_from(20 + 4 * caches.len()).unwrap();
    let count = u32::try_from(caches.len()).unwrap();
    let words = [flags, parent, id, count];
    let words = words.iter().chain(caches).flat_map(|word| word.to_le_bytes());
    [PROCESSOR, length, 0, 0].into_iter().chain(words).collect()
}

/// A cache of 1 MiB.
fn cache_node(flags: u32, next: u32, attributes: u8, id: u32) -> Vec<u8> {
    let words = [flags, next, 1 << 20, 0, u32::from_le_bytes([0, attributes, 0, 0]), id];
    [CACHE, 28, 0, 0].into_iter().chain(words.iter().flat_map(|word| word.to_le_bytes())).collect()
}

#[test]
fn a_table_is_read_from_the_revision_on_that_tells_cache_ids() {
    for revision in 0..6 {
        let mut table = Table::new();
        table.0[8] = revision;
        assert_eq!(table.parse().err(), (revision < 3).then_some(TableError::Revision), "{revision}");
    }
}

#[test]
fn a_processor_is_a_leaf_with_a_valid_id_whatever_else_it_is() {
    for flags in PROCESSOR_FLAGS {
        let mut table = Table::new();
        let cache = table.cache(SIZE_VALID | ID_VALID, 0, 7);
        // A container's id is of another kind, and may be the number of a processor.
        table.processor(flags, 0, 2, &[cache]);
        let caches = table.parse().unwrap();
        assert_eq!(caches.cache(7).is_some(), flags & VALID_LEAF == VALID_LEAF, "{flags:#b}");
        assert!(caches.cache(7).is_none_or(|cache| cache.cpus.iter().eq([CpuId(2)])));
    }
}

#[test]
fn a_container_is_above_a_processor_and_has_a_valid_id() {
    for flags in PROCESSOR_FLAGS {
        let mut table = Table::new();
        let above = table.processor(flags, 0, 99, &[]);
        table.processor(VALID_LEAF, above, 2, &[]);
        let caches = table.parse().unwrap();
        assert_eq!(caches.container(99).is_some(), flags & 0b10 != 0, "{flags:#b}");
        assert!(caches.container(99).is_none_or(|cpus| cpus.iter().eq([CpuId(2)])));
        assert!(caches.container(2).is_none(), "a processor contains none");
    }
}

#[test]
fn an_id_and_a_size_of_a_cache_count_if_they_are_valid() {
    for flags in 0..0x100 {
        for attributes in 0..0x20 {
            let mut table = Table::new();
            let cache = table.add(&cache_node(flags, 0, attributes, 7));
            table.processor(VALID_LEAF, 0, 2, &[cache]);
            let caches = table.parse().unwrap();
            // Bits 3:2 of the attributes: 0 data, 1 instructions, 2 and 3 both.
            let there = flags & ID_VALID != 0 && attributes >> 2 & 3 != 1;
            let size = if flags & SIZE_VALID == 0 { 0 } else { 1 << 20 };
            assert_eq!(caches.cache(7).map(|cache| cache.size), there.then_some(size), "{flags:#x} {attributes:#x}");
        }
    }
}

#[test]
fn sixteen_levels_of_caches_are_no_circle_yet() {
    for levels in 1..20 {
        let mut table = Table::new();
        let nearest = (0..levels).rev().fold(0, |next, id| table.cache(ID_VALID, next, 100 + id));
        table.processor(VALID_LEAF, 0, 2, &[nearest]);
        let last = table.parse().map(|caches| caches.cache(100 + levels - 1).map(|cache| u32::from(cache.level)));
        assert_eq!(last, if levels <= 16 { Ok(Some(levels)) } else { Err(TableError::Reference) });
    }
}

#[test]
fn sixteen_nodes_one_in_another_are_no_circle_yet() {
    for nodes in 1..20 {
        let mut table = Table::new();
        let parent = (1..nodes).fold(0, |parent, height| table.processor(0b10, parent, 100 + height, &[]));
        table.processor(VALID_LEAF, parent, 2, &[]);
        let all = table.parse().map(|caches| (1..nodes).all(|height| caches.container(100 + height).is_some()));
        assert_eq!(all, if nodes <= 16 { Ok(true) } else { Err(TableError::Reference) }, "{nodes} nodes");
    }
}

#[test]
fn a_node_that_is_too_short_for_its_kind_is_refused_though_nobody_refers_to_it() {
    let id = 2;
    let nodes = [
        (processor_node(0, 0, 1, &[]), 20),
        (processor_node(0, 0, 1, &[HEADER_SIZE as u32; 2]), 28),
        (cache_node(0, 0, 0, 1), 28),
        ([&[id][..], &[0; 29]].concat(), 2),
        ([&[0xff][..], &[0; 29]].concat(), 2),
    ];
    for (node, needed) in nodes {
        for length in 0..=node.len() {
            let mut table = Table::new();
            table.cache(ID_VALID, 0, 7);
            let mut node = node.clone();
            node.truncate(length);
            if let Some(claimed) = node.get_mut(1) {
                *claimed = u8::try_from(length).unwrap();
            }
            table.add(&node);
            let good = length == 0 || length >= needed;
            assert_eq!(table.parse().err(), (!good).then_some(TableError::Node), "{length} bytes of {node:?}");
        }
    }
}
