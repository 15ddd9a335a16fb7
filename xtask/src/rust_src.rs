// SPDX-License-Identifier: GPL-2.0-only
//! The sources of core and alloc that match the pinned compiler: the module's are built from source,
//! with the kernel's code generation flags.

use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::toolroot::{Component, folder};
use crate::workspace;

/// Where the sources are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the toolchain, put there by `rustup component add rust-src`.
    Toolchain(PathBuf),
    /// In the tool root, from Debian's package of the same version; the user's toolchain stays as it is.
    Package { version: String },
}

impl Source {
    /// Looks for the sources of the compiler that this workspace pins.
    ///
    /// # Errors
    ///
    /// rustc cannot be run.
    pub(crate) fn find() -> Result<Self> {
        let shell = Shell::new()?;
        shell.change_dir(workspace::root());
        let sysroot = cmd!(shell, "rustc --print sysroot").quiet().read().context("cannot run rustc")?;
        let library = PathBuf::from(sysroot).join("lib/rustlib/src/rust/library");
        if library.join("core/src/lib.rs").exists() {
            return Ok(Self::Toolchain(library));
        }
        let text = cmd!(shell, "rustc -vV").quiet().read()?;
        let version = release(&text).context("`rustc -vV` prints no release")?.to_owned();
        Ok(Self::Package { version })
    }

    /// The `library` folder of the sources, once they are installed.
    pub(crate) fn library(&self) -> PathBuf {
        match self {
            Self::Toolchain(library) => library.clone(),
            Self::Package { version } => {
                folder(&component_name(version)).join(format!("usr/src/rustc-{version}/library"))
            }
        }
    }
}

fn component_name(version: &str) -> String {
    format!("rust-src-{version}")
}

/// The component with the sources of compiler `version`.
pub(crate) fn component(version: &str) -> Component {
    Component::version(
        &component_name(version),
        "rust-src",
        &format!("{version}+"),
        &format!("usr/src/rustc-{version}/library"),
        "`rustup component add rust-src` puts the sources into the toolchain",
    )
}

fn release(verbose_version: &str) -> Option<&str> {
    verbose_version.lines().find_map(|line| line.strip_prefix("release: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_the_verbose_version() {
        let text =
            "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        assert_eq!(release(text), Some("1.95.0"));
        assert_eq!(release("rustc 1.95.0"), None);
    }
}
