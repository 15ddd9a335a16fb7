// SPDX-License-Identifier: GPL-2.0-only
//! Which cache portions of a domain are whose.
//!
//! Code and data of a cache with CDP fill the same portions, so a mask for the one is compared with those of other groups
//! for both. What is compared with is what is programmed, never what the same command is about to program.

use resctrl_types::resource::ControlKind;
use resctrl_types::{Arch, Closid, ConfType, KBox, Platform};

use super::schema;
use crate::data::group::{CtrlGroup, Sharing};
use crate::data::state::Resctrl;
use crate::nodes::SchemaId;

/// How a mask meets those of others. The larger is the more serious.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Overlap {
    /// Not at all.
    None,
    /// With the hardware or with a group that shares.
    Shared,
    /// With a group that does not share.
    Exclusive,
}

/// Who has a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A group that uses it so.
    Group(Sharing),
    /// Devices that fill the cache: as the hardware's own bits, theirs are not for a group to have for itself, and not
    /// shared with new groups unasked either.
    Devices,
}

/// How `mask` meets the bits that other hardware uses and the masks of other groups.
pub(crate) fn classify(mask: u32, shareable_bits: u32, others: impl Iterator<Item = (Holder, u32)>) -> Overlap {
    let hardware = if mask & shareable_bits == 0 { Overlap::None } else { Overlap::Shared };
    let holders = others.filter(|&(_, other)| mask & other != 0).map(|(holder, _)| match holder {
        Holder::Group(Sharing::Shareable) | Holder::Devices => Overlap::Shared,
        Holder::Group(Sharing::Exclusive) => Overlap::Exclusive,
    });
    holders.fold(hardware, Overlap::max)
}

/// How `mask` meets the other hardware's bits and the masks of groups other than the one of `closid` in a domain.
pub(crate) fn of_mask<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    groups: &[KBox<CtrlGroup>],
    schema: SchemaId,
    domain: &A::CtrlDomain,
    closid: Closid,
    mask: u32,
) -> Overlap {
    let kind = fs.arch.control(schema.resource).map(|control| control.kind);
    let Some(ControlKind::Cache(cache)) = kind else { return Overlap::None };
    classify(mask, cache.shareable_bits, others(fs, groups, schema, domain, closid))
}

/// The masks that others than the holder of `closid` have in a domain, for both halves under CDP, each with who has it.
pub(crate) fn others<'a, A: Arch<P>, P: Platform>(
    fs: &'a Resctrl<A, P>,
    groups: &'a [KBox<CtrlGroup>],
    schema: SchemaId,
    domain: &'a A::CtrlDomain,
    closid: Closid,
) -> impl Iterator<Item = (Holder, u32)> + 'a {
    let halves: &[ConfType] = match schema.conf_type {
        ConfType::Both => &[ConfType::Both],
        ConfType::Code | ConfType::Data => &[ConfType::Code, ConfType::Data],
    };
    let devices = schema::devices(fs, schema.resource).map(|closid| (Holder::Devices, closid));
    // Groups that are there for a region fill nothing: one has no mask yet that counts, the other no CLOSID any more.
    let users = groups.iter().filter_map(|group| group.mode.sharing().map(|sharing| (sharing, group.closid)));
    let holders = users.map(|(sharing, closid)| (Holder::Group(sharing), closid)).chain(devices);
    holders.filter(move |&(_, holder)| holder != closid).flat_map(move |(holder, closid)| {
        halves.iter().map(move |&half| (holder, fs.arch.control_value(schema.resource, domain, closid, half)))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;

    /// Looks at each bit by itself.
    fn bit_by_bit(mask: u32, shareable_bits: u32, others: &[(Holder, u32)]) -> Overlap {
        let mut worst = Overlap::None;
        for bit in (0..32).map(|place| 1 << place).filter(|bit| mask & bit != 0) {
            if others.contains_bit(bit, |holder| holder == Holder::Group(Sharing::Exclusive)) {
                return Overlap::Exclusive;
            }
            if shareable_bits & bit != 0 || others.contains_bit(bit, |_| true) {
                worst = Overlap::Shared;
            }
        }
        worst
    }

    trait ContainsBit {
        fn contains_bit(&self, bit: u32, of: impl Fn(Holder) -> bool) -> bool;
    }
    impl ContainsBit for [(Holder, u32)] {
        fn contains_bit(&self, bit: u32, of: impl Fn(Holder) -> bool) -> bool {
            self.iter().any(|&(holder, mask)| of(holder) && mask & bit != 0)
        }
    }

    fn narrow() -> impl Strategy<Value = u32> {
        (0..12_u32, 0..4_u32).prop_map(|(shift, len)| resctrl_types::cbm::full(len) << shift)
    }

    pub(crate) fn holder() -> impl Strategy<Value = Holder> {
        prop_oneof![
            Just(Holder::Group(Sharing::Shareable)),
            Just(Holder::Group(Sharing::Exclusive)),
            Just(Holder::Devices)
        ]
    }

    proptest! {
        #[test]
        fn an_overlap_is_what_looking_at_each_bit_finds(
            mask in narrow(),
            shareable_bits in narrow(),
            others in prop::collection::vec((holder(), narrow()), 0..5),
        ) {
            prop_assert_eq!(
                classify(mask, shareable_bits, others.iter().copied()),
                bit_by_bit(mask, shareable_bits, &others)
            );
        }
    }
}
