// SPDX-License-Identifier: GPL-2.0-only
//! The catalogue of behaviours, and what runs and scenarios have to say of each.
//!
//! Checks of scenarios carry numbers of the catalogue (`abi-26 ...`); the catalogue itself is
//! `qemu-images/guest/checks.toml`. From both comes the table "check, oracle, ours" of a run, and the overview of which
//! scenario has which check.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

pub(crate) use table::{Found, Table};

/// One behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Behaviour {
    /// What it is about, in a line.
    pub(crate) title: String,
    /// What a machine needs for it, in words of [`Catalogue::needs`].
    pub(crate) needs: Vec<String>,
}

/// All behaviours, by number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Catalogue {
    /// What the words mean that say what a behaviour needs.
    pub(crate) needs: BTreeMap<String, String>,
    /// The behaviours.
    pub(crate) behaviours: BTreeMap<u16, Behaviour>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    needs: BTreeMap<String, String>,
    checks: BTreeMap<String, String>,
}

impl Catalogue {
    /// Reads the catalogue of a checkout.
    ///
    /// # Errors
    ///
    /// It cannot be read, or a line of it is malformed.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is malformed", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let File { needs, checks } = toml::from_str(text)?;
        let mut behaviours = BTreeMap::new();
        for (number, title) in checks {
            let behaviour = Behaviour::parse(&title);
            for word in &behaviour.needs {
                ensure!(needs.contains_key(word), "check {number} needs `{word}`, which [needs] does not have");
            }
            let number = number.parse().with_context(|| format!("`{number}` is no number"))?;
            behaviours.insert(number, behaviour);
        }
        Ok(Self { needs, behaviours })
    }
}

impl Behaviour {
    /// `[NEED NEED] TITLE`, or a title alone.
    fn parse(text: &str) -> Self {
        let (needs, title) =
            text.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(("", text), |parts| parts);
        Self { title: title.to_owned(), needs: needs.split_whitespace().map(str::to_owned).collect() }
    }
}

/// Numbers that a text names anywhere: a scenario's, whose checks they are.
pub(crate) fn named_in(text: &str) -> BTreeSet<u16> {
    let digits = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count();
    text.split("abi-").skip(1).filter_map(|rest| rest[..digits(rest)].parse().ok()).collect()
}

/// Numbers that the name of a check begins with; most have one.
pub(crate) fn numbers(name: &str) -> impl Iterator<Item = u16> {
    name.split(' ').map_while(|word| word.strip_prefix("abi-")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scenario, workspace};

    pub(super) fn catalogue() -> Catalogue {
        Catalogue::load(&workspace::root().join("qemu-images/guest/checks.toml")).unwrap()
    }

    #[test]
    fn the_catalogue_has_every_number_and_scenarios_have_no_other() {
        let catalogue = catalogue();
        assert!((1..=245).all(|number| catalogue.behaviours.contains_key(&number)));
        for scenario in scenario::load(&workspace::root().join("qemu-images/guest/scenarios")).unwrap() {
            for number in &scenario.checks {
                assert!(catalogue.behaviours.contains_key(number), "{} has abi-{number}", scenario.name);
            }
        }
    }

    #[test]
    fn a_title_says_what_it_needs() {
        let text = "[needs]\nCDP = \"x\"\n[checks]\n7 = \"[CDP] halves\"\n8 = \"a [b] c\"\n";
        let catalogue = Catalogue::parse(text).unwrap();
        assert_eq!(catalogue.behaviours[&7], Behaviour { title: "halves".to_owned(), needs: vec!["CDP".to_owned()] });
        assert_eq!(catalogue.behaviours[&8].needs, Vec::<String>::new());
        assert!(Catalogue::parse(&text.replace("[CDP]", "[ABMC]")).is_err());
    }

    #[test]
    fn numbers_are_those_that_a_name_begins_with() {
        assert_eq!(numbers("abi-6 abi-12 and abi-9").collect::<Vec<_>>(), [6, 12]);
        assert_eq!(numbers("it mounts").count(), 0);
        assert_eq!(numbers("abi-x").count(), 0);
    }

    #[test]
    fn a_scenario_has_the_numbers_that_its_text_names() {
        let text = "is \"abi-2 it mounts\" ok x\nrefused \"abi-147 mask 0\" x # abi-x\n";
        assert_eq!(named_in(text), BTreeSet::from([2, 147]));
    }
}
