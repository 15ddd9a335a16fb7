// SPDX-License-Identifier: GPL-2.0-only
//! The caches of a whole machine.

use super::array::{Cache, Dirties, Fill, Flush, Held, Limit, Outcome, Victim};
use super::moved::{Ledger, Lines, Moved, Why};
use super::{Access, Caches, Filter, Home, LINE_SIZE, Label, MAX_MONITORS, MAX_WAYS, Memory, Mode, Pace};
use crate::machine::{Machine, Topology};
use crate::numbers::place;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What requests of a CPU carry, and where they may fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// For whom.
    pub label: Label,
    /// Ways of the L2 that may be filled. Those that there are not do not matter.
    pub l2_ways: u64,
    /// Ways of the L3.
    pub l3_ways: u64,
}

/// The ports of a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// For data of programs, and of the kernel.
    pub data: [Port; 2],
    /// For instructions, likewise.
    pub code: [Port; 2],
}

impl Ports {
    fn of(&self, access: Access, mode: Mode) -> &Port {
        let ports = if access == Access::Fetch { &self.code } else { &self.data };
        &ports[mode as usize]
    }
}

/// What a CPU has done since the model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accesses that got here, by [`Mode`].
    pub accesses: [u64; 2],
    /// Those that went on to the L3, by [`Mode`].
    pub l3_references: [u64; 2],
    /// Those that it did not have.
    pub l3_misses: [u64; 2],
}

/// The caches of a machine, which follow what its CPUs do while the model runs.
///
/// All methods take `&self` and may be called from any thread; each takes the lock of one L3 domain at a time.
///
/// # Panics
///
/// Every method panics for a CPU or domain that the machine does not have, and for a label beyond those that the model was
/// made for.
#[derive(Debug)]
pub struct Model {
    running: AtomicBool,
    shape: Shape,
    memory: Memory,
    /// None while the model does not run.
    domains: Vec<Mutex<Option<Domain>>>,
    /// For data and instructions of each CPU.
    filters: Vec<[Filter; 2]>,
    paces: Vec<Pace>,
    /// Bytes a second that a CPU can move; 0 for any number.
    speed: AtomicU64,
    /// Of each CPU its domain, and its place there.
    places: Vec<(usize, usize)>,
}

/// What there is.
#[derive(Debug)]
struct Shape {
    topology: Topology,
    /// Sets and ways.
    l2: Option<(u64, usize)>,
    l3: (u64, usize),
    classes: usize,
    monitors: usize,
}

/// One L3 with all that is before it.
#[derive(Debug)]
struct Domain {
    l3: Cache,
    l2: Vec<Cache>,
    /// By CPU of the domain.
    threads: Vec<Thread>,
    ledger: Ledger,
}

#[derive(Clone, Debug)]
struct Thread {
    /// Its L2 among those of the domain.
    l2: usize,
    /// Its NUMA node.
    node: u64,
    ports: Ports,
    counts: Counts,
}

impl Model {
    /// The caches of a machine, for so many classes and monitored ids. `None` where the machine file has no L3, or a cache with
    /// more than [`MAX_WAYS`], or where there are more ids than [`MAX_MONITORS`].
    pub(crate) fn of(machine: &Machine, classes: usize, monitors: usize) -> Option<Self> {
        if cfg!(feature = "still") {
            return None;
        }
        let geometry = |cache: &crate::machine::Cache| {
            let ways = place(cache.ways);
            (ways <= MAX_WAYS && monitors <= MAX_MONITORS)
                .then_some((cache.size_kib * 1024 / (cache.ways * LINE_SIZE), ways))
        };
        let l3 = machine.cache.l3.as_ref().and_then(geometry)?;
        let l2 = match &machine.cache.l2 {
            None => None,
            Some(l2) => Some(geometry(l2)?),
        };
        let topology = machine.topology.clone();
        let place_of = |cpu| {
            let domain = topology.l3_domain(cpu);
            (domain, cpu - topology.l3_domain_cpus(domain).start)
        };
        Some(Self {
            places: (0..topology.cpus()).map(place_of).collect(),
            running: AtomicBool::new(false),
            memory: Memory::of(machine),
            domains: (0..topology.l3_domains()).map(|_| Mutex::new(None)).collect(),
            paces: (0..topology.cpus()).map(|_| Pace::default()).collect(),
            speed: AtomicU64::new(0),
            filters: (0..topology.cpus()).map(|_| Default::default()).collect(),
            shape: Shape { topology, l2, l3, classes: classes.max(1), monitors: monitors.max(1) },
        })
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// CPUs of the machine.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.places.len()
    }

    /// What the caches do.
    #[must_use]
    pub fn caches(&self) -> Caches {
        if self.is_running() { Caches::Follow } else { Caches::Still }
    }

    /// The memory behind the caches.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Ways of the L2s, 0 where there are none, and of the L3s.
    #[must_use]
    pub fn ways(&self) -> (usize, usize) {
        (self.shape.l2.map_or(0, |(_, ways)| ways), self.shape.l3.1)
    }

    /// Lines of each L3.
    #[must_use]
    pub fn l3_lines(&self) -> u64 {
        self.shape.l3.0 * self.shape.l3.1 as u64
    }

    /// The filters of a CPU: for data, and for instructions.
    #[must_use]
    pub fn filters(&self, cpu: usize) -> &[Filter; 2] {
        &self.filters[cpu]
    }

    /// Those of all CPUs.
    #[must_use]
    pub fn all_filters(&self) -> &[[Filter; 2]] {
        &self.filters
    }

    /// The pace of a CPU.
    #[must_use]
    pub fn pace(&self, cpu: usize) -> &Pace {
        &self.paces[cpu]
    }

    /// Bytes a second that a CPU can move, unless limits leave it less; `None` for any number.
    #[must_use]
    pub fn speed(&self) -> Option<u64> {
        Some(self.speed.load(Ordering::Relaxed)).filter(|speed| *speed != 0)
    }

    /// 0 for any number. Who calls this [sets the rates](Model::set_rates) next.
    pub(crate) fn set_speed(&self, bytes: u64) {
        self.speed.store(bytes, Ordering::Relaxed);
        if bytes == 0 {
            self.paces.iter().for_each(|pace| pace.set_rate(None));
        }
    }

    /// Lets each CPU move as many bytes a second from now on as `rate_of` tells from memory's speed, if it has one.
    pub(crate) fn set_rates(&self, rate_of: impl Fn(usize, u64) -> u64) {
        // Asked for at every context switch, and of use to few.
        let Some(speed) = self.speed() else { return };
        for (cpu, pace) in self.paces.iter().enumerate() {
            pace.set_rate(Some(rate_of(cpu, speed)));
        }
    }

    fn domain(&self, domain: usize) -> MutexGuard<'_, Option<Domain>> {
        self.domains[domain].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls with a domain and the place of a CPU in it, if the model runs.
    fn with_cpu<T>(&self, cpu: usize, act: impl FnOnce(&mut Domain, usize) -> T) -> Option<T> {
        let (domain, thread) = self.places[cpu];
        self.domain(domain).as_mut().map(|domain| act(domain, thread))
    }

    /// Begins with empty caches, and the ports of each CPU.
    pub(crate) fn start(&self, ports: impl Fn(usize) -> Ports) {
        for number in 0..self.domains.len() {
            *self.domain(number) = Some(self.shape.domain(number, &self.memory, &ports));
        }
        self.empty_filters();
        self.running.store(true, Ordering::Release);
    }

    /// Ends, and forgets everything.
    pub(crate) fn stop(&self) {
        self.running.store(false, Ordering::Release);
        (0..self.domains.len()).for_each(|number| *self.domain(number) = None);
    }

    /// Changes what requests of a CPU carry, and where they may fill.
    pub(crate) fn set_ports(&self, cpu: usize, ports: Ports) {
        let changed = self.with_cpu(cpu, |domain, thread| {
            let before = std::mem::replace(&mut domain.threads[thread].ports, ports);
            before != ports
        });
        if changed == Some(true) {
            self.filters[cpu].iter().for_each(Filter::empty);
        }
    }

    /// Limits what a class may hold of an L3.
    pub(crate) fn set_limit(&self, domain: usize, class: u16, limit: Option<Limit>) {
        if let Some(domain) = self.domain(domain).as_mut() {
            domain.l3.set_limit(class, limit);
        }
    }

    /// A CPU accesses the line of a physical address. Answers how many lines were moved between the L3 and memory for it, which
    /// is what its [`Pace`] is about.
    pub fn access(&self, cpu: usize, access: Access, mode: Mode, address: u64) -> u64 {
        let Some(line) = self.memory.line(address) else { return 0 };
        let home = self.memory.home(line);
        self.with_cpu(cpu, |domain, thread| domain.access(thread, access, mode, line, home)).unwrap_or(0)
    }

    /// A CPU flushes the line of a physical address, from all caches.
    pub fn flush(&self, address: u64, how: Flush) {
        let Some(line) = self.memory.line(address) else { return };
        self.empty_filters();
        for number in 0..self.domains.len() {
            if let Some(domain) = self.domain(number).as_mut() {
                let upper = domain.l2.iter_mut().filter_map(|l2| l2.flush(line, how)).last();
                let lower = domain.l3.flush(line, how);
                // Of two copies the upper one is the newer.
                domain.written_back(lower.or(upper));
            }
        }
    }

    /// A CPU flushes all caches of its domain.
    pub fn flush_all(&self, cpu: usize, how: Flush) {
        self.empty_filters();
        self.with_cpu(cpu, |domain, _| {
            let Domain { l2, l3, ledger, .. } = domain;
            let mut moves = |victim: Victim| ledger.add(victim.label, Why::Victim, victim.home);
            for l2 in l2 {
                l2.flush_all(how, |victim| {
                    if !l3.write_back_to(victim.line) {
                        moves(victim);
                    }
                });
            }
            l3.flush_all(how, moves);
        });
    }

    /// Has all filters emptied.
    pub fn empty_filters(&self) {
        self.filters.iter().flatten().for_each(Filter::empty);
    }

    /// What an L3 holds for a monitored id.
    #[must_use]
    pub fn held(&self, domain: usize, monitor: u32) -> Held {
        self.domain(domain).as_ref().map(|domain| domain.l3.held_by(monitor)).unwrap_or_default()
    }

    /// What has moved between an L3 and memory since this was asked last.
    pub(crate) fn take_moved(&self, domain: usize) -> Vec<Moved> {
        self.domain(domain).as_mut().map(|domain| domain.ledger.take()).unwrap_or_default()
    }

    /// How many lines have moved between memory and the caches since these follow.
    #[must_use]
    pub fn lines(&self) -> Lines {
        let of_domain = |number| self.domain(number).as_ref().map(|domain| domain.ledger.lines()).unwrap_or_default();
        (0..self.domains.len()).map(of_domain).fold(Lines::default(), |all, lines| Lines {
            read: all.read + lines.read,
            written: all.written + lines.written,
        })
    }

    /// What a CPU has done.
    #[must_use]
    pub fn counts(&self, cpu: usize) -> Counts {
        self.with_cpu(cpu, |domain, thread| domain.threads[thread].counts).unwrap_or_default()
    }
}

impl Shape {
    fn domain(&self, number: usize, memory: &Memory, ports: &impl Fn(usize) -> Ports) -> Domain {
        let Self { topology, l2, l3: (sets, ways), classes, monitors } = self;
        let cpus = topology.l3_domain_cpus(number);
        let first_l2 = topology.l2_domain(cpus.start);
        let nodes = topology.nodes as u64;
        // A divided socket whose sets cannot be divided has them in common.
        let parts = if sets.is_multiple_of(nodes) { (nodes, memory.lines_per_node()) } else { (1, u64::MAX) };
        let mut l2s: Vec<usize> = cpus.clone().map(|cpu| topology.l2_domain(cpu)).collect();
        l2s.dedup();
        let new_l2 = |(sets, ways): &(u64, usize)| vec![Cache::new(*sets, *ways, *classes, *monitors); l2s.len()];
        Domain {
            l3: Cache::in_parts(*sets, *ways, parts, *classes, *monitors),
            l2: l2.as_ref().map_or_else(Vec::new, new_l2),
            threads: cpus
                .map(|cpu| Thread {
                    l2: topology.l2_domain(cpu) - first_l2,
                    node: topology.node(cpu) as u64,
                    ports: ports(cpu),
                    counts: Counts::default(),
                })
                .collect(),
            ledger: Ledger::new(*monitors),
        }
    }
}

impl Domain {
    fn access(&mut self, thread: usize, access: Access, mode: Mode, line: u64, home: u64) -> u64 {
        let thread = &mut self.threads[thread];
        let port = *thread.ports.of(access, mode);
        let home = if thread.node == home { Home::Own } else { Home::Other };
        let dirties = if access == Access::Store { Dirties::Yes } else { Dirties::No };
        thread.counts.accesses[mode as usize] += 1;
        let fill = |ways| Fill { label: port.label, ways, home };
        let upper = match self.l2.get_mut(thread.l2) {
            None => Outcome::Passed,
            Some(l2) => l2.access(line, fill(port.l2_ways), dirties),
        };
        // What the L2 has taken is dirty there.
        let (dirties, victim) = match upper {
            Outcome::Hit => return 0,
            Outcome::Filled(victim) => (Dirties::No, victim),
            Outcome::Passed => (dirties, None),
        };
        thread.counts.l3_references[mode as usize] += 1;
        let mut moved = 0;
        match self.l3.access(line, fill(port.l3_ways), dirties) {
            Outcome::Hit => {}
            outcome => {
                thread.counts.l3_misses[mode as usize] += 1;
                moved += 1;
                match outcome {
                    // Nobody keeps the line: the store itself goes to memory.
                    Outcome::Passed if dirties == Dirties::Yes => self.ledger.add(port.label, Why::Write, home),
                    _ => self.ledger.add(port.label, Why::Read, home),
                }
                if let Outcome::Filled(victim) = outcome {
                    moved += self.written_back(victim);
                }
            }
        }
        if let Some(victim) = victim.filter(|victim| victim.dirty)
            && !self.l3.write_back_to(victim.line)
        {
            moved += self.written_back(Some(victim));
        }
        moved
    }

    /// Counts a line that is written back; answers how many are, one or none.
    fn written_back(&mut self, victim: Option<Victim>) -> u64 {
        let Some(victim) = victim.filter(|victim| victim.dirty) else { return 0 };
        self.ledger.add(victim.label, Why::Victim, victim.home);
        1
    }
}
