// SPDX-License-Identifier: GPL-2.0-only
//! Nodes that are made before they are in the tree, without its lock.

use core::sync::atomic::{AtomicU64, Ordering};

use resctrl_types::platform::{Owner, Timestamp};
use resctrl_types::{Errno, Result};

use super::slots::{Node, Slots};
use super::{Content, Name, NodeId};

/// Ids for new nodes: each is given out once.
pub(crate) struct Ids(AtomicU64);

impl Ids {
    pub(crate) const fn new() -> Self {
        Ids(AtomicU64::new(1))
    }

    fn take(&self) -> NodeId {
        NodeId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a new node is like.
#[derive(Clone)]
pub(crate) struct NewNode<C> {
    pub(crate) name: Name,
    pub(crate) content: C,
    pub(crate) mode: u16,
    pub(crate) owner: Owner,
    pub(crate) now: Timestamp,
}

/// A node with what is below it, on its way into a tree.
pub(crate) struct Branch<C> {
    pub(super) slots: Slots<C>,
    top: NodeId,
}

impl<C: Content> Branch<C> {
    /// A branch of one node.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(ids: &Ids, top: NewNode<C>) -> Result<Self> {
        let mut slots = Slots::new();
        let id = ids.take();
        slots.push(id, top.into_node())?;
        Ok(Branch { slots, top: id })
    }

    /// The node that is to be linked to a directory of the tree.
    pub(crate) const fn top(&self) -> NodeId {
        self.top
    }

    /// Makes a node in the directory `parent` of the branch.
    ///
    /// # Errors
    /// `ENOENT` when there is no such directory in the branch, `EEXIST`, `ENOMEM`.
    pub(crate) fn add(&mut self, ids: &Ids, parent: NodeId, new: NewNode<C>) -> Result<NodeId> {
        let dir = self.slots.find(parent).ok_or(Errno::ENOENT)?;
        if self.slots.child(dir, &new.name).is_some() {
            return Err(Errno::EEXIST);
        }
        self.slots.reserve_child(parent)?;
        let id = ids.take();
        self.slots.push(id, new.into_node())?;
        self.slots.link(id, parent);
        Ok(id)
    }

    /// The child of this name.
    pub(crate) fn lookup(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.slots.child(self.slots.find(parent)?, name)
    }

    /// Lets look-ups not find a node.
    pub(crate) fn hide(&mut self, id: NodeId) {
        let Some(node) = self.slots.find_mut(id) else { return };
        let subdir = u32::from(node.is_subdir());
        node.hidden = true;
        let parent = node.parent;
        if let Some(dir) = self.slots.find_mut(parent) {
            dir.change_subdirs(subdir, 0);
        }
    }
}

impl<C: Content> NewNode<C> {
    fn into_node(self) -> Node<C> {
        Node::new(self.name, self.content, self.mode, self.owner, self.now)
    }
}
