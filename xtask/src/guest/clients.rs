// SPDX-License-Identifier: GPL-2.0-only
//! Programs of `qemu-images/guest/clients`, which use resctrl by way of libraries that others wrote.

use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::kernels::Arch;
use crate::toolroot::ToolRoot;
use crate::workspace;

/// Where a guest has the program that uses goresctrl.
pub(crate) const GORESCTRL: &str = "rig/bin/goresctrl";

/// Builds it for guests of `arch`, with Debian's Go and the library's package: a static program.
///
/// # Errors
///
/// The compiler is missing and cannot be fetched, or the program does not build.
pub(crate) fn goresctrl(tools: &ToolRoot, arch: Arch) -> Result<PathBuf> {
    let source = workspace::root().join("qemu-images/guest/clients/goresctrl.go");
    let folder = workspace::target().join("clients");
    let (go, program) = (tools.go()?, folder.join(format!("goresctrl-{arch}")));
    let shell = Shell::new()?;
    shell.create_dir(&folder)?;
    let compiler = go.program;
    cmd!(shell, "{compiler} build -trimpath -o {program} {source}")
        .quiet()
        .env("GOROOT", go.root)
        // Packages of libraries are laid out as they were before there were modules.
        .env("GO111MODULE", "off")
        .env("GOPATH", go.path)
        .env("GOCACHE", folder.join("go-cache"))
        .env("GOTOOLCHAIN", "local")
        .env("GOENV", "off")
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0")
        .env("GOOS", "linux")
        .env("GOARCH", arch.to_string())
        .run()
        .with_context(|| format!("{} does not build", source.display()))?;
    Ok(program)
}
