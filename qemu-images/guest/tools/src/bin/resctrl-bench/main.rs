// SPDX-License-Identifier: GPL-2.0-only
//! What operations on resctrl cost, one line each.
//!
//! Meant for a guest whose clock counts instructions (`cargo xtask bench`): then the time between two readings of the
//! counter is the number of instructions that all CPUs together could have executed meanwhile, and the same for each boot.

mod clock;
mod counters;
mod files;
mod groups;
mod hotplug;
mod memory;
mod readers;
mod sample;
mod scaling;
mod tasks;
mod workers;

use std::ffi::OsStr;
use std::fs::{read_to_string, write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use guest_tools::{Arguments, Failure, Outcome, main as run_program, unknown_command};
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use sample::Sampler;

const HELP: &str = "\
Measures what operations on resctrl cost and prints a line for each:

  NAME <tab> cost=NUMBER [<tab> elapsed=NUMBER] <tab> interrupts= <tab> reads= <tab> writes= <tab> samples=

The cost is in ticks of the processor's counter; of operations that wait, in instructions that CPUs executed, and then
elapsed is what it took with all waiting. Interrupts are those between CPUs, reads and writes those of resctrl's registers.
All are medians. The cost of memory:NAME is bytes.

  run [quick] [--only TEXT]    everything, or what takes little time; only what has TEXT in its name

resctrl must not be mounted. Exit code 1 where something cannot be measured.
";

/// Where resctrl is mounted.
const ROOT: &str = "/sys/fs/resctrl";

fn main() -> ExitCode {
    run_program("resctrl-bench", HELP, run)
}

fn run(command: &str, arguments: &mut Arguments) -> Outcome {
    if command != "run" {
        return Err(unknown_command());
    }
    let (mut extent, mut only) = (Extent::Full, None);
    while let Some(word) = arguments.optional() {
        if word == "quick" {
            extent = Extent::Quick;
        } else if word == "--only" {
            only = Some(arguments.text("TEXT")?);
        } else {
            return Err(Failure::Usage(format!("\"{}\" is neither quick nor --only", word.display())));
        }
    }
    let machine = Machine::look()?;
    stay_on(machine.here)?;
    clock::watch_interrupts()?;
    sample::settle()?;
    let mut sampler = Sampler { extent, only };
    sampler.controls()?;
    tasks::unmounted(&mut sampler, &machine, "never-mounted")?;
    groups::mounting(&mut sampler)?;
    mount_resctrl()?;
    files::measure(&mut sampler, &machine)?;
    counters::measure(&mut sampler, &machine)?;
    groups::measure(&mut sampler)?;
    scaling::measure(&mut sampler, &machine)?;
    readers::measure(&mut sampler, &machine)?;
    tasks::measure(&mut sampler, &machine)?;
    umount_resctrl()?;
    // What is left behind an unmount ends meanwhile.
    std::thread::sleep(std::time::Duration::from_secs(1));
    tasks::unmounted(&mut sampler, &machine, "unmounted-again")?;
    for count in extent.threads() {
        mount_resctrl()?;
        tasks::walks(&mut sampler, &machine, *count)?;
    }
    workers::measure(&mut sampler, &machine)?;
    if sampler.wants(memory::NAME) {
        memory::measure(&mut sampler, &machine)?;
    }
    if extent == Extent::Full {
        hotplug::measure(&mut sampler, &machine)?;
    }
    Ok(())
}

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What takes little time: fewer samples, fewer threads, no hotplug.
    Quick,
    /// Everything.
    Full,
}

impl Extent {
    /// How many threads there are beside those of an idle system, in turn.
    const fn threads(self) -> &'static [usize] {
        match self {
            Extent::Quick => &[1000],
            Extent::Full => &[100, 1000, 5000, 10000],
        }
    }
}

/// Where things are.
pub(crate) struct Machine {
    /// The CPU that measures.
    pub(crate) here: usize,
    /// The first L3 domain, and the last.
    pub(crate) domains: [u32; 2],
    /// How many CPUs there are.
    pub(crate) cpus: usize,
    /// The CPUs of the last L3.
    pub(crate) remote: Vec<usize>,
    /// All of them with their ids.
    pub(crate) caches: Vec<(u32, Vec<usize>)>,
}

impl Machine {
    fn look() -> Result<Machine, Failure> {
        let online = |cpu: usize| Path::new(&format!("/sys/devices/system/cpu/cpu{cpu}")).is_dir();
        let mut by_cache: Vec<(u32, Vec<usize>)> = Vec::new();
        for cpu in (0..).take_while(|&cpu| online(cpu)) {
            let id = read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/cache/index3/id"))?;
            let id: u32 = id.trim().parse().map_err(|_| Failure::Hardware("an odd cache id".to_owned()))?;
            match by_cache.iter_mut().find(|(other, _)| *other == id) {
                Some((_, cpus)) => cpus.push(cpu),
                None => by_cache.push((id, vec![cpu])),
            }
        }
        let missing = || Failure::Hardware("this takes two L3 caches with two CPUs each".to_owned());
        let (first, remote) = by_cache.first().zip(by_cache.last()).ok_or_else(missing)?;
        // Counters of a domain are read on its first CPU: from there nothing has to be sent.
        let &[here, _, ..] = &first.1[..] else { return Err(missing()) };
        if first.0 == remote.0 || remote.1.len() < 2 {
            return Err(missing());
        }
        let cpus = by_cache.iter().map(|(_, cpus)| cpus.len()).sum();
        Ok(Machine { here, cpus, domains: [first.0, remote.0], remote: remote.1.clone(), caches: by_cache.clone() })
    }
}

/// Binds the calling thread to one CPU.
pub(crate) fn stay_on(cpu: usize) -> Outcome {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    Ok(())
}

/// Mounts resctrl.
pub(crate) fn mount_resctrl() -> Outcome {
    mount(Some("resctrl"), ROOT, Some("resctrl"), MsFlags::empty(), None::<&str>)?;
    Ok(())
}

/// Unmounts it.
pub(crate) fn umount_resctrl() -> Outcome {
    umount(ROOT)?;
    Ok(())
}

/// A path below the mount point.
pub(crate) fn at(path: impl AsRef<OsStr>) -> PathBuf {
    Path::new(ROOT).join(path.as_ref())
}

/// One command in one write.
pub(crate) fn command(path: &Path, text: &str) -> Outcome {
    write(path, text).map_err(Failure::from)
}
