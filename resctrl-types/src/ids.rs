// SPDX-License-Identifier: GPL-2.0-only
//! The numbers and the names of the field as types, so that none can be taken for another.

use core::fmt;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($int:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )*};
}

numbers! {
    /// A logical CPU number, `0..nr_cpu_ids`.
    CpuId(u32);
    /// The id of a domain of some resource: a cache id, a package id. Ascending in every listing.
    DomainId(u32);
    /// A control id: class of service on x86, PARTID (or a pair of them) on MPAM. 0 is the default group's.
    Closid(u32);
    /// A monitor id: RMID on x86, PMG on MPAM, where it means something only together with a [`Closid`].
    Rmid(u32);
    /// The dense index of a monitor id: RMID on x86, `CLOSID * (pmg_max + 1) + PMG` on MPAM. 0 is the default group's.
    RmidIndex(u32);
    /// What the architecture stores in a task to know its CLOSID and RMID at a context switch.
    ///
    /// Opaque to the file system. Zero is the word of the default group, which is what new kernels' tasks start with.
    TaskWord(u64);
}

/// Some of all words of tasks: those that have the same in some of their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskWords {
    places: u64,
    bits: u64,
}

impl TaskWords {
    /// All of them.
    pub const ALL: TaskWords = TaskWords { places: 0, bits: 0 };

    /// Those that have the same as `word` in `places`.
    #[must_use]
    pub const fn like(word: TaskWord, places: u64) -> Self {
        TaskWords { places, bits: word.0 & places }
    }

    /// Where they have the same.
    #[must_use]
    pub const fn places(self) -> u64 {
        self.places
    }

    /// What they have there; 0 in all other bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// Whether a word is one of them.
    #[must_use]
    pub const fn contain(self, word: TaskWord) -> bool {
        word.0 & self.places == self.bits
    }
}

impl Closid {
    /// The default group's, never allocated to another.
    pub const RESERVED: Closid = Closid(0);
}

impl Rmid {
    /// The default group's, never allocated to another (on MPAM: together with [`Closid::RESERVED`]).
    pub const RESERVED: Rmid = Rmid(0);
}

impl CpuId {
    /// The number as an array index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Closid {
    /// The number as an array index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl RmidIndex {
    /// The number as an array index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whom a counter counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonId {
    /// The CLOSID; ignored where RMIDs are global.
    pub closid: Closid,
    /// The RMID.
    pub rmid: Rmid,
}

/// A resource. The order is the order of the kernel's ids (`RDT_RESOURCE_*`), in which schemata are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceId {
    /// Last level cache, and the place of the L3 monitors.
    L3,
    /// Mid level cache.
    L2,
    /// Memory bandwidth.
    Mb,
    /// Slow memory bandwidth (AMD).
    Smba,
    /// Package telemetry (Intel).
    PerfPkg,
}

impl ResourceId {
    /// Every resource, in the order of the ids.
    pub const ALL: [ResourceId; 5] =
        [ResourceId::L3, ResourceId::L2, ResourceId::Mb, ResourceId::Smba, ResourceId::PerfPkg];

    /// The name used in schemata and directory names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ResourceId::L3 => "L3",
            ResourceId::L2 => "L2",
            ResourceId::Mb => "MB",
            ResourceId::Smba => "SMBA",
            ResourceId::PerfPkg => "PERF_PKG",
        }
    }

    /// The place in [`ResourceId::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn task_words_are_alike_in_the_places_that_count() {
        let which = TaskWords::like(TaskWord(0b1101), 0b0110);
        assert_eq!((which.places(), which.bits()), (0b0110, 0b0100));
        assert!(which.contain(TaskWord(0b0100)) && which.contain(TaskWord(0b1101)));
        assert!(!which.contain(TaskWord(0b0110)) && !which.contain(TaskWord(0)));
        assert!(TaskWords::ALL.contain(TaskWord(0)) && TaskWords::ALL.contain(TaskWord(u64::MAX)));
    }

    #[test]
    fn numbers_are_shown_as_they_are_and_index_by_themselves() {
        assert_eq!((CpuId(7).index(), Closid(5).index(), RmidIndex(9).index()), (7, 5, 9));
        assert_eq!((std::format!("{}", CpuId(7)), std::format!("{:?}", Rmid(3))), ("7".into(), "Rmid(3)".into()));
    }

    #[test]
    fn resources_are_called_as_schemata_and_info_call_them() {
        assert_eq!(ResourceId::ALL.map(ResourceId::name), ["L3", "L2", "MB", "SMBA", "PERF_PKG"]);
        assert_eq!(ResourceId::ALL.map(ResourceId::index), [0, 1, 2, 3, 4]);
    }
}
