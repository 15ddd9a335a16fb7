// SPDX-License-Identifier: GPL-2.0-only
//! Folders of machine files, where a machine is called what its file is called without `.toml`.

use std::io;
use std::path::Path;

/// Whether a machine is asked for by the path of its file, not by its name in a library.
pub fn is_path(asked: &str) -> bool {
    asked.contains('/') || asked.ends_with(".toml")
}

/// Names of the machines of a library, sorted.
///
/// # Errors
///
/// The folder cannot be read.
pub fn names(library: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in library.read_dir()? {
        names.extend(name_in_library(&entry?.path()));
    }
    names.sort();
    Ok(names)
}

/// What the machine with this file is called in a library.
pub fn name_in_library(path: &Path) -> Option<String> {
    let is_machine = path.extension()? == "toml";
    is_machine.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
}
