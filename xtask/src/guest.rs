// SPDX-License-Identifier: GPL-2.0-only
//! A guest: what goes into it, how it is started, and what is heard from it.
//!
//! [`Spec`] says what to boot. [`run`](run::run) starts QEMU on it, watches the files it writes and
//! reports each thing that happens as an [`Event`](event::Event); the terminal, the reports and the
//! verdicts are consumers of those events and know nothing of QEMU.

pub(crate) mod clients;
pub(crate) mod debugging;
pub(crate) mod event;
pub(crate) mod facts;
mod fvp;
pub(crate) mod interrupt;
pub(crate) mod platform;
pub(crate) mod policy;
mod ports;
pub(crate) mod programs;
pub(crate) mod protocol;
pub(crate) mod qemu;
pub(crate) mod run;
pub(crate) mod tail;
pub(crate) mod terminal;
mod tsc;
pub(crate) mod visit;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use resctrl_hardware::machine::Machine;

use crate::initramfs::Initramfs;
use crate::kernels::{Arch, Kernel};
use crate::module_build;
use crate::scenario::Implementation;
use crate::toolroot::{GuestKernel, ToolRoot};
use crate::workspace;
pub(crate) use platform::Platform;
use ports::Ports;
use visit::Visit;

/// Kernel modules of the guest kernel that a guest loads if they are modules.
const fn modules(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::Amd64 => &["msr"],
        Arch::Arm64 => &[],
    }
}

/// The one that a machine with counters of memory controllers needs besides.
const MEMORY_CONTROLLER_MODULES: &[&str] = &["intel_uncore"];
/// Those that a machine with package telemetry needs besides, each after what it depends on.
const TELEMETRY_MODULES: &[&str] = &["intel_vsec", "pmt_class", "pmt_discovery", "intel_vsec_tpmi", "pmt_telemetry"];

/// Kernel arguments of every guest. `panic=-1` together with QEMU's `-no-reboot` ends a guest that panics;
/// `mitigations=off` spares a switch of page tables at each system call, which costs an emulated
/// processor a fifth of its time.
const ARGUMENTS: &str = "panic=-1 mitigations=off printk.time=1";

/// What a guest's clock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Time, as the host's does. One thread a CPU.
    Time,
    /// Executed instructions, one a nanosecond, of all CPUs in turn: what runs takes the same time on every host.
    Instructions,
}

/// Kernel arguments of an instruction set's guests; the kernel's timer ticks so often a second, if that is known.
fn arch_arguments(arch: Arch, pace: Pace, ticks: Option<u64>) -> String {
    if arch == Arch::Arm64 {
        return String::new();
    }
    // Keep the clocksource watchdog from hanging the boot on a loaded host, and the search for the timer's pin, which
    // counts ticks of emulated time, from ending it.
    let mut line = " tsc=reliable no_timer_check".to_owned();
    let khz = match pace {
        Pace::Time => *TSC_KHZ,
        // A tick of the counter is then an instruction.
        Pace::Instructions => Some(1_000_000),
    };
    if let Some(khz) = khz {
        line.push_str(&format!(" tsc_early_khz={khz}"));
    }
    // What each CPU would spend a tenth of a second in a loop for: ticks of the counter in one of the timer's.
    if let (Pace::Time, Some(khz), Some(ticks)) = (pace, khz, ticks.filter(|ticks| *ticks > 0)) {
        line.push_str(&format!(" lpj={}", khz.saturating_mul(1000) / ticks));
    }
    line
}

/// Measured once for all guests.
static TSC_KHZ: LazyLock<Option<u64>> = LazyLock::new(tsc::khz);

/// What a guest does when it is up.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// A shell on the terminal.
    Shell,
    /// The script at this path.
    Script(PathBuf),
    /// The script at this path, which is sent lines while it runs.
    Replay(PathBuf),
    /// Scenarios, one after the other.
    Scenarios(Vec<Turn>),
}

/// A scenario's turn in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Its name.
    pub(crate) scenario: String,
    /// Parameters that `resctrl.ko` is loaded with meanwhile.
    pub(crate) parameters: String,
}

/// Everything guests have in common; made once, used by all of them.
#[derive(Debug, Clone)]
pub(crate) struct Provisions {
    /// QEMU's program and its first arguments.
    pub(crate) qemu: Vec<std::ffi::OsString>,
    /// Firmware to boot through, where the guest needs one that QEMU does not find by itself.
    pub(crate) firmware: Option<PathBuf>,
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
    /// resctrl_aet.ko, if that is what runs and the kernel can.
    pub(crate) telemetry_module: Option<PathBuf>,
    /// What scenarios want beyond what every guest has, by its place in the guest.
    pub(crate) extra: BTreeMap<String, PathBuf>,
}

impl System {
    /// The kernel `kernel` with `implementation`; builds the module if it is out of date.
    ///
    /// # Errors
    ///
    /// The kernel is not installed or the module does not build.
    pub(crate) fn prepare(tools: &ToolRoot, kernel: &Kernel, implementation: Implementation) -> Result<Self> {
        let (module, telemetry_module) = match implementation {
            Implementation::Kernel => (None, None),
            Implementation::Rust => {
                let built = module_build::ensure(tools, kernel)?;
                (Some(built.path), built.telemetry)
            }
        };
        Ok(Self {
            kernel: kernel.clone(),
            installed: tools.kernel(kernel)?,
            module,
            telemetry_module,
            extra: BTreeMap::new(),
        })
    }

    /// Which resctrl runs.
    pub(crate) fn implementation(&self) -> Implementation {
        if self.module.is_some() { Implementation::Rust } else { Implementation::Kernel }
    }
}

/// The facts of a machine, as guests have them in their environment.
pub(crate) fn facts_of(machine: &Machine) -> BTreeMap<String, String> {
    facts::of(machine)
}

/// One guest to boot.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// Name of the machine.
    pub(crate) machine: String,
    /// What it is.
    pub(crate) hardware: Machine,
    /// The same as the text of one file, for the plugin.
    pub(crate) machine_text: String,
    /// Kernel and implementation.
    pub(crate) system: System,
    /// What the guest does.
    pub(crate) plan: Plan,
    /// Environment of scripts and scenarios.
    pub(crate) settings: BTreeMap<String, String>,
    /// More kernel arguments.
    pub(crate) append: String,
    /// More arguments for QEMU, or for the model.
    pub(crate) qemu_arguments: Vec<String>,
    /// What runs it.
    pub(crate) platform: Platform,
    /// What its clock counts.
    pub(crate) pace: Pace,
    /// What its user brings along.
    pub(crate) visit: Visit,
}

impl Spec {
    /// Instruction set.
    pub(crate) fn arch(&self) -> Arch {
        self.system.kernel.arch
    }

    /// How many times longer than a stock kernel in QEMU it takes for anything.
    pub(crate) fn slowness(&self) -> u32 {
        self.system.kernel.slowness * self.platform.slowness()
    }

    fn ports(&self) -> Ports {
        match self.platform {
            Platform::Qemu => Ports::of(self.arch()),
            Platform::Fvp(_) => Ports::FVP,
        }
    }

    /// The kernel command line.
    pub(crate) fn kernel_command_line(&self) -> String {
        let mut line = format!("console={},115200 {ARGUMENTS}", self.ports().console);
        line.push_str(&arch_arguments(self.arch(), self.pace, self.system.installed.ticks_a_second()));
        line.push_str(&self.visit.debugging.kernel_arguments());
        let kernel = &self.system.kernel;
        let off = match self.system.implementation() {
            // Two file systems called resctrl cannot be registered at once.
            Implementation::Rust => kernel.resctrl_off.as_str(),
            Implementation::Kernel => "",
        };
        for more in [&kernel.arguments, off, &self.append] {
            if !more.is_empty() {
                line.push(' ');
                line.push_str(more);
            }
        }
        line
    }

    /// The guest's root folder, and the firmware tables that go with it.
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
        for (place, file) in &self.system.extra {
            root.copy(place, file)?;
        }
        root.copy_folder("rig/lib", &guest.join("lib"))?;
        root.copy_folder("rig/clients", &guest.join("clients"))?;
        let telemetry: &[&str] = if self.hardware.telemetry.is_some() { TELEMETRY_MODULES } else { &[] };
        let memory: &[&str] = if self.hardware.memory_controllers.is_some() { MEMORY_CONTROLLER_MODULES } else { &[] };
        let mut drivers: Vec<PathBuf> = modules(self.arch())
            .iter()
            .chain(telemetry)
            .chain(memory)
            .filter_map(|name| self.system.installed.module(name))
            .collect();
        drivers.extend(self.visit.modules(&self.system.installed)?);
        for (number, path) in drivers.iter().enumerate() {
            let file = path.file_name().and_then(|file| file.to_str()).context("odd name")?;
            // Loaded in the order of their names.
            root.copy(&format!("rig/modules/{number:02}-{file}"), path)?;
        }
        if let Some(module) = self.system.telemetry_module.as_ref().filter(|_| !telemetry.is_empty()) {
            root.copy("rig/resctrl_aet.ko", module)?;
        }
        if let Some(module) = &self.system.module {
            root.copy("rig/resctrl.ko", module)?;
        }
        let tables = self.hardware.acpi_tables();
        let tables = if matches!(self.platform, Platform::Fvp(_)) { fvp::adopt(tables)? } else { tables };
        for (name, table) in tables {
            // Where the kernel looks for tables that replace the firmware's. It does so long before it unpacks
            // anything, and finds them because the archive is not compressed.
            root.file(&format!("kernel/firmware/acpi/{name}"), table);
        }
        root.file("rig/env", self.environment());
        self.visit.pack(&mut root)?;
        match &self.plan {
            Plan::Shell => {
                root.file("rig/plan", "shell\n");
                root.file("rig/welcome", self.welcome());
            }
            Plan::Script(path) | Plan::Replay(path) => {
                root.file("rig/plan", "script\n");
                root.copy("rig/script", path)?;
            }
            Plan::Scenarios(turns) => {
                let mut plan = "scenarios\n".to_owned();
                for Turn { scenario: name, parameters } in turns {
                    let file = format!("scenarios/{name}.sh");
                    if !parameters.is_empty() {
                        root.file(&format!("rig/parameters/{name}"), parameters.as_str());
                    }
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

    /// Environment of everything that runs in the guest: settings, facts of the machine, and for `init` the ports.
    fn environment(&self) -> String {
        let mut variables = self.settings.clone();
        variables.extend(facts::of(&self.hardware));
        variables.insert("MACHINE".to_owned(), self.machine.clone());
        variables.insert("IMPL".to_owned(), self.system.implementation().to_string());
        // The model is at its end when the guest turns the power off; QEMU, with -no-reboot, when it resets.
        let (platform, end) = match self.platform {
            Platform::Qemu => ("qemu", "reboot"),
            Platform::Fvp(_) => ("fvp", "poweroff"),
        };
        let fixed = [("PLATFORM", platform), ("END", end)];
        for (name, port) in self.ports().environment().into_iter().chain(fixed) {
            variables.insert(name.to_owned(), port.to_owned());
        }
        if let (true, Some(module)) = (self.visit.debugging.gdb, &self.system.module) {
            variables.insert("RIG_GDB".to_owned(), module.display().to_string());
        }
        variables.extend(self.visit.environment().into_iter().map(|(name, value)| (name.to_owned(), value)));
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
    use super::platform::Kind;
    use super::*;
    use crate::machine;

    fn spec(module: Option<PathBuf>) -> Spec {
        spec_of("intel", Arch::Amd64, module)
    }

    pub(super) fn spec_of(machine: &str, arch: Arch, module: Option<PathBuf>) -> Spec {
        let machine = machine::load(machine, Kind::Qemu).unwrap();
        let kernel = Kernel::load("stock", arch).unwrap();
        let installed = GuestKernel {
            arch,
            release: "7.3.4".to_owned(),
            image: PathBuf::new(),
            modules: PathBuf::new(),
            build: PathBuf::new(),
            compiler: None,
            cc: None,
        };
        Spec {
            machine: machine.name.to_string(),
            hardware: machine.hardware,
            machine_text: machine.text,
            system: System { kernel, installed, module, telemetry_module: None, extra: BTreeMap::new() },
            plan: Plan::Shell,
            settings: BTreeMap::from([("TEXT".to_owned(), "it's $HOME".to_owned())]),
            append: "rdt=!l3cat".to_owned(),
            qemu_arguments: Vec::new(),
            platform: Platform::Qemu,
            pace: Pace::Time,
            visit: Visit::default(),
        }
    }

    #[test]
    fn the_kernels_own_resctrl_is_kept_off_only_for_ours() {
        let off = Kernel::load("stock", Arch::Amd64).unwrap().resctrl_off;
        let (theirs, ours) = (spec(None), spec(Some(PathBuf::from("resctrl.ko"))));
        assert!(!theirs.kernel_command_line().contains(&off));
        assert!(ours.kernel_command_line().contains(&off));
        assert!(ours.kernel_command_line().ends_with(" rdt=!l3cat"));
    }

    #[test]
    fn a_kernel_gets_the_arguments_that_it_needs() {
        let mut spec = spec(None);
        spec.system.kernel.arguments = "no5lvl".to_owned();
        assert!(spec.kernel_command_line().contains(" no5lvl "));
    }

    #[test]
    fn each_instruction_set_has_its_console_and_its_clock() {
        let arm = spec_of("mpam", Arch::Arm64, Some(PathBuf::from("resctrl.ko"))).kernel_command_line();
        assert!(arm.starts_with("console=ttyAMA0,115200 ") && arm.contains(" arm64.nompam"), "{arm}");
        assert!(!arm.contains("tsc"), "{arm}");
        let intel = spec(None).kernel_command_line();
        assert!(intel.starts_with("console=ttyS0,115200 ") && intel.contains(" tsc=reliable"), "{intel}");
    }

    #[test]
    fn settings_reach_the_shell_as_they_are() {
        let environment = spec(None).environment();
        let script = format!("{environment}printf '%s %s' \"$TEXT\" \"$RMIDS\"");
        let printed = duct::cmd("sh", ["-c", &script]).read().unwrap();
        assert_eq!(printed, "it's $HOME 32");
    }
}
