// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask mutants`.
//!
//! cargo-mutants changes one thing in the source, `<` to `<=` or what a function does to nothing, and runs the tests; a change that
//! they do not notice, a survivor, is something that no test says. A survivor is killed by a test that states the rule, or it is
//! [listed](allowed) with the reason why it changes nothing that anybody can see.

mod allowed;
mod results;
mod tool;
mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::measured::{self, Part, When};
use crate::toolroot::default_cache;
use crate::{docs, git, unit_tests, workspace};
pub(crate) use allowed::Allowed;
use results::Outcome;
pub(crate) use results::Results;
use tool::{Mutant, Tool};

/// The score that is asked for, in percent.
pub(crate) const FLOOR: usize = 95;

/// Changes one thing in the source at a time, and looks whether tests notice
///
/// A mutant that no test notices is a survivor. It fails this command, unless docs/evidence/mutants.toml lists it with the reason
/// why it changes nothing that anybody can see; so does an entry of that list without a survivor. The tests of the mutant's own
/// crate run first, and what survives them meets the tests of the crates above it. A mutant that makes tests run for ever counts
/// as noticed; one that does not compile does not count.
///
/// The whole takes many hours: `--shard I/N` takes every N-th mutant, from the I-th on, and `--merge` puts the results of several
/// runs together. Results are kept with the version of the file that they are of, and are dropped when it has changed.
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
    /// Run nothing: put the results in these files together, in the order of their age
    #[arg(long, value_name = "FILES", num_args = 1.., conflicts_with_all = ["shard", "in_diff", "files", "survivors"])]
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

/// Runs the mutants that the command line asks for.
fn try_out(options: &Options, tool: &Tool, parts: &[&Part], all: &BTreeMap<String, Vec<Mutant>>) -> Result<Results> {
    let folder = workspace::target().join("mutants");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
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
        only: options.survivors.then(kept).transpose()?.map(|kept| kept.survivors()),
    };
    let mut results = Results::default();
    // What is known is written down at once: the next step may take hours.
    let mut note = |tried: Vec<(Mutant, Outcome)>| -> Result<()> {
        let mut new = Results::default();
        new.add(&When::now()?, tried, all)?;
        results = Results::merge(vec![std::mem::take(&mut results), new], all)?;
        measured::save(&options.output, &results)
    };
    for part in parts {
        let tried = tool.run(part, &narrowed, all, &folder)?;
        let missed = tried.iter().filter(|(_, outcome)| *outcome == Outcome::Missed);
        let survivors: Vec<String> = missed.map(|(mutant, _)| mutant.name.clone()).collect();
        note(tried)?;
        if !options.own {
            note(tool.run_above(part, &survivors, &folder)?)?;
        }
    }
    ensure!(options.in_diff.is_some() || options.survivors || !results.is_empty(), "there is no such mutant");
    Ok(results)
}

/// The results that are committed.
fn kept() -> Result<Results> {
    let path = measured::kept("mutants");
    if path.exists() { measured::load(&path) } else { Ok(Results::default()) }
}

/// Adds results to those.
fn keep(results: Results, all: &BTreeMap<String, Vec<Mutant>>) -> Result<Results> {
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
