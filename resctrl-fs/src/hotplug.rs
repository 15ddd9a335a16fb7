// SPDX-License-Identifier: GPL-2.0-only
//! CPUs that join their domains and leave them, and the domains that come and go with them. Nothing of it waits for a
//! worker, ever: see [`crate::monitor::worker`].

use resctrl_types::cache::CacheLevel;
use resctrl_types::locked::{Key, LockedBy};
use resctrl_types::platform::{Mutex, WorkKind};
use resctrl_types::resource::Scope;
use resctrl_types::{
    Arch, CpuId, CpuMask, DomainId, Errno, EventId, HotplugCpu, KBox, KVec, Platform, Ref, ResourceId, Result,
};

use crate::data::counters::CounterTable;
use crate::data::domain::{Bandwidth, BusyMap, CtrlDomain, MBPS_UNLIMITED, MonState, PackageDomain, Target};
use crate::data::group::Monitored;
use crate::data::state::MonDomain;
use crate::data::state::Resctrl;
use crate::data::state::{Locked, State};
use crate::monitor::{limbo, mon_data, read, worker};
use crate::nodes::GroupId;
use crate::tree::NodeId;

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// The id of the domain in which `cpu` shares a resource of this scope.
    fn domain_id(&self, cpu: CpuId, scope: Scope) -> Option<DomainId> {
        let id = match scope {
            Scope::L2Cache => self.platform.cache(cpu, CacheLevel::L2)?.id,
            Scope::L3Cache => self.platform.cache(cpu, CacheLevel::L3)?.id,
            Scope::Node => self.platform.node(cpu)?,
            Scope::Package => self.platform.package(cpu)?,
        };
        Some(DomainId(id))
    }

    /// The size of the cache that `cpu` shares in a domain of this scope, in bytes: 0 where there is none or the kernel does not
    /// know it.
    fn cache_size(&self, cpu: CpuId, scope: Scope) -> u32 {
        let level = match scope {
            Scope::L2Cache => CacheLevel::L2,
            Scope::L3Cache => CacheLevel::L3,
            Scope::Node | Scope::Package => return 0,
        };
        self.platform.cache(cpu, level).map_or(0, |cache| cache.size)
    }
}

/// Makes or extends the domains of a CPU that has come.
pub(crate) fn join<A: Arch<P>, P: Platform>(fs: &Ref<Resctrl<A, P>>, locked: &mut Locked<A, P>, cpu: HotplugCpu<'_>) {
    let Locked { key, state } = locked;
    for resource in ResourceId::ALL {
        // A half of a domain for which there is no memory stays out.
        let _ = join_ctrl(fs, state, cpu, resource);
    }
    let _ = join_mon(fs, key, state, cpu);
    let _ = join_package(fs, state, cpu.cpu());
}

/// Takes a CPU out of its group and its domains. Gives the reference to a monitor domain that goes with it.
pub(crate) fn leave<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    locked: &mut Locked<A, P>,
    cpu: CpuId,
) -> Option<Ref<MonDomain<A, P>>> {
    let Locked { key, state } = locked;
    leave_groups(state, cpu);
    for resource in ResourceId::ALL {
        leave_ctrl(state, cpu, resource);
    }
    fs.regions.lock().leave(cpu);
    let gone = leave_mon(fs, key, state, cpu);
    leave_package(fs, state, cpu);
    gone
}

fn leave_groups<A: Arch<P>, P: Platform>(state: &mut State<A, P>, cpu: CpuId) {
    for group in &mut state.groups {
        group.cpus.clear(cpu);
        for child in &mut group.children {
            child.cpus.clear(cpu);
        }
    }
}

fn join_ctrl<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    state: &mut State<A, P>,
    cpu: HotplugCpu<'_>,
    resource: ResourceId,
) -> Result<()> {
    let Some(control) = fs.controls[resource.index()] else { return Ok(()) };
    let Some(id) = fs.domain_id(cpu.cpu(), control.scope) else { return Ok(()) };
    let domains = &mut state.ctrl_domains[resource.index()];
    match domains.binary_search_by_key(&id, |domain| domain.id) {
        Ok(at) => {
            let domain = &mut *domains[at];
            domain.cpus.set(cpu.cpu())?;
            fs.regions.lock().join(resource, id, cpu.cpu());
            fs.arch.ctrl_domain_join(cpu, resource, &mut domain.arch);
        }
        Err(at) => {
            let mut cpus = CpuMask::new(fs.platform.nr_cpu_ids())?;
            cpus.set(cpu.cpu())?;
            let targets = if resource == ResourceId::Mb { control.num_closid } else { 0 };
            let mbps = KVec::from_fn(targets as usize, |_| MBPS_UNLIMITED)?;
            let arch = fs.arch.ctrl_domain_online(cpu, resource, id)?;
            let cache_size = fs.cache_size(cpu.cpu(), control.scope);
            domains.insert(at, KBox::new(CtrlDomain { id, cpus, arch, cache_size, mbps })?)?;
        }
    }
    Ok(())
}

fn leave_ctrl<A: Arch<P>, P: Platform>(state: &mut State<A, P>, cpu: CpuId, resource: ResourceId) {
    let domains = &mut state.ctrl_domains[resource.index()];
    for domain in domains.iter_mut() {
        domain.cpus.clear(cpu);
    }
    domains.retain(|domain| !domain.cpus.is_empty());
}

fn join_mon<A: Arch<P>, P: Platform>(
    fs: &Ref<Resctrl<A, P>>,
    key: &mut Key,
    state: &mut State<A, P>,
    cpu: HotplugCpu<'_>,
) -> Result<()> {
    let Some(monitor) = fs.arch.monitor(ResourceId::L3) else { return Ok(()) };
    let Some(id) = fs.domain_id(cpu.cpu(), monitor.scope) else { return Ok(()) };
    match state.mon_domains.binary_search_by_key(&id, |domain| domain.id) {
        Ok(at) => state.mon_domains[at].open(key).cpus.set(cpu.cpu()),
        Err(at) => {
            let part_of = match monitor.scope {
                Scope::Node => Some(fs.domain_id(cpu.cpu(), Scope::L3Cache).ok_or(Errno::ENOENT)?),
                _ => None,
            };
            let domain = new_mon_domain(fs, key, cpu, id, part_of)?;
            state.mon_domains.insert(at, domain.clone())?;
            state.stats.domains_created += 1;
            if state.mount.is_some() {
                show_domain(fs, key, state, cpu, &domain);
                if fs.has_mbm() {
                    worker::arm(key, &domain, WorkKind::Overflow, worker::PERIOD_MS);
                }
            }
            Ok(())
        }
    }
}

fn new_mon_domain<A: Arch<P>, P: Platform>(
    fs: &Ref<Resctrl<A, P>>,
    key: &Key,
    cpu: HotplugCpu<'_>,
    id: DomainId,
    part_of: Option<DomainId>,
) -> Result<Ref<MonDomain<A, P>>> {
    let indexes = fs.arch.num_rmid_index();
    let mut cpus = CpuMask::new(fs.platform.nr_cpu_ids())?;
    cpus.set(cpu.cpu())?;
    let busy = if fs.has_event(EventId::LlcOccupancy) { BusyMap::new(indexes)? } else { BusyMap::default() };
    let mut bandwidth = [KVec::new(), KVec::new()];
    for (event, memory) in EventId::MBM.into_iter().zip(&mut bandwidth) {
        if fs.has_event(event) {
            *memory = KVec::from_fn(indexes as usize, |_| Bandwidth::default())?;
        }
    }
    let counters = CounterTable::new(fs.counters)?;
    let arch = fs.arch.mon_domain_online(cpu, ResourceId::L3, id)?;
    let (overflow, limbo) = (Target::Idle, Target::Idle);
    let state = MonState { alive: true, cpus, arch, overflow, limbo, busy, bandwidth, counters };
    Ref::new(MonDomain {
        id,
        part_of,
        fs: fs.clone(),
        overflow: fs.platform.work()?,
        limbo: fs.platform.work()?,
        inner: LockedBy::new(key, state),
    })
}

/// A domain has come while mounted: every group gets its directory and counts from 0 there, or, where counters are
/// assigned, not at all until it is given one.
fn show_domain<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    key: &mut Key,
    state: &State<A, P>,
    cpu: HotplugCpu<'_>,
    domain: &MonDomain<A, P>,
) {
    for (group, mon_data) in mon_data_dirs(state) {
        // A group without the directory, for want of memory, is better than a CPU that does not come online.
        let _ = mon_data::add_domain(fs, group, mon_data, domain);
    }
    let ids = || state.every_monitored().map(|Monitored { id, .. }| id);
    // On the CPU that comes, and so without a call that could fail.
    let _ = read::rebase(fs, domain.open(key), cpu.cpus().into(), Some(cpu.here()), ids);
}

/// `mon_data` of every group.
fn mon_data_dirs<A: Arch<P>, P: Platform>(state: &State<A, P>) -> impl Iterator<Item = (GroupId, NodeId)> + '_ {
    state.groups.iter().flat_map(|group| {
        let children = group.children.iter().map(|child| (child.id, child.mon_data));
        core::iter::once((group.id, group.mon_data)).chain(children).filter_map(|(id, dir)| dir.map(|dir| (id, dir)))
    })
}

/// Takes `cpu` into the domain of its package, if packages are monitored.
pub(crate) fn join_package<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    state: &mut State<A, P>,
    cpu: CpuId,
) -> Result<()> {
    let Some(monitor) = fs.arch.monitor(ResourceId::PerfPkg) else { return Ok(()) };
    let Some(id) = fs.domain_id(cpu, monitor.scope) else { return Ok(()) };
    match state.packages.binary_search_by_key(&id, |package| package.id) {
        Ok(at) => state.packages[at].cpus.set(cpu),
        Err(at) => {
            let mut cpus = CpuMask::new(fs.platform.nr_cpu_ids())?;
            cpus.set(cpu)?;
            state.packages.insert(at, PackageDomain { id, cpus })?;
            if state.mount.is_some() {
                for (group, mon_data) in mon_data_dirs(state) {
                    // As for the L3.
                    let _ = mon_data::add_package(fs, group, mon_data, id);
                }
            }
            Ok(())
        }
    }
}

/// Takes `cpu` out of the domain of its package, which goes with its last CPU.
fn leave_package<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, state: &mut State<A, P>, cpu: CpuId) {
    let Some(at) = state.packages.iter().position(|package| package.cpus.contains(cpu)) else { return };
    state.packages[at].cpus.clear(cpu);
    if !state.packages[at].cpus.is_empty() {
        return;
    }
    let package = state.packages.remove(at);
    if state.mount.is_some() {
        mon_data::remove_package(fs, mon_data_dirs(state).map(|(_, dir)| dir), package.id);
    }
}

/// Takes `cpu` out of its monitor domain. With its last CPU the domain goes off the list: its reference is returned.
fn leave_mon<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    key: &mut Key,
    state: &mut State<A, P>,
    cpu: CpuId,
) -> Option<Ref<MonDomain<A, P>>> {
    let at = state.mon_domains.iter().position(|domain| domain.peek(key).cpus.contains(cpu))?;
    let inner = state.mon_domains[at].open(key);
    inner.cpus.clear(cpu);
    worker::forget_cpu(inner, cpu);
    if !inner.cpus.is_empty() {
        return None;
    }
    let domain = state.mon_domains.remove(at);
    state.stats.domains_destroyed += 1;
    if state.mount.is_some() {
        mon_data::remove_domain(fs, mon_data_dirs(state).map(|(_, dir)| dir), &domain);
    }
    let inner = domain.open(key);
    limbo::force_clean(&fs.arch, state, inner);
    inner.alive = false;
    Some(domain)
}
