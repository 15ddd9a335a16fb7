// SPDX-License-Identifier: GPL-2.0-only
//! What a resource instance can do, and what instances can do together.
//!
//! Instances that control the same thing in parts (the slices of a cache) can together only what each can: their features
//! are merged as *different* ones. Instances of one MSC that control different aspects of the same thing complement each
//! other: they are *aliases*. The kernel's `__props_mismatch()`.

/// One ability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    /// Cache portion bit map.
    Cpor,
    /// Soft limit of the maximum capacity.
    CmaxSoftlim,
    /// Maximum capacity.
    Cmax,
    /// Minimum capacity.
    Cmin,
    /// Maximum associativity.
    Cassoc,
    /// Bandwidth portion bit map.
    MbwPart,
    /// Minimum bandwidth.
    MbwMin,
    /// Maximum bandwidth.
    MbwMax,
    /// Proportional stride.
    MbwProp,
    /// Internal priority.
    Intpri,
    /// 0 is the lowest internal priority.
    Intpri0Low,
    /// Downstream priority.
    Dspri,
    /// 0 is the lowest downstream priority.
    Dspri0Low,
    /// Cache storage usage monitors.
    Csu,
    /// They can leave clean lines out.
    CsuXcl,
    /// Hardware manages their not-ready bit.
    CsuHwNrdy,
    /// Memory bandwidth usage monitors.
    Mbwu,
    /// They have a counter of 44 bits.
    Mbwu44,
    /// They have a counter of 63 bits.
    Mbwu63,
    /// They can tell reads and writes apart.
    MbwuRwbw,
    /// PARTID narrowing.
    PartidNrw,
}

/// A set of abilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u32);

impl Features {
    /// The set with `feature` added.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Features {
        Features(self.0 | 1 << feature as u8)
    }

    /// Whether `feature` is in the set.
    #[must_use]
    pub const fn has(self, feature: Feature) -> bool {
        self.0 >> feature as u8 & 1 == 1
    }

    fn remove(&mut self, feature: Feature) {
        self.0 &= !(1 << feature as u8);
    }
}

/// What a resource instance, or several together, can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Props {
    /// The abilities. A width below means something only with its ability.
    pub features: Features,
    /// Bits of a cache portion bit map.
    pub cpbm_wd: u16,
    /// Bits of a bandwidth portion bit map.
    pub mbw_pbm_bits: u16,
    /// Fraction bits of bandwidths, at most 16.
    pub bwa_wd: u16,
    /// Fraction bits of capacities.
    pub cmax_wd: u16,
    /// Fraction bits of associativities.
    pub cassoc_wd: u16,
    /// Bits of an internal priority.
    pub intpri_wd: u16,
    /// Bits of a downstream priority.
    pub dspri_wd: u16,
    /// How many usage monitors.
    pub num_csu_mon: u16,
    /// How many bandwidth monitors.
    pub num_mbwu_mon: u16,
}

impl Props {
    /// Whether it has an ability.
    #[must_use]
    pub const fn has(&self, feature: Feature) -> bool {
        self.features.has(feature)
    }

    /// Adds an ability to this for each condition that holds.
    pub(crate) fn add<const N: usize>(&mut self, abilities: [(Feature, bool); N]) {
        for (feature, _) in abilities.into_iter().filter(|&(_, there)| there) {
            self.features = self.features.with(feature);
        }
    }

    pub(crate) fn drop_feature(&mut self, feature: Feature) {
        self.features.remove(feature);
    }

    /// What this instance and an alias of it can do.
    #[must_use]
    pub fn with_alias(self, other: &Props) -> Props {
        merge(self, other, Relation::Alias)
    }

    /// What both this instance and a different one can do.
    #[must_use]
    pub fn with_different(self, other: &Props) -> Props {
        merge(self, other, Relation::Different)
    }
}

/// What two instances are to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// Two ways to the same controls.
    Alias,
    /// Controls of their own.
    Different,
}

/// How two widths of one parameter become one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conflict {
    /// Masks of different widths have nothing in common: the ability goes.
    Drop,
    /// The coarser one can be had from both.
    Smaller,
}

fn merge(parent: Props, child: &Props, relation: Relation) -> Props {
    let mut merged = parent;
    let alias = relation == Relation::Alias;
    merged.features = match relation {
        Relation::Alias => Features(parent.features.0 | child.features.0),
        Relation::Different => Features(parent.features.0 & child.features.0),
    };
    type Width = fn(&mut Props) -> &mut u16;
    let parameters: [(&[Feature], Width, Conflict); 9] = [
        (&[Feature::Cpor], |props| &mut props.cpbm_wd, Conflict::Drop),
        (&[Feature::MbwPart], |props| &mut props.mbw_pbm_bits, Conflict::Drop),
        (&[Feature::Cassoc], |props| &mut props.cassoc_wd, Conflict::Drop),
        (&[Feature::MbwMin, Feature::MbwMax, Feature::MbwProp], |props| &mut props.bwa_wd, Conflict::Smaller),
        (&[Feature::Cmax, Feature::Cmin, Feature::CmaxSoftlim], |props| &mut props.cmax_wd, Conflict::Smaller),
        (&[Feature::Csu], |props| &mut props.num_csu_mon, Conflict::Smaller),
        (&[Feature::Mbwu], |props| &mut props.num_mbwu_mon, Conflict::Smaller),
        (&[Feature::Intpri], |props| &mut props.intpri_wd, Conflict::Smaller),
        (&[Feature::Dspri], |props| &mut props.dspri_wd, Conflict::Smaller),
    ];
    for (users, width, conflict) in parameters {
        let used = |props: &Props| users.iter().any(|&feature| props.has(feature));
        let mut theirs = *child;
        let (ours, theirs) = (*width(&mut merged), *width(&mut theirs));
        let result = match (used(&parent), used(child)) {
            (true, true) if ours != theirs && conflict == Conflict::Drop => {
                users.iter().for_each(|&feature| merged.features.remove(feature));
                0
            }
            // They may share the width and yet use it for different things.
            (true, true) if !used(&merged) => 0,
            (true, true) => ours.min(theirs),
            (false, true) if alias => theirs,
            (true, false) if alias => ours,
            // What only one of two different ones has is gone, and the width with it.
            _ => 0,
        };
        *width(&mut merged) = result;
    }
    merge_priority(&mut merged, &parent, child, relation, Feature::Intpri, Feature::Intpri0Low);
    merge_priority(&mut merged, &parent, child, relation, Feature::Dspri, Feature::Dspri0Low);
    merged
}

/// A priority is meant for nothing when two instances order it differently, or only one of them obeys it.
fn merge_priority(
    merged: &mut Props,
    parent: &Props,
    child: &Props,
    relation: Relation,
    priority: Feature,
    zero_is_low: Feature,
) {
    let copied = relation == Relation::Alias && !parent.has(priority) && child.has(priority);
    let agree = parent.has(priority) == child.has(priority) && parent.has(zero_is_low) == child.has(zero_is_low);
    if !copied && !agree {
        merged.drop_feature(priority);
        merged.drop_feature(zero_is_low);
        *(if priority == Feature::Intpri { &mut merged.intpri_wd } else { &mut merged.dspri_wd }) = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVERYTHING: Props = Props {
        features: Features((1 << (Feature::PartidNrw as u8 + 1)) - 1),
        cpbm_wd: 0xffff,
        mbw_pbm_bits: 0xffff,
        bwa_wd: 0xffff,
        cmax_wd: 0xffff,
        cassoc_wd: 0xffff,
        intpri_wd: 0xffff,
        dspri_wd: 0xffff,
        num_csu_mon: 0xffff,
        num_mbwu_mon: 0xffff,
    };

    fn cpor(bits: u16) -> Props {
        Props { features: Features::default().with(Feature::Cpor), cpbm_wd: bits, ..Props::default() }
    }

    fn cmin(bits: u16) -> Props {
        Props { features: Features::default().with(Feature::Cmin), cmax_wd: bits, ..Props::default() }
    }

    #[test]
    fn a_feature_that_is_there_stays_when_it_is_added_again() {
        let set = Features::default().with(Feature::Cpor).with(Feature::Csu);
        assert_eq!(set.with(Feature::Cpor), set);
        let mut props = Props { features: set, ..Props::default() };
        props.add([(Feature::Csu, true), (Feature::Mbwu, false)]);
        assert_eq!(props.features, set);
    }

    #[test]
    fn nothing_and_everything_have_nothing_in_common() {
        assert_eq!(Props::default().with_different(&EVERYTHING), Props::default());
    }

    #[test]
    fn nothing_and_its_alias_are_the_alias() {
        assert_eq!(Props::default().with_alias(&EVERYTHING), EVERYTHING);
    }

    #[test]
    fn equal_instances_keep_what_they_have() {
        assert_eq!(cpor(4).with_alias(&cpor(4)), cpor(4));
        assert_eq!(cpor(4).with_different(&cpor(4)), cpor(4));
    }

    #[test]
    fn aliases_with_different_features_have_both() {
        let both = cpor(4).with_alias(&cmin(4));
        assert!(both.has(Feature::Cpor) && both.has(Feature::Cmin));
        assert_eq!((both.cpbm_wd, both.cmax_wd), (4, 4));
    }

    #[test]
    fn different_instances_with_different_features_have_neither() {
        assert_eq!(cpor(4).with_different(&cmin(4)), Props::default());
    }

    #[test]
    fn masks_of_different_widths_are_dropped() {
        let props = |cpbm_wd, mbw_pbm_bits| Props {
            features: Features::default().with(Feature::Cpor).with(Feature::MbwPart),
            cpbm_wd,
            mbw_pbm_bits,
            ..Props::default()
        };
        assert_eq!(props(5, 5).with_different(&props(3, 3)), Props::default());
        assert_eq!(props(5, 3).with_alias(&props(3, 3)).cpbm_wd, 0);
        assert!(!props(5, 3).with_alias(&props(3, 3)).has(Feature::Cpor));
        assert!(props(5, 3).with_alias(&props(3, 3)).has(Feature::MbwPart));
    }

    #[test]
    fn fractions_of_different_widths_become_the_coarser() {
        let props = |bits| Props {
            features: Features::default().with(Feature::MbwMin).with(Feature::Cmax),
            bwa_wd: bits,
            cmax_wd: bits,
            ..Props::default()
        };
        let merged = props(5).with_different(&props(3));
        assert_eq!(merged, props(3));
    }

    #[test]
    fn priorities_in_different_orders_are_dropped_even_among_aliases() {
        let priority = |features: Features| Props { features, intpri_wd: 3, ..Props::default() };
        let high = priority(Features::default().with(Feature::Intpri));
        let low = priority(Features::default().with(Feature::Intpri).with(Feature::Intpri0Low));
        assert_eq!(high.with_alias(&low), Props::default());
        assert_eq!(high.with_alias(&cpor(4)), cpor(4));
        assert_eq!(high.with_alias(&high), high);
    }

    prop_compose! {
        fn any_props()(bits in 0_u32..1 << 21, widths in prop::array::uniform9(1_u16..4)) -> Props {
            let mut props = Props { features: Features(bits), ..Props::default() };
            let width = |used: bool, at: usize| if used { widths[at] } else { 0 };
            props.cpbm_wd = width(props.has(Feature::Cpor), 0);
            props.mbw_pbm_bits = width(props.has(Feature::MbwPart), 1);
            props.num_csu_mon = width(props.has(Feature::Csu), 2);
            props.num_mbwu_mon = width(props.has(Feature::Mbwu), 3);
            let bandwidth = [Feature::MbwMin, Feature::MbwMax, Feature::MbwProp];
            props.bwa_wd = width(bandwidth.into_iter().any(|feature| props.has(feature)), 4);
            props
        }
    }

    proptest! {
        #[test]
        fn nobody_has_a_feature_that_a_different_instance_lacks(a in any_props(), b in any_props()) {
            let merged = a.with_different(&b);
            prop_assert_eq!(merged.features.0 & !(a.features.0 & b.features.0), 0);
            prop_assert!(merged.bwa_wd <= a.bwa_wd.min(b.bwa_wd));
            prop_assert!(merged.num_csu_mon <= a.num_csu_mon.min(b.num_csu_mon));
        }

        #[test]
        fn merging_twice_changes_nothing_more(a in any_props(), b in any_props()) {
            let merged = a.with_different(&b);
            prop_assert_eq!(merged.with_different(&b), merged);
        }
    }
}
