// SPDX-License-Identifier: GPL-2.0-only
//! Arm's model FVP Base RevC: its command line, and what it finds in the guest's folder.
//!
//! The model boots its firmware from files. UEFI then sees the guest's folder through semihosting, as a file system, and
//! its shell runs `startup.nsh` there, which starts the kernel. Nobody has run this on a real FVP here: what is known of
//! the model comes from public scripts, and what may have to be changed is in `qemu-images/fvp/`.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Spec;
use super::qemu::Folder;
use crate::workspace;

/// An installed model with its firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    /// `FVP_Base_RevC-2xAEMvA`.
    pub(crate) program: PathBuf,
    /// TF-A's first stage.
    pub(crate) boot_rom: PathBuf,
    /// Its other stages, and UEFI.
    pub(crate) flash: PathBuf,
}

/// `qemu-images/fvp/platform.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    oem_id: String,
    oem_table_id: String,
    parameters: Vec<String>,
}

/// Cores of each of its two clusters.
const CLUSTER: usize = 4;

/// Files in the guest's folder that UEFI's shell needs.
const KERNEL: &str = "kernel.efi";
const STARTUP: &str = "startup.nsh";

impl Settings {
    fn load() -> Result<Self> {
        let path = workspace::root().join("qemu-images/fvp/platform.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let settings: Self = toml::from_str(&text).with_context(|| format!("{} is malformed", path.display()))?;
        ensure!(settings.oem_id.len() == 6, "{}: oem_id has 6 characters", path.display());
        ensure!(settings.oem_table_id.len() == 8, "{}: oem_table_id has 8 characters", path.display());
        Ok(settings)
    }
}

/// Puts kernel and start-up script into `folder`, where the guest's root folder is already.
///
/// # Errors
///
/// A file cannot be read or written.
pub(super) fn prepare(spec: &Spec, folder: &Folder) -> Result<()> {
    let kernel = folder.0.join(KERNEL);
    fs::copy(&spec.system.installed.image, &kernel)
        .with_context(|| format!("cannot copy the kernel to {}", kernel.display()))?;
    let initramfs = folder.initramfs();
    let initramfs = initramfs.file_name().context("a file has a name")?.to_string_lossy().into_owned();
    let startup = folder.0.join(STARTUP);
    fs::write(&startup, script(&initramfs, &spec.kernel_command_line()))
        .with_context(|| format!("cannot write {}", startup.display()))
}

/// What UEFI's shell does by itself: start the kernel of whichever file system has it.
fn script(initramfs: &str, command_line: &str) -> String {
    let lines = [
        "@echo -off".to_owned(),
        "for %d in FS0 FS1 FS2 FS3 FS4 FS5".to_owned(),
        format!("  if exist %d:\\{KERNEL} then"),
        "    %d:".to_owned(),
        format!("    {KERNEL} initrd=\\{initramfs} {command_line}"),
        "  endif".to_owned(),
        "endfor".to_owned(),
    ];
    lines.map(|line| line + "\r\n").concat()
}

/// The tables of the machine as the model's firmware would have made them, so that the kernel lets them replace its.
///
/// # Errors
///
/// The settings cannot be read.
pub(super) fn adopt(tables: Vec<(String, Vec<u8>)>) -> Result<Vec<(String, Vec<u8>)>> {
    let settings = Settings::load()?;
    Ok(tables.into_iter().map(|(name, table)| (name, renamed(table, &settings))).collect())
}

/// A table with another maker. Its header: ACPI 6.5, 5.2.6.
fn renamed(mut table: Vec<u8>, settings: &Settings) -> Vec<u8> {
    const CHECKSUM: usize = 9;
    table[10..16].copy_from_slice(settings.oem_id.as_bytes());
    table[16..24].copy_from_slice(settings.oem_table_id.as_bytes());
    table[CHECKSUM] = 0;
    table[CHECKSUM] = table.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    table
}

/// The command line for `spec` with its files in `folder`.
///
/// # Errors
///
/// The settings cannot be read, or the model has too few cores.
pub(super) fn command_line(spec: &Spec, model: &Model, folder: &Folder) -> Result<Vec<OsString>> {
    let settings = Settings::load()?;
    let cpus = spec.hardware.topology.cpus();
    ensure!(
        (1..=2 * CLUSTER).contains(&cpus),
        "the FVP has 1 to {} cores, machine {} {cpus}",
        2 * CLUSTER,
        spec.machine
    );
    let mut parameters = settings.parameters;
    parameters.push(format!("bp.secureflashloader.fname={}", model.boot_rom.display()));
    parameters.push(format!("bp.flashloader0.fname={}", model.flash.display()));
    parameters.push(format!("cluster0.NUM_CORES={}", cpus.min(CLUSTER)));
    parameters.push(format!("cluster1.NUM_CORES={}", cpus.saturating_sub(CLUSTER)));
    parameters.push("cluster0.cpu0.semihosting-enable=1".to_owned());
    parameters.push(format!("cluster0.cpu0.semihosting-cwd={}", folder.0.display()));
    // In the order of `Ports::fvp`: firmware's run-time messages go to the second port, with standard error.
    let ports = [folder.console(), folder.stderr(), folder.control(), folder.stdout()];
    for (number, file) in ports.iter().enumerate() {
        parameters.push(format!("bp.terminal_{number}.start_telnet=0"));
        parameters.push(format!("bp.pl011_uart{number}.out_file={}", file.display()));
        // Written at once, and as fast as the guest can: the rig reads along.
        parameters.push(format!("bp.pl011_uart{number}.unbuffered_output=1"));
        parameters.push(format!("bp.pl011_uart{number}.untimed_fifos=1"));
    }
    let mut line: Vec<OsString> = vec![model.program.clone().into()];
    line.extend(parameters.iter().flat_map(|parameter| ["-C".into(), parameter.into()]));
    line.extend(spec.qemu_arguments.iter().map(OsString::from));
    Ok(line)
}

#[cfg(test)]
mod tests;
