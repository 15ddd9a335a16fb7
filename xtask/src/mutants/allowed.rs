// SPDX-License-Identifier: GPL-2.0-only
//! Mutants that change nothing that anybody can see: `docs/evidence/mutants.toml`.
//!
//! An entry names the file, the change as cargo-mutants calls it without its place, and the line of the source, so that it lasts
//! while lines move. What it says is checked: it must match mutants, and tests must notice none of them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::results::{All, Outcome, Results, text};
use super::tool::Mutant;
use crate::measured::{Part, part_of};
use crate::workspace;

/// The list, from the top of the checkout.
const PLACE: &str = "docs/evidence/mutants.toml";

/// The list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allowed {
    #[serde(default)]
    mutant: Vec<Entry>,
    /// The lines of the files that entries name.
    #[serde(skip)]
    sources: BTreeMap<String, Vec<String>>,
}

/// A mutant, and why it may survive.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    file: String,
    /// `replace < with <= in first_from`.
    change: String,
    /// The line that it is in, without the space at its ends.
    line: String,
    reason: String,
}

impl Allowed {
    /// Reads the list.
    ///
    /// # Errors
    ///
    /// It cannot be read, or names a file that is not there.
    pub(crate) fn load() -> Result<Self> {
        let path = workspace::root().join(PLACE);
        let list = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&list, text).with_context(|| PLACE.to_owned())
    }

    fn parse(list: &str, read: impl Fn(&str) -> Result<String>) -> Result<Self> {
        let mut allowed: Self = toml::from_str(list)?;
        for entry in &allowed.mutant {
            if !allowed.sources.contains_key(&entry.file) {
                let lines = read(&entry.file)?.lines().map(|line| line.trim().to_owned()).collect();
                allowed.sources.insert(entry.file.clone(), lines);
            }
        }
        Ok(allowed)
    }

    /// The entry that has a mutant: its file, its line counted from 1, and what it changes.
    fn entry(&self, file: &str, line: usize, change: &str) -> Option<&Entry> {
        let source = self.sources.get(file)?.get(line.checked_sub(1)?)?;
        self.mutant.iter().find(|entry| entry.file == file && entry.change == change && entry.line == *source)
    }

    /// The reason why a survivor of `file` may survive, given as `LINE:COLUMN: CHANGE`.
    pub(crate) fn reason(&self, file: &str, survivor: &str) -> Option<&str> {
        let (place, change) = survivor.split_once(": ")?;
        let line = place.split(':').next()?.parse().ok()?;
        self.entry(file, line, change).map(|entry| entry.reason.as_str())
    }

    /// How many of the survivors of a file are listed.
    pub(super) fn count(&self, file: &str, survivors: &[String]) -> usize {
        survivors.iter().filter(|survivor| self.reason(file, survivor).is_some()).count()
    }

    /// What is wrong with results and list, a line each: survivors that are not listed, and entries that are no survivors.
    pub(super) fn complaints(&self, results: &Results, all: &All, parts: &[&Part]) -> Vec<String> {
        let mut complaints = Vec::new();
        for survivor in results.survivors() {
            let (file, rest) = survivor.split_once(':').unwrap_or((&survivor, ""));
            let wanted = part_of(file).is_some_and(|part| parts.contains(&part));
            if wanted && self.reason(file, rest).is_none() {
                complaints.push(format!("survives: {survivor}"));
            }
        }
        for entry in &self.mutant {
            if !part_of(&entry.file).is_some_and(|part| parts.contains(&part)) {
                continue;
            }
            let matched = |mutant: &Mutant| {
                self.entry(&mutant.file, mutant.line(), mutant.change()).is_some_and(|found| std::ptr::eq(found, entry))
            };
            let mutants = all.get(&entry.file).map(Vec::as_slice).unwrap_or_default();
            let outcomes: Vec<Outcome> = (0..)
                .zip(mutants)
                .filter(|(_, mutant)| matched(mutant))
                .map(|(at, _)| results.outcome(&entry.file, at))
                .collect();
            let why = if outcomes.is_empty() {
                "is no mutant"
            } else if outcomes.iter().any(|outcome| *outcome != Outcome::Missed && *outcome != Outcome::Untried) {
                "is listed, and tests notice it"
            } else {
                continue;
            };
            complaints.push(format!("{PLACE}: {}: {}: {why}", entry.file, entry.change));
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{all, results};
    use super::*;

    const LIST: &str = "[[mutant]]\nfile = \"resctrl-fs/src/a.rs\"\nchange = \"replace < with <=\"\nline = \"b < c\"\nreason = \"Why.\"\n";

    fn complaints(list: &str, source: &str, outcomes: &str) -> Vec<String> {
        let allowed = Allowed::parse(list, |_| Ok(source.to_owned())).unwrap();
        let parts = crate::measured::parts(&["resctrl-fs".to_owned()]).unwrap();
        allowed.complaints(&results(outcomes), &all(), &parts)
    }

    #[test]
    fn a_survivor_is_listed_by_its_change_and_the_text_of_its_line() {
        let source = "fn a() {\n    b < c\n    d < e\n";
        assert_eq!(complaints(LIST, source, "CMC"), Vec::<String>::new());
        assert_eq!(complaints(LIST, source, "CMM"), ["survives: resctrl-fs/src/a.rs:3:5: replace < with <="]);
        let allowed = Allowed::parse(LIST, |_| Ok(source.to_owned())).unwrap();
        assert_eq!(allowed.reason("resctrl-fs/src/a.rs", "2:5: replace < with <="), Some("Why."));
        assert_eq!(allowed.count("resctrl-fs/src/a.rs", &["3:5: replace < with <=".to_owned()]), 0);
    }

    #[test]
    fn an_entry_that_is_no_mutant_or_that_tests_notice_is_wrong() {
        let why = |why: &str| vec![format!("{PLACE}: resctrl-fs/src/a.rs: replace < with <=: {why}")];
        assert_eq!(complaints(LIST, "fn a() {\n    b > c\n", "CCC"), why("is no mutant"));
        assert_eq!(complaints(LIST, "fn a() {\n    b < c\n", "CCC"), why("is listed, and tests notice it"));
        // It was not tried.
        assert_eq!(complaints(LIST, "fn a() {\n    b < c\n", "C.."), Vec::<String>::new());
    }

    #[test]
    fn an_entry_without_a_reason_is_refused() {
        let list = LIST.replace("reason = \"Why.\"\n", "");
        assert!(Allowed::parse(&list, |_| Ok(String::new())).is_err());
    }

    #[test]
    fn every_entry_of_the_list_names_a_line_that_is_there() {
        let allowed = Allowed::load().unwrap();
        for entry in &allowed.mutant {
            assert!(allowed.sources[&entry.file].contains(&entry.line), "{}: {}", entry.file, entry.line);
            assert!(entry.reason.len() > 10, "{}: {}", entry.file, entry.change);
        }
    }
}
