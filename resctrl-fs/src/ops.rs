// SPDX-License-Identifier: GPL-2.0-only
//! The file operations: from a node to the function that serves it.
//!
//! Each takes the locks in their order, finds out whether what the node stands for still lives, clears the status where
//! the rules say so, and hands an [`Op`] to the function of the file.

use resctrl_types::platform::{CpusReadGuard, Mutex};
use resctrl_types::{Arch, Errno, Platform, Ref, Result};

use crate::data::group::Place;
use crate::data::state::{Op, Resctrl};
use crate::data::target::Target;
use crate::nodes::{GroupFile, GroupId, InfoFile, Node};
use crate::rdtgroup::{cpus, mode, tasks};
use crate::status::{Done, NO_COMMANDS, Refusal};
use crate::text::{Shown, Stop, TextOut, line_of};
use crate::tree::{Attr, DirEntry, Name, NodeId, Seen, SetAttr, XattrSet};
use crate::{ctrlmondata, info, monitor};

/// What a file is opened for: `FMODE_READ` and `FMODE_WRITE`. Both, or neither, is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFor {
    /// To be read.
    pub read: bool,
    /// To be written.
    pub write: bool,
}

impl OpenFor {
    /// Reading alone.
    pub const READING: OpenFor = OpenFor { read: true, write: false };
    /// Writing alone.
    pub const WRITING: OpenFor = OpenFor { read: false, write: true };
}

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// The root of the tree while mounted.
    pub fn root(&self) -> Option<NodeId> {
        self.tree.read().root()
    }

    /// The version of the tree, never 0: what was [seen](Seen) of it with this one still is so. Takes no lock.
    pub fn tree_version(&self) -> u64 {
        self.tree.version()
    }

    /// What `stat` shows of what is called `name` in the directory `parent`, if anything is.
    pub fn entry(&self, parent: NodeId, name: &[u8]) -> Seen<Option<Attr>> {
        self.tree.see(|tree| tree.entry(parent, name))
    }

    /// The node called `name` in the directory `parent`.
    pub fn lookup(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.tree.read().lookup(parent, name)
    }

    /// What `stat` shows of a node, if it is still there.
    pub fn look(&self, node: NodeId) -> Seen<Option<Attr>> {
        self.tree.see(|tree| tree.attr(node))
    }

    /// What `stat` shows; `None` when the node has gone.
    pub fn attr(&self, node: NodeId) -> Option<Attr> {
        self.look(node).what
    }

    /// Changes attributes, as the VFS has permitted.
    ///
    /// # Errors
    /// `ENOENT` when the node has gone.
    pub fn set_attr(&self, node: NodeId, change: &SetAttr) -> Result<()> {
        self.tree.set_attr(node, change)
    }

    /// Copies the value of an extended attribute, whose full name this is, to `value`, if there is such a buffer; gives the
    /// length of the value.
    ///
    /// # Errors
    /// `ENODATA` when the node has none of this name, `ERANGE` when the buffer is too short.
    pub fn xattr(&self, node: NodeId, name: &[u8], value: Option<&mut [u8]>) -> Result<usize> {
        let tree = self.tree.read();
        let (_, found) = tree.xattrs(node).find(|&(known, _)| known == name).ok_or(Errno::ENODATA)?;
        if let Some(value) = value {
            value.get_mut(..found.len()).ok_or(Errno::ERANGE)?.copy_from_slice(found);
        }
        Ok(found.len())
    }

    /// Sets an extended attribute, whose full name this is, or removes it if there is no value.
    ///
    /// # Errors
    /// `ENODEV` when the node has gone; `EEXIST` or `ENODATA` as `how` says; `ENOMEM`.
    pub fn set_xattr(&self, node: NodeId, name: &[u8], value: Option<&[u8]>, how: XattrSet) -> Result<()> {
        self.tree.set_xattr(node, name, value, how)
    }

    /// Calls `visit` with the name of each extended attribute of a node, in the order of their coming, until it says false. It
    /// must not call anything of this.
    pub fn xattr_names(&self, node: NodeId, visit: &mut dyn FnMut(&[u8]) -> bool) {
        let _ = self.tree.read().xattrs(node).all(|(name, _)| visit(name));
    }

    /// Calls `visit` with the entries of a directory that follow the position `after` (0: the first), until it says false. It
    /// must not call anything of this. No name is longer than 4095 bytes.
    ///
    /// # Errors
    /// `ENOENT` when the directory has gone.
    pub fn entries(&self, dir: NodeId, after: u64, visit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.tree.read().entries(dir, after, visit)
    }

    /// Whether a file may be opened so, beyond the permission bits that the VFS checks: reading needs some read bit,
    /// writing some write bit and a write method, for the superuser too.
    ///
    /// # Errors
    /// `ENODEV` when the file has gone, `EACCES`.
    pub fn open(&self, node: NodeId, wanted: OpenFor) -> Result<()> {
        let OpenFor { read, write } = wanted;
        let tree = self.tree.read();
        let (attr, content) = tree.attr(node).zip(tree.content(node)).ok_or(Errno::ENODEV)?;
        if write && (attr.mode & 0o222 == 0 || !content.is_writable()) || read && attr.mode & 0o444 == 0 {
            return Err(Errno::EACCES);
        }
        Ok(())
    }

    /// Prints the content of a file.
    ///
    /// When `out` says that it is full the content is cut there, without an error.
    ///
    /// # Errors
    /// `ENODEV` when the file had gone before, `ENOENT` when it went meanwhile, and those of the file.
    pub fn read(this: &Ref<Self>, node: NodeId, out: &mut dyn TextOut) -> Result<()> {
        let Target { content, group_name, .. } = this.target(node)?;
        let shown = match content {
            Node::GroupFile(group, file) => Self::on_group(this, group, &group_name, Errno::ENOENT, |op, place| {
                show_group_file(op, place, file, out)
            }),
            Node::Event(group, domain, event) => {
                Self::on_group(this, group, &group_name, Errno::ENOENT, |op, place| {
                    monitor::read::show_event(op, place, domain, event, out)
                })
            }
            Node::EventSum(group, cache, event) => {
                Self::on_group(this, group, &group_name, Errno::ENOENT, |op, place| {
                    monitor::read::show_sum(op, place, cache, event, out)
                })
            }
            Node::InfoFile(file) => Self::locked_op(this, |op| {
                op.state().mount()?;
                if info::read_clears_status(file) {
                    op.state().status.clear();
                }
                info::show(op, file, out)
            }),
            _ => return Err(Errno::EISDIR),
        };
        match shown {
            Ok(()) | Err(Stop::Full) => Ok(()),
            Err(Stop::Errno(errno)) => Err(errno),
        }
    }

    /// Carries out a command: one `write` is one command, whatever the offset.
    ///
    /// # Errors
    /// As [`Resctrl::read`]; `EINVAL` for a file that takes no commands.
    pub fn write(this: &Ref<Self>, node: NodeId, data: &[u8]) -> Result<()> {
        let Target { content, dir, group_name } = this.target(node)?;
        match content {
            Node::GroupFile(group, file @ (GroupFile::Tasks | GroupFile::Cpus | GroupFile::CpusList)) => {
                Self::give_members(this, group, &group_name, |op, place| write_group_file(op, place, dir, file, data))
            }
            Node::GroupFile(group, file) => Self::command_on(this, group, &group_name, Errno::ENOENT, |op, place| {
                write_group_file(op, place, dir, file, data)
            }),
            Node::InfoFile(
                file @ (InfoFile::MaxThresholdOccupancy
                | InfoFile::MbmAssignMode
                | InfoFile::MbmAssignOnMkdir
                | InfoFile::EventFilter(_)
                | InfoFile::EventConfig(_)
                | InfoFile::IoAlloc(_)
                | InfoFile::IoAllocCbm(_)),
            ) => Self::command(this, |op| {
                op.state().mounted()?;
                info::write(op, file, data)
            }),
            _ => Self::refuse_at_once(this, Errno::EINVAL, NO_COMMANDS),
        }
    }

    /// Takes both locks, clears the status and carries out a command.
    pub(crate) fn command<T>(this: &Ref<Self>, f: impl FnOnce(&mut Op<'_, A, P>) -> Done<T>) -> Result<T> {
        Self::locked_op(this, |op| {
            op.state().status.clear();
            f(op).map_err(|refusal| refusal.errno())
        })
    }

    /// Takes both locks and carries out a command on a group; see [`Resctrl::on_group`].
    pub(crate) fn command_on<T>(
        this: &Ref<Self>,
        group: GroupId,
        name: &Name,
        gone: Errno,
        f: impl FnOnce(&mut Op<'_, A, P>, Place) -> Done<T>,
    ) -> Result<T> {
        Self::on_group(this, group, name, gone, f).map_err(|refusal| refusal.errno())
    }

    /// Carries out a command that gives tasks or CPUs to a group. Before the first that gives them to another than the default
    /// group, context switches begin to be watched, without the locks.
    fn give_members(
        this: &Ref<Self>,
        group: GroupId,
        name: &Name,
        f: impl Fn(&mut Op<'_, A, P>, Place) -> Done,
    ) -> Result<()> {
        let mut begun = None;
        loop {
            let done = Self::command_on(this, group, name, Errno::ENOENT, |op, place| {
                let state = op.state();
                if state.switches.is_none() && place != Place::Ctrl(state.default_ctrl()) {
                    let Some(switches) = begun.take() else {
                        tasks::begin(op);
                        return Ok(None);
                    };
                    state.switches = Some(switches);
                }
                f(op, place).map(Some)
            })?;
            if let Some(done) = done {
                return Ok(done);
            }
            let switches = this.platform.watch_switches();
            begun = Some(switches.or_else(|errno| {
                Self::command(this, |op| Err(op.failed(errno, format_args!("watch context switches"))))
            })?);
        }
    }

    /// Refuses a command for which nothing need be looked at.
    pub(crate) fn refuse_at_once(this: &Ref<Self>, errno: Errno, why: &'static str) -> Result<()> {
        Self::command(this, |op| Err(op.refuse(errno, why)))
    }

    /// Takes both locks and runs `f`.
    pub(crate) fn locked_op<T>(this: &Ref<Self>, f: impl FnOnce(&mut Op<'_, A, P>) -> T) -> T {
        let cpus = this.platform.cpus_read_lock();
        let mut locked = this.locked.lock();
        f(&mut Op { fs: this, cpus: cpus.held(), locked: &mut locked })
    }

    /// Takes both locks, clears the status and runs `f` on the group; if the group has been removed while this waited,
    /// says so in the status, by its name, and returns `gone`.
    fn on_group<T, E: From<Refusal>>(
        this: &Ref<Self>,
        group: GroupId,
        name: &Name,
        gone: Errno,
        f: impl FnOnce(&mut Op<'_, A, P>, Place) -> Result<T, E>,
    ) -> Result<T, E> {
        Self::locked_op(this, |op| {
            op.state().status.clear();
            let mounted = op.state().mount.is_some();
            match op.state().find_group(group).filter(|_| mounted) {
                Some(place) => f(op, place),
                None => {
                    let (before, after) = ("Resource group ", " deleted. No commands possible.\n");
                    Err(op.state().status.refuse_quoting(gone, before, name, after).into())
                }
            }
        })
    }
}

fn show_group_file<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    place: Place,
    file: GroupFile,
    out: &mut dyn TextOut,
) -> Shown {
    match file {
        GroupFile::Cpus => cpus::show(op, place, cpus::Form::Mask, out),
        GroupFile::CpusList => cpus::show(op, place, cpus::Form::List, out),
        GroupFile::Tasks => tasks::show(op, place, out),
        GroupFile::Schemata => ctrlmondata::schemata::show(op, place.ctrl(), out),
        GroupFile::Size => ctrlmondata::schemata::show_size(op, place.ctrl(), out),
        GroupFile::Mode => mode::show(op, place.ctrl(), out),
        GroupFile::MbaMbpsEvent => monitor::mba_sc::show_event(op, place.ctrl(), out),
        GroupFile::MbmL3Assignments => monitor::assignments::show(op, place, out),
        GroupFile::CtrlHwId => line_of(out, op.state().ids(place).0.0),
        GroupFile::MonHwId => line_of(out, op.state().ids(place).1.0),
    }
}

fn write_group_file<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    place: Place,
    dir: NodeId,
    file: GroupFile,
    data: &[u8],
) -> Done {
    match file {
        GroupFile::Cpus => cpus::write(op, place, cpus::Form::Mask, data),
        GroupFile::CpusList => cpus::write(op, place, cpus::Form::List, data),
        GroupFile::Tasks => tasks::write(op, place, data),
        GroupFile::Schemata => ctrlmondata::schemata::write(op, place.ctrl(), dir, data),
        GroupFile::Mode => mode::write(op, place.ctrl(), dir, data),
        GroupFile::MbaMbpsEvent => monitor::mba_sc::write_event(op, place.ctrl(), data),
        GroupFile::MbmL3Assignments => monitor::assignments::write(op, place, data),
        // Somebody has made it writable.
        GroupFile::Size | GroupFile::CtrlHwId | GroupFile::MonHwId => Err(op.refuse(Errno::EINVAL, NO_COMMANDS)),
    }
}
