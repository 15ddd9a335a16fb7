// SPDX-License-Identifier: GPL-2.0-only
//! The kernel that the module is in, as a [`Platform`].

use core::fmt;
use core::ops::ControlFlow;

use resctrl_types::cache::{CacheInfo, CacheLevel};
use resctrl_types::platform::{LockClass, LogLevel, Owner, Timestamp, WorkKind, WorkTarget};
use resctrl_types::{
    CpuId, CpuMask, CpusHeld, CpusStay, DomainId, IrqOff, Pinned, Platform, Ref, Result, TaskWord, TaskWords,
};

use crate::line::Line;
use crate::lock::{CpusRead, KernelMutex, KernelRwLock};
use crate::task::{Switches, Task};
use crate::work::{self, KernelWork};
use crate::{convert, cpu, ffi, task};

/// The kernel. There is one, so there is nothing to hold.
pub(crate) struct KernelPlatform;

impl Platform for KernelPlatform {
    type Mutex<T: Send + 'static> = KernelMutex<T>;
    type RwLock<T: Send + Sync + 'static> = KernelRwLock<T>;
    type CpusReadGuard<'a> = CpusRead;
    type Work = KernelWork;
    type Task = Task;
    type Switches = Switches;
    #[cfg(target_arch = "x86_64")]
    type PseudoLocking = Self;
    #[cfg(target_arch = "aarch64")]
    type PseudoLocking = resctrl_types::pseudo_lock::NoPseudoLocking;

    fn mutex<T: Send + 'static>(&self, class: LockClass, value: T) -> Result<KernelMutex<T>> {
        KernelMutex::new(class, value)
    }

    fn rw_lock<T: Send + Sync + 'static>(&self, class: LockClass, value: T) -> Result<KernelRwLock<T>> {
        KernelRwLock::new(class, value)
    }

    fn cpus_read_lock(&self) -> CpusRead {
        CpusRead::new()
    }

    fn nr_cpu_ids(&self) -> u32 {
        ffi::shim_nr_cpu_ids()
    }

    fn is_housekeeping(&self, cpu: CpuId) -> bool {
        // SAFETY: the file system asks about CPUs of domains, which are possible ones.
        !unsafe { ffi::shim_cpu_is_isolated(cpu.0) }
    }

    fn cache(&self, cpu: CpuId, level: CacheLevel) -> Option<CacheInfo> {
        cpu::cache(cpu, level)
    }

    fn node(&self, cpu: CpuId) -> Option<u32> {
        // SAFETY: asked about possible CPUs.
        convert::non_negative(unsafe { ffi::shim_cpu_node(cpu.0) })
    }

    fn package(&self, cpu: CpuId) -> Option<u32> {
        // SAFETY: asked about possible CPUs.
        convert::non_negative(unsafe { ffi::shim_cpu_package(cpu.0) })
    }

    fn nodes_per_package(&self) -> u32 {
        ffi::shim_nodes_per_package()
    }

    fn max_packages(&self) -> u32 {
        ffi::shim_max_packages()
    }

    fn likely_here(&self) -> Option<CpuId> {
        Some(CpuId(ffi::shim_likely_here()))
    }

    fn call_on<'a>(
        &self,
        _: impl Into<CpusStay<'a>>,
        cpu: CpuId,
        f: &mut (dyn FnMut(Pinned<'_>) + Send),
    ) -> Result<()> {
        cpu::call_on(cpu, f)
    }

    fn interrupt<'a>(
        &self,
        _: impl Into<CpusStay<'a>>,
        cpu: CpuId,
        f: &mut (dyn FnMut(IrqOff<'_>) + Send),
    ) -> Result<()> {
        cpu::interrupt(cpu, f)
    }

    fn interrupt_mask(&self, _: CpusHeld<'_>, mask: &CpuMask, f: &(dyn Fn(IrqOff<'_>) + Sync)) {
        cpu::interrupt_mask(mask, f);
    }

    fn work(&self) -> Result<KernelWork> {
        KernelWork::new()
    }

    fn schedule<T: WorkTarget<Self>>(
        &self,
        target: Ref<T>,
        kind: WorkKind,
        cpu: CpuId,
        delay_ms: u32,
    ) -> Result<(), Ref<T>> {
        work::schedule(target, kind, cpu, delay_ms)
    }

    fn for_each_task(&self, which: TaskWords, f: &mut dyn FnMut(&Task) -> ControlFlow<()>) {
        task::for_each(which, f);
    }

    fn relabel_tasks(&self, which: TaskWords, word: TaskWord, running: &mut CpuMask) {
        task::relabel(which, word, running);
    }

    fn set_every_task_word(&self, word: TaskWord) {
        task::set_every_word(word);
    }

    fn with_task(&self, id: i32, f: &mut dyn FnMut(&Task)) -> bool {
        task::with(id, f)
    }

    fn task_id(&self, task: &Task) -> Option<i32> {
        task.id()
    }

    fn may_move(&self, task: &Task) -> bool {
        task.may_move()
    }

    fn task_word(&self, task: &Task) -> TaskWord {
        task.word()
    }

    fn relabel_task(&self, task: &Task, word: TaskWord) -> Option<CpuId> {
        task.relabel(word)
    }

    fn current_word(&self, _: IrqOff<'_>) -> TaskWord {
        TaskWord(ffi::shim_current_word())
    }

    fn watch_switches(&self) -> Result<Switches> {
        Switches::watch()
    }

    #[cfg(target_arch = "x86_64")]
    fn pseudo_locking(&self) -> Option<&Self> {
        Some(self)
    }

    fn owner(&self) -> Owner {
        let mut owner = Owner::default();
        // SAFETY: both are writable.
        unsafe { ffi::shim_owner(&raw mut owner.uid, &raw mut owner.gid) };
        owner
    }

    fn now(&self) -> Timestamp {
        let mut now = Timestamp::default();
        // SAFETY: both are writable.
        unsafe { ffi::shim_now(&raw mut now.sec, &raw mut now.nsec) };
        now
    }

    fn trace_limbo(&self, ctrl_hw_id: u32, mon_hw_id: u32, domain: DomainId, bytes: u64) {
        ffi::shim_trace_limbo(ctrl_hw_id, mon_hw_id, domain.0.cast_signed(), bytes);
    }

    fn log(&self, level: LogLevel, message: fmt::Arguments<'_>) {
        let level = match level {
            LogLevel::Warn => ffi::LOG_WARN,
            LogLevel::Info => ffi::LOG_INFO,
        };
        let line = Line::<240>::new(message);
        // SAFETY: the text is as long as said.
        unsafe { ffi::shim_log(level, line.bytes().as_ptr().cast(), line.bytes().len()) };
    }
}
