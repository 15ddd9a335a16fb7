// SPDX-License-Identifier: GPL-2.0-only
//! Whether what the rdtgroup mutex protects is consistent: the rules that no file shows. For tests, between commands.

use core::fmt;

use resctrl_types::locked::Key;
use resctrl_types::platform::{Mutex, WorkKind};
use resctrl_types::{Arch, DomainId, Platform, Ref, ResourceId, RmidIndex};

use crate::ctrlmondata::schema;
use crate::data::counters::Owner;
use crate::data::domain::{MBPS_UNLIMITED, Target};
use crate::data::group::Mode;
use crate::data::regions::Slot;
use crate::data::rmid::{Entry, RmidTable};
use crate::data::state::Resctrl;
use crate::data::state::{Locked, State};
use crate::text::TextOut;

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// Prints a line for each rule that does not hold: that every CLOSID that is taken has one holder, that every RMID
    /// index is in one state only and each domain agrees about it, that domains are in order and have CPUs, that workers
    /// which somebody needs are under way and are where their domain is, that no bandwidth target outlives the controller,
    /// that counters are given to groups that live, once, and that pseudo-locked regions have one group each.
    ///
    /// # Errors
    /// When `out` is full.
    pub fn audit(this: &Ref<Self>, out: &mut dyn TextOut) -> fmt::Result {
        let locked = this.locked.lock();
        let Locked { key, state } = &*locked;
        for domains in &state.ctrl_domains {
            in_order(domains.iter().map(|domain| (domain.id, domain.cpus.is_empty())), out)?;
        }
        in_order(state.mon_domains.iter().map(|domain| (domain.id, domain.peek(key).cpus.is_empty())), out)?;
        in_order(state.packages.iter().map(|package| (package.id, package.cpus.is_empty())), out)?;
        closids(this, state, out)?;
        rmids(&this.arch, key, state, out)?;
        workers(this, key, state, out)?;
        counters(this, key, state, out)?;
        pseudo_locks(this, state, out)?;
        if !state.mba_sc() {
            for domain in state.ctrl_domains.iter().flat_map(|domains| domains.iter()) {
                if domain.mbps.iter().any(|&target| target != MBPS_UNLIMITED) {
                    writeln!(out, "domain {} has a bandwidth target without the controller", domain.id)?;
                }
            }
        }
        Ok(())
    }
}

/// A pseudo-locked group has a region, which is no other's; each region has a
/// group or somebody who has its device open; and nobody may fill what is locked.
fn pseudo_locks<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    state: &State<A, P>,
    out: &mut dyn TextOut,
) -> fmt::Result {
    let regions = fs.regions.lock();
    for group in &state.groups {
        if let Mode::PseudoLocked(region) = group.mode
            && !regions.of(region).is_some_and(Slot::has_group)
        {
            writeln!(out, "{:?} has lost its {region:?}", group.id)?;
        }
    }
    for (minor, slot) in regions.iter() {
        let groups = state.groups.iter().filter(|group| group.mode == Mode::PseudoLocked(slot.id)).count();
        if groups != usize::from(slot.has_group()) || (groups == 0 && slot.users == 0) {
            writeln!(out, "{minor:?}: {groups} groups, open {} times", slot.users)?;
        }
        let Some(part) = slot.part.filter(|_| slot.has_group()) else { continue };
        let domains = &state.ctrl_domains[part.schema.resource.index()];
        let Some(domain) = domains.iter().find(|domain| domain.id == part.domain && domain.cpus == slot.cpus) else {
            writeln!(out, "{minor:?} is in a domain that is not there, or not on its CPUs")?;
            continue;
        };
        for group in state.groups.iter().filter(|group| group.mode.sharing().is_some()) {
            let mask = fs.arch.control_value(part.schema.resource, &domain.arch, group.closid, part.schema.conf_type);
            if mask & part.cbm != 0 {
                writeln!(out, "{:?} may fill what is locked by {minor:?}", group.id)?;
            }
        }
    }
    Ok(())
}

/// Domains are listed in strictly ascending order, and none without CPUs.
fn in_order(domains: impl Iterator<Item = (DomainId, bool)>, out: &mut dyn TextOut) -> fmt::Result {
    let mut last = None;
    for (id, empty) in domains {
        if empty {
            writeln!(out, "domain {id} has no CPUs")?;
        }
        if last.is_some_and(|last| last >= id) {
            writeln!(out, "domain {id} is out of order")?;
        }
        last = Some(id);
    }
    Ok(())
}

/// A CLOSID is taken exactly when a group or the devices have it, and only one of them has.
fn closids<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, state: &State<A, P>, out: &mut dyn TextOut) -> fmt::Result {
    let devices = || ResourceId::ALL.into_iter().filter_map(|resource| schema::devices(fs, resource));
    let Some(mount) = &state.mount else {
        return devices().try_for_each(|closid| writeln!(out, "devices have CLOSID {closid}, unmounted"));
    };
    let holders = |closid| {
        let groups = state.groups.iter().filter(|group| group.owns_closid() && group.closid == closid).count();
        groups + devices().filter(|&of_devices| of_devices == closid).count()
    };
    for closid in mount.closids.taken() {
        let holders = holders(closid);
        if holders != 1 {
            writeln!(out, "CLOSID {closid} is taken, and has {holders} holders")?;
        }
    }
    for closid in mount.closids.free() {
        if holders(closid) > 0 {
            writeln!(out, "CLOSID {closid} is free, and somebody has it")?;
        }
    }
    Ok(())
}

/// An index is in use exactly when a group has it, on the free list exactly when it is free, and in limbo in as many
/// domains as it is busy in.
fn rmids<A: Arch<P>, P: Platform>(arch: &A, key: &Key, state: &State<A, P>, out: &mut dyn TextOut) -> fmt::Result {
    let Some(table) = &state.rmids else { return Ok(()) };
    let RmidTable { entries, free, limbo, .. } = table;
    let mut in_limbo = 0;
    for (index, entry) in (0..).map(RmidIndex).zip(entries.iter()) {
        let groups = state.every_monitored().filter(|who| arch.rmid_index(who.id) == index).count();
        let listed = free.iter().filter(|&&free| free == index).count();
        let busy = state.mon_domains.iter().filter(|domain| domain.peek(key).busy.contains(index)).count();
        in_limbo += u32::from(busy > 0);
        let expected = match *entry {
            Entry::Free => (0, 1, 0),
            Entry::InUse => (1, 0, 0),
            Entry::Limbo(domains) => (0, 0, domains as usize),
        };
        if (groups, listed, busy) != expected {
            writeln!(
                out,
                "RMID index {index}: {entry:?}, {groups} groups, {listed} times free, busy in {busy} domains"
            )?;
        }
    }
    if in_limbo != *limbo {
        writeln!(out, "{in_limbo} RMID indexes are busy somewhere, {limbo} are counted")?;
    }
    Ok(())
}

/// A worker that its domain needs is under way, to a CPU of the domain or to pick one.
fn workers<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    key: &Key,
    state: &State<A, P>,
    out: &mut dyn TextOut,
) -> fmt::Result {
    let counts_traffic = fs.has_mbm() && state.mount.is_some();
    for domain in &state.mon_domains {
        let inner = domain.peek(key);
        if !inner.alive {
            writeln!(out, "domain {} is listed, and dead", domain.id)?;
        }
        let overflow = (WorkKind::Overflow, inner.overflow, counts_traffic);
        for (kind, target, needed) in [overflow, (WorkKind::Limbo, inner.limbo, !inner.busy.is_empty())] {
            match target {
                Target::Idle if needed => writeln!(out, "the {kind:?} worker of domain {} is missing", domain.id)?,
                Target::On(cpu) if !inner.cpus.contains(cpu) => {
                    writeln!(out, "the {kind:?} worker of domain {} is bound for CPU {cpu}", domain.id)?;
                }
                Target::Idle | Target::On(_) | Target::Nowhere => (),
            }
        }
    }
    Ok(())
}

/// A counter is given to a group that lives, for an event that there is, and no other counter of its domain is given for
/// the same; none is given while counters are not assigned.
fn counters<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    key: &Key,
    state: &State<A, P>,
    out: &mut dyn TextOut,
) -> fmt::Result {
    for domain in &state.mon_domains {
        let table = &domain.peek(key).counters;
        for owner in table.owners() {
            let Owner { group, event } = owner;
            let known = state.find_group(group).is_some() && fs.has_event(event) && fs.arch.counters_assigned();
            if !known || table.owners().filter(|&other| other == owner).count() > 1 {
                writeln!(out, "domain {}: a counter of {group:?} for {}", domain.id, event.name())?;
            }
        }
    }
    Ok(())
}
