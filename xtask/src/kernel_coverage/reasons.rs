// SPDX-License-Identifier: GPL-2.0-only
//! Why lines of the kernel's are reached by no scenario: `qemu-images/guest/unreached.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::counts::Counts;
use crate::kernels::Arch;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    unreached: Vec<Reason>,
}

/// How many lines, by function: `FILE FUNCTION`.
type Lines = BTreeMap<String, usize>;

/// A reason, and where it holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    why: String,
    /// Some runs do reach them.
    #[serde(default)]
    sometimes: bool,
    /// On kernels of either instruction set.
    #[serde(default)]
    lines: Lines,
    /// On x86-64 only.
    #[serde(default)]
    amd64: Lines,
    /// On Arm only.
    #[serde(default)]
    arm64: Lines,
}

impl Reason {
    /// On kernels of an instruction set.
    fn on(mut self, arch: Arch) -> Self {
        self.lines.append(match arch {
            Arch::Amd64 => &mut self.amd64,
            Arch::Arm64 => &mut self.arm64,
        });
        self
    }
}

/// All reasons.
#[derive(Debug, Default)]
pub(super) struct Reasons(Vec<Reason>);

/// A function with lines that have not run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreached<'a> {
    /// Its file.
    pub(super) file: &'a str,
    /// Its name.
    pub(super) function: &'a str,
    /// The lines.
    pub(super) lines: Vec<u32>,
    /// Whether any of it has run.
    pub(super) runs: bool,
    /// Why not.
    pub(super) why: Vec<&'a str>,
    /// How many of the lines nobody has a reason for.
    pub(super) unexplained: usize,
}

impl Reasons {
    /// Reads those of the list that are about kernels of `arch`.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(super) fn load(path: &Path, arch: Arch) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text, arch).with_context(|| format!("{} is malformed", path.display()))
    }

    fn parse(text: &str, arch: Arch) -> Result<Self> {
        let List { unreached } = toml::from_str(text)?;
        for reason in &unreached {
            ensure!(
                [&reason.amd64, &reason.arm64]
                    .iter()
                    .all(|own| own.keys().all(|place| !reason.lines.contains_key(place))),
                "a place is twice in `{}`",
                reason.why
            );
            for (place, &lines) in [&reason.lines, &reason.amd64, &reason.arm64].into_iter().flatten() {
                ensure!(place.split(' ').count() == 2, "`{place}` is no `FILE FUNCTION`");
                ensure!(lines > 0, "`{place}` has no lines");
            }
        }
        Ok(Self(unreached.into_iter().map(|reason| reason.on(arch)).collect()))
    }

    fn of(&self, file: &str, function: &str) -> impl Iterator<Item = (&str, usize)> {
        let place = format!("{file} {function}");
        self.0.iter().filter_map(move |reason| Some((reason.why.as_str(), *reason.lines.get(&place)?)))
    }

    /// Every function with lines that have not run, with the reasons.
    pub(super) fn unreached<'a>(&'a self, counts: &'a Counts) -> Vec<Unreached<'a>> {
        let mut all = Vec::new();
        for (file, functions) in &counts.0 {
            for (name, function) in functions {
                let lines: Vec<u32> = function.unreached().collect();
                if lines.is_empty() {
                    continue;
                }
                let explained: usize = self.of(file, name).map(|(_, lines)| lines).sum();
                let unexplained = lines.len().saturating_sub(explained);
                let why = self.of(file, name).map(|(why, _)| why).collect();
                all.push(Unreached { file, function: name, lines, runs: function.has_run(), why, unexplained });
            }
        }
        all.sort_by_key(|unreached| (unreached.file, unreached.lines.first().copied()));
        all
    }

    /// Places of which the list says that more lines are not reached than are: they are, or there is no such function any more.
    /// Of files that were not counted it says nothing.
    pub(super) fn outdated(&self, counts: &Counts) -> Vec<String> {
        let mut claimed: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, lines) in self.0.iter().filter(|reason| !reason.sometimes).flat_map(|reason| &reason.lines) {
            *claimed.entry(place).or_default() += lines;
        }
        let mut outdated = Vec::new();
        for (place, lines) in claimed {
            let (file, name) = place.split_once(' ').unwrap_or((place, ""));
            let Some(functions) = counts.0.get(file) else { continue };
            let unreached = functions.get(name).map_or(0, |function| function.unreached().count());
            if unreached < lines {
                outdated.push(format!("{place}: {lines} lines are listed as not reached, {unreached} are not"));
            }
        }
        outdated
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::tests::counts;
    use super::*;
    use crate::workspace;

    const LIST: &str = "[[unreached]]\nwhy = \"out of memory\"\nlines = { \"a.c f\" = 1, \"a.c gone\" = 2 }\namd64 = { \"b.c g\" = 1 }\n";

    #[test]
    fn lines_without_a_reason_are_counted_and_reasons_without_lines_are_named() {
        let reasons = Reasons::parse(LIST, Arch::Amd64).unwrap();
        let counts = counts("a.c", "f", &[(1, 1), (2, 0), (3, 0)]);
        let unreached = reasons.unreached(&counts);
        assert_eq!((&unreached[0].lines[..], unreached[0].runs), (&[2, 3][..], true));
        assert_eq!((&unreached[0].why[..], unreached[0].unexplained), (&["out of memory"][..], 1));
        assert_eq!(reasons.outdated(&counts), ["a.c gone: 2 lines are listed as not reached, 0 are not"]);
        let sometimes = LIST.replace("lines =", "sometimes = true\nlines =");
        assert!(Reasons::parse(&sometimes, Arch::Amd64).unwrap().outdated(&counts).is_empty());
    }

    #[test]
    fn a_reason_can_hold_on_one_instruction_set_or_on_both() {
        for (arch, own, both) in [(Arch::Amd64, 1, 1), (Arch::Arm64, 0, 1)] {
            let reasons = Reasons::parse(LIST, arch).unwrap();
            assert_eq!((reasons.of("b.c", "g").count(), reasons.of("a.c", "f").count()), (own, both), "{arch:?}");
        }
        assert!(Reasons::parse(&LIST.replace("b.c g", "a.c f"), Arch::Amd64).is_err(), "twice");
    }

    #[test]
    fn a_place_that_is_no_function_of_a_file_is_refused() {
        for (right, wrong) in [("a.c f", "f"), ("b.c g", "g"), ("= 1", "= 0")] {
            assert!(Reasons::parse(&LIST.replace(right, wrong), Arch::Amd64).is_err(), "{wrong}");
        }
        assert!(Reasons::parse("", Arch::Amd64).is_err());
    }

    #[test]
    fn the_projects_list_parses() {
        let list = workspace::root().join(super::super::REASONS);
        assert!(!Reasons::load(&list, Arch::Amd64).unwrap().0.is_empty());
    }
}
