// SPDX-License-Identifier: GPL-2.0-only
//! Whoever is given control values, a group or the devices, as the parser sees them; and programming what it has staged.

use core::cmp::Reverse;

use resctrl_types::arch::{self, Change, Trust};
use resctrl_types::platform::Mutex;
use resctrl_types::resource::Control;
use resctrl_types::{Arch, Closid, CpusHeld, DomainCpus, DomainId, KBox, KVec, Platform, ResourceId};

use super::overlap::{self, Overlap};
use super::parse::{self, Staged};
use crate::data::domain::CtrlDomain;
use crate::data::group::{CtrlGroup, Mode};
use crate::data::state::{Resctrl, State};
use crate::nodes::SchemaId;
use crate::status::{Done, Status};

/// The control domains of every resource.
type Domains<A> = [KVec<KBox<CtrlDomain<<A as arch::Domains>::CtrlDomain>>>; ResourceId::ALL.len()];

/// Programs staged values, which somebody has written, in the order of the schemas and domains, code and data of one
/// domain together.
///
/// # Errors
/// The architecture's; what came earlier is programmed.
pub(super) fn apply<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    cpus: CpusHeld<'_>,
    state: &mut State<A, P>,
    closid: Closid,
    staged: &mut [Staged],
) -> Done {
    // Schemas are listed against the order of the resources' numbers.
    staged.sort_unstable_by_key(|change| (Reverse(change.schema.resource), change.domain));
    let place = |change: &Staged| (change.schema.resource, change.domain);
    for of_domain in staged.chunk_by(|one, next| place(one) == place(next)) {
        let [first, ..] = of_domain else { continue };
        let change = |staged: &Staged| Change { closid, conf_type: staged.schema.conf_type, value: staged.value };
        // A domain has at most two values of a group, code and data.
        let changes = [first, of_domain.last().unwrap_or(first)].map(change);
        let resource = first.schema.resource;
        let Some(domain) = state.ctrl_domains[resource.index()].get_mut(first.domain) else { continue };
        let CtrlDomain { id, arch, cpus: mask, .. } = &mut **domain;
        let cpus = DomainCpus::new(cpus, mask);
        fs.arch
            .apply(&fs.platform, cpus, resource, arch, &changes[..of_domain.len().min(2)], Trust::Registers)
            .map_err(|errno| state.status.failed(errno, format_args!("program {}:{id}", first.schema.name())))?;
    }
    Ok(())
}

/// A group, or the devices, as the parser sees them.
pub(super) struct Live<'a, A: Arch<P>, P: Platform> {
    fs: &'a Resctrl<A, P>,
    schemas: &'a [SchemaId],
    mba_sc: bool,
    groups: &'a [KBox<CtrlGroup>],
    domains: &'a mut Domains<A>,
    closid: Closid,
    mode: Mode,
}

impl<'a, A: Arch<P>, P: Platform> Live<'a, A, P> {
    /// Whoever has this CLOSID, as a group of this mode.
    ///
    /// # Errors
    /// `ENOENT` when the file system is not mounted.
    pub(super) fn new(
        fs: &'a Resctrl<A, P>,
        state: &'a mut State<A, P>,
        closid: Closid,
        mode: Mode,
    ) -> Done<(Self, &'a mut Status)> {
        let Some(mount) = &state.mount else { return Err(state.status.unmounted()) };
        let (schemas, mba_sc) = (&mount.schemas, mount.mba_sc);
        let live = Live { fs, schemas, mba_sc, groups: &state.groups, domains: &mut state.ctrl_domains, closid, mode };
        Ok((live, &mut state.status))
    }
}

impl<A: Arch<P>, P: Platform> parse::Group for Live<'_, A, P> {
    fn mode(&self) -> Mode {
        self.mode
    }

    fn schema(&self, name: &[u8]) -> Option<(SchemaId, Control)> {
        let schema = self.schemas.iter().copied().find(|schema| schema.name().as_bytes() == name)?;
        self.fs.arch.control(schema.resource).map(|control| (schema, control))
    }

    fn domain(&self, schema: SchemaId, id: u64) -> Option<(usize, DomainId)> {
        let id = DomainId(u32::try_from(id).ok()?);
        let place = self.domains[schema.resource.index()].binary_search_by_key(&id, |domain| domain.id).ok()?;
        Some((place, id))
    }

    fn domain_at(&self, schema: SchemaId, place: usize) -> Option<DomainId> {
        self.domains[schema.resource.index()].get(place).map(|domain| domain.id)
    }

    fn overlap(&self, schema: SchemaId, domain: usize, mask: u32) -> Overlap {
        let domain = &self.domains[schema.resource.index()][domain];
        overlap::of_mask(self.fs, self.groups, schema, &domain.arch, self.closid, mask)
    }

    fn locked_bits(&self, schema: SchemaId, domain: usize) -> u32 {
        let id = self.domains[schema.resource.index()][domain].id;
        self.fs.regions.lock().locked_bits(schema.resource, id)
    }

    fn beside_region(&self, schema: SchemaId, domain: usize) -> bool {
        self.fs.regions.lock().any_beside(&self.domains[schema.resource.index()][domain].cpus)
    }

    fn share_cpus(&self, one: (SchemaId, usize), other: (SchemaId, usize)) -> bool {
        let [one, other] = [one, other].map(|(schema, domain)| &self.domains[schema.resource.index()][domain].cpus);
        one.intersects(other)
    }

    fn has_targets(&self, schema: SchemaId) -> bool {
        self.mba_sc && schema.resource == ResourceId::Mb
    }

    fn set_target(&mut self, schema: SchemaId, domain: usize, mbps: u32) {
        let closid = self.closid;
        let domain = self.domains[schema.resource.index()].get_mut(domain);
        if let Some(target) = domain.and_then(|domain| domain.mbps.get_mut(closid.index())) {
            *target = mbps;
        }
    }
}
