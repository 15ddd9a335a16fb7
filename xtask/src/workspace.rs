// SPDX-License-Identifier: GPL-2.0-only
//! Where things are in this checkout.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::git;

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

/// What the kernel's Makefiles, QEMU's options and the shells that are called on the way cannot have in a path.
const HARMFUL: &str = "'\"`:#$%&*?;,<>|\\()[]{}~!";

/// Whether everything can be built and booted below `path`.
///
/// # Errors
///
/// There is a character in it that one of the programs takes for something else.
pub(crate) fn check_path(path: &Path) -> Result<()> {
    let text = path.to_string_lossy();
    let harmful = text.chars().find(|&c| c.is_whitespace() || c.is_control() || HARMFUL.contains(c));
    let Some(harmful) = harmful else { return Ok(()) };
    ensure!(
        harmful == ' ',
        "nothing can be built or booted in `{text}`: make or QEMU take the `{}` in it for something else; move the checkout",
        harmful.escape_default()
    );
    anyhow::bail!(
        "nothing can be built or booted in `{text}`: make takes a space for the end of a name; move the checkout"
    )
}

/// The commit that is checked out, and whether tracked files have changed since, other than the documentation, into which
/// measurements are written. Not all have their sources from a repository.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| git::text(root(), arguments);
    let Ok(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "an unknown commit".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no", "--", ":/", ":!docs"]).as_deref() {
        Ok("") => commit,
        _ => format!("{commit} with changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_programs_take_apart_is_refused_with_the_reason() {
        assert!(check_path(root()).is_ok());
        for (path, part) in
            [("/a b", "a space"), ("/it's", "`\\'`"), ("/a:b", "`:`"), ("/a,b", "`,`"), ("/a\tb", "`\\t`")]
        {
            let error = check_path(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("move the checkout"), "{error}");
        }
        assert!(check_path(Path::new("/häuser/a-b_c.d+e@f=g")).is_ok());
    }
}
