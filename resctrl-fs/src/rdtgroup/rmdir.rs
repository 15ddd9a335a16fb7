// SPDX-License-Identifier: GPL-2.0-only
//! Removing groups.

use resctrl_types::arch::MonId;
use resctrl_types::platform::Mutex;
use resctrl_types::{Arch, Closid, CpuMask, Errno, Platform, Ref, Result, Rmid};

use super::tasks;
use crate::data::group::{Mode, Monitored, Place};
use crate::data::regions::Departure;
use crate::data::state::{Op, Resctrl};
use crate::data::target::Target;
use crate::monitor::{counters, limbo};
use crate::nodes::Node;
use crate::tree::NodeId;

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// Removes a group, with the monitor groups in it. Open files do not keep it.
    ///
    /// # Errors
    /// `EPERM` for a directory that is not a group's or whose group has gone; `ENOMEM`, nothing changed.
    pub fn rmdir(this: &Ref<Self>, dir: NodeId) -> Result<()> {
        let Target { content, group_name, .. } = this.target(dir)?;
        match content {
            Node::Group(group) => {
                let region = Self::command_on(this, group, &group_name, Errno::EPERM, |op, place| {
                    // The last thing that can fail.
                    let affected = CpuMask::new(this.platform.nr_cpu_ids()).map_err(|_| op.out_of_memory())?;
                    let region = match place {
                        Place::Ctrl(ctrl) => remove_ctrl(op, ctrl, affected),
                        Place::Mon(ctrl, mon) => {
                            remove_mon(op, ctrl, mon, affected);
                            None
                        }
                    };
                    this.tree.remove(dir);
                    let state = op.state();
                    if state.groups.len() == 1 && state.default_group().children.is_empty() {
                        state.switches = None;
                    }
                    Ok(region)
                })?;
                // No lock is held any more.
                if let Some(region) = region {
                    region.finish(&this.regions);
                }
                Ok(())
            }
            _ => Self::refuse_at_once(this, Errno::EPERM, "Only groups can be removed\n"),
        }
    }
}

/// Tasks and CPUs of a control group go to the default group; then its ids and its monitor groups go. Of a group that was
/// there for a region that leaves the CLOSID, or the region.
fn remove_ctrl<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    ctrl: usize,
    mut affected: CpuMask,
) -> Option<Departure<P>> {
    let fs = op.fs;
    let default = MonId { closid: Closid::RESERVED, rmid: Rmid::RESERVED };
    let group = op.state().groups.remove(ctrl);
    if let Mode::PseudoLocked(region) = group.mode {
        return fs.regions.lock().depart(region);
    }
    tasks::move_matching(fs, tasks::Members::Ctrl(group.closid), default, &mut affected);
    for cpu in group.cpus.iter() {
        tasks::set_cpu_default(fs, cpu, default);
    }
    op.state().default_group().cpus.union_with(&group.cpus);
    affected.union_with(&group.cpus);
    tasks::refresh(fs, op.cpus, &affected);

    if let Some(who) = group.monitored() {
        end_monitoring(op, who);
    }
    for child in &group.children {
        end_monitoring(op, group.monitored_child(child));
    }
    if let Some(mount) = &mut op.state().mount {
        mount.closids.release(group.closid);
    }
    None
}

/// Tasks and CPUs of a monitor group fall back to the ids of its parent.
fn remove_mon<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, mon: usize, mut affected: CpuMask) {
    let fs = op.fs;
    let (closid, rmid) = op.state().ids(Place::Ctrl(ctrl));
    let parent = MonId { closid, rmid };
    let child = op.state().groups[ctrl].children.remove(mon);
    let who = op.state().groups[ctrl].monitored_child(&child);
    tasks::move_matching(fs, tasks::Members::Mon(who.id), parent, &mut affected);
    for cpu in child.cpus.iter() {
        tasks::set_cpu_default(fs, cpu, parent);
    }
    affected.union_with(&child.cpus);
    tasks::refresh(fs, op.cpus, &affected);
    end_monitoring(op, who);
}

/// The counters of a group go, and then its RMID.
fn end_monitoring<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, who: Monitored) {
    counters::release(op, who);
    limbo::free_rmid(op, who.id);
}
