// SPDX-License-Identifier: GPL-2.0-only
//! The sleep of the system, in the order of `kernel/power/suspend.c` and `hibernate.c`.
//!
//! Tasks and freezable works are frozen: no thread is within [`SimPlatform::as_user`], and no work begins. Every CPU but one
//! goes offline, with the callback for that; the last one is told with interrupts off (`syscore_suspend`). The power goes. That
//! CPU is told that it is back, the others come online as ever, and before tasks go on the end is told
//! (`dev_pm_ops.complete`). A CPU may not come back.

use std::boxed::Box;
use std::sync::Arc;
use std::thread::panicking;
use std::vec::Vec;

use crate::context::{HotplugCpu, IrqOff};
use crate::ids::CpuId;

use super::callbacks::{SleepCallbacks, traced};
use super::platform::{Kernel, SimPlatform};
use super::thread::{Place, on_cpu, preemption_point};
use super::trace::{CallbackKind, Event, note};

/// That the caller is not frozen, for as long as this lives.
pub(super) struct Awake<'a>(&'a Kernel);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        // A failed check ends the run; nobody is to be woken up any more.
        if !panicking() {
            self.0.state().freezer.awake -= 1;
            self.0.notify();
        }
    }
}

/// That everybody else who can be frozen is, for as long as this lives.
pub(super) struct Frozen<'a>(&'a Kernel);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if !panicking() {
            note(Event::Thawed);
            self.0.state().freezer.frozen = false;
            self.0.notify();
        }
    }
}

impl Kernel {
    /// Waits until the system is awake.
    pub(super) fn awake(&self) -> Awake<'_> {
        loop {
            let frozen = {
                let freezer = &mut self.state().freezer;
                freezer.awake += usize::from(!freezer.frozen);
                freezer.frozen
            };
            if !frozen {
                return Awake(self);
            }
            self.wait(|state| !state.freezer.frozen);
        }
    }

    /// Freezes everybody, and waits for those who run. One sleep at a time.
    fn freeze(&self) -> Frozen<'_> {
        loop {
            let mine = {
                let freezer = &mut self.state().freezer;
                !core::mem::replace(&mut freezer.frozen, true)
            };
            if mine {
                break;
            }
            self.wait(|state| !state.freezer.frozen);
        }
        let frozen = Frozen(self);
        self.wait(|state| state.freezer.awake == 0);
        note(Event::Frozen);
        frozen
    }
}

impl SimPlatform {
    /// Registers what is told of the system's sleep; without it, CPUs that stop are told that they go offline. Held until
    /// [`SimPlatform::unregister_hotplug`]: a CPU that is about to stop; the last one, which may refuse by false; the first one
    /// that is back; that all are back.
    pub fn register_sleep(
        &self,
        stops: impl Fn(HotplugCpu<'_>) + Send + Sync + 'static,
        last_stops: impl Fn(IrqOff<'_>) -> bool + Send + Sync + 'static,
        first_is_back: impl Fn(IrqOff<'_>) + Send + Sync + 'static,
        ended: impl Fn() + Send + Sync + 'static,
    ) {
        let callbacks = SleepCallbacks {
            stops: Box::new(stops),
            last_stops: Box::new(last_stops),
            first_is_back: Box::new(first_is_back),
            ended: Box::new(ended),
        };
        self.kernel.state().sleep = Some(Arc::new(callbacks));
    }

    pub(super) fn sleep_callbacks(&self) -> Option<Arc<SleepCallbacks>> {
        self.kernel.state().sleep.clone()
    }

    /// Runs `f` as a task does: not while the system sleeps.
    pub fn as_user<R>(&self, f: impl FnOnce() -> R) -> R {
        let _awake = self.kernel.awake();
        f()
    }

    /// Lets the system sleep and wake up. `power_off` is called when nothing runs any more; the CPUs of `lost` do not come
    /// back. The caller is not within [`SimPlatform::as_user`]. False when the last CPU refused.
    #[must_use]
    pub fn sleep(&self, lost: &[CpuId], power_off: impl FnOnce()) -> bool {
        let _frozen = self.kernel.freeze();
        let callbacks = self.sleep_callbacks();
        let online = self.online_cpus();
        let (Some(&last), others) = (online.first(), online.get(1..).unwrap_or_default()) else { return false };
        for &cpu in others {
            self.stop(cpu, callbacks.as_deref());
        }
        let in_irq = |f: &dyn Fn(IrqOff<'_>) -> bool| {
            let _irq = self.kernel.irq_lock(last);
            on_cpu(Place::Irq, last, || {
                // SAFETY: the CPU's interrupt lock is held and the thread counts as being on `last` meanwhile.
                f(unsafe { IrqOff::new(last) })
            })
        };
        let slept = callbacks
            .as_ref()
            .is_none_or(|callbacks| traced(CallbackKind::Suspend(last), || in_irq(&*callbacks.last_stops)));
        if slept {
            power_off();
            preemption_point();
            if let Some(callbacks) = &callbacks {
                traced(CallbackKind::Come(last), || {
                    in_irq(&|here| {
                        (callbacks.first_is_back)(here);
                        true
                    })
                });
            }
        }
        let back: Vec<CpuId> = others.iter().copied().filter(|cpu| !lost.contains(cpu)).collect();
        for cpu in back {
            // One that a callback refuses stays away, too.
            let _ = self.online(cpu);
        }
        if let Some(callbacks) = callbacks {
            traced(CallbackKind::Awake, || (callbacks.ended)());
        }
        self.kernel.count(|stats| stats.sleeps += 1);
        slept
    }
}
