// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask fuzz`.

mod figures;
mod kept;
mod program;
mod target;
mod tried;

use std::fs;
use std::io::{self, BufReader};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

pub(crate) use figures::Figures;
use target::{Named, Target};
use tried::Tried;

use crate::{apt, docs, stages, workspace};

/// Looks for input that harms the Arm driver or the file system, with libFuzzer
///
/// Begins with good inputs, those that are committed (fuzz/corpus in resctrl-fs and resctrl-mpam), and what earlier runs found, in
/// target/fuzz/corpus. An input that makes the code panic, touch a register that is not there, or change something it refuses, is
/// left in target/fuzz. Needs a C++ compiler. The unit tests run the same targets on random changes of good inputs, and on those that
/// are committed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What is given hostile input
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<Named>,
    /// How long to look, in seconds, for each target
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// How many targets at once
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Run this input only
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "jobs", "keep", "docs"])]
    input: Option<PathBuf>,
    /// Put the fewest inputs that reach what was reached into the files that are committed
    #[arg(long)]
    keep: bool,
    /// Add this to the figures in docs/evidence/fuzz.json, and bring docs/evidence.md up to date
    #[arg(long)]
    docs: bool,
}

/// Runs libFuzzer; the exit code says whether it found nothing.
///
/// # Errors
///
/// The targets do not build, or cannot be run.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let targets = Named::targets(&options.targets);
    let folder = workspace::target().join("fuzz");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    program::build(&targets, &folder)?;
    let failed = match &options.input {
        Some(input) => {
            ensure!(targets.len() == 1, "--input: an input is for one target");
            !program::command(targets[0], &folder, &corpus(targets[0], &folder)?).arg(input).status()?.success()
        }
        None => try_all(options, &targets, &folder)?,
    };
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Where inputs of a target are put that are not committed.
fn corpus(target: Target, folder: &Path) -> Result<PathBuf> {
    let corpus = folder.join("corpus").join(target.name());
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    Ok(corpus)
}

/// Runs targets, some at once; gives whether one of them failed.
fn try_all(options: &Options, targets: &[Target], folder: &Path) -> Result<bool> {
    let left = Mutex::new(targets.iter());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Result<bool> {
        let mut failed = false;
        while let Some(&target) = next() {
            failed |= one(options, target, folder)?.failed;
        }
        Ok(failed)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs.get().min(targets.len())).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().expect("a worker does not panic"));
        // All are waited for, whatever became of the first.
        ended.collect::<Vec<_>>().into_iter().try_fold(false, |before, failed| Ok(before | failed?))
    })
}

/// Runs a target, and does with what it found what is asked for.
fn one(options: &Options, target: Target, folder: &Path) -> Result<Tried> {
    let name = target.name();
    let corpus = corpus(target, folder)?;
    let before = if options.jobs.get() > 1 { format!("{name}: ") } else { String::new() };
    let tried = fuzz(options, target, folder, &corpus, &before)?;
    println!("{name}: {tried}");
    if let Some(input) = tried.input.as_ref().filter(|_| tried.failed) {
        println!("{name}: this input again: cargo xtask fuzz {name} --input {input}");
    }
    if options.keep {
        println!("{name}: {} inputs are kept", kept::keep(target, folder, &corpus)?);
    }
    if options.docs {
        let _lock = apt::lock(&folder.join("lock"))?;
        let figures = Figures::add(target, &tried)?;
        docs::put("evidence.md", "fuzz", &figures.table().markdown())?;
    }
    Ok(tried)
}

fn fuzz(options: &Options, target: Target, folder: &Path, corpus: &Path, before: &str) -> Result<Tried> {
    let name = target.name();
    let mut command = program::command(target, folder, corpus);
    command
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-artifact_prefix={}/{name}-", folder.display()))
        .arg(format!("-max_len={}", target.longest()))
        .args(["-timeout=60", "-reduce_inputs=1", "-print_final_stats=1"]);
    if target.has_words() {
        let words = folder.join(format!("{name}.words"));
        command.arg(format!("-dict={}", words.display())).env("FUZZ_WORDS", words);
    }
    let begun = Instant::now();
    let mut child = command.arg(corpus).stderr(Stdio::piped()).spawn().context("cannot run the fuzzer")?;
    let said = child.stderr.take().context("the fuzzer says nothing")?;
    let mut tried = Tried::default();
    tried.pass_on(BufReader::new(said), before, &mut io::stderr()).context("cannot read what the fuzzer says")?;
    // It has ended, or is about to; until it is waited for, there is still something to ask.
    tried.processor = stages::processor_time_of(child.id()).unwrap_or_default();
    tried.failed = !child.wait().context("cannot wait for the fuzzer")?.success();
    tried.passed = begun.elapsed();
    Ok(tried)
}
