// SPDX-License-Identifier: GPL-2.0-only
#![doc = include_str!("../README.md")]
//!
//! # Inside
//!
//! The resctrl file system.
//!
//! Groups of tasks and CPUs, the shares of caches and bandwidth they get (`schemata`), what they use (`mon_data`), and
//! what the machine can do at all (`info`): everything below `/sys/fs/resctrl`. The crate knows no hardware, it asks an
//! [`Arch`]; and no kernel, it asks a [`Platform`].
//!
//! Where to look:
//!
//! | Module | What |
//! |---|---|
//! | `data/` | what the rdtgroup mutex protects: groups, ids, counters; control domains, reference-counted monitor domains; regions |
//! | `tree`, `nodes` | the tree of files; what each node is; the tables of files |
//! | `ops` | the file operations: from a node to the function that serves it |
//! | `rdtgroup/` | mount, mkdir, rmdir, rename, tasks, cpus, mode; context switches |
//! | `ctrlmondata/` | schemata, size, masks and their overlaps, initial allocations |
//! | `info` | the `info` directory |
//! | `monitor/` | RMIDs, reading counters, assigning them, the limbo and overflow workers, the bandwidth controller |
//! | `pseudo_lock` | groups that are given up for memory in a cache; its devices |
//! | `life`, `hotplug` | what happens to a CPU; domains that come and go with it |
//! | `status`, `text` | `last_cmd_status`; number grammars |
//! | `audit` | for tests: whether the state is consistent |
//!
//! Data at the bottom (`text`, `status`, `tree`, `nodes`, `data/`), above it rules (masks, overlaps, parsers), above those
//! commands, and dispatch on top (`ops`, `hotplug`, `audit`, this file). No file knows one above it.
//!
//! # Invariants
//!
//! All state is in one [`Resctrl`]. It changes only under the rdtgroup mutex (the tree: under its own, inside), and
//! every function that needs a lock takes the proof of it as an argument. User text is parsed completely before
//! anything is changed, and what fails changes nothing, unless the documented behaviour is otherwise.
#![cfg_attr(not(test), warn(clippy::fn_params_excessive_bools))]
#![no_std]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]
#![forbid(unsafe_code)]

// By way of the crate, so that resctrl-types/memory-model can compile a file that uses them with Loom's in their place. Who does
// not, orders nothing by them.
use core::sync::atomic;

mod audit;
mod ctrlmondata;
mod data;
mod hotplug;
mod info;
mod life;
mod monitor;
mod nodes;
mod ops;
mod pseudo_lock;
mod rdtgroup;
mod stats;
mod status;
mod text;
mod tree;

use resctrl_types::locked::Key;
use resctrl_types::platform::{LockClass, Mutex};
use resctrl_types::{Arch, Errno, KBox, KVec, OnlineCpus, Platform, Ref, ResourceId, Result};

pub use data::options::MountOptions;
pub use data::state::Resctrl;
pub use ops::OpenFor;
pub use pseudo_lock::MapRequest;
pub use rdtgroup::mount::OptionError;
pub use stats::Stats;
pub use text::{Bytes, TextOut};
pub use tree::{Attr, DirEntry, NodeId, NodeKind, Seen, SetAttr, XattrSet};

use data::group::{CtrlGroup, Groups};
use data::history::History;
use data::options::ShownOptions;
use data::regions::Regions;
use data::state::{Locked, State};
use tree::SharedTree;

/// What there is at the beginning.
// Out of line, since it is put together on the stack, of which a thread of the kernel has 16 kB.
#[inline(never)]
fn first_state<A: Arch<P>, P: Platform>(
    arch: &A,
    groups: Groups<CtrlGroup>,
    online: OnlineCpus,
) -> Result<KBox<State<A, P>>> {
    KBox::new(State {
        status: status::Status::new(),
        mount: None,
        groups,
        next_group: 0,
        switches: None,
        online,
        ctrl_domains: Default::default(),
        mon_domains: KVec::new(),
        packages: KVec::new(),
        rmids: None,
        threshold: monitor::limbo::default_threshold(arch),
        assign_on_mkdir: true,
        filters: data::counters::default_filters(arch),
        column_width: 0,
        stats: Stats::default(),
    })
}

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// Makes the file system of a machine, without any domain yet: report each online CPU with
    /// [`Resctrl::cpu_online`].
    ///
    /// # Errors
    /// `ENODEV` when the machine can neither control nor monitor anything, `ENOMEM`.
    // Out of line, since so much is put together on the stack.
    #[inline(never)]
    pub fn new(platform: P, arch: A) -> Result<Ref<Self>> {
        let controls = ResourceId::ALL.into_iter().any(|resource| arch.control(resource).is_some());
        if !controls && arch.monitor(ResourceId::L3).is_none() {
            return Err(Errno::ENODEV);
        }
        let controls = ResourceId::ALL.map(|resource| arch.control(resource));
        let counters = arch.counters().map_or(0, |counters| counters.count);
        let nr_cpu_ids = platform.nr_cpu_ids();
        let key = Key::new();
        let mut groups = Groups::new();
        groups.push(KBox::new(CtrlGroup::default_group(nr_cpu_ids)?)?)?;
        let state = first_state(&arch, groups, OnlineCpus::new(&key, nr_cpu_ids)?)?;
        let first_mount = platform.mutex(LockClass::FirstMount, false)?;
        let locked = platform.mutex(LockClass::Rdtgroup, Locked { key, state })?;
        let tree = SharedTree::new(&platform)?;
        let regions = platform.mutex(LockClass::Regions, Regions::new())?;
        let history = History::new(&arch)?;
        Ref::new(Resctrl {
            platform,
            arch,
            controls,
            counters,
            first_mount,
            locked,
            tree,
            shown: ShownOptions::none(),
            history,
            regions,
        })
    }

    /// The platform.
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    /// The architecture.
    pub const fn arch(&self) -> &A {
        &self.arch
    }

    /// Whether nothing but the caller refers to this instance: no domain is left and no worker is scheduled.
    ///
    /// Becomes true some time after every CPU has been reported offline, for good.
    pub fn is_idle(this: &Ref<Self>) -> bool {
        // Every domain holds a reference to its file system, and every worker one to its domain.
        Ref::count(this) == 1
    }

    /// Prints the counts of [`Stats`], and how many references there are to this instance from its monitor domains.
    ///
    /// # Errors
    /// When `out` is full.
    pub fn show_stats(this: &Ref<Self>, out: &mut dyn TextOut) -> core::fmt::Result {
        let stats = this.locked.lock().state.stats;
        stats.show(out)?;
        writeln!(out, "references {}", Ref::count(this).saturating_sub(1))
    }
}
