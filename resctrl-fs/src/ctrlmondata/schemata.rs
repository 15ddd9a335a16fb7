// SPDX-License-Identifier: GPL-2.0-only
//! The files `schemata` and `size`.

use core::cmp::Reverse;

use resctrl_types::arch::Change;
use resctrl_types::platform::{CacheLevel, Mutex};
use resctrl_types::pseudo_lock::LockMemory;
use resctrl_types::resource::{Control, ControlKind, Scope};
use resctrl_types::{Arch, Closid, CpusHeld, DomainId, Errno, KBox, KVec, Platform, ResourceId, Result};

use super::overlap::{self, Overlap};
use super::parse::{self, Staged};
use super::schema;
use crate::domain::CtrlDomain;
use crate::nodes::SchemaId;
use crate::ops::Shown;
use crate::pseudo_lock::regions::{Part, RegionId};
use crate::state::{CtrlGroup, Mode, State};
use crate::status::Status;
use crate::text::{TextOut, strip_newline};
use crate::tree::NodeId;
use crate::{Op, Resctrl, pseudo_lock};

/// The control domains of every resource.
type Domains<A, P> = [KVec<KBox<CtrlDomain<<A as Arch<P>>::CtrlDomain>>>; ResourceId::ALL.len()];

/// What is printed of a control value.
#[derive(Clone, Copy)]
enum Unit {
    /// The value as it is written.
    Value,
    /// The bytes that a mask stands for.
    Size,
    /// Nothing, as yet.
    Nothing,
}

/// Prints what the group has of each schema.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, out: &mut dyn TextOut) -> Shown {
    match op.state().groups[ctrl].mode {
        Mode::Using(_) => show_lines(op, ctrl, Unit::Value, out),
        Mode::PseudoLocksetup => {
            for schema in &op.state().mount()?.schemas {
                writeln!(out, "{}:uninitialized", schema.name())?;
            }
            Ok(())
        }
        Mode::PseudoLocked(region) => {
            let (Part { schema, domain, cbm }, _) = locked_part(op, region)?;
            Ok(writeln!(out, "{}:{domain}={cbm:x}", schema.resource.name())?)
        }
    }
}

/// Prints the same in bytes.
pub(crate) fn show_size<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, out: &mut dyn TextOut) -> Shown {
    match op.state().groups[ctrl].mode {
        Mode::Using(_) => show_lines(op, ctrl, Unit::Size, out),
        Mode::PseudoLocksetup => show_lines(op, ctrl, Unit::Nothing, out),
        Mode::PseudoLocked(region) => {
            let (Part { schema, domain, .. }, size) = locked_part(op, region)?;
            let width = op.state().column_width;
            Ok(writeln!(out, "{:>width$}:{domain}={size}", schema.name())?)
        }
    }
}

/// Where the region of a pseudo-locked group is, and how many bytes it has.
///
/// # Errors
/// `ENODEV`, and the status says so, when its domain went offline.
fn locked_part<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, region: RegionId) -> Result<(Part, u32)> {
    let fs = op.fs;
    let regions = fs.regions.lock();
    let found = regions.of(region).and_then(|slot| slot.part.map(|part| (part, slot.region.memory.size())));
    found.ok_or_else(|| pseudo_lock::offline(&mut op.state().status))
}

fn show_lines<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, unit: Unit, out: &mut dyn TextOut) -> Shown {
    let fs = op.fs;
    let state = op.state();
    let closid = state.groups[ctrl].closid;
    for &schema in &state.mount()?.schemas {
        let Some(control) = fs.arch.control(schema.resource) else { continue };
        if closid.0 >= schema::num_closid(fs, schema) {
            continue;
        }
        write!(out, "{:>width$}:", schema.name(), width = state.column_width)?;
        let targets = schema.resource == ResourceId::Mb && state.mba_sc();
        let mut separator = "";
        for domain in &state.ctrl_domains[schema.resource.index()] {
            let value = if targets {
                domain.target(closid)
            } else {
                fs.arch.control_value(schema.resource, &domain.arch, closid, schema.conf_type)
            };
            let id = domain.id;
            match (control.kind, unit) {
                (_, Unit::Nothing) => write!(out, "{separator}{id}=0")?,
                (ControlKind::Cache(_), Unit::Value) => write!(out, "{separator}{id}={value:x}")?,
                (ControlKind::Bandwidth(_), _) => write!(out, "{separator}{id}={value}")?,
                (ControlKind::Cache(_), Unit::Size) => {
                    write!(out, "{separator}{id}={}", mask_size(&fs.platform, &control, domain, value))?;
                }
            }
            separator = ";";
        }
        out.write_str("\n")?;
    }
    Ok(())
}

/// The bytes that a mask of a domain stands for.
pub(crate) fn mask_size<P: Platform, D>(platform: &P, control: &Control, domain: &CtrlDomain<D>, mask: u32) -> u32 {
    match control.kind {
        ControlKind::Cache(cache) => {
            let bytes = cache_size(platform, control, domain) / cache.cbm_len.max(1);
            bytes * (mask & cache.full_mask()).count_ones()
        }
        ControlKind::Bandwidth(_) => 0,
    }
}

/// The size of a domain's cache in bytes, 0 where the kernel does not know it.
fn cache_size<P: Platform, D>(platform: &P, control: &Control, domain: &CtrlDomain<D>) -> u32 {
    let level = match control.scope {
        Scope::L2Cache => CacheLevel::L2,
        Scope::L3Cache => CacheLevel::L3,
        Scope::Node | Scope::Package => return 0,
    };
    let cache = domain.cpus.first().and_then(|cpu| platform.cache(cpu, level));
    cache.map_or(0, |cache| cache.size)
}

/// Changes what the group has: all of it or, if there is a mistake in it, nothing. Of a group that sets up a pseudo-locked
/// region this makes the region; if that fails, the masks stay.
pub(crate) fn write<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    ctrl: usize,
    dir: NodeId,
    data: &[u8],
) -> Result<()> {
    let (fs, cpus) = (op.fs, op.cpus);
    let state = op.state();
    let Some(text) = strip_newline(data) else {
        state.status.text("schemata: Invalid input\n");
        return Err(Errno::EINVAL);
    };
    let CtrlGroup { closid, mode, .. } = *state.groups[ctrl];
    if matches!(mode, Mode::PseudoLocked(_)) {
        state.status.text("Resource group is pseudo-locked\n");
        return Err(Errno::EINVAL);
    }
    let (mut group, status) = Live::new(fs, state, closid, mode)?;
    let mut staged = parse::text(&mut group, text).map_err(|mistake| mistake.report(status))?;
    // The last line written is the one that is meant.
    let region = staged.last().copied().filter(|_| mode == Mode::PseudoLocksetup);
    apply(fs, cpus, state, closid, &mut staged)?;
    match region {
        Some(region) => pseudo_lock::create(op, ctrl, dir, region),
        None => Ok(()),
    }
}

/// Programs staged values in the order of the schemas and domains, code and data of one domain together.
///
/// # Errors
/// The architecture's; what came earlier is programmed.
pub(super) fn apply<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    cpus: CpusHeld<'_>,
    state: &mut State<A, P>,
    closid: Closid,
    staged: &mut [Staged],
) -> Result<()> {
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
        let CtrlDomain { arch, cpus: mask, .. } = &mut **domain;
        fs.arch.apply(&fs.platform, cpus, resource, arch, mask, &changes[..of_domain.len().min(2)])?;
    }
    Ok(())
}

/// A group, or the devices, as the parser sees them.
pub(super) struct Live<'a, A: Arch<P>, P: Platform> {
    fs: &'a Resctrl<A, P>,
    schemas: &'a [SchemaId],
    mba_sc: bool,
    groups: &'a [KBox<CtrlGroup>],
    domains: &'a mut Domains<A, P>,
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
    ) -> Result<(Self, &'a mut Status)> {
        let mount = state.mount.as_ref().ok_or(Errno::ENOENT)?;
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
        let usable = self.closid.0 < schema::num_closid(self.fs, schema);
        self.fs.arch.control(schema.resource).filter(|_| usable).map(|control| (schema, control))
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
