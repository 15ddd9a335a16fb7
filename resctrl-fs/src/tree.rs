// SPDX-License-Identifier: GPL-2.0-only
//! The tree of files and directories, with the semantics of kernfs.
//!
//! The module can not use kernfs (it is not exported), and a tree that only exists as dentries could not change from a
//! hotplug callback without taking the VFS's locks below the rdtgroup mutex. So the tree is plain data under a lock of
//! its own, innermost in the lock order, and the VFS asks it: what is called so in this directory, is this still there,
//! what mode has it. Removing a node never waits for anybody; whoever still has it open finds out by `ENODEV`.
//!
//! # Invariants
//! * Ids count up from the root's 1 and are never used again, so that an id is a stale-proof reference.
//! * `slots` is sorted by id, and so are the children of each directory; its `names` are sorted by their hashes.
//! * `subdirs` is the number of a directory's visible subdirectories.
//!
//! There is a node for each event of each domain in each group, so their number is the product of the three. Nothing that is
//! done for one node goes through all of them, or through all children of a directory.

use resctrl_types::platform::{Owner, Timestamp};
use resctrl_types::{Errno, KBox, KVec, Result};

use crate::nodes::Node as Key;

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

/// What `stat` shows of a node.
#[derive(Clone, Copy, Debug)]
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

/// One step of reading a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Where to go on: the next call's `after`.
    pub position: u64,
    /// The node.
    pub id: NodeId,
    /// A directory or a file.
    pub kind: NodeKind,
    /// Bytes of the name.
    pub len: usize,
}

struct Node {
    parent: NodeId,
    name: KVec<u8>,
    key: Key,
    mode: u16,
    owner: Owner,
    times: [Timestamp; 3],
    /// Look-ups do not find it: a directory under construction, a file that another setting has no use for.
    hidden: bool,
    children: KVec<NodeId>,
    /// The children again, to be found by name.
    names: KVec<Named>,
    subdirs: u32,
}

impl Node {
    /// Whether it counts as a link of the directory it is in.
    const fn is_subdir(&self) -> bool {
        !self.hidden && matches!(self.key.kind(), NodeKind::Dir)
    }
}

/// A child, by the hash of its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    hash: u32,
    id: NodeId,
}

/// Where a node is, or was. The ids lie side by side, so that looking for one touches little memory.
struct Slot {
    id: NodeId,
    node: Option<KBox<Node>>,
}

/// What a new node is like.
#[derive(Clone, Copy)]
pub(crate) struct NewNode<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) key: Key,
    pub(crate) mode: u16,
    pub(crate) owner: Owner,
    pub(crate) now: Timestamp,
    pub(crate) hidden: bool,
}

/// The tree of one file system, empty while it is not mounted.
pub(crate) struct Tree {
    slots: KVec<Slot>,
    /// Slots whose node has gone: less than half of them.
    empty: usize,
    root: Option<NodeId>,
    next: u64,
}

/// The longest name the VFS passes: what fits a path with its NUL (`PATH_MAX`). kernfs has no limit of its own, not even the
/// `NAME_MAX` that `statfs` shows.
pub(crate) const NAME_MAX: usize = 4095;

impl Tree {
    pub(crate) const fn new() -> Self {
        Tree { slots: KVec::new(), empty: 0, root: None, next: 1 }
    }

    pub(crate) const fn root(&self) -> Option<NodeId> {
        self.root
    }

    /// Makes the root of an empty tree.
    pub(crate) fn plant(&mut self, mode: u16, owner: Owner, now: Timestamp) -> Result<NodeId> {
        debug_assert!(self.root.is_none());
        let id = self.insert(NodeId(0), &NewNode { name: b"", key: Key::Root, mode, owner, now, hidden: false })?;
        self.root = Some(id);
        Ok(id)
    }

    /// Makes a node in the directory `parent`.
    ///
    /// # Errors
    /// `ENOENT` when the parent has gone, `EEXIST`, `ENOMEM`, `ENAMETOOLONG`.
    pub(crate) fn add(&mut self, parent: NodeId, new: &NewNode<'_>) -> Result<NodeId> {
        if new.name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let dir = self.find(parent).ok_or(Errno::ENOENT)?;
        if self.child(dir, new.name).is_some() {
            return Err(Errno::EEXIST);
        }
        self.make_room(parent)?;
        let id = self.insert(parent, new)?;
        self.link(id, parent)?;
        Ok(id)
    }

    /// Makes a hidden directory visible.
    pub(crate) fn activate(&mut self, id: NodeId) {
        self.hide(id, false);
    }

    /// Removes a node and everything below it. Unknown ids are ignored.
    pub(crate) fn remove(&mut self, id: NodeId) {
        self.unlink(id);
        if self.root == Some(id) {
            self.root = None;
        }
        self.free(id);
        // Each slot is moved less than once for each node that goes.
        if self.empty * 2 >= self.slots.len() {
            self.slots.retain(|slot| slot.node.is_some());
            self.empty = 0;
        }
    }

    /// Frees a subtree. Its depth is bounded by the layout: root, `mon_groups` of a group, group, `mon_data`, domain.
    fn free(&mut self, id: NodeId) {
        let Some(node) = self.place(id).and_then(|at| self.slots[at].node.take()) else { return };
        self.empty += 1;
        for &child in &node.children {
            self.free(child);
        }
    }

    /// Makes room for one more child of a directory.
    fn make_room(&mut self, dir: NodeId) -> Result<()> {
        let dir = self.find_mut(dir).ok_or(Errno::ENOENT)?;
        dir.children.reserve(1)?;
        dir.names.reserve(1)
    }

    /// Makes a node the child of a directory, where there is room.
    fn link(&mut self, id: NodeId, parent: NodeId) -> Result<()> {
        let node = self.find_mut(id).ok_or(Errno::ENOENT)?;
        node.parent = parent;
        let (named, subdir) = (Named { hash: hash(&node.name), id }, node.is_subdir());
        let dir = self.find_mut(parent).ok_or(Errno::ENOENT)?;
        dir.subdirs += u32::from(subdir);
        dir.children.insert(dir.children.partition_point(|&child| child < id), id)?;
        dir.names.insert(dir.names.partition_point(|other| *other < named), named)
    }

    /// Takes a node out of its directory.
    fn unlink(&mut self, id: NodeId) {
        let Some(node) = self.find(id) else { return };
        let (parent, named, subdir) = (node.parent, Named { hash: hash(&node.name), id }, node.is_subdir());
        let Some(dir) = self.find_mut(parent) else { return };
        dir.subdirs -= u32::from(subdir);
        if let Ok(at) = dir.children.binary_search(&id) {
            dir.children.remove(at);
        }
        if let Ok(at) = dir.names.binary_search(&named) {
            dir.names.remove(at);
        }
    }

    /// Moves a node to another directory and name.
    ///
    /// # Errors
    /// `ENOENT`, `EEXIST`, `ENOMEM`; nothing changed.
    pub(crate) fn rename(&mut self, id: NodeId, parent: NodeId, name: &[u8]) -> Result<()> {
        self.find(id).ok_or(Errno::ENOENT)?;
        let dir = self.find(parent).ok_or(Errno::ENOENT)?;
        if self.child(dir, name).is_some_and(|child| child != id) {
            return Err(Errno::EEXIST);
        }
        let name = KVec::from_slice(name)?;
        self.make_room(parent)?;
        self.unlink(id);
        if let Some(node) = self.find_mut(id) {
            node.name = name;
        }
        self.link(id, parent)
    }

    /// Hides a node, or shows it again, wherever it is. Who has it open finds it gone for as long as it is hidden.
    pub(crate) fn set_hidden(&mut self, key: Key, hidden: bool) {
        for at in 0..self.slots.len() {
            let slot = &self.slots[at];
            if slot.node.as_ref().is_some_and(|node| node.key == key) {
                self.hide(slot.id, hidden);
            }
        }
    }

    fn hide(&mut self, id: NodeId, hidden: bool) {
        let Some(node) = self.find_mut(id) else { return };
        let before = u32::from(node.is_subdir());
        node.hidden = hidden;
        let (parent, now) = (node.parent, u32::from(node.is_subdir()));
        if let Some(dir) = self.find_mut(parent) {
            dir.subdirs = dir.subdirs + now - before;
        }
    }

    /// What the node is, unless it is hidden.
    pub(crate) fn key(&self, id: NodeId) -> Option<Key> {
        self.find(id).filter(|node| !node.hidden).map(|node| node.key)
    }

    /// The name of the node that is `key`.
    pub(crate) fn name_of(&self, key: Key) -> Option<&[u8]> {
        let mut nodes = self.slots.iter().filter_map(|slot| slot.node.as_ref());
        nodes.find(|node| node.key == key).map(|node| &node.name[..])
    }

    /// The directory a node is in.
    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.find(id).map(|node| node.parent)
    }

    /// The name of a node in its directory.
    pub(crate) fn name(&self, id: NodeId) -> Option<&[u8]> {
        self.find(id).map(|node| &node.name[..])
    }

    /// The visible child of this name.
    pub(crate) fn lookup(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let id = self.child(self.find(parent)?, name)?;
        (!self.find(id)?.hidden).then_some(id)
    }

    /// Whether `id` still is the visible child of `parent` with this name.
    pub(crate) fn is_linked(&self, id: NodeId, parent: NodeId, name: &[u8]) -> bool {
        self.find(id).is_some_and(|node| !node.hidden && node.parent == parent && node.name[..] == *name)
    }

    pub(crate) fn attr(&self, id: NodeId) -> Option<Attr> {
        let node = self.find(id)?;
        let kind = node.key.kind();
        let nlink = match kind {
            NodeKind::File => 1,
            NodeKind::Dir => 2 + node.subdirs,
        };
        let [atime, mtime, ctime] = node.times;
        Some(Attr { id, kind, mode: node.mode, owner: node.owner, nlink, atime, mtime, ctime })
    }

    pub(crate) fn set_attr(&mut self, id: NodeId, change: &SetAttr) -> Result<()> {
        let node = self.find_mut(id).ok_or(Errno::ENOENT)?;
        let [atime, mtime, ctime] = &mut node.times;
        node.mode = change.mode.unwrap_or(node.mode) & 0o7777;
        node.owner.uid = change.uid.unwrap_or(node.owner.uid);
        node.owner.gid = change.gid.unwrap_or(node.owner.gid);
        *atime = change.atime.unwrap_or(*atime);
        *mtime = change.mtime.unwrap_or(*mtime);
        *ctime = change.ctime;
        Ok(())
    }

    /// The first visible child with an id above `after`; its name goes into `name`.
    ///
    /// # Errors
    /// `ENOENT` when the directory has gone, `ENAMETOOLONG` when there is no room for the name.
    pub(crate) fn next_entry(&self, dir: NodeId, after: u64, name: &mut [u8]) -> Result<Option<DirEntry>> {
        let dir = self.find(dir).ok_or(Errno::ENOENT)?;
        let start = dir.children.partition_point(|child| child.0 <= after);
        let mut children = dir.children[start..].iter().filter_map(|&id| self.find(id).map(|node| (id, node)));
        let Some((id, node)) = children.find(|(_, node)| !node.hidden) else { return Ok(None) };
        let len = node.name.len();
        name.get_mut(..len).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(&node.name);
        Ok(Some(DirEntry { position: id.0, id, kind: node.key.kind(), len }))
    }

    /// Changes the permission bits of the child of this name, if there is one: whatever was set before.
    pub(crate) fn set_mode(&mut self, dir: NodeId, name: &str, mode: u16) {
        let child = self.find(dir).and_then(|dir| self.child(dir, name.as_bytes()));
        if let Some(node) = child.and_then(|id| self.find_mut(id)) {
            node.mode = mode;
        }
    }

    fn insert(&mut self, parent: NodeId, new: &NewNode<'_>) -> Result<NodeId> {
        let id = NodeId(self.next);
        let node = Node {
            parent,
            name: KVec::from_slice(new.name)?,
            key: new.key,
            mode: new.mode,
            owner: new.owner,
            times: [new.now; 3],
            hidden: new.hidden,
            children: KVec::new(),
            names: KVec::new(),
            subdirs: 0,
        };
        self.slots.push(Slot { id, node: Some(KBox::new(node)?) })?;
        self.next += 1;
        Ok(id)
    }

    fn place(&self, id: NodeId) -> Option<usize> {
        self.slots.binary_search_by_key(&id, |slot| slot.id).ok()
    }

    fn find(&self, id: NodeId) -> Option<&Node> {
        self.slots[self.place(id)?].node.as_deref()
    }

    fn find_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        let at = self.place(id)?;
        self.slots[at].node.as_deref_mut()
    }

    fn child(&self, dir: &Node, name: &[u8]) -> Option<NodeId> {
        let hash = hash(name);
        let first = dir.names.partition_point(|named| named.hash < hash);
        let alike = dir.names[first..].iter().take_while(|named| named.hash == hash);
        alike.map(|named| named.id).find(|&id| self.name(id) == Some(name))
    }
}

/// FNV-1a, as good as any for names that root chooses: names that collide take longer.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
