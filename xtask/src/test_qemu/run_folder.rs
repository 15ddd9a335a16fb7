// SPDX-License-Identifier: GPL-2.0-only
//! Folders for the files of a run: `target/rig/RUN/`, one for each run, so that two runs at once do
//! not meet.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::{files, workspace};

/// Runs of a kind that are kept; older ones are removed.
const KEPT: usize = 20;

/// Bytes that runs of a kind may take together before older ones are removed: a debug kernel's guests with their archives are large.
const LARGEST: u64 = 4 << 30;

/// What a run is: each kind has a budget of its own, so that a hundred shells do not cost a report.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Has a report.
    Run,
    /// One guest of the user's.
    Guest,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Run => "run-",
            Self::Guest => "guest-",
        }
    }
}

/// Makes the folder of a new run.
///
/// # Errors
///
/// It cannot be made.
pub(crate) fn create() -> Result<PathBuf> {
    create_for(Kind::Run)
}

/// Makes the folder of a guest that has no report.
///
/// # Errors
///
/// It cannot be made.
pub(crate) fn create_for_guest() -> Result<PathBuf> {
    create_for(Kind::Guest)
}

/// The last run that has come to its end.
pub(crate) fn last() -> Option<PathBuf> {
    let runs = runs(&workspace::target().join("rig"), Kind::Run);
    runs.into_iter().find(|path| path.join("verdicts.json").is_file())
}

fn create_for(kind: Kind) -> Result<PathBuf> {
    let all = workspace::target().join("rig");
    fs::create_dir_all(&all).with_context(|| format!("cannot make {}", all.display()))?;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    prune(&all, kind, KEPT, LARGEST);
    let folder = all.join(format!("{}{}-{}", kind.prefix(), since_epoch.as_secs(), std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// The runs of a kind, the newest first; none if the folder cannot be read.
fn runs(all: &Path, kind: Kind) -> Vec<PathBuf> {
    let of_kind =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(kind.prefix()));
    let entries = all.read_dir().into_iter().flatten();
    let mut runs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(of_kind).collect();
    runs.sort_by(|one, other| other.cmp(one));
    runs
}

/// Removes all but the newest runs of a kind, as far as they are small enough together, and those whose process still lives. One
/// that cannot be removed is no reason not to start another.
fn prune(all: &Path, kind: Kind, kept: usize, largest: u64) {
    let mut together = 0;
    for (number, run) in runs(all, kind).iter().enumerate() {
        // What cannot be seen counts nothing.
        together += files::taken(run).unwrap_or(0);
        // The last one is what somebody is looking at.
        if (number >= kept || (together > largest && number > 0)) && !in_use(run) {
            let _ = fs::remove_dir_all(run);
        }
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

    fn left(folder: &Path) -> Vec<String> {
        let mut left: Vec<_> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        left
    }

    #[test]
    fn old_runs_go_unless_they_still_run_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        // No process has a number like these; the running test has its own.
        let mine = format!("run-0-{}", std::process::id());
        let names = [&mine, "run-1-99999999", "run-2-99999998", "run-3-99999997", "guest-0-99999996", "other"];
        for name in names {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        prune(folder.path(), Kind::Run, 2, LARGEST);
        assert_eq!(left(folder.path()), ["guest-0-99999996", "other", &mine, "run-2-99999998", "run-3-99999997"]);
    }

    #[test]
    fn runs_that_are_too_large_together_go_but_for_the_last() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["run-1-99999999", "run-2-99999998", "run-3-99999997"] {
            fs::create_dir_all(folder.path().join(name).join("guest")).unwrap();
            fs::write(folder.path().join(name).join("guest/console.log"), [0; 100]).unwrap();
        }
        prune(folder.path(), Kind::Run, 20, 250);
        assert_eq!(left(folder.path()), ["run-2-99999998", "run-3-99999997"]);
        prune(folder.path(), Kind::Run, 20, 1);
        assert_eq!(left(folder.path()), ["run-3-99999997"]);
    }
}
