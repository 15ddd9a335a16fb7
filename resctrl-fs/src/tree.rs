// SPDX-License-Identifier: GPL-2.0-only
//! The tree of files and directories, with the semantics of kernfs.
//!
//! The module can not use kernfs (it is not exported), and a tree that only exists as dentries could not change from a
//! hotplug callback without taking the VFS's locks below the rdtgroup mutex. So the tree is plain data under a lock of
//! its own, and the VFS asks it: what is called so in this directory, is this still there, what mode has it. It is the one
//! authority for names and attributes; dentries and inodes are a cache of it. Removing a node never waits for anybody; whoever
//! still has it open finds out by `ENODEV`.
//!
//! | File | What |
//! |---|---|
//! | this one | the nodes, their names and attributes; what is done to a tree by whoever has it |
//! | [`slots`] | where a node of some id is; directories and what is in them |
//! | [`branch`] | nodes that are made before they are in the tree |
//! | [`shared`] | the tree with its lock: what is made before the lock is taken, and freed after it was released |
//! | [`version`] | how often the tree was changed, beside its lock |
//! | [`xattr`] | the extended attributes of a node |
//!
//! It knows nothing of what nodes stand for but whether that is a directory ([`Content`]).
//!
//! # Invariants
//! * Ids count up from the root's 1 and are never used again, so that an id is a stale-proof reference.
//! * `subdirs` is the number of a directory's visible subdirectories.
//!
//! There is a node for each event of each domain in each group, so their number is the product of the three. Nothing that is
//! done for one node goes through all of them, or through all children of a directory.

mod branch;
mod name;
mod shared;
mod slots;
mod version;
mod xattr;

use resctrl_types::platform::{Owner, Timestamp};
use resctrl_types::{Errno, Result, Switch};

pub(crate) use branch::{Branch, Ids, NewNode};
pub(crate) use name::Name;
pub(crate) use shared::SharedTree;
use slots::{Node, Room, Slots};
pub use version::Seen;
pub use xattr::XattrSet;

/// A node of the tree, and its inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// A directory or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
}

/// What a node stands for.
pub(crate) trait Content: Copy + Send + Sync + 'static {
    /// A directory or a file.
    fn kind(self) -> NodeKind;
}

/// What `stat` shows of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// The node.
    pub id: NodeId,
    /// A directory or a file.
    pub kind: NodeKind,
    /// Permission bits, `0..=0o7777`.
    pub mode: u16,
    /// Who owns it.
    pub owner: Owner,
    /// Link count: 1 for a file, 2 and the number of subdirectories for a directory.
    pub nlink: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last modification.
    pub mtime: Timestamp,
    /// Last change of the attributes.
    pub ctime: Timestamp,
}

/// A change of attributes that the VFS has permitted. `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttr {
    /// Permission bits.
    pub mode: Option<u16>,
    /// Kernel user id.
    pub uid: Option<u32>,
    /// Kernel group id.
    pub gid: Option<u32>,
    /// Last access.
    pub atime: Option<Timestamp>,
    /// Last modification.
    pub mtime: Option<Timestamp>,
    /// When the change happens.
    pub ctime: Timestamp,
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// Where to go on: the next call's `after`.
    pub position: u64,
    /// The node.
    pub id: NodeId,
    /// A directory or a file.
    pub kind: NodeKind,
    /// Its name.
    pub name: &'a [u8],
}

/// The tree of one file system, empty while it is not mounted.
pub(crate) struct Tree<C> {
    slots: Slots<C>,
    root: Option<NodeId>,
}

/// The longest name the VFS passes: what fits a path with its NUL (`PATH_MAX`). kernfs has no limit of its own, not even the
/// `NAME_MAX` that `statfs` shows.
pub(crate) const NAME_MAX: usize = 4095;

impl<C: Content> Tree<C> {
    pub(crate) const fn new() -> Self {
        Tree { slots: Slots::new(), root: None }
    }

    pub(crate) const fn root(&self) -> Option<NodeId> {
        self.root
    }

    /// How much room a branch of `nodes` nodes needs below `parent`, or as the whole tree.
    ///
    /// # Errors
    /// `ENOENT` when there is no such directory.
    fn missing(&self, parent: Option<NodeId>, nodes: usize) -> Result<Room<C>> {
        self.slots.missing(parent, nodes)
    }

    /// Takes a branch in: below the directory `parent`, or as the whole tree. Takes memory only from `room`, and puts there
    /// what it does not need any more. Nothing happens, and the answer is false, if that is not enough.
    ///
    /// # Errors
    /// `ENOENT` when the parent has gone, `EEXIST` when it has such a child; nothing changed.
    fn attach(&mut self, parent: Option<NodeId>, branch: &mut Branch<C>, room: &mut Room<C>) -> Result<bool> {
        let top = branch.top();
        if let Some(parent) = parent {
            let name = branch.slots.find(top).map_or(&b""[..], |node| &node.name);
            self.refuse_name(parent, name, top)?;
        }
        if !self.slots.take_room(parent, branch.slots.len(), room) {
            return Ok(false);
        }
        self.slots.take_all(&mut branch.slots);
        match parent {
            Some(parent) => self.slots.link(top, parent),
            None => self.root = Some(top),
        }
        Ok(true)
    }

    /// Removes a node and everything below it, for the caller to free. Unknown ids are ignored.
    #[must_use = "freed without the lock"]
    fn remove(&mut self, id: NodeId) -> slots::Removed<C> {
        self.slots.unlink(id);
        if self.root == Some(id) {
            self.root = None;
        }
        self.slots.take_out(id)
    }

    /// Moves a node to another directory and name, which is exchanged for the old one. As [`Tree::attach`].
    ///
    /// # Errors
    /// `ENOENT`, `EEXIST`; nothing changed.
    fn rename(&mut self, id: NodeId, parent: NodeId, name: &mut Name, room: &mut Room<C>) -> Result<bool> {
        self.slots.find(id).ok_or(Errno::ENOENT)?;
        self.refuse_name(parent, name, id)?;
        if !self.slots.take_room(Some(parent), 0, room) {
            return Ok(false);
        }
        self.slots.unlink(id);
        if let Some(node) = self.slots.find_mut(id) {
            core::mem::swap(&mut node.name, name);
        }
        self.slots.link(id, parent);
        Ok(true)
    }

    /// Refuses a name that another child of the directory has.
    fn refuse_name(&self, parent: NodeId, name: &[u8], but: NodeId) -> Result<()> {
        let dir = self.slots.find(parent).ok_or(Errno::ENOENT)?;
        match self.slots.child(dir, name) {
            Some(child) if child != but => Err(Errno::EEXIST),
            _ => Ok(()),
        }
    }

    /// Whether the directory has a child of this name, hidden or not.
    pub(crate) fn has(&self, parent: NodeId, name: &[u8]) -> bool {
        self.slots.find(parent).is_some_and(|dir| self.slots.child(dir, name).is_some())
    }

    /// Hides a node, or shows it again. Who has it open finds it gone for as long as it is hidden.
    fn set_hidden(&mut self, id: NodeId, hidden: Switch) {
        let Some(node) = self.slots.find_mut(id) else { return };
        let before = u32::from(node.is_subdir());
        node.hidden = hidden.is_on();
        let (parent, now) = (node.parent, u32::from(node.is_subdir()));
        if let Some(dir) = self.slots.find_mut(parent) {
            dir.change_subdirs(before, now);
        }
    }

    /// What the node stands for, unless it is hidden.
    pub(crate) fn content(&self, id: NodeId) -> Option<C> {
        self.visible(id).map(|node| node.content)
    }

    /// What the node stands for, unless it is hidden, and the directory it is in.
    pub(crate) fn content_and_parent(&self, id: NodeId) -> Option<(C, NodeId)> {
        self.visible(id).map(|node| (node.content, node.parent))
    }

    fn visible(&self, id: NodeId) -> Option<&Node<C>> {
        self.slots.find(id).filter(|node| !node.hidden)
    }

    /// The directory a node is in.
    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.slots.find(id).map(|node| node.parent)
    }

    /// The name of a node in its directory.
    pub(crate) fn name(&self, id: NodeId) -> Option<&Name> {
        self.slots.find(id).map(|node| &node.name)
    }

    /// The visible child of this name.
    pub(crate) fn lookup(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let id = self.slots.child(self.slots.find(parent)?, name)?;
        self.visible(id).map(|_| id)
    }

    pub(crate) fn attr(&self, id: NodeId) -> Option<Attr> {
        Some(attr_of(id, self.slots.find(id)?))
    }

    /// What `stat` shows of the visible child of this name.
    pub(crate) fn entry(&self, parent: NodeId, name: &[u8]) -> Option<Attr> {
        let (id, node) = self.slots.child_node(self.slots.find(parent)?, name)?;
        (!node.hidden).then(|| attr_of(id, node))
    }

    fn set_attr(&mut self, id: NodeId, change: &SetAttr) -> Result<()> {
        let node = self.slots.find_mut(id).ok_or(Errno::ENOENT)?;
        let [atime, mtime, ctime] = &mut node.times;
        node.mode = change.mode.unwrap_or(node.mode) & 0o7777;
        node.owner.uid = change.uid.unwrap_or(node.owner.uid);
        node.owner.gid = change.gid.unwrap_or(node.owner.gid);
        *atime = change.atime.unwrap_or(*atime);
        *mtime = change.mtime.unwrap_or(*mtime);
        *ctime = change.ctime;
        Ok(())
    }

    /// Calls `visit` with the visible children of a directory, ascending by id from the first above `after` on, until it says
    /// false.
    ///
    /// # Errors
    /// `ENOENT` when the directory has gone.
    pub(crate) fn entries(&self, dir: NodeId, after: u64, visit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let dir = self.slots.find(dir).ok_or(Errno::ENOENT)?;
        let children = dir.children();
        let start = children.partition_point(|child| child.0 <= after);
        for &id in &children[start..] {
            let Some(node) = self.visible(id) else { continue };
            if !visit(DirEntry { position: id.0, id, kind: node.content.kind(), name: &node.name }) {
                break;
            }
        }
        Ok(())
    }

    /// Changes the permission bits of the child of this name, if there is one: whatever was set before.
    fn set_mode(&mut self, dir: NodeId, name: &str, mode: u16) {
        let child = self.slots.find(dir).and_then(|dir| self.slots.child(dir, name.as_bytes()));
        if let Some(node) = child.and_then(|id| self.slots.find_mut(id)) {
            node.mode = mode;
        }
    }
}

fn attr_of<C: Content>(id: NodeId, node: &Node<C>) -> Attr {
    let kind = node.content.kind();
    let nlink = match kind {
        NodeKind::File => 1,
        NodeKind::Dir => 2 + node.subdirs(),
    };
    let [atime, mtime, ctime] = node.times;
    Attr { id, kind, mode: node.mode, owner: node.owner, nlink, atime, mtime, ctime }
}

#[cfg(test)]
mod tests;
