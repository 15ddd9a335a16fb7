// SPDX-License-Identifier: GPL-2.0-only
//! Control values: what users write into `schemata` and `io_alloc_cbm`, what it means, and what a new group starts with.

pub(crate) mod initial;
pub(crate) mod io_alloc;
pub(crate) mod live;
pub(crate) mod overlap;
pub(crate) mod parse;
pub(crate) mod schema;
pub(crate) mod schemata;
