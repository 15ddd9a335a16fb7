// SPDX-License-Identifier: GPL-2.0-only
//! What helps whoever looks into a failure: a debugger below the guest, and a trace of what the kernel did last.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::Object as _;

use super::qemu::{Folder, option_path, short_path};
use super::{Platform, Spec};
use crate::kernels::Arch;
use crate::shell::word;

/// Flags of the subcommands that boot guests.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
#[command(next_help_heading = "Debugging")]
pub(crate) struct Debugging {
    /// Let guests wait for gdb before they begin, without time limits; prints the command that starts it
    #[arg(long)]
    pub(crate) gdb: bool,
    /// Trace CPU hotplug, workqueues and resctrl's events: the last seconds are kept when a case fails or the kernel crashes
    #[arg(long)]
    pub(crate) trace: bool,
}

/// The argument by which `init` knows that it is to trace. A kernel that crashes prints what it has.
pub(super) const DUMP_ON_OOPS: &str = "ftrace_dump_on_oops";

impl Debugging {
    /// The flags again.
    pub(crate) fn arguments(self) -> Vec<OsString> {
        let flags = [(self.gdb, "--gdb"), (self.trace, "--trace")];
        flags.into_iter().filter(|(given, _)| *given).map(|(_, flag)| flag.into()).collect()
    }

    /// For the kernel's command line. Symbols are where vmlinux says if the kernel stays where it was linked.
    pub(super) fn kernel_arguments(self) -> String {
        let mut line = String::new();
        if self.gdb {
            line.push_str(" nokaslr");
        }
        if self.trace {
            // On the console of a crash it has to end before the guest does.
            line.push_str(&format!(" {DUMP_ON_OOPS} trace_buf_size=128k"));
        }
        line
    }

    /// QEMU's arguments.
    pub(super) fn qemu_arguments(self, folder: &Folder) -> Vec<OsString> {
        if !self.gdb {
            return Vec::new();
        }
        let chardev = format!("socket,id=gdb,server=on,wait=off,path={}", option_path(&socket(folder)));
        ["-S", "-chardev", &chardev, "-gdb", "chardev:gdb"].map(OsString::from).into()
    }
}

/// Where QEMU waits for gdb.
fn socket(folder: &Folder) -> PathBuf {
    short_path(folder).with_extension("gdb")
}

/// Writes the script for gdb into the guest's folder and prints how it is started.
///
/// # Errors
///
/// The script cannot be written.
pub(super) fn announce(spec: &Spec, folder: &Folder) -> Result<()> {
    if !spec.visit.debugging.gdb || spec.platform != Platform::Qemu {
        return Ok(());
    }
    let path = folder.0.join("debug.gdb");
    fs::write(&path, script(folder)).with_context(|| format!("cannot write {}", path.display()))?;
    let gdb = match spec.arch() {
        Arch::Amd64 => "gdb",
        Arch::Arm64 => "gdb-multiarch",
    };
    let vmlinux = spec.system.installed.build.join("vmlinux");
    let symbols = match has_symbols(&vmlinux) {
        true => format!(" {}", word(&vmlinux.to_string_lossy())),
        false => String::new(),
    };
    eprintln!("the guest waits: {gdb} -x {}{symbols}", word(&path.to_string_lossy()));
    eprintln!("  in gdb: `continue`; once the guest is up, Ctrl-C and `resctrl-symbols` for those of resctrl.ko");
    if symbols.is_empty() {
        eprintln!(
            "  there is no vmlinux of {} (a tree given with --kdir has one), so no symbols of the kernel itself",
            spec.system.installed.release
        );
    }
    Ok(())
}

/// Whether gdb can use it. Debian's headers have a vmlinux with nothing but the types of BTF in it.
fn has_symbols(vmlinux: &Path) -> bool {
    let Ok(data) = fs::read(vmlinux) else { return false };
    object::File::parse(&*data).is_ok_and(|file| file.symbols().next().is_some())
}

/// Where the module's sections are is known when it is loaded: `init` says so on the console, as gdb's own command.
fn script(folder: &Folder) -> String {
    let inside = |path: &Path| word(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy());
    let (console, symbols) = (folder.console(), folder.0.join("symbols.gdb"));
    format!(
        "set pagination off\n\
         target remote {}\n\
         define resctrl-symbols\n  \
           shell sed -n 's/\\r$//; s/.*rig: for gdb: //p' {} >{}\n  \
           source {}\n\
         end\n\
         document resctrl-symbols\n\
         Loads the symbols of resctrl.ko to where the guest has loaded it.\n\
         end\n",
        socket(folder).display(),
        inside(&console),
        inside(&symbols),
        std::path::absolute(&symbols).unwrap_or(symbols).display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_says_on_its_console_becomes_gdbs_command() {
        let run = tempfile::tempdir().unwrap();
        let folder = Folder(run.path().join("it's"));
        fs::create_dir(&folder.0).unwrap();
        let said =
            "[    6.1] rig: for gdb: add-symbol-file /m/resctrl.ko 0xffffffffc0201000 -s .data 0xffffffffc0210000";
        fs::write(folder.console(), format!("[    0.0] Linux\r\n{said}\r\n[    7.0] more\r\n")).unwrap();
        let script = script(&folder);
        let shell = script.lines().find_map(|line| line.trim().strip_prefix("shell ")).unwrap();
        duct::cmd!("sh", "-c", shell).run().unwrap();
        let symbols = fs::read_to_string(folder.0.join("symbols.gdb")).unwrap();
        assert_eq!(symbols, "add-symbol-file /m/resctrl.ko 0xffffffffc0201000 -s .data 0xffffffffc0210000\n");
    }

    #[test]
    fn a_vmlinux_without_symbols_is_none() {
        assert!(has_symbols(&std::env::current_exe().unwrap()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vmlinux");
        // A header alone, as of a file without sections.
        fs::write(&path, &fs::read(std::env::current_exe().unwrap()).unwrap()[..64]).unwrap();
        assert!(!has_symbols(&path));
        assert!(!has_symbols(&folder.path().join("none")));
    }

    #[test]
    fn a_guest_that_waits_does_so_on_a_socket_of_its_own_and_others_have_none() {
        let (one, two) = (Folder(PathBuf::from("/run/1")), Folder(PathBuf::from("/run/2")));
        let debugging = Debugging { gdb: true, trace: false };
        assert_ne!(debugging.qemu_arguments(&one), debugging.qemu_arguments(&two));
        assert_eq!(debugging.kernel_arguments(), " nokaslr");
        assert!(Debugging::default().qemu_arguments(&one).is_empty());
        assert_eq!(Debugging::default().kernel_arguments(), "");
        assert_eq!(debugging.arguments(), ["--gdb"]);
    }
}
