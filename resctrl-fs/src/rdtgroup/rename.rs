// SPDX-License-Identifier: GPL-2.0-only
//! Renaming and moving monitor groups.

use resctrl_types::arch::MonId;
use resctrl_types::platform::Mutex;
use resctrl_types::{Arch, CpuMask, Errno, Platform, Ref, Result};

use super::tasks;
use crate::data::group::Place;
use crate::data::state::{Op, Resctrl};
use crate::nodes::{GroupId, Node};
use crate::tree::NodeId;

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// Renames a monitor group, or moves it below another control group. Its tasks keep their RMID and get the CLOSID
    /// of the new parent.
    ///
    /// # Errors
    /// `EINVAL` for any flag of `renameat2`; `ENOENT` for nodes outside of groups; `EPERM` with a reason in the status;
    /// `EEXIST`, `ENOMEM`. Where RMIDs depend on the CLOSID a move is refused with `EPERM` (hazard B3): the RMID
    /// would be another one there.
    pub fn rename(this: &Ref<Self>, node: NodeId, new_parent: NodeId, new_name: &[u8], flags: u32) -> Result<()> {
        if flags != 0 {
            return Err(Errno::EINVAL);
        }
        let (source, target, parent) = {
            let tree = this.tree.lock();
            (tree.key(node).ok_or(Errno::ENOENT)?, tree.key(new_parent).ok_or(Errno::ENOENT)?, tree.parent(node))
        };
        if matches!(source, Node::InfoDir | Node::InfoFile(_)) || target == Node::InfoDir {
            return Err(Errno::ENOENT);
        }
        Self::locked_op(this, |op| {
            op.state().status.clear();
            if matches!(source, Node::GroupFile(..) | Node::Event(..) | Node::EventSum(..)) {
                op.state().status.text("Source and destination must be directories");
                return Err(Errno::EPERM);
            }
            let from = match source {
                Node::Group(group) => Some(op.state().find_group(group).ok_or(Errno::ENOENT)?),
                _ => None,
            };
            let Some(Place::Mon(ctrl, mon)) = from else {
                op.state().status.text("Source must be a MON group\n");
                return Err(Errno::EPERM);
            };
            let Node::MonGroups(to) = target else { return Err(not_mon_groups(op)) };
            if new_name == b"mon_groups" {
                return Err(not_mon_groups(op));
            }
            let same_parent = parent == Some(new_parent);
            if !same_parent && !op.state().groups[ctrl].children[mon].cpus.is_empty() {
                op.state().status.text("Cannot move a MON group that monitors CPUs\n");
                return Err(Errno::EPERM);
            }
            if same_parent {
                return this.tree.lock().rename(node, new_parent, new_name);
            }
            if A::RMID_DEPENDS_ON_CLOSID {
                return Err(Errno::EPERM);
            }
            adopt(op, (ctrl, mon), to, || this.tree.lock().rename(node, new_parent, new_name))
        })
    }
}

fn not_mon_groups<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) -> Errno {
    op.state().status.text("Destination must be a mon_groups subdirectory\n");
    Errno::EPERM
}

/// Moves the monitor group to the parent `to`, with its tasks.
fn adopt<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    (ctrl, mon): (usize, usize),
    to: GroupId,
    rename: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let fs = op.fs;
    let Some(Place::Ctrl(new_ctrl)) = op.state().find_group(to) else { return Err(Errno::ENOENT) };
    // The kernel lets it in, and gives it a CLOSID that is nobody's.
    op.refuse_members(new_ctrl)?;
    let mut affected = CpuMask::new(fs.platform.nr_cpu_ids())?;
    op.state().groups[new_ctrl].children.reserve(1)?;
    rename()?;
    let old_closid = op.state().groups[ctrl].closid;
    let child = op.state().groups[ctrl].children.remove(mon);
    let rmid = child.rmid;
    let parent = &mut op.state().groups[new_ctrl];
    let closid = parent.closid;
    parent.children.push(child)?;
    tasks::move_matching(
        fs,
        tasks::Members::Mon(MonId { closid: old_closid, rmid }),
        MonId { closid, rmid },
        &mut affected,
    );
    tasks::refresh(fs, op.cpus, &affected);
    Ok(())
}
