// SPDX-License-Identifier: GPL-2.0-only
//! Policies of SELinux that guests load: compiled from `qemu-images/guest/NAME.cil`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::toolroot::ToolRoot;
use crate::workspace;

/// Where a guest has the policy `name`.
pub(crate) fn place(name: &str) -> String {
    format!("rig/{name}.policy")
}

/// Compiles the policy `name`, which takes no time to speak of.
///
/// # Errors
///
/// There is no compiler and none can be fetched, or it refuses the policy.
pub(crate) fn compile(tools: &ToolRoot, name: &str) -> Result<PathBuf> {
    let source = workspace::root().join("qemu-images/guest").join(name).with_extension("cil");
    let folder = workspace::target().join("policies");
    let shell = Shell::new()?;
    shell.create_dir(&folder)?;
    let (compiler, policy) = (tools.policy_compiler()?, folder.join(name).with_extension("policy"));
    cmd!(shell, "{compiler} --filecontext /dev/null --output {policy} {source}")
        .quiet()
        .run()
        .with_context(|| format!("the policy {} does not compile", source.display()))?;
    Ok(policy)
}
