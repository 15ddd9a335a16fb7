// SPDX-License-Identifier: GPL-2.0-only
//! QEMU's command line.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use resctrl_hardware::Machine;

use super::{Pace, Plan, Provisions, Spec};
use crate::kernels::Arch;

/// Files of a running guest, all in one folder of its own.
#[derive(Debug, Clone)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// The kernel's console, complete.
    pub(crate) fn console(&self) -> PathBuf {
        self.0.join("console.log")
    }

    /// The control channel.
    pub(crate) fn control(&self) -> PathBuf {
        self.0.join("control.log")
    }

    /// Standard output of a script.
    pub(crate) fn stdout(&self) -> PathBuf {
        self.0.join("stdout")
    }

    /// What a guest that carries out sequences is sent: a pipe.
    pub(crate) fn input(&self) -> PathBuf {
        self.0.join("input")
    }

    /// Standard error of a script.
    pub(crate) fn stderr(&self) -> PathBuf {
        self.0.join("stderr")
    }

    /// What the kernel did in the last seconds before a scenario failed.
    pub(crate) fn trace(&self) -> PathBuf {
        self.0.join("trace.log")
    }

    /// What the registers of the emulated hardware held when a scenario failed, and at the end.
    pub(crate) fn registers(&self) -> PathBuf {
        self.0.join("registers.txt")
    }

    /// What scenarios' guests hand over.
    pub(crate) fn out(&self) -> PathBuf {
        self.0.join("out")
    }

    /// What QEMU itself says.
    pub(crate) fn qemu(&self) -> PathBuf {
        self.0.join("qemu.log")
    }

    /// The machine, all in one file: what the plugin reads.
    pub(crate) fn machine(&self) -> PathBuf {
        self.0.join("machine.toml")
    }

    /// The guest's root folder.
    pub(crate) fn initramfs(&self) -> PathBuf {
        self.0.join("initramfs.cpio")
    }
}

/// A path as part of one of QEMU's comma-separated options: commas are doubled.
pub(super) fn option_path(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Where a guest's sockets are. Their path must be short, which that of the guest's folder need not be; it is
/// that folder's alone, and no two guests share one.
pub(crate) fn short_path(folder: &Folder) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    std::path::absolute(&folder.0).unwrap_or_else(|_| folder.0.clone()).hash(&mut hasher);
    std::env::temp_dir().join(format!("resctrl-rig-{:016x}", hasher.finish()))
}

/// The plugin below a guest.
#[derive(Debug)]
pub(crate) struct Plugin<'a> {
    /// Its file.
    pub(crate) library: &'a Path,
    /// The machine, all in one file.
    pub(crate) machine: &'a Path,
    /// Where it writes down what the registers hold.
    pub(crate) registers: Option<&'a Path>,
    /// Where the machine's PCI devices are served: the beginning of the path of the sockets.
    pub(crate) sockets: &'a Path,
    /// It counts what the guest does.
    pub(crate) counts: bool,
}

/// Without these a kernel for x86 clears and copies by loops of 8 to 64 bytes a round, not by one instruction a piece, of which QEMU
/// executes a round for each byte. Figures of benchmarks are of a kernel that has them.
const NO_LONG_MOVES: &str = ",erms=off,fsrm=off,fzrm=off,fsrs=off,fsrc=off";

/// A processor without them, unless it says itself that it has them: QEMU takes the last of what is said twice.
fn without_long_moves(cpu: &str) -> String {
    let (model, properties) = cpu.split_at(cpu.find(',').unwrap_or(cpu.len()));
    format!("{model}{NO_LONG_MOVES}{properties}")
}

/// The part of a command line that makes QEMU the machine: how it executes, processors, memory, firmware.
pub(crate) fn machine_arguments(machine: &Machine, pace: Pace, firmware: Option<&Path>) -> Vec<String> {
    let accelerator: &[&str] = match pace {
        // One thread a vCPU: without it the races that hotplug stress looks for cannot happen.
        Pace::Time => &["-accel", "tcg,thread=multi"],
        // Nobody waits for the time that an idle guest lets pass.
        Pace::Instructions => &["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"],
    };
    let mut words: Vec<String> = accelerator.iter().map(|&word| word.to_owned()).collect();
    words.extend(machine.qemu_args());
    if let Some(firmware) = firmware {
        words.extend(["-bios".to_owned(), firmware.display().to_string()]);
    }
    words
}

/// The part of a command line that puts the emulated hardware below the guest. None for a machine without any.
pub(crate) fn plugin_arguments(machine: &Machine, plugin: &Plugin<'_>) -> Vec<String> {
    if !machine.has_controls() {
        return Vec::new();
    }
    let Plugin { library, machine: file, registers, sockets, counts } = plugin;
    let mut options = format!("{},machine={}", option_path(library), option_path(file));
    if let Some(registers) = registers {
        options.push_str(&format!(",registers={}", option_path(registers)));
    }
    if *counts {
        options.push_str(",count=yes");
    }
    let mut words = Vec::new();
    let devices = machine.devices();
    if !devices.is_empty() {
        options.push_str(&format!(",devices={}", option_path(sockets)));
    }
    for (place, device) in devices.iter().enumerate() {
        let socket = format!(r#"{{"type":"unix","path":"{}.{place}"}}"#, sockets.display());
        let address = device.address().map(|address| format!(r#","addr":"{address}","multifunction":true"#));
        let address = address.unwrap_or_default();
        words.extend(["-device".to_owned(), format!(r#"{{"driver":"vfio-user-pci","socket":{socket}{address}}}"#)]);
    }
    words.extend(["-plugin".to_owned(), options]);
    words
}

/// The command line for `spec` with its files in `folder`.
pub(crate) fn command_line(spec: &Spec, provisions: &Provisions, folder: &Folder) -> Vec<OsString> {
    let mut line = provisions.qemu.clone();
    let mut add = |words: &[&str]| line.extend(words.iter().map(OsString::from));
    // If xtask dies without cleaning up, the kernel ends QEMU for it.
    add(&["-run-with", "exit-with-parent=on"]);
    add(&["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
    let mut machine = machine_arguments(&spec.hardware, spec.pace, provisions.firmware.as_deref());
    let cpu = machine.iter().position(|word| word == "-cpu");
    if let (Pace::Time, Arch::Amd64, Some(option)) = (spec.pace, spec.arch(), cpu) {
        machine[option + 1] = without_long_moves(&machine[option + 1]);
    }
    machine.iter().for_each(|argument| add(&[argument]));
    let file = |id: &str, path: PathBuf| format!("file,id={id},path={}", option_path(&path));
    add(&["-chardev", &file("console", folder.console()), "-serial", "chardev:console"]);
    let control = match spec.plan {
        // Ctrl-C belongs to the guest; with mux=on, Ctrl-a x ends QEMU.
        Plan::Shell => "stdio,id=control,mux=on,signal=off".to_owned(),
        _ => file("control", folder.control()),
    };
    let mut output = file("output", folder.stdout());
    if let Plan::Replay(_) = spec.plan {
        output.push_str(&format!(",input-path={}", option_path(&folder.input())));
    }
    // Scenarios have their standard error on the control channel.
    let error = if let Plan::Scenarios(_) = spec.plan { folder.trace() } else { folder.stderr() };
    for (number, chardev) in [control, output, file("error", error)].iter().enumerate() {
        add(&["-chardev", chardev]);
        let id = ["control", "output", "error"][number];
        match spec.arch() {
            Arch::Amd64 => add(&["-serial", &format!("chardev:{id}")]),
            // In the order of their slots the kernel numbers them.
            Arch::Arm64 => add(&["-device", &format!("pci-serial,chardev={id},addr={:#x}", number + 1)]),
        }
    }
    add(&["-kernel", &spec.system.installed.image.display().to_string()]);
    add(&["-initrd", &folder.initramfs().display().to_string()]);
    add(&["-append", &spec.kernel_command_line()]);
    let plugin = Plugin {
        library: &provisions.plugin,
        machine: &folder.machine(),
        registers: Some(&folder.registers()),
        sockets: &short_path(folder),
        counts: spec.pace == Pace::Instructions,
    };
    for argument in plugin_arguments(&spec.hardware, &plugin) {
        add(&[&argument]);
    }
    for argument in &spec.qemu_arguments {
        add(&[argument]);
    }
    // After the serial ports, whose places on Arm are fixed.
    line.extend(spec.visit.qemu_arguments(folder));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provisions() -> Provisions {
        Provisions {
            qemu: Vec::new(),
            firmware: None,
            busybox: PathBuf::new(),
            tools: Vec::new(),
            plugin: PathBuf::from("p.so"),
        }
    }

    #[test]
    fn each_package_with_telemetry_is_a_device_on_a_socket_of_the_plugins() {
        let spec = crate::guest::tests::spec_of("intel-aet", Arch::Amd64, None);
        let line = |folder: &str| {
            let line = command_line(&spec, &provisions(), &Folder(PathBuf::from(folder)));
            line.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>()
        };
        let words = line("/run/1");
        let plugin = words.iter().find(|word| word.starts_with("p.so,")).unwrap();
        let socket = plugin.split_once(",devices=").unwrap().1;
        for package in ["0", "1"] {
            let path = format!("\"path\":\"{socket}.{package}\"");
            assert_eq!(words.iter().filter(|word| word.contains(&path)).count(), 1, "{words:?}");
        }
        assert!(!line("/run/2").contains(plugin), "two guests share a socket");
    }

    #[test]
    fn functions_of_memory_controllers_have_their_places() {
        let machine = crate::guest::tests::spec_of("intel-imc", Arch::Amd64, None).hardware;
        let plugin = Plugin {
            library: Path::new("p.so"),
            machine: Path::new("m.toml"),
            registers: None,
            sockets: Path::new("/s"),
            counts: false,
        };
        let words = plugin_arguments(&machine, &plugin);
        let devices: Vec<_> = words.iter().filter(|word| word.contains("vfio-user-pci")).collect();
        assert_eq!(devices.len(), 1 + 4 + 6, "{words:?}");
        assert_eq!(
            devices[2],
            r#"{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/s.2"},"addr":"0a.2","multifunction":true}"#
        );
    }

    #[test]
    fn a_processor_copies_in_loops_unless_it_says_otherwise_or_is_measured() {
        assert_eq!(without_long_moves("max"), format!("max{NO_LONG_MOVES}"));
        assert_eq!(without_long_moves("max,level=0x10,erms=on"), format!("max{NO_LONG_MOVES},level=0x10,erms=on"));
        let cpu = |name: &str, arch, pace| {
            let spec = Spec { pace, ..crate::guest::tests::spec_of(name, arch, None) };
            let line = command_line(&spec, &provisions(), &Folder("/run".into()));
            let cpu = line.iter().skip_while(|word| *word != "-cpu").nth(1).unwrap();
            cpu.to_str().unwrap().contains("erms=off")
        };
        assert!(cpu("intel", Arch::Amd64, Pace::Time));
        assert!(!cpu("intel", Arch::Amd64, Pace::Instructions) && !cpu("mpam", Arch::Arm64, Pace::Time));
    }

    #[test]
    fn a_path_with_a_comma_stays_one_option() {
        assert_eq!(option_path(Path::new("/a,b/c.so")), "/a,,b/c.so");
    }
}
