// SPDX-License-Identifier: GPL-2.0-only
//! What there is at one moment: CPUs, domains with their workers, who holds which lock, what is under way.

use core::fmt;

/// A CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu(pub u8);

impl Cpu {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Some CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cpus(u64);

impl Cpus {
    pub(crate) const fn contains(self, cpu: Cpu) -> bool {
        self.0 >> cpu.0 & 1 == 1
    }

    pub(crate) const fn insert(&mut self, cpu: Cpu) {
        self.0 |= 1 << cpu.0;
    }

    pub(crate) const fn remove(&mut self, cpu: Cpu) {
        self.0 &= !(1 << cpu.0);
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The lowest one, which is what is chosen where all will do, but for one.
    pub(crate) const fn any_but(self, but: Option<Cpu>) -> Option<Cpu> {
        let mut rest = self;
        if let Some(cpu) = but {
            rest.remove(cpu);
        }
        if rest.is_empty() { None } else { Some(Cpu(rest.0.trailing_zeros() as u8)) }
    }
}

/// The place of a domain in memory. What comes after a domain that was freed may get the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

impl Slot {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Which worker of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Reads the counters once a period.
    Overflow,
    /// Waits for what is in limbo.
    Limbo,
}

impl Kind {
    /// Both.
    pub const BOTH: [Kind; 2] = [Kind::Overflow, Kind::Limbo];
}

/// One worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker {
    /// Whose it is.
    pub domain: Slot,
    /// Which of the two.
    pub kind: Kind,
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Overflow => "overflow",
            Kind::Limbo => "limbo",
        };
        write!(f, "{kind} worker of domain {}", self.domain.0)
    }
}

/// Where a worker is meant to run next, as the domain remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// It is not scheduled.
    Idle,
    /// On this CPU.
    On(Cpu),
    /// On one that has left since.
    Nowhere,
}

/// A run that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pending {
    /// Waits for its time, so many ticks.
    Timer(Cpu, u16),
    /// In the pool of a CPU.
    Queued(Cpu),
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It has begun, and wants its locks.
    Begun,
    /// It holds the hotplug lock, and wants the mutex.
    CpusHeld,
    /// It holds the mutex, and has not looked yet.
    Locked,
    /// It holds the mutex, and has done what it does.
    Acted,
    /// It holds nothing, and is about to return.
    Returning,
}

/// A run under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Whose worker thread runs it.
    pub pool: Cpu,
    /// What it was told: the CPU it is bound to, or that it is displaced.
    pub told: Option<Cpu>,
    /// Where the thread is bound to by now.
    pub here: Option<Cpu>,
    /// How far it is.
    pub phase: Phase,
    /// Whether it has the reference that it was scheduled with.
    pub holds: bool,
}

/// A delayed work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Work {
    /// The run to come.
    pub pending: Option<Pending>,
    /// The run under way.
    pub run: Option<Run>,
}

impl Work {
    pub(crate) const fn is_idle(&self) -> bool {
        self.pending.is_none() && self.run.is_none()
    }
}

/// A monitor domain, or what its memory was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    /// Of which cache.
    pub package: u8,
    /// On the list.
    pub alive: bool,
    /// Its CPUs.
    pub cpus: Cpus,
    /// References, where they are counted.
    pub refs: u8,
    /// Its memory has been given back; it is remembered for as long as somebody may touch it.
    pub freed: bool,
    /// Its arrays have.
    pub arrays_freed: bool,
    /// Something is in limbo.
    pub busy: bool,
    /// Ticks since its counters were read, while mounted.
    pub unread: u16,
    /// How many of its CPUs have left since.
    pub left: u8,
    pub(crate) targets: [Target; 2],
    pub(crate) works: [Work; 2],
}

impl Domain {
    pub(crate) fn new(package: u8, cpu: Cpu) -> Self {
        let mut cpus = Cpus::default();
        cpus.insert(cpu);
        Domain {
            package,
            alive: true,
            cpus,
            refs: 1,
            freed: false,
            arrays_freed: false,
            busy: false,
            unread: 0,
            left: 0,
            targets: [Target::Idle; 2],
            works: [Work::default(); 2],
        }
    }

    /// The work of one of the workers.
    pub fn work(&self, kind: Kind) -> &Work {
        &self.works[kind as usize]
    }

    pub(crate) fn target(&mut self, kind: Kind) -> &mut Target {
        &mut self.targets[kind as usize]
    }
}

/// How far the kernel is with a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CpuState {
    /// It does not run.
    Offline,
    /// It runs; its callbacks have not been called, or not all.
    Starting,
    /// It runs.
    Online,
    /// Its callbacks have been called, it runs for a last moment.
    Left,
    /// As before, with its workers turned loose.
    Unbound,
}

/// What the file system knows of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// In no domain.
    Offline,
    /// In its domain.
    Online,
    /// In its domain, and asleep.
    Suspended,
}

/// What a callback is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// A CPU has come, or is back.
    Come(Cpu),
    /// A CPU goes.
    Go(Cpu),
    /// A CPU goes to sleep.
    Suspend(Cpu),
    /// The system is awake: CPUs that are not back are lost.
    Lose,
}

/// How far a callback is. The second half is what versions do that the one here does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// It wants the mutex.
    Entered,
    /// It holds the mutex, and has not looked yet.
    Locked,
    /// It holds the mutex, and has done what it does but for the arming.
    Acted,
    /// It holds nothing but perhaps the list's reference to a domain.
    Unlocked,
    /// It holds the mutex, and looks at a worker.
    Looks(Kind),
    /// It waits for a worker to end, without the mutex.
    Waits(Kind),
    /// It wants the mutex back, to arm that worker anew.
    Rearms(Kind),
    /// It wants the mutex, to take the CPU out of the mask.
    Masks,
    /// It wants to take a domain down, and first what it has of workers.
    Removes,
    /// It waits for a worker to end, in order to take the domain down.
    Drains(Kind),
    /// All that is left is to give the memory back.
    Frees,
}

/// A callback under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Callback {
    /// What for.
    pub edge: Edge,
    /// How far it is.
    pub step: Step,
    /// The domain that goes, whose reference on the list it has.
    pub gone: Option<Slot>,
}

/// Who can hold the mutex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// A worker.
    Worker(Worker),
    /// A callback.
    Callback,
    /// A command.
    User,
}

/// How far the system's sleep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sleep {
    /// Everybody is awake.
    No,
    /// Tasks and workers are frozen, CPUs stop.
    Falling,
    /// CPUs come back.
    Waking,
    /// Those that were not back are out.
    Woken,
}

/// How far the module's exit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It has not been asked for.
    No,
    /// The callbacks of the CPUs are called.
    Leaving,
    /// It waits for the last domain.
    Counting,
    /// It waits for the workqueue.
    Draining,
    /// The module's code is gone.
    Gone,
}

/// What must never happen, when it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Somebody touched a domain after its memory was given back.
    FreedDomain,
    /// Somebody touched its arrays after theirs was.
    FreedArrays,
    /// Memory was given back twice, or a reference that nobody had.
    FreedTwice,
    /// Counters were read where they are not.
    Outside,
    /// A work was scheduled where it cannot run.
    GoneCpu,
    /// A work was pending that was thought to be idle.
    WasPending,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// By CPU.
    pub cpus: Vec<CpuState>,
    /// By CPU: whether its workers are loose.
    pub loose: Cpus,
    /// By CPU.
    pub lives: Vec<Life>,
    /// By slot.
    pub domains: Vec<Option<Domain>>,
    /// Whether the file system is mounted.
    pub mounted: bool,
    /// Who holds the mutex.
    pub mutex: Option<Actor>,
    /// How many hold the hotplug lock for reading.
    pub readers: u8,
    /// The CPU for whose coming or going it is held for writing.
    pub hotplug: Option<Cpu>,
    /// The callback under way.
    pub callback: Option<Callback>,
    /// What the holder of the mutex has decided to arm, the first last.
    pub todo: Vec<Worker>,
    /// How many commands hold the hotplug lock.
    pub users: u8,
    /// How far the system's sleep is.
    pub sleep: Sleep,
    /// How far the module's exit is.
    pub exit: Exit,
    /// Ticks that the exit has waited.
    pub exit_waited: u16,
    /// What went wrong.
    pub fault: Option<Fault>,
}

impl State {
    /// The domain in a slot.
    pub(crate) fn domain(&self, slot: Slot) -> Option<&Domain> {
        self.domains.get(slot.index())?.as_ref()
    }

    /// Whatever goes wrong first is what is told.
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// The domain of a package that is on the list.
    pub(crate) fn live(&self, package: u8) -> Option<Slot> {
        self.slots().find(|&slot| self.domain(slot).is_some_and(|d| d.alive && d.package == package))
    }

    /// Every slot there is.
    pub(crate) fn slots(&self) -> impl DoubleEndedIterator<Item = Slot> + use<> {
        (0..self.domains.len() as u8).map(Slot)
    }

    /// Every worker whose domain is remembered.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (Worker, &Work)> {
        self.slots()
            .filter_map(|slot| Some((slot, self.domain(slot)?)))
            .flat_map(|(slot, domain)| Kind::BOTH.map(|kind| (Worker { domain: slot, kind }, domain.work(kind))))
    }

    /// Whether workers are frozen.
    pub(crate) fn frozen(&self) -> bool {
        self.sleep != Sleep::No
    }
}
