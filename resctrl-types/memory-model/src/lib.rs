// SPDX-License-Identifier: GPL-2.0-only
//! The files of resctrl's crates whose atomics order something, compiled with Loom's atomics in place of `core`'s; and models that
//! use them, which Loom runs in executions that C11 allows.
//!
//! A file that is here names atomics by way of its crate (`crate::atomic`), and here that is [`atomic`]. What else it names of its
//! crate is a file of the same crate, or stands here under its name. `tests/models.rs` runs the models, and then each of them with
//! every ordering taken away in turn, and with every atomic change cut in two ([`place`]): a model must break, or the change must be
//! known not to matter. `tests/complete.rs` finds files that have atomics and are not here.

#![expect(unreachable_pub, reason = "what is for users of a crate is for nobody here")]

extern crate alloc;
// The files of other crates find here what they want of that one: what is modelled, and the rest as it is.
extern crate self as resctrl_types;

mod atomic;
mod interrupt;
pub mod models;
pub mod place;
pub mod source;

use loom::cell;
use types::*;

/// Memory never fails.
mod mem {
    pub(crate) const fn fails() -> bool {
        false
    }
}

mod arch {
    pub(crate) use crate::arch_ids::Ids;
}

mod data {
    pub(crate) use crate::history;
}

#[path = "../../src/arch/ids.rs"]
#[expect(dead_code, reason = "no model uses all of it")]
mod arch_ids;
#[path = "../../src/cpu.rs"]
#[expect(dead_code, reason = "no model uses all of it")]
mod cpu;
#[path = "../../src/once.rs"]
mod once;
#[path = "../../src/refs.rs"]
#[expect(dead_code, reason = "no model uses all of it")]
mod refs;

#[path = "../../../resctrl-fs/src/data/history.rs"]
#[expect(dead_code, reason = "no model uses all of it")]
mod history;
#[path = "../../../resctrl-fs/src/rdtgroup/switch.rs"]
mod switch;
#[path = "../../../resctrl-fs/src/tree/version.rs"]
#[expect(dead_code, reason = "no model uses all of it")]
mod version;

#[path = "../../../resctrl-x86/src/fault.rs"]
#[expect(dead_code, reason = "no model uses all of it")]
mod fault;

#[path = "../../../resctrl-mpam/src/devices/bits.rs"]
mod bits;
#[path = "../../../resctrl-mpam/src/devices/in_use.rs"]
mod in_use;
#[path = "../../../resctrl-mpam/src/devices/pool.rs"]
mod pool;
