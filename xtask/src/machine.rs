// SPDX-License-Identifier: GPL-2.0-only
//! The machines: one TOML file each in `qemu-images/machines/`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use resctrl_hardware::machine::Machine;

use crate::guest::platform::{Kind, Platform};
use crate::kernels::Arch;
use crate::workspace;

/// Names of all machines of a platform, sorted.
///
/// # Errors
///
/// The folder cannot be read.
pub(crate) fn names(platform: Kind) -> Result<Vec<String>> {
    let folder = workspace::root().join(Platform::machines(platform));
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

/// The machine called `name` of a platform: its file and what the file says.
///
/// # Errors
///
/// There is none of that name, or its file does not parse.
pub(crate) fn load(name: &str, platform: Kind) -> Result<(PathBuf, Machine)> {
    let folder = Platform::machines(platform);
    let path = workspace::root().join(folder).join(format!("{name}.toml"));
    if !path.is_file() {
        let names = names(platform)?.join(", ");
        match platform {
            Kind::Qemu => bail!("unknown machine `{name}`; there are: {names}"),
            Kind::Fvp => bail!("the FVP has no machine `{name}`; in {} there are: {names}", folder.display()),
        }
    }
    let machine = Machine::load(&path)?;
    Ok((path, machine))
}

/// Instruction set of the machine called `name`.
///
/// # Errors
///
/// As [`load`].
pub(crate) fn arch(name: &str, platform: Kind) -> Result<Arch> {
    Ok(load(name, platform)?.1.arch.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_file_parses() {
        for platform in [Kind::Qemu, Kind::Fvp] {
            let names = names(platform).unwrap();
            assert!(names.iter().any(|name| name == "mpam"));
            for name in names {
                load(&name, platform).unwrap();
            }
        }
    }

    #[test]
    fn an_unknown_machine_is_told_which_there_are() {
        let error = load("nosuch", Kind::Qemu).unwrap_err().to_string();
        assert!(error.contains("nosuch") && error.contains("intel-l2"), "{error}");
        let error = load("intel", Kind::Fvp).unwrap_err().to_string();
        assert!(error.contains("the FVP has no machine `intel`") && error.contains("mpam"), "{error}");
    }
}
