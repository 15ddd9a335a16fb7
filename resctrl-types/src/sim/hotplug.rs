// SPDX-License-Identifier: GPL-2.0-only
//! CPUs that come and go, in the order of `kernel/cpu.c`.
//!
//! Going: hotplug lock for writing; callbacks on the CPU, which still is online (`CPUHP_AP_ONLINE_DYN`); its workers are
//! turned loose (`CPUHP_AP_WORKQUEUE_ONLINE`); it goes offline (`CPUHP_TEARDOWN_CPU`). Coming: the reverse. Callbacks that
//! are registered or unregistered are called on every online CPU with the lock held for reading (`cpuhp_setup_state`).

use std::boxed::Box;
use std::sync::Arc;
use std::vec::Vec;

use crate::context::HotplugCpu;
use crate::errno::{Errno, Result};
use crate::ids::CpuId;

use super::callbacks::{Callbacks, CpuState, SleepCallbacks, traced};
use super::platform::SimPlatform;
use super::thread::{Place, on_cpu, preemption_point};
use super::trace::{CallbackKind, Event, note};

impl SimPlatform {
    fn cpu_state(&self, cpu: CpuId) -> CpuState {
        self.kernel.state().cpus.get(cpu.index()).copied().unwrap_or(CpuState::Offline)
    }

    fn set_cpu_state(&self, cpu: CpuId, to: CpuState) {
        self.kernel.state().cpus[cpu.index()] = to;
        note(match to {
            CpuState::Starting => Event::Starting(cpu),
            CpuState::Online => Event::Online(cpu),
            CpuState::Left => Event::Left(cpu),
            CpuState::Offline => Event::Offline(cpu),
        });
    }

    fn callbacks(&self) -> Option<Arc<Callbacks>> {
        self.kernel.state().callbacks.clone()
    }

    /// The CPUs that are online, in ascending order.
    #[must_use]
    pub fn online_cpus(&self) -> Vec<CpuId> {
        (0..)
            .map(CpuId)
            .zip(&self.kernel.state().cpus)
            .filter(|&(_, &s)| s != CpuState::Offline)
            .map(|(c, _)| c)
            .collect()
    }

    /// Whether `cpu` is online, if only for a last moment.
    #[must_use]
    pub fn is_online(&self, cpu: CpuId) -> bool {
        self.cpu_state(cpu) != CpuState::Offline
    }

    /// Registers the hotplug callbacks, in place of any earlier ones, and calls `online` on every online CPU. They hold
    /// what they capture until [`SimPlatform::unregister_hotplug`].
    ///
    /// # Errors
    /// What `online` returned; the CPUs before that one have then been told to go.
    pub fn register_hotplug(
        &self,
        online: impl Fn(HotplugCpu<'_>) -> Result<()> + Send + Sync + 'static,
        offline: impl Fn(HotplugCpu<'_>) + Send + Sync + 'static,
    ) -> Result<()> {
        let callbacks = Arc::new(Callbacks { online: Box::new(online), offline: Box::new(offline) });
        let _cpus = self.kernel.hotplug.read();
        let cpus = self.online_cpus();
        for (done, &cpu) in cpus.iter().enumerate() {
            if let Err(error) = callbacks.call_online(cpu) {
                cpus[..done].iter().for_each(|&cpu| callbacks.call_offline(cpu));
                return Err(error);
            }
        }
        self.kernel.state().callbacks = Some(callbacks);
        Ok(())
    }

    /// Calls the offline callback on every online CPU and forgets the callbacks, as the exit of a module does.
    pub fn unregister_hotplug(&self) {
        let sleep = self.kernel.state().sleep.take();
        drop(sleep);
        let _cpus = self.kernel.hotplug.read();
        let callbacks = self.kernel.state().callbacks.take();
        if let Some(callbacks) = callbacks {
            note(Event::Unregisters);
            self.online_cpus().into_iter().for_each(|cpu| callbacks.call_offline(cpu));
            note(Event::Unregistered);
        }
    }

    /// Forgets the callbacks without calling them: the end of a model that has no orderly exit.
    pub fn forget_hotplug(&self) {
        let sleep = self.kernel.state().sleep.take();
        drop(sleep);
        let callbacks = self.kernel.state().callbacks.take();
        drop(callbacks);
    }

    /// Switches the machine off: nothing that is registered or scheduled runs any more, and what it held is let go. For
    /// tests that end in the middle.
    pub fn power_off(&self) {
        self.forget_hotplug();
        self.clear_sched_in();
        let scheduled = self.kernel.state().queue.take_all();
        drop(scheduled);
    }

    /// Takes `cpu` offline; nothing happens when it is.
    ///
    /// # Errors
    /// `EINVAL` when it is not possible, `EBUSY` when it is the last one.
    pub fn offline(&self, cpu: CpuId) -> Result<()> {
        let _cpus = self.kernel.hotplug.write();
        if cpu.index() >= self.kernel.topology.cpus.len() {
            return Err(Errno::EINVAL);
        }
        if !self.is_online(cpu) {
            return Ok(());
        }
        if self.online_cpus().len() == 1 {
            return Err(Errno::EBUSY);
        }
        note(Event::Leaving(cpu));
        if let Some(callbacks) = self.callbacks() {
            callbacks.call_offline(cpu);
        }
        self.take_down(cpu);
        Ok(())
    }

    /// Stops a CPU because the system is to sleep.
    pub(super) fn stop(&self, cpu: CpuId, sleep: Option<&SleepCallbacks>) {
        let _cpus = self.kernel.hotplug.write();
        note(Event::Leaving(cpu));
        match (sleep, self.callbacks()) {
            (Some(sleep), _) => traced(CallbackKind::Suspend(cpu), || {
                on_cpu(Place::Callback, cpu, || {
                    // SAFETY: the hotplug lock is held, and the thread counts as being on `cpu` meanwhile.
                    (sleep.stops)(unsafe { HotplugCpu::new(cpu) });
                });
            }),
            (None, Some(callbacks)) => callbacks.call_offline(cpu),
            (None, None) => {}
        }
        self.take_down(cpu);
    }

    /// The callbacks have run: the CPU goes.
    fn take_down(&self, cpu: CpuId) {
        self.set_cpu_state(cpu, CpuState::Left);
        preemption_point();
        let loose = self.kernel.state().queue.unbind(cpu);
        note(Event::Unbound(cpu));
        self.kernel.count(|stats| stats.unbound_under_way += loose);
        preemption_point();
        let _irq = self.kernel.irq_lock(cpu);
        let mut state = self.kernel.state();
        state.tasks.leave_cpu(cpu);
        state.cpus[cpu.index()] = CpuState::Offline;
        note(Event::Offline(cpu));
        state.stats.offlines += 1;
    }

    /// Brings `cpu` online; nothing happens when it is.
    ///
    /// # Errors
    /// `EINVAL` when it is not possible; what the callback returned: it then stays offline.
    pub fn online(&self, cpu: CpuId) -> Result<()> {
        let _cpus = self.kernel.hotplug.write();
        if cpu.index() >= self.kernel.topology.cpus.len() {
            return Err(Errno::EINVAL);
        }
        if self.is_online(cpu) {
            return Ok(());
        }
        self.set_cpu_state(cpu, CpuState::Starting);
        preemption_point();
        self.kernel.state().queue.rebind(cpu);
        note(Event::Rebound(cpu));
        preemption_point();
        if let Some(callbacks) = self.callbacks()
            && let Err(error) = callbacks.call_online(cpu)
        {
            self.set_cpu_state(cpu, CpuState::Left);
            preemption_point();
            self.kernel.state().queue.unbind(cpu);
            note(Event::Unbound(cpu));
            self.set_cpu_state(cpu, CpuState::Offline);
            return Err(error);
        }
        self.set_cpu_state(cpu, CpuState::Online);
        self.kernel.count(|stats| stats.onlines += 1);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
