// SPDX-License-Identifier: GPL-2.0-only
//! Monitoring: who counts for whom, reading counters, giving counters to groups where there are few, and the two delayed
//! workers of each L3 monitor domain.

pub(crate) mod assign_mode;
pub(crate) mod assignments;
pub(crate) mod counters;
pub(crate) mod event_config;
pub(crate) mod event_filter;
pub(crate) mod fixed_point;
pub(crate) mod limbo;
pub(crate) mod mba_sc;
pub(crate) mod mon_data;
pub(crate) mod overflow;
pub(crate) mod read;
mod run;
pub(crate) mod worker;
