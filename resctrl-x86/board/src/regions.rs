// SPDX-License-Identifier: GPL-2.0-only
//! The emulated telemetry as a driver's regions.

use std::sync::Arc;

use resctrl_hardware::telemetry::Telemetry;
use resctrl_x86::{TelemetryFeature, TelemetryRegion, TelemetryRegions};

/// The telemetry regions of a feature, of all packages. Any thread may read them, wherever it is.
#[derive(Debug)]
pub struct EmulatedRegions {
    telemetry: Arc<Telemetry>,
    of_feature: Vec<usize>,
}

impl EmulatedRegions {
    /// Those of this feature.
    pub fn new(telemetry: &Arc<Telemetry>, feature: TelemetryFeature) -> Self {
        let group = match feature {
            TelemetryFeature::Energy => "energy",
            TelemetryFeature::Perf => "perf",
        };
        let regions = telemetry.regions().iter().enumerate();
        let of_feature = regions.filter(|(_, region)| region.events[0].group() == group).map(|(index, _)| index);
        EmulatedRegions { of_feature: of_feature.collect(), telemetry: Arc::clone(telemetry) }
    }
}

impl TelemetryRegions for EmulatedRegions {
    fn count(&self) -> usize {
        self.of_feature.len()
    }

    fn region(&self, index: usize) -> TelemetryRegion {
        let region = &self.telemetry.regions()[self.of_feature[index]];
        TelemetryRegion {
            guid: region.guid,
            package: region.package.into(),
            num_rmids: region.rmids.into(),
            size: region.size,
        }
    }

    fn read(&self, index: usize, offset: usize) -> u64 {
        assert_eq!(offset % 8, 0, "a counter is read as a whole");
        assert!(offset + 8 <= self.region(index).size, "a read beyond the region");
        self.telemetry.read(self.of_feature[index], offset)
    }
}
