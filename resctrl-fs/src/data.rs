// SPDX-License-Identifier: GPL-2.0-only
//! The data: what the rdtgroup mutex protects, and the table of regions. Rules, commands and dispatch are above it, and
//! nothing here knows of them.

pub(crate) mod closid;
pub(crate) mod counters;
pub(crate) mod domain;
pub(crate) mod group;
pub(crate) mod history;
pub(crate) mod options;
pub(crate) mod regions;
pub(crate) mod rmid;
pub(crate) mod state;
pub(crate) mod target;
