// SPDX-License-Identifier: GPL-2.0-only
//! What `llvm-cov export` writes of each file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// All files.
#[derive(Debug, Deserialize)]
pub(super) struct Export {
    data: Vec<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    files: Vec<File>,
}

/// One file.
#[derive(Debug, Deserialize)]
struct File {
    filename: String,
    segments: Vec<Segment>,
    branches: Vec<Branch>,
}

/// From here to the next: line, column, how often it ran, whether that is known, whether a region begins here, and whether that
/// is a gap between two.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Segment(u32, IgnoredAny, u64, bool, bool, bool);

impl Segment {
    fn begins_a_region(&self) -> bool {
        self.3 && self.4 && !self.5
    }
}

/// A condition: from line and column to line and column, how often it was true and how often false; files and kind.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Branch(u32, u32, u32, u32, u64, u64, IgnoredAny, IgnoredAny, IgnoredAny);

/// Where a condition is: from line and column to line and column.
pub(super) type Place = (u32, u32, u32, u32);

/// How often what is in a file ran, of all that it was compiled into.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Of lines with code.
    pub(super) lines: BTreeMap<u32, u64>,
    /// Of conditions: that it was true, and that it was false.
    pub(super) conditions: BTreeMap<Place, (u64, u64)>,
}

impl Export {
    pub(super) fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).context("llvm-cov writes something else than it used to")
    }

    /// The counts of each file below `root`, by its path from there.
    pub(super) fn within(&self, root: &Path) -> BTreeMap<String, Counts> {
        let files = self.data.iter().flat_map(|data| &data.files);
        let below = |file: &File| Some(Path::new(&file.filename).strip_prefix(root).ok()?.to_str()?.to_owned());
        files.filter_map(|file| Some((below(file)?, Counts::of(file)))).collect()
    }
}

impl Counts {
    /// Takes over what another program shows of the same file. A small function is compiled into the programs that call it, and
    /// programs that do not call it have it as one that never ran: what any of them shows to have run has run. Asked for all
    /// programs at once, `llvm-cov` takes the first's word for it.
    pub(super) fn join(&mut self, other: &Self) {
        for (&line, &count) in &other.lines {
            let known = self.lines.entry(line).or_default();
            *known = count.max(*known);
        }
        for (&place, &(yes, no)) in &other.conditions {
            let known = self.conditions.entry(place).or_default();
            *known = (yes.max(known.0), no.max(known.1));
        }
    }

    fn of(file: &File) -> Self {
        let mut conditions = BTreeMap::<Place, (u64, u64)>::new();
        // A function that was compiled for several types is there several times.
        for &Branch(line, column, end, end_column, yes, no, ..) in &file.branches {
            let counts = conditions.entry((line, column, end, end_column)).or_default();
            counts.0 = counts.0.saturating_add(yes);
            counts.1 = counts.1.saturating_add(no);
        }
        Self { lines: lines(&file.segments), conditions }
    }
}

/// How often each line ran: the most of the regions that begin in it and of the one that reaches into it. These are the lines
/// and counts of `llvm-cov show`.
fn lines(segments: &[Segment]) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return counts };
    let (mut rest, mut reaching): (&[Segment], Option<Segment>) = (segments, None);
    for line in first.0..=last.0 {
        let here = rest.iter().take_while(|segment| segment.0 == line).count();
        let (inside, after) = rest.split_at(here);
        let begun = inside.iter().filter(|segment| segment.begins_a_region()).map(|segment| segment.2).max();
        let skipped = inside.first().is_some_and(|segment| !segment.3 && segment.4);
        let reached = reaching.filter(|segment| segment.3);
        let entered = inside.iter().any(|segment| segment.4 && segment.3);
        if (!skipped && (reached.is_some() || begun.is_some())) || entered {
            let reached = reaching.map_or(0, |segment| segment.2);
            counts.insert(line, begun.map_or(reached, |begun| begun.max(reached)));
        }
        reaching = inside.last().copied().or(reaching);
        rest = after;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_of_a_function_for_several_types_counts_once() {
        let json = br#"{"type":"llvm.coverage.json.export","version":"3.0.1","data":[{"files":[{"filename":"/w/a/src/b.rs",
            "branches":[[3,8,3,9,0,4,0,0,4],[3,8,3,9,2,0,0,0,4],[9,8,9,9,0,1,0,0,4]],"segments":[],"summary":{}}],"totals":{}}]}"#;
        let counts = Export::parse(json).unwrap().within(Path::new("/w"));
        let conditions = &counts["a/src/b.rs"].conditions;
        assert_eq!(conditions.len(), 2);
        assert_eq!((conditions[&(3, 8, 3, 9)], conditions[&(9, 8, 9, 9)]), ((2, 4), (0, 1)));
        assert!(Export::parse(b"{}").is_err());
    }

    #[test]
    fn what_any_program_shows_to_have_run_has_run() {
        let counts = |lines: &[(u32, u64)], outcomes| Counts {
            lines: lines.iter().copied().collect(),
            conditions: BTreeMap::from([((2, 8, 2, 9), outcomes)]),
        };
        let mut joined = counts(&[(1, 0), (2, 5)], (0, 5));
        joined.join(&counts(&[(1, 3), (2, 0), (7, 0)], (2, 0)));
        assert_eq!(joined, counts(&[(1, 3), (2, 5), (7, 0)], (2, 5)));
    }

    #[test]
    fn a_line_ran_as_often_as_what_begins_in_it_or_reaches_into_it() {
        // fn f(x) {            region from 1:1, ran 5 times
        //     if x {           the block 2:10 to 4:6 ran never
        //         g();
        //     } else { h(); }  a gap, then 4:12 to 4:20 ran 5 times
        // }                    until 5:2
        //
        // fn i() {}            7:1 to 7:10 ran never
        let at = |line, _column: u32, count, known, begins, gap| Segment(line, IgnoredAny, count, known, begins, gap);
        let segments = [
            at(1, 1, 5, true, true, false),
            at(2, 10, 0, true, true, false),
            at(4, 6, 5, true, false, false),
            at(4, 12, 5, true, true, false),
            at(4, 20, 5, true, false, false),
            at(5, 2, 0, false, false, false),
            at(7, 1, 0, true, true, false),
            at(7, 10, 0, false, false, false),
        ];
        let counts: Vec<_> = lines(&segments).into_iter().collect();
        assert_eq!(counts, [(1, 5), (2, 5), (3, 0), (4, 5), (5, 5), (7, 0)]);
        assert!(lines(&[]).is_empty());
    }
}
