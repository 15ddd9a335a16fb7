// SPDX-License-Identifier: GPL-2.0-only
//! The parameter `rdt=`: features turned off, or back on where a quirk turned them off.

/// A feature that `rdt=` can name.
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
            if let Some((_, feature)) = NAMES.iter().find(|(known, _)| *known == name) {
                let set = if off { &mut self.off } else { &mut self.on };
                *set |= bit(*feature);
            }
        }
    }

    /// Whether a feature that the processor has is to be used.
    pub(crate) fn allows(&self, feature: Feature) -> bool {
        self.on & bit(feature) != 0 || !self.turned_off(feature)
    }

    /// Whether the feature was turned off, be it on again or not.
    pub(crate) fn turned_off(&self, feature: Feature) -> bool {
        self.off & bit(feature) != 0
    }
}

const fn bit(feature: Feature) -> u16 {
    1 << feature as u8
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

    proptest! {
        #[test]
        fn any_list_of_tokens_means_what_its_tokens_mean(
            tokens in prop::collection::vec((any::<bool>(), 0..NAMES.len() + 2), 0..12),
            equals in any::<bool>(),
        ) {
            let name = |index: usize| NAMES.get(index).map_or(["perf", "energy:0x1"][index % 2], |(name, _)| *name);
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
