// SPDX-License-Identifier: GPL-2.0-only
//! Whether a mutant compiles that is not woven.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::results::text;
use super::tool::{Mutant, features};
use super::tree::copy_checkout;
use super::weave::alone;
use crate::cargo_tool::program;
use crate::measured::Part;
use crate::progress;

/// Has each mutant of a part checked: which of them compile. It is the library alone that is compiled, and to the first error, which
/// is much less than a build of its tests.
///
/// # Errors
///
/// The library does not compile without any mutant.
pub(super) fn compiling(part: &Part, mutants: &[Mutant], folder: &Path) -> Result<Vec<bool>> {
    if mutants.is_empty() {
        return Ok(Vec::new());
    }
    let tree = folder.join("tree");
    copy_checkout(&tree, &BTreeMap::new())?;
    ensure!(compiles(part, folder)?, "{} does not compile without any mutant", part.package);
    let label = format!("{}: {} that are not woven: do they compile?", part.name, mutants.len());
    let bar = progress::count(&label, mutants.len());
    let mut compiling = Vec::new();
    for mutant in mutants {
        let path = tree.join(&mutant.file);
        let whole = text(&mutant.file)?;
        let put = |text: &str| fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()));
        put(&alone(&whole, mutant)?)?;
        compiling.push(compiles(part, folder)?);
        put(&whole)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(compiling)
}

fn compiles(part: &Part, folder: &Path) -> Result<bool> {
    let mut command = Command::new(program());
    command
        .args(["check", "--quiet", "--lib", "--profile", "mutants", "--package", part.package])
        .args(features(part.package))
        .current_dir(folder.join("tree"))
        .env("CARGO_TARGET_DIR", folder.join("build"))
        .env_remove("CARGO_INCREMENTAL")
        .stderr(Stdio::null());
    Ok(command.status().context("cannot run cargo")?.success())
}
