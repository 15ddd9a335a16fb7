// SPDX-License-Identifier: GPL-2.0-only
//! Schemas: the controllable resources as users see them, one line of `schemata` each.

use resctrl_types::resource::{Control, ControlKind};
use resctrl_types::{Arch, Closid, ConfType, KVec, Platform, ResourceId, Result};

use crate::data::domain::CtrlDomain;
use crate::data::state::Resctrl;
use crate::nodes::SchemaId;

/// The resources that can be controlled, in the order of every listing.
const ORDER: [ResourceId; 4] = [ResourceId::Smba, ResourceId::Mb, ResourceId::L2, ResourceId::L3];

impl SchemaId {
    /// The name in `schemata` and below `info`.
    pub(crate) const fn name(self) -> &'static str {
        match (self.resource, self.conf_type) {
            (ResourceId::L2, ConfType::Data) => "L2DATA",
            (ResourceId::L2, ConfType::Code) => "L2CODE",
            (ResourceId::L3, ConfType::Data) => "L3DATA",
            (ResourceId::L3, ConfType::Code) => "L3CODE",
            (resource, _) => resource.name(),
        }
    }
}

/// The schemas of the machine as CDP is set now: SMBA, MB, L2, L3, data before code.
///
/// # Errors
/// `ENOMEM`.
pub(crate) fn build<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>) -> Result<KVec<SchemaId>> {
    let mut schemas = KVec::with_capacity(2 * ORDER.len())?;
    for resource in ORDER {
        if fs.arch.control(resource).is_none() {
            continue;
        }
        let halves: &[ConfType] =
            if fs.arch.cdp_enabled(resource) { &[ConfType::Data, ConfType::Code] } else { &[ConfType::Both] };
        for &conf_type in halves {
            schemas.push(SchemaId { resource, conf_type })?;
        }
    }
    Ok(schemas)
}

/// How many CLOSIDs can be told apart in this schema: what the hardware has, halved under CDP.
pub(crate) fn num_closid<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, schema: SchemaId) -> u32 {
    let hardware = fs.arch.control(schema.resource).map_or(0, |control| control.num_closid);
    if schema.conf_type == ConfType::Both { hardware } else { hardware / 2 }
}

/// How wide the names in `schemata` and `size` must be. A cache that could be mounted with CDP keeps room for the name
/// it would have then.
pub(crate) fn width<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, schemas: &[SchemaId]) -> usize {
    let room = |schema: &SchemaId| {
        let could_split = schema.conf_type == ConfType::Both
            && fs.arch.control(schema.resource).is_some_and(|control| control.cdp_capable);
        schema.name().len() + if could_split { ConfType::Code.suffix().len() } else { 0 }
    };
    schemas.iter().map(room).max().unwrap_or(0)
}

/// The CLOSID that devices have in a resource where they are given cache.
pub(crate) fn device_closid<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, resource: ResourceId) -> Closid {
    let hardware = fs.arch.control(resource).map_or(0, |control| control.num_closid);
    let usable = if fs.arch.cdp_enabled(resource) { hardware / 2 } else { hardware };
    Closid(usable.saturating_sub(1))
}

/// The CLOSID that devices have now, if they have one.
pub(crate) fn devices<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, resource: ResourceId) -> Option<Closid> {
    (fs.arch.io_alloc(resource) == Some(true)).then(|| device_closid(fs, resource))
}

/// The bytes that a mask of a domain stands for.
pub(crate) fn mask_size<D>(control: &Control, domain: &CtrlDomain<D>, mask: u32) -> u32 {
    match control.kind {
        ControlKind::Cache(cache) => {
            let bytes = domain.cache_size / cache.cbm_len.max(1);
            bytes.saturating_mul((mask & cache.full_mask()).count_ones())
        }
        ControlKind::Bandwidth(_) => 0,
    }
}
