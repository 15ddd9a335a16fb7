// SPDX-License-Identifier: GPL-2.0-only
//! Where two implementations are known to differ: `qemu-images/guest/known-differences.toml`.
//!
//! A check that is listed fails on the implementation that is listed with it, and that is no failure of the run. Where it
//! does not fail, the run says so: the list is to be shortened then.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use serde::Deserialize;

use super::{Case, Implementation, Scenario};
use crate::machine;

/// A check that fails on one implementation, which is why both are the way they are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    pub(crate) scenario: String,
    /// The whole name of the check.
    pub(crate) check: String,
    #[serde(rename = "impl", default = "oracle")]
    implementation: Implementation,
    /// None: all.
    #[serde(default)]
    pub(crate) kernels: Vec<String>,
    /// None: all.
    #[serde(default)]
    pub(crate) machines: Vec<String>,
    /// Why the two differ, and which of them is right.
    pub(crate) reason: String,
    /// The page in docs/found, without `.md`, that reports it.
    pub(crate) report: String,
}

/// Something that random sequences of operations must not compare, or not do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Random {
    /// Lines of the record that are not compared.
    #[serde(default, deserialize_with = "pattern")]
    pub(crate) ignore: Option<Regex>,
    /// Texts of the status that are only ours: the kernel's own says [`Self::theirs`] there.
    #[serde(default, deserialize_with = "pattern")]
    pub(crate) ours: Option<Regex>,
    /// None: nothing, so that its status is `ok` or what it was.
    #[serde(default, deserialize_with = "pattern")]
    pub(crate) theirs: Option<Regex>,
    /// Operations that are not made, because all that comes after them would differ.
    #[serde(default, deserialize_with = "pattern")]
    pub(crate) avoid: Option<Regex>,
    /// Lines of the console of the kernel's own that are not held against it.
    #[serde(default, deserialize_with = "pattern")]
    pub(crate) warns: Option<Regex>,
    #[serde(default)]
    kernels: Vec<String>,
    #[serde(default)]
    machines: Vec<String>,
    reason: String,
    report: String,
}

impl Random {
    /// What the kernel's own is known to warn of, and nothing else of it.
    fn only_warns(&self) -> Option<Self> {
        let warns = self.warns.clone()?;
        Some(Self { ignore: None, ours: None, theirs: None, avoid: None, warns: Some(warns), ..self.clone() })
    }
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownDifferences {
    #[serde(default)]
    check: Vec<Known>,
    #[serde(default)]
    random: Vec<Random>,
}

fn oracle() -> Implementation {
    Implementation::Kernel
}

fn pattern<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<Regex>, D::Error> {
    let text = String::deserialize(source)?;
    Regex::new(&text).map(Some).map_err(serde::de::Error::custom)
}

/// A list that names nothing stands for everything.
fn holds(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|listed| listed == name)
}

/// The same of machines; what holds for one holds for a user's that is like it.
fn holds_on(list: &[String], machine: &machine::Name) -> bool {
    list.is_empty() || machine.is_in(list)
}

impl KnownDifferences {
    /// Reads the file of a checkout whose scenarios are `scenarios`.
    ///
    /// # Errors
    ///
    /// It cannot be read or parsed, an entry has no reason, or no scenario has the check.
    pub(crate) fn load(path: &Path, scenarios: &[Scenario]) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let known = Self::parse(&text).with_context(|| format!("{} is malformed", path.display()))?;
        for Known { scenario, check, .. } in &known.check {
            let there = scenarios.iter().any(|s| s.name == *scenario);
            ensure!(there, "{}: `{check}`: there is no scenario `{scenario}`", path.display());
        }
        Ok(known)
    }

    fn parse(text: &str) -> Result<Self> {
        let known: Self = toml::from_str(text)?;
        for Known { check, reason, .. } in &known.check {
            ensure!(!reason.trim().is_empty(), "`{check}` has no reason");
        }
        for random in &known.random {
            ensure!(!random.reason.trim().is_empty(), "{random:?} has no reason");
            let says = [&random.ignore, &random.ours, &random.avoid, &random.warns].into_iter().any(Option::is_some);
            ensure!(says, "{random:?} says nothing");
        }
        Ok(known)
    }

    /// What holds between two kernels of which each has its own resctrl: nothing may differ.
    pub(crate) fn between_kernels(&self) -> Self {
        let random = self.random.iter().filter_map(Random::only_warns).collect();
        Self { check: self.check.clone(), random }
    }

    /// The checks that the kernel's own fails.
    pub(crate) fn of_the_kernels_own(&self) -> impl Iterator<Item = &Known> {
        self.check.iter().filter(|known| known.implementation == Implementation::Kernel)
    }

    /// The reports of all that is listed.
    pub(crate) fn reports(&self) -> impl Iterator<Item = &str> {
        let of_checks = self.check.iter().map(|known| &*known.report);
        of_checks.chain(self.random.iter().map(|random| &*random.report))
    }

    /// The checks of `case` that are to fail.
    pub(crate) fn of(&self, case: &Case) -> Vec<Known> {
        let applies = |known: &&Known| {
            known.scenario == case.scenario.name
                && known.implementation == case.implementation
                && holds(&known.kernels, &case.like)
                && holds_on(&known.machines, &case.machine)
        };
        self.check.iter().filter(applies).cloned().collect()
    }

    /// What holds for random sequences on a machine with a kernel.
    pub(crate) fn random(&self, machine: &machine::Name, kernel: &str) -> Vec<Random> {
        let applies = |random: &&Random| holds(&random.kernels, kernel) && holds_on(&random.machines, machine);
        self.random.iter().filter(applies).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernels::Arch, workspace};

    fn case(implementation: Implementation, kernel: &str) -> Case {
        Case {
            scenario: Scenario::parse("mount", "# Mounts.\n# machines: mpam\n").unwrap(),
            machine: machine::tests::named("mpam"),
            arch: Arch::Arm64,
            kernel: kernel.to_owned(),
            like: kernel.to_owned(),
            implementation,
            known: Vec::new(),
        }
    }

    #[test]
    fn a_difference_is_known_where_it_is_listed_and_nowhere_else() {
        let known = KnownDifferences::parse(
            "[[check]]\nscenario = \"mount\"\ncheck = \"abi-7 x\"\nkernels = [\"oracle\"]\nreason = \"so it is\"\n\
             report = \"x\"\n",
        )
        .unwrap();
        assert_eq!(known.of(&case(Implementation::Kernel, "oracle"))[0].check, "abi-7 x");
        assert!(known.of(&case(Implementation::Rust, "oracle")).is_empty());
        assert!(known.of(&case(Implementation::Kernel, "stock")).is_empty());
    }

    #[test]
    fn what_is_known_of_a_machine_is_known_of_a_users_that_is_like_it() {
        let text = "[[check]]\nscenario = \"mount\"\ncheck = \"x\"\nmachines = [\"MACHINE\"]\nreason = \"so it is\"\nreport = \"x\"\n";
        let (_folder, mine) = machine::tests::of_a_user("mine.toml", "like = \"mpam-ris\"\nmemory = \"2G\"\n");
        let known = |listed: &str, name: &machine::Name| {
            let case = Case { machine: name.clone(), ..case(Implementation::Kernel, "stock") };
            !KnownDifferences::parse(&text.replace("MACHINE", listed)).unwrap().of(&case).is_empty()
        };
        assert!(known("mpam-ris", &mine.name) && !known("mpam", &mine.name));
        assert!(known("mpam", &machine::tests::named("mpam")));
    }

    #[test]
    fn nothing_is_listed_without_a_reason() {
        let error = |text: &str| format!("{:#}", KnownDifferences::parse(text).unwrap_err());
        let check = "[[check]]\nscenario = \"mount\"\ncheck = \"abi-7 x\"\nreport = \"x\"\n";
        assert!(error(&format!("{check}reason = \" \"\n")).contains("no reason"));
        let random = "[[random]]\nreport = \"x\"\n";
        assert!(error(&format!("{random}ignore = \"x\"\nreason = \"\"\n")).contains("no reason"));
        assert!(error(&format!("{random}reason = \"it is so\"\n")).contains("says nothing"));
    }

    #[test]
    fn nothing_is_listed_without_a_report() {
        for text in [
            "[[check]]\nscenario = \"mount\"\ncheck = \"abi-7 x\"\nreason = \"x\"\n",
            "[[random]]\nignore = \"x\"\nreason = \"x\"\n",
        ] {
            let error = format!("{:#}", KnownDifferences::parse(text).unwrap_err());
            assert!(error.contains("missing field `report`"), "{error}");
        }
    }

    #[test]
    fn the_list_names_checks_that_there_are() {
        let guest = workspace::root().join("qemu-images/guest");
        let scenarios = super::super::load(&guest.join("scenarios")).unwrap();
        let known = KnownDifferences::load(&guest.join("known-differences.toml"), &scenarios).unwrap();
        for Known { scenario, check, .. } in &known.check {
            let text = std::fs::read_to_string(guest.join(format!("scenarios/{scenario}.sh"))).unwrap();
            assert!(text.contains(&format!("\"{check}\"")), "scenario {scenario} has no check `{check}`");
        }
    }
}
