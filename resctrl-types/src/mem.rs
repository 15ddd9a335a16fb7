// SPDX-License-Identifier: GPL-2.0-only
//! Collections whose every allocation can fail.
//!
//! The kernel never promises memory, so no operation here may allocate without saying so in its return type.
//! [`KVec`], [`KBox`] and [`KString`] stand for `kvmalloc`-ed arrays, `kmalloc`-ed objects and strings; their
//! growing operations return [`Errno::ENOMEM`](crate::Errno::ENOMEM) and leave the value as it was.
//!
//! The module builds `alloc` with `no_global_oom_handling`, where the infallible operations of
//! `alloc::vec::Vec` do not exist. These wrappers offer the same set everywhere, so code that compiles in a host
//! test also compiles in the module.

mod boxed;
mod string;
mod vec;

#[cfg(feature = "sim")]
pub(crate) use crate::sim::fault::fails;

/// Whether the next allocation is to fail although there is memory: only the simulated kernel has such moods.
#[cfg(not(feature = "sim"))]
pub(crate) const fn fails() -> bool {
    false
}

pub use boxed::KBox;
pub use string::KString;
pub use vec::KVec;
