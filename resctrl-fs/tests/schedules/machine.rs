// SPDX-License-Identifier: GPL-2.0-only
//! A whole machine: emulated RDT below the shipped x86 code, below the file system, on the simulated kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use resctrl_fs::{Bytes, MountOptions, NodeId, NodeKind, OpenFor, Resctrl, TextOut};
use resctrl_hardware::Event;
use resctrl_types::platform::Platform;
use resctrl_types::sim::trace::{Event as Traced, note};
use resctrl_types::sim::{RegionCounts, SimPlatform, SimTask, TaskSpec, is_replay, tallied, tally};
use resctrl_types::{CpuId, Errno, Ref, Result};
use resctrl_x86::{Options, X86};
use resctrl_x86_board::{Board, Emulated, GOLDMONT, Processor, SAPPHIRE_RAPIDS_X};

use crate::model;

/// The file system under test.
pub(crate) type Fs = Resctrl<X86<Emulated>, SimPlatform>;

/// Two packages of two CPUs, each an L3: L3 CAT with CDP, MBA, CMT and 24-bit MBM.
pub(crate) const INTEL: &str = include_str!("../../../qemu-images/machines/intel.toml");
pub(crate) const AMD_ABMC: &str = include_str!("../../../qemu-images/machines/amd-abmc.toml");

/// The same with each package divided into two NUMA nodes of one CPU each, which are monitored apart.
pub(crate) fn clustered() -> String {
    let divided = INTEL.replace("\ncores = 2\n", "\ncores = 2\nnodes = 2\n");
    assert_ne!(divided, INTEL);
    divided
}

/// The same with energy and performance counted by package, energy in two regions of each.
pub(crate) fn with_telemetry() -> String {
    let energy = "[telemetry.energy]\nguid = 0x26696143\nrmids = 576\nregions = 2\n";
    format!("{INTEL}\n{energy}\n[telemetry.perf]\nguid = 0x26557651\nrmids = 576\n")
}

/// What a file showed.
#[derive(Default)]
struct Text(Vec<u8>);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl TextOut for Text {
    fn bytes(&mut self, bytes: Bytes<'_>) -> fmt::Result {
        self.0.extend_from_slice(bytes.0);
        Ok(())
    }
}

impl Text {
    fn into_string(self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// The options of a mount that shows the hardware ids.
pub(crate) const DEBUG: MountOptions = MountOptions { cdp: false, cdpl2: false, mba_mbps: false, debug: true };

/// What was done to a machine, printed when a test fails.
#[derive(Default)]
struct History(Mutex<Vec<String>>);

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let lines = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
            let old = lines.len().saturating_sub(50);
            eprintln!("what was done, the last of it:\n  {}", lines[old..].join("\n  "));
        }
    }
}

/// What each schedule is counted for: the name in the file system's own counts, and what it means.
const COVERAGE: [(&str, &str); 5] = [
    ("overflow_runs", "overflow runs"),
    ("limbo_runs", "limbo runs"),
    ("displaced", "displaced runs"),
    ("repicks", "re-picks"),
    ("dead_domain_runs", "late runs on dead domains"),
];

/// Runs of workers whose CPU went under way.
const LOST_CPU: &str = "runs that lost their CPU";

/// Sees that the schedules of the running test have exercised everything there is to the life of a domain.
pub(crate) fn assert_covered() {
    for what in COVERAGE.map(|(_, what)| what).into_iter().chain([LOST_CPU]) {
        assert!(is_replay() || tallied(what) > 0, "no {what}");
    }
}

/// The machine of a description. Each schedule boots one, and to read the description takes longer than that.
fn described(description: &str) -> Arc<resctrl_hardware::Machine> {
    static KNOWN: Mutex<BTreeMap<String, Arc<resctrl_hardware::Machine>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = known
        .entry(description.to_owned())
        .or_insert_with(|| Arc::new(resctrl_hardware::Machine::parse(description).unwrap()));
    Arc::clone(machine)
}

/// A booted machine with the module loaded. Clones are the same machine.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) sim: SimPlatform,
    pub(crate) board: Arc<Board>,
    pub(crate) fs: Ref<Fs>,
    history: Arc<History>,
    /// How many monitor domains had been made when the file system was mounted.
    domains_at_mount: Arc<AtomicU64>,
}

impl Machine {
    /// Boots the machine of a description and loads the module. No file system is mounted yet.
    pub(crate) fn boot(description: &str) -> Machine {
        let machine = described(description);
        let sim = SimPlatform::new(resctrl_x86_board::topology(&machine));
        // Prefetchers can be turned off, or nodes be told apart.
        let version = if machine.topology.nodes > 1 { SAPPHIRE_RAPIDS_X } else { GOLDMONT };
        let processor = Processor { version, ..Processor::of(&machine) };
        let board = Arc::new(Board::new(&machine, processor, &sim).unwrap().without_refusals());
        let arch = X86::new(Emulated(Arc::clone(&board)), &sim, Options::default()).unwrap();
        let fs = Resctrl::new(sim.clone(), arch).unwrap();
        let (online, offline) = (fs.clone(), fs.clone());
        sim.register_hotplug(move |cpu| Fs::cpu_online(&online, cpu), move |cpu| Fs::cpu_offline(&offline, cpu))
            .unwrap();
        let [stops, last_stops, first_is_back, ended] = core::array::from_fn(|_| fs.clone());
        sim.register_sleep(
            move |cpu| Fs::cpu_suspend(&stops, cpu),
            move |here| Fs::last_cpu_suspend(&last_stops, here),
            move |here| Fs::first_cpu_resume(&first_is_back, here),
            move || Fs::system_resumed(&ended),
        );
        let switched = fs.clone();
        sim.set_sched_in(move |here, word| switched.sched_in(here, word));
        model::begin();
        Machine { sim, board, fs, history: Arc::default(), domains_at_mount: Arc::default() }
    }

    fn note<T: fmt::Debug>(&self, what: fmt::Arguments<'_>, result: T) -> T {
        let line = format!("{:>6} ms {what} -> {result:?}", self.sim.now_ms());
        self.history.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        result
    }

    /// A machine that is mounted with `debug`.
    pub(crate) fn mounted() -> Machine {
        Self::mounted_on(INTEL)
    }

    /// The machine of a description, mounted with `debug`.
    pub(crate) fn mounted_on(description: &str) -> Machine {
        let machine = Machine::boot(description);
        machine.mount().unwrap();
        machine
    }

    /// Mounts with `debug`.
    pub(crate) fn mount(&self) -> Result<()> {
        self.mount_with(&DEBUG)
    }

    pub(crate) fn mount_with(&self, options: &MountOptions) -> Result<()> {
        // Before mounting: a domain may come before the mount has returned.
        let domains = self.stat("domains_created");
        let mounted = self.note(format_args!("mount {options:?}"), Fs::mount(&self.fs, options));
        if mounted.is_ok() {
            self.domains_at_mount.store(domains, Ordering::SeqCst);
            note(Traced::Mounted);
        }
        mounted
    }

    /// Whether a domain has come since the file system was mounted: with default values, whatever groups are exclusive.
    pub(crate) fn has_new_domains(&self) -> bool {
        self.domains_at_mount.load(Ordering::SeqCst) != self.stat("domains_created")
    }

    /// The options as `/proc/mounts` shows them.
    pub(crate) fn options(&self) -> String {
        let mut text = Text::default();
        self.fs.show_options(&mut text).unwrap();
        text.into_string()
    }

    pub(crate) fn unmount(&self) {
        Fs::unmount(&self.fs);
        note(Traced::Unmounted);
        self.note(format_args!("unmount"), ());
    }

    pub(crate) fn is_mounted(&self) -> bool {
        self.fs.root().is_some()
    }

    /// Unmounts, unloads the module and sees that nothing is left of it.
    pub(crate) fn finish(self) {
        // Before the module goes: every worker that is scheduled then will find its domain gone.
        for (name, what) in COVERAGE {
            tally(what, self.stat(name));
        }
        tally(LOST_CPU, self.sim.stats().unbound_under_way as u64);
        self.unmount();
        self.sim.unregister_hotplug();
        self.sim.clear_sched_in();
        // One period and the tick of a displaced worker.
        self.sim.advance(1002);
        self.sim.assert_idle();
        assert_eq!(self.sim.region_counts(), RegionCounts::default(), "something of a pseudo-locked region is left");
        assert_eq!(self.sim.live_works(), 0, "a monitor domain was never freed");
        assert!(Fs::is_idle(&self.fs), "somebody still refers to the file system");
        model::end(&self);
    }

    fn node(&self, path: &str) -> Result<NodeId> {
        let root = self.fs.root().ok_or(Errno::ENOENT)?;
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(root, |dir, name| self.fs.lookup(dir, name.as_bytes()).ok_or(Errno::ENOENT))
    }

    /// The directory and the name in it. Like the VFS, lets nobody make or remove the root.
    fn parent<'a>(&self, path: &'a str) -> Result<(NodeId, &'a [u8])> {
        if path.is_empty() {
            return Err(Errno::EBUSY);
        }
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.node(dir)?, name.as_bytes()))
    }

    /// Opens a file for reading: what a file descriptor is.
    pub(crate) fn open(&self, path: &str) -> Result<NodeId> {
        let node = self.node(path)?;
        self.fs.open(node, OpenFor::READING)?;
        Ok(node)
    }

    /// Moves a monitor group.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<()> {
        let rename = || {
            let (old_parent, old_name) = self.parent(from)?;
            let node = self.fs.lookup(old_parent, old_name).ok_or(Errno::ENOENT)?;
            let (parent, name) = self.parent(to)?;
            Fs::rename(&self.fs, node, parent, name, 0)
        };
        self.note(format_args!("rename {from} to {to}"), rename())
    }

    pub(crate) fn read(&self, path: &str) -> Result<String> {
        self.read_open(self.open(path)?)
    }

    /// Reads from an open file, which may have gone since.
    pub(crate) fn read_open(&self, node: NodeId) -> Result<String> {
        let mut text = Text::default();
        Fs::read(&self.fs, node, &mut text)?;
        Ok(text.into_string())
    }

    pub(crate) fn write(&self, path: &str, command: &str) -> Result<()> {
        let write = || {
            let node = self.node(path)?;
            self.fs.open(node, OpenFor::WRITING)?;
            self.write_open(node, command)
        };
        self.note(format_args!("write {command:?} to {path}"), write())
    }

    /// Writes into an open file, which may have gone since.
    pub(crate) fn write_open(&self, node: NodeId, command: &str) -> Result<()> {
        Fs::write(&self.fs, node, command.as_bytes())
    }

    pub(crate) fn mkdir(&self, path: &str) -> Result<()> {
        let mkdir = || {
            let (parent, name) = self.parent(path)?;
            Fs::mkdir(&self.fs, parent, name, 0o755)
        };
        self.note(format_args!("mkdir {path}"), mkdir())
    }

    pub(crate) fn rmdir(&self, path: &str) -> Result<()> {
        let rmdir = || {
            let (parent, name) = self.parent(path)?;
            Fs::rmdir(&self.fs, self.fs.lookup(parent, name).ok_or(Errno::ENOENT)?)
        };
        self.note(format_args!("rmdir {path}"), rmdir())
    }

    /// The names of the directories in a directory.
    pub(crate) fn dirs(&self, path: &str) -> Result<Vec<String>> {
        let dir = self.node(path)?;
        let mut names = Vec::new();
        self.fs.entries(dir, 0, &mut |entry| {
            if entry.kind == NodeKind::Dir {
                names.push(String::from_utf8_lossy(entry.name).into_owned());
            }
            true
        })?;
        names.sort();
        Ok(names)
    }

    /// A count of the file system's own.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let mut text = Text::default();
        Fs::show_stats(&self.fs, &mut text).unwrap();
        let text = text.into_string();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no count {name} in {text}")).parse().unwrap()
    }

    /// What contradicts itself in the state of the file system; empty when nothing does.
    pub(crate) fn audit(&self) -> String {
        let mut text = Text::default();
        Fs::audit(&self.fs, &mut text).unwrap();
        text.into_string()
    }

    pub(crate) fn offline(&self, cpu: u32) {
        self.try_offline(CpuId(cpu)).unwrap();
    }

    pub(crate) fn try_offline(&self, cpu: CpuId) -> Result<()> {
        self.note(format_args!("CPU {cpu} offline"), self.sim.offline(cpu))
    }

    pub(crate) fn online(&self, cpu: u32) {
        self.try_online(CpuId(cpu)).unwrap();
    }

    pub(crate) fn try_online(&self, cpu: CpuId) -> Result<()> {
        self.note(format_args!("CPU {cpu} online"), self.sim.online(cpu))
    }

    /// Lets the system sleep, and its power go. The CPUs of `lost` do not come back.
    pub(crate) fn sleep(&self, lost: &[CpuId]) {
        let slept = self.sim.sleep(lost, || self.board.rdt.lose_power());
        self.note(format_args!("the system sleeps, without {lost:?} afterwards"), slept);
        assert!(slept, "a command was under way while all tasks were frozen");
    }

    /// Switches a CPU to a task, or to none.
    pub(crate) fn switch(&self, cpu: CpuId, task: Option<&SimTask>) -> Result<()> {
        self.note(format_args!("CPU {cpu} switches to {task:?}"), self.sim.switch_to(cpu, task))
    }

    /// The online CPUs that share an L3, by the id of that L3.
    pub(crate) fn l3_cpus(&self, l3: usize) -> Vec<CpuId> {
        let topology = &self.board.rdt.machine().topology;
        self.sim.online_cpus().into_iter().filter(|cpu| topology.l3_domain(cpu.index()) == l3).collect()
    }

    /// The L3s that have an online CPU.
    pub(crate) fn l3s(&self) -> Vec<usize> {
        (0..self.board.rdt.machine().topology.l3_domains()).filter(|&l3| !self.l3_cpus(l3).is_empty()).collect()
    }

    /// The packages that are monitored: those that have an online CPU.
    pub(crate) fn packages(&self) -> BTreeSet<u32> {
        let online = self.sim.online_cpus().into_iter();
        online.filter(|_| self.board.rdt.telemetry().is_some()).filter_map(|cpu| self.sim.package(cpu)).collect()
    }

    /// The monitor domains that have an online CPU: the L3 and, where that is divided, the NUMA node.
    pub(crate) fn mon_domains(&self) -> BTreeSet<(usize, Option<u32>)> {
        let topology = &self.board.rdt.machine().topology;
        let node = |cpu: CpuId| self.sim.node(cpu).filter(|_| topology.nodes > 1);
        self.sim.online_cpus().into_iter().map(|cpu| (topology.l3_domain(cpu.index()), node(cpu))).collect()
    }

    /// How many RMIDs groups can have.
    pub(crate) fn rmids(&self) -> usize {
        let machine = self.board.rdt.machine();
        machine.rdt.as_ref().unwrap().monitoring.as_ref().unwrap().rmids / machine.topology.nodes
    }

    /// Lets a bandwidth counter grow from now on.
    pub(crate) fn set_rate(&self, l3: usize, rmid: usize, event: Event, bytes_per_second: u64) {
        self.board.rdt.set_rate(l3, rmid, event, bytes_per_second, self.board.now()).unwrap();
    }

    /// Sets how many bytes of an L3 the lines of an RMID occupy.
    pub(crate) fn set_occupancy(&self, l3: usize, rmid: usize, bytes: u64) {
        self.board.rdt.set(l3, rmid, Event::LlcOccupancy, bytes, self.board.now()).unwrap();
    }

    /// A register of an L3, read behind the software's back.
    pub(crate) fn msr(&self, cpu: CpuId, address: u32) -> u64 {
        self.board.rdt.rdmsr(cpu.index(), address, self.board.now()).unwrap().unwrap()
    }

    /// A new task of root's.
    pub(crate) fn task(&self) -> SimTask {
        self.sim.spawn_task(TaskSpec::default())
    }
}

/// Every CPU number that the platform knows.
pub(crate) fn possible(machine: &Machine) -> impl Iterator<Item = CpuId> + use<> {
    (0..machine.sim.nr_cpu_ids()).map(CpuId)
}
