// SPDX-License-Identifier: GPL-2.0-only
//! Telemetry of packages: what a processor's management unit counts for each RMID, and the device that shows it.
//!
//! Sources: Intel Platform Monitoring Technology External Specification (tables of a region, of a feature, discovery); Intel's
//! published descriptions of regions, <https://github.com/intel/Intel-PMT>.

mod counters;
mod device;
mod event;
mod tables;

pub use counters::{Region, Telemetry};
pub use device::Oobmsm;
pub use event::TelemetryEvent;
