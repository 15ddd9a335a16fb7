// SPDX-License-Identifier: GPL-2.0-only
//! The host's git.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Who makes commits. With the same times, the same patches on the same commit are the same commit.
const COMMITTER: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "resctrl rig"),
    ("GIT_AUTHOR_EMAIL", "rig@localhost"),
    ("GIT_COMMITTER_NAME", "resctrl rig"),
    ("GIT_COMMITTER_EMAIL", "rig@localhost"),
];

/// Configuration that no work of the rig depends on the user's: hooks, signatures, line ends, pagers.
const PLAIN: [&str; 5] =
    ["core.hooksPath=/dev/null", "commit.gpgSign=false", "core.autocrlf=false", "core.fsmonitor=false", "gc.auto=0"];

/// What git says when it is run in `folder`.
///
/// # Errors
///
/// There is no git, or it fails: then with what it says.
pub(crate) fn bytes(folder: &Path, arguments: &[OsString]) -> Result<Vec<u8>> {
    let mut words: Vec<OsString> = vec!["-C".into(), folder.into()];
    words.extend(PLAIN.iter().flat_map(|setting| ["-c".into(), (*setting).into()]));
    words.extend_from_slice(arguments);
    let mut command = duct::cmd("git", words).env("LC_ALL", "C");
    for (name, value) in COMMITTER {
        command = command.env(name, value);
    }
    for date in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        command = command.env(date, "2000-01-01T00:00:00Z");
    }
    let output = command.stdin_null().stdout_capture().stderr_capture().unchecked().run().context("cannot run git")?;
    let said =
        || [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).trim().to_owned()).join("\n");
    ensure!(output.status.success(), "{}", said().trim());
    Ok(output.stdout)
}

/// The same as text, for arguments that are text.
///
/// # Errors
///
/// As [`bytes`].
pub(crate) fn text(folder: &Path, arguments: &[&str]) -> Result<String> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    Ok(String::from_utf8_lossy(&bytes(folder, &arguments)?).trim().to_owned())
}
