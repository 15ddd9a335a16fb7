// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask timings`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use crate::stages::{Spent, Stages};
use crate::toolroot::ToolOptions;
use crate::{cargo_tool, docs, workspace};

/// Measures what the rig takes from a fresh clone on: its own build, the first run of guests, the second, the unit tests
///
/// What is committed is cloned into a folder of its own, which is removed afterwards. Packages come from the cache that
/// all checkouts share. Takes as long as all of that takes together.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Bring the table in docs/rig.md up to date
    #[arg(long)]
    docs: bool,
    #[command(flatten)]
    tools: ToolOptions,
}

/// What is run, one after the other: its name, and the arguments for cargo.
const STEPS: [(&str, &[&str]); 4] = [
    ("`cargo xtask` itself", &["build", "--quiet", "--locked", "--package", "xtask"]),
    ("first `test-qemu`", &["xtask", "test-qemu"]),
    ("second `test-qemu`", &["xtask", "test-qemu"]),
    ("first `test`", &["xtask", "test"]),
];

/// Measures.
///
/// # Errors
///
/// There is nothing to clone, or a step fails.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let folder = tempfile::tempdir_in(workspace::target()).context("cannot make a folder for the clone")?;
    let clone = folder.path().join("clone");
    let git = duct::cmd!("git", "clone", "--quiet", workspace::root(), &clone);
    git.run().context("cannot clone this checkout")?;
    let mut stages = Stages::default();
    for (name, arguments) in STEPS {
        let runs_guests = arguments.contains(&"test-qemu");
        let mut arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        if runs_guests {
            arguments.extend(options.tools.arguments());
        }
        let passed = stages.measure(name, || cargo(&clone, &arguments));
        ensure!(passed?, "{name} failed: `cargo {}`", arguments.join(" ".as_ref()).display());
        if runs_guests {
            for (stage, spent) in of_the_last_run(&clone)? {
                stages.add(&format!("{name}: {stage}"), spent);
            }
        }
    }
    println!("\n{}", stages.table());
    if options.docs {
        let text = format!("`cargo xtask timings` at {}:\n\n{}", workspace::commit(), stages.markdown());
        docs::put("rig.md", "what it takes", &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn cargo(clone: &Path, arguments: &[OsString]) -> Result<bool> {
    // The clone has nothing but its own.
    let command = duct::cmd(cargo_tool::program(), arguments).dir(clone).env_remove("CARGO_TARGET_DIR").unchecked();
    Ok(command.run().context("cannot run cargo")?.status.success())
}

/// Stages of the newest run of guests in a checkout.
fn of_the_last_run(checkout: &Path) -> Result<Vec<(String, Spent)>> {
    let runs = checkout.join("target/rig");
    let entries = runs.read_dir().with_context(|| format!("cannot read {}", runs.display()))?;
    let stages = entries.filter_map(|entry| Some(entry.ok()?.path().join("stages.tsv")));
    let made = |path: &PathBuf| path.metadata().and_then(|file| file.modified()).ok();
    let newest = stages.filter(|path| path.is_file()).max_by_key(made).context("the run left no stages.tsv")?;
    Stages::parse(&fs::read_to_string(&newest)?).with_context(|| format!("{} is no list of stages", newest.display()))
}
