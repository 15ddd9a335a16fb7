// SPDX-License-Identifier: GPL-2.0-only
//! One set-associative cache.
//!
//! Three numbers a line, each in an array of its own: which line, when it was used last, and whose it is. Nothing is
//! allocated after a cache is made.

use super::{Home, Label, MAX_WAYS};
use crate::numbers::{low, place};

/// Where and for whom a miss may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Whose the line is to be.
    pub label: Label,
    /// Ways that may be filled, a bit each.
    pub ways: u64,
    /// Where the line comes from, as the one who fills it sees it.
    pub home: Home,
}

/// What an access came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The line is there.
    Hit,
    /// The line was not there and is now; another one had to leave for it, or none.
    Filled(Option<Victim>),
    /// The line is not there, and none may be filled.
    Passed,
}

/// A line that has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Victim {
    /// The line's number.
    pub line: u64,
    /// Whose it was.
    pub label: Label,
    /// It has to be written back.
    pub dirty: bool,
    /// Where to, as the one who filled it sees it.
    pub home: Home,
}

/// What an instruction for the maintenance of caches does with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Writes it back if it is dirty, and keeps it: `clwb`, `wbnoinvd`, `DC CVAC`.
    Clean,
    /// Writes it back if it is dirty, and drops it: `clflush`, `wbinvd`, `DC CIVAC`.
    CleanAndInvalidate,
    /// Drops it as it is: `invd`, `DC IVAC`.
    Invalidate,
}

/// Lines that somebody holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// All of them.
    pub lines: u64,
    /// Those that would have to be written back.
    pub dirty: u64,
}

/// How much of a cache a class may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Lines.
    pub lines: u64,
    /// Beyond it, ways that nobody uses may be filled still.
    pub soft: bool,
}

/// Bits of a tag: the monitor, the class, whether the line comes from another node, and whether it is dirty.
const CLASS_SHIFT: u32 = 32;
const OTHER: u64 = 1 << 62;
const DIRTY: u64 = 1 << 63;

fn tag_of(label: Label, home: Home, dirties: Dirties) -> u64 {
    let home = if home == Home::Other { OTHER } else { 0 };
    let dirty = if dirties == Dirties::Yes { DIRTY } else { 0 };
    u64::from(label.monitor) | u64::from(label.class) << CLASS_SHIFT | home | dirty
}

/// What is told of a line with this tag when it leaves.
fn victim_of(line: u64, tag: u64) -> Victim {
    let home = if tag & OTHER == 0 { Home::Own } else { Home::Other };
    Victim { line, label: label_of(tag), dirty: tag & DIRTY != 0, home }
}

fn label_of(tag: u64) -> Label {
    Label { monitor: low(tag), class: (tag >> CLASS_SHIFT & 0xffff) as u16 }
}

/// A cache.
#[derive(Clone, Debug)]
pub struct Cache {
    ways: usize,
    /// Sets of each part.
    sets: u64,
    parts: u64,
    lines_per_part: u64,
    /// Numbers of lines, and one more: 0 is an empty way. Set by set.
    lines: Vec<u64>,
    /// Time of the last access, in accesses.
    used: Vec<u64>,
    tags: Vec<u64>,
    clock: u64,
    by_monitor: Vec<Held>,
    by_class: Vec<u64>,
    limits: Vec<Option<Limit>>,
}

impl Cache {
    /// An empty cache of so many sets and ways, for so many classes and monitored ids.
    ///
    /// # Panics
    ///
    /// Without sets or ways, or with more than [`MAX_WAYS`].
    #[must_use]
    pub fn new(sets: u64, ways: usize, classes: usize, monitors: usize) -> Self {
        Self::in_parts(sets, ways, (1, u64::MAX), classes, monitors)
    }

    /// A cache whose sets are divided among parts of memory of so many lines each; memory begins again with the first part
    /// behind the last one.
    ///
    /// # Panics
    ///
    /// As [`Cache::new`], and if the sets cannot be divided.
    #[must_use]
    pub fn in_parts(
        sets: u64,
        ways: usize,
        (parts, lines_per_part): (u64, u64),
        classes: usize,
        monitors: usize,
    ) -> Self {
        assert!(sets > 0 && (1..=MAX_WAYS).contains(&ways), "{sets} sets of {ways} ways");
        assert!(parts > 0 && sets.is_multiple_of(parts) && lines_per_part > 0, "{sets} sets in {parts} parts");
        let count = place(sets) * ways;
        Self {
            ways,
            sets: sets / parts,
            parts,
            lines_per_part,
            lines: vec![0; count],
            used: vec![0; count],
            tags: vec![0; count],
            clock: 0,
            by_monitor: vec![Held::default(); monitors],
            by_class: vec![0; classes],
            limits: vec![None; classes],
        }
    }

    /// Every way.
    #[must_use]
    pub fn all_ways(&self) -> u64 {
        u64::MAX >> (MAX_WAYS - self.ways)
    }

    /// Lines that there is room for.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.lines.len() as u64
    }

    /// What is held for a monitored id.
    #[must_use]
    pub fn held_by(&self, monitor: u32) -> Held {
        self.by_monitor.get(monitor as usize).copied().unwrap_or_default()
    }

    /// Lines that are held for a class.
    #[must_use]
    pub fn held_by_class(&self, class: u16) -> u64 {
        self.by_class.get(usize::from(class)).copied().unwrap_or_default()
    }

    /// Whether a line is there.
    #[must_use]
    pub fn has(&self, line: u64) -> bool {
        self.find(self.set_of(line), line).is_some()
    }

    /// Limits what a class may hold from now on. Lines beyond it stay until they are replaced.
    pub fn set_limit(&mut self, class: u16, limit: Option<Limit>) {
        if let Some(place) = self.limits.get_mut(usize::from(class)) {
            *place = limit;
        }
    }

    /// The first place of the set that a line belongs to.
    fn set_of(&self, line: u64) -> usize {
        let in_part = |line: u64| if self.sets.is_power_of_two() { line & (self.sets - 1) } else { line % self.sets };
        let set = match self.parts {
            1 => in_part(line),
            parts => line / self.lines_per_part % parts * self.sets + in_part(line),
        };
        place(set) * self.ways
    }

    fn find(&self, set: usize, line: u64) -> Option<usize> {
        self.lines[set..set + self.ways].iter().position(|held| *held == line + 1).map(|way| set + way)
    }

    /// Reads a line, or with `dirties` writes it, and fills it where it is not there.
    pub fn access(&mut self, line: u64, fill: Fill, dirties: Dirties) -> Outcome {
        self.clock += 1;
        let set = self.set_of(line);
        if let Some(at) = self.find(set, line) {
            self.used[at] = self.clock;
            if dirties == Dirties::Yes {
                self.make_dirty(at);
            }
            return Outcome::Hit;
        }
        let Some(at) = self.place_for(set, fill) else { return Outcome::Passed };
        let victim = self.remove(at);
        self.lines[at] = line + 1;
        self.used[at] = self.clock;
        self.tags[at] = tag_of(fill.label, fill.home, dirties);
        let held = &mut self.by_monitor[fill.label.monitor as usize];
        held.lines += 1;
        held.dirty += u64::from(dirties == Dirties::Yes);
        self.by_class[usize::from(fill.label.class)] += 1;
        Outcome::Filled(victim)
    }

    /// Makes a line dirty that is there; whether it is. That is no use of it.
    pub fn write_back_to(&mut self, line: u64) -> bool {
        let found = self.find(self.set_of(line), line);
        if let Some(at) = found {
            self.make_dirty(at);
        }
        found.is_some()
    }

    fn make_dirty(&mut self, at: usize) {
        let tag = self.tags[at];
        if tag & DIRTY == 0 {
            self.tags[at] = tag | DIRTY;
            self.by_monitor[label_of(tag).monitor as usize].dirty += 1;
        }
    }

    /// Where a line may be filled.
    fn place_for(&self, set: usize, fill: Fill) -> Option<usize> {
        let class = fill.label.class;
        let reached = self.limits[usize::from(class)].filter(|limit| self.by_class[usize::from(class)] >= limit.lines);
        let mut ways = fill.ways & self.all_ways();
        let mut oldest = None;
        let mut time = u64::MAX;
        while ways != 0 {
            let at = set + ways.trailing_zeros() as usize;
            ways &= ways - 1;
            let empty = self.lines[at] == 0;
            let allowed = match reached {
                None => true,
                Some(limit) if empty => limit.soft,
                Some(_) => label_of(self.tags[at]).class == class,
            };
            if allowed && empty {
                return Some(at);
            }
            if allowed && self.used[at] < time {
                (oldest, time) = (Some(at), self.used[at]);
            }
        }
        oldest
    }

    /// Empties a place.
    fn remove(&mut self, at: usize) -> Option<Victim> {
        let line = self.lines[at].checked_sub(1)?;
        let victim = victim_of(line, self.tags[at]);
        let held = &mut self.by_monitor[victim.label.monitor as usize];
        held.lines -= 1;
        held.dirty -= u64::from(victim.dirty);
        self.by_class[usize::from(victim.label.class)] -= 1;
        self.lines[at] = 0;
        Some(victim)
    }

    /// Flushes a line. Answers what has to be written back.
    pub fn flush(&mut self, line: u64, how: Flush) -> Option<Victim> {
        let at = self.find(self.set_of(line), line)?;
        self.flush_at(at, how)
    }

    /// Flushes every line, and tells of those that have to be written back.
    pub fn flush_all(&mut self, how: Flush, mut written_back: impl FnMut(Victim)) {
        for at in 0..self.lines.len() {
            if self.lines[at] != 0
                && let Some(victim) = self.flush_at(at, how)
            {
                written_back(victim);
            }
        }
    }

    fn flush_at(&mut self, at: usize, how: Flush) -> Option<Victim> {
        match how {
            Flush::Clean => {
                let (tag, line) = (self.tags[at], self.lines[at].checked_sub(1)?);
                if tag & DIRTY == 0 {
                    return None;
                }
                self.tags[at] = tag & !DIRTY;
                self.by_monitor[label_of(tag).monitor as usize].dirty -= 1;
                Some(victim_of(line, tag))
            }
            Flush::CleanAndInvalidate => self.remove(at).filter(|victim| victim.dirty),
            Flush::Invalidate => {
                self.remove(at);
                None
            }
        }
    }
}

/// Whether an access makes the line dirty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dirties {
    /// It does.
    Yes,
    /// It leaves the line as it is.
    No,
}
