// SPDX-License-Identifier: GPL-2.0-only
//! What can happen, one step at a time.

use core::fmt;

use crate::state::{Actor, Cpu, Edge, Worker};
use crate::worker::Limbo;

/// One step of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Time goes on by so many ticks.
    Pass(u16),
    /// A timer fires: the work goes to its pool.
    Fire(Worker),
    /// A pool starts to run a work.
    Begin(Worker),
    /// A worker takes the hotplug lock, in versions where it does.
    HoldCpus(Worker),
    /// Somebody takes the mutex.
    Lock(Actor),
    /// A worker that has the mutex does what it does.
    Work(Worker, Limbo),
    /// The callback that has the mutex does what it does.
    Call,
    /// A callback of another version goes on.
    CallOn,
    /// The holder of the mutex arms the next worker it has to.
    Arm,
    /// Somebody lets the mutex go.
    Unlock(Actor),
    /// A run gives up its reference.
    Release(Worker),
    /// The callback gives up the list's reference to a domain.
    Drop,
    /// A run returns.
    Finish(Worker),
    /// A CPU begins to go: the hotplug lock is taken for writing.
    Down(Cpu),
    /// A CPU begins to come.
    Up(Cpu),
    /// The kernel goes on with the CPU that comes or goes.
    Hotplug,
    /// A command takes the hotplug lock.
    Enter,
    /// A command that has the mutex mounts.
    Mount,
    /// A command that has the mutex unmounts.
    Unmount,
    /// A command that has the mutex frees an RMID.
    FreeRmid,
    /// A command lets the hotplug lock go.
    Leave,
    /// Tasks and workers are frozen.
    Freeze,
    /// A callback for the last CPU of a system that falls asleep, or for the first of one that wakes up.
    LastCpu(Edge),
    /// The power goes and comes.
    Wake,
    /// All CPUs that come back are back.
    Woken,
    /// Tasks and workers go on.
    Thaw,
    /// The module's exit begins.
    Exit,
    /// The module's exit calls the callback of the next CPU.
    ExitCpu(Cpu),
    /// The module's exit has called them all.
    ExitCalled,
    /// The module's exit has seen the last domain go.
    ExitCounted,
    /// The module's exit has seen the workqueue empty; its code goes.
    ExitDrained,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Worker(worker) => worker.fmt(f),
            Actor::Callback => f.write_str("callback"),
            Actor::User => f.write_str("command"),
        }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edge::Come(cpu) => write!(f, "CPU {} comes", cpu.0),
            Edge::Go(cpu) => write!(f, "CPU {} goes", cpu.0),
            Edge::Suspend(cpu) => write!(f, "CPU {} falls asleep", cpu.0),
            Edge::Lose => f.write_str("lost CPUs go"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Pass(ticks) => write!(f, "time: {ticks} tick(s)"),
            Action::Fire(worker) => write!(f, "{worker}: its time has come"),
            Action::Begin(worker) => write!(f, "{worker}: begins"),
            Action::HoldCpus(worker) => write!(f, "{worker}: takes the hotplug lock"),
            Action::Lock(actor) => write!(f, "{actor}: takes the mutex"),
            Action::Work(worker, Limbo::Dirty) => write!(f, "{worker}: does what it does"),
            Action::Work(worker, Limbo::Clean) => write!(f, "{worker}: finds nothing in limbo"),
            Action::Call => f.write_str("callback: does what it does"),
            Action::CallOn => f.write_str("callback: goes on"),
            Action::Arm => f.write_str("holder of the mutex: arms a worker"),
            Action::Unlock(actor) => write!(f, "{actor}: lets the mutex go"),
            Action::Release(worker) => write!(f, "{worker}: gives up its reference"),
            Action::Drop => f.write_str("callback: gives up the list's reference"),
            Action::Finish(worker) => write!(f, "{worker}: returns"),
            Action::Down(cpu) => write!(f, "CPU {}: begins to go", cpu.0),
            Action::Up(cpu) => write!(f, "CPU {}: begins to come", cpu.0),
            Action::Hotplug => f.write_str("hotplug: goes on"),
            Action::Enter => f.write_str("command: begins"),
            Action::Mount => f.write_str("command: mounts"),
            Action::Unmount => f.write_str("command: unmounts"),
            Action::FreeRmid => f.write_str("command: frees an RMID"),
            Action::Leave => f.write_str("command: returns"),
            Action::Freeze => f.write_str("sleep: everybody is frozen"),
            Action::LastCpu(edge) => write!(f, "sleep: {edge}"),
            Action::Wake => f.write_str("sleep: the power goes and comes"),
            Action::Woken => f.write_str("sleep: who comes back is back"),
            Action::Thaw => f.write_str("sleep: everybody goes on"),
            Action::Exit => f.write_str("exit: begins"),
            Action::ExitCpu(cpu) => write!(f, "exit: CPU {} goes", cpu.0),
            Action::ExitCalled => f.write_str("exit: all CPUs have gone"),
            Action::ExitCounted => f.write_str("exit: no domain is left"),
            Action::ExitDrained => f.write_str("exit: the code goes"),
        }
    }
}
