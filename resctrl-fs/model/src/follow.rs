// SPDX-License-Identifier: GPL-2.0-only
//! Recorded runs of the real code: the model must allow each step, and lead to the same.
//!
//! What a run shows is translated into steps of the model, which are taken; whatever the model would do and the run does not, or
//! the other way round, ends the comparison. Two things no run shows and are done as late as they can be: that a run gives up a
//! reference which is not the last, and what a worker or a callback does under the mutex without touching anybody.

use std::collections::BTreeMap;

use resctrl_types::CpuId;
use resctrl_types::sim::trace::{CallbackKind, Event, Record, WorkId};

use crate::action::Action;
use crate::rules::Rules;
use crate::state::{Actor, Cpu, CpuState, Edge, Exit, Kind, Pending, Phase, Sleep, Slot, State, Step, Target, Worker};
use crate::worker::{Decision, Limbo, decide};

/// Why a run is none that the model allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The number of the event, from 0.
    pub at: usize,
    /// The event, what the model says to it, and the state that it was in.
    pub why: String,
}

/// What a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Worker(Worker),
    Callback,
    User,
}

struct Follower<'a> {
    rules: &'a Rules,
    state: State,
    works: BTreeMap<WorkId, Worker>,
    roles: BTreeMap<usize, Role>,
    clock: u64,
    /// The slot of a domain of which only the first work has been seen.
    half_made: Option<Slot>,
}

type Answer<T = ()> = Result<T, String>;

/// Sees whether the model allows a run of a machine that began with the module loaded, nothing mounted and every CPU online, at
/// time 0. Gives in how many steps the model went along.
///
/// # Errors
/// The first event that it does not allow.
pub fn follow(rules: &Rules, records: &[Record]) -> Result<usize, Refusal> {
    let state = rules.initial(0);
    let mut works = BTreeMap::new();
    for slot in state.slots() {
        for kind in Kind::BOTH {
            works.insert(works.len() as WorkId + 1, Worker { domain: slot, kind });
        }
    }
    let roles = BTreeMap::new();
    let mut follower = Follower { rules, state, works, roles, clock: 0, half_made: None };
    for (at, record) in records.iter().enumerate() {
        follower.event(record.thread, record.event).map_err(|why| {
            let why = format!("{:?}: {why}\n{:?}", record.event, follower.state);
            Refusal { at, why }
        })?;
    }
    follower
        .end()
        .map_err(|why| Refusal { at: records.len(), why: format!("the end: {why}\n{:?}", follower.state) })?;
    Ok(records.len())
}

/// Commands say only at their end what they have done: says it where they have taken the mutex for it.
#[must_use]
pub fn in_order(mut records: Vec<Record>) -> Vec<Record> {
    for at in 0..records.len() {
        let record = records[at];
        if matches!(record.event, Event::Mounted | Event::Unmounted) {
            let locked = |other: &Record| other.thread == record.thread && other.event == Event::Locked;
            if let Some(to) = records[..at].iter().rposition(locked) {
                records[to + 1..=at].rotate_right(1);
            }
        }
    }
    records
}

fn cpu(id: CpuId) -> Cpu {
    Cpu(id.0 as u8)
}

fn edge(kind: CallbackKind) -> Edge {
    match kind {
        CallbackKind::Come(id) => Edge::Come(cpu(id)),
        CallbackKind::Go(id) => Edge::Go(cpu(id)),
        CallbackKind::Suspend(id) => Edge::Suspend(cpu(id)),
        CallbackKind::Awake => Edge::Lose,
    }
}

impl Follower<'_> {
    fn take(&mut self, action: Action) -> Answer {
        match self.rules.step(&self.state, action) {
            Some(next) if next.fault.is_none() => {
                self.state = next;
                Ok(())
            }
            Some(next) => Err(format!("the model ends with {:?} at `{action}`", next.fault)),
            None => Err(format!("the model cannot do `{action}` here")),
        }
    }

    fn role(&self, thread: usize) -> Role {
        self.roles.get(&thread).copied().unwrap_or(Role::User)
    }

    fn worker(&self, id: WorkId) -> Answer<Worker> {
        self.works.get(&id).copied().ok_or_else(|| "no domain has this work".into())
    }

    fn pending(&self, worker: Worker) -> Option<Pending> {
        self.state.domain(worker.domain)?.work(worker.kind).pending
    }

    fn event(&mut self, thread: usize, event: Event) -> Answer {
        match event {
            Event::Clock(now) => self.clock(now),
            Event::Made(id) => self.made(id),
            Event::Freed(id) => self.freed(id),
            Event::Scheduled(id, to, delay) => self.scheduled(thread, id, to, delay),
            Event::WasPending(_) => Err("the model schedules nothing that is pending".into()),
            Event::Cancelled(_) => Err("the model cancels nothing".into()),
            Event::Fired(id) => self.take(Action::Fire(self.worker(id)?)),
            Event::Begun(id, bound) => self.begun(thread, id, bound),
            Event::Finished(id) => self.finished(thread, id),
            Event::Locked => self.take(Action::Lock(self.actor(thread))),
            Event::Unlocked => self.unlocked(thread),
            Event::CpusHeld if self.role(thread) == Role::User => self.take(Action::Enter),
            Event::CpusReleased if self.role(thread) == Role::User => self.take(Action::Leave),
            Event::Starting(id) => self.take(Action::Up(cpu(id))),
            Event::Leaving(id) => self.take(Action::Down(cpu(id))),
            Event::Rebound(id) => self.hotplug(id, CpuState::Starting),
            Event::Online(id) => self.hotplug(id, CpuState::Online),
            Event::Left(id) => self.hotplug(id, CpuState::Left),
            Event::Unbound(id) => self.hotplug(id, CpuState::Unbound),
            Event::Offline(id) => self.hotplug(id, CpuState::Offline),
            Event::Calls(kind) => self.calls(thread, edge(kind)),
            Event::Called(_) => self.called(thread),
            Event::Unregisters => self.take(Action::Exit),
            Event::Unregistered => self.take(Action::ExitCalled),
            Event::Frozen => self.take(Action::Freeze),
            Event::Thawed => self.take(Action::Thaw),
            Event::Read(on) => self.read(thread, cpu(on)),
            Event::Mounted => self.take(Action::Mount),
            Event::Unmounted if self.state.mounted => self.take(Action::Unmount),
            Event::CpusHeld | Event::CpusReleased | Event::Unmounted => Ok(()),
        }
    }

    /// Where the module has been unloaded nothing is left of it.
    fn end(&mut self) -> Answer {
        if self.state.exit == Exit::No {
            return Ok(());
        }
        self.take(Action::ExitCounted)?;
        self.take(Action::ExitDrained)?;
        match self.state.workers().find(|(_, work)| !work.is_idle()) {
            Some((worker, work)) => Err(format!("in the model the {worker} is left: {work:?}")),
            None => Ok(()),
        }
    }

    fn actor(&self, thread: usize) -> Actor {
        match self.role(thread) {
            Role::Worker(worker) => Actor::Worker(worker),
            Role::Callback => Actor::Callback,
            Role::User => Actor::User,
        }
    }

    /// Time goes on, and past no timer that has not fired.
    fn clock(&mut self, now: u64) -> Answer {
        let mut rest = now.checked_sub(self.clock).ok_or("time goes back")?;
        self.clock = now;
        let soonest = self.state.workers().filter_map(|(worker, work)| match work.pending {
            Some(Pending::Timer(_, left)) => Some((u64::from(left), worker)),
            _ => None,
        });
        if let Some((left, worker)) = soonest.min()
            && left < rest
        {
            return Err(format!("the {worker} was due {} ms ago", rest - left));
        }
        while rest > 0 {
            let ticks = u16::try_from(rest).unwrap_or(u16::MAX);
            self.take(Action::Pass(ticks))?;
            rest -= u64::from(ticks);
        }
        Ok(())
    }

    /// Each work of a domain, the first with the domain itself.
    fn made(&mut self, id: WorkId) -> Answer {
        if let Some(domain) = self.half_made.take() {
            self.works.insert(id, Worker { domain, kind: Kind::Limbo });
            return Ok(());
        }
        let before: Vec<bool> = self.state.domains.iter().map(Option::is_some).collect();
        self.take(Action::Call)?;
        let new =
            |slot: &Slot| self.state.domain(*slot).is_some() && !before.get(slot.index()).copied().unwrap_or(false);
        let domain = self.state.slots().find(new).ok_or("the model makes no domain here")?;
        self.works.insert(id, Worker { domain, kind: Kind::Overflow });
        self.half_made = Some(domain);
        Ok(())
    }

    /// A domain goes with its last reference: everybody who could give one up has done so.
    fn freed(&mut self, id: WorkId) -> Answer {
        let worker = self.works.remove(&id).ok_or("no domain has this work")?;
        if worker.kind == Kind::Limbo {
            return Ok(());
        }
        let slot = worker.domain;
        if self.is_lost_with(slot) {
            // Under the mutex, with the domain going off the list.
            self.take(Action::Call)?;
        }
        for kind in Kind::BOTH {
            let worker = Worker { domain: slot, kind };
            let run = self.state.domain(slot).and_then(|domain| domain.work(kind).run);
            if run.is_some_and(|run| run.phase == Phase::Returning && run.holds) {
                self.take(Action::Release(worker))?;
            }
        }
        if self.state.callback.is_some_and(|callback| callback.gone == Some(slot) && callback.step == Step::Unlocked) {
            self.take(Action::Drop)?;
        }
        match self.state.domain(slot) {
            Some(domain) if !domain.freed => Err(format!("in the model the domain has {} references", domain.refs)),
            _ => Ok(()),
        }
    }

    /// The system is awake, and CPUs that are not back are about to take this domain along.
    fn is_lost_with(&self, slot: Slot) -> bool {
        let loses =
            self.state.callback.is_some_and(|callback| callback.edge == Edge::Lose && callback.step == Step::Locked);
        loses && self.state.domain(slot).is_some_and(|domain| domain.alive)
    }

    fn scheduled(&mut self, thread: usize, id: WorkId, to: CpuId, delay: u32) -> Answer {
        let worker = self.worker(id)?;
        match self.role(thread) {
            Role::Worker(own) if own == worker => self.take(Action::Work(worker, Limbo::Dirty))?,
            Role::Worker(own) => return Err(format!("the {own} schedules another")),
            Role::Callback => {
                if self.state.callback.is_some_and(|callback| callback.step == Step::Locked) {
                    self.take(Action::Call)?;
                }
                self.arms(worker)?;
            }
            Role::User => {
                if self.state.todo.is_empty() && worker.kind == Kind::Limbo {
                    self.take(Action::FreeRmid)?;
                }
                self.arms(worker)?;
            }
        }
        let ticks = u16::try_from(delay).unwrap_or(u16::MAX);
        let expected = self.pending(worker);
        if expected == Some(Pending::Timer(cpu(to), ticks)) {
            Ok(())
        } else {
            Err(format!("the model has {expected:?} then"))
        }
    }

    fn arms(&mut self, worker: Worker) -> Answer {
        match self.state.todo.last() {
            Some(next) if *next == worker => self.take(Action::Arm),
            next => Err(format!("the model arms {next:?} here")),
        }
    }

    fn begun(&mut self, thread: usize, id: WorkId, bound: Option<CpuId>) -> Answer {
        let worker = self.worker(id)?;
        self.take(Action::Begin(worker))?;
        self.roles.insert(thread, Role::Worker(worker));
        let told =
            self.state.domain(worker.domain).and_then(|domain| domain.work(worker.kind).run).and_then(|run| run.told);
        if told == bound.map(cpu) { Ok(()) } else { Err(format!("in the model it is told {told:?}")) }
    }

    fn finished(&mut self, thread: usize, _: WorkId) -> Answer {
        let Some(Role::Worker(worker)) = self.roles.remove(&thread) else { return Err("nobody ran it".into()) };
        let run = self.state.domain(worker.domain).and_then(|domain| domain.work(worker.kind).run);
        if run.is_some_and(|run| run.holds) {
            self.silently(worker.domain, Action::Release(worker))?;
        }
        self.take(Action::Finish(worker))
    }

    /// Gives up a reference that is not the last.
    fn silently(&mut self, slot: Slot, action: Action) -> Answer {
        self.take(action)?;
        match self.state.domain(slot) {
            Some(domain) if !domain.freed => Ok(()),
            _ => Err("in the model the domain is freed here".into()),
        }
    }

    fn unlocked(&mut self, thread: usize) -> Answer {
        let actor = self.actor(thread);
        match actor {
            Actor::Worker(worker) => {
                let domain = self.state.domain(worker.domain).ok_or("in the model its domain has gone")?;
                let run = domain.work(worker.kind).run.ok_or("in the model it does not run")?;
                if run.phase == Phase::Locked {
                    let looks = worker.kind == Kind::Limbo && domain.busy;
                    let measures = decide(self.rules, &self.state, worker, &run) == Decision::Measure;
                    self.take(Action::Work(worker, if looks && measures { Limbo::Clean } else { Limbo::Dirty }))?;
                    if self.pending(worker).is_some() {
                        return Err("in the model the worker schedules itself before".into());
                    }
                }
            }
            Actor::Callback => {
                if self.state.callback.is_some_and(|callback| callback.step == Step::Locked) {
                    let domains = self.state.domains.iter().flatten().count();
                    self.take(Action::Call)?;
                    if self.state.domains.iter().flatten().count() > domains {
                        return Err("in the model a domain is made before".into());
                    }
                }
            }
            Actor::User => {}
        }
        if let Some(worker) = self.state.todo.last() {
            return Err(format!("in the model the {worker} is armed before"));
        }
        self.take(Action::Unlock(actor))
    }

    fn hotplug(&mut self, id: CpuId, to: CpuState) -> Answer {
        self.take(Action::Hotplug)?;
        let reached = self.state.cpus.get(cpu(id).index()).copied();
        if reached == Some(to) { Ok(()) } else { Err(format!("in the model that CPU is {reached:?}")) }
    }

    fn calls(&mut self, thread: usize, edge: Edge) -> Answer {
        self.roles.insert(thread, Role::Callback);
        if self.state.callback.is_none() {
            let wakes = matches!(edge, Edge::Come(_) | Edge::Lose) && self.state.sleep == Sleep::Falling;
            if wakes {
                self.take(Action::Wake)?;
            }
            self.take(match edge {
                Edge::Go(cpu) => Action::ExitCpu(cpu),
                Edge::Come(_) | Edge::Suspend(_) => Action::LastCpu(edge),
                Edge::Lose => Action::Woken,
            })?;
        }
        match self.state.callback {
            Some(callback) if callback.edge == edge && callback.step == Step::Entered => Ok(()),
            other => Err(format!("in the model {other:?} is called")),
        }
    }

    fn called(&mut self, thread: usize) -> Answer {
        self.roles.remove(&thread);
        match self.state.callback {
            None => Ok(()),
            Some(callback) if callback.step == Step::Unlocked => match callback.gone {
                Some(slot) => self.silently(slot, Action::Drop),
                None => Ok(()),
            },
            Some(callback) => Err(format!("in the model it has only {:?}", callback.step)),
        }
    }

    /// A worker reads where it is, in its domain, and only when it is to measure.
    fn read(&mut self, thread: usize, on: Cpu) -> Answer {
        let Role::Worker(worker) = self.role(thread) else { return Ok(()) };
        let domain = self.state.domain(worker.domain).ok_or("in the model its domain has gone")?;
        let run = domain
            .work(worker.kind)
            .run
            .filter(|run| run.phase == Phase::Locked)
            .ok_or("it does not have the mutex")?;
        let in_place = domain.cpus.contains(on) && domain.targets[worker.kind as usize] == Target::On(on);
        match decide(self.rules, &self.state, worker, &run) {
            Decision::Measure if in_place => Ok(()),
            decision => Err(format!("in the model it is to {decision:?}, {:?}", domain.targets)),
        }
    }
}
