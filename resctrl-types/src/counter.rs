// SPDX-License-Identifier: GPL-2.0-only
//! Bandwidth counters that are given to groups: where there are fewer of them than groups, somebody has to choose who is
//! counted. AMD calls it ABMC (APM vol. 2, "Assignable Bandwidth Monitoring Counters"); the monitors of MPAM's MSCs are
//! the same to a user.

use crate::event::EventId;
use crate::ids::MonId;

/// A set of kinds of memory transactions: what a counter counts. The bits are the hardware's
/// (APM vol. 2, "`L3_QOS_EVT_CFG_n`").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transactions(u32);

impl Transactions {
    /// The names of the kinds, in order of their bits, which is the order of every listing.
    pub const NAMES: [&str; 7] = [
        "local_reads",
        "remote_reads",
        "local_non_temporal_writes",
        "remote_non_temporal_writes",
        "local_reads_slow_memory",
        "remote_reads_slow_memory",
        "dirty_victim_writes_all",
    ];

    /// No transaction.
    pub const EMPTY: Transactions = Transactions(0);

    /// Every kind.
    pub const ALL: Transactions = Transactions((1 << Transactions::NAMES.len()) - 1);

    /// What does not leave the node of the processor: reads, non-temporal writes, reads of slow memory.
    pub const LOCAL: Transactions = Transactions(0b001_0101);

    /// The kinds with these bits; others are left out.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Transactions {
        Transactions(bits & Transactions::ALL.0)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Transactions> {
        let bit = Transactions::NAMES.iter().position(|known| known.as_bytes() == name)?;
        Some(Transactions(1 << bit))
    }

    /// What is in one of both.
    #[must_use]
    pub const fn union(self, other: Transactions) -> Transactions {
        Transactions(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Transactions) -> Transactions {
        Transactions(self.0 & other.0)
    }

    /// The names of the kinds in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Transactions::NAMES
            .into_iter()
            .zip(0..)
            .filter(move |&(_, bit)| self.0.checked_shr(bit).is_some_and(|rest| rest & 1 == 1))
            .map(|(name, _)| name)
    }
}

/// What a machine has in the way of counters that can be assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterAssignment {
    /// Counters of each monitor domain.
    pub count: u32,
    /// Whether a user can choose what an event counts.
    pub configurable: bool,
    /// Whether there is another mode, without assignment.
    pub switchable: bool,
    /// What can be counted at all.
    pub supported: Transactions,
}

impl CounterAssignment {
    /// What an event counts unless told otherwise.
    #[must_use]
    pub const fn default_filter(&self, event: EventId) -> Transactions {
        match event {
            EventId::MbmLocal => self.supported.intersection(Transactions::LOCAL),
            _ => self.supported,
        }
    }
}

/// A counter of one monitor domain, and what it was given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Which one, below [`CounterAssignment::count`].
    pub number: u32,
    /// Whom it counts for.
    pub id: MonId,
    /// Which event it shows.
    pub event: EventId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_bits_in_order() {
        let sum = Transactions::NAMES.iter().zip(0..).fold(Transactions::EMPTY, |sum, (name, bit)| {
            let kind = Transactions::from_name(name.as_bytes()).unwrap();
            assert_eq!(kind.bits(), 1 << bit);
            sum.union(kind)
        });
        assert_eq!(sum, Transactions::ALL);
        assert!(sum.names().eq(Transactions::NAMES));
        assert_eq!(Transactions::from_name(b"reads"), None);
    }

    #[test]
    fn local_traffic_is_what_names_say_is_local() {
        let local = ["local_reads", "local_non_temporal_writes", "local_reads_slow_memory"];
        assert!(Transactions::LOCAL.names().eq(local));
    }

    #[test]
    fn by_default_the_total_is_everything_that_the_machine_can_count() {
        let supported = Transactions::from_bits(0b1_0011);
        let counters = CounterAssignment { count: 4, configurable: true, switchable: true, supported };
        assert_eq!(counters.default_filter(EventId::MbmTotal), supported);
        assert_eq!(counters.default_filter(EventId::MbmLocal), Transactions::from_bits(0b1_0001));
    }

    #[test]
    fn sets_of_transactions_are_joined_and_cut_bit_by_bit() {
        let (a, b) = (Transactions::from_bits(0b011), Transactions::from_bits(0b110));
        assert_eq!((a.union(b).bits(), a.intersection(b).bits()), (0b111, 0b010));
        assert_eq!(Transactions::from_bits(u32::MAX), Transactions::ALL);
        assert_eq!(Transactions::ALL.bits(), 0x7f);
    }
}
