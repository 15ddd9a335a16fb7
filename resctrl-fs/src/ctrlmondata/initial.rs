// SPDX-License-Identifier: GPL-2.0-only
//! What a new control group starts with: everything that nobody has for himself.

use resctrl_types::arch::{Change, Trust};
use resctrl_types::cbm;
use resctrl_types::platform::Mutex;
use resctrl_types::resource::{CacheControl, ControlKind};
use resctrl_types::{Arch, Closid, ConfType, DomainCpus, DomainId, Errno, KBox, Platform, ResourceId};

use super::overlap::{self, Holder};
use crate::data::domain::{CtrlDomain, MBPS_UNLIMITED};
use crate::data::group::{CtrlGroup, Sharing};
use crate::data::state::Op;
use crate::data::state::Resctrl;
use crate::data::state::State;
use crate::nodes::SchemaId;
use crate::status::Done;

/// Programs the initial values of the group at `ctrl`, schema by schema. Its mode is shareable.
///
/// Under the software bandwidth controller only its target is set; the hardware's value is left to the controller.
///
/// # Errors
/// `ENOSPC` with the schema and domain in the status when exclusive groups leave too few bits; the architecture's. What
/// came earlier stays programmed for a CLOSID that nobody has.
pub(crate) fn init<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize) -> Done {
    let (fs, cpus) = (op.fs, op.cpus);
    let state = op.state();
    let closid = state.groups[ctrl].closid;
    for resource in ResourceId::ALL.into_iter().filter(|&resource| fs.arch.control(resource).is_some()) {
        fs.arch.reset_away(&fs.platform, cpus, state.online.mask(), resource, Some(closid));
    }
    for place in 0..state.mounted()?.schemas.len() {
        let mount = state.mounted()?;
        let schema = mount.schemas[place];
        let Some(control) = fs.arch.control(schema.resource) else { continue };
        let targets = mount.mba_sc && schema.resource == ResourceId::Mb;
        if let ControlKind::Cache(cache) = control.kind {
            require_room(fs, state, schema, &cache, closid)?;
        }
        for domain in &mut state.ctrl_domains[schema.resource.index()] {
            let CtrlDomain { id, arch, cpus: mask, mbps, .. } = &mut **domain;
            if targets {
                if let Some(target) = mbps.get_mut(closid.index()) {
                    *target = MBPS_UNLIMITED;
                }
                continue;
            }
            let value = match control.kind {
                ControlKind::Cache(cache) => first_mask(fs, &state.groups, schema, &cache, (*id, arch), closid),
                ControlKind::Bandwidth(_) => control.default_value(),
            };
            let change = Change { closid, conf_type: schema.conf_type, value };
            fs.arch
                .apply(&fs.platform, DomainCpus::new(cpus, mask), schema.resource, arch, &[change], Trust::Memory)
                .map_err(|errno| state.status.refuse(errno, "Failed to initialize allocations\n"))?;
        }
    }
    Ok(())
}

/// Programs what the CLOSID of devices starts with in one cache: what a new group would start with, the same for code
/// and data.
///
/// # Errors
/// As [`init`].
pub(crate) fn init_devices<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    schema: SchemaId,
    cache: &CacheControl,
    closid: Closid,
) -> Done {
    let (fs, cpus) = (op.fs, op.cpus);
    let state = op.state();
    const FAILED: &str = "Failed to initialize io_alloc allocations\n";
    require_room(fs, state, schema, cache, closid).map_err(|refusal| state.status.refuse(refusal.errno(), FAILED))?;
    for domain in &mut state.ctrl_domains[schema.resource.index()] {
        let CtrlDomain { id, arch, cpus: mask, .. } = &mut **domain;
        let value = first_mask(fs, &state.groups, schema, cache, (*id, arch), closid);
        let halves = [schema.conf_type, schema.conf_type.peer()];
        let changes = halves.map(|conf_type| Change { closid, conf_type, value });
        let count = if schema.conf_type == ConfType::Both { 1 } else { 2 };
        fs.arch
            .apply(&fs.platform, DomainCpus::new(cpus, mask), schema.resource, arch, &changes[..count], Trust::Memory)
            .map_err(|errno| state.status.refuse(errno, FAILED))?;
    }
    Ok(())
}

/// Sees that every domain of a cache has room for one more: a schema without room in one programs none.
fn require_room<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    state: &mut State<A, P>,
    schema: SchemaId,
    cache: &CacheControl,
    closid: Closid,
) -> Done {
    for domain in &state.ctrl_domains[schema.resource.index()] {
        let mask = first_mask(fs, &state.groups, schema, cache, (domain.id, &domain.arch), closid);
        if mask.count_ones() < cache.min_cbm_bits {
            let why = format_args!("No space on {}:{}\n", schema.name(), domain.id);
            return Err(state.status.refuse_with(Errno::ENOSPC, why));
        }
    }
    Ok(())
}

/// The mask with which a CLOSID starts in a domain.
fn first_mask<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    groups: &[KBox<CtrlGroup>],
    schema: SchemaId,
    cache: &CacheControl,
    (id, domain): (DomainId, &A::CtrlDomain),
    closid: Closid,
) -> u32 {
    let locked = fs.regions.lock().locked_bits(schema.resource, id);
    available(cache, locked, overlap::others(fs, groups, schema, domain, closid))
}

/// The mask of everything that no other group has for itself: what the hardware may fill too, what others share, what
/// nobody uses. Where masks may have no gaps, the lowest run of it. What a region has `locked` nobody gets.
fn available(cache: &CacheControl, locked: u32, others: impl Iterator<Item = (Holder, u32)>) -> u32 {
    let (shared, taken) = others.fold((cache.shareable_bits, 0), |(shared, taken), (holder, mask)| {
        (if holder == Holder::Group(Sharing::Shareable) { shared | mask } else { shared }, taken | mask)
    });
    let free = cache.full_mask() & !locked & !(taken & !shared);
    if cache.sparse_masks { free } else { cbm::lowest_run(free) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::ctrlmondata::overlap::tests::holder;
    use proptest::prelude::*;

    const CACHE: CacheControl = CacheControl { cbm_len: 8, min_cbm_bits: 1, shareable_bits: 0, sparse_masks: true };

    const EXCLUSIVE: Holder = Holder::Group(Sharing::Exclusive);

    fn of(cache: CacheControl, others: &[(Holder, u32)]) -> u32 {
        beside(0, cache, others)
    }

    fn beside(locked: u32, cache: CacheControl, others: &[(Holder, u32)]) -> u32 {
        available(&cache, locked, others.iter().copied())
    }

    #[test]
    fn alone_a_group_gets_everything() {
        assert_eq!(of(CACHE, &[]), 0xff);
    }

    #[test]
    fn an_exclusive_group_is_left_alone() {
        assert_eq!(of(CACHE, &[(EXCLUSIVE, 0x3c)]), 0xc3);
        assert_eq!(of(CacheControl { sparse_masks: false, ..CACHE }, &[(EXCLUSIVE, 0x3c)]), 0x03);
        assert_eq!(of(CACHE, &[(EXCLUSIVE, 0xff)]), 0);
    }

    #[test]
    fn what_devices_have_is_left_to_them_unless_somebody_shares_it() {
        assert_eq!(of(CACHE, &[(Holder::Devices, 0x0f)]), 0xf0);
        assert_eq!(of(CACHE, &[(Holder::Devices, 0x0f), (Holder::Group(Sharing::Shareable), 0x3)]), 0xf3);
    }

    #[test]
    fn what_the_hardware_may_fill_is_open_to_all() {
        let cache = CacheControl { shareable_bits: 0x0f, ..CACHE };
        assert_eq!(of(cache, &[(EXCLUSIVE, 0xf0)]), 0x0f);
    }

    #[test]
    fn what_is_locked_nobody_gets_whoever_else_may_fill_it() {
        let cache = CacheControl { shareable_bits: 0x0f, ..CACHE };
        assert_eq!(beside(0x18, cache, &[(Holder::Group(Sharing::Shareable), 0x30)]), 0xe7);
    }

    proptest! {
        #[test]
        fn a_bit_is_available_unless_only_exclusive_groups_and_devices_have_it(
            shareable_bits in 0..=0xff_u32,
            others in prop::collection::vec((holder(), 0..=0xff_u32), 0..5),
        ) {
            let cache = CacheControl { shareable_bits, ..CACHE };
            let given = of(cache, &others);
            for bit in (0..8).map(|place| 1_u32 << place) {
                let mut users = others.iter().filter(|(_, mask)| mask & bit != 0).peekable();
                let unused = users.peek().is_none();
                let open = shareable_bits & bit != 0 || users.any(|&(holder, _)| holder == Holder::Group(Sharing::Shareable));
                prop_assert_eq!(given & bit != 0, unused || open);
            }
        }
    }
}
