// SPDX-License-Identifier: GPL-2.0-only
//! Ids: CLOSIDs and RMIDs, and what a CPU runs with.

use crate::context::{Here, IrqOff};
use crate::cpu::CpuLabels;
use crate::ids::{CpuId, MonId, ResourceId, RmidIndex, TaskWord};

/// What ids there are, which make up a task's word, and how a CPU comes to run with them.
pub trait Ids: Sized + Send + Sync + 'static {
    /// Whether an RMID means something only together with a CLOSID
    /// (`CONFIG_RESCTRL_RMID_DEPENDS_ON_CLOSID`).
    const RMID_DEPENDS_ON_CLOSID: bool;

    /// How many RMID indexes there are: the least that any resource has. At least 1 when something can be monitored; constant,
    /// but that [`Telemetry::pre_mount`](crate::arch::Telemetry::pre_mount) makes it smaller, or more than 0.
    fn num_rmid_index(&self) -> u32;

    /// The dense index of a monitor id.
    fn rmid_index(&self, id: MonId) -> RmidIndex;

    /// The monitor id of an index. Where RMIDs are global the CLOSID is [`Closid::RESERVED`](crate::Closid::RESERVED).
    fn rmid_decode(&self, index: RmidIndex) -> MonId;

    /// The bits of a task's word that say which CLOSID it has.
    const CLOSID_PLACES: u64;

    /// The bits of a task's word that say which RMID it has.
    const RMID_PLACES: u64;

    /// The word that makes a task run with these ids. The word of the two reserved ids is 0.
    fn task_word(&self, id: MonId) -> TaskWord;

    /// The ids in a task's word; the inverse of [`Ids::task_word`].
    fn task_ids(&self, word: TaskWord) -> MonId;

    /// What is known of the registers of a CPU that say for whom it works; `None` if there is no such CPU.
    fn cpu_labels(&self, cpu: CpuId) -> Option<&CpuLabels>;

    /// What those registers are to hold for a task with this word, where tasks without ids of their own run with the `default`.
    fn effective(&self, task: TaskWord, default: TaskWord) -> u64;

    /// Writes those registers. Called at context switches: no lock, no loop, no allocation.
    fn write_labels(&self, here: Here<'_>, labels: u64);

    /// Sets the ids with which `cpu` runs tasks of the default group. Takes effect at the next [`Ids::sched_in`] there.
    fn set_cpu_default(&self, cpu: CpuId, id: MonId) {
        if let Some(labels) = self.cpu_labels(cpu) {
            labels.set_default_word(self.task_word(id).0);
        }
    }

    /// Makes this CPU run with the ids of a task with this word, or with the CPU's default where the task has none.
    /// Writes registers only if something changes.
    fn sched_in(&self, here: IrqOff<'_>, word: TaskWord) {
        if let Some(labels) = self.cpu_labels(here.cpu()) {
            let effective = self.effective(word, TaskWord(labels.default_word()));
            labels.switch(effective, |effective| self.write_labels(here.into(), effective));
        }
    }

    /// Whether code and data are told apart in this cache now.
    fn cdp_enabled(&self, resource: ResourceId) -> bool;
}
