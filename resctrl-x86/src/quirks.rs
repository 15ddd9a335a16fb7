// SPDX-License-Identifier: GPL-2.0-only
//! Processors that do not do what they say, or do not say what they do.
//!
//! Sources: the kernel's `__check_quirks_intel()` and `cache_alloc_hsw_probe()`; "Intel Xeon Processor Scalable Family
//! Specification Update", erratum SKX99, and "Intel Xeon Processor E5 v4 Product Family Specification Update", erratum
//! BDF102, for miscounted bandwidth.

use resctrl_types::Pinned;
use resctrl_types::resource::{CacheControl, Control, ControlKind, Scope};

use crate::Registers;
use crate::cpuid::Version;
use crate::msr::L3Mask;
use crate::options::{Feature, Options};

/// Which processor this is, as the kernel numbers families and models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) family: u32,
    pub(crate) model: u32,
    pub(crate) stepping: u32,
}

const HASWELL_X: (u32, u32) = (6, 0x3f);
const BROADWELL_X: (u32, u32) = (6, 0x4f);
const GOLDMONT: (u32, u32) = (6, 0x5c);
const GOLDMONT_PLUS: (u32, u32) = (6, 0x7a);
/// Also Cascade Lake and Cooper Lake, by their stepping.
const SKYLAKE_X: (u32, u32) = (6, 0x55);
/// The last stepping of Skylake proper.
const SKYLAKE_LAST_STEPPING: u32 = 4;

/// What L3 CAT of Haswell server is; it says nothing of itself.
const HASWELL_CBM_LEN: u32 = 20;
const HASWELL_CLOSIDS: u32 = 4;
const HASWELL_SHAREABLE: u32 = 0xc_0000;
const HASWELL_MIN_CBM_BITS: u32 = 2;

/// Processors that can divide an L3 among NUMA nodes: Ice Lake, Sapphire Rapids, Emerald Rapids and Granite Rapids
/// servers, Sierra Forest and its kin (Crestmont), Clearwater Forest (Darkmont).
const CLUSTERED: [(u32, u32); 6] = [(6, 0x6a), (6, 0x8f), (6, 0xcf), (6, 0xad), (6, 0xaf), (6, 0xdd)];

impl Model {
    /// Asks CPUID.
    pub(crate) fn read(registers: &impl Registers) -> Model {
        Model::of(Version::ADDRESS.read(registers))
    }

    /// What EAX of leaf 1 says: an extended family counts on from 15, and only families 6 and 15 and those beyond have an extended
    /// model (SDM volume 2, CPUID, "Display Family/Model").
    fn of(version: u64) -> Model {
        let field = |field: resctrl_types::register::Field| u32::try_from(field.get(version)).unwrap_or(0);
        let family = field(Version::FAMILY);
        Model {
            family: if family == 0xf { family + field(Version::EXTENDED_FAMILY) } else { family },
            model: if family == 6 || family == 0xf {
                field(Version::EXTENDED_MODEL) << 4 | field(Version::MODEL)
            } else {
                field(Version::MODEL)
            },
            stepping: field(Version::STEPPING),
        }
    }

    fn is(self, (family, model): (u32, u32)) -> bool {
        (self.family, self.model) == (family, model)
    }

    /// Turns off what does not work on this processor; a user's "on" still wins.
    pub(crate) fn restrict(self, options: &mut Options) {
        if self.is(SKYLAKE_X) {
            options.add(if self.stepping <= SKYLAKE_LAST_STEPPING {
                "!cmt,!mbmtotal,!mbmlocal,!l3cat"
            } else {
                "!l3cat"
            });
        }
    }

    /// Broadwell server, of whose prefetchers the kernel knows how they are turned off.
    pub(crate) fn is_broadwell_x(self) -> bool {
        self.is(BROADWELL_X)
    }

    /// Goldmont or Goldmont Plus, likewise.
    pub(crate) fn is_goldmont(self) -> bool {
        self.is(GOLDMONT) || self.is(GOLDMONT_PLUS)
    }

    /// Whether several NUMA nodes of a package are parts of one L3 whose monitors know them apart.
    pub(crate) fn knows_clusters(self) -> bool {
        CLUSTERED.into_iter().any(|model| self.is(model))
    }

    /// Whether bandwidth counts of some RMIDs need a correction.
    pub(crate) fn miscounts_bandwidth(self) -> bool {
        self.is(SKYLAKE_X) || self.is(BROADWELL_X)
    }

    /// Tries whether a Haswell server has L3 CAT, by writing a mask and looking whether it stays.
    pub(crate) fn haswell_l3(self, registers: &impl Registers, here: Pinned<'_>, options: Options) -> Option<Control> {
        if !self.is(HASWELL_X) || options.turned_off(Feature::L3Cat) {
            return None;
        }
        let cache = CacheControl {
            cbm_len: HASWELL_CBM_LEN,
            min_cbm_bits: HASWELL_MIN_CBM_BITS,
            shareable_bits: HASWELL_SHAREABLE,
            sparse_masks: false,
        };
        let mask = u64::from(cache.full_mask());
        registers.write_msr(here.into(), L3Mask::ADDRESS, mask).ok()?;
        let stayed = registers.read_msr(here.into(), L3Mask::ADDRESS).ok()? == mask;
        stayed.then_some(Control {
            scope: Scope::L3Cache,
            num_closid: HASWELL_CLOSIDS,
            cdp_capable: false,
            kind: ControlKind::Cache(cache),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_and_models_are_numbered_as_the_manual_shows_them() {
        for (version, family, model, stepping) in [
            (0x0006_06a6, 6, 0x6a, 6),
            (0x0005_0654, 6, 0x55, 4),
            // Only families 6 and 15 and those beyond have an extended model, and only those from 15 on an extended family.
            (0x0041_0543, 5, 4, 3),
            (0x0000_0f29, 15, 2, 9),
            (0x0040_0f10, 19, 1, 0),
            (0x0041_0f23, 19, 0x12, 3),
        ] {
            assert_eq!(Model::of(version), Model { family, model, stepping }, "{version:#x}");
        }
    }
}
