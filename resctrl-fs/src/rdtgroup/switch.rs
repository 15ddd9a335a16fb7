// SPDX-License-Identifier: GPL-2.0-only
//! What a CPU runs with: at a context switch, and while its task has no ids of its own.
//!
//! A CPU that switches takes no lock, so what it goes by may be changed meanwhile. Whoever changes it begins an epoch of the
//! [`History`] afterwards; the switch asks for the epoch first, and what it has found out in another one does not count.

use resctrl_types::arch::Ids;
use resctrl_types::cpu::CpuLabels;
use resctrl_types::{CpuId, IrqOff, MonId, TaskWord};

use crate::data::history::History;

/// The context switch to a task with this word, behind a full barrier: takes note of its ids, and makes this CPU run with them.
/// Takes no lock. Mostly the CPU knows the word from the last or last but one, which is how the ids have been noted.
#[inline]
pub(crate) fn sched_in<A: Ids>(arch: &A, history: &History, here: IrqOff<'_>, word: TaskWord) {
    let epoch = history.epoch();
    let Some(cpu) = arch.cpu_labels(here.cpu()) else { return };
    if !cpu.switch_to(word.0, epoch, |labels| write_labels(arch, here, labels)) {
        learn(arch, history, here, cpu, word, epoch);
    }
}

/// Not inlined: a switch that writes nothing saves no registers for it.
#[inline(never)]
fn write_labels<A: Ids>(arch: &A, here: IrqOff<'_>, labels: u64) {
    arch.write_labels(here.into(), labels);
}

#[cold]
#[inline(never)]
fn learn<A: Ids>(arch: &A, history: &History, here: IrqOff<'_>, cpu: &CpuLabels, word: TaskWord, epoch: u64) {
    if word != TaskWord(0) {
        let ids = arch.task_ids(word);
        history.note(ids.closid, arch.rmid_index(ids));
    }
    let labels = cpu.learn(word.0, epoch, |default| arch.effective(word, TaskWord(default)));
    cpu.switch(labels, |labels| write_labels(arch, here, labels));
}

/// Sets the ids with which a CPU runs tasks of the default group. It does so from its next context switch on.
pub(crate) fn set_cpu_default<A: Ids>(arch: &A, history: &History, cpu: CpuId, id: MonId) {
    arch.set_cpu_default(cpu, id);
    history.begin_epoch();
}
