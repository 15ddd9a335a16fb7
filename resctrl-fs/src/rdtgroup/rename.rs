// SPDX-License-Identifier: GPL-2.0-only
//! Renaming and moving monitor groups.

use resctrl_types::arch::MonId;
use resctrl_types::{Arch, Closid, CpuMask, Errno, Platform, Ref, Result, RmidIndex};

use super::mkdir::NEWLINE;
use super::tasks;
use crate::data::group::{Monitored, Place};
use crate::data::state::{Op, Resctrl};
use crate::monitor::{counters, limbo, read};
use crate::nodes::{GroupId, Node};
use crate::status::Done;
use crate::tree::NodeId;

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// Renames a monitor group, or moves it below another control group. Its tasks get the CLOSID of the new parent and keep
    /// their RMID; where RMIDs depend on the CLOSID, they get one of those of the new parent's. Then the group's counters
    /// begin at 0 again, and its old RMID is freed: the lines that it has filled so far are not the group's any more. If the new
    /// parent has no RMID left but one that this group has left behind and that still waits for its lines to go, it gets that.
    ///
    /// # Errors
    /// `EINVAL` for any flag of `renameat2`, a newline in the name or a new parent that is there for a region; `ENOENT` for
    /// nodes outside of groups; `EPERM` with a reason in the status; `EEXIST`, `ENOMEM`; `ENOSPC` or `EBUSY` as for
    /// [`Resctrl::mkdir`] when the new parent's CLOSID has no RMID left. Nothing changed.
    pub fn rename(this: &Ref<Self>, node: NodeId, new_parent: NodeId, new_name: &[u8], flags: u32) -> Result<()> {
        if flags != 0 {
            return Self::refuse_at_once(this, Errno::EINVAL, "Rename flags are not supported\n");
        }
        let (source, target, parent) = {
            let tree = this.tree.read();
            (
                tree.content(node).ok_or(Errno::ENOENT)?,
                tree.content(new_parent).ok_or(Errno::ENOENT)?,
                tree.parent(node),
            )
        };
        Self::command(this, |op| {
            if matches!(source, Node::InfoDir | Node::InfoFile(_)) {
                return Err(op.refuse(Errno::ENOENT, NOT_MON_GROUP));
            }
            if target == Node::InfoDir {
                return Err(op.refuse(Errno::ENOENT, NOT_MON_GROUPS));
            }
            if matches!(source, Node::GroupFile(..) | Node::Event(..) | Node::EventSum(..)) {
                return Err(op.refuse(Errno::EPERM, "Source and destination must be directories\n"));
            }
            let from = match source {
                Node::Group(group) => Some(op.state().find_group(group).ok_or_else(|| op.refuse(Errno::ENOENT, GONE))?),
                _ => None,
            };
            let Some(Place::Mon(ctrl, mon)) = from else { return Err(op.refuse(Errno::EPERM, NOT_MON_GROUP)) };
            let Node::MonGroups(to) = target else { return Err(op.refuse(Errno::EPERM, NOT_MON_GROUPS)) };
            if new_name == b"mon_groups" {
                return Err(op.refuse(Errno::EPERM, NOT_MON_GROUPS));
            }
            let same_parent = parent == Some(new_parent);
            if !same_parent && !op.state().groups[ctrl].children[mon].cpus.is_empty() {
                return Err(op.refuse(Errno::EPERM, "Cannot move a MON group that monitors CPUs\n"));
            }
            // The kernel takes it here, and refuses to make such a group.
            if new_name.contains(&b'\n') {
                return Err(op.refuse(Errno::EINVAL, NEWLINE));
            }
            let rename = |op: &mut Op<'_, A, P>| {
                let renamed = this.tree.rename(node, new_parent, new_name);
                renamed.map_err(|errno| match errno {
                    Errno::EEXIST => op.refuse(errno, "Destination exists\n"),
                    Errno::ENOMEM => op.out_of_memory(),
                    _ => op.refuse(errno, GONE),
                })
            };
            if same_parent { rename(op) } else { adopt(op, (ctrl, mon), to, rename) }
        })
    }
}

const NOT_MON_GROUP: &str = "Source must be a MON group\n";
const NOT_MON_GROUPS: &str = "Destination must be a mon_groups subdirectory\n";
const GONE: &str = "Resource group deleted. No commands possible.\n";

/// Moves the monitor group to the parent `to`, with its tasks.
fn adopt<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    (ctrl, mon): (usize, usize),
    to: GroupId,
    rename: impl FnOnce(&mut Op<'_, A, P>) -> Done,
) -> Done {
    let (fs, arch) = (op.fs, op.arch());
    let Some(Place::Ctrl(new_ctrl)) = op.state().find_group(to) else {
        return Err(op.refuse(Errno::ENOENT, GONE));
    };
    // The kernel lets it in, and gives it a CLOSID that is nobody's.
    op.refuse_members(new_ctrl)?;
    let mut affected = CpuMask::new(fs.platform.nr_cpu_ids()).map_err(|_| op.out_of_memory())?;
    op.state().groups[new_ctrl].children.reserve(1).map_err(|_| op.out_of_memory())?;
    let group = &op.state().groups[ctrl];
    let old = group.monitored_child(&group.children[mon]);
    let closid = op.state().groups[new_ctrl].closid;
    let (index, origin) = next_index(op, old, closid)?;
    let new = MonId { closid, rmid: arch.rmid_decode(index).rmid };
    if A::RMID_DEPENDS_ON_CLOSID {
        // Nobody has these ids yet, so their counts are nobody's either.
        read::rebase_everywhere(op, new.closid, new.rmid)
            .map_err(|errno| op.failed(errno, format_args!("begin to count")))?;
    }
    rename(op)?;

    // Nothing fails any more.
    let mut child = op.state().groups[ctrl].children.remove(mon);
    child.rmid = new.rmid;
    op.state().groups[new_ctrl].children.push(child).map_err(|_| op.out_of_memory())?;
    if A::RMID_DEPENDS_ON_CLOSID {
        match (origin, &mut op.state().rmids) {
            (Origin::Limbo, _) => limbo::take_back(op, new),
            (Origin::Free, Some(rmids)) => rmids.take(index),
            (Origin::Free, None) => {}
        }
        // Before the tasks, so that all they do with their new ids is counted.
        counters::pass_on(op, old, new);
    }
    tasks::move_matching(fs, tasks::Members::Mon(old.id), new, &mut affected);
    tasks::refresh(fs, op.cpus, &affected);
    if A::RMID_DEPENDS_ON_CLOSID {
        limbo::free_rmid(op, old.id);
        let left = arch.rmid_index(old.id);
        if let Some(rmids) = &mut op.state().rmids {
            rmids.leave(left, Some(old.group));
        }
    }
    Ok(())
}

/// Where the RMID of a group that moves comes from.
#[derive(Clone, Copy)]
enum Origin {
    /// It was nobody's.
    Free,
    /// It was this group's, and has been nobody's since.
    Limbo,
}

/// The index that a monitor group is to have below a group of `closid`: its own, unless RMIDs depend on the CLOSID; then one
/// that is free, or else one that it has left itself.
///
/// # Errors
/// As [`RmidTable::next`](crate::data::rmid::RmidTable::next), and the status says so.
fn next_index<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    old: Monitored,
    closid: Closid,
) -> Done<(RmidIndex, Origin)> {
    let arch = op.arch();
    let state = op.state();
    match &state.rmids {
        Some(rmids) if A::RMID_DEPENDS_ON_CLOSID => {
            let free = rmids.next(arch, closid).map(|index| (index, Origin::Free));
            free.or_else(|errno| {
                let own = rmids.left_behind(arch, closid, old.group).map(|index| (index, Origin::Limbo));
                own.ok_or_else(|| state.status.refuse(errno, "Out of RMIDs\n"))
            })
        }
        _ => Ok((arch.rmid_index(old.id), Origin::Free)),
    }
}
