// SPDX-License-Identifier: GPL-2.0-only
//! What is measured of the tests themselves: of which parts of which crates, and how figures are shown and kept.
//!
//! Figures are files in `docs/evidence`, one for each kind; `docs/evidence.md` is made from them.

mod table;
mod test_code;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::workspace;
pub(crate) use table::Table;
pub(crate) use test_code::{TestCode, item_end};

/// Source that is measured by itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// As on the command line.
    pub(crate) name: &'static str,
    /// The package that it belongs to.
    pub(crate) package: &'static str,
    /// Where it is, from the top of the checkout.
    pub(crate) folder: &'static str,
    /// It is part of what users run, so that the floors hold for it; the rest is what tests run on.
    pub(crate) shipped: bool,
}

impl Part {
    const fn shipped(name: &'static str, folder: &'static str) -> Self {
        Self { name, package: name, folder, shipped: true }
    }
}

/// Everything that is measured.
pub(crate) const PARTS: [Part; 6] = [
    Part::shipped("resctrl-types", "resctrl-types/src"),
    Part { name: "resctrl-types-sim", package: "resctrl-types", folder: "resctrl-types/src/sim", shipped: false },
    Part::shipped("resctrl-fs", "resctrl-fs/src"),
    Part::shipped("resctrl-x86", "resctrl-x86/src"),
    Part::shipped("resctrl-mpam", "resctrl-mpam/src"),
    Part { name: "resctrl-hardware", package: "resctrl-hardware", folder: "qemu-images/hardware/src", shipped: false },
];

/// The packages whose tests try the parts.
pub(crate) const TESTED: [&str; 8] = [
    "resctrl-types",
    "resctrl-fs",
    "resctrl-fs-model",
    "resctrl-fs-fuzz",
    "resctrl-x86",
    "resctrl-mpam",
    "resctrl-fuzz",
    "resctrl-hardware",
];

/// The part that a file is in, if it is in one. Files that are tests are in none.
pub(crate) fn part_of(file: &str) -> Option<&'static Part> {
    let within = |part: &&Part| file.strip_prefix(part.folder).is_some_and(|rest| rest.starts_with('/'));
    let part = PARTS.iter().filter(within).max_by_key(|part| part.folder.len());
    part.filter(|_| file.ends_with(".rs") && !test_code::is_test_file(file))
}

/// The parts that the command line names; all if it names none.
///
/// # Errors
///
/// There is no part of that name.
pub(crate) fn parts(names: &[String]) -> Result<Vec<&'static Part>> {
    for name in names {
        if PARTS.iter().all(|part| part.name != name) {
            let known: Vec<_> = PARTS.iter().map(|part| part.name).collect();
            bail!("--crate {name}: there are {}", known.join(", "));
        }
    }
    Ok(PARTS.iter().filter(|part| names.is_empty() || names.iter().any(|name| name == part.name)).collect())
}

/// How many there are of something, and how many of them tests reach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) reached: usize,
    pub(crate) all: usize,
}

impl Share {
    /// In percent; all of nothing is all.
    pub(crate) fn percent(self) -> f64 {
        if self.all == 0 { 100.0 } else { self.reached as f64 * 100.0 / self.all as f64 }
    }

    /// Whether it is at least `floor` percent, without rounding.
    pub(crate) fn is_at_least(self, floor: usize) -> bool {
        self.reached * 100 >= self.all * floor
    }

    /// `95.1 %`, rounded down: what is shown as 95.0 % is not less.
    pub(crate) fn shown(self) -> String {
        format!("{:.1} %", (self.percent() * 10.0 + 1e-9).floor() / 10.0)
    }

    /// `19 of 20`.
    pub(crate) fn counts(self) -> String {
        format!("{} of {}", self.reached, self.all)
    }
}

impl std::iter::Sum for Share {
    fn sum<I: Iterator<Item = Self>>(shares: I) -> Self {
        shares.fold(Self::default(), |a, b| Self { reached: a.reached + b.reached, all: a.all + b.all })
    }
}

/// When something was measured, and of what.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct When {
    /// `2026-11-30`.
    pub(crate) date: String,
    pub(crate) commit: String,
}

impl When {
    /// Today, at the commit that is checked out.
    ///
    /// # Errors
    ///
    /// There is no clock to ask.
    pub(crate) fn now() -> Result<Self> {
        let date = duct::cmd!("date", "--utc", "+%F").read().context("cannot run date")?;
        Ok(Self { date, commit: workspace::commit() })
    }
}

/// Where the figures called `name` are kept.
pub(crate) fn kept(name: &str) -> PathBuf {
    workspace::root().join("docs/evidence").join(format!("{name}.json"))
}

/// Reads figures.
///
/// # Errors
///
/// The file cannot be read, or has something else in it.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: these are no such figures", path.display()))
}

/// Writes figures.
///
/// # Errors
///
/// The file cannot be written.
pub(crate) fn save<T: Serialize>(path: &Path, figures: &T) -> Result<()> {
    let text = serde_json::to_string_pretty(figures).context("cannot write the figures")? + "\n";
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_the_innermost_part_and_tests_are_in_none() {
        let name = |file| part_of(file).map(|part| part.name);
        assert_eq!(name("resctrl-types/src/cpu.rs"), Some("resctrl-types"));
        assert_eq!(name("resctrl-types/src/sim/queue.rs"), Some("resctrl-types-sim"));
        assert_eq!(name("resctrl-types/src/simple.rs"), Some("resctrl-types"));
        assert_eq!(name("resctrl-mpam/src/tests/board.rs"), None);
        assert_eq!(name("resctrl-x86/tests/rdt/main.rs"), None);
        assert_eq!(name("xtask/src/main.rs"), None);
    }

    #[test]
    fn every_part_is_there() {
        for part in &PARTS {
            assert!(workspace::root().join(part.folder).is_dir(), "{}", part.folder);
            assert!(TESTED.contains(&part.package), "{}", part.package);
        }
        assert!(parts(&["resctrl-fs".to_owned(), "fs".to_owned()]).unwrap_err().to_string().contains("--crate fs"));
    }

    #[test]
    fn shares_are_not_rounded_up() {
        let share = |reached, all| Share { reached, all };
        assert_eq!(share(949_999, 1_000_000).shown(), "94.9 %");
        assert!(!share(949_999, 1_000_000).is_at_least(95) && share(19, 20).is_at_least(95));
        assert_eq!(share(19, 20).shown(), "95.0 %");
        assert_eq!(share(0, 0).shown(), "100.0 %");
        assert_eq!([share(1, 2), share(3, 4)].into_iter().sum::<Share>(), share(4, 6));
    }
}
