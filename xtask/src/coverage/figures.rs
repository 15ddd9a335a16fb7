// SPDX-License-Identifier: GPL-2.0-only
//! The figures: of each file, each part, and what is not reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::export::{Counts, Place};
use super::missed;
use crate::measured::{Part, Share, Table, TestCode, When, part_of};

/// What has to be reached of each crate that users run, in percent.
pub(crate) const LINES: usize = 95;
/// The same of the outcomes of conditions.
pub(crate) const BRANCHES: usize = 90;

/// What tests reach.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figures {
    #[serde(flatten)]
    pub(crate) when: When,
    files: BTreeMap<String, File>,
}

/// The same of one file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    lines: Share,
    /// Two for each condition: that it was true, and that it was false.
    branches: Share,
    /// Lines that are not reached: `7`, or `9-12`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missed_lines: Vec<String>,
    /// Line and column of conditions, and what they never were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missed_branches: Vec<String>,
}

impl Figures {
    /// From what ran how often; of `sources`, whose text `read` gives. Functions that were not compiled since nothing calls them
    /// for any type have no counts; their lines are not reached.
    pub(super) fn new(
        when: When,
        counts: &BTreeMap<String, Counts>,
        sources: &[String],
        read: impl Fn(&str) -> Result<String>,
    ) -> Result<Self> {
        let none = Counts::default();
        let of = |file: &String| {
            let text = read(file)?;
            let counts = counts.get(file).unwrap_or(&none);
            Ok((file.clone(), File::new(counts, &TestCode::of(&text), &missed::not_compiled(&text, counts))))
        };
        Ok(Self { when, files: sources.iter().map(of).collect::<Result<_>>()? })
    }

    /// The files of a part.
    fn of<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = (&'a String, &'a File)> {
        self.files.iter().filter(move |(name, _)| part_of(name) == Some(part))
    }

    /// Lines and outcomes of conditions of a part.
    pub(crate) fn sum(&self, part: &Part) -> (Share, Share) {
        (self.of(part).map(|(_, file)| file.lines).sum(), self.of(part).map(|(_, file)| file.branches).sum())
    }

    /// A row for each part.
    pub(crate) fn crates(&self, parts: &[&Part]) -> Table {
        let mut table = table("crate");
        for part in parts {
            let (lines, branches) = self.sum(part);
            table.row(cells(part.name, lines, branches));
        }
        table
    }

    /// A row for each file.
    pub(crate) fn files(&self, parts: &[&Part]) -> Table {
        let mut table = table("file");
        for (name, file) in parts.iter().flat_map(|part| self.of(part)).filter(|(_, file)| file.lines.all > 0) {
            table.row(cells(name, file.lines, file.branches));
        }
        table
    }

    /// What is not reached, a line for each file.
    pub(super) fn missed(&self, parts: &[&Part]) -> String {
        let mut text = String::new();
        for (name, file) in parts.iter().flat_map(|part| self.of(part)) {
            let mut say = |what: &str, where_: &[String]| {
                if !where_.is_empty() {
                    // Writing to a string cannot fail.
                    let _ = writeln!(text, "{name}: {what} {}", where_.join(", "));
                }
            };
            say("lines", &file.missed_lines);
            say("conditions", &file.missed_branches);
        }
        text
    }

    /// The crates that users run of which too little is reached.
    pub(super) fn too_low(&self, parts: &[&Part]) -> Vec<String> {
        let mut low = Vec::new();
        for part in parts.iter().filter(|part| part.shipped) {
            let (lines, branches) = self.sum(part);
            for (what, share, floor) in [("lines", lines, LINES), ("branches", branches, BRANCHES)] {
                if !share.is_at_least(floor) {
                    low.push(format!("{}: {} of the {what}, {floor} % are asked for", part.name, share.shown()));
                }
            }
        }
        low
    }
}

impl File {
    fn new(counts: &Counts, tests: &TestCode, not_compiled: &BTreeSet<u32>) -> Self {
        let compiled = counts.lines.iter().filter(|(line, _)| !tests.has(**line)).map(|(&line, &count)| (line, count));
        let dead = not_compiled.iter().filter(|line| !tests.has(**line)).map(|&line| (line, 0));
        let lines: BTreeMap<u32, u64> = dead.chain(compiled).collect();
        let missed: Vec<u32> = lines.iter().filter(|(_, count)| **count == 0).map(|(&line, _)| line).collect();
        let outcomes: Vec<(Place, bool, u64)> = counts
            .conditions
            .iter()
            .filter(|(place, _)| !tests.has(place.0))
            .flat_map(|(&place, &(yes, no))| [(place, true, yes), (place, false, no)])
            .collect();
        let never = outcomes.iter().filter(|(.., count)| *count == 0);
        let missed_branches: Vec<String> =
            never.map(|((line, column, ..), what, _)| format!("{line}:{column} {what}")).collect();
        Self {
            lines: Share { reached: lines.len() - missed.len(), all: lines.len() },
            branches: Share { reached: outcomes.len() - missed_branches.len(), all: outcomes.len() },
            missed_lines: ranges(&missed, &lines),
            missed_branches,
        }
    }
}

/// Lines as `7` or `9-12`. What is between two of them and has no code does not part them.
fn ranges(missed: &[u32], lines: &BTreeMap<u32, u64>) -> Vec<String> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &line in missed {
        match ranges.last_mut() {
            Some((_, last)) if lines.range(*last + 1..line).next().is_none() => *last = line,
            _ => ranges.push((line, line)),
        }
    }
    ranges
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect()
}

fn table(first: &str) -> Table {
    Table::new(&[first, "lines", "reached", "branches", "reached"])
}

fn cells(name: &str, lines: Share, branches: Share) -> Vec<String> {
    vec![name.to_owned(), lines.counts(), lines.shown(), branches.counts(), branches.shown()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn a(x: bool) {\n    if x {\n        b();\n    }\n}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n\
                          pub fn d<T>(t: T) {\n    e(t);\n}\n";

    fn figures(conditions: (u64, u64)) -> Figures {
        let counts = Counts {
            lines: BTreeMap::from([(1, 1), (2, 1), (3, conditions.0), (4, 1), (5, 1), (9, 0)]),
            conditions: BTreeMap::from([((2, 8, 2, 9), conditions)]),
        };
        let files = BTreeMap::from([("resctrl-fs/src/a.rs".to_owned(), counts)]);
        let sources = ["resctrl-fs/src/a.rs".to_owned()];
        Figures::new(When::default(), &files, &sources, |_| Ok(SOURCE.to_owned())).unwrap()
    }

    #[test]
    fn tests_do_not_count_and_what_nothing_calls_is_not_reached() {
        let figures = figures((0, 1));
        let file = &figures.files["resctrl-fs/src/a.rs"];
        assert_eq!((file.lines, file.branches), (Share { reached: 4, all: 8 }, Share { reached: 1, all: 2 }));
        assert_eq!(file.missed_lines, ["3", "11-13"]);
        assert_eq!(file.missed_branches, ["2:8 true"]);
    }

    #[test]
    fn too_little_is_said_of_shipped_crates_alone() {
        let parts = crate::measured::parts(&[]).unwrap();
        assert_eq!(
            figures((0, 1)).too_low(&parts),
            [
                "resctrl-fs: 50.0 % of the lines, 95 % are asked for",
                "resctrl-fs: 50.0 % of the branches, 90 % are asked for"
            ]
        );
        let low = figures((1, 1)).too_low(&parts);
        assert_eq!(low, ["resctrl-fs: 62.5 % of the lines, 95 % are asked for"]);
    }

    #[test]
    fn figures_survive_being_written_and_read() {
        let figures = figures((0, 1));
        let text = serde_json::to_string(&figures).unwrap();
        assert_eq!(serde_json::from_str::<Figures>(&text).unwrap(), figures);
    }
}
