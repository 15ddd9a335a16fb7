// SPDX-License-Identifier: GPL-2.0-only
//! Tasks, as far as they are data: who they are, and who runs where.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

use crate::ids::{CpuId, TaskWord};

/// Whose a new task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskSpec {
    /// Real user id.
    pub uid: u32,
    /// Effective user id, also the file system's.
    pub euid: u32,
    /// Saved user id.
    pub suid: u32,
    /// Group id, also the file system's.
    pub gid: u32,
    /// Pid namespace: 0 the initial one, any other number a child of it.
    pub namespace: u32,
}

impl TaskSpec {
    /// A task of the user `uid` and the group of the same number.
    #[must_use]
    pub const fn user(uid: u32) -> Self {
        TaskSpec { uid, euid: uid, suid: uid, gid: uid, namespace: 0 }
    }
}

struct Data {
    pid: i32,
    /// The id in the task's own namespace; equal to `pid` in the initial one.
    vpid: i32,
    spec: TaskSpec,
    word: AtomicU64,
}

/// A task of the simulated kernel.
#[derive(Clone)]
pub struct SimTask(Arc<Data>);

impl fmt::Debug for SimTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0.pid)
    }
}

impl PartialEq for SimTask {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SimTask {}

impl SimTask {
    /// The id in the initial namespace.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.0.pid
    }

    /// Whose it is.
    #[must_use]
    pub fn spec(&self) -> TaskSpec {
        self.0.spec
    }

    /// The word stored in it.
    #[must_use]
    pub fn word(&self) -> TaskWord {
        TaskWord(self.0.word.load(Ordering::SeqCst))
    }

    pub(super) fn set_word(&self, word: TaskWord) {
        self.0.word.store(word.0, Ordering::SeqCst);
    }

    /// The id by which a task of `namespace` knows this one.
    pub(super) fn pid_in(&self, namespace: u32) -> Option<i32> {
        match namespace {
            0 => Some(self.0.pid),
            own if own == self.0.spec.namespace => Some(self.0.vpid),
            _ => None,
        }
    }
}

/// All tasks but the idle ones, and who runs where.
pub(super) struct Tasks {
    pub(super) all: BTreeMap<i32, SimTask>,
    pub(super) running: Vec<Option<SimTask>>,
    last: BTreeMap<u32, i32>,
}

impl Tasks {
    pub(super) fn new(nr_cpu_ids: usize) -> Self {
        let mut tasks = Tasks { all: BTreeMap::new(), running: std::vec![None; nr_cpu_ids], last: BTreeMap::new() };
        tasks.spawn(TaskSpec::default(), TaskWord(0));
        tasks
    }

    fn next(&mut self, namespace: u32) -> i32 {
        let last = self.last.entry(namespace).or_insert(0);
        *last += 1;
        *last
    }

    pub(super) fn spawn(&mut self, spec: TaskSpec, word: TaskWord) -> SimTask {
        let pid = self.next(0);
        let vpid = if spec.namespace == 0 { pid } else { self.next(spec.namespace) };
        let task = SimTask(Arc::new(Data { pid, vpid, spec, word: AtomicU64::new(word.0) }));
        self.all.insert(pid, task.clone());
        task
    }

    /// The task that every thread acts for unless told otherwise: root's, in the initial namespace, with pid 1.
    pub(super) fn init(&self) -> SimTask {
        self.all[&1].clone()
    }

    pub(super) fn all(&self) -> Vec<SimTask> {
        self.all.values().cloned().collect()
    }

    pub(super) fn on(&self, cpu: CpuId) -> Option<SimTask> {
        self.running.get(cpu.index()).cloned().flatten()
    }

    pub(super) fn cpu_of(&self, task: &SimTask) -> Option<CpuId> {
        let mut cpus = (0..).map(CpuId).zip(&self.running);
        cpus.find(|(_, running)| running.as_ref() == Some(task)).map(|(cpu, _)| cpu)
    }

    pub(super) fn leave_cpu(&mut self, cpu: CpuId) {
        self.running[cpu.index()] = None;
    }
}
