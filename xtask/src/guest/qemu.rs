// SPDX-License-Identifier: GPL-2.0-only
//! QEMU's command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Plan, Provisions, Spec};
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

    /// What QEMU itself says.
    pub(crate) fn qemu(&self) -> PathBuf {
        self.0.join("qemu.log")
    }

    /// The guest's root folder.
    pub(crate) fn initramfs(&self) -> PathBuf {
        self.0.join("initramfs.cpio")
    }
}

/// A path as part of one of QEMU's comma-separated options: commas are doubled.
fn option_path(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The command line for `spec` with its files in `folder`.
pub(crate) fn command_line(spec: &Spec, provisions: &Provisions, folder: &Folder) -> Vec<OsString> {
    let mut line = provisions.qemu.clone();
    let mut add = |words: &[&str]| line.extend(words.iter().map(OsString::from));
    // If xtask dies without cleaning up, the kernel ends QEMU for it.
    add(&["-run-with", "exit-with-parent=on"]);
    add(&["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
    // One thread a vCPU: without it the races that hotplug stress looks for cannot happen.
    add(&["-accel", "tcg,thread=multi"]);
    for argument in spec.hardware.qemu_args() {
        add(&[&argument]);
    }
    if let Some(firmware) = &provisions.firmware {
        add(&["-bios", &firmware.display().to_string()]);
    }
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
    for (number, chardev) in [control, output, file("error", folder.stderr())].iter().enumerate() {
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
    if spec.hardware.rdt.is_some() || spec.hardware.qos.is_some() || spec.hardware.mpam.is_some() {
        let plugin = option_path(&provisions.plugin);
        add(&["-plugin", &format!("{plugin},machine={}", option_path(&spec.machine_file))]);
    }
    for argument in &spec.qemu_arguments {
        add(&[argument]);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_comma_stays_one_option() {
        assert_eq!(option_path(Path::new("/a,b/c.so")), "/a,,b/c.so");
    }
}
