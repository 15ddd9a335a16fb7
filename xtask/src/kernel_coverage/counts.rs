// SPDX-License-Identifier: GPL-2.0-only
//! How often lines and branches have run, by file and function, added up over guests.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

/// A branch: its line, and the compiler's numbers of where it begins and where it leads.
pub(super) type Branch = (u32, u32, u32);

/// A function of the kernel's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Function {
    /// Its first line.
    pub(super) first: u32,
    /// How often each of its lines has run.
    pub(super) lines: BTreeMap<u32, u64>,
    /// How often each of its branches was taken.
    pub(super) branches: BTreeMap<Branch, u64>,
}

impl Function {
    /// Whether any of it has run.
    pub(super) fn has_run(&self) -> bool {
        self.lines.values().any(|&count| count > 0)
    }

    /// Lines that have not run.
    pub(super) fn unreached(&self) -> impl Iterator<Item = u32> {
        self.lines.iter().filter(|&(_, &count)| count == 0).map(|(&line, _)| line)
    }

    fn share(&self) -> Share {
        Share {
            lines: Part::of(self.lines.values().map(|&count| count > 0)),
            branches: Part::of(self.branches.values().map(|&count| count > 0)),
            functions: Part::of([self.has_run()]),
        }
    }
}

/// The counts of some guests: functions by file and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts(pub(super) BTreeMap<String, BTreeMap<String, Function>>);

impl Counts {
    /// Adds those of another guest, of the same kernel.
    pub(super) fn add(&mut self, other: &Self) {
        for (file, functions) in &other.0 {
            for (name, function) in functions {
                let sum = self.0.entry(file.clone()).or_default().entry(name.clone()).or_default();
                sum.first = function.first;
                for (&line, count) in &function.lines {
                    *sum.lines.entry(line).or_default() += count;
                }
                for (&branch, count) in &function.branches {
                    *sum.branches.entry(branch).or_default() += count;
                }
            }
        }
    }

    /// How much of each file has run.
    pub(super) fn shares(&self) -> BTreeMap<&str, Share> {
        let share = |functions: &BTreeMap<String, Function>| functions.values().map(Function::share).sum();
        self.0.iter().map(|(file, functions)| (file.as_str(), share(functions))).collect()
    }

    /// How much of all below `folder` has run.
    pub(super) fn share_of(&self, folder: &str) -> Share {
        self.shares().into_iter().filter(|(file, _)| file.starts_with(folder)).map(|(_, share)| share).sum()
    }

    /// Lines below `folder` that have run here and not in `others`.
    pub(super) fn lines_beyond(&self, others: &Self, folder: &str) -> usize {
        let ran = |counts: &Self, file: &str, name: &str, line: u32| {
            let function = counts.0.get(file).and_then(|functions| functions.get(name));
            function.and_then(|function| function.lines.get(&line)).is_some_and(|&count| count > 0)
        };
        let files = self.0.iter().filter(|(file, _)| file.starts_with(folder));
        let lines = files.flat_map(|(file, functions)| {
            functions
                .iter()
                .flat_map(move |(name, function)| function.lines.keys().map(move |&line| (file, name, line)))
        });
        lines.filter(|&(file, name, line)| ran(self, file, name, line) && !ran(others, file, name, line)).count()
    }
}

/// So many of so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    /// Those that have run.
    pub(super) reached: usize,
    /// All that there are.
    pub(super) all: usize,
}

impl Part {
    fn of(ran: impl IntoIterator<Item = bool>) -> Self {
        ran.into_iter()
            .fold(Self::default(), |part, ran| Self { reached: part.reached + usize::from(ran), all: part.all + 1 })
    }

    /// In per cent; of nothing, all.
    pub(super) fn percent(self) -> f64 {
        if self.all == 0 { 100.0 } else { 100.0 * self.reached as f64 / self.all as f64 }
    }
}

impl AddAssign for Part {
    fn add_assign(&mut self, other: Self) {
        self.reached += other.reached;
        self.all += other.all;
    }
}

/// How much of something has run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Share {
    /// Lines with code.
    pub(super) lines: Part,
    /// Ways out of conditions.
    pub(super) branches: Part,
    /// Functions.
    pub(super) functions: Part,
}

impl std::iter::Sum for Share {
    fn sum<I: Iterator<Item = Self>>(shares: I) -> Self {
        shares.fold(Self::default(), |mut sum, share| {
            sum.lines += share.lines;
            sum.branches += share.branches;
            sum.functions += share.functions;
            sum
        })
    }
}

/// Numbers in a row as `3-5, 8`.
pub(super) fn ranges(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = |&(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file with one function, whose lines have run so often.
    pub(in crate::kernel_coverage) fn counts(file: &str, name: &str, lines: &[(u32, u64)]) -> Counts {
        let first = lines.first().map_or(0, |line| line.0);
        let branches = lines.iter().map(|&(line, count)| ((line, 1, 2), count)).collect();
        let function = Function { first, lines: lines.iter().copied().collect(), branches };
        Counts(BTreeMap::from([(file.to_owned(), BTreeMap::from([(name.to_owned(), function)]))]))
    }

    #[test]
    fn a_line_is_reached_if_it_was_in_any_guest() {
        let mut sum = counts("fs/resctrl/a.c", "f", &[(3, 0), (4, 2), (5, 0)]);
        sum.add(&counts("fs/resctrl/a.c", "f", &[(3, 1), (4, 1), (5, 0)]));
        sum.add(&counts("fs/resctrl/a.c", "g", &[(9, 0)]));
        let share = sum.share_of("fs/resctrl");
        assert_eq!((share.lines, share.functions), (Part { reached: 2, all: 4 }, Part { reached: 1, all: 2 }));
        assert_eq!(share.branches, Part { reached: 2, all: 4 });
        assert_eq!(sum.share_of("drivers").lines.all, 0);
        let function = &sum.0["fs/resctrl/a.c"]["f"];
        assert_eq!((function.lines[&4], function.unreached().collect::<Vec<_>>()), (3, vec![5]));
    }

    #[test]
    fn what_a_machine_adds_is_what_no_other_reaches() {
        let one = counts("fs/resctrl/a.c", "f", &[(3, 1), (4, 1), (5, 0)]);
        let other = counts("fs/resctrl/a.c", "f", &[(3, 1), (4, 0), (5, 1)]);
        assert_eq!(one.lines_beyond(&other, "fs/resctrl"), 1);
        assert_eq!(one.lines_beyond(&Counts::default(), "fs/resctrl"), 2);
        assert_eq!(one.lines_beyond(&Counts::default(), "arch/x86"), 0);
    }

    #[test]
    fn lines_in_a_row_are_ranges() {
        assert_eq!(ranges([3, 4, 5, 8, 10, 11]), "3-5, 8, 10-11");
        assert_eq!(ranges([]), "");
    }
}
