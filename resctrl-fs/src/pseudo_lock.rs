// SPDX-License-Identifier: GPL-2.0-only
//! Pseudo-locking: a group that is given up for memory which stays in a part of the cache.
//!
//! | Step | What happens |
//! |---|---|
//! | `mode` = `pseudo-locksetup` ([`enter`]) | the group has no tasks and no CPUs, may have none from now on, and gives its RMID up |
//! | a line in `schemata` ([`create`]) | memory is read into the part of the cache that the line names, with the group's CLOSID |
//! | mode `pseudo-locked` | the CLOSID is given up as well: nobody fills that part any more. The memory is a device |
//! | `rmdir`, unmounting ([`regions`](crate::data::regions)) | device and directory go; the memory, with the last who has the device open |
//!
//! # Invariants
//! * A group has a CLOSID unless it is pseudo-locked, and an RMID unless it is in one of the two modes
//!   (`CtrlGroup::owns_closid`, `CtrlGroup::monitored`).
//! * A region is in the table of [`regions`](crate::data::regions) only when it is complete, so that what fails on the way leaves nothing behind
//!   at its domain.
//! * Nodes of a region are dropped without a lock: removing the directory waits for measurements, which take them all.

mod create;
mod device;

use resctrl_types::platform::Mutex;
use resctrl_types::{Arch, ConfType, Errno, Platform, ResourceId};

pub(crate) use create::create;
pub use device::MapRequest;

use crate::data::group::{Mode, Place};
use crate::data::state::Op;
use crate::monitor::{counters, limbo, read};
use crate::nodes::{GROUP_FILES, GroupFile, GroupFileSpec, GroupId};
use crate::rdtgroup::tasks;
use crate::status::Done;
use crate::tree::NodeId;

/// The files by which a group is used, which a group that sets up a region is not to be.
const USED_BY: [GroupFile; 3] = [GroupFile::Tasks, GroupFile::Cpus, GroupFile::CpusList];

fn used_by() -> impl Iterator<Item = &'static GroupFileSpec> {
    GROUP_FILES.iter().filter(|row| USED_BY.contains(&row.file))
}

/// Makes a group, whose directory is `dir`, ready to set up a region.
///
/// # Errors
/// `EINVAL` with the reason in the status; nothing changed.
pub(crate) fn enter<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, dir: NodeId) -> Done {
    if let Some(reason) = why_not(op, ctrl) {
        return Err(op.refuse(Errno::EINVAL, reason));
    }
    op.fs.tree.set_modes(dir, used_by().map(|file| (file.name, 0)).chain([("mon_groups", 0)]));
    if let Some(who) = op.state().groups[ctrl].monitored() {
        counters::release(op, who);
        limbo::free_rmid(op, who.id);
    }
    op.state().groups[ctrl].mode = Mode::PseudoLocksetup;
    Ok(())
}

fn why_not<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize) -> Option<&'static str> {
    let fs = op.fs;
    let group = &op.state().groups[ctrl];
    Some(if group.id == GroupId::DEFAULT {
        "Cannot pseudo-lock default group\n"
    } else if [ResourceId::L3, ResourceId::L2].into_iter().any(|cache| fs.arch.cdp_enabled(cache)) {
        "CDP enabled\n"
    } else if !fs.arch.can_pseudo_lock() || fs.platform.pseudo_locking().is_none() {
        "Pseudo-locking not supported\n"
    } else if !group.children.is_empty() {
        "Monitoring in progress\n"
    } else if tasks::any(fs, tasks::Members::Ctrl(group.closid)) {
        "Tasks assigned to resource group\n"
    } else if !group.cpus.is_empty() {
        "CPUs assigned to resource group\n"
    } else {
        return None;
    })
}

/// Makes a group out of one that was ready to set up a region: it has an RMID again, and counts from 0. The caller sets the
/// mode.
///
/// # Errors
/// `EINVAL` when another group has locked something into what is this one's; `EBUSY` or `ENOSPC` without an RMID; nothing
/// changed.
pub(crate) fn leave<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, dir: NodeId) -> Done {
    let arch = op.arch();
    if meets_region(op, ctrl) {
        return Err(op.refuse(Errno::EINVAL, "CBM overlaps with pseudo-locked region\n"));
    }
    let state = op.state();
    let closid = state.groups[ctrl].closid;
    if let Some(rmids) = &mut state.rmids {
        match rmids.alloc(arch, closid) {
            Ok(rmid) => state.groups[ctrl].rmid = rmid,
            Err(errno) => return Err(state.status.refuse(errno, "Out of RMIDs\n")),
        }
    }
    let tree = &op.fs.tree;
    let of_dir = tree.see(|tree| tree.attr(dir)).what.map(|attr| ("mon_groups", attr.mode));
    tree.set_modes(dir, used_by().map(|file| (file.name, file.mode)).chain(of_dir));
    let (closid, rmid) = op.state().ids(Place::Ctrl(ctrl));
    // Without memory for that, its counts begin where those of the RMID's last user ended.
    let _ = read::rebase_everywhere(op, closid, rmid);
    Ok(())
}

/// Whether what the group may fill has a region in it. Others are not kept from locking what a group in `pseudo-locksetup`
/// has, since it fills nothing. The kernel lets it begin to all the same, which would push the region out.
fn meets_region<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize) -> bool {
    let fs = op.fs;
    let regions = fs.regions.lock();
    let state = op.state();
    let closid = state.groups[ctrl].closid;
    [ResourceId::L3, ResourceId::L2].into_iter().filter(|&cache| fs.arch.control(cache).is_some()).any(|cache| {
        state.ctrl_domains[cache.index()].iter().any(|domain| {
            let mask = fs.arch.control_value(cache, &domain.arch, closid, ConfType::Both);
            mask & regions.locked_bits(cache, domain.id) != 0
        })
    })
}
