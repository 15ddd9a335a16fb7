// SPDX-License-Identifier: GPL-2.0-only
//! The relation: which step leads where.

use crate::action::Action;
use crate::kernel::{begin, bind, finish, fire, may_pass, pass, put, work};
use crate::rules::{Alteration, Rules};
use crate::state::{Actor, Cpu, CpuState, Cpus, Edge, Exit, Kind, Life, Phase, Sleep, Slot, State, Target, Worker};
use crate::{callback, worker, wrong};

impl Rules {
    /// A machine with all CPUs online and the module loaded, with room for so many domains.
    pub fn initial(&self, slots: usize) -> State {
        let cpus = self.packages.len();
        let mut state = State {
            cpus: vec![CpuState::Online; cpus],
            loose: Cpus::default(),
            lives: vec![Life::Offline; cpus],
            domains: vec![None; slots],
            mounted: false,
            mutex: None,
            readers: 0,
            hotplug: None,
            callback: None,
            todo: Vec::new(),
            users: 0,
            sleep: Sleep::No,
            exit: Exit::No,
            exit_waited: 0,
            fault: None,
        };
        for cpu in self.cpus() {
            callback::enter(&mut state, Edge::Come(cpu));
            for action in [Action::Lock(Actor::Callback), Action::Call, Action::Unlock(Actor::Callback)] {
                if let Some(next) = self.step(&state, action) {
                    state = next;
                }
            }
        }
        state
    }

    pub(crate) fn cpus(&self) -> impl DoubleEndedIterator<Item = Cpu> + use<> {
        (0..self.packages.len() as u8).map(Cpu)
    }

    /// Where a step leads; nothing if it cannot be taken.
    pub fn step(&self, state: &State, action: Action) -> Option<State> {
        if state.fault.is_some() {
            return None;
        }
        let mut next = state.clone();
        self.take(&mut next, action)?;
        Some(next)
    }

    fn take(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Pass(ticks) => {
                may_pass(self, state).then_some(())?;
                pass(self, state, ticks);
                Some(())
            }
            Action::Fire(worker) => fire(state, worker),
            Action::Begin(worker) => begin(self, state, worker),
            Action::HoldCpus(worker) => {
                (self.version.worker_holds_cpus() && state.hotplug.is_none()).then_some(())?;
                advance(state, worker, Phase::Begun, Phase::CpusHeld)?;
                state.readers += 1;
                Some(())
            }
            Action::Lock(actor) => self.lock(state, actor),
            Action::Work(worker, limbo) => worker::act(self, state, worker, limbo),
            Action::Call => callback::act(self, state),
            Action::CallOn => wrong::step(self, state),
            Action::Arm => {
                let worker = state.todo.pop()?;
                worker::arm(self, state, worker, self.period(), None);
                Some(())
            }
            Action::Unlock(actor) => self.unlock(state, actor),
            Action::Release(worker) => {
                let run = work(state, worker)?.run.as_mut()?;
                (run.phase == Phase::Returning && run.holds).then_some(())?;
                run.holds = false;
                put(state, worker.domain);
                Some(())
            }
            Action::Drop => callback::drop_gone(state),
            Action::Finish(worker) => finish(state, worker),
            Action::Down(cpu) => self.down(state, cpu),
            Action::Up(cpu) => self.up(state, cpu),
            Action::Hotplug => self.hotplug(state),
            Action::Enter => {
                (state.hotplug.is_none() && !state.frozen()).then_some(())?;
                state.users += 1;
                state.readers += 1;
                Some(())
            }
            Action::Leave => {
                state.users = state.users.checked_sub(1)?;
                state.readers -= 1;
                Some(())
            }
            Action::Mount | Action::Unmount | Action::FreeRmid => self.command(state, action),
            Action::Freeze | Action::LastCpu(_) | Action::Wake | Action::Woken | Action::Thaw => {
                self.sleep(state, action)
            }
            Action::Exit | Action::ExitCpu(_) | Action::ExitCalled | Action::ExitCounted | Action::ExitDrained => {
                self.exit(state, action)
            }
        }
    }

    fn lock(&self, state: &mut State, actor: Actor) -> Option<()> {
        if state.mutex.is_some() {
            return None;
        }
        match actor {
            Actor::Callback => return callback::lock(self, state),
            Actor::User => {}
            Actor::Worker(worker) => {
                let from = if self.version.worker_holds_cpus() { Phase::CpusHeld } else { Phase::Begun };
                advance(state, worker, from, Phase::Locked)?;
            }
        }
        state.mutex = Some(actor);
        Some(())
    }

    fn unlock(&self, state: &mut State, actor: Actor) -> Option<()> {
        if state.mutex != Some(actor) || !state.todo.is_empty() {
            return None;
        }
        match actor {
            Actor::Callback => return callback::unlock(state),
            Actor::User => {}
            Actor::Worker(worker) => {
                advance(state, worker, Phase::Acted, Phase::Returning)?;
                state.readers -= u8::from(self.version.worker_holds_cpus());
            }
        }
        state.mutex = None;
        Some(())
    }

    fn command(&self, state: &mut State, action: Action) -> Option<()> {
        (state.mutex == Some(Actor::User) && state.todo.is_empty()).then_some(())?;
        let kind = match action {
            Action::Mount => {
                (!state.mounted).then_some(())?;
                state.mounted = true;
                // A worker that is on its way already may have been displaced before: that stays counted.
                state.domains.iter_mut().flatten().for_each(|domain| domain.unread = 0);
                Kind::Overflow
            }
            Action::Unmount => {
                state.mounted.then_some(())?;
                state.mounted = false;
                state.domains.iter_mut().flatten().for_each(|domain| domain.unread = 0);
                return Some(());
            }
            _ => {
                state.domains.iter_mut().flatten().filter(|domain| domain.alive).for_each(|domain| domain.busy = true);
                Kind::Limbo
            }
        };
        let mut live: Vec<(u8, Slot)> = Vec::new();
        for slot in state.slots() {
            let Some(domain) = state.domains[slot.index()].as_mut().filter(|domain| domain.alive) else { continue };
            // The versions of C do not look.
            if !self.version.is_ours() || *domain.target(kind) == Target::Idle {
                live.push((domain.package, slot));
            }
        }
        live.sort_unstable();
        state.todo = live.into_iter().rev().map(|(_, domain)| Worker { domain, kind }).collect();
        Some(())
    }

    fn down(&self, state: &mut State, cpu: Cpu) -> Option<()> {
        let online = |&cpu: &Cpu| state.cpus[cpu.index()] == CpuState::Online;
        let others = self.cpus().filter(online).any(|other| other != cpu) || self.anchored;
        let free = state.readers == 0 && state.hotplug.is_none();
        (online(&cpu) && others && free && matches!(state.sleep, Sleep::No | Sleep::Falling)).then_some(())?;
        state.hotplug = Some(cpu);
        if state.exit == Exit::No {
            callback::enter(state, if state.frozen() { Edge::Suspend(cpu) } else { Edge::Go(cpu) });
        }
        Some(())
    }

    fn up(&self, state: &mut State, cpu: Cpu) -> Option<()> {
        let offline = state.cpus[cpu.index()] == CpuState::Offline;
        let free = state.readers == 0 && state.hotplug.is_none();
        let back = match state.sleep {
            Sleep::No => true,
            Sleep::Waking => state.lives[cpu.index()] == Life::Suspended || state.exit != Exit::No,
            Sleep::Falling | Sleep::Woken => false,
        };
        (offline && free && back).then_some(())?;
        state.hotplug = Some(cpu);
        state.cpus[cpu.index()] = CpuState::Starting;
        Some(())
    }

    /// The next step of the kernel with the CPU that comes or goes.
    fn hotplug(&self, state: &mut State) -> Option<()> {
        let cpu = state.hotplug.filter(|_| state.callback.is_none())?;
        let next = match state.cpus[cpu.index()] {
            CpuState::Starting if state.loose.contains(cpu) => {
                bind(state, cpu, Some(cpu));
                if state.exit == Exit::No {
                    callback::enter(state, Edge::Come(cpu));
                }
                CpuState::Starting
            }
            CpuState::Starting => CpuState::Online,
            CpuState::Online => CpuState::Left,
            CpuState::Left => {
                bind(state, cpu, None);
                CpuState::Unbound
            }
            CpuState::Unbound => CpuState::Offline,
            CpuState::Offline => return None,
        };
        state.cpus[cpu.index()] = next;
        let done = matches!(next, CpuState::Offline | CpuState::Online);
        state.hotplug = (!done).then_some(cpu);
        Some(())
    }

    fn sleep(&self, state: &mut State, action: Action) -> Option<()> {
        let still = state.hotplug.is_none() && state.callback.is_none();
        let idle = state.users == 0 && state.mutex.is_none() && matches!(state.exit, Exit::No | Exit::Counting);
        let runs = state.workers().any(|(_, work)| work.run.is_some());
        match (action, state.sleep) {
            (Action::Freeze, Sleep::No) if still && idle && !runs => state.sleep = Sleep::Falling,
            (Action::LastCpu(edge), Sleep::Falling | Sleep::Waking) if still && !self.anchored => {
                callback::enter(state, edge);
            }
            (Action::Wake, Sleep::Falling) if still => {
                let awake = self.cpus().filter(|&cpu| state.cpus[cpu.index()] == CpuState::Online).count();
                (awake == usize::from(!self.anchored)).then_some(())?;
                state.sleep = Sleep::Waking;
            }
            (Action::Woken, Sleep::Waking) if still => {
                state.sleep = Sleep::Woken;
                if state.exit == Exit::No {
                    callback::enter(state, Edge::Lose);
                }
            }
            (Action::Thaw, Sleep::Woken) if still => state.sleep = Sleep::No,
            _ => return None,
        }
        Some(())
    }

    fn exit(&self, state: &mut State, action: Action) -> Option<()> {
        let still = state.hotplug.is_none() && state.callback.is_none() && !state.frozen();
        let live = |state: &State, cpu: Cpu| {
            state.lives[cpu.index()] == Life::Online && state.cpus[cpu.index()] == CpuState::Online
        };
        match (action, state.exit) {
            (Action::Exit, Exit::No) if still => {
                state.readers += 1;
                state.exit = Exit::Leaving;
            }
            (Action::ExitCpu(cpu), Exit::Leaving)
                if still && self.cpus().find(|&cpu| live(state, cpu)) == Some(cpu) =>
            {
                callback::enter(state, Edge::Go(cpu));
            }
            (Action::ExitCalled, Exit::Leaving) if still && !self.cpus().any(|cpu| live(state, cpu)) => {
                state.readers -= 1;
                state.exit = Exit::Counting;
            }
            (Action::ExitCounted, Exit::Counting) => {
                let left = state.domains.iter().flatten().any(|domain| !domain.freed);
                (!left || self.version.has(Alteration::ExitNotCounting)).then_some(())?;
                state.exit = Exit::Draining;
            }
            (Action::ExitDrained, Exit::Draining) if state.users == 0 => {
                let busy = state.workers().any(|(_, work)| work.run.is_some());
                (!busy || self.version.has(Alteration::ExitNotDraining)).then_some(())?;
                state.exit = Exit::Gone;
            }
            _ => return None,
        }
        Some(())
    }
}

/// A run goes from one phase to the next.
fn advance(state: &mut State, worker: Worker, from: Phase, to: Phase) -> Option<()> {
    let run = work(state, worker)?.run.as_mut()?;
    (run.phase == from).then_some(())?;
    run.phase = to;
    Some(())
}
