// SPDX-License-Identifier: GPL-2.0-only
//! The labels of processors: at context switches, and as processors come and go.

use core::sync::atomic::{AtomicU64, Ordering};

use resctrl_types::arch::MonId;
use resctrl_types::{CpuId, Errno, Here, HotplugCpu, IrqOff, Result, TaskWord};

use super::ids::task_word;
use super::{Mpam, ids_of};
use crate::registers::Labels;
use crate::{Msc, SystemRegister, SystemRegisters};

/// Labels no processor can have.
const UNKNOWN: u64 = u64::MAX;

/// What is remembered of one CPU. Each has a cache line of its own: this is touched at every context switch.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct CpuState {
    /// The labels in the registers, or [`UNKNOWN`]. Written only by code that runs on this CPU.
    current: AtomicU64,
    /// The word that tasks of the default group run with.
    default: AtomicU64,
}

impl Default for CpuState {
    fn default() -> Self {
        CpuState { current: AtomicU64::new(UNKNOWN), default: AtomicU64::new(0) }
    }
}

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
    pub(crate) fn set_cpu_default(&self, cpu: CpuId, id: MonId) {
        if let Some(state) = self.cpus.get(cpu.index()) {
            state.default.store(task_word(id).0, Ordering::Relaxed);
        }
    }

    pub(crate) fn sched_in(&self, here: IrqOff<'_>, word: TaskWord) {
        let Some(state) = self.cpus.get(here.cpu().index()) else { return };
        if self.has_failed() {
            return;
        }
        let word = if word.0 == 0 { TaskWord(state.default.load(Ordering::Relaxed)) } else { word };
        let labels = self.labels(word);
        if state.current.load(Ordering::Relaxed) != labels {
            state.current.store(labels, Ordering::Relaxed);
            self.write_labels(here.into(), labels);
        }
    }

    fn write_labels(&self, here: Here<'_>, labels: u64) {
        self.system.write(here, SystemRegister::Mpam1, labels | Labels::MPAMEN.put(1));
        if self.system.has_streaming() {
            let data = Labels::PARTID_D.put(u64::MAX) | Labels::PMG_D.put(u64::MAX);
            self.system.write(here, SystemRegister::Mpamsm, labels & data);
        }
        // What follows runs at EL1 and is to be labelled; EL0 comes with an exception return, which synchronises.
        self.system.synchronize(here);
        self.system.write(here, SystemRegister::Mpam0, labels);
    }

    /// Makes the default group's labels this CPU's, from a thread that context switches may interrupt.
    fn reset_labels(&self, here: Here<'_>) {
        let Some(state) = self.cpus.get(here.cpu().index()) else { return };
        state.default.store(0, Ordering::Relaxed);
        let labels = self.labels(TaskWord(0));
        // A context switch in here finds UNKNOWN and writes. Whether it came before or after the writes below cannot be
        // told then, so the registers stay unknown and the next switch writes again.
        state.current.store(UNKNOWN, Ordering::Relaxed);
        self.write_labels(here, labels);
        if state.current.compare_exchange(UNKNOWN, labels, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            state.current.store(UNKNOWN, Ordering::Relaxed);
        }
    }

    /// The power management of this CPU has lost its registers: writes them again from memory.
    pub fn cpu_resumed(&self, here: IrqOff<'_>) {
        if let Some(state) = self.cpus.get(here.cpu().index()) {
            let current = state.current.load(Ordering::Relaxed);
            let labels = if current == UNKNOWN { self.labels(TaskWord(0)) } else { current };
            self.write_labels(here.into(), labels);
        }
    }

    pub(crate) fn cpu_online(&self, cpu: HotplugCpu<'_>) -> Result<()> {
        let here = cpu.here();
        // Labels of groups that exist may be beyond what a late processor can make.
        if !ids_of(self.system.mpamidr(here.into())).covers(self.devices.ids) {
            return Err(Errno::EINVAL);
        }
        self.reset_labels(here.into());
        self.devices.cpu_online(here, !self.has_failed());
        Ok(())
    }

    pub(crate) fn cpu_offline(&self, cpu: HotplugCpu<'_>) {
        self.devices.cpu_offline(cpu.here());
        self.reset_labels(cpu.here().into());
    }
}
