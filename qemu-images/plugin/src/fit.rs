// SPDX-License-Identifier: GPL-2.0-only
//! Whether QEMU was started with the machine that the file describes.
//!
//! Of that QEMU tells a plugin the number of CPUs, before there is a guest. The rest can be seen where the guest asks its
//! processor, and no kernel comes up without: x86's answers to CPUID (vendor, family, model, stepping, the highest leaf,
//! threads to a core, CPUs to a socket), and on Arm `MIDR_EL1` and `ID_AA64PFR0_EL1` (EL2, the interrupt controller), which are
//! not among the registers that QEMU shows a plugin. Each is compared when the first CPU asks, which is when nothing
//! but firmware or the kernel itself can have: a guest's own guests may be told anything later.
//!
//! What cannot be seen: on Arm, sockets, cores and threads. QEMU numbers the processors of `virt` in the same way (`MPIDR_EL1`)
//! whatever `-smp` says of them, and the tables that say it are replaced by the machine's. On neither, NUMA nodes: they are in
//! tables of QEMU's firmware only.

use resctrl_hardware::machine::TELLING_LEAVES;
use resctrl_hardware::{Machine, MachineError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The machine, and what of it was found to be so.
#[derive(Debug)]
pub(crate) struct Fit {
    path: PathBuf,
    machine: Machine,
    /// A bit for each [`Told`].
    seen: AtomicU32,
}

/// What the guest's processor was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Subleaf of one of the leaves of CPUID, by its place in [`TELLING_LEAVES`].
    Cpuid { place: usize, subleaf: u32 },
    /// `ID_AA64PFR0_EL1` of an Arm processor.
    Features,
    /// `MIDR_EL1`.
    Processor,
}

impl Told {
    /// What a leaf of CPUID is, if it tells something.
    pub(crate) fn of_leaf(leaf: u32, subleaf: u32) -> Option<Self> {
        let place = TELLING_LEAVES.iter().position(|telling| *telling == leaf)?;
        // Only of the topology there are several.
        let subleaf = if leaf == 0xb { subleaf } else { 0 };
        (subleaf < 2).then_some(Self::Cpuid { place, subleaf })
    }

    fn bit(self) -> u32 {
        match self {
            Self::Features => 1,
            Self::Processor => 2,
            Self::Cpuid { place, subleaf } => 4 << (2 * place) << subleaf,
        }
    }
}

impl Fit {
    pub(crate) fn new(path: &Path, machine: &Machine) -> Self {
        Self { path: path.to_owned(), machine: machine.clone(), seen: AtomicU32::new(0) }
    }

    /// Whether this has not been seen yet.
    pub(crate) fn waits_for(&self, told: Told) -> bool {
        self.seen.load(Ordering::Relaxed) & told.bit() == 0
    }

    /// Checks something with the machine, once; ends QEMU if it is another's.
    pub(crate) fn check(&self, told: Told, check: impl FnOnce(&Machine) -> Result<(), MachineError>) {
        if self.waits_for(told)
            && let Err(problem) = self.compare(told, check)
        {
            refuse(&problem);
        }
    }

    fn compare(&self, told: Told, check: impl FnOnce(&Machine) -> Result<(), MachineError>) -> Result<(), String> {
        check(&self.machine).map_err(|problem| format!("{}: {problem}", self.path.display()))?;
        self.seen.fetch_or(told.bit(), Ordering::Relaxed);
        Ok(())
    }

    /// Ends QEMU, which has no memory where registers of an MSC are.
    pub(crate) fn refuse_without_memory_at(&self, address: u64) -> ! {
        refuse(&format!("{}: {}", self.path.display(), self.machine.no_memory_at(address)))
    }
}

/// Ends QEMU, from the callback of a CPU: those take no answer, and a guest with other hardware than it has been told of would only
/// fail later and less clearly.
pub(crate) fn refuse(problem: &str) -> ! {
    eprintln!("resctrl plugin: {problem}");
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_tells_is_remembered_by_itself() {
        let told = TELLING_LEAVES.iter().flat_map(|&leaf| [0, 1].map(|subleaf| Told::of_leaf(leaf, subleaf)));
        let mut bits: Vec<u32> = told.flatten().chain([Told::Features, Told::Processor]).map(Told::bit).collect();
        assert!(bits.iter().all(|bit| bit.is_power_of_two()));
        bits.sort_unstable();
        bits.dedup();
        assert_eq!(bits.len(), TELLING_LEAVES.len() + 3, "two subleaves of the topology, and Arm's two");
        assert_eq!((Told::of_leaf(4, 0), Told::of_leaf(0xb, 2)), (None, None));
    }

    #[test]
    fn a_machine_is_compared_until_it_was_found_to_be_so() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../machines/intel.toml"));
        let fit = Fit::new(path, &Machine::load(path).expect("the file is good"));
        let told = Told::of_leaf(0xb, 1).expect("it tells");
        let with_cpus = |cpus| fit.compare(told, |machine| machine.check_cpuid(0xb, 1, [1, cpus, 0x201, 0]));
        let problem = with_cpus(4).expect_err("2 sockets");
        assert!(problem.contains("intel.toml: QEMU has 4 CPUs to a socket"), "{problem}");
        assert!(fit.waits_for(told));
        assert_eq!(with_cpus(2), Ok(()));
        assert!(!fit.waits_for(told));
        // A guest's guest may be told something else.
        fit.check(told, |machine| machine.check_cpuid(0xb, 1, [1, 4, 0x201, 0]));
    }
}
