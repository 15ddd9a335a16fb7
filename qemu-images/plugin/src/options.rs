// SPDX-License-Identifier: GPL-2.0-only
//! What follows the plugin's file name on QEMU's command line.

use crate::kept::Kept;
use crate::log::Log;
use crate::qemu::{Guest, Target};
use resctrl_hardware::Machine;
use resctrl_hardware::machine::Arch;
use std::path::{Path, PathBuf};

const USAGE: &str = "options are machine=PATH (required), log=PATH, registers=PATH, devices=PATH and count=yes";

/// The options, with the files behind them opened.
#[derive(Debug)]
pub(crate) struct Options {
    /// The machine file, for messages.
    pub(crate) machine_path: PathBuf,
    /// The machine.
    pub(crate) machine: Machine,
    /// Where register writes are told; nowhere if not given.
    pub(crate) log: Option<Log>,
    /// Where what the registers hold is written down; nowhere if not given.
    pub(crate) kept: Option<Kept>,
    /// Path of the sockets on which the machine's PCI devices are served; not at all if not given.
    pub(crate) devices: Option<String>,
    /// Count what the guest does, for [`Request::Executed`](resctrl_hardware::control::Request::Executed).
    pub(crate) count: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let (mut machine, mut log, mut kept, mut devices, mut count) = (None, None, None, None, None);
        for argument in arguments {
            let slot = match argument.split_once('=') {
                Some(("machine", path)) => (&mut machine, path),
                Some(("log", path)) => (&mut log, path),
                Some(("registers", path)) => (&mut kept, path),
                Some(("devices", path)) => (&mut devices, path),
                Some(("count", "yes")) => (&mut count, "yes"),
                _ => return Err(format!("option \"{argument}\" is not known; {USAGE}")),
            };
            if slot.1.is_empty() {
                return Err(format!("option \"{argument}\" names no file; {USAGE}"));
            }
            if slot.0.replace(slot.1.to_owned()).is_some() {
                return Err(format!("option \"{argument}\" is there twice; {USAGE}"));
            }
        }
        let machine_path = PathBuf::from(machine.ok_or_else(|| format!("no machine given; {USAGE}"))?);
        let machine = Machine::load(&machine_path).map_err(|problem| problem.to_string())?;
        let log = log.map(|path| Log::create(Path::new(&path))).transpose()?;
        let kept = kept.map(|path| Kept::create(Path::new(&path))).transpose()?;
        Ok(Self { machine_path, machine, log, kept, devices, count: count.is_some() })
    }

    /// Checks that the machine is one for these guests, with as many CPUs as QEMU was started with.
    pub(crate) fn check(&self, guest: Guest, target: &Target) -> Result<(), String> {
        let path = self.machine_path.display();
        let (arch, name) = match guest {
            Guest::X86 => (Arch::X86_64, "x86_64"),
            Guest::Aarch64 => (Arch::Aarch64, "aarch64"),
        };
        if self.machine.arch != arch {
            return Err(format!("{path}: arch is not \"{name}\", which this QEMU emulates"));
        }
        let Target { cpus, most_cpus, .. } = *target;
        if self.machine.topology.cpus() != cpus {
            return Err(format!(
                "{path} describes {} CPUs, QEMU was started with {cpus}: use -smp {}",
                self.machine.topology.cpus(),
                self.machine.smp()
            ));
        }
        if most_cpus != cpus {
            return Err(format!(
                "{path}: QEMU was started with room for {most_cpus} CPUs, and the machine has no more than {cpus}: use -smp {}",
                self.machine.smp()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(arguments: &[&str]) -> String {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        Options::parse(&arguments).expect_err("these options are no good")
    }

    #[test]
    fn bad_options_are_named() {
        assert!(problem(&[]).starts_with("no machine given"));
        assert!(problem(&["color=red"]).starts_with("option \"color=red\" is not known"));
        assert!(problem(&["on"]).starts_with("option \"on\" is not known"));
        assert!(problem(&["machine="]).contains("names no file"));
        assert!(problem(&["log=a", "log=b"]).contains("is there twice"));
        assert!(problem(&["count=1"]).starts_with("option \"count=1\" is not known"));
    }

    #[test]
    fn a_machine_file_that_is_not_there_is_named() {
        assert!(problem(&["machine=no/such.toml"]).starts_with("no/such.toml: "));
    }

    #[test]
    fn a_machine_of_another_make_or_size_is_refused() {
        let machine = concat!("machine=", env!("CARGO_MANIFEST_DIR"), "/../machines/mpam.toml");
        let options = Options::parse(&[machine.to_owned()]).expect("the file is good");
        assert!(!options.count, "nobody asked for it");
        let with = Target::with_cpus;
        assert_eq!(options.check(Guest::Aarch64, &with(4, 4)), Ok(()));
        assert!(options.check(Guest::X86, &with(4, 4)).unwrap_err().contains("arch is not \"x86_64\""));
        let fewer = options.check(Guest::Aarch64, &with(2, 2)).unwrap_err();
        assert!(fewer.contains("describes 4 CPUs, QEMU was started with 2"), "{fewer}");
        let more = options.check(Guest::Aarch64, &with(4, 8)).unwrap_err();
        assert!(more.contains("room for 8 CPUs") && more.ends_with("use -smp 4,sockets=1,cores=4,threads=1"), "{more}");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_named() {
        let machine = concat!("machine=", env!("CARGO_MANIFEST_DIR"), "/../machines/intel.toml");
        assert!(problem(&[machine, "log=no/such/dir"]).starts_with("log no/such/dir: "));
    }
}
