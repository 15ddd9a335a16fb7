// SPDX-License-Identifier: GPL-2.0-only
//! A guest: what goes into it, how it is started, and what is heard from it.
//!
//! [`Spec`] says what to boot. [`run`](run::run) starts QEMU on it, watches the files it writes and
//! reports each thing that happens as an [`Event`](event::Event); the terminal, the reports and the
//! verdicts are consumers of those events and know nothing of QEMU.

pub(crate) mod event;
pub(crate) mod interrupt;
pub(crate) mod programs;
pub(crate) mod protocol;
pub(crate) mod qemu;
pub(crate) mod run;
pub(crate) mod tail;
pub(crate) mod terminal;
mod tsc;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use resctrl_hardware::machine::{Cache, Machine};

use crate::initramfs::Initramfs;
use crate::kernels::Kernel;
use crate::module_build;
use crate::scenario::Implementation;
use crate::toolroot::{GuestKernel, ToolRoot};
use crate::workspace;

/// Kernel modules of the guest kernel that a guest loads if they are modules.
const MODULES: &[&str] = &["msr"];

/// Kernel arguments of every guest. `tsc=reliable` keeps the clocksource watchdog from hanging the
/// boot on a loaded host; `panic=-1` together with QEMU's `-no-reboot` ends a guest that panics;
/// `mitigations=off` spares a switch of page tables at each system call, which costs an emulated
/// processor a fifth of its time.
const ARGUMENTS: &str = "console=ttyS0,115200 panic=-1 tsc=reliable mitigations=off printk.time=1";

/// Measured once for all guests.
static TSC_KHZ: LazyLock<Option<u64>> = LazyLock::new(tsc::khz);

/// What a guest does when it is up.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// A shell on the terminal.
    Shell,
    /// The script at this path.
    Script(PathBuf),
    /// Scenarios, by name, one after the other.
    Scenarios(Vec<String>),
}

/// Everything guests have in common; made once, used by all of them.
#[derive(Debug)]
pub(crate) struct Provisions {
    /// QEMU's program and its first arguments.
    pub(crate) qemu: Vec<std::ffi::OsString>,
    /// The guest's user land.
    pub(crate) busybox: PathBuf,
    /// Guest programs of this project, by name.
    pub(crate) tools: Vec<(String, PathBuf)>,
    /// The plugin that emulates the hardware.
    pub(crate) plugin: PathBuf,
}

/// A kernel to boot with the resctrl to run on it.
#[derive(Debug, Clone)]
pub(crate) struct System {
    /// The kernel's description.
    pub(crate) kernel: Kernel,
    /// The kernel as it is installed.
    pub(crate) installed: GuestKernel,
    /// resctrl.ko, if that is what runs.
    pub(crate) module: Option<PathBuf>,
}

impl System {
    /// The kernel `kernel` with `implementation`; builds the module if it is out of date.
    ///
    /// # Errors
    ///
    /// The kernel is not installed or the module does not build.
    pub(crate) fn prepare(tools: &ToolRoot, kernel: &Kernel, implementation: Implementation) -> Result<Self> {
        let module = match implementation {
            Implementation::Kernel => None,
            Implementation::Rust => Some(module_build::ensure(tools, kernel)?.path),
        };
        Ok(Self { kernel: kernel.clone(), installed: tools.kernel(kernel)?, module })
    }

    /// Which resctrl runs.
    pub(crate) fn implementation(&self) -> Implementation {
        if self.module.is_some() { Implementation::Rust } else { Implementation::Kernel }
    }
}

/// One guest to boot.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// Name of the machine.
    pub(crate) machine: String,
    /// Its file.
    pub(crate) machine_file: PathBuf,
    /// What that file says.
    pub(crate) hardware: Machine,
    /// Kernel and implementation.
    pub(crate) system: System,
    /// What the guest does.
    pub(crate) plan: Plan,
    /// Environment of scripts and scenarios.
    pub(crate) settings: BTreeMap<String, String>,
    /// More kernel arguments.
    pub(crate) append: String,
    /// More arguments for QEMU.
    pub(crate) qemu_arguments: Vec<String>,
}

impl Spec {
    /// The kernel command line.
    pub(crate) fn kernel_command_line(&self) -> String {
        let mut line = ARGUMENTS.to_owned();
        if let Some(khz) = *TSC_KHZ {
            let _ = write!(line, " tsc_early_khz={khz}");
        }
        if self.system.implementation() == Implementation::Rust {
            // Two file systems called resctrl cannot be registered at once.
            line.push(' ');
            line.push_str(&self.system.kernel.resctrl_off);
        }
        if !self.append.is_empty() {
            line.push(' ');
            line.push_str(&self.append);
        }
        line
    }

    /// The guest's root folder.
    ///
    /// # Errors
    ///
    /// A part of it cannot be read.
    pub(crate) fn initramfs(&self, provisions: &Provisions) -> Result<Initramfs> {
        let guest = workspace::root().join("qemu-images/guest");
        let mut root = Initramfs::new();
        root.copy("init", &guest.join("init"))?;
        root.copy("bin/busybox", &provisions.busybox)?;
        // `init` is a script: its interpreter must be there before it can install the others.
        root.link("bin/sh", "busybox");
        for (name, path) in &provisions.tools {
            root.copy(&format!("rig/bin/{name}"), path)?;
        }
        root.copy_folder("rig/lib", &guest.join("lib"))?;
        for name in MODULES {
            if let Some(path) = self.system.installed.module(name) {
                let file = path.file_name().and_then(|file| file.to_str()).context("odd name")?;
                root.copy(&format!("rig/modules/{file}"), &path)?;
            }
        }
        if let Some(module) = &self.system.module {
            root.copy("rig/resctrl.ko", module)?;
        }
        root.file("rig/env", self.environment());
        match &self.plan {
            Plan::Shell => {
                root.file("rig/plan", "shell\n");
                root.file("rig/welcome", self.welcome());
            }
            Plan::Script(path) => {
                root.file("rig/plan", "script\n");
                root.copy("rig/script", path)?;
            }
            Plan::Scenarios(names) => {
                let mut plan = "scenarios\n".to_owned();
                for name in names {
                    let file = format!("scenarios/{name}.sh");
                    root.copy(&format!("rig/{file}"), &guest.join(&file))?;
                    writeln!(plan, "{name}")?;
                }
                root.file("rig/plan", plan);
            }
        }
        Ok(root)
    }

    /// What the shell says first. Lines end as a terminal in raw mode needs them.
    fn welcome(&self) -> String {
        let Self { machine, hardware, system, .. } = self;
        format!(
            "\r\n{machine}: {}\r\nkernel {}, resctrl of {}. Not mounted: mount -t resctrl \
             resctrl /sys/fs/resctrl\r\n`exit` ends the guest; so does Ctrl-a x.\r\n\r\n",
            hardware.description,
            system.installed.release,
            match system.implementation() {
                Implementation::Kernel => "the kernel (C)",
                Implementation::Rust => "resctrl.ko (Rust)",
            },
        )
    }

    /// Environment of everything that runs in the guest: settings, and the facts of the machine
    /// that scenarios compare what they read with.
    fn environment(&self) -> String {
        let mut variables = self.settings.clone();
        let mut set = |name: &str, value: String| {
            variables.insert(name.to_owned(), value);
        };
        set("MACHINE", self.machine.clone());
        set("IMPL", self.system.implementation().to_string());
        let topology = &self.hardware.topology;
        set("CPUS", topology.cpus().to_string());
        set("L3_DOMAINS", topology.l3_domains().to_string());
        set("L2_DOMAINS", topology.l2_domains().to_string());
        let cache_size = |cache: &Option<Cache>| cache.as_ref().map_or(0, |cache| cache.size_kib * 1024).to_string();
        set("L3_SIZE", cache_size(&self.hardware.cache.l3));
        set("L2_SIZE", cache_size(&self.hardware.cache.l2));
        let rdt = self.hardware.rdt.clone().unwrap_or_default();
        for (name, cat) in [("L3", &rdt.l3), ("L2", &rdt.l2)] {
            let Some(cat) = cat else { continue };
            set(&format!("{name}_CLOSIDS"), cat.closids.to_string());
            set(&format!("{name}_MASK"), format!("{:x}", cat.full_mask()));
            set(&format!("{name}_SHAREABLE"), format!("{:x}", cat.shareable));
            set(&format!("{name}_CDP"), u8::from(cat.cdp).to_string());
            set(&format!("{name}_SPARSE"), u8::from(cat.noncontiguous).to_string());
        }
        if let Some(mba) = &rdt.mba {
            set("MB_CLOSIDS", mba.closids.to_string());
            set("MB_MIN", (100 - mba.max_delay).to_string());
            set("MB_PER_THREAD", u8::from(mba.per_thread).to_string());
        }
        if let Some(monitoring) = &rdt.monitoring {
            set("RMIDS", monitoring.rmids.to_string());
            set("MON_UNIT", monitoring.unit.to_string());
            set("MON_COUNTER_BITS", monitoring.counter_bits.to_string());
        }
        let mut text = String::new();
        for (name, value) in variables {
            // The file is read by a shell: quoted, so that no value is anything but a value.
            text.push_str(&format!("{name}='{}'\n", value.replace('\'', r"'\''")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine;

    fn spec(module: Option<PathBuf>) -> Spec {
        let (machine_file, hardware) = machine::load("intel").unwrap();
        let kernel = Kernel::load("stock").unwrap();
        let installed = GuestKernel {
            arch: crate::kernels::Arch::Amd64,
            release: "7.3.4".to_owned(),
            image: PathBuf::new(),
            modules: PathBuf::new(),
            build: PathBuf::new(),
            compiler: None,
        };
        Spec {
            machine: "intel".to_owned(),
            machine_file,
            hardware,
            system: System { kernel, installed, module },
            plan: Plan::Shell,
            settings: BTreeMap::from([("TEXT".to_owned(), "it's $HOME".to_owned())]),
            append: "rdt=!l3cat".to_owned(),
            qemu_arguments: Vec::new(),
        }
    }

    #[test]
    fn the_kernels_own_resctrl_is_kept_off_only_for_ours() {
        let off = Kernel::load("stock").unwrap().resctrl_off;
        let (theirs, ours) = (spec(None), spec(Some(PathBuf::from("resctrl.ko"))));
        assert!(!theirs.kernel_command_line().contains(&off));
        assert!(ours.kernel_command_line().contains(&off));
        assert!(ours.kernel_command_line().ends_with(" rdt=!l3cat"));
    }

    #[test]
    fn settings_reach_the_shell_as_they_are() {
        let environment = spec(None).environment();
        let script = format!("{environment}printf '%s %s' \"$TEXT\" \"$RMIDS\"");
        let printed = duct::cmd("sh", ["-c", &script]).read().unwrap();
        assert_eq!(printed, "it's $HOME 32");
    }
}
