// SPDX-License-Identifier: GPL-2.0-only
//! The labels of processors: at context switches, and as processors come and go.

use core::sync::atomic::Ordering;

use resctrl_types::arch::{Cpus, Ids, Resources};
use resctrl_types::{CpusHeld, Errno, Here, HotplugCpu, IrqOff, Platform, Result, Switch, TaskWord};

use super::{Mpam, ids_of};
use crate::devices::Reached;
use crate::registers::Labels;
use crate::{Msc, SystemRegister, SystemRegisters};

/// Writes the labels of a CPU, those of guests that its tasks run included.
#[inline]
pub(super) fn write_labels(system: &impl SystemRegisters, here: Here<'_>, labels: u64) {
    let enabled = labels | Labels::MPAMEN.put(1);
    system.write(here, SystemRegister::Mpam1, enabled);
    if system.has_streaming() {
        let data = Labels::PARTID_D.bits() | Labels::PMG_D.bits();
        system.write(here, SystemRegister::Mpamsm, labels & data);
    }
    // What follows runs in the kernel and is to be labelled; programs and guests come with an exception return, which
    // synchronises.
    system.synchronize(here);
    system.write(here, SystemRegister::Mpam0, labels);
    if system.has_guests() {
        system.write(here, SystemRegister::Mpam1Guest, enabled);
    }
}

impl<P: Platform, M: Msc, S: SystemRegisters> Cpus<P> for Mpam<M, S> {
    fn cpu_online(&self, _platform: &P, cpu: HotplugCpu<'_>) -> Result<()> {
        let here = cpu.here();
        // Labels of groups that exist may be beyond what a late processor can make.
        if !ids_of(self.system.mpamidr(here.into())).covers(self.devices.ids) {
            return Err(Errno::EINVAL);
        }
        self.reset_labels(here.into());
        self.devices.cpu_online(here.into(), self.reached());
        Ok(())
    }

    fn cpu_offline(&self, _platform: &P, cpu: HotplugCpu<'_>) {
        self.devices.cpu_offline(cpu.here());
        self.reset_labels(cpu.here().into());
    }

    /// The power of this CPU may go, and that of MSCs that no other can reach: they are made to forget nothing.
    fn cpu_suspend(&self, here: Here<'_>) {
        self.devices.cpu_suspend(here);
        if let Some(state) = self.cpus.get(here.cpu().index()) {
            state.forget();
        }
    }

    /// Writes the labels, whatever the registers hold, and what MSCs hold that nobody could reach meanwhile.
    fn cpu_resume(&self, platform: &P, here: Here<'_>) {
        if let Some(state) = self.cpus.get(here.cpu().index()) {
            state.forget();
            match here {
                Here::Irq(here) => self.sched_in(here, platform.current_word(here)),
                Here::Thread(_) => {
                    // Whatever this thread works for, the next switch writes again.
                    self.write_labels(here, self.labels(TaskWord(state.default_word())));
                    state.forget();
                }
            }
        }
        self.devices.cpu_online(here, self.reached());
    }

    /// Leaves every processor without labels and every MSC unrestricted and silent. Nothing is programmed afterwards.
    fn shut_down(&self, platform: &P, cpus: CpusHeld<'_>) {
        self.failed.store(true, Ordering::Relaxed);
        platform.interrupt_mask(cpus, &self.possible, &|here| self.end_labels(here));
        for msc in self.devices.mscs.iter().filter(|msc| msc.is_online()) {
            for cpu in msc.cpus.iter() {
                let called = platform.call_on(cpus, cpu, &mut |here| {
                    msc.switch_error_interrupt(here.into(), Switch::Off);
                    // It may have failed: what it should hold is not to be relied on.
                    msc.forget_controls();
                    if let Ok(access) = msc.access(here.into()) {
                        self.devices.reset_msc(&access);
                    }
                });
                if called != Err(Errno::ENODEV) {
                    break;
                }
            }
        }
    }
}

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
    /// What becomes of MSCs that a CPU which comes can reach.
    fn reached(&self) -> Reached {
        if self.has_failed() { Reached::LeftAlone } else { Reached::Used }
    }

    /// The labels of words have changed, and so those of this CPU, with interrupts off.
    pub(super) fn relabel(&self, here: IrqOff<'_>, word: TaskWord) {
        if let Some(state) = self.cpus.get(here.cpu().index()) {
            state.forget();
            self.sched_in(here, word);
        }
    }

    /// Makes the default group's labels this CPU's, from a thread that context switches may interrupt.
    fn reset_labels(&self, here: Here<'_>) {
        let Some(state) = self.cpus.get(here.cpu().index()) else { return };
        state.set_default_word(0);
        state.write_from_thread(self.labels(TaskWord(0)), |labels| self.write_labels(here, labels));
    }

    /// The power management of this CPU has lost its registers: writes them again from memory.
    pub fn cpu_resumed(&self, here: IrqOff<'_>) {
        if let Some(state) = self.cpus.get(here.cpu().index()) {
            self.write_labels(here.into(), state.held().unwrap_or_else(|| self.labels(TaskWord(0))));
        }
    }

    /// Makes the default group's labels this CPU's, for good.
    pub(crate) fn end_labels(&self, here: IrqOff<'_>) {
        let Some(state) = self.cpus.get(here.cpu().index()) else { return };
        state.set_default_word(0);
        state.forget();
        state.switch(self.labels(TaskWord(0)), |labels| self.write_labels(here.into(), labels));
    }
}
