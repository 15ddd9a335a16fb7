// SPDX-License-Identifier: GPL-2.0-only
//! What there is to be fuzzed.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::workspace;

/// What is given hostile input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Target {
    /// Firmware tables of an Arm machine
    Tables,
    /// Identification registers of memory system components
    Registers,
    /// What users write into the files of the file system, and names of groups
    Commands,
    /// What they write into `schemata`
    Schemata,
    /// What they write into `tasks`
    Tasks,
    /// What they write into `cpus` and `cpus_list`
    Cpus,
    /// What they write into `event_filter`
    EventFilter,
    /// What they write into `mbm_L3_assignments`
    Assignments,
}

impl Target {
    /// As on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    /// The package and its program. One does for all files: it is told which.
    pub(super) const fn program(self) -> (&'static str, &'static str) {
        match self {
            Target::Tables => ("resctrl-fuzz", "fuzz-tables"),
            Target::Registers => ("resctrl-fuzz", "fuzz-registers"),
            _ => ("resctrl-fs-fuzz", "fuzz-commands"),
        }
    }

    /// Of the longest input. Tables describe some devices; many commands find no more than a few, and take longer.
    pub(super) const fn longest(self) -> usize {
        match self {
            Target::Tables | Target::Registers => 2048,
            _ => 512,
        }
    }

    /// Whether its program knows words that inputs are made of.
    pub(super) const fn has_words(self) -> bool {
        !matches!(self, Target::Tables | Target::Registers)
    }

    /// The inputs that are committed.
    pub(super) fn corpus(self) -> PathBuf {
        let package = match self {
            Target::Tables | Target::Registers => "resctrl-mpam",
            _ => "resctrl-fs",
        };
        workspace::root().join(package).join("fuzz/corpus").join(format!("{}.txt", self.name()))
    }
}

/// What the command line names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Named {
    All,
    One(Target),
}

impl Named {
    /// The targets that these are, each once.
    pub(super) fn targets(these: &[Self]) -> Vec<Target> {
        let mut targets: Vec<Target> = Vec::new();
        for named in these {
            let some = match named {
                Named::All => Target::value_variants(),
                Named::One(target) => std::slice::from_ref(target),
            };
            targets.extend(some.iter().filter(|target| !targets.contains(target)).copied().collect::<Vec<_>>());
        }
        targets
    }
}

impl ValueEnum for Named {
    fn value_variants<'a>() -> &'a [Self] {
        use Named::{All, One};
        &[
            One(Target::Tables),
            One(Target::Registers),
            One(Target::Commands),
            One(Target::Schemata),
            One(Target::Tasks),
            One(Target::Cpus),
            One(Target::EventFilter),
            One(Target::Assignments),
            All,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Named::All => Some(PossibleValue::new("all").help("All of these")),
            Named::One(target) => target.to_possible_value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_can_name_each_target_and_all_of_them() {
        let named = Named::targets(&Named::value_variants()[..Named::value_variants().len() - 1]);
        assert_eq!(named, Target::value_variants());
        assert_eq!(Named::targets(&[Named::All]), named);
        assert_eq!(Named::targets(&[Named::One(Target::Tasks), Named::All])[..2], [Target::Tasks, Target::Tables]);
        assert_eq!(Named::targets(&[Named::One(Target::Tasks), Named::One(Target::Tasks)]), [Target::Tasks]);
    }

    #[test]
    fn each_target_has_inputs_that_are_committed() {
        for target in Target::value_variants() {
            assert!(target.corpus().is_file(), "{target:?}");
        }
    }
}
