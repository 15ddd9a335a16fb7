// SPDX-License-Identifier: GPL-2.0-only
//! Groups: how they come, change and go.

mod cpu_text;
pub(crate) mod cpus;
pub(crate) mod mkdir;
pub(crate) mod mode;
pub(crate) mod mount;
pub(crate) mod rename;
pub(crate) mod rmdir;
mod switch;
pub(crate) mod tasks;
