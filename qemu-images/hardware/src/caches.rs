// SPDX-License-Identifier: GPL-2.0-only
//! Caches that behave: the lines of physical memory that each shared cache of a machine holds, for whom, and what moves
//! between them and memory because of what CPUs do.
//!
//! Nothing here knows of registers. [`Rdt`](crate::Rdt) and [`System`](crate::mpam::System) tell a [`Model`] what each CPU's
//! requests carry and where they may fill ([`Port`]); whoever executes the guest tells it of the accesses; and the counters
//! of both read from it what was moved and what is held.
//!
//! What is modelled, and what for:
//!
//! * L2s, where a machine file has some, and L3s; both unified, physically indexed, of [`LINE_SIZE`] bytes a line.
//! * **Who fills where.** A request may fill the ways of its mask and hits in any way (SDM Vol. 3, "Cache Allocation
//!   Technology Architecture"; IHI 0099, "Cache-portion partitioning"). Fetches have a mask of their own (CDP). With a mask of
//!   no way, a miss fills nothing. A limit of capacity (IHI 0099, "Cache maximum-capacity partitioning") that is reached
//!   leaves only the own lines to be replaced.
//! * **Who leaves.** Of the ways that may be filled the lowest that is empty, else the least recently used one, by the exact
//!   order of accesses that get here. Hardware approximates it; the exact order makes closed forms come true: a loop over
//!   one line more than there are ways misses always.
//! * **Whose line.** A line belongs to whom it was filled for until it leaves: hits by others change nothing.
//! * **Stores** fetch the line first, and make it dirty; it is written back when it leaves. Bytes of a write-back are moved
//!   for the line's owner.
//! * **Levels** are neither inclusive nor exclusive: a miss fills L2 and L3, and each evicts on its own. A dirty line that
//!   leaves the L2 makes the line in the L3 dirty; where there is none it goes on to memory.
//! * **Bandwidth**: where memory is given a speed, each CPU has a [`Pace`]: its share of that speed under the limits of the moment.
//! * **Memory** is divided evenly, in order of addresses, among the NUMA nodes of the sockets, see [`Memory`]. With
//!   sub-NUMA clustering the sets of an L3 are divided in the same way.
//!
//! What is not: coherence between caches (a line may be in several, and be written in each), prefetching, page table walks,
//! devices, and L1s, unless one takes a [`Filter`] for them.

mod array;
mod filter;
mod memory;
mod model;
mod moved;
mod pace;

pub use array::{Cache, Dirties, Fill, Flush, Held, Limit, Outcome, Victim};
pub use filter::{Filter, Write};
pub use memory::Memory;
pub use model::{Counts, Model, Port, Ports};
pub use moved::{Bytes, Lines, Moved};
pub use pace::Pace;

pub use crate::machine::LINE_SIZE;

/// Most ways that a cache of the model can have.
pub const MAX_WAYS: usize = 64;

/// Most ids that a model can tell apart.
pub const MAX_MONITORS: usize = 1 << 16;

/// For whom a line is filled and bytes are moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Label {
    /// CLOSID, or PARTID.
    pub class: u16,
    /// Place among the ids that are monitored: RMID, or PARTID and PMG counted through.
    pub monitor: u32,
}

/// Whose memory a line is of, as a CPU sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Home {
    /// That of the own NUMA node.
    #[default]
    Own,
    /// Any other.
    Other,
}

/// Whether caches follow what the guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caches {
    /// There are no lines: occupancy and traffic are what the traffic source says.
    Still = 0,
    /// They hold and move lines; what an RMID occupies is what the model says, and the traffic source's does not matter.
    Follow = 1,
}

impl Caches {
    /// That of a number.
    pub fn from_id(id: u64) -> Option<Self> {
        [Self::Still, Self::Follow].into_iter().find(|caches| *caches as u64 == id)
    }
}

/// What a CPU does with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads data.
    Load,
    /// Writes data.
    Store,
    /// Reads instructions.
    Fetch,
}

/// Where a CPU executes, as far as labels depend on it: those of RDT do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A program: EL0.
    User,
    /// The kernel: EL1, or EL2 where it runs there.
    Kernel,
}

/// The ways that a bit map of so many bits allows. A bit stands for its part of the ways; where the parts do not come out
/// even, a way may be filled by whoever has one of the bits that overlap it.
///
/// # Panics
///
/// With no bit or no way, or more than [`MAX_WAYS`].
#[must_use]
pub fn ways_of(bits: impl Fn(usize) -> bool, length: usize, ways: usize) -> u64 {
    assert!(length > 0 && (1..=MAX_WAYS).contains(&ways), "{length} bits for {ways} ways");
    let allowed = |way: usize| (way * length / ways..((way + 1) * length).div_ceil(ways)).any(&bits);
    (0..ways).filter(|way| allowed(*way)).fold(0, |mask, way| mask | 1 << way)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_mask(mask: u64, length: usize, ways: usize) -> u64 {
        ways_of(|bit| mask >> bit & 1 == 1, length, ways)
    }

    #[test]
    fn a_bit_stands_for_its_part_of_the_ways() {
        assert_eq!(of_mask(0xf0f, 12, 12), 0xf0f);
        assert_eq!(of_mask(0b101, 4, 16), 0x0f0f);
        assert_eq!(of_mask(0, 12, 12), 0);
        assert_eq!(of_mask(u64::MAX, 64, 64), u64::MAX);
    }

    #[test]
    fn where_parts_do_not_come_out_even_each_bit_has_a_way_and_all_have_all() {
        for (length, ways) in [(20, 16), (11, 16), (5, 3), (32, 20)] {
            assert_eq!(of_mask(u64::MAX, length, ways), u64::MAX >> (64 - ways), "{length} bits, {ways} ways");
            for bit in 0..length {
                assert_ne!(of_mask(1 << bit, length, ways), 0, "bit {bit} of {length}, {ways} ways");
            }
        }
    }
}
