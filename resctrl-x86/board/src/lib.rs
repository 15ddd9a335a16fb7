// SPDX-License-Identifier: GPL-2.0-only
//! A board to test on: the emulated RDT, or AMD's QoS, of a machine, as the registers that [`resctrl_x86`] asks for, on the
//! CPUs of the simulated kernel.
//!
//! The emulated hardware knows no driver, and the driver no hardware but its registers. What brings them together is here,
//! for the tests of the architecture and for those of the file system over it.
//!
//! Registers are only there on the CPU that the calling thread cannot leave: whoever touches them from elsewhere, or with
//! the proof of another CPU, panics. Time is the simulated kernel's.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]
#![cfg_attr(not(test), warn(clippy::fn_params_excessive_bools))]

mod regions;

pub use regions::EmulatedRegions;

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use resctrl_hardware::machine::{Cache, MachineError};
use resctrl_hardware::registers::QmCtr;
use resctrl_hardware::{Machine, Rdt};
use resctrl_types::Here;
use resctrl_types::cache::CacheInfo;
use resctrl_types::sim::trace::{Event, note};
use resctrl_types::sim::{CpuTopology, SimPlatform, Topology, current_cpu};
use resctrl_x86::{Cpuid, Gp, Registers, TelemetryFeature};

/// CPUID leaf 1 of a processor without quirks: Ice Lake server.
pub const ICELAKE_X: u32 = 0x606a6;
/// CPUID leaf 1 of a processor whose prefetchers can be turned off: Goldmont.
pub const GOLDMONT: u32 = 0x506c9;
/// CPUID leaf 1 of a processor that can divide an L3 among NUMA nodes: Sapphire Rapids server.
pub const SAPPHIRE_RAPIDS_X: u32 = 0x806f8;

/// `MSR_MISC_FEATURE_CONTROL`: what turns prefetchers off. No emulated cache is filled by them.
pub const MISC: u32 = 0x1a4;

/// What the emulated hardware leaves to the processor, and what a test may break.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    /// The name in CPUID leaf 0.
    pub vendor: &'static [u8; 12],
    /// EAX of CPUID leaf 1.
    pub version: u32,
    /// The last basic leaf of CPUID.
    pub last_leaf: u32,
    /// Changes an answer of CPUID: leaf, subleaf, EAX to EDX.
    pub bend: fn(u32, u32, [u32; 4]) -> [u32; 4],
}

impl Default for Processor {
    fn default() -> Self {
        Processor { vendor: b"GenuineIntel", version: ICELAKE_X, last_leaf: 0x10, bend: |_, _, answer| answer }
    }
}

impl Processor {
    /// A processor of the vendor whose hardware the machine has.
    #[must_use]
    pub fn of(machine: &Machine) -> Processor {
        let intel = Processor::default();
        if machine.qos.is_some() { Processor { vendor: b"AuthenticAMD", ..intel } } else { intel }
    }

    /// What the processor itself answers to CPUID.
    fn cpuid(&self, leaf: u32) -> [u32; 4] {
        let [ebx, edx, ecx] = [0, 4, 8].map(|at| {
            let mut part = [0; 4];
            part.copy_from_slice(&self.vendor[at..at + 4]);
            u32::from_le_bytes(part)
        });
        match leaf {
            0 => [self.last_leaf, ebx, ecx, edx],
            1 => [self.version, 0, 0, 0],
            0x8000_0000 => [0x8000_0022, 0, 0, 0],
            _ => [0; 4],
        }
    }
}

/// On which side of a write something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The register has its old value.
    Before,
    /// It has its new one.
    After,
}

/// Something that happens beside a write.
pub type Interposed = (Side, Box<dyn FnOnce() + Send>);

/// Something that a CPU does while it fills a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its caches are emptied.
    Flush,
    /// A register is written.
    Write {
        /// Which.
        msr: u32,
        /// With what.
        value: u64,
    },
}

/// What becomes of an access that the emulated hardware refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It is a general protection fault.
    Fault,
    /// The test has failed.
    Failure,
}

/// The hardware of a machine.
pub struct Board {
    /// The emulated RDT.
    pub rdt: Rdt,
    processor: Processor,
    refusal: Refusal,
    sim: SimPlatform,
    /// An MSR whose every access is a general protection fault; 0 is none.
    pub refusing: AtomicU32,
    /// Reads of any MSR.
    pub reads: AtomicU64,
    /// [`MISC`] of each CPU, which is not RDT's.
    misc: Mutex<Vec<u64>>,
    steps: Mutex<Vec<Step>>,
    beside_write: Mutex<Option<Interposed>>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Board({:?})", self.processor)
    }
}

/// A value that no failure leaves in pieces.
fn open<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// The hardware of a machine whose CPUs are those of `sim`.
    ///
    /// # Errors
    /// Those of a machine that cannot be.
    pub fn new(machine: &Machine, processor: Processor, sim: &SimPlatform) -> Result<Board, MachineError> {
        Ok(Board {
            rdt: Rdt::new(machine)?,
            processor,
            refusal: Refusal::Fault,
            sim: sim.clone(),
            refusing: AtomicU32::new(0),
            reads: AtomicU64::new(0),
            misc: Mutex::new(vec![0; machine.topology.cpus()]),
            steps: Mutex::default(),
            beside_write: Mutex::new(None),
        })
    }

    /// The same, where every access is one that the hardware takes: any other panics.
    #[must_use]
    pub fn without_refusals(self) -> Board {
        Board { refusal: Refusal::Failure, ..self }
    }

    /// The time in nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.sim.now_ms() * 1_000_000
    }

    /// [`MISC`] of each CPU.
    pub fn misc(&self) -> MutexGuard<'_, Vec<u64>> {
        open(&self.misc)
    }

    /// Every write and every flush since this was asked last, in order.
    #[must_use]
    pub fn take_steps(&self) -> Vec<Step> {
        std::mem::take(&mut *open(&self.steps))
    }

    /// Lets something happen just before or after the next write.
    pub fn beside_next_write(&self, side: Side, happen: impl FnOnce() + Send + 'static) {
        *open(&self.beside_write) = Some((side, Box::new(happen)));
    }

    /// Whether what was to happen beside a write has happened.
    #[must_use]
    pub fn has_happened(&self) -> bool {
        open(&self.beside_write).is_none()
    }

    fn interpose(&self, side: Side) {
        let interposed = open(&self.beside_write).take_if(|(when, _)| *when == side);
        if let Some((_, happen)) = interposed {
            happen();
        }
    }

    fn refuse(&self, access: fmt::Arguments<'_>) -> Gp {
        assert!(self.refusal == Refusal::Fault, "{access} is refused");
        Gp
    }
}

/// The registers of whatever CPU the calling thread is on.
#[derive(Clone, Debug)]
pub struct Emulated(pub Arc<Board>);

impl Emulated {
    fn cpu(here: Here<'_>) -> usize {
        assert_eq!(current_cpu(), Some(here.cpu()), "a register touched from a thread that is not bound to its CPU");
        here.cpu().index()
    }
}

impl Registers for Emulated {
    type Telemetry = EmulatedRegions;

    fn telemetry(&self, feature: TelemetryFeature) -> Option<EmulatedRegions> {
        Some(EmulatedRegions::new(self.0.rdt.telemetry()?, feature))
    }

    fn cpuid(&self, leaf: u32, subleaf: u32) -> Cpuid {
        let Board { rdt, processor, .. } = &*self.0;
        let Some(cpu) = current_cpu() else { panic!("CPUID is asked on a CPU") };
        let own = rdt.cpuid(cpu.index(), leaf, subleaf);
        let answer = own.unwrap_or_else(|| rdt.patch_cpuid(leaf, subleaf, processor.cpuid(leaf)));
        let [eax, ebx, ecx, edx] = (processor.bend)(leaf, subleaf, answer);
        Cpuid { eax, ebx, ecx, edx }
    }

    fn read_msr(&self, here: Here<'_>, msr: u32) -> Result<u64, Gp> {
        let (cpu, board) = (Self::cpu(here), &*self.0);
        board.reads.fetch_add(1, Ordering::Relaxed);
        if board.refusing.load(Ordering::Relaxed) == msr {
            return Err(Gp);
        }
        if msr == MISC {
            return Ok(board.misc()[cpu]);
        }
        match board.rdt.rdmsr(cpu, msr, board.now()) {
            Ok(Some(value)) => {
                if msr == QmCtr::ADDRESS {
                    note(Event::Read(here.cpu()));
                }
                Ok(value)
            }
            refused => Err(board.refuse(format_args!("rdmsr {msr:#x} ({refused:?})"))),
        }
    }

    fn write_msr(&self, here: Here<'_>, msr: u32, value: u64) -> Result<(), Gp> {
        let (cpu, board) = (Self::cpu(here), &*self.0);
        board.interpose(Side::Before);
        if board.refusing.load(Ordering::Relaxed) == msr {
            return Err(Gp);
        }
        open(&board.steps).push(Step::Write { msr, value });
        if msr == MISC {
            board.misc()[cpu] = value;
            return Ok(());
        }
        match board.rdt.wrmsr(cpu, msr, value, board.now()) {
            Ok(true) => {
                board.interpose(Side::After);
                Ok(())
            }
            refused => Err(board.refuse(format_args!("wrmsr {msr:#x} {value:#x} ({refused:?})"))),
        }
    }

    fn flush_caches(&self, here: Here<'_>) {
        let _ = Self::cpu(here);
        open(&self.0.steps).push(Step::Flush);
    }
}

/// The CPUs of a machine, and what they share, as the simulated kernel knows them. Caches that the machine file leaves out
/// are as large as the simulated kernel's own.
#[must_use]
pub fn topology(machine: &Machine) -> Topology {
    let shape = &machine.topology;
    let cache = |id: usize, geometry: &Option<Cache>, size| CacheInfo {
        id: number(id),
        size: geometry.as_ref().map_or(size, |cache| u32::try_from(cache.size_kib << 10).unwrap_or(u32::MAX)),
    };
    let cpu = |cpu: usize| {
        let package = number(cpu / (shape.cores * shape.threads));
        CpuTopology {
            l2: Some(cache(shape.l2_domain(cpu), &machine.cache.l2, Topology::L2_SIZE)),
            l3: Some(cache(shape.l3_domain(cpu), &machine.cache.l3, Topology::L3_SIZE)),
            node: Some(package),
            package: Some(package),
            isolated: false,
        }
    };
    Topology { cpus: (0..shape.cpus()).map(cpu).collect() }.clustered(number(shape.nodes))
}

/// A number of a machine's parts.
fn number(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use resctrl_types::platform::CpusReadGuard;
    use resctrl_types::{CpuId, Platform, sim};

    /// What becomes of a write of a mask that the hardware refuses.
    fn written(make: fn(Board) -> Board) -> Result<(), Gp> {
        let machine = Machine::parse(include_str!("../../../qemu-images/machines/intel.toml")).unwrap();
        let sim = SimPlatform::new(topology(&machine));
        let registers = Emulated(Arc::new(make(Board::new(&machine, Processor::of(&machine), &sim).unwrap())));
        let mut result = Ok(());
        let guard = sim.cpus_read_lock();
        sim.call_on(guard.held(), CpuId(1), &mut |here| result = registers.write_msr(here.into(), 0xc90, 0)).unwrap();
        result
    }

    #[test]
    fn a_write_that_is_refused_is_a_fault() {
        sim::run(|| assert_eq!(written(|board| board), Err(Gp)));
    }

    #[test]
    #[should_panic(expected = "wrmsr 0xc90 0x0 (Err(MaskEmpty)) is refused")]
    fn or_fails_the_test_that_expects_none() {
        sim::run(|| {
            let _ = written(Board::without_refusals);
        });
    }
}
