// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask run-qemu`.

use std::collections::BTreeMap;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use crate::console::Scanner;
use crate::guest::event::{End, Event};
use crate::guest::platform::PlatformOptions;
use crate::guest::qemu::Folder;
use crate::guest::run::Limits;
use crate::guest::{Pace, Plan, Platform, Spec, System, interrupt, programs, run, terminal};
use crate::machine;
use crate::scenario::Implementation;
use crate::test_qemu::{NO_VERDICT, run_folder};
use crate::toolroot::{ToolOptions, ToolRoot};

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
/// A guest that could not run the script to its end gives exit code 125.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Machine to emulate: a file of qemu-images/machines/ without .toml
    #[arg(long, value_name = "NAME", default_value = "intel")]
    machine: String,
    /// Kernel to boot: a file of qemu-images/kernels/ without .toml
    #[arg(long, value_name = "NAME", default_value = "stock", conflicts_with = "tree")]
    kernel: String,
    /// Which resctrl runs: resctrl.ko of this project, or the kernel's own [default: rust; the kernel's own of a --tree]
    #[arg(long = "impl", value_name = "WHICH")]
    implementation: Option<Implementation>,
    /// Run this file as root in the guest instead of a shell
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Environment variable for the shell or the script
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, String)>,
    /// More arguments for the kernel's command line
    #[arg(long, value_name = "STRING", default_value = "", hide_default_value = true)]
    append: String,
    #[command(flatten)]
    platform: PlatformOptions,
    #[command(flatten)]
    tools: ToolOptions,
    /// More arguments for QEMU, or for the FVP
    #[arg(last = true, value_name = "QEMU ARGS")]
    qemu_arguments: Vec<String>,
}

/// Exit code when the guest, not the script, failed.
const RIG_FAILED: u8 = NO_VERDICT;

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
    let (machine_file, hardware) = machine::load(&options.machine, options.platform.kind())?;
    let platform = options.platform.find(hardware.arch.into())?;
    if let (Platform::Fvp(_), None) = (&platform, &options.script) {
        bail!("the rig has no terminal for the FVP: give a --script");
    }
    let (kernels, _) = options.tools.kernels(std::slice::from_ref(&options.kernel), &[hardware.arch.into()])?;
    let kernel = kernels.into_iter().next().context("no kernel")?;
    let unasked = if kernel.is_the_users() { Implementation::Kernel } else { Implementation::Rust };
    let implementation = options.implementation.unwrap_or(unasked);
    if let (Implementation::Kernel, Some(reason)) = (implementation, &kernel.no_kernel_impl) {
        eprintln!("note: nothing to mount on kernel `{}`: {reason}", kernel.name);
    }
    let plan = match &options.script {
        Some(path) => {
            ensure!(path.is_file(), "no such script: {}", path.display());
            Plan::Script(path.clone())
        }
        None => Plan::Shell,
    };
    interrupt::install()?;
    let tools = ToolRoot::ensure(&options.tools, std::slice::from_ref(&kernel))?;
    let mut settings: BTreeMap<String, String> = options.settings.iter().cloned().collect();
    if let (Plan::Shell, Some((rows, columns))) = (&plan, terminal::size()) {
        settings.insert("ROWS".to_owned(), rows.to_string());
        settings.insert("COLUMNS".to_owned(), columns.to_string());
    }
    let provisions = programs::provisions(&tools, kernel.arch)?;
    let spec = Spec {
        machine: options.machine.clone(),
        machine_file,
        hardware,
        system: System::prepare(&tools, &kernel, implementation)?,
        plan,
        settings,
        append: options.append.clone(),
        qemu_arguments: options.qemu_arguments.clone(),
        platform,
        pace: Pace::Time,
    };
    let folder = run_folder::create()?;
    match spec.plan {
        Plan::Shell => {
            let folder = Folder(folder.join("guest"));
            run::shell(&spec, &provisions, &folder)?;
            eprintln!("console log: {}", folder.console().display());
            Ok(ExitCode::SUCCESS)
        }
        _ => script(&spec, &provisions, &folder),
    }
}

fn script(spec: &Spec, provisions: &crate::guest::Provisions, folder: &Path) -> Result<ExitCode> {
    let scanner = Scanner::new()?;
    let limits = Limits::boot_only().stretched(spec.slowness());
    let mut folder = Folder(folder.join("guest"));
    let mut watcher = ScriptWatcher::default();
    let watched = |folder: &Folder, watcher: &mut ScriptWatcher| {
        run::run(spec, provisions, folder, &scanner, &limits, &mut |event| watcher.event(&event))
    };
    let mut end = watched(&folder, &mut watcher);
    if let Ok(end) = &end
        && !watcher.booted
        && end.is_worth_a_retry()
    {
        eprintln!("{}; trying once more", end.describe());
        folder = Folder(folder.0.with_file_name("guest-2"));
    } else {
        return watcher.result(end, &folder);
    }
    end = watched(&folder, &mut watcher);
    watcher.result(end, &folder)
}

/// Passes a script's output through and remembers how it ended.
#[derive(Default)]
struct ScriptWatcher {
    booted: bool,
    code: Option<i32>,
    splats: Vec<String>,
    error: Option<std::io::Error>,
}

impl ScriptWatcher {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Booted(_) => self.booted = true,
            Event::Bytes { error, bytes } => {
                let written = if *error {
                    stderr().write_all(bytes)
                } else {
                    stdout().write_all(bytes).and_then(|()| stdout().flush())
                };
                if let Err(error) = written {
                    self.error.get_or_insert(error);
                }
            }
            Event::Exited { code, .. } => self.code = Some(*code),
            Event::Splat(splat) => self.splats.push(format!("{}: {}", splat.kind, splat.line)),
            _ => {}
        }
    }

    /// The exit code for a guest that came to this end.
    fn result(self, end: Result<End>, folder: &Folder) -> Result<ExitCode> {
        let end = match end {
            Err(_) if interrupt::requested() => return Ok(interrupt::EXIT_CODE.into()),
            end => end?,
        };
        if let Some(error) = self.error {
            return Err(error).context("cannot write the script's output");
        }
        let code = match (self.code, &end) {
            (Some(code), End::Done) => u8::try_from(code).unwrap_or(RIG_FAILED),
            _ => {
                eprintln!("error: {}", end.describe());
                for splat in self.splats {
                    eprintln!("  {splat}");
                }
                RIG_FAILED
            }
        };
        eprintln!("console log: {}", folder.console().display());
        Ok(code.into())
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
