// SPDX-License-Identifier: GPL-2.0-only
//! Making groups.

use resctrl_types::arch::MonId;
use resctrl_types::{Arch, Closid, CpuMask, Errno, KBox, Platform, Ref, Result, Rmid};

use crate::ctrlmondata;
use crate::data::group::{CtrlGroup, Groups, Mode, MonGroup, Monitored, Place};
use crate::data::state::{Mount, Op, Resctrl};
use crate::data::target::Target;
use crate::monitor::{counters, limbo, mba_sc, mon_data, read};
use crate::nodes::{Belongs, GROUP_FILES, GroupId, Needs, Node};
use crate::status::{Done, Refusal};
use crate::tree::{Branch, Name, NewNode, NodeId};

/// What is said of a name that would not be one line where names are listed.
pub(super) const NEWLINE: &str = "Group name must not contain a newline\n";

/// What is said where groups cannot be.
const NO_PLACE: &str = "Groups can only be created in the root and in mon_groups directories\n";

/// What a group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Control, and monitoring where there is any.
    Ctrl,
    /// Monitoring only.
    Mon,
}

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// Makes a group: a control group in the root, a monitor group in a directory `mon_groups`.
    ///
    /// `mode` is the directory's, the umask already applied.
    ///
    /// # Errors
    /// `EINVAL` for a newline in the name; `EPERM` where groups cannot be (`ENODEV` in most of `info`); `ENOSPC`, `EBUSY`
    /// when ids have run out; `ENOMEM`, `EEXIST`. Nothing is left behind but, perhaps, an RMID in limbo.
    pub fn mkdir(this: &Ref<Self>, parent: NodeId, name: &[u8], mode: u16) -> Result<()> {
        if name.contains(&b'\n') {
            return Self::refuse_at_once(this, Errno::EINVAL, NEWLINE);
        }
        let Target { content, group_name, .. } = this.target(parent)?;
        match content {
            Node::Root if this.alloc_capable() => {
                Self::command_on(this, GroupId::DEFAULT, &group_name, Errno::ENODEV, |op, _| {
                    Making::new(op, Kind::Ctrl, parent, name, mode).make_ctrl()
                })
            }
            Node::MonGroups(group) => Self::command_on(this, group, &group_name, Errno::ENODEV, |op, place| {
                if name == b"mon_groups" {
                    return Err(op.refuse(Errno::EPERM, "Name is reserved for the folder of MON groups\n"));
                }
                op.refuse_members(place.ctrl())?;
                Making::new(op, Kind::Mon, parent, name, mode).make_mon(place.ctrl())
            }),
            // In the kernel, the directories of events are as if they were groups.
            Node::InfoDir if this.mon_capable() => Self::refuse_at_once(this, Errno::ENODEV, NO_PLACE),
            _ => Self::refuse_at_once(this, Errno::EPERM, NO_PLACE),
        }
    }
}

/// Adds the files of a group to its directory, the top of a branch.
///
/// # Errors
/// `ENOMEM`.
pub(crate) fn add_files<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    group: GroupId,
    kind: Kind,
    branch: &mut Branch<Node>,
) -> Result<()> {
    let fs = op.fs;
    let (debug, mba_sc) = op.state().mount.as_ref().map_or((false, false), |mount| (mount.debug, mount.mba_sc));
    let (owner, now) = (fs.platform.owner(), fs.platform.now());
    let dir = branch.top();
    for spec in GROUP_FILES {
        let belongs = match spec.belongs {
            Belongs::All => true,
            Belongs::Ctrl => kind == Kind::Ctrl,
            Belongs::Monitoring => fs.mon_capable(),
        };
        let has = match spec.needs {
            Needs::Nothing => true,
            Needs::Debug => debug,
            Needs::MbaSc => mba_sc,
            Needs::Counters => fs.arch.counters().is_some(),
        };
        if belongs && has {
            let (name, content) = (Name::from(spec.name), Node::GroupFile(group, spec.file));
            fs.tree.grow(branch, dir, NewNode { name, content, mode: spec.mode, owner, now })?;
        }
    }
    Ok(())
}

/// A group in the making: what has been taken so far, given back unless the group is finished.
struct Making<'o, 'a, 'n, A: Arch<P>, P: Platform> {
    op: &'o mut Op<'a, A, P>,
    kind: Kind,
    parent: NodeId,
    name: &'n [u8],
    mode: u16,
    id: GroupId,
    /// The directory with what is in it, to be linked in when the group is finished.
    branch: Option<Branch<Node>>,
    mon_data: Option<NodeId>,
    /// The CLOSID, to be given back if this making took it.
    closid: Closid,
    owns_closid: bool,
    rmid: Option<Rmid>,
}

impl<'o, 'a, 'n, A: Arch<P>, P: Platform> Making<'o, 'a, 'n, A, P> {
    fn new(op: &'o mut Op<'a, A, P>, kind: Kind, parent: NodeId, name: &'n [u8], mode: u16) -> Self {
        let id = op.state().new_group_id();
        let closid = Closid::RESERVED;
        let (branch, mon_data, rmid) = (None, None, None);
        Making { op, kind, parent, name, mode, id, branch, mon_data, closid, owns_closid: false, rmid }
    }

    fn make_ctrl(mut self) -> Done {
        let made = self.try_ctrl();
        self.finish(made)
    }

    fn make_mon(mut self, ctrl: usize) -> Done {
        let made = self.try_mon(ctrl);
        self.finish(made)
    }

    fn finish(self, made: Done) -> Done {
        if made.is_err() {
            self.undo();
        }
        made
    }

    fn try_ctrl(&mut self) -> Done {
        let nr_cpu_ids = self.op.platform().nr_cpu_ids();
        let group = CpuMask::new(nr_cpu_ids).and_then(|cpus| {
            let (closid, rmid) = (self.closid, Rmid::RESERVED);
            let (mode, children) = (Mode::SHAREABLE, Groups::new());
            let (name, mba_event, mon_data) = (Name::from(""), None, None);
            KBox::new(CtrlGroup { id: self.id, name, closid, rmid, cpus, mode, mba_event, children, mon_data })
        });
        let room = self.op.state().groups.reserve(1);
        let mut group = group.and_then(|group| room.map(|()| group)).map_err(|_| self.out_of_memory())?;
        group.name = self.make_dir()?;
        self.take_closid()?;
        self.take_rmid()?;
        self.make_mon_data()?;
        group.closid = self.closid;
        group.rmid = self.rmid.unwrap_or(Rmid::RESERVED);
        group.mon_data = self.mon_data;
        if self.op.state().mba_sc() {
            group.mba_event = mba_sc::default_event(self.op.fs);
        }
        // Newest first. Room was made above.
        self.op.state().groups.insert(0, group).map_err(|_| self.out_of_memory())?;
        let rest =
            ctrlmondata::initial::init(self.op, 0).and_then(|()| self.make_mon_groups()).and_then(|()| self.link());
        if rest.is_err() {
            self.op.state().groups.remove(0);
        }
        rest
    }

    fn try_mon(&mut self, ctrl: usize) -> Done {
        let nr_cpu_ids = self.op.platform().nr_cpu_ids();
        let group = CpuMask::new(nr_cpu_ids)
            .and_then(|cpus| KBox::new(MonGroup { id: self.id, rmid: Rmid::RESERVED, cpus, mon_data: None }));
        let room = self.op.state().groups[ctrl].children.reserve(1);
        let mut group = group.and_then(|group| room.map(|()| group)).map_err(|_| self.out_of_memory())?;
        self.make_dir()?;
        self.closid = self.op.state().ids(Place::Ctrl(ctrl)).0;
        self.take_rmid()?;
        self.make_mon_data()?;
        group.rmid = self.rmid.unwrap_or(Rmid::RESERVED);
        group.mon_data = self.mon_data;
        self.link()?;
        // Room was made above.
        self.op.state().groups[ctrl].children.push(group).map_err(|_| self.out_of_memory())
    }

    /// The kernel's errno for want of memory here is `ENOSPC`.
    fn out_of_memory(&mut self) -> Refusal {
        self.op.refuse(Errno::ENOSPC, "Kernel out of memory\n")
    }

    /// Says which part of the tree could not be made.
    fn tree_error<T>(&mut self, result: Result<T>, message: &'static str) -> Done<T> {
        result.map_err(|errno| self.op.refuse(errno, message))
    }

    fn new_dir(&self, name: Name, content: Node) -> NewNode<Node> {
        let (owner, now) = (self.op.platform().owner(), self.op.platform().now());
        NewNode { name, content, mode: self.mode, owner, now }
    }

    /// The directory with its files, which nobody sees until the group is finished.
    fn make_dir(&mut self) -> Done<Name> {
        let fs = self.op.fs;
        let made = (|| {
            if fs.tree.read().has(self.parent, self.name) {
                return Err(Errno::EEXIST);
            }
            let name = Name::given(self.name)?;
            Ok((name.clone(), fs.tree.branch(self.new_dir(name, Node::Group(self.id)))?))
        })();
        let (name, mut branch) = self.tree_error(made, "kernfs create error\n")?;
        let filled = add_files(self.op, self.id, self.kind, &mut branch);
        self.branch = Some(branch);
        self.tree_error(filled, "kernfs fill error\n")?;
        Ok(name)
    }

    /// Lets everybody see the directory. The last thing that can fail.
    fn link(&mut self) -> Done {
        let Some(branch) = self.branch.take() else { return Ok(()) };
        let linked = self.op.fs.tree.attach(self.parent, branch);
        self.tree_error(linked, "kernfs create error\n")
    }

    fn take_closid(&mut self) -> Done {
        let state = self.op.state();
        let Some(Mount { closids, .. }) = &mut state.mount else { return Err(state.status.unmounted()) };
        let dirty = |closid: &Closid| state.rmids.as_ref().map_or(0, |rmids| rmids.dirty(*closid));
        // Where RMIDs do not depend on the CLOSID none is counted for any.
        let cleanest = if A::RMID_DEPENDS_ON_CLOSID { closids.free().min_by_key(dirty) } else { closids.free().next() };
        let Some(closid) = cleanest else {
            return Err(state.status.refuse(Errno::ENOSPC, "Out of CLOSIDs\n"));
        };
        closids.take(closid);
        self.closid = closid;
        self.owns_closid = true;
        Ok(())
    }

    /// Takes an RMID, and counters for it.
    fn take_rmid(&mut self) -> Done {
        let arch = self.op.arch();
        let closid = self.closid;
        let state = self.op.state();
        let Some(rmids) = &mut state.rmids else { return Ok(()) };
        match rmids.alloc(arch, closid) {
            Ok(rmid) => self.rmid = Some(rmid),
            Err(errno) => return Err(state.status.refuse(errno, "Out of RMIDs\n")),
        }
        if let Some(who) = self.monitored() {
            counters::assign_to_new(self.op, who);
        }
        Ok(())
    }

    /// The group, to be monitored, once it has an RMID.
    fn monitored(&self) -> Option<Monitored> {
        self.rmid.map(|rmid| Monitored { group: self.id, id: MonId { closid: self.closid, rmid } })
    }

    fn make_mon_data(&mut self) -> Done {
        let fs = self.op.fs;
        let Some(rmid) = self.rmid else { return Ok(()) };
        let Some(mut branch) = self.branch.take() else { return Ok(()) };
        let made = (|| {
            let new = self.new_dir(Name::from("mon_data"), Node::MonData(self.id));
            let dir = branch.top();
            let mon_data = fs.tree.grow(&mut branch, dir, new)?;
            mon_data::add_all(fs, &self.op.locked.state, self.id, &mut branch, mon_data, self.mode)?;
            read::rebase_everywhere(self.op, self.closid, rmid)?;
            Ok(mon_data)
        })();
        self.branch = Some(branch);
        self.mon_data = Some(self.tree_error(made, "kernfs subdir error\n")?);
        Ok(())
    }

    fn make_mon_groups(&mut self) -> Done {
        let fs = self.op.fs;
        if !fs.mon_capable() {
            return Ok(());
        }
        let new = self.new_dir(Name::from("mon_groups"), Node::MonGroups(self.id));
        let Some(branch) = &mut self.branch else { return Ok(()) };
        let dir = branch.top();
        let made = fs.tree.grow(branch, dir, new).map(|_| ());
        self.tree_error(made, "kernfs subdir error\n")
    }

    /// Gives everything back.
    fn undo(self) {
        if let Some(who) = self.monitored() {
            counters::release(self.op, who);
            limbo::free_rmid(self.op, who.id);
        }
        if let Some(mount) = self.op.state().mount.as_mut().filter(|_| self.owns_closid) {
            mount.closids.release(self.closid);
        }
    }
}
