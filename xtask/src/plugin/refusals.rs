// SPDX-License-Identifier: GPL-2.0-only
//! Starts QEMU with other arguments than the machine's: the plugin has to refuse each, and to say which it should have been.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use resctrl_hardware::machine::{Machine, Topology};

use super::check::{self, run_line};
use super::parts::{self, Parts};
use crate::kernels::{Arch, Kernel};
use crate::toolroot::ToolRoot;

/// How long QEMU may take to come to where it is refused. On Arm the kernel has to come up for one of them.
const LIMIT: Duration = Duration::from_secs(300);

/// Firmware of x86 that asks the processor who it is and ends QEMU, with [`ASKED`]: the uppermost 64 KiB of the address space.
const PROGRAM: &[u8] = &[
    0x66, 0x31, 0xc0, 0x0f, 0xa2, // xor eax, eax; cpuid
    0x66, 0xb8, 1, 0, 0, 0, 0x0f, 0xa2, // mov eax, 1; cpuid
    0x66, 0xb8, 0x0b, 0, 0, 0, 0x66, 0x31, 0xc9, 0x0f, 0xa2, // mov eax, 0xb; xor ecx, ecx; cpuid
    0x66, 0xb8, 0x0b, 0, 0, 0, 0x66, 0xb9, 1, 0, 0, 0, 0x0f, 0xa2, // mov eax, 0xb; mov ecx, 1; cpuid
    0x66, 0xb8, 0, 0, 0, 0x80, 0x0f, 0xa2, // mov eax, 0x80000000; cpuid
    0xb0, 0x10, 0xe6, 0xf4, // mov al, 0x10; out 0xf4, al
    0xf4, 0xeb, 0xfd, // hlt; and again
];
const SIZE: usize = 0x1_0000;
/// Where a processor begins in it, and the jump from there to its beginning.
const RESET: usize = 0xfff0;
const JUMP: [u8; 3] = [0xe9, 0x0d, 0x00];
/// What QEMU's device for that makes of 0x10.
const ASKED: i32 = 0x10 << 1 | 1;

fn firmware() -> Vec<u8> {
    let mut firmware = vec![0xf4; SIZE];
    firmware[..PROGRAM.len()].copy_from_slice(PROGRAM);
    firmware[RESET..RESET + JUMP.len()].copy_from_slice(&JUMP);
    firmware
}

/// An argument of another machine, and what has to be said of it.
#[derive(Debug, PartialEq, Eq)]
struct Other {
    option: &'static str,
    value: String,
    why: &'static str,
}

fn other(option: &'static str, value: impl Into<String>, why: &'static str) -> Other {
    Other { option, value: value.into(), why }
}

/// `-smp` for so many sockets, cores and threads.
fn smp(sockets: usize, cores: usize, threads: usize) -> String {
    format!("{},sockets={sockets},cores={cores},threads={threads}", sockets * cores * threads)
}

/// Other arguments than the machine's.
fn others(machine: &Machine) -> Vec<Other> {
    let Topology { sockets, cores, threads, .. } = machine.topology;
    let cpus = machine.topology.cpus();
    let mut others = vec![
        other("-smp", smp(sockets + 1, cores, threads), " CPUs, QEMU was started with "),
        other(
            "-smp",
            format!("{cpus},maxcpus={},sockets={sockets},cores={},threads={threads}", 2 * cpus, 2 * cores),
            "room for",
        ),
    ];
    let cpu = &machine.qemu.cpu;
    match Arch::from(machine.arch) {
        Arch::Amd64 => {
            let merged = if sockets == 1 { smp(cores, 1, threads) } else { smp(1, sockets * cores, threads) };
            others.extend((sockets * cores > 1).then(|| other("-smp", merged, " CPUs to a socket, the machine ")));
            let paired = match threads {
                1 => (cores % 2 == 0).then(|| smp(sockets, cores / 2, 2)),
                _ => Some(smp(sockets, cores * threads, 1)),
            };
            others.extend(paired.map(|value| other("-smp", value, " threads to a core, the machine ")));
            others.extend([
                other("-cpu", format!("{cpu},vendor=SomebodyElse"), "QEMU's processor is by SomebodyElse"),
                other("-cpu", format!("{cpu},family=6,model=183,stepping=1"), "QEMU's processor is of "),
                other("-cpu", format!("{cpu},level=0xd"), "leaves of CPUID up to 0xd"),
            ]);
        }
        Arch::Arm64 => {
            let stranger = if cpu.starts_with("cortex-a72") { "cortex-a57" } else { "cortex-a72" };
            let flipped = if machine.mpam.as_ref().is_some_and(|mpam| mpam.el2) { "off" } else { "on" };
            others.extend([
                other("-cpu", stranger, "QEMU's processor is a "),
                other("-machine", format!("{},gic-version=2,nvdimm=on", machine.qemu.machine), "older than version 3"),
                other(
                    "-machine",
                    format!("{},gic-version=3,nvdimm=on,virtualization={flipped}", machine.qemu.machine),
                    "EL2",
                ),
                other("-device", "", "QEMU has no memory at "),
            ]);
        }
    }
    others
}

/// The words with another argument: what is empty is left out.
fn with(words: &[String], other: &Other) -> Option<Vec<String>> {
    let mut words = words.to_vec();
    let place = words.iter().position(|word| word == other.option)?;
    match other.value.is_empty() {
        true => drop(words.drain(place..place + 2)),
        false => words.get_mut(place + 1)?.clone_from(&other.value),
    }
    Some(words)
}

/// Has every other argument refused.
pub(super) fn run(parts: &Parts, kernel: &Kernel, tools: &ToolRoot) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (words, log) = (parts.words(), folder.path().join("said"));
    let more = match kernel.arch {
        Arch::Amd64 => {
            let rom = folder.path().join("firmware");
            fs::write(&rom, firmware())?;
            let device = "isa-debug-exit,iobase=0xf4";
            ["-nodefaults", "-display", "none", "-device", device, "-bios", &rom.display().to_string()]
                .map(str::to_owned)
                .to_vec()
        }
        Arch::Arm64 => {
            let initrd = check::initrd(parts, &tools.busybox(kernel.arch), folder.path())?;
            check::to_boot(&tools.kernel(kernel)?.image, &initrd, kernel.arch, &kernel.arguments)
        }
    };
    if kernel.arch == Arch::Amd64 {
        // On Arm the guest that was compared has shown it.
        let ended = run_line(&parts::line(&[&words[..], &more].concat()), &log, LIMIT)?;
        ensure!(ended.code == Some(ASKED), "the machine's own arguments are refused: {ended:?}");
    }
    let others = others(&parts.machine);
    for other in &others {
        let words = with(&words, other).with_context(|| format!("the command line has no {}", other.option))?;
        let ended = run_line(&parts::line(&[&words[..], &more].concat()), &log, LIMIT)?;
        let said = ended.said.lines().find_map(|line| Some(line.split_once("resctrl plugin: ")?.1));
        ensure!(
            ended.code == Some(1) && said.is_some_and(|said| said.contains(other.why) && said.contains(": use -")),
            "`{} {}` is not refused with `{}`: {ended:?}",
            other.option,
            other.value,
            other.why
        );
        eprintln!("{} {}: refused: {}", other.option, other.value, said.unwrap_or_default());
    }
    eprintln!("{} other command lines were refused", others.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str) -> Machine {
        crate::machine::load(name, crate::guest::platform::Kind::Qemu).unwrap().hardware
    }

    #[test]
    fn every_other_argument_is_another() {
        for name in crate::machine::names(crate::guest::platform::Kind::Qemu).unwrap() {
            let machine = machine(&name);
            let words = machine.qemu_args();
            for other in others(&machine) {
                let changed = with(&words, &other);
                assert!(changed.is_none_or(|changed| changed != words), "{name}: {other:?}");
            }
        }
    }

    #[test]
    fn sockets_cores_threads_and_processor_are_among_them() {
        let options = |name: &str| others(&machine(name)).into_iter().map(|other| other.value).collect::<Vec<_>>();
        let intel = options("intel");
        for value in ["4,sockets=1,cores=4,threads=1", "4,sockets=2,cores=1,threads=2"] {
            assert!(intel.iter().any(|option| option == value), "{intel:?}");
        }
        assert!(options("mpam").iter().any(|option| option == "cortex-a72"));
    }

    #[test]
    fn the_jump_leads_to_the_beginning() {
        let behind = RESET + JUMP.len();
        let distance = usize::from(u16::from_le_bytes([JUMP[1], JUMP[2]]));
        assert_eq!((behind + distance) % SIZE, 0);
        assert_eq!(firmware().len(), SIZE);
    }
}
