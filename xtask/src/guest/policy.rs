// SPDX-License-Identifier: GPL-2.0-only
//! Policies of security modules that guests load: compiled from `qemu-images/guest/NAME.cil` for SELinux, from
//! `qemu-images/guest/NAME.profile` for AppArmor.

use std::path::PathBuf;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::toolroot::ToolRoot;
use crate::workspace;

/// Where a guest has the policy `name`.
pub(crate) fn place(name: &str) -> String {
    format!("rig/{name}.policy")
}

/// The file that the policy `name` is compiled from, if there is one.
pub(crate) fn source(name: &str) -> Option<PathBuf> {
    let file = workspace::root().join("qemu-images/guest").join(name);
    ["cil", "profile"].map(|kind| file.with_extension(kind)).into_iter().find(|file| file.is_file())
}

/// Compiles the policy `name`, which takes no time to speak of.
///
/// # Errors
///
/// There is no such policy, there is no compiler and none can be fetched, or it refuses the policy.
pub(crate) fn compile(tools: &ToolRoot, name: &str) -> Result<PathBuf> {
    let source = source(name).with_context(|| format!("there is no policy {name}"))?;
    let folder = workspace::target().join("policies");
    let shell = Shell::new()?;
    shell.create_dir(&folder)?;
    let policy = folder.join(name).with_extension("policy");
    let compiled = if source.extension().is_some_and(|kind| kind == "cil") {
        let compiler = tools.policy_compiler()?;
        cmd!(shell, "{compiler} --filecontext /dev/null --output {policy} {source}").quiet().run()
    } else {
        let [compiler, features] = tools.profile_compiler()?;
        // Nothing of the host's: neither its kernel nor what is configured there. It does not write over what there is.
        shell.remove_path(&policy)?;
        cmd!(shell, "{compiler} --skip-kernel-load --skip-cache --config-file /dev/null --policy-features {features}")
            .args(["--kernel-features".as_ref(), features.as_os_str()])
            .args(["--ofile".as_ref(), policy.as_os_str(), source.as_os_str()])
            .quiet()
            .run()
    };
    compiled.with_context(|| format!("the policy {} does not compile", source.display()))?;
    Ok(policy)
}
