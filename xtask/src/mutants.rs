// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask mutants`.
//!
//! cargo-mutants says what single things of the source can be changed, `<` to `<=` or what a function does to nothing. A change that
//! no test notices, a survivor, is something that no test says. A survivor is killed by a test that states the rule, or it is
//! [listed](allowed) with the reason why it changes nothing that anybody can see.
//!
//! To compile thousands of changes one by one takes many hours. So all of them are [woven](weave) into one copy of the source,
//! the tests are [built](build) from that once and [run](baseline) without any change, and each change is [tried](trial) on those
//! tests that come by it. What cannot be woven is tried [alone].

mod allowed;
mod alone;
mod baseline;
mod build;
mod errors;
mod results;
mod tool;
mod tree;
mod trial;
mod weave;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::measured::{self, PARTS, Part, When};
use crate::toolroot::default_cache;
use crate::{apt, docs, git, unit_tests, workspace};
pub(crate) use allowed::Allowed;
use baseline::Baseline;
use build::Build;
pub(crate) use results::Results;
use results::{All, Outcome};
use tool::{Mutant, Tool};

/// The score that is asked for, in percent.
pub(crate) const FLOOR: usize = 95;

/// Changes one thing in the source at a time, and looks whether tests notice
///
/// A mutant that no test notices is a survivor. It fails this command, unless docs/evidence/mutants.toml lists it with the reason
/// why it changes nothing that anybody can see; so does an entry of that list without a survivor. A mutant that makes tests run
/// for ever counts as noticed; one that does not compile does not count.
///
/// All mutants are compiled into the tests at once, and the tests that come by one are run with it: first those of its own crate
/// that are quick. What cannot be compiled so, some in a hundred, is compiled by itself, and then only the tests of its own crate
/// and those above it are run. Which test has noticed which mutant is in target/mutants/CRATE.tsv.
///
/// Results are kept with the version of the file that they are of, and are dropped when it has changed; `--merge` puts those of
/// several runs together.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Change this crate only; may be given more than once
    #[arg(long = "crate", value_name = "CRATE")]
    crates: Vec<String>,
    /// Change this file only, or those that this pattern (`*`) matches; may be given more than once
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<String>,
    /// Take a share of the mutants of each crate: the I-th of N, from 0 on
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Take those only in lines that have changed since this commit
    #[arg(long, value_name = "REV", num_args = 0..=1, default_missing_value = "HEAD^")]
    in_diff: Option<String>,
    /// Run only the tests of the mutant's own crate: what survives may still be noticed by those of the crates above
    #[arg(long)]
    own: bool,
    /// Take those only that survive in docs/evidence/mutants.json, after tests were added
    #[arg(long, conflicts_with_all = ["shard", "in_diff"])]
    survivors: bool,
    /// Take those only of which docs/evidence/mutants.json does not say what became of them
    #[arg(long, conflicts_with_all = ["shard", "survivors"])]
    untried: bool,
    /// Only show which tests come by this mutant, and which of them notice it; a part of its name, as it is listed, will do
    #[arg(long = "name", value_name = "NAME", conflicts_with_all = ["shard", "in_diff", "survivors", "untried"])]
    names: Vec<String>,
    /// Compile each mutant by itself, as cargo-mutants does it, instead of all at once: many hours
    #[arg(long)]
    one_by_one: bool,
    /// Run nothing: put the results in these files together, in the order of their age
    #[arg(long, value_name = "FILES", num_args = 1.., conflicts_with_all = ["shard", "in_diff", "files", "survivors", "untried", "names"])]
    merge: Vec<PathBuf>,
    /// Where the results go
    #[arg(long, value_name = "FILE", default_value = "target/mutants/results.json")]
    output: PathBuf,
    /// Add the results to docs/evidence/mutants.json, and bring docs/evidence.md up to date
    #[arg(long)]
    docs: bool,
}

/// A share of the mutants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shard {
    which: usize,
    of: usize,
}

impl std::str::FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (which, of) = text.split_once('/')?;
            Some(Self { which: which.parse().ok()?, of: of.parse().ok()? })
        };
        parse().filter(|shard| shard.which < shard.of).ok_or("this is not I/N with I less than N")
    }
}

/// Runs; the exit code says whether every survivor is listed, and every entry of the list a survivor.
///
/// # Errors
///
/// The tests fail without any change, or a tool is missing and cannot be had.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let parts = measured::parts(&options.crates)?;
    let tool = Tool::ensure(&default_cache(), &unit_tests::nextest()?)?;
    // Of all, also where some are run: how many there are of each file, and which the list may name.
    let all = tool.list(&parts)?;
    let _lock = apt::lock(&folder()?.join("lock"))?;
    if !options.names.is_empty() && !options.one_by_one {
        let named: Vec<&Mutant> = options.named(&all).collect();
        ensure!(!named.is_empty(), "there is no such mutant");
        return Woven::of(&tool, &folder()?)?.show(&named);
    }
    let results = if options.merge.is_empty() {
        try_out(options, &tool, &parts, &all)?
    } else {
        let read = options.merge.iter().map(|path| measured::load(path)).collect::<Result<Vec<Results>>>()?;
        Results::merge(read, &all)?
    };
    let results = results.of_all(&parts, &all);
    measured::save(&options.output, &results)?;
    let results = if options.docs { keep(results, &all)? } else { results };
    let allowed = Allowed::load()?;
    println!("{}\n\n{}", results.files(&parts, &allowed).text(), results.crates(&parts, &allowed).text());
    let complaints = allowed.complaints(&results, &all, &parts);
    complaints.iter().for_each(|complaint| eprintln!("{complaint}"));
    println!("results: {}", options.output.display());
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Options {
    /// The mutants that it names.
    fn named<'a>(&'a self, all: &'a All) -> impl Iterator<Item = &'a Mutant> {
        all.values().flatten().filter(|mutant| self.names.iter().any(|name| mutant.name.contains(name)))
    }

    /// The names of those mutants alone that are asked for, if it is not all.
    fn only(&self, all: &All) -> Result<Option<BTreeSet<String>>> {
        if !self.names.is_empty() {
            return Ok(Some(self.named(all).map(|mutant| mutant.name.clone()).collect()));
        }
        if self.untried {
            return Ok(Some(Results::merge(vec![kept()?], all)?.untried(all)));
        }
        Ok(if self.survivors { Some(kept()?.survivors().into_iter().collect()) } else { None })
    }
}

/// Where everything is.
fn folder() -> Result<PathBuf> {
    let folder = workspace::target().join("mutants");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Runs the mutants that the command line asks for.
fn try_out(options: &Options, tool: &Tool, parts: &[&Part], all: &All) -> Result<Results> {
    let folder = folder()?;
    let diff = folder.join("changes.diff");
    if let Some(since) = &options.in_diff {
        let arguments = ["diff", "--no-color", "--no-ext-diff", since, "--", "*.rs"].map(Into::into);
        std::fs::write(&diff, git::bytes(workspace::root(), &arguments)?)
            .with_context(|| format!("cannot write {}", diff.display()))?;
    }
    let narrowed = tool::Narrowed {
        files: &options.files,
        shard: options.shard.map(|shard| (shard.which, shard.of)),
        diff: options.in_diff.is_some().then_some(&diff),
        only: options.only(all)?,
    };
    let mut results = Results::default();
    // What is known is written down at once: the next step may take hours.
    let mut note = |tried: Vec<(Mutant, Outcome)>| -> Result<()> {
        let mut new = Results::default();
        new.add(&When::now()?, tried, all)?;
        results = Results::merge(vec![std::mem::take(&mut results), new], all)?;
        measured::save(&options.output, &results)
    };
    let wanted = parts
        .iter()
        .map(|part| Ok((*part, tool.wanted(part, &narrowed, all)?)))
        .collect::<Result<Vec<(&Part, Vec<Mutant>)>>>()?;
    if wanted.iter().all(|(_, mutants)| mutants.is_empty()) {
        let may_be_none = options.in_diff.is_some() || options.survivors || options.untried;
        ensure!(may_be_none, "there is no such mutant");
        return Ok(results);
    }
    let woven = if options.one_by_one { None } else { Some(Woven::of(tool, &folder)?) };
    for (part, mutants) in wanted {
        let mut left = mutants;
        if let Some(woven) = &woven {
            left = woven.run(left, options.own, &folder.join(format!("{}.tsv", part.name)), &mut note)?;
            let compiling = alone::compiling(part, &left, &folder)?;
            let (viable, unviable): (Vec<_>, Vec<_>) =
                left.into_iter().zip(compiling).partition(|(_, compiles)| *compiles);
            note(unviable.into_iter().map(|(mutant, _)| (mutant, Outcome::Unviable)).collect())?;
            left = viable.into_iter().map(|(mutant, _)| mutant).collect();
        }
        let tried = tool.run(part, &left, &folder)?;
        let missed = tried.iter().filter(|(_, outcome)| *outcome == Outcome::Missed);
        let survivors: Vec<String> = missed.map(|(mutant, _)| mutant.name.clone()).collect();
        note(tried)?;
        if !options.own {
            note(tool.run_above(part, &survivors, &folder)?)?;
        }
    }
    Ok(results)
}

/// The tests with all mutants in them, and what they do without any.
struct Woven {
    build: Build,
    baseline: Baseline,
}

impl Woven {
    fn of(tool: &Tool, folder: &Path) -> Result<Self> {
        let all = tool.list(&PARTS.iter().collect::<Vec<_>>())?;
        let build = build::build(&all, folder)?;
        println!(
            "{} mutants are woven into the tests; {} are not, of which {} do not compile",
            build.numbers.len(),
            build.left.len(),
            build.unviable.len()
        );
        let baseline = Baseline::of(&build, folder)?;
        println!("{} tests, which take {} s one after the other", baseline.len(), baseline.total().as_secs());
        Ok(Self { build, baseline })
    }

    /// Tries mutants; gives those that are not woven.
    fn run(&self, mutants: Vec<Mutant>, own: bool, log: &Path, note: &mut Note<'_>) -> Result<Vec<Mutant>> {
        let (mut numbered, mut unviable, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for mutant in mutants {
            match self.build.numbers.get(&mutant.name) {
                Some(number) => numbered.push((mutant, *number)),
                None if self.build.unviable.contains(&mutant.name) => unviable.push((mutant, Outcome::Unviable)),
                None => left.push(mutant),
            }
        }
        note(unviable)?;
        trial::try_all(&self.baseline, &numbered, own, log, note)?;
        Ok(left)
    }

    /// Shows which tests come by mutants, and which of them notice.
    fn show(&self, mutants: &[&Mutant]) -> Result<ExitCode> {
        let mut noticed = true;
        for mutant in mutants {
            match self.build.numbers.get(&mutant.name) {
                Some(number) => noticed &= trial::show(&self.baseline, mutant, *number)? != Outcome::Missed,
                None => {
                    let why = self.build.left.get(&mutant.name).copied().unwrap_or("it is in no part that is measured");
                    println!("{}: it is not woven: {why}; --one-by-one tries it", mutant.name);
                    noticed = false;
                }
            }
        }
        Ok(if noticed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Takes down what became of mutants.
type Note<'a> = dyn FnMut(Vec<(Mutant, Outcome)>) -> Result<()> + 'a;

/// The results that are committed.
fn kept() -> Result<Results> {
    let path = measured::kept("mutants");
    if path.exists() { measured::load(&path) } else { Ok(Results::default()) }
}

/// Adds results to those.
fn keep(results: Results, all: &All) -> Result<Results> {
    let results = Results::merge(vec![kept()?, results], all)?;
    measured::save(&measured::kept("mutants"), &results)?;
    docs::renew()?;
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_one_of_those_that_there_are() {
        assert_eq!("0/4".parse(), Ok(Shard { which: 0, of: 4 }));
        for wrong in ["4/4", "1", "a/2", "0/0", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
