// SPDX-License-Identifier: GPL-2.0-only
//! What can be controlled.

use resctrl_types::ResourceId;
use resctrl_types::resource::Control;

/// What can be controlled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Controls {
    pub(crate) l3: Option<Control>,
    pub(crate) l2: Option<Control>,
    pub(crate) mb: Option<Control>,
    pub(crate) smba: Option<Control>,
}

impl Controls {
    pub(crate) fn get(&self, resource: ResourceId) -> Option<Control> {
        match resource {
            ResourceId::L3 => self.l3,
            ResourceId::L2 => self.l2,
            ResourceId::Mb => self.mb,
            ResourceId::Smba => self.smba,
            ResourceId::PerfPkg => None,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        ResourceId::ALL.into_iter().all(|resource| self.get(resource).is_none())
    }

    /// How many CLOSIDs a CPU can work for: as many as the resource that knows most.
    pub(crate) fn num_closid(&self) -> u32 {
        [self.l3, self.l2, self.mb, self.smba]
            .into_iter()
            .flatten()
            .map(|control| control.num_closid)
            .max()
            .unwrap_or(1)
    }
}
