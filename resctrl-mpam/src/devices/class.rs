// SPDX-License-Identifier: GPL-2.0-only
//! Classes, components and virtual MSCs: what resource instances make up together.
//!
//! ```text
//! class       all caches of a level, all memory
//!   component   one of them: a cache, the memory of a node
//!     reach         what of it is reached from the same CPUs
//!       virtual MSC   what of it one MSC controls
//!         RIS           in parts
//! ```

use resctrl_types::{CpuMask, Errno, KVec, Ref, Result};

use super::config::Configs;
use super::msc::{ClassKind, MscDevice};
use super::pool::MonitorPool;
use super::{BandwidthEffect, Feature, Ids, Props, Quirks};
use crate::Msc;

/// Part of a component that one MSC controls.
#[derive(Debug)]
pub struct Vmsc {
    /// The MSC's place in [`super::Devices::mscs`].
    pub msc: usize,
    /// What its resource instances can do together.
    pub props: Props,
    /// The instances' places in [`MscDevice::ris`].
    pub ris: KVec<usize>,
}

/// Parts of a component that are reached from the same CPUs: who has crossed for one of them has crossed for all.
#[derive(Debug)]
pub struct Reach {
    /// From where. Never empty.
    pub cpus: CpuMask,
    /// The parts. Never empty.
    pub vmscs: KVec<Vmsc>,
}

/// One cache, or the memory of one node.
///
/// Shared by the driver's list and by whatever resctrl makes of it: the control and the monitor half of a domain each
/// hold a reference, and whoever is last frees it.
#[derive(Debug)]
pub struct Component {
    /// Cache id or node number.
    pub id: u32,
    /// The CPUs it belongs to, online or not.
    pub cpus: CpuMask,
    /// Its parts.
    pub reaches: KVec<Reach>,
    /// What it is programmed with.
    pub configs: Configs,
}

impl Component {
    /// All its parts, wherever they are reached from.
    pub fn vmscs(&self) -> impl Iterator<Item = &Vmsc> {
        self.reaches.iter().flat_map(|reach| reach.vmscs.iter())
    }
}

/// Everything of one kind.
#[derive(Debug)]
pub struct Class {
    /// Which kind.
    pub kind: ClassKind,
    /// What every component can do.
    pub props: Props,
    /// What some component does wrong.
    pub quirks: Quirks,
    /// Microseconds after which every monitor is ready.
    pub not_ready_us: u32,
    /// CPUs of all components.
    pub cpus: CpuMask,
    /// The components, ascending by id.
    pub components: KVec<Ref<Component>>,
    /// Usage monitors, which have the same number in every component.
    pub csu: Ref<MonitorPool>,
}

impl Class {
    /// The order of nearness to the processor: the cache level, memory last.
    #[must_use]
    pub const fn level(&self) -> u8 {
        match self.kind {
            ClassKind::Cache(level) => level,
            ClassKind::Memory | ClassKind::Unknown => u8::MAX,
        }
    }
}

/// A class in the making.
struct Draft {
    kind: ClassKind,
    components: KVec<(u32, KVec<Vmsc>)>,
}

/// Builds the classes of these MSCs, which have been probed. Instances of unknown kind are in none.
///
/// # Errors
/// `ENOMEM`, and what `affinity` says.
// Its locals are off the stack again when it returns: a thread of the kernel has 16 kB of it.
#[inline(never)]
pub(crate) fn build<M: Msc>(
    mscs: &[MscDevice<M>],
    ids: Ids,
    nr_cpu_ids: u32,
    affinity: &dyn Fn(ClassKind, u32) -> Result<CpuMask>,
) -> Result<KVec<Class>> {
    let mut drafts: KVec<Draft> = KVec::new();
    for (place, msc) in mscs.iter().enumerate() {
        for (at, ris) in msc.ris.iter().enumerate() {
            if ris.class != ClassKind::Unknown {
                add(&mut drafts, place, at, ris.class, ris.component, &ris.props)?;
            }
        }
    }
    let mut classes = KVec::with_capacity(drafts.len())?;
    for draft in drafts {
        classes.push(finish(draft, mscs, ids, nr_cpu_ids, affinity)?)?;
    }
    Ok(classes)
}

fn add(drafts: &mut KVec<Draft>, msc: usize, ris: usize, kind: ClassKind, component: u32, props: &Props) -> Result<()> {
    let draft = match drafts.iter().position(|draft| draft.kind == kind) {
        Some(place) => drafts.get_mut(place),
        None => {
            drafts.push(Draft { kind, components: KVec::new() })?;
            drafts.last_mut()
        }
    };
    let components = &mut draft.ok_or(Errno::EINVAL)?.components;
    let place = match components.binary_search_by_key(&component, |known| known.0) {
        Ok(place) => place,
        Err(place) => {
            components.insert(place, (component, KVec::new()))?;
            place
        }
    };
    let (_, vmscs) = components.get_mut(place).ok_or(Errno::EINVAL)?;
    match vmscs.iter_mut().find(|vmsc| vmsc.msc == msc) {
        Some(vmsc) => {
            vmsc.props = vmsc.props.with_alias(props);
            vmsc.ris.push(ris)
        }
        None => vmscs.push(Vmsc { msc, props: *props, ris: KVec::from_slice(&[ris])? }),
    }
}

/// Puts together what is reached from the same CPUs.
fn by_reach<M: Msc>(vmscs: KVec<Vmsc>, mscs: &[MscDevice<M>]) -> Result<KVec<Reach>> {
    let mut reaches: KVec<Reach> = KVec::new();
    for vmsc in vmscs {
        let cpus = &mscs.get(vmsc.msc).ok_or(Errno::EINVAL)?.cpus;
        match reaches.iter_mut().find(|reach| reach.cpus == *cpus) {
            Some(reach) => reach.vmscs.push(vmsc)?,
            None => {
                let cpus = cpus.try_clone()?;
                let mut vmscs = KVec::new();
                vmscs.push(vmsc)?;
                reaches.push(Reach { cpus, vmscs })?;
            }
        }
    }
    Ok(reaches)
}

fn finish<M: Msc>(
    draft: Draft,
    mscs: &[MscDevice<M>],
    ids: Ids,
    nr_cpu_ids: u32,
    affinity: &dyn Fn(ClassKind, u32) -> Result<CpuMask>,
) -> Result<Class> {
    let mut props: Option<Props> = None;
    let mut quirks = Quirks::default();
    let mut not_ready_us = 0;
    let every_vmsc = || draft.components.iter().flat_map(|component| component.1.iter());
    for vmsc in every_vmsc() {
        let msc = mscs.get(vmsc.msc).ok_or(Errno::EINVAL)?;
        props = Some(props.map_or(vmsc.props, |props| props.with_different(&vmsc.props)));
        quirks = quirks.or(msc.quirks);
        not_ready_us = not_ready_us.max(msc.not_ready_us);
    }
    let mut props = props.unwrap_or_default();
    if quirks.mbw_min_follows_max {
        props.drop_feature(Feature::MbwMin);
    }
    if quirks.bandwidth_effect == BandwidthEffect::Never {
        props.drop_feature(Feature::MbwMin);
        props.drop_feature(Feature::MbwMax);
    }
    let mut cpus = CpuMask::new(nr_cpu_ids)?;
    let mut components = KVec::with_capacity(draft.components.len())?;
    for (id, vmscs) in draft.components {
        let own = affinity(draft.kind, id)?;
        let reaches = by_reach(vmscs, mscs)?;
        let mut reachable = CpuMask::new(nr_cpu_ids)?;
        reaches.iter().for_each(|reach| reachable.union_with(&reach.cpus));
        reachable.intersect_with(&own);
        cpus.union_with(&reachable);
        let configs = Configs::new(ids.partid_max, &props)?;
        components.push(Ref::new(Component { id, cpus: reachable, reaches, configs })?)?;
    }
    Ok(Class {
        kind: draft.kind,
        props,
        quirks,
        not_ready_us,
        cpus,
        components,
        csu: MonitorPool::new(if props.has(Feature::Csu) { props.num_csu_mon } else { 0 })?,
    })
}
