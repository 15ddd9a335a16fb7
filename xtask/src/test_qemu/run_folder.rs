// SPDX-License-Identifier: GPL-2.0-only
//! Folders for the files of a run: `target/rig/RUN/`, one for each run, so that two runs at once do
//! not meet.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::workspace;

/// Runs that are kept; older ones are removed.
const KEPT: usize = 20;

/// Makes the folder of a new run.
///
/// # Errors
///
/// It cannot be made.
pub(crate) fn create() -> Result<PathBuf> {
    let all = workspace::target().join("rig");
    fs::create_dir_all(&all).with_context(|| format!("cannot make {}", all.display()))?;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    prune(&all, KEPT);
    let folder = all.join(format!("run-{}-{}", since_epoch.as_secs(), std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Removes all but the newest runs. A run that is in use is among the newest; one that cannot be
/// removed is no reason not to start another.
fn prune(all: &Path, kept: usize) {
    let Ok(entries) = all.read_dir() else { return };
    let mut runs: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-")))
        .collect();
    runs.sort();
    let surplus = runs.len().saturating_sub(kept);
    for run in &runs[..surplus] {
        let _ = fs::remove_dir_all(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_runs_are_kept_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["run-1-9", "run-2-8", "run-3-7", "other"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        prune(folder.path(), 2);
        let mut left: Vec<_> =
            folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["other", "run-2-8", "run-3-7"]);
    }
}
