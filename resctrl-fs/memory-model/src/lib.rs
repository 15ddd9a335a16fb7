// SPDX-License-Identifier: GPL-2.0-only
//! Files of resctrl-fs that have atomics which order something, for Loom: it runs every execution that C11 allows. Flags that order
//! nothing are not here, and what is behind a lock is not either.
//!
//! ```console
//! $ RUSTFLAGS="--cfg loom" cargo test --package resctrl-fs-memory-model
//! ```

#[cfg(all(test, loom))]
#[path = "../../src/data/history.rs"]
#[expect(dead_code, reason = "the file system uses the rest")]
mod history;
