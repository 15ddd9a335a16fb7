// SPDX-License-Identifier: GPL-2.0-only
//! What has moved between caches and memory, until the counters take it.

use super::{Home, LINE_SIZE, Label};

/// Bytes of one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Read from memory of the own NUMA node.
    pub local_reads: u64,
    /// Read from other memory.
    pub remote_reads: u64,
    /// Lines that left a cache and had to be written back, to memory of the own node.
    pub local_victims: u64,
    /// The same, to other memory.
    pub remote_victims: u64,
    /// Written past the caches to memory of the own node.
    pub local_writes: u64,
    /// The same, to other memory.
    pub remote_writes: u64,
}

impl Bytes {
    /// Everything.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.local() + self.remote_reads + self.remote_victims + self.remote_writes
    }

    /// Everything to and from memory of the own node.
    #[must_use]
    pub fn local(&self) -> u64 {
        self.local_reads + self.local_victims + self.local_writes
    }

    /// What was read.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.local_reads + self.remote_reads
    }
}

/// What moved, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// For whom.
    pub label: Label,
    /// How much.
    pub bytes: Bytes,
}

/// Why a line moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Read,
    Victim,
    Write,
}

/// Lines that have moved between memory and the caches of a domain since they began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// From memory.
    pub read: u64,
    /// To memory.
    pub written: u64,
}

/// What has moved since it was taken last.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    /// Of all labels, and never taken.
    lines: Lines,
    entries: Vec<Moved>,
    /// Of each monitored id the entry that it had last, and one more; 0 for none.
    places: Vec<u32>,
}

impl Ledger {
    pub(super) fn new(monitors: usize) -> Self {
        Self { lines: Lines::default(), entries: Vec::new(), places: vec![0; monitors] }
    }

    /// All lines that have moved.
    pub(super) fn lines(&self) -> Lines {
        self.lines
    }

    /// A line moves.
    pub(super) fn add(&mut self, label: Label, why: Why, home: Home) {
        let lines = if why == Why::Read { &mut self.lines.read } else { &mut self.lines.written };
        *lines += 1;
        let bytes = &mut self.entry(label).bytes;
        let bytes = match (why, home) {
            (Why::Read, Home::Own) => &mut bytes.local_reads,
            (Why::Read, Home::Other) => &mut bytes.remote_reads,
            (Why::Victim, Home::Own) => &mut bytes.local_victims,
            (Why::Victim, Home::Other) => &mut bytes.remote_victims,
            (Why::Write, Home::Own) => &mut bytes.local_writes,
            (Why::Write, Home::Other) => &mut bytes.remote_writes,
        };
        *bytes += LINE_SIZE;
    }

    fn entry(&mut self, label: Label) -> &mut Moved {
        let place = &mut self.places[label.monitor as usize];
        let known = (*place as usize).checked_sub(1).filter(|at| self.entries[*at].label == label);
        let at = known.unwrap_or_else(|| {
            // A monitored id with several classes: rare, and the list is short.
            let found = self.entries.iter().position(|moved| moved.label == label);
            let at = found.unwrap_or_else(|| {
                self.entries.push(Moved { label, bytes: Bytes::default() });
                self.entries.len() - 1
            });
            *place = u32::try_from(at + 1).unwrap_or(0);
            at
        });
        &mut self.entries[at]
    }

    /// Takes everything.
    pub(super) fn take(&mut self) -> Vec<Moved> {
        for moved in &self.entries {
            self.places[moved.label.monitor as usize] = 0;
        }
        std::mem::take(&mut self.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_of_the_own_node_or_not_and_read_or_not() {
        let bytes = Bytes {
            local_reads: 1,
            remote_reads: 10,
            local_victims: 100,
            remote_victims: 1000,
            local_writes: 10_000,
            remote_writes: 100_000,
        };
        assert_eq!((bytes.total(), bytes.local(), bytes.reads()), (111_111, 10_101, 11));
    }

    #[test]
    fn what_was_moved_is_taken_once_by_label() {
        let mut ledger = Ledger::new(4);
        let label = |class, monitor| Label { class, monitor };
        for _ in 0..3 {
            ledger.add(label(1, 2), Why::Read, Home::Own);
            ledger.add(label(3, 2), Why::Victim, Home::Other);
            ledger.add(label(1, 0), Why::Write, Home::Own);
        }
        let taken = ledger.take();
        let of = |label| taken.iter().find(|moved| moved.label == label).expect("it moved something").bytes;
        assert_eq!(taken.len(), 3);
        assert_eq!(of(label(1, 2)), Bytes { local_reads: 192, ..Bytes::default() });
        assert_eq!(of(label(3, 2)), Bytes { remote_victims: 192, ..Bytes::default() });
        assert_eq!((of(label(1, 0)).total(), of(label(3, 2)).local()), (192, 0));
        assert_eq!(ledger.take(), []);
        assert_eq!(ledger.lines(), Lines { read: 3, written: 6 }, "all, also after it was taken");
        ledger.add(label(1, 2), Why::Read, Home::Other);
        assert_eq!(ledger.take()[0].bytes.reads(), 64);
    }
}
