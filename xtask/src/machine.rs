// SPDX-License-Identifier: GPL-2.0-only
//! The machines: one TOML file each in `qemu-images/machines/`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use resctrl_hardware::machine::Machine;

use crate::kernels::Arch;
use crate::workspace;

fn folder() -> PathBuf {
    workspace::root().join("qemu-images/machines")
}

/// Names of all machines, sorted.
///
/// # Errors
///
/// The folder cannot be read.
pub(crate) fn names() -> Result<Vec<String>> {
    let folder = folder();
    let mut names = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

/// The machine called `name`: its file and what the file says.
///
/// # Errors
///
/// There is none of that name, or its file does not parse.
pub(crate) fn load(name: &str) -> Result<(PathBuf, Machine)> {
    let path = folder().join(format!("{name}.toml"));
    if !path.is_file() {
        bail!("unknown machine `{name}`; there are: {}", names()?.join(", "));
    }
    let machine = Machine::load(&path)?;
    Ok((path, machine))
}

/// Instruction set of the machine called `name`.
///
/// # Errors
///
/// As [`load`].
pub(crate) fn arch(name: &str) -> Result<Arch> {
    Ok(load(name)?.1.arch.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_file_parses() {
        for name in names().unwrap() {
            load(&name).unwrap();
        }
    }

    #[test]
    fn an_unknown_machine_is_told_which_there_are() {
        let error = load("nosuch").unwrap_err().to_string();
        assert!(error.contains("nosuch") && error.contains("intel-l2"), "{error}");
    }
}
