// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask run-qemu`.

mod script;
mod suits;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::guest::debugging::Debugging;
use crate::guest::platform::{Kind, PlatformOptions};
use crate::guest::qemu::Folder;
use crate::guest::visit::root::Root;
use crate::guest::visit::{Account, Brought, Visit, home};
use crate::guest::{Pace, Plan, Platform, Spec, System, interrupt, programs, run, terminal};
use crate::kernels::Kernel;
use crate::machine;
use crate::scenario::Implementation;
use crate::test_qemu::run_folder;
use crate::toolroot::{ToolOptions, ToolRoot, TreeOptions};

/// Boots a guest and gives a shell in it, or runs a script as root there.
///
/// The guest has emulated hardware with cache and bandwidth control under it, resctrl ready to be
/// mounted at /sys/fs/resctrl, busybox, and two programs of this project: `msr` reads and writes
/// model specific registers, `rdt-traffic` makes the emulated memory traffic that counters count.
///
/// In the shell every key goes to the guest, Ctrl-C too. `exit` or Ctrl-a x ends the guest.
///
/// With --script, the script's standard output is all there is on standard output, and its exit code
/// is the exit code. What the rig has to say, and the script's standard error, go to standard error.
/// Exit code 124 says that its time (--timeout) was over, 125 that the rig could not: something is missing or
/// does not build, or the guest could not run the script to its end.
///
/// Scripts begin in /in, where --file puts what it brings. What they leave below /out comes back with --out.
/// `--root debian --package python3` gives them Debian's programs; docs/tools.md has recipes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Machine to emulate: a file of qemu-images/machines/ without .toml, or a file of your own (docs/machines.md)
    #[arg(long, value_name = "NAME|FILE", default_value = "intel")]
    machine: String,
    /// Kernel to boot: a file of qemu-images/kernels/ without .toml
    #[arg(long, value_name = "NAME", default_value = "stock", conflicts_with = "tree")]
    kernel: String,
    /// Which resctrl runs: resctrl.ko of this project, or the kernel's own [default: rust; the kernel's own of a --tree]
    #[arg(long = "impl", value_name = "WHICH")]
    implementation: Option<Implementation>,
    /// Run this file in the guest instead of a shell, as root: a script, or a program
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Bring this file or folder along, to DST in the guest [default: /in/NAME]; may be repeated
    #[arg(long = "file", value_name = "SRC[:DST]")]
    files: Vec<String>,
    /// End the script after so many seconds; the exit code is then 124
    #[arg(long, value_name = "SECONDS", requires = "script", value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: Option<u64>,
    /// Copy what the script leaves below /out into this folder, also when it fails
    #[arg(long, value_name = "DIR", requires = "script")]
    out: Option<PathBuf>,
    /// Run the script, or the shell, as an ordinary user
    #[arg(long)]
    user: bool,
    /// Root file system of the script or the shell: one of Debian's packages, a folder, or an image (ext4, squashfs, erofs)
    #[arg(long, value_name = "debian|DIR|IMAGE")]
    root: Option<PathBuf>,
    /// Debian package to have in it, with all it depends on; `{release}` is that of the kernel; may be repeated
    #[arg(long = "package", value_name = "NAME", requires = "root")]
    packages: Vec<String>,
    /// Give the guest a network from which it reaches what this machine reaches (addresses of QEMU's user network)
    #[arg(long)]
    net: bool,
    /// Environment variable for the shell or the script
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, String)>,
    /// More arguments for the kernel's command line
    #[arg(long, value_name = "STRING", default_value = "", hide_default_value = true)]
    append: String,
    #[command(flatten)]
    platform: PlatformOptions,
    #[command(flatten)]
    debugging: Debugging,
    #[command(flatten)]
    tools: ToolOptions,
    #[command(flatten)]
    tree: TreeOptions,
    /// One more argument for QEMU, or for the FVP; may be repeated
    #[arg(long = "qemu-arg", value_name = "ARG", allow_hyphen_values = true)]
    qemu_arguments: Vec<String>,
    /// Arguments of the script
    #[arg(last = true, value_name = "ARGUMENTS", requires = "script")]
    arguments: Vec<String>,
}

/// The value of `--root` that stands for Debian's packages.
const DEBIAN: &str = "debian";

impl Options {
    /// What the user brings along, as far as it is known before anything is fetched.
    fn visit(&self, platform: &Platform) -> Result<Visit> {
        let files = self.files.iter().map(|text| Brought::parse(text)).collect::<Result<_>>()?;
        if let Some(home) = &self.out {
            home::open(home)?;
        }
        let root = match &self.root {
            Some(root) if !self.is_debian() => {
                ensure!(
                    self.packages.is_empty(),
                    "--package {}: packages go into a root file system of Debian's (--root debian), not into --root {}",
                    self.packages[0],
                    root.display()
                );
                Some(Root::open(root)?)
            }
            _ => None,
        };
        let disk = matches!(root, Some(Root::Image { .. }));
        for (asked, flag) in
            [(self.out.is_some(), "--out"), (self.net, "--net"), (disk, "--root IMAGE"), (self.debugging.gdb, "--gdb")]
        {
            ensure!(
                !asked || *platform == Platform::Qemu,
                "{flag} needs devices that only QEMU has, not {}",
                platform.name()
            );
        }
        Ok(Visit {
            files,
            arguments: self.arguments.clone(),
            limit: self.timeout.map(Duration::from_secs),
            takes_home: self.out.is_some(),
            account: if self.user { Account::User } else { Account::Root },
            root,
            network: self.net,
            debugging: self.debugging,
        })
    }

    fn is_debian(&self) -> bool {
        self.root.as_deref() == Some(Path::new(DEBIAN))
    }

    /// Makes the root file system of packages, and says early what would not run in the guest.
    fn complete(&self, mut visit: Visit, tools: &ToolRoot, kernel: &Kernel) -> Result<Visit> {
        let mut programs = visit.root.clone();
        if self.is_debian() {
            let folder = tools.root_file_system(kernel, &self.packages).context("--root debian")?;
            programs = Some(Root::Folder(folder.clone()));
            visit.root = Some(tools.root_for_guest(folder, self.platform.kind() == Kind::Qemu)?);
        }
        visit.modules(&tools.kernel(kernel)?)?;
        if let Some(script) = &self.script {
            let place = suits::Place {
                machine: &self.machine,
                arch: kernel.arch,
                root: programs.as_ref(),
                busybox: &tools.busybox(kernel.arch),
            };
            place.check(script)?;
        }
        Ok(visit)
    }
}

/// Parses the value of `--set`.
///
/// # Errors
///
/// It is not NAME=VALUE with a name that a shell can have.
pub(crate) fn parse_setting(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("expected NAME=VALUE")?;
    let valid = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    ensure!(valid, "`{name}` is no name of a variable");
    ensure!(!value.contains('\n'), "the value of {name} has more than one line");
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let machine::Chosen { name, hardware, text } = machine::load(&options.machine, options.platform.kind())?;
    let platform = options.platform.find(hardware.arch.into())?;
    if let (Platform::Fvp(_), None) = (&platform, &options.script) {
        bail!("the rig has no terminal for the FVP: give a --script");
    }
    let visit = options.visit(&platform)?;
    let (kernels, _) = options.tree.kernels(std::slice::from_ref(&options.kernel), &[hardware.arch.into()])?;
    let kernel = kernels.into_iter().next().context("no kernel")?;
    let unasked = if kernel.is_the_users() { Implementation::Kernel } else { Implementation::Rust };
    let implementation = options.implementation.unwrap_or(unasked);
    if let (Implementation::Kernel, Some(reason)) = (implementation, &kernel.no_kernel_impl) {
        eprintln!("note: nothing to mount on kernel `{}`: {reason}", kernel.name);
    }
    let plan = match &options.script {
        Some(path) => {
            ensure!(path.is_file(), "--script {}: there is no such file", path.display());
            Plan::Script(path.clone())
        }
        None => Plan::Shell,
    };
    interrupt::install()?;
    let tools = ToolRoot::ensure(&options.tools, std::slice::from_ref(&kernel))?;
    let visit = options.complete(visit, &tools, &kernel)?;
    if let Some(root) = &visit.root {
        root.check_room(&options.machine, hardware.memory_bytes())?;
    }
    let mut settings: BTreeMap<String, String> = options.settings.iter().cloned().collect();
    if let (Plan::Shell, Some((rows, columns))) = (&plan, terminal::size()) {
        settings.insert("ROWS".to_owned(), rows.to_string());
        settings.insert("COLUMNS".to_owned(), columns.to_string());
    }
    let provisions = programs::provisions(&tools, kernel.arch)?;
    let spec = Spec {
        machine: name.to_string(),
        hardware,
        machine_text: text,
        system: System::prepare(&tools, &kernel, implementation)?,
        plan,
        settings,
        append: options.append.clone(),
        qemu_arguments: options.qemu_arguments.clone(),
        platform,
        pace: Pace::Time,
        visit,
    };
    let folder = run_folder::create_for_guest()?;
    match spec.plan {
        Plan::Shell => {
            let folder = Folder(folder.join("guest"));
            run::shell(&spec, &provisions, &folder)?;
            eprintln!("console log: {}", folder.console().display());
            Ok(ExitCode::SUCCESS)
        }
        _ => script::run(&spec, &provisions, &folder, options.out.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_setting;

    #[test]
    fn a_setting_is_a_name_and_one_line() {
        assert_eq!(parse_setting("A_1=x=y").unwrap(), ("A_1".to_owned(), "x=y".to_owned()));
        for wrong in ["A", "1A=x", "A-B=x", "=x", "A=x\ny"] {
            assert!(parse_setting(wrong).is_err(), "{wrong}");
        }
    }
}
