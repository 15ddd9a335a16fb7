// SPDX-License-Identifier: GPL-2.0-only
//! What a QEMU of somebody else's needs for a machine, in one folder, and how it is told of it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use resctrl_hardware::Machine;

use crate::guest::Pace;
use crate::guest::qemu::{self, Folder, Plugin};
use crate::initramfs::Initramfs;
use crate::kernels::Arch;
use crate::machine::Chosen;
use crate::shell::word;
use crate::toolroot::ToolRoot;

/// The folder, made.
#[derive(Debug)]
pub(super) struct Parts {
    folder: PathBuf,
    /// The machine.
    pub(super) machine: Machine,
    /// QEMU's program, and what it needs to run.
    qemu: Vec<OsString>,
    firmware: Option<PathBuf>,
}

impl Parts {
    /// Makes the folder.
    pub(super) fn make(machine: &Chosen, plugin: &Path, tools: &ToolRoot, folder: PathBuf) -> Result<Self> {
        let arch = machine.arch();
        let parts = Self {
            folder,
            machine: machine.hardware.clone(),
            qemu: tools.qemu_command(arch),
            firmware: tools.firmware(arch),
        };
        fs::create_dir_all(&parts.folder).with_context(|| format!("cannot make {}", parts.folder.display()))?;
        // In its place at once: a QEMU that has the older one goes on with that.
        let library = parts.library();
        let fresh = library.with_extension("so.new");
        fs::copy(plugin, &fresh)
            .and_then(|_| fs::rename(&fresh, &library))
            .with_context(|| format!("cannot write {}", library.display()))?;
        parts.write(&parts.machine_file(), &machine.text)?;
        if let Some(tables) = parts.tables() {
            let mut archive = Initramfs::default();
            for (name, table) in parts.machine.acpi_tables() {
                archive.file(&format!("kernel/firmware/acpi/{name}"), table);
            }
            archive.save(&tables)?;
        }
        let script = parts.script();
        parts.write(&script, &parts.script_text())?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(parts)
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn library(&self) -> PathBuf {
        self.folder.join("libresctrl_qemu_plugin.so")
    }

    fn machine_file(&self) -> PathBuf {
        self.folder.join("machine.toml")
    }

    /// The archive that an initial RAM disk has to begin with, for a machine whose firmware does not tell of its hardware.
    pub(super) fn tables(&self) -> Option<PathBuf> {
        self.machine.mpam.is_some().then(|| self.folder.join("tables.cpio"))
    }

    /// The script that is QEMU with the machine.
    pub(super) fn script(&self) -> PathBuf {
        self.folder.join(match Arch::from(self.machine.arch) {
            Arch::Amd64 => "qemu-system-x86_64",
            Arch::Arm64 => "qemu-system-aarch64",
        })
    }

    fn plugin_arguments(&self) -> Vec<String> {
        let plugin = Plugin {
            library: &self.library(),
            machine: &self.machine_file(),
            registers: None,
            sockets: &qemu::short_path(&Folder(self.folder.clone())),
            counts: false,
        };
        qemu::plugin_arguments(&self.machine, &plugin)
    }

    /// QEMU's words of the command line, beginning with the program.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = self.program();
        words.extend(qemu::machine_arguments(&self.machine, Pace::Time, self.firmware.as_deref()));
        words.extend(self.plugin_arguments());
        words
    }

    /// QEMU's program, with what it needs to run.
    pub(super) fn program(&self) -> Vec<String> {
        self.qemu.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    /// The command line, as a shell takes it.
    pub(super) fn command_line(&self) -> String {
        line(&self.words())
    }

    /// QEMU takes the first accelerator that it can have, and of everything else that is said twice the last: so who calls the
    /// script may say what they like of processors and memory, as virtme-ng and kunit.py do.
    fn script_text(&self) -> String {
        let arguments = qemu::machine_arguments(&self.machine, Pace::Time, self.firmware.as_deref());
        let (accelerator, rest) = arguments.split_at(2);
        format!(
            "#!/bin/sh\n# QEMU with a machine of resctrl's under its guest: {}\nexec {} {} \"$@\" {} {}\n",
            self.machine.description,
            line(&self.program()),
            line(accelerator),
            line(rest),
            line(&self.plugin_arguments())
        )
    }

    /// What a user has to know beside the command line.
    pub(super) fn notes(&self) -> String {
        let mut notes = format!(
            "add -kernel, -initrd, -append and what else your guest needs, or call {}, which is QEMU with all this; docs/plugin.md \
             has the rest",
            self.script().display()
        );
        if let Some(tables) = self.tables() {
            notes.push_str(&format!(
                "\nthe initrd has to begin with the machine's ACPI tables, uncompressed: cat {} YOUR-INITRD >initrd",
                word(&tables.to_string_lossy())
            ));
        }
        notes
    }
}

/// Words as a line of a shell.
pub(super) fn line(words: &[String]) -> String {
    words.iter().map(|text| word(text)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of a machine, not written anywhere.
    pub(crate) fn parts(name: &str) -> Parts {
        let machine = crate::machine::load(name, crate::guest::platform::Kind::Qemu).unwrap().hardware;
        Parts { folder: "/it's/here".into(), machine, qemu: vec!["/q/qemu".into()], firmware: None }
    }

    #[test]
    fn the_command_line_has_all_that_makes_the_machine() {
        assert_eq!(
            parts("intel").command_line(),
            "/q/qemu -accel tcg,thread=multi -machine q35 -cpu max,vendor=GenuineIntel,level=0x10 -smp \
             4,sockets=2,cores=2,threads=1 -m 1G -plugin \
             '/it'\\''s/here/libresctrl_qemu_plugin.so,machine=/it'\\''s/here/machine.toml'"
        );
        let nodes = parts("intel-snc").command_line();
        assert!(nodes.contains(" -numa node,nodeid=0,cpus=0-"), "{nodes}");
        let arm = Parts { firmware: Some("/f/efi.fd".into()), ..parts("mpam") };
        let line = arm.command_line();
        for part in ["gic-version=3,nvdimm=on", " -device nvdimm,memdev=msc,", " -bios /f/efi.fd "] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(arm.notes().contains("cat '/it'\\''s/here/tables.cpio' YOUR-INITRD"), "{}", arm.notes());
    }

    #[test]
    fn each_package_with_telemetry_has_its_device() {
        let parts = parts("intel-aet");
        let devices = parts.words().iter().filter(|word| word.contains("vfio-user-pci")).count();
        assert_eq!(devices, parts.machine.topology.sockets);
    }

    #[test]
    fn the_script_has_the_last_word_on_everything_but_the_accelerator() {
        let text = parts("intel").script_text();
        let (before, after) = text.split_once(" \"$@\" ").unwrap();
        assert!(before.ends_with("exec /q/qemu -accel tcg,thread=multi"), "{text}");
        assert!(after.starts_with("-machine q35 -cpu ") && after.contains(" -plugin "), "{text}");
    }
}
