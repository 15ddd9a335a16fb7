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

/// Removes all but the newest runs and those whose process still lives. One that cannot be removed is
/// no reason not to start another.
fn prune(all: &Path, kept: usize) {
    let Ok(entries) = all.read_dir() else { return };
    let mut runs: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-")))
        .collect();
    runs.sort();
    let surplus = runs.len().saturating_sub(kept);
    for run in runs[..surplus].iter().filter(|run| !in_use(run)) {
        let _ = fs::remove_dir_all(run);
    }
}

/// The process in the folder's name is there. If it is another one by now, the folder stays for longer
/// than it needs to.
fn in_use(run: &Path) -> bool {
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    name.rsplit('-').next().is_some_and(|process| Path::new("/proc").join(process).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_runs_go_unless_they_still_run_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        // No process has a number like these; the running test has its own.
        let mine = format!("run-0-{}", std::process::id());
        for name in [&mine, "run-1-99999999", "run-2-99999998", "run-3-99999997", "other"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        prune(folder.path(), 2);
        let mut left: Vec<_> =
            folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["other", &mine, "run-2-99999998", "run-3-99999997"]);
    }
}
