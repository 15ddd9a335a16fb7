// SPDX-License-Identifier: GPL-2.0-only
//! The test programs with all mutants in them.
//!
//! Not every mutant compiles, and some compile alone but not beside others. The compiler says which: they are left out, and it is
//! asked again, until it has nothing to say. The libraries come first, since checking those is quick.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::errors::{Blame, Line, lines};
use super::results::{All, text, version};
use super::tool::Mutant;
use super::tree::copy_checkout;
use super::weave::{self, Genre, SWITCH, Woven};
use crate::cargo_tool::program;
use crate::measured::{self, PARTS, TESTED, part_of};

/// More rounds than that are not needed for anything that gets better.
const ROUNDS: usize = 40;

const MANIFEST: &str = "[package]\nname = \"mutant-switch\"\nedition = \"2024\"\n";

/// A program with tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) package: String,
    /// As cargo calls it.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Where its tests are run.
    pub(super) folder: PathBuf,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) programs: Vec<Program>,
    /// The number that each mutant has, by its name.
    pub(super) numbers: BTreeMap<String, u32>,
    /// Why others have none.
    pub(super) left: BTreeMap<String, &'static str>,
    /// Those of them of which it is certain that they do not compile.
    pub(super) unviable: BTreeSet<String>,
}

impl Build {
    /// More than every number.
    pub(super) fn end(&self) -> u32 {
        self.numbers.values().max().map_or(0, |last| last + 1)
    }
}

/// What earlier rounds have found.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    files: BTreeMap<String, Out>,
    /// Functions that have to stay constant.
    constant: BTreeSet<(String, String)>,
}

impl Known {
    fn of(&mut self, file: &str) -> Result<&mut Out> {
        self.files.get_mut(file).context("every file is known")
    }
}

/// Mutants of a file that do not compile.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Out {
    version: String,
    /// Whether it is certain that they do not by themselves either.
    mutants: BTreeMap<String, bool>,
    /// Those that do, but not if it is looked into whether they make a difference.
    #[serde(default)]
    unwatched: BTreeSet<String>,
}

/// What is known of a file's mutants.
struct OfFile<'a> {
    out: &'a Out,
    constant: &'a BTreeSet<(String, String)>,
}

impl weave::Known for OfFile<'_> {
    fn is_out(&self, mutant: &Mutant) -> bool {
        self.out.mutants.contains_key(&mutant.name)
    }

    fn is_unwatched(&self, mutant: &Mutant) -> bool {
        self.out.unwatched.contains(&mutant.name)
    }

    fn is_constant(&self, function: &(String, String)) -> bool {
        self.constant.contains(function)
    }
}

/// Weaves all mutants into a copy of the checkout below `folder`, and builds the tests.
///
/// # Errors
///
/// They do not compile, and no mutant is to blame.
pub(super) fn build(all: &All, folder: &Path) -> Result<Build> {
    let place = folder.join("left-out.json");
    let mut known: Known = if place.exists() { measured::load(&place).unwrap_or_default() } else { Known::default() };
    let texts = all.keys().map(|file| Ok((file.as_str(), text(file)?))).collect::<Result<BTreeMap<&str, String>>>()?;
    for (file, text) in &texts {
        let out = known.files.entry((*file).to_owned()).or_default();
        let version = version(text);
        if out.version != version {
            *out = Out { version, ..Out::default() };
        }
    }
    let mut only_libraries = true;
    for round in 1..=ROUNDS {
        let woven = weave_all(all, &texts, &known)?;
        write(&woven, folder)?;
        let (done, output) = cargo(only_libraries, folder)?;
        if done && !only_libraries {
            measured::save(&place, &known)?;
            return Ok(finished(all, &woven, &known, programs(&output)));
        }
        if done {
            only_libraries = false;
            continue;
        }
        let blame = Blame::of(&output, &woven);
        eprintln!(
            "round {round}: {} mutants are left out, {} not watched, {} functions constant; {} errors are nobody's",
            blame.mutants.len(),
            blame.unwatched.len(),
            blame.constant.len(),
            blame.unknown.len()
        );
        let before = known.constant.len();
        for ((file, at), wrong) in &blame.mutants {
            let mutant = &all[file][*at];
            // `return VALUE` has to have the type that VALUE has to have at the end.
            let certain = *wrong && mutant.genre == Genre::FnValue;
            known.of(file)?.mutants.insert(mutant.name.clone(), certain);
        }
        for (file, at) in &blame.unwatched {
            known.of(file)?.unwatched.insert(all[file][*at].name.clone());
        }
        known.constant.extend(blame.constant);
        ensure!(
            !blame.mutants.is_empty() || !blame.unwatched.is_empty() || known.constant.len() > before,
            "this does not compile, and no mutant is to blame; see {}\n{}",
            folder.join("build.log").display(),
            shown(&blame.unknown)
        );
        measured::save(&place, &known)?;
    }
    bail!("after {ROUNDS} rounds there still are mutants that do not compile")
}

/// The first of errors, each as far as somebody reads it.
fn shown(errors: &[String]) -> String {
    let short = |error: &String| {
        error
            .lines()
            .take(20)
            .map(|line| format!("{}\n", line.chars().take(200).collect::<String>()))
            .collect::<String>()
    };
    errors.iter().take(3).map(short).collect()
}

/// Numbers go by part, with some room after each: where code is added to one, those above it are not compiled anew.
fn weave_all(all: &All, texts: &BTreeMap<&str, String>, known: &Known) -> Result<BTreeMap<String, Woven>> {
    let mut woven = BTreeMap::new();
    let mut first = 0_u32;
    for part in &PARTS {
        for (file, mutants) in all.iter().filter(|(file, _)| part_of(file) == Some(part)) {
            let of_file = OfFile { out: &known.files[file], constant: &known.constant };
            let new = weave::weave(&texts[file.as_str()], mutants, first, &of_file).with_context(|| file.clone())?;
            first += u32::try_from(new.numbers.len())?;
            woven.insert(file.clone(), new);
        }
        first = (first + 64).next_multiple_of(512);
    }
    Ok(woven)
}

fn write(woven: &BTreeMap<String, Woven>, folder: &Path) -> Result<()> {
    let mut others: BTreeMap<String, String> =
        woven.iter().map(|(file, woven)| (file.clone(), woven.text.clone())).collect();
    for part in &PARTS {
        let package = part.folder.split("/src").next().unwrap_or(part.folder);
        let manifest = format!("{package}/Cargo.toml");
        let up = "../".repeat(package.split('/').count());
        let text = text(&manifest)?;
        let (before, after) =
            text.split_once("[dependencies]\n").with_context(|| format!("{manifest}: no dependencies"))?;
        let text = format!("{before}[dependencies]\nmutant-switch = {{ path = \"{up}mutant-switch\" }}\n{after}");
        others.insert(manifest, text);
    }
    others.insert("mutant-switch/Cargo.toml".to_owned(), MANIFEST.to_owned());
    others.insert("mutant-switch/src/lib.rs".to_owned(), SWITCH.to_owned());
    copy_checkout(&folder.join("woven"), &others)
}

/// Has the libraries checked, or the tests built; whether it is done, and what cargo has printed.
fn cargo(only_libraries: bool, folder: &Path) -> Result<(bool, Vec<Line>)> {
    let log = folder.join("build.log");
    let file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(program());
    if only_libraries {
        let packages: BTreeSet<&str> = PARTS.iter().map(|part| part.package).collect();
        command
            .args(["check", "--keep-going", "--lib"])
            .args(packages.iter().flat_map(|package| ["--package", package]));
    } else {
        command.args(["test", "--no-run", "--no-fail-fast", "--tests"]);
        command.args(TESTED.iter().flat_map(|package| ["--package", package]));
    }
    command
        .args(["--profile", "woven", "--features", "resctrl-types/sim", "--message-format", "json"])
        .current_dir(folder.join("woven"))
        .env("CARGO_TARGET_DIR", folder.join("build"))
        // The profile says so.
        .env_remove("CARGO_INCREMENTAL")
        .stderr(Stdio::from(file));
    let output = command.output().context("cannot run cargo")?;
    Ok((output.status.success(), lines(&String::from_utf8_lossy(&output.stdout))?))
}

/// The test programs that cargo has built.
fn programs(output: &[Line]) -> Vec<Program> {
    let mut programs = Vec::new();
    for line in output {
        if let Line::CompilerArtifact { package_id, manifest_path, target, profile, executable: Some(path) } = line
            && profile.test
        {
            programs.push(Program {
                package: package_of(package_id).to_owned(),
                name: target.name.clone(),
                path: path.into(),
                folder: Path::new(manifest_path).parent().unwrap_or(Path::new("")).to_owned(),
            });
        }
    }
    programs
}

/// `resctrl-fs` in `path+file:///a/resctrl-fs#0.1.0` and in `path+file:///a/fs#resctrl-fs@0.1.0`.
fn package_of(id: &str) -> &str {
    let (place, name) = id.rsplit_once('#').unwrap_or((id, ""));
    match name.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(place),
    }
}

fn finished(all: &All, woven: &BTreeMap<String, Woven>, known: &Known, programs: Vec<Program>) -> Build {
    let certain = known.files.values().flat_map(|file| file.mutants.iter().filter(|(_, certain)| **certain));
    let unviable = certain.map(|(name, _)| name.clone()).collect();
    let mut build = Build { programs, numbers: BTreeMap::new(), left: BTreeMap::new(), unviable };
    for (file, woven) in woven {
        let mutants = &all[file];
        let numbers = (woven.first..).zip(&woven.numbers);
        build.numbers.extend(numbers.map(|(number, at)| (mutants[*at].name.clone(), number)));
        build.left.extend(woven.left.iter().map(|(at, why)| (mutants[*at].name.clone(), *why)));
    }
    build
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_a_program_is_in_its_id() {
        assert_eq!(package_of("path+file:///a/resctrl-fs#0.1.0"), "resctrl-fs");
        assert_eq!(package_of("path+file:///a/fuzz#resctrl-fs-fuzz@0.1.0"), "resctrl-fs-fuzz");
    }

    #[test]
    fn every_crate_that_is_woven_gets_the_switch() {
        let folder = tempfile::tempdir().unwrap();
        write(&BTreeMap::new(), folder.path()).unwrap();
        let read = |file: &str| fs::read_to_string(folder.path().join("woven").join(file)).unwrap();
        assert!(read("resctrl-fs/Cargo.toml").contains("\nmutant-switch = { path = \"../mutant-switch\" }\n"));
        assert!(
            read("qemu-images/hardware/Cargo.toml").contains("\nmutant-switch = { path = \"../../mutant-switch\" }\n")
        );
        assert_eq!(read("mutant-switch/src/lib.rs"), SWITCH);
    }
}
