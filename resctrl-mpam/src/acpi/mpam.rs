// SPDX-License-Identifier: GPL-2.0-only
//! The MPAM table: one node an MSC, with one entry a resource instance.
//!
//! Source: ACPI for Memory System Resource Partitioning and Monitoring 2.0 (Arm DEN0065), tables 3 to 12.

use super::{Bytes, HEADER_SIZE, TableError, table};

/// Bytes of an MSC node before its resources.
const MSC_SIZE: usize = 72;

/// Bytes of a resource node before its functional dependencies.
const RESOURCE_SIZE: usize = 24;

/// Bytes of a functional dependency.
const DEPENDENCY_SIZE: usize = 8;

/// `interface_type` of an MSC behind memory-mapped registers.
const INTERFACE_MMIO: u8 = 0x00;

/// `hardware_id_linked_device` of a processor container.
const PROCESSOR_CONTAINER: [u8; 8] = *b"ACPI0010";

/// An MPAM table whose nodes have been checked.
#[derive(Clone, Copy, Debug)]
pub struct MpamTable<'a> {
    nodes: &'a [u8],
}

/// A wired interrupt of an MSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Global system interrupt number, never 0.
    pub number: u32,
    /// Edge triggered, not level.
    pub edge: bool,
    /// Private to each processor.
    pub private: bool,
}

/// From where an MSC can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// From every processor.
    Everywhere,
    /// From the processors of the container with this id.
    Container(u32),
}

/// What a resource instance is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locator {
    /// The cache with this id.
    Cache(u32),
    /// The memory of this proximity domain.
    Memory(u64),
    /// Something that is not managed here.
    Other(u8),
}

/// A resource instance of an MSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its number in the selectors, unchecked.
    pub ris: u8,
    /// What it is part of.
    pub locator: Locator,
}

/// An MSC that the firmware describes.
#[derive(Clone, Copy, Debug)]
pub struct MscNode<'a> {
    /// Its number in messages.
    pub id: u32,
    /// Physical address of its page.
    pub address: u64,
    /// Bytes of its page, not 0.
    pub size: u32,
    /// Overflow interrupt, if it has a usable one.
    pub overflow: Option<Interrupt>,
    /// Error interrupt, if it has a usable one.
    pub error: Option<Interrupt>,
    /// Microseconds after which every monitor is ready.
    pub not_ready_us: u32,
    /// From where it can be reached.
    pub linked: Linked,
    resources: &'a [u8],
    count: u32,
}

/// What a node turned out to be.
enum Found<'a> {
    Msc(MscNode<'a>),
    Disabled,
    /// It does something unknown with a reserved field, or is reached through a mailbox (PCC). A system with such an MSC
    /// cannot use MPAM: safe PARTIDs are those which every MSC knows, and this one's are not known.
    Unusable,
}

impl<'a> MpamTable<'a> {
    /// Checks a table.
    ///
    /// # Errors
    /// See [`TableError`]; [`TableError::Revision`] below revision 1, and for a node that does something unknown with a
    /// reserved field, as well as for one that is not reached through memory-mapped registers.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TableError> {
        let (table, revision) = table(bytes, b"MPAM")?;
        if revision < 1 {
            return Err(TableError::Revision);
        }
        let nodes = &table[HEADER_SIZE..];
        let mut rest = nodes;
        while !rest.is_empty() {
            let (found, next) = node(rest)?;
            match found {
                Found::Msc(msc) => msc.resources().try_for_each(|resource| resource.map(drop))?,
                Found::Disabled => {}
                Found::Unusable => return Err(TableError::Revision),
            }
            rest = next;
        }
        Ok(MpamTable { nodes })
    }

    /// The MSCs in the order of the table, without those that the firmware disabled.
    pub fn mscs(&self) -> impl Iterator<Item = MscNode<'a>> {
        let mut rest = self.nodes;
        core::iter::from_fn(move || {
            // Every node was good in `parse`.
            while let Ok((found, next)) = node(rest) {
                rest = next;
                if let Found::Msc(msc) = found {
                    return Some(msc);
                }
            }
            None
        })
    }
}

/// Reads the node at the beginning of `rest`; also returns what comes behind it.
fn node(rest: &[u8]) -> Result<(Found<'_>, &[u8]), TableError> {
    let length = usize::from(rest.u16_at(0)?);
    if length < MSC_SIZE {
        return Err(TableError::Node);
    }
    let (bytes, next) = rest.split_at_checked(length).ok_or(TableError::Node)?;
    let reserved = u32::from(bytes.u8_at(3)?) | bytes.u32_at(28)? | bytes.u32_at(44)?;
    let interface = bytes.u8_at(2)?;
    let size = bytes.u32_at(16)?;
    let found = if size == 0 {
        Found::Disabled
    } else if reserved != 0 || interface != INTERFACE_MMIO {
        Found::Unusable
    } else {
        let container = bytes.get(56..64) == Some(&PROCESSOR_CONTAINER[..]);
        Found::Msc(MscNode {
            id: bytes.u32_at(4)?,
            address: bytes.u64_at(8)?,
            size,
            overflow: interrupt(bytes.u32_at(20)?, bytes.u32_at(24)?),
            error: interrupt(bytes.u32_at(36)?, bytes.u32_at(40)?),
            not_ready_us: bytes.u32_at(52)?,
            linked: if container { Linked::Container(bytes.u32_at(64)?) } else { Linked::Everywhere },
            count: bytes.u32_at(68)?,
            resources: &bytes[MSC_SIZE..],
        })
    };
    Ok((found, next))
}

/// A wired interrupt. Message signalled ones, and private ones that only some processors have, are not used.
fn interrupt(number: u32, flags: u32) -> Option<Interrupt> {
    let (edge, kind, container, private) = (flags & 1 == 1, flags >> 1 & 3, flags >> 3 & 1 == 1, flags >> 4 & 1 == 1);
    (number != 0 && kind == 0 && !(private && container)).then_some(Interrupt { number, edge, private })
}

impl<'a> MscNode<'a> {
    /// Its resource instances, in the order of the table.
    #[must_use]
    pub fn resources(&self) -> Resources<'a> {
        Resources { rest: self.resources, left: self.count }
    }
}

/// The resource instances of an MSC. Ends behind the first error.
#[derive(Clone, Debug)]
pub struct Resources<'a> {
    rest: &'a [u8],
    left: u32,
}

impl Resources<'_> {
    fn read(&mut self) -> Result<Resource, TableError> {
        let bytes = self.rest;
        let dependencies = usize::try_from(bytes.u32_at(20)?).map_err(|_| TableError::Node)?;
        let length = dependencies
            .checked_mul(DEPENDENCY_SIZE)
            .and_then(|size| size.checked_add(RESOURCE_SIZE))
            .ok_or(TableError::Node)?;
        let locator = match bytes.u8_at(7)? {
            0 => Locator::Cache(u32::try_from(bytes.u64_at(8)?).map_err(|_| TableError::Reference)?),
            1 => Locator::Memory(bytes.u64_at(8)?),
            other => Locator::Other(other),
        };
        let resource = Resource { ris: bytes.u8_at(4)?, locator };
        self.rest = bytes.get(length..).ok_or(TableError::Node)?;
        Ok(resource)
    }
}

impl Iterator for Resources<'_> {
    type Item = Result<Resource, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left = self.left.saturating_sub(1);
        let resource = self.read();
        if resource.is_err() {
            self.left = 0;
        }
        Some(resource)
    }
}
