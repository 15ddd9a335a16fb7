// SPDX-License-Identifier: GPL-2.0-only
//! What became of mutants, and how it is kept: for each file, a letter for each of its mutants.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::allowed::Allowed;
use super::tool::Mutant;
use crate::measured::{Part, Share, Table, TestCode, When, part_of};
use crate::workspace;

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A test fails.
    Caught,
    /// Tests run for ever, or so it seems.
    Timeout,
    /// All tests pass.
    Missed,
    /// It does not compile.
    Unviable,
    /// It was not tried.
    Untried,
}

impl Outcome {
    const LETTERS: [(Self, char); 5] =
        [(Self::Caught, 'C'), (Self::Timeout, 'T'), (Self::Missed, 'M'), (Self::Unviable, 'U'), (Self::Untried, '.')];

    pub(super) fn from_summary(summary: &str) -> Option<Self> {
        match summary {
            "CaughtMutant" => Some(Self::Caught),
            "Timeout" => Some(Self::Timeout),
            "MissedMutant" => Some(Self::Missed),
            "Unviable" => Some(Self::Unviable),
            _ => None,
        }
    }

    fn letter(self) -> char {
        Self::LETTERS.iter().find(|(outcome, _)| *outcome == self).map_or('?', |(_, letter)| *letter)
    }

    fn from_letter(letter: char) -> Option<Self> {
        Self::LETTERS.iter().find(|(_, other)| *other == letter).map(|(outcome, _)| *outcome)
    }
}

/// Of the mutants of all files that were tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// How many mutants there are in each part, tried or not.
    #[serde(default)]
    mutants: BTreeMap<String, usize>,
    files: BTreeMap<String, File>,
}

/// Of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    #[serde(flatten)]
    when: When,
    /// A hash of the source without its tests.
    version: String,
    /// A letter for each mutant, in the order of cargo-mutants: caught, timeout, missed, unviable, or `.` for not tried.
    outcomes: String,
    /// Those that no test notices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    survivors: Vec<String>,
}

impl File {
    fn outcomes(&self) -> impl Iterator<Item = Outcome> {
        self.outcomes.chars().map(|letter| Outcome::from_letter(letter).unwrap_or(Outcome::Untried))
    }

    fn count(&self, which: &[Outcome]) -> usize {
        self.outcomes().filter(|outcome| which.contains(outcome)).count()
    }

    /// Of those that compile and were tried, those that tests notice.
    fn score(&self) -> Share {
        let reached = self.count(&[Outcome::Caught, Outcome::Timeout]);
        Share { reached, all: reached + self.count(&[Outcome::Missed]) }
    }

    fn is_of(&self, mutants: &[Mutant], version: &str) -> bool {
        self.version == version && self.outcomes.chars().count() == mutants.len()
    }

    /// Takes over what a later run has tried.
    fn update(&mut self, later: &Self, mutants: &[Mutant]) {
        let outcomes: Vec<Outcome> = self
            .outcomes()
            .zip(later.outcomes())
            .map(|(old, new)| if new == Outcome::Untried { old } else { new })
            .collect();
        *self = Self::new(later.when.clone(), &self.version, &outcomes, mutants);
    }

    fn new(when: When, version: &str, outcomes: &[Outcome], mutants: &[Mutant]) -> Self {
        let missed = outcomes.iter().zip(mutants).filter(|(outcome, _)| **outcome == Outcome::Missed);
        Self {
            when,
            version: version.to_owned(),
            outcomes: outcomes.iter().map(|outcome| outcome.letter()).collect(),
            survivors: missed.map(|(_, mutant)| mutant.place_and_change().to_owned()).collect(),
        }
    }
}

/// All mutants there are, by file.
pub(super) type All = BTreeMap<String, Vec<Mutant>>;

impl Results {
    /// Takes down how many mutants there are in the parts that `all` is of.
    pub(super) fn of_all(mut self, parts: &[&Part], all: &All) -> Self {
        for part in parts {
            let files = all.iter().filter(|(file, _)| part_of(file) == Some(part));
            self.mutants.insert(part.name.to_owned(), files.map(|(_, mutants)| mutants.len()).sum());
        }
        self
    }

    /// Adds what was tried just now.
    pub(super) fn add(&mut self, when: &When, tried: Vec<(Mutant, Outcome)>, all: &All) -> Result<()> {
        let mut by_file = BTreeMap::<String, BTreeMap<String, Outcome>>::new();
        for (mutant, outcome) in tried {
            by_file.entry(mutant.file).or_default().insert(mutant.name, outcome);
        }
        for (file, tried) in by_file {
            let mutants = all.get(&file).with_context(|| format!("{file} has no mutants"))?;
            let outcomes: Vec<Outcome> =
                mutants.iter().map(|mutant| tried.get(&mutant.name).copied().unwrap_or(Outcome::Untried)).collect();
            let new = File::new(when.clone(), &version(&text(&file)?), &outcomes, mutants);
            self.files.insert(file, new);
        }
        Ok(())
    }

    /// Those of several runs, the later ones last. What is of another version of a file than the one that is here is dropped;
    /// of files that are not in `all`, it is kept as it is.
    pub(super) fn merge(runs: Vec<Self>, all: &All) -> Result<Self> {
        let versions: BTreeMap<&String, String> =
            all.keys().map(|file| Ok((file, version(&text(file)?)))).collect::<Result<_>>()?;
        Ok(Self::merge_versions(runs, all, &versions))
    }

    fn merge_versions(runs: Vec<Self>, all: &All, versions: &BTreeMap<&String, String>) -> Self {
        let mut merged = BTreeMap::<String, File>::new();
        let mutants = runs.iter().flat_map(|run| run.mutants.clone()).collect();
        for (name, file) in runs.into_iter().flat_map(|run| run.files) {
            match (all.get(&name), merged.get_mut(&name)) {
                (Some(mutants), _) if !file.is_of(mutants, &versions[&name]) => {
                    eprintln!("{name} has changed since {}: its results are dropped", file.when.commit);
                }
                (Some(mutants), Some(older)) => older.update(&file, mutants),
                _ => drop(merged.insert(name, file)),
            }
        }
        Self { mutants, files: merged }
    }

    fn of<'a>(&'a self, part: &'a Part) -> impl Iterator<Item = (&'a String, &'a File)> {
        self.files.iter().filter(move |(name, _)| part_of(name) == Some(part))
    }

    /// The names of all survivors.
    pub(crate) fn survivors(&self) -> Vec<String> {
        let of = |(file, results): (&String, &File)| -> Vec<String> {
            results.survivors.iter().map(|survivor| format!("{file}:{survivor}")).collect()
        };
        self.files.iter().flat_map(of).collect()
    }

    /// What became of a mutant: the `at`-th of its file.
    pub(super) fn outcome(&self, file: &str, at: usize) -> Outcome {
        self.files.get(file).and_then(|file| file.outcomes().nth(at)).unwrap_or(Outcome::Untried)
    }

    /// The names of those that were not tried.
    pub(super) fn untried(&self, all: &All) -> BTreeSet<String> {
        let mutants = all.iter().flat_map(|(file, mutants)| mutants.iter().enumerate().map(move |one| (file, one)));
        let untried = mutants.filter(|(file, (at, _))| self.outcome(file, *at) == Outcome::Untried);
        untried.map(|(_, (_, mutant))| mutant.name.clone()).collect()
    }

    /// The score of a part, and how many of its mutants were tried.
    pub(crate) fn score(&self, part: &Part) -> (Share, Share) {
        let tried = |file: &File| Share {
            reached: file.outcomes.chars().count() - file.count(&[Outcome::Untried]),
            all: file.outcomes.chars().count(),
        };
        let tried: Share = self.of(part).map(|(_, file)| tried(file)).sum();
        let all = self.mutants.get(part.name).copied().unwrap_or(tried.all);
        (self.of(part).map(|(_, file)| file.score()).sum(), Share { all, ..tried })
    }

    /// The newest of the measurements of a part.
    pub(crate) fn when(&self, part: &Part) -> When {
        self.of(part).map(|(_, file)| &file.when).max().cloned().unwrap_or_default()
    }

    /// A row for each part.
    pub(crate) fn crates(&self, parts: &[&Part], allowed: &Allowed) -> Table {
        let mut table = table("crate");
        for part in parts {
            let files: Vec<_> = self.of(part).collect();
            if !files.is_empty() {
                let mut cells = cells(part.name, &files, allowed);
                cells[1] = self.score(part).1.all.to_string();
                table.row(cells);
            }
        }
        table
    }

    /// A row for each file.
    pub(crate) fn files(&self, parts: &[&Part], allowed: &Allowed) -> Table {
        let mut table = table("file");
        for of in parts.iter().flat_map(|part| self.of(part)) {
            table.row(cells(of.0, &[of], allowed));
        }
        table
    }
}

fn table(first: &str) -> Table {
    Table::new(&[
        first,
        "mutants",
        "tried",
        "do not compile",
        "noticed",
        "of them for ever",
        "survive",
        "listed",
        "score",
    ])
}

fn cells(name: &str, files: &[(&String, &File)], allowed: &Allowed) -> Vec<String> {
    let count = |which: &[Outcome]| files.iter().map(|(_, file)| file.count(which)).sum::<usize>();
    let all: usize = files.iter().map(|(_, file)| file.outcomes.chars().count()).sum();
    let listed: usize = files.iter().map(|(name, file)| allowed.count(name, &file.survivors)).sum();
    let score: Share = files.iter().map(|(_, file)| file.score()).sum();
    let mut cells = vec![name.to_owned()];
    cells.extend([
        all.to_string(),
        (all - count(&[Outcome::Untried])).to_string(),
        count(&[Outcome::Unviable]).to_string(),
        count(&[Outcome::Caught, Outcome::Timeout]).to_string(),
        count(&[Outcome::Timeout]).to_string(),
        count(&[Outcome::Missed]).to_string(),
        listed.to_string(),
        if score.all == 0 { "-".to_owned() } else { score.shown() },
    ]);
    cells
}

/// The text of a source file.
pub(super) fn text(file: &str) -> Result<String> {
    let path = workspace::root().join(file);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// A hash of the source without its tests (FNV-1a), so that results last while only tests are added.
pub(super) fn version(text: &str) -> String {
    let tests = TestCode::of(text);
    let source = (1_u32..).zip(text.lines()).filter(|(line, _)| !tests.has(*line)).map(|(_, text)| text.trim_end());
    let bytes = source.filter(|line| !line.is_empty()).flat_map(|line| line.bytes().chain([b'\n']));
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Three mutants of one file.
    pub(in crate::mutants) fn all() -> All {
        let mutant = |line: u32, change: &str| {
            let text = format!(
                r#"{{"name":"resctrl-fs/src/a.rs:{line}:5: {change}","file":"resctrl-fs/src/a.rs","genre":"BinaryOperator","replacement":"<=",
                "span":{{"start":{{"line":{line},"column":5}},"end":{{"line":{line},"column":6}}}}}}"#
            );
            serde_json::from_str::<Mutant>(&text).unwrap()
        };
        let mutants = [mutant(1, "replace a with ()"), mutant(2, "replace < with <="), mutant(3, "replace < with <=")];
        All::from([("resctrl-fs/src/a.rs".to_owned(), mutants.to_vec())])
    }

    /// What became of them.
    pub(in crate::mutants) fn results(outcomes: &str) -> Results {
        of_version(outcomes, "1", "2026-11-30")
    }

    fn of_version(outcomes: &str, version: &str, date: &str) -> Results {
        let when = When { date: date.to_owned(), commit: "c".to_owned() };
        let outcomes: Vec<Outcome> = outcomes.chars().map(|letter| Outcome::from_letter(letter).unwrap()).collect();
        let file = File::new(when, version, &outcomes, &all()["resctrl-fs/src/a.rs"]);
        Results { mutants: BTreeMap::new(), files: BTreeMap::from([("resctrl-fs/src/a.rs".to_owned(), file)]) }
    }

    fn merged(runs: Vec<Results>) -> Option<String> {
        let (all, name) = (all(), "resctrl-fs/src/a.rs".to_owned());
        let merged = Results::merge_versions(runs, &all, &BTreeMap::from([(&name, "1".to_owned())]));
        merged.files.get(&name).map(|file| format!("{} {}", file.outcomes, file.survivors.join("; ")))
    }

    #[test]
    fn shares_are_put_together_and_what_is_tried_again_counts_as_it_was_last() {
        assert_eq!(merged(vec![results("C.."), results(".M."), results("..T")]).unwrap(), "CMT 2:5: replace < with <=");
        assert_eq!(merged(vec![results("CMM"), results(".C.")]).unwrap(), "CCM 3:5: replace < with <=");
    }

    #[test]
    fn results_of_another_version_of_the_file_are_dropped() {
        let old = || of_version("CCC", "0", "2026-11-29");
        assert_eq!(merged(vec![old()]), None);
        assert_eq!(merged(vec![old(), results("M..")]).unwrap(), "M.. 1:5: replace a with ()");
        assert_eq!(merged(vec![results("M.."), old()]).unwrap(), "M.. 1:5: replace a with ()");
    }

    #[test]
    fn what_was_not_tried_is_known_by_name() {
        let untried = |results: Results| results.untried(&all()).into_iter().collect::<Vec<_>>();
        assert_eq!(untried(results("C.M")), ["resctrl-fs/src/a.rs:2:5: replace < with <="]);
        assert_eq!(untried(results("UTM")), [""; 0]);
        assert_eq!(untried(Results::default()).len(), 3);
    }

    #[test]
    fn the_score_is_of_those_that_compile_and_were_tried() {
        let fs = crate::measured::parts(&["resctrl-fs".to_owned()]).unwrap()[0];
        assert_eq!(results("CMU").score(fs), (Share { reached: 1, all: 2 }, Share { reached: 3, all: 3 }));
        let of_many = results("T..").of_all(&[fs], &all());
        assert_eq!(of_many.score(fs).1, Share { reached: 1, all: 3 });
        let of_more = Results { mutants: BTreeMap::from([("resctrl-fs".to_owned(), 900)]), ..of_many };
        assert_eq!(of_more.score(fs).1, Share { reached: 1, all: 900 });
        assert_eq!(results("T..").score(fs), (Share { reached: 1, all: 1 }, Share { reached: 1, all: 3 }));
    }

    #[test]
    fn tests_are_no_part_of_the_version() {
        let source = "fn a() {}\n";
        let with_tests = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        assert_eq!(version(source), version(with_tests));
        assert_ne!(version(source), version("fn a(x: u8) {}\n"));
    }

    #[test]
    fn results_survive_being_written_and_read() {
        let text = serde_json::to_string(&results("CM.")).unwrap();
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results("CM."));
    }
}
