// SPDX-License-Identifier: GPL-2.0-only
//! The ACPI tables with which firmware describes caches and MSCs: PPTT and MPAM.
//!
//! Source: ACPI 6.5, 5.2.30 "Processor Properties Topology Table (PPTT)", and ACPI for Memory System Resource
//! Partitioning and Monitoring 2.0 (Arm DEN0065), tables 3 to 9. Table headers, checksums and the nodes of the PPTT are
//! made by the crate `acpi_tables`, which knows no MPAM.

use acpi_tables::pptt::{
    AllocationType, CacheHandle, CacheNodeBuilder, CacheType, PPTT, ProcessorHandle, ProcessorNode,
};
use acpi_tables::sdt::Sdt;
use acpi_tables::{Aml, AmlSink};

use crate::numbers::word;

/// Bytes of every table's header.
const HEADER_SIZE: usize = 36;

/// Where in it the checksum is.
const CHECKSUM: usize = 9;

/// Who made the tables: QEMU's own names, so that a kernel which takes tables from an initrd sees newer versions of them.
const OEM_ID: [u8; 6] = *b"BOCHS ";
const OEM_TABLE_ID: [u8; 8] = *b"BXPC    ";
const OEM_REVISION: u32 = 2;

/// The first revision of the PPTT that tells cache ids.
const PPTT_REVISION: u8 = 3;

const MPAM_REVISION: u8 = 1;
const MSC_NODE_SIZE: usize = 72;
const RESOURCE_NODE_SIZE: usize = 24;

const LINE_SIZE: u16 = 64;
const L1_SIZE: u32 = 64 << 10;
const L1_WAYS: u8 = 4;

/// A cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The id that MSCs name it by; unlike that of every other cache.
    pub id: u32,
    /// Bytes.
    pub size: u32,
    /// Ways.
    pub ways: u8,
}

/// A processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processor {
    /// Its id in the MADT.
    pub uid: u32,
    /// Its level 2 cache, by place in [`Cluster::l2`].
    pub l2: Option<usize>,
    /// The container within the cluster that it is in, by place in [`Cluster::parts`].
    pub part: Option<usize>,
}

/// Processors that share a level 3 cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Id of the processor container.
    pub uid: u32,
    /// The cache they share.
    pub l3: Option<Cache>,
    /// Level 2 caches among them.
    pub l2: Vec<Cache>,
    /// Ids of containers within this one, without caches of their own.
    pub parts: Vec<u32>,
    /// Themselves.
    pub processors: Vec<Processor>,
}

/// What a resource instance is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locator {
    /// The cache with this id.
    Cache(u32),
    /// The memory of this proximity domain.
    Memory(u64),
    /// Something else: type and descriptors as they are in the table.
    Other(u8, u64, u32),
}

/// A resource instance of an MSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its index.
    pub ris: u8,
    /// What it is part of.
    pub locator: Locator,
}

/// A wired interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interrupt {
    /// Number; 0 is none.
    pub number: u32,
    /// Flags as in the table: bit 0 edge, bits 2:1 wired when 0, bit 3 affinity is a container, bit 4 affinity is valid.
    pub flags: u32,
}

impl Interrupt {
    /// Flags of a level interrupt that each processor has for itself.
    pub const PRIVATE: u32 = 1 << 4;
}

/// An MSC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Identifier.
    pub id: u32,
    /// Where its page is.
    pub address: u64,
    /// Bytes of its page; 0 disables it.
    pub size: u32,
    /// Overflow interrupt.
    pub overflow: Interrupt,
    /// Error interrupt.
    pub error: Interrupt,
    /// Microseconds until a monitor is ready at the latest.
    pub not_ready_us: u32,
    /// The processor container that it can be reached from; all processors where there is none.
    pub container: Option<u32>,
    /// Its resource instances.
    pub resources: Vec<Resource>,
}

/// Collects the bytes of what `acpi_tables` makes.
struct Bytes(Vec<u8>);

impl AmlSink for Bytes {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }
}

/// The PPTT of a package made of these clusters.
#[must_use]
pub fn pptt(clusters: &[Cluster]) -> Vec<u8> {
    let mut table = PPTT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    let package = table.add_processor(ProcessorNode::new(None, 0).physical().identical());
    for cluster in clusters {
        let mut container = ProcessorNode::new(Some(&package), cluster.uid).valid().identical();
        if let Some(l3) = &cluster.l3 {
            container = container.add_cache(&table.add_cache(unified(l3).to_node()));
        }
        let container = table.add_processor(container);
        let l2: Vec<CacheHandle> = cluster.l2.iter().map(|cache| table.add_cache(unified(cache).to_node())).collect();
        let part = |uid: &u32| table.add_processor(ProcessorNode::new(Some(&container), *uid).valid().identical());
        let parts: Vec<ProcessorHandle> = cluster.parts.iter().map(part).collect();
        for processor in &cluster.processors {
            let next = processor.l2.and_then(|place| l2.get(place));
            let parent = processor.part.and_then(|place| parts.get(place)).unwrap_or(&container);
            add_processor(&mut table, parent, *processor, next);
        }
    }
    let mut bytes = Bytes(Vec::new());
    table.to_aml_bytes(&mut bytes);
    finish(*b"PPTT", PPTT_REVISION, &bytes.0[HEADER_SIZE..])
}

fn add_processor(table: &mut PPTT, container: &ProcessorHandle, processor: Processor, l2: Option<&CacheHandle>) {
    let mut node = ProcessorNode::new(Some(container), processor.uid).valid().leaf();
    for (kind, tag) in [(CacheType::Data, 0x1000_0000), (CacheType::Instruction, 0x1800_0000)] {
        let mut l1 = geometry(L1_SIZE, L1_WAYS).cache_type(kind).id(tag | processor.uid);
        if let Some(l2) = l2 {
            l1 = l1.next_level(l2);
        }
        node = node.add_cache(&table.add_cache(l1.to_node()));
    }
    table.add_processor(node);
}

fn geometry(size: u32, ways: u8) -> CacheNodeBuilder {
    let sets = size / u32::from(LINE_SIZE) / u32::from(ways.max(1));
    CacheNodeBuilder::default()
        .size(size)
        .sets(sets)
        .associativity(ways)
        .line_size(LINE_SIZE)
        .allocation_type(AllocationType::Both)
}

fn unified(cache: &Cache) -> CacheNodeBuilder {
    geometry(cache.size, cache.ways).cache_type(CacheType::Unified).id(cache.id)
}

/// The MPAM table that lists these MSCs.
#[must_use]
pub fn mpam(nodes: &[Node]) -> Vec<u8> {
    let body: Vec<u8> = nodes.iter().flat_map(msc_node).collect();
    finish(*b"MPAM", MPAM_REVISION, &body)
}

fn finish(signature: [u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut table = Sdt::new(signature, word(HEADER_SIZE), revision, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(body);
    table.as_slice().to_vec()
}

/// Makes the bytes of a table that was changed sum up to zero again.
pub(crate) fn sum_up(table: &mut [u8]) {
    table[CHECKSUM] = 0;
    table[CHECKSUM] = table.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
}

/// Takes the ids of all caches out of a PPTT.
pub(crate) fn forget_cache_ids(table: &mut [u8]) {
    const CACHE: u8 = 1;
    const CACHE_FLAGS: usize = 4;
    const ID_VALID: u8 = 1 << 7;
    let mut node = HEADER_SIZE;
    while node < table.len() {
        if table[node] == CACHE {
            table[node + CACHE_FLAGS] &= !ID_VALID;
        }
        node += usize::from(table[node + 1]);
    }
    sum_up(table);
}

fn msc_node(node: &Node) -> Vec<u8> {
    const MMIO: u8 = 0;
    let length = MSC_NODE_SIZE + RESOURCE_NODE_SIZE * node.resources.len();
    let mut bytes = Vec::with_capacity(length);
    let length = u16::try_from(length).expect("an MSC has 16 resource instances at most");
    bytes.extend(length.to_le_bytes());
    bytes.extend([MMIO, 0]);
    bytes.extend(node.id.to_le_bytes());
    bytes.extend(node.address.to_le_bytes());
    bytes.extend(node.size.to_le_bytes());
    for interrupt in [node.overflow, node.error] {
        bytes.extend(interrupt.number.to_le_bytes());
        bytes.extend(interrupt.flags.to_le_bytes());
        // Reserved, and the affinity of a private interrupt.
        bytes.extend([0; 8]);
    }
    bytes.extend(node.not_ready_us.to_le_bytes());
    bytes.extend(if node.container.is_some() { *b"ACPI0010" } else { [0; 8] });
    bytes.extend(node.container.unwrap_or(0).to_le_bytes());
    bytes.extend(word(node.resources.len()).to_le_bytes());
    for (place, resource) in node.resources.iter().enumerate() {
        let (kind, first, second) = match resource.locator {
            Locator::Cache(id) => (0, u64::from(id), 0),
            Locator::Memory(domain) => (1, domain, 0),
            Locator::Other(kind, first, second) => (kind, first, second),
        };
        bytes.extend(word(place).to_le_bytes());
        bytes.extend([resource.ris, 0, 0, kind]);
        bytes.extend(first.to_le_bytes());
        bytes.extend(second.to_le_bytes());
        // Functional dependencies.
        bytes.extend(0_u32.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters() -> Vec<Cluster> {
        let l3 = Cache { id: 0x300, size: 8 << 20, ways: 16 };
        let l2 = vec![Cache { id: 0x200, size: 1 << 20, ways: 8 }];
        let processors = (0..2).map(|uid| Processor { uid, l2: Some(0), part: None }).collect();
        vec![Cluster { uid: 0, l3: Some(l3), l2, parts: Vec::new(), processors }]
    }

    fn node() -> Node {
        let none = Interrupt::default();
        let resources =
            vec![Resource { ris: 0, locator: Locator::Cache(0x300) }, Resource { ris: 1, locator: Locator::Memory(0) }];
        Node {
            id: 7,
            address: 0x1_0000_0000,
            size: 0x1_0000,
            overflow: none,
            error: Interrupt { number: 40, flags: 0 },
            not_ready_us: 10,
            container: None,
            resources,
        }
    }

    #[test]
    fn tables_have_their_length_and_sum_up_to_zero() {
        for table in [pptt(&clusters()), mpam(&[node(), node()])] {
            let length = u32::from_le_bytes(table[4..8].try_into().unwrap());
            assert_eq!(length as usize, table.len());
            assert_eq!(table.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)), 0);
        }
    }

    #[test]
    fn the_pptt_is_of_a_revision_that_tells_cache_ids() {
        let table = pptt(&clusters());
        assert_eq!((&table[..4], table[8]), (&b"PPTT"[..], 3));
        // The first node is the package, the second its level 3 cache: type 1, 28 bytes, every property and the id valid.
        let cache = &table[36 + 20..][..28];
        assert_eq!((cache[0], cache[1]), (1, 28));
        assert_eq!(cache[4] & 0x81, 0x81);
        assert_eq!(u32::from_le_bytes(cache[24..28].try_into().unwrap()), 0x300);
    }

    #[test]
    fn an_msc_node_is_72_bytes_and_24_for_each_resource() {
        let bytes = msc_node(&node());
        assert_eq!(bytes.len(), 72 + 2 * 24);
        assert_eq!(u16::from_le_bytes([bytes[0], bytes[1]]), 120);
        assert_eq!(u32::from_le_bytes(bytes[36..40].try_into().unwrap()), 40);
        assert_eq!(bytes[72 + 7], 0);
        assert_eq!(bytes[72 + 24 + 4], 1);
    }
}
