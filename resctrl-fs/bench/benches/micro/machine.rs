// SPDX-License-Identifier: GPL-2.0-only
//! The file system on the simulated kernel.

use std::fmt;
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use resctrl_fs::{Bytes, MountOptions, NodeId, OpenFor, Resctrl, TextOut};
use resctrl_types::sim::{self, SimPlatform, Topology};
use resctrl_types::{CpuId, Ref, Result};

use crate::arch::{INTEL, Parameters, Parametric};

type Fs = Resctrl<Parametric, SimPlatform>;

/// L3 caches of the machine.
pub(crate) const DOMAINS: u32 = 16;
/// Its CPUs.
pub(crate) const CPUS: u32 = 64;

const PARAMETERS: Parameters = Parameters { num_closid: 300, num_rmid: 400, ..INTEL };

/// The simulation takes what makes more steps than it allows for a livelock.
const TURN: u64 = 5_000;

/// A mounted machine.
pub(crate) struct Machine {
    sim: SimPlatform,
    fs: Ref<Fs>,
    /// The name of the group that was made last.
    last: String,
}

/// Does something so many times on a mounted machine with so many groups; returns what that took.
pub(crate) fn timed<T>(times: u64, groups: u32, operation: impl Fn(&Machine) -> T + Send + Sync + 'static) -> Duration {
    let operation = Arc::new(operation);
    let turns = (0..times).step_by(usize::try_from(TURN).expect("a small number"));
    turns.map(|done| turn(TURN.min(times - done), groups, Arc::clone(&operation))).sum()
}

fn turn<T>(times: u64, groups: u32, operation: Arc<impl Fn(&Machine) -> T + Send + Sync + 'static>) -> Duration {
    let taken = Arc::new(Mutex::new(Duration::ZERO));
    let result = Arc::clone(&taken);
    sim::run(move || {
        let machine = Machine::boot(DOMAINS, CPUS / DOMAINS);
        let machine = machine.with_groups(groups);
        let begun = Instant::now();
        for _ in 0..times {
            black_box(operation(&machine));
        }
        *result.lock().unwrap_or_else(PoisonError::into_inner) = begun.elapsed();
        machine.shut_down();
    });
    let taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
    *taken
}

/// One schedule: groups come and go while a CPU does and another thread reads.
pub(crate) fn race() {
    let machine = Arc::new(Machine::boot(2, 2).with_groups(1));
    let makes = Arc::clone(&machine);
    let makes = shuttle::thread::spawn(move || {
        let root = makes.fs.root().expect("mounted");
        for _ in 0..4 {
            Fs::mkdir(&makes.fs, root, b"more", 0o755).expect("an id is free");
            Fs::rmdir(&makes.fs, makes.look_up(b"more").expect("made")).expect("empty");
        }
    });
    let reads = Arc::clone(&machine);
    let reads = shuttle::thread::spawn(move || {
        for _ in 0..4 {
            black_box(reads.read("schemata").expect("a file that can be read"));
        }
    });
    machine.sim.offline(CpuId(3)).expect("not the last one");
    machine.sim.online(CpuId(3)).expect("it was there");
    makes.join().expect("it does not panic");
    reads.join().expect("it does not panic");
    let machine = Arc::into_inner(machine).expect("nobody else has it");
    machine.shut_down();
}

/// What a file shows.
#[derive(Default)]
struct Text(Vec<u8>);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(Bytes(text.as_bytes()))
    }
}

impl TextOut for Text {
    fn bytes(&mut self, bytes: Bytes<'_>) -> fmt::Result {
        self.0.extend_from_slice(bytes.0);
        Ok(())
    }
}

impl Machine {
    /// A mounted machine of so many packages, an L3 each, of so many CPUs.
    fn boot(packages: u32, cpus: u32) -> Self {
        let sim = SimPlatform::new(Topology::packages(packages, cpus));
        let count = usize::try_from(packages * cpus).expect("a small number");
        let fs = Resctrl::new(sim.clone(), Parametric::new(PARAMETERS, count)).expect("memory");
        let (online, offline) = (fs.clone(), fs.clone());
        sim.register_hotplug(move |cpu| Fs::cpu_online(&online, cpu), move |cpu| Fs::cpu_offline(&offline, cpu))
            .expect("the first to ask");
        let plain = MountOptions { cdp: false, cdpl2: false, mba_mbps: false, debug: false };
        Fs::mount(&fs, &plain).expect("not mounted yet");
        Self { sim, fs, last: String::new() }
    }

    fn with_groups(mut self, groups: u32) -> Self {
        let root = self.fs.root().expect("mounted");
        for number in 0..groups {
            self.last = format!("group-{number}");
            Fs::mkdir(&self.fs, root, self.last.as_bytes(), 0o755).expect("an id is free");
        }
        self
    }

    fn shut_down(self) {
        Fs::unmount(&self.fs);
        self.sim.unregister_hotplug();
        self.sim.advance(3000);
    }

    /// Finds an entry of the root.
    pub(crate) fn look_up(&self, name: &[u8]) -> Option<NodeId> {
        self.fs.lookup(self.fs.root()?, name)
    }

    /// Finds the group that was made last.
    pub(crate) fn look_up_last(&self) -> Option<NodeId> {
        self.look_up(self.last.as_bytes())
    }

    /// Writes to a file of the root.
    pub(crate) fn write(&self, file: &str, text: &[u8]) -> Result<()> {
        let node = self.look_up(file.as_bytes()).expect("a file of the root");
        self.fs.open(node, OpenFor::WRITING)?;
        let written = Fs::write(&self.fs, node, text);
        // It remembers what it was asked to do.
        self.fs.arch().take_applied();
        written
    }

    /// Reads a file of the root; returns how long its text is.
    pub(crate) fn read(&self, file: &str) -> Result<usize> {
        let node = self.look_up(file.as_bytes()).expect("a file of the root");
        self.fs.open(node, OpenFor::READING)?;
        let mut text = Text::default();
        Fs::read(&self.fs, node, &mut text)?;
        Ok(text.0.len())
    }
}
