// SPDX-License-Identifier: GPL-2.0-only
//! Where things are in this checkout.

use std::path::{Path, PathBuf};

/// The top folder of the checkout this xtask was built from.
pub(crate) fn root() -> &'static Path {
    // CARGO_MANIFEST_DIR is `<root>/xtask`, which always has a parent.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// Everything the rig writes, downloads excepted, is below this folder.
///
/// It does not follow CARGO_TARGET_DIR: that may be shared between checkouts, the tool root may not.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// The commit that is checked out, and whether tracked files have changed since. Not all have their sources from a repository.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let command =
            duct::cmd("git", arguments.iter().copied()).dir(root()).stderr_null().unchecked().stdout_capture();
        let output = command.run().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "an unknown commit".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no"]).as_deref() {
        Some("") => commit,
        _ => format!("{commit} with changes"),
    }
}
