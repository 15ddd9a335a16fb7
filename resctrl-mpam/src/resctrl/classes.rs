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

#[cfg(test)]
mod tests {
    use super::*;

    use std::vec;
    use std::vec::Vec;

    use resctrl_hardware::mpam::firmware::{self, Cache, Cluster, Locator, Processor};
    use resctrl_types::{CpuId, sim};

    use crate::acpi::Caches;
    use crate::tests::board::{self, L2_ID, L3_ID, MscSpec, Spec, cache};

    /// What `ask` says of a machine of two CPUs for each of these level 3 caches, with an MSC for each cache of both levels and
    /// one for memory. `replaced` gives it other caches than it has been discovered with.
    fn asked<R>(
        l3: u32,
        replaced: Option<Caches>,
        ask: impl FnOnce(&Whole<'_, sim::SimPlatform, board::BoardMsc>) -> R,
    ) -> R {
        let mut spec = Spec::new(l3);
        spec.mscs.extend((0..2 * l3).map(|cpu| MscSpec::one(cache(), Locator::Cache(L2_ID + cpu))));
        let (platform, _board, mut devices) = board::discover(&spec).unwrap();
        if let Some(caches) = replaced {
            devices.caches = caches;
        }
        let mut possible = CpuMask::new(2 * l3).unwrap();
        (0..2 * l3).for_each(|cpu| possible.set(CpuId(cpu)).unwrap());
        ask(&Whole { platform: &platform, devices: &devices, possible: &possible, memory_side_cache: false })
    }

    /// The caches of two CPUs, each of which has a level 3 cache of this size or none.
    fn caches(l3: [Option<u32>; 2]) -> Caches {
        let cluster = |uid: u32, size: Option<u32>| Cluster {
            uid: 100 + uid,
            l3: size.map(|size| Cache { id: L3_ID + uid, size, ways: 16 }),
            l2: vec![Cache { id: L2_ID + uid, size: 1 << 20, ways: 8 }],
            parts: vec![],
            processors: vec![Processor { uid, l2: Some(0), part: None }],
        };
        let clusters: Vec<_> = (0_u32..).zip(l3).map(|(uid, size)| cluster(uid, size)).collect();
        Caches::parse(&firmware::pptt(&clusters), 2, &|uid| Some(CpuId(uid))).unwrap()
    }

    #[test]
    fn only_what_belongs_to_the_cpus_of_one_level_3_cache_has_its_shape() {
        for (l3, memory) in [(1, true), (2, false)] {
            sim::run(move || {
                asked(l3, None, |whole| {
                    for class in &whole.devices.classes {
                        let expected = match class.kind {
                            ClassKind::Cache(level) => level == 3,
                            _ => memory,
                        };
                        assert_eq!(whole.is_l3_shaped(class), expected, "{:?} of {l3}", class.kind);
                    }
                });
            });
        }
    }

    #[test]
    fn memory_sees_what_leaves_the_level_3_cache_where_that_is_every_cpus() {
        for l3 in [[None, None], [Some(1), None], [Some(1), Some(1)]] {
            sim::run(move || {
                asked(1, Some(caches(l3)), |whole| {
                    let memory = whole.devices.classes.iter().find(|class| class.kind == ClassKind::Memory).unwrap();
                    assert!(!whole.is_l3_traffic(memory), "{l3:?}");
                });
            });
        }
        sim::run(|| {
            asked(1, None, |whole| {
                let traffic = whole.devices.classes.iter().filter(|class| whole.is_l3_traffic(class));
                assert!(traffic.map(|class| class.kind).eq([ClassKind::Cache(3), ClassKind::Memory]));
            });
        });
    }

    #[test]
    fn there_is_no_smallest_cache_where_the_firmware_does_not_say_the_size_of_one() {
        for (sizes, smallest) in [([Some(8), Some(4)], Some(8)), ([Some(0), Some(4)], None)] {
            sim::run(move || {
                asked(1, Some(caches(sizes)), |whole| {
                    let l3 = whole.find(|class| class.kind == ClassKind::Cache(3)).unwrap();
                    assert_eq!(whole.smallest(l3), smallest);
                });
            });
        }
    }
}
