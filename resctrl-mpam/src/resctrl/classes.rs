// SPDX-License-Identifier: GPL-2.0-only
//! Which class of MSCs becomes which resource of resctrl.

use resctrl_types::resource::{BandwidthControl, CacheControl, Control, ControlKind, Scope};
use resctrl_types::{CpuMask, Platform, ResourceId};

use crate::Firmware;
use crate::bandwidth::FractionBits;
use crate::devices::{Class, ClassKind, Devices, Feature, Props};

/// Bits of a mask that resctrl can show.
const WIDEST_MASK: u16 = 32;

/// The classes that were chosen, by their place in [`Devices::classes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    l3: Option<usize>,
    l2: Option<usize>,
    mb: Option<usize>,
    /// Class and size of the smallest cache whose occupancy is counted.
    occupancy: Option<(usize, u32)>,
    /// The class that counts what leaves the level 3 cache.
    traffic: Option<usize>,
}

impl Resources {
    /// Chooses among the classes of a machine.
    // Its locals are off the stack again when it returns: a thread of the kernel has 16 kB of it.
    #[inline(never)]
    pub(crate) fn choose<P: Platform, M>(
        platform: &P,
        devices: &Devices<M>,
        possible: &CpuMask,
        firmware: &Firmware<'_>,
    ) -> Resources {
        let whole = Whole { platform, devices, possible, memory_side_cache: firmware.memory_side_cache };
        let cache = |level| {
            whole.find(|class| {
                class.kind == ClassKind::Cache(level)
                    && class.props.has(Feature::Cpor)
                    && class.props.cpbm_wd <= WIDEST_MASK
            })
        };
        let occupancy = whole
            .find(|class| class.kind == ClassKind::Cache(3) && class.props.has(Feature::Csu))
            .and_then(|place| Some((place, whole.smallest(place)?)));
        let mb = whole.nearest(|class| class.props.has(Feature::MbwMax) && class.props.bwa_wd != 0);
        // Of several the nearest: the kernel does not let a level 3 cache replace memory that it happened to see first.
        let traffic = whole.nearest(|class| class.props.has(Feature::Mbwu));
        Resources { l3: cache(3), l2: cache(2), mb, occupancy, traffic }
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Resources::default()
    }

    /// The class that controls a resource.
    pub(crate) const fn control(&self, resource: ResourceId) -> Option<usize> {
        match resource {
            ResourceId::L3 => self.l3,
            ResourceId::L2 => self.l2,
            ResourceId::Mb => self.mb,
            _ => None,
        }
    }

    /// The class that counts occupancy, and the size of its smallest cache in bytes.
    pub(crate) const fn occupancy(&self) -> Option<(usize, u32)> {
        self.occupancy
    }

    /// The class that counts traffic.
    pub(crate) const fn traffic(&self) -> Option<usize> {
        self.traffic
    }
}

/// What a choice depends on.
struct Whole<'a, P, M> {
    platform: &'a P,
    devices: &'a Devices<M>,
    possible: &'a CpuMask,
    memory_side_cache: bool,
}

impl<P: Platform, M> Whole<'_, P, M> {
    /// A class that all CPUs belong to.
    fn find(&self, suits: impl Fn(&Class) -> bool) -> Option<usize> {
        self.devices.classes.iter().position(|class| class.cpus == *self.possible && suits(class))
    }

    /// The nearest class that all CPUs belong to and that sees just what leaves the level 3 caches.
    fn nearest(&self, suits: impl Fn(&Class) -> bool) -> Option<usize> {
        let candidates = self.devices.classes.iter().enumerate().filter(|(_, class)| {
            class.cpus == *self.possible && suits(class) && self.is_l3_shaped(class) && self.is_l3_traffic(class)
        });
        candidates.min_by_key(|(_, class)| class.level()).map(|(place, _)| place)
    }

    /// Whether each component belongs to the CPUs of one level 3 cache.
    fn is_l3_shaped(&self, class: &Class) -> bool {
        class.components.iter().all(|component| {
            component.cpus.first().is_some_and(|cpu| {
                let caches = self.devices.caches.caches();
                caches.iter().any(|cache| cache.level == 3 && cache.cpus.contains(cpu) && cache.cpus == component.cpus)
            })
        })
    }

    /// Whether what passes the class is what leaves the level 3 cache: it is that cache, or the one memory behind it.
    fn is_l3_traffic(&self, class: &Class) -> bool {
        match class.kind {
            ClassKind::Cache(level) => level == 3,
            ClassKind::Unknown => false,
            ClassKind::Memory => {
                let caches = self.devices.caches.caches();
                let mut l3 = caches.iter().filter(|cache| cache.level == 3);
                let one_l3 = l3.next().is_some_and(|cache| cache.cpus == *self.possible) && l3.next().is_none();
                let nothing_behind = !self.memory_side_cache && caches.iter().all(|cache| cache.level <= 3);
                let mut nodes = self.possible.iter().map(|cpu| self.platform.node(cpu).unwrap_or(0));
                let first = nodes.next();
                one_l3 && nothing_behind && nodes.all(|node| Some(node) == first)
            }
        }
    }

    /// The size of the smallest cache of a class; `None` when some size is not known.
    fn smallest(&self, class: usize) -> Option<u32> {
        let size = |id| self.devices.caches.cache(id).map_or(0, |cache| cache.size);
        let smallest = self.devices.classes.get(class)?.components.iter().map(|component| size(component.id)).min()?;
        (smallest > 0).then_some(smallest)
    }
}

/// What resctrl is told of a resource with these properties.
pub(crate) fn describe(resource: ResourceId, props: &Props, partid_max: u16) -> Option<Control> {
    let num_closid = u32::from(partid_max) + 1;
    let (scope, kind) = match resource {
        ResourceId::L3 | ResourceId::L2 => {
            let cbm_len = props.cpbm_wd.into();
            let cache = CacheControl {
                cbm_len,
                min_cbm_bits: 1,
                // Everything that is not a CPU uses PARTID 0, as the default group does.
                shareable_bits: resctrl_types::cbm::full(cbm_len),
                sparse_masks: true,
            };
            let scope = if resource == ResourceId::L3 { Scope::L3Cache } else { Scope::L2Cache };
            (scope, ControlKind::Cache(cache))
        }
        ResourceId::Mb => {
            let fraction = FractionBits::new(props.bwa_wd.into())?;
            let bandwidth = BandwidthControl {
                min_bw: fraction.min_bandwidth(),
                max_bw: 100,
                bw_gran: fraction.granularity(),
                delay_linear: true,
                needs_linear: false,
                throttle_mode: None,
            };
            // Also where memory is what is controlled: it stands for the cache before it.
            (Scope::L3Cache, ControlKind::Bandwidth(bandwidth))
        }
        _ => return None,
    };
    let cdp_capable = matches!(kind, ControlKind::Cache(_)) && partid_max >= 1;
    Some(Control { scope, num_closid, cdp_capable, kind })
}
