// SPDX-License-Identifier: GPL-2.0-only
//! Components that do not do what they say, by their identification register. docs/errata.md has the table of all that are
//! known.

use crate::registers::Iidr;

/// When a limit to the bandwidth takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum BandwidthEffect {
    /// Once it is stored.
    #[default]
    WhenStored,
    /// T241-MPAM-1: once the registers of the chip have passed it on, see [`t241`](super::t241).
    WhenPassedOn,
    /// T241-MPAM-1 where these registers cannot be had: never. No limit is offered then.
    Never,
}

/// What has to be done differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// T241-MPAM-1: what it takes for a limit to the bandwidth.
    pub bandwidth_effect: BandwidthEffect,
    /// T241-MPAM-4: the minimum bandwidth must stand in a relation to the maximum, and cannot be used for itself.
    pub mbw_min_follows_max: bool,
    /// T241-MPAM-6: bandwidth counters count lines of 64 bytes.
    pub mbwu_counts_lines: bool,
    /// CMN-650 3642720: a usage monitor may never call itself ready, but it is after the time-out.
    pub ignore_csu_nrdy: bool,
}

/// The components known, by product and implementer.
const KNOWN: [(&str, u32, Quirks); 2] = [
    (
        "NVIDIA T241",
        0x2410_036b,
        Quirks {
            bandwidth_effect: BandwidthEffect::WhenPassedOn,
            mbw_min_follows_max: true,
            mbwu_counts_lines: true,
            ignore_csu_nrdy: false,
        },
    ),
    (
        "Arm CMN-650",
        0x0000_043b,
        Quirks {
            bandwidth_effect: BandwidthEffect::WhenStored,
            mbw_min_follows_max: false,
            mbwu_counts_lines: false,
            ignore_csu_nrdy: true,
        },
    ),
];

impl Quirks {
    /// The quirks of the component with this `MPAMF_IIDR`, whatever its variant and revision, and its name.
    #[must_use]
    pub fn of(iidr: u32) -> (Quirks, Option<&'static str>) {
        let exact = iidr & !Iidr::REVISION_AND_VARIANT.word_bits();
        KNOWN
            .into_iter()
            .find(|&(_, id, _)| id == exact)
            .map_or((Quirks::default(), None), |(name, _, quirks)| (quirks, Some(name)))
    }

    /// The quirks of two components used as one.
    #[must_use]
    pub fn or(self, other: Quirks) -> Quirks {
        Quirks {
            bandwidth_effect: self.bandwidth_effect.max(other.bandwidth_effect),
            mbw_min_follows_max: self.mbw_min_follows_max || other.mbw_min_follows_max,
            mbwu_counts_lines: self.mbwu_counts_lines || other.mbwu_counts_lines,
            ignore_csu_nrdy: self.ignore_csu_nrdy || other.ignore_csu_nrdy,
        }
    }

    /// What to program as minimum bandwidth beside this maximum, with so many fraction bits: 0, or under T241-MPAM-4 the
    /// maximum less five percent of the whole, at least one step.
    #[must_use]
    pub fn mbw_min(self, max: u16, fraction_bits: u16) -> u16 {
        if !self.mbw_min_follows_max {
            return 0;
        }
        let step = 1_u16 << 16_u16.saturating_sub(fraction_bits.max(1)).min(15);
        let five_percent = u16::MAX / 20;
        max.saturating_sub(five_percent).saturating_add(1).max(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variant_and_revision_do_not_matter() {
        assert!(Quirks::of(0x241a_b36b).0.mbwu_counts_lines);
        assert_eq!(Quirks::of(0x000f_f43b).1, Some("Arm CMN-650"));
        assert_eq!(Quirks::of(0x1230_043b), (Quirks::default(), None));
    }

    #[test]
    fn the_minimum_is_zero_unless_it_must_follow_the_maximum() {
        assert_eq!(Quirks::default().mbw_min(0xffff, 8), 0);
        let t241 = Quirks::of(0x2410_036b).0;
        assert_eq!(t241.mbw_min(0xffff, 8), 0xffff - 0xccc + 1);
        assert_eq!(t241.mbw_min(0, 8), 0x100);
        assert_eq!(t241.mbw_min(0, 16), 1);
    }

    #[test]
    fn what_one_of_two_components_does_wrong_both_together_do() {
        let any = |bits: u8| Quirks {
            bandwidth_effect: BandwidthEffect::WhenStored,
            mbw_min_follows_max: bits & 1 != 0,
            mbwu_counts_lines: bits & 2 != 0,
            ignore_csu_nrdy: bits & 4 != 0,
        };
        for (one, other) in (0..8).flat_map(|one| (0..8).map(move |other| (one, other))) {
            assert_eq!(any(one).or(any(other)), any(one | other));
        }
        let effects = [BandwidthEffect::WhenStored, BandwidthEffect::WhenPassedOn, BandwidthEffect::Never];
        let with = |effect| Quirks { bandwidth_effect: effects[effect], ..Quirks::default() };
        for (one, other) in (0..3).flat_map(|one| (0..3).map(move |other| (one, other))) {
            assert_eq!(with(one).or(with(other)), with(one.max(other)), "the limit that takes most is that of both");
        }
    }
}
