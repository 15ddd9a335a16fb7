// SPDX-License-Identifier: GPL-2.0-only
//! Which cache portions of a domain are whose.
//!
//! Code and data of a cache with CDP fill the same portions, so a mask for the one is compared with those of other groups
//! for both. What is compared with is what is programmed, never what the same command is about to program.

use resctrl_types::resource::ControlKind;
use resctrl_types::{Arch, Closid, ConfType, KBox, Platform};

use crate::Resctrl;
use crate::nodes::SchemaId;
use crate::state::{CtrlGroup, Mode};

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

/// How `mask` meets the bits that other hardware uses and the masks of other groups.
pub(crate) fn classify(mask: u32, shareable_bits: u32, others: impl Iterator<Item = (Mode, u32)>) -> Overlap {
    let hardware = if mask & shareable_bits == 0 { Overlap::None } else { Overlap::Shared };
    let groups = others.filter(|&(_, other)| mask & other != 0).map(|(mode, _)| match mode {
        Mode::Shareable => Overlap::Shared,
        Mode::Exclusive => Overlap::Exclusive,
    });
    groups.fold(hardware, Overlap::max)
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

/// The masks that groups other than the one of `closid` have in a domain, for both halves under CDP, each with the mode
/// of its group.
pub(crate) fn others<'a, A: Arch<P>, P: Platform>(
    fs: &'a Resctrl<A, P>,
    groups: &'a [KBox<CtrlGroup>],
    schema: SchemaId,
    domain: &'a A::CtrlDomain,
    closid: Closid,
) -> impl Iterator<Item = (Mode, u32)> + 'a {
    let halves: &[ConfType] = match schema.conf_type {
        ConfType::Both => &[ConfType::Both],
        ConfType::Code | ConfType::Data => &[ConfType::Code, ConfType::Data],
    };
    groups.iter().filter(move |group| group.closid != closid).flat_map(move |group| {
        halves.iter().map(move |&half| (group.mode, fs.arch.control_value(schema.resource, domain, group.closid, half)))
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Looks at each bit by itself.
    fn bit_by_bit(mask: u32, shareable_bits: u32, others: &[(Mode, u32)]) -> Overlap {
        let mut worst = Overlap::None;
        for bit in (0..32).map(|place| 1 << place).filter(|bit| mask & bit != 0) {
            if others.contains_bit(Mode::Exclusive, bit) {
                return Overlap::Exclusive;
            }
            if shareable_bits & bit != 0 || others.contains_bit(Mode::Shareable, bit) {
                worst = Overlap::Shared;
            }
        }
        worst
    }

    trait ContainsBit {
        fn contains_bit(&self, mode: Mode, bit: u32) -> bool;
    }
    impl ContainsBit for [(Mode, u32)] {
        fn contains_bit(&self, mode: Mode, bit: u32) -> bool {
            self.iter().any(|&(other, mask)| other == mode && mask & bit != 0)
        }
    }

    fn narrow() -> impl Strategy<Value = u32> {
        (0..12_u32, 0..4_u32).prop_map(|(shift, len)| resctrl_types::cbm::full(len) << shift)
    }

    proptest! {
        #[test]
        fn an_overlap_is_what_looking_at_each_bit_finds(
            mask in narrow(),
            shareable_bits in narrow(),
            others in prop::collection::vec((any::<bool>(), narrow()), 0..5),
        ) {
            let others: Vec<_> = others
                .into_iter()
                .map(|(exclusive, mask)| (if exclusive { Mode::Exclusive } else { Mode::Shareable }, mask))
                .collect();
            prop_assert_eq!(
                classify(mask, shareable_bits, others.iter().copied()),
                bit_by_bit(mask, shareable_bits, &others)
            );
        }
    }
}
