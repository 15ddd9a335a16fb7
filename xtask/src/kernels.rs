// SPDX-License-Identifier: GPL-2.0-only
//! The guest kernels: one TOML file each in `qemu-images/kernels/`.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::workspace;

/// A guest kernel as described by its file; which version of it is installed, the
/// [tool root](crate::toolroot::ToolRoot::kernel) knows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    /// Name used on the command line; the file's name without `.toml`.
    #[serde(skip)]
    pub(crate) name: String,
    /// One line for lists.
    pub(crate) description: String,
    /// Instruction set.
    pub(crate) arch: Arch,
    /// Debian suite the packages come from.
    pub(crate) suite: String,
    /// Kernel release to take the newest of, as a regular expression with the release as the
    /// whole match, for example `7\.[0-9.]+\+deb13-amd64`.
    pub(crate) release: String,
    /// Name of the package with vmlinuz and modules; `{release}` stands for the release.
    pub(crate) image_package: String,
    /// Name of the package with the headers; `{release}` stands for the release.
    pub(crate) headers_package: String,
    /// Boot argument that keeps the kernel's own resctrl off; empty if it has none.
    pub(crate) resctrl_off: String,
}

/// Instruction set of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Kernel {
    /// Reads the kernel called `name`.
    ///
    /// # Errors
    ///
    /// No such file, or one that does not parse.
    pub(crate) fn load(name: &str) -> Result<Self> {
        let path = workspace::root()
            .join("qemu-images/kernels")
            .join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("unknown kernel `{name}`: cannot read {}", path.display()))?;
        let mut kernel: Self =
            toml::from_str(&text).with_context(|| format!("{} is malformed", path.display()))?;
        name.clone_into(&mut kernel.name);
        Ok(kernel)
    }
}
