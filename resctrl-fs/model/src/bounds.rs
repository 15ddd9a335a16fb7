// SPDX-License-Identifier: GPL-2.0-only
//! What of all that could happen is tried: the world around the file system.

use crate::action::Action;
use crate::rules::{Rules, Time};
use crate::state::{Actor, Cpu, Edge, Exit, Kind, Life, Pending, Phase, Sleep, State, Step};
use crate::worker::Limbo;

/// What the world does, and how much of it at a time. A run is as long as it likes.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// How many domains are in memory at once, those included that have gone and whose workers do not know yet.
    pub domains: usize,
    /// How many commands are under way at once.
    pub commands: u8,
    /// How many CPUs of a domain leave between two readings of its counters. Where time is not modelled there is no bound.
    pub leaving: u8,
    /// Whether RMIDs are freed.
    pub limbo: bool,
    /// Whether the system sleeps.
    pub sleep: bool,
    /// Whether the module is unloaded.
    pub exit: bool,
}

impl Rules {
    /// Everything that might happen next. Not all of it can: see [`Rules::step`].
    pub fn choices(&self, state: &State, bounds: &Bounds, into: &mut Vec<Action>) {
        if state.fault.is_some() || state.exit == Exit::Gone {
            return;
        }
        if matches!(self.time, Time::Prompt(_)) {
            into.push(Action::Pass(1));
        }
        self.of_workers(state, into);
        if let Some(callback) = state.callback {
            into.push(match callback.step {
                Step::Entered | Step::Rearms(_) => Action::Lock(Actor::Callback),
                Step::Locked => Action::Call,
                Step::Acted if state.todo.is_empty() => Action::Unlock(Actor::Callback),
                Step::Acted => Action::Arm,
                Step::Unlocked => Action::Drop,
                _ => Action::CallOn,
            });
        }
        self.of_commands(state, bounds, into);
        self.of_cpus(state, bounds, into);
        if bounds.sleep {
            into.extend([Action::Freeze, Action::Wake, Action::Thaw]);
            let asleep = state.lives.iter().filter(|&&life| life == Life::Suspended).count();
            if self.may_lose(state, bounds, asleep as u8) {
                into.push(Action::Woken);
            }
        }
        if bounds.exit && state.exit != Exit::No {
            into.extend([Action::ExitCalled, Action::ExitCounted, Action::ExitDrained]);
            into.extend(self.cpus().map(Action::ExitCpu));
        } else if bounds.exit {
            into.push(Action::Exit);
        }
    }

    fn of_workers(&self, state: &State, into: &mut Vec<Action>) {
        for (worker, work) in state.workers() {
            match work.pending {
                Some(Pending::Timer(_, 0)) => into.push(Action::Fire(worker)),
                Some(Pending::Queued(_)) => into.push(Action::Begin(worker)),
                _ => {}
            }
            let Some(run) = work.run else { continue };
            match run.phase {
                Phase::Begun if self.version.worker_holds_cpus() => into.push(Action::HoldCpus(worker)),
                Phase::Begun | Phase::CpusHeld => into.push(Action::Lock(Actor::Worker(worker))),
                Phase::Locked => {
                    into.push(Action::Work(worker, Limbo::Dirty));
                    if worker.kind == Kind::Limbo {
                        into.push(Action::Work(worker, Limbo::Clean));
                    }
                }
                Phase::Acted => into.push(Action::Unlock(Actor::Worker(worker))),
                Phase::Returning if run.holds => into.push(Action::Release(worker)),
                Phase::Returning => into.push(Action::Finish(worker)),
            }
        }
    }

    fn of_commands(&self, state: &State, bounds: &Bounds, into: &mut Vec<Action>) {
        if state.users < bounds.commands && state.exit == Exit::No {
            into.push(Action::Enter);
        }
        if state.users == 0 {
            return;
        }
        if state.mutex != Some(Actor::User) {
            // One that has not had the mutex yet, or one that has.
            into.extend([Action::Lock(Actor::User), Action::Leave]);
        } else if state.todo.is_empty() {
            into.extend([Action::Mount, Action::Unmount, Action::Unlock(Actor::User)]);
            if bounds.limbo && state.mounted {
                into.push(Action::FreeRmid);
            }
        } else {
            into.push(Action::Arm);
        }
    }

    fn of_cpus(&self, state: &State, bounds: &Bounds, into: &mut Vec<Action>) {
        if state.hotplug.is_some() {
            into.push(Action::Hotplug);
            return;
        }
        for cpu in self.cpus() {
            if self.may_lose(state, bounds, 1) || state.sleep == Sleep::Falling {
                into.push(Action::Down(cpu));
            }
            if self.has_room(state, cpu) {
                into.push(Action::Up(cpu));
            }
            if bounds.sleep && !self.anchored {
                match state.sleep {
                    Sleep::Falling => into.push(Action::LastCpu(Edge::Suspend(cpu))),
                    Sleep::Waking => into.push(Action::LastCpu(Edge::Come(cpu))),
                    Sleep::No | Sleep::Woken => {}
                }
            }
        }
    }

    /// Whether so many CPUs more may leave before counters are read.
    fn may_lose(&self, state: &State, bounds: &Bounds, more: u8) -> bool {
        !self.timed()
            || state.domains.iter().flatten().all(|domain| !domain.alive || domain.left + more <= bounds.leaving)
    }

    /// Whether a CPU that comes finds its domain, or a place for a new one.
    fn has_room(&self, state: &State, cpu: Cpu) -> bool {
        let stays = state.lives[cpu.index()] != Life::Offline || state.live(self.packages[cpu.index()]).is_some();
        stays || state.exit != Exit::No || state.domains.iter().any(Option::is_none)
    }
}
