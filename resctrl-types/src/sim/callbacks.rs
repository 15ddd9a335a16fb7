// SPDX-License-Identifier: GPL-2.0-only
//! What a kernel calls: when CPUs come and go, when the system sleeps, and at context switches.

use std::boxed::Box;

use crate::context::{HotplugCpu, IrqOff};
use crate::errno::Result;
use crate::ids::{CpuId, TaskWord};

use super::thread::{Place, on_cpu};
use super::trace::{CallbackKind, Event, note};

/// How far a CPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CpuState {
    Offline,
    /// Online, its callbacks not run or not all.
    Starting,
    Online,
    /// Its callbacks have run; online for a last moment.
    Left,
}

type Online = dyn Fn(HotplugCpu<'_>) -> Result<()> + Send + Sync;
type Offline = dyn Fn(HotplugCpu<'_>) + Send + Sync;

/// The two callbacks of a registered hotplug state.
pub(super) struct Callbacks {
    pub(super) online: Box<Online>,
    pub(super) offline: Box<Offline>,
}

impl Callbacks {
    pub(super) fn call_online(&self, cpu: CpuId) -> Result<()> {
        traced(CallbackKind::Come(cpu), || {
            on_cpu(Place::Callback, cpu, || {
                // SAFETY: the caller holds the hotplug lock, and the thread counts as being on `cpu` meanwhile.
                (self.online)(unsafe { HotplugCpu::new(cpu) })
            })
        })
    }

    pub(super) fn call_offline(&self, cpu: CpuId) {
        traced(CallbackKind::Go(cpu), || {
            on_cpu(Place::Callback, cpu, || {
                // SAFETY: the caller holds the hotplug lock, and the thread counts as being on `cpu` meanwhile.
                (self.offline)(unsafe { HotplugCpu::new(cpu) });
            });
        });
    }
}

/// Runs a callback, and records that.
pub(super) fn traced<R>(kind: CallbackKind, f: impl FnOnce() -> R) -> R {
    note(Event::Calls(kind));
    let result = f();
    note(Event::Called(kind));
    result
}

/// What is told of the system's sleep.
pub(super) struct SleepCallbacks {
    /// A CPU is about to stop.
    pub(super) stops: Box<dyn Fn(HotplugCpu<'_>) + Send + Sync>,
    /// So is the last one. False refuses.
    pub(super) last_stops: Box<dyn Fn(IrqOff<'_>) -> bool + Send + Sync>,
    /// The first one is back.
    pub(super) first_is_back: Box<dyn Fn(IrqOff<'_>) + Send + Sync>,
    /// All that come back are back.
    pub(super) ended: Box<dyn Fn() + Send + Sync>,
}

/// What [`SimPlatform::set_sched_in`](super::SimPlatform::set_sched_in) registers.
pub(super) type SchedIn = dyn Fn(IrqOff<'_>, TaskWord) + Send + Sync;
