// SPDX-License-Identifier: GPL-2.0-only
//! What a new control group starts with: everything that nobody has for himself.

use resctrl_types::arch::Change;
use resctrl_types::cbm;
use resctrl_types::resource::{CacheControl, ControlKind};
use resctrl_types::{Arch, Errno, Platform, ResourceId, Result};

use super::overlap;
use crate::Op;
use crate::domain::{CtrlDomain, MBPS_UNLIMITED};
use crate::state::Mode;

/// Programs the initial values of the group at `ctrl`, schema by schema. Its mode is shareable.
///
/// Under the software bandwidth controller only its target is set; the hardware's value is left to the controller.
///
/// # Errors
/// `ENOSPC` with the schema and domain in the status when exclusive groups leave too few bits; the architecture's. What
/// came earlier stays programmed for a CLOSID that nobody has.
pub(crate) fn init<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize) -> Result<()> {
    let (fs, cpus) = (op.fs, op.cpus);
    let state = op.state();
    let mount = state.mount.as_ref().ok_or(Errno::ENOENT)?;
    let closid = state.groups[ctrl].closid;
    for &schema in &mount.schemas {
        let Some(control) = fs.arch.control(schema.resource) else { continue };
        let targets = mount.mba_sc && schema.resource == ResourceId::Mb;
        let domains = &mut state.ctrl_domains[schema.resource.index()];
        // A schema without room in one of its domains programs none of them.
        if let ControlKind::Cache(cache) = control.kind {
            for domain in &*domains {
                let others = overlap::others(fs, &state.groups, schema, &domain.arch, closid);
                if available(&cache, others).count_ones() < cache.min_cbm_bits {
                    state.status.format(format_args!("No space on {}:{}\n", schema.name(), domain.id));
                    return Err(Errno::ENOSPC);
                }
            }
        }
        for domain in domains {
            let CtrlDomain { arch, cpus: mask, mbps, .. } = &mut **domain;
            if targets {
                if let Some(target) = mbps.get_mut(closid.index()) {
                    *target = MBPS_UNLIMITED;
                }
                continue;
            }
            let value = match control.kind {
                ControlKind::Cache(cache) => {
                    available(&cache, overlap::others(fs, &state.groups, schema, arch, closid))
                }
                ControlKind::Bandwidth(_) => control.default_value(),
            };
            let change = Change { closid, conf_type: schema.conf_type, value };
            fs.arch.apply(&fs.platform, cpus, schema.resource, arch, mask, &[change]).inspect_err(|_| {
                state.status.text("Failed to initialize allocations\n");
            })?;
        }
    }
    Ok(())
}

/// The mask of everything that no other group has for itself: what the hardware may fill too, what others share, what
/// nobody uses. Where masks may have no gaps, the lowest run of it.
fn available(cache: &CacheControl, others: impl Iterator<Item = (Mode, u32)>) -> u32 {
    let (shared, used) = others.fold((cache.shareable_bits, cache.shareable_bits), |(shared, used), (mode, mask)| {
        (if mode == Mode::Shareable { shared | mask } else { shared }, used | mask)
    });
    let free = shared | (cache.full_mask() & !used);
    if cache.sparse_masks { free } else { cbm::lowest_run(free) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    const CACHE: CacheControl = CacheControl { cbm_len: 8, min_cbm_bits: 1, shareable_bits: 0, sparse_masks: true };

    fn of(cache: CacheControl, others: &[(Mode, u32)]) -> u32 {
        available(&cache, others.iter().copied())
    }

    #[test]
    fn alone_a_group_gets_everything() {
        assert_eq!(of(CACHE, &[]), 0xff);
    }

    #[test]
    fn an_exclusive_group_is_left_alone() {
        assert_eq!(of(CACHE, &[(Mode::Exclusive, 0x3c)]), 0xc3);
        assert_eq!(of(CacheControl { sparse_masks: false, ..CACHE }, &[(Mode::Exclusive, 0x3c)]), 0x03);
        assert_eq!(of(CACHE, &[(Mode::Exclusive, 0xff)]), 0);
    }

    #[test]
    fn what_the_hardware_may_fill_is_open_to_all() {
        let cache = CacheControl { shareable_bits: 0x0f, ..CACHE };
        assert_eq!(of(cache, &[(Mode::Exclusive, 0xf0)]), 0x0f);
    }

    proptest! {
        #[test]
        fn a_bit_is_available_unless_only_exclusive_groups_have_it(
            shareable_bits in 0..=0xff_u32,
            others in prop::collection::vec((any::<bool>(), 0..=0xff_u32), 0..5),
        ) {
            let cache = CacheControl { shareable_bits, ..CACHE };
            let others: Vec<_> = others
                .into_iter()
                .map(|(exclusive, mask)| (if exclusive { Mode::Exclusive } else { Mode::Shareable }, mask))
                .collect();
            let given = of(cache, &others);
            for bit in (0..8).map(|place| 1_u32 << place) {
                let mut users = others.iter().filter(|(_, mask)| mask & bit != 0).peekable();
                let unused = users.peek().is_none();
                let open = shareable_bits & bit != 0 || users.any(|&(mode, _)| mode == Mode::Shareable);
                prop_assert_eq!(given & bit != 0, unused || open);
            }
        }
    }
}
