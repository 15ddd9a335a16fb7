// SPDX-License-Identifier: GPL-2.0-only
//! cargo-mutants: which mutants there are, and what became of them.
//!
//! It works in place, on a copy of this checkout that is kept in `target/mutants`, so that the next run finds there what this
//! one has compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::results::{All, Outcome};
use super::tree::copy_checkout;
use super::weave::Genre;
use crate::cargo_tool::CargoTool;
use crate::measured::{Part, part_of};
use crate::workspace;

const MUTANTS: CargoTool = CargoTool { name: "mutants", version: "27.1.0", flags: &[] };

/// The crates whose tests run on what has survived those of the mutant's own.
fn above(package: &str) -> &'static [&'static str] {
    match package {
        "resctrl-types" | "resctrl-hardware" => &["resctrl-fs", "resctrl-x86", "resctrl-mpam"],
        "resctrl-x86" => &["resctrl-fs"],
        "resctrl-fs" => &["resctrl-mpam", "resctrl-fs-fuzz"],
        "resctrl-mpam" => &["resctrl-fuzz"],
        _ => &[],
    }
}

/// What a package is compiled with, for its tests.
pub(super) fn features(package: &str) -> &'static [&'static str] {
    if package == "resctrl-types" { &["--features", "sim"] } else { &[] }
}

/// A change of the source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Mutant {
    /// `resctrl-fs/src/text.rs:12:5: replace + with - in width`.
    pub(super) name: String,
    pub(super) file: String,
    pub(super) genre: Genre,
    pub(super) replacement: String,
    #[serde(default)]
    function: Option<Function>,
    span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Function {
    return_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Span {
    start: Position,
    end: Position,
}

/// Both count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Position {
    line: usize,
    /// In characters.
    column: usize,
}

impl Mutant {
    /// Line, column, and what is changed.
    pub(super) fn place_and_change(&self) -> &str {
        self.name.strip_prefix(&self.file).and_then(|rest| rest.strip_prefix(':')).unwrap_or(&self.name)
    }

    /// What is changed, wherever.
    pub(super) fn change(&self) -> &str {
        self.place_and_change().splitn(2, ": ").last().unwrap_or_default()
    }

    /// Counted from 1.
    pub(super) fn line(&self) -> usize {
        self.span.start.line
    }

    /// The type of the function that it is in is said, as against `impl`, which stands for the type of what is returned.
    pub(super) fn has_said_type(&self) -> bool {
        self.function.as_ref().is_none_or(|function| !function.return_type.contains("impl"))
    }

    /// Line and column where what it replaces begins, and where what follows that does.
    pub(super) fn places(&self) -> [(usize, usize); 2] {
        [&self.span.start, &self.span.end].map(|place| (place.line, place.column))
    }
}

/// Which mutants of a part are asked for.
pub(super) struct Narrowed<'a> {
    /// Patterns; none: all files.
    pub(super) files: &'a [String],
    pub(super) shard: Option<(usize, usize)>,
    pub(super) diff: Option<&'a PathBuf>,
    /// Names; those alone.
    pub(super) only: Option<BTreeSet<String>>,
}

/// The installed tool.
pub(super) struct Tool {
    program: PathBuf,
    /// With the folder of cargo-nextest.
    path: OsString,
}

impl Tool {
    /// Has it built into `cache` the first time.
    pub(super) fn ensure(cache: &Path, nextest: &Path) -> Result<Self> {
        let folders = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
        let path = env::join_paths(nextest.parent().map(Path::to_owned).into_iter().chain(folders));
        Ok(Self { program: MUTANTS.ensure(cache)?, path: path.context("a folder of PATH has a `:` in it")? })
    }

    fn command(&self, folder: &Path, package: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("PATH", &self.path)
            .args(["mutants", "--no-config", "--dir"])
            .arg(folder)
            .args(["--package", package]);
        command
    }

    /// All mutants of `parts`, by file, in the tool's order.
    pub(super) fn list(&self, parts: &[&Part]) -> Result<All> {
        let mut packages: Vec<&str> = parts.iter().map(|part| part.package).collect();
        packages.dedup();
        let mut all = All::new();
        for package in packages {
            for mutant in listed(&mut self.command(workspace::root(), package))? {
                if part_of(&mutant.file).is_some_and(|part| parts.contains(&part)) {
                    all.entry(mutant.file.clone()).or_default().push(mutant);
                }
            }
        }
        Ok(all)
    }

    /// The mutants of a part that are asked for, of `all`.
    pub(super) fn wanted(&self, part: &Part, narrowed: &Narrowed<'_>, all: &All) -> Result<Vec<Mutant>> {
        let wanted =
            |file: &&String| narrowed.files.is_empty() || narrowed.files.iter().any(|glob| matches(glob, file));
        let files: Vec<&String> = all.keys().filter(|file| part_of(file) == Some(part)).filter(wanted).collect();
        let mut mutants: Vec<Mutant> = if files.is_empty() {
            Vec::new()
        } else if let Some(diff) = narrowed.diff {
            let mut command = self.command(workspace::root(), part.package);
            command.args(files.iter().flat_map(|file| ["--file", file])).arg("--in-diff").arg(diff);
            listed(&mut command)?
        } else {
            files.iter().flat_map(|file| all[*file].iter().cloned()).collect()
        };
        if let Some(only) = &narrowed.only {
            mutants.retain(|mutant| only.contains(&mutant.name));
        }
        if let Some((which, of)) = narrowed.shard {
            mutants = mutants.into_iter().skip(which).step_by(of).collect();
        }
        Ok(mutants)
    }

    /// Tries mutants of a part one by one, on the tests of their own crate.
    pub(super) fn run(&self, part: &Part, mutants: &[Mutant], folder: &Path) -> Result<Vec<(Mutant, Outcome)>> {
        if mutants.is_empty() {
            return Ok(Vec::new());
        }
        let tree = folder.join("tree");
        copy_checkout(&tree, &BTreeMap::new())?;
        let mut first = self.on(&tree, part, folder);
        let files: BTreeSet<&String> = mutants.iter().map(|mutant| &mutant.file).collect();
        first.args(files.iter().flat_map(|file| ["--file", file]));
        let names: Vec<String> = mutants.iter().map(|mutant| mutant.name.clone()).collect();
        first.args(exactly(&names));
        // So that a machine with other things to do makes no timeouts, which would count as noticed.
        first.args(["--minimum-test-timeout", "60", "--timeout-multiplier", "10"]);
        Ok(of_these(outcomes(&mut first, &folder.join(part.name))?, &names))
    }

    /// Tries what has survived there on the tests of the crates above.
    pub(super) fn run_above(&self, part: &Part, survivors: &[String], folder: &Path) -> Result<Vec<(Mutant, Outcome)>> {
        if survivors.is_empty() || above(part.package).is_empty() {
            return Ok(Vec::new());
        }
        println!("{} survivors meet the tests of {}", survivors.len(), above(part.package).join(", "));
        let mut second = self.on(&folder.join("tree"), part, folder);
        second.args(exactly(survivors));
        second.args(above(part.package).iter().flat_map(|package| ["--test-package", package]));
        // How long those take without a change is not measured.
        second.args(["--timeout", "1800"]);
        Ok(of_these(outcomes(&mut second, &folder.join(part.name))?, survivors))
    }

    /// The tool, on the copy of the checkout.
    fn on(&self, tree: &Path, part: &Part, folder: &Path) -> Command {
        let mut command = self.command(tree, part.package);
        command
            .args(["--in-place", "--test-tool", "nextest", "--profile", "mutants", "--no-shuffle", "--colors", "never"])
            .arg("--output")
            .arg(folder.join(part.name))
            // The tests of half of the crate are on its simulated kernel.
            .args(features(part.package))
            .env("NEXTEST_PROFILE", "mutants")
            .env("CARGO_TARGET_DIR", folder.join("build"))
            // The profile says so.
            .env_remove("CARGO_INCREMENTAL");
        command
    }
}

/// What the tool lists with these arguments.
fn listed(command: &mut Command) -> Result<Vec<Mutant>> {
    let output = command.args(["--list", "--json"]).output().context("cannot run cargo-mutants")?;
    ensure!(output.status.success(), "cargo-mutants: {}", String::from_utf8_lossy(&output.stderr).trim());
    parse_list(&output.stdout)
}

/// Those that were asked for: cargo-mutants tries a field that is deleted whatever its patterns say.
fn of_these(mut tried: Vec<(Mutant, Outcome)>, names: &[String]) -> Vec<(Mutant, Outcome)> {
    tried.retain(|(mutant, _)| names.contains(&mutant.name));
    tried
}

/// What `--list --json` prints; nothing at all if no mutant is in the changes.
fn parse_list(json: &[u8]) -> Result<Vec<Mutant>> {
    if json.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(json).context("cargo-mutants lists something else than it used to")
}

/// What it leaves in `mutants.out/outcomes.json`.
#[derive(Debug, Deserialize)]
struct Outcomes {
    outcomes: Vec<One>,
}

#[derive(Debug, Deserialize)]
struct One {
    scenario: Scenario,
    summary: String,
}

#[derive(Debug, Deserialize)]
enum Scenario {
    Baseline,
    Mutant(Mutant),
}

/// Runs it; gives what became of the mutants.
fn outcomes(command: &mut Command, folder: &Path) -> Result<Vec<(Mutant, Outcome)>> {
    let out = folder.join("mutants.out");
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let status = command.status().context("cannot run cargo-mutants")?;
    match status.code() {
        // All noticed; some not; some for ever.
        Some(0 | 2 | 3) => {}
        Some(4) => bail!("tests fail without any change: see {}", out.join("log").display()),
        _ => bail!("cargo-mutants: {status}"),
    }
    let path = out.join("outcomes.json");
    if !path.exists() {
        // No mutant is in the changes.
        return Ok(Vec::new());
    }
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse_outcomes(&text)
}

fn parse_outcomes(json: &[u8]) -> Result<Vec<(Mutant, Outcome)>> {
    let all: Outcomes = serde_json::from_slice(json).context("cargo-mutants writes something else than it used to")?;
    let mut tried = Vec::new();
    for one in all.outcomes {
        if let Scenario::Mutant(mutant) = one.scenario {
            let outcome = Outcome::from_summary(&one.summary)
                .with_context(|| format!("{}: an outcome of no known kind: {}", mutant.name, one.summary))?;
            tried.push((mutant, outcome));
        }
    }
    Ok(tried)
}

/// Arguments for these mutants and no others: patterns, none of which is too long for an argument.
fn exactly(names: &[String]) -> Vec<String> {
    let pattern = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| regex::escape(name)).collect();
        ["--re".to_owned(), format!("^({})$", names.join("|"))]
    };
    names.chunks(200).flat_map(pattern).collect()
}

/// Whether `glob` matches: `*` is any text, everything else itself.
fn matches(glob: &str, file: &str) -> bool {
    let parts: Vec<String> = glob.split('*').map(regex::escape).collect();
    regex::Regex::new(&format!("^{}$", parts.join(".*"))).is_ok_and(|pattern| pattern.is_match(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutants_are_read_from_what_the_tool_lists_which_may_be_nothing_at_all() {
        let list = parse_list(include_bytes!("recorded/list.json")).unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].file, "src/lib.rs");
        assert_eq!(list[0].place_and_change(), "3:5: replace count -> u32 with 0");
        assert_eq!((list[0].line(), list[0].change()), (3, "replace count -> u32 with 0"));
        // With --in-diff, where no mutant is in the changes.
        assert_eq!(parse_list(b"\n").unwrap(), []);
        assert!(parse_list(b"{}").is_err());
    }

    #[test]
    fn what_became_of_mutants_is_read_from_what_the_tool_leaves() {
        let tried = parse_outcomes(include_bytes!("recorded/outcomes.json")).unwrap();
        let tried: Vec<_> = tried.iter().map(|(mutant, outcome)| (mutant.place_and_change(), *outcome)).collect();
        assert_eq!(
            tried,
            [
                ("3:5: replace count -> u32 with 0", Outcome::Caught),
                ("5:11: replace += with *= in count", Outcome::Timeout),
                ("10:5: replace made -> NoDefault with Default::default()", Outcome::Unviable),
                ("13:5: replace unseen -> bool with true", Outcome::Missed),
            ]
        );
        let unknown = String::from_utf8_lossy(include_bytes!("recorded/outcomes.json")).replace("Unviable", "Odd");
        assert!(parse_outcomes(unknown.as_bytes()).is_err());
    }

    #[test]
    fn what_became_of_mutants_that_nobody_asked_for_is_dropped() {
        let tried = parse_outcomes(include_bytes!("recorded/outcomes.json")).unwrap();
        let name = tried[1].0.name.clone();
        let kept = of_these(tried, std::slice::from_ref(&name));
        assert!(kept.len() == 1 && kept[0].0.name == name);
    }

    #[test]
    fn names_are_matched_as_they_are() {
        let name = "a.rs:1:2: replace || with && in f (g)".to_owned();
        let pattern = regex::Regex::new(&exactly(&[name.clone(), "b".to_owned()])[1]).unwrap();
        assert_eq!(exactly(&vec![name.clone(); 201]).len(), 4);
        assert!(pattern.is_match(&name) && pattern.is_match("b"));
        assert!(!pattern.is_match("abc") && !pattern.is_match("a.rs:1:2: replace "));
        assert!(matches("*/monitor/*.rs", "resctrl-fs/src/monitor/worker.rs"));
        assert!(!matches("monitor", "resctrl-fs/src/monitor.rs") && !matches("a.rs", "abrs"));
    }

    #[test]
    fn every_package_has_those_above_it_among_those_that_are_tested() {
        for part in &crate::measured::PARTS {
            assert!(above(part.package).iter().all(|package| crate::measured::TESTED.contains(package)));
        }
    }
}
