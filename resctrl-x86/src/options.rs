// SPDX-License-Identifier: GPL-2.0-only
//! The parameter `rdt=`: features turned off, or back on where a quirk turned them off.

use crate::TelemetryFeature;
use crate::intel_aet::{EventGroup, GROUPS};

/// A feature that `rdt=` can name, besides those of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// `cmt`: L3 occupancy monitoring.
    Cmt,
    /// `mbmtotal`: total bandwidth monitoring.
    MbmTotal,
    /// `mbmlocal`: local bandwidth monitoring.
    MbmLocal,
    /// `l3cat`: L3 cache allocation.
    L3Cat,
    /// `l3cdp`: code and data prioritisation of the L3.
    L3Cdp,
    /// `l2cat`: L2 cache allocation.
    L2Cat,
    /// `l2cdp`: code and data prioritisation of the L2.
    L2Cdp,
    /// `mba`: memory bandwidth allocation.
    Mba,
    /// `smba`: slow memory bandwidth allocation (AMD).
    Smba,
    /// `bmec`: configurable bandwidth events (AMD).
    Bmec,
    /// `abmc`: bandwidth counters that are assigned (AMD).
    Abmc,
    /// `sdciae`: a CLOSID for devices (AMD).
    Sdciae,
}

const NAMES: [(&str, Feature); 12] = [
    ("cmt", Feature::Cmt),
    ("mbmtotal", Feature::MbmTotal),
    ("mbmlocal", Feature::MbmLocal),
    ("l3cat", Feature::L3Cat),
    ("l3cdp", Feature::L3Cdp),
    ("l2cat", Feature::L2Cat),
    ("l2cdp", Feature::L2Cdp),
    ("mba", Feature::Mba),
    ("smba", Feature::Smba),
    ("bmec", Feature::Bmec),
    ("abmc", Feature::Abmc),
    ("sdciae", Feature::Sdciae),
];

/// Which features the user, or a quirk, has turned on or off.
///
/// "On" makes no feature that the processor lacks; it only overrides "off", in whichever order they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    on: u16,
    off: u16,
    /// Bit `n` is that of the telemetry group at index `n` of [`GROUPS`].
    telemetry_on: u8,
    telemetry_off: u8,
}

impl Options {
    /// Reads the value of `rdt=`: names between commas, `!` before a name turns the feature off. A `=` in front is
    /// skipped. Names that this crate has no feature for are ignored, as the kernel ignores them.
    #[must_use]
    pub fn parse(text: &str) -> Options {
        let mut options = Options::default();
        options.add(text.strip_prefix('=').unwrap_or(text));
        options
    }

    /// Adds tokens, as a quirk does.
    pub(crate) fn add(&mut self, tokens: &str) {
        for token in tokens.split(',') {
            let (name, off) = match token.strip_prefix('!') {
                Some(name) => (name, true),
                None => (token, false),
            };
            if let Some(groups) = telemetry_groups(name) {
                let set = if off { &mut self.telemetry_off } else { &mut self.telemetry_on };
                *set |= groups;
            } else if let Some((_, feature)) = NAMES.iter().find(|(known, _)| *known == name) {
                let set = if off { &mut self.off } else { &mut self.on };
                *set |= bit(*feature);
            }
        }
    }

    /// Whether a feature that the processor has is to be used.
    pub(crate) fn allows(&self, feature: Feature) -> bool {
        self.on & bit(feature) != 0 || !self.turned_off(feature)
    }

    /// Whether events of packages are not to be read: unlike for other features, "off" wins over "on".
    pub(crate) fn telemetry_off(&self, feature: TelemetryFeature, guid: u32) -> bool {
        self.telemetry_off & telemetry_bit(feature, guid) != 0
    }

    /// Whether events of packages are to be read even if the hardware counts them for fewer RMIDs than it is known for.
    pub(crate) fn telemetry_on(&self, feature: TelemetryFeature, guid: u32) -> bool {
        self.telemetry_on & telemetry_bit(feature, guid) != 0
    }

    /// Whether the feature was turned off, be it on again or not.
    pub(crate) fn turned_off(&self, feature: Feature) -> bool {
        self.off & bit(feature) != 0
    }
}

const fn bit(feature: Feature) -> u16 {
    1 << feature as u8
}

/// The telemetry groups that a token names: those of a feature (`energy`), or the one of them with a GUID in hexadecimal
/// (`energy:0x26696143`); the GUID 0 stands for all. `None` where it names nothing.
fn telemetry_groups(token: &str) -> Option<u8> {
    let (name, guid) = match token.split_once(':') {
        Some((name, guid)) => (name, u32::from_str_radix(hexadecimal(guid), 16).ok()?),
        None => (token, 0),
    };
    let named = |group: &EventGroup| group.feature.name() == name && (guid == 0 || group.guid == guid);
    let groups = (0..).zip(&GROUPS).filter(|(_, group)| named(group));
    groups.map(|(index, _)| 1 << index).reduce(|all: u8, group| all | group)
}

/// The digits of a hexadecimal number, which may have `0x` in front.
fn hexadecimal(text: &str) -> &str {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text)
}

/// The bit of the telemetry group of this feature and GUID; none where it is not known.
fn telemetry_bit(feature: TelemetryFeature, guid: u32) -> u8 {
    let known = GROUPS.iter().position(|group| (group.feature, group.guid) == (feature, guid));
    known.map_or(0, |index| 1 << index)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn what_nobody_names_is_allowed() {
        for (_, feature) in NAMES {
            assert!(Options::parse("").allows(feature));
        }
    }

    #[test]
    fn on_wins_over_off_in_either_order() {
        assert!(Options::parse("!cmt,cmt").allows(Feature::Cmt));
        assert!(Options::parse("cmt,!cmt").allows(Feature::Cmt));
        assert!(Options::parse("cmt,!cmt").turned_off(Feature::Cmt));
        assert!(!Options::parse("=!cmt").allows(Feature::Cmt));
    }

    #[test]
    fn near_misses_are_ignored() {
        for text in ["! cmt", "!CMT", "!!cmt", "!cmt ", "==!cmt", "!cm", "!cmt:0", "!,", "!", "cmt!"] {
            assert_eq!(Options::parse(text), Options::default(), "{text:?}");
        }
    }

    /// Which of the telemetry groups are on, and which are off.
    fn telemetry(text: &str) -> ([bool; 2], [bool; 2]) {
        let options = Options::parse(text);
        let of = |asked: fn(&Options, TelemetryFeature, u32) -> bool| {
            [0, 1].map(|index: usize| asked(&options, GROUPS[index].feature, GROUPS[index].guid))
        };
        (of(Options::telemetry_on), of(Options::telemetry_off))
    }

    #[test]
    fn telemetry_is_named_by_feature_or_also_by_guid() {
        assert_eq!(telemetry("energy"), ([true, false], [false; 2]));
        assert_eq!(telemetry("!perf,!energy:0x26696143"), ([false; 2], [true; 2]));
        assert_eq!(telemetry("perf:26557651,!perf:0"), ([false, true], [false, true]));
        for unknown in ["energy:0x26557651", "energy:", "energy:0x", "perf:0xgg", "perf:0x126557651", "Perf", "perf,:0"]
        {
            let on = unknown.starts_with("perf,");
            assert_eq!(telemetry(unknown), ([false, on], [false; 2]), "{unknown:?}");
        }
    }

    proptest! {
        #[test]
        fn any_list_of_tokens_means_what_its_tokens_mean(
            tokens in prop::collection::vec((any::<bool>(), 0..NAMES.len() + 2), 0..12),
            equals in any::<bool>(),
        ) {
            let name = |index: usize| NAMES.get(index).map_or(["perfs", "energy:0x1"][index % 2], |(name, _)| *name);
            let words: Vec<String> =
                tokens.iter().map(|&(off, index)| std::format!("{}{}", if off { "!" } else { "" }, name(index))).collect();
            let text = std::format!("{}{}", if equals { "=" } else { "" }, words.join(","));
            let options = Options::parse(&text);
            for (index, (_, feature)) in NAMES.iter().enumerate() {
                let forced_on = tokens.contains(&(false, index));
                let forced_off = tokens.contains(&(true, index));
                prop_assert_eq!(options.allows(*feature), forced_on || !forced_off);
                prop_assert_eq!(options.turned_off(*feature), forced_off);
            }
        }

        #[test]
        fn no_text_does_harm(text in any::<String>()) {
            let _ = Options::parse(&text);
        }
    }
}
