// SPDX-License-Identifier: GPL-2.0-only
//! What there is to share out and to count.

use super::values::OccupancyThreshold;
use crate::ids::ResourceId;
use crate::resource::{Control, Monitor};

/// What the machine has.
pub trait Resources: Sized + Send + Sync + 'static {
    /// The control half of a resource, `None` when the machine (or, for the moment, another setting such as CDP) has
    /// none. Constant while mounted.
    fn control(&self, resource: ResourceId) -> Option<Control>;

    /// The monitor half of a resource. Constant, but that package telemetry may be there from [`Telemetry::pre_mount`](crate::arch::Telemetry::pre_mount) on.
    fn monitor(&self, resource: ResourceId) -> Option<Monitor>;

    /// Bounds of the occupancy below which a freed RMID counts as clean. Meaningful when the L3 has
    /// [`EventId::LlcOccupancy`](crate::EventId::LlcOccupancy).
    fn occupancy_threshold(&self) -> OccupancyThreshold;

    /// Whether the hardware has failed, so that nothing is changed or read any more. Once true, for good; callable anywhere.
    fn has_failed(&self) -> bool {
        false
    }
}
