// SPDX-License-Identifier: GPL-2.0-only
//! The tree with its lock.
//!
//! Look-ups share the lock. Whoever changes the tree allocates before, and frees after: a branch is built apart and linked in,
//! room for it is made on a guess and looked at again under the lock. Everything that changes goes through one function, which
//! counts the changes ([`Versioned::change`]): what was learnt from the tree is true for as long as the count stands, so
//! that the VFS need not ask again.

use resctrl_types::platform::{LockClass, RwLock};
use resctrl_types::{Errno, Platform, Result, Switch};

use super::slots::Room;
use super::version::{Seen, Versioned};
use super::xattr::Spare;
use super::{Branch, Content, Ids, Name, NewNode, NodeId, SetAttr, Tree, XattrSet};

type ReadGuard<'a, C, P> = <<P as Platform>::RwLock<Tree<C>> as RwLock<Tree<C>>>::ReadGuard<'a>;

/// A tree, its lock, and ids for its nodes.
pub(crate) struct SharedTree<C: Content, P: Platform> {
    tree: Versioned<P::RwLock<Tree<C>>>,
    ids: Ids,
}

impl<C: Content, P: Platform> SharedTree<C, P> {
    /// An empty tree.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(platform: &P) -> Result<Self> {
        let lock = platform.rw_lock(LockClass::Tree, Tree::new())?;
        Ok(SharedTree { tree: Versioned::new(lock), ids: Ids::new() })
    }

    /// The tree, to look at.
    pub(crate) fn read(&self) -> ReadGuard<'_, C, P> {
        self.tree.read()
    }

    /// The version of the tree: never 0. Takes no lock.
    pub(crate) fn version(&self) -> u64 {
        self.tree.version()
    }

    /// Looks at the tree.
    pub(crate) fn see<T>(&self, look: impl FnOnce(&Tree<C>) -> T) -> Seen<T> {
        self.tree.see(look)
    }

    /// Changes the tree. What `change` returns is dropped without the lock.
    fn change<T>(&self, change: impl FnOnce(&mut Tree<C>) -> T) -> T {
        self.tree.change(change)
    }

    /// A branch of one node, for [`SharedTree::attach`] or [`SharedTree::plant`].
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn branch(&self, top: NewNode<C>) -> Result<Branch<C>> {
        Branch::new(&self.ids, top)
    }

    /// Adds a node to a branch.
    ///
    /// # Errors
    /// Those of [`Branch::add`].
    pub(crate) fn grow(&self, branch: &mut Branch<C>, parent: NodeId, new: NewNode<C>) -> Result<NodeId> {
        branch.add(&self.ids, parent, new)
    }

    /// Makes a branch the whole tree, which is empty.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn plant(&self, branch: Branch<C>) -> Result<()> {
        self.take_in(None, branch)
    }

    /// Links a branch to the directory `parent`.
    ///
    /// # Errors
    /// `ENOENT` when the parent has gone, `EEXIST` when it has a child of that name, `ENOMEM`; nothing changed.
    pub(crate) fn attach(&self, parent: NodeId, branch: Branch<C>) -> Result<()> {
        self.take_in(Some(parent), branch)
    }

    fn take_in(&self, parent: Option<NodeId>, mut branch: Branch<C>) -> Result<()> {
        let nodes = branch.slots.len();
        self.with_room(parent, nodes, |tree, room| tree.attach(parent, &mut branch, room))
    }

    /// Changes the tree, with memory that was allocated before. `change` says whether that was enough: only somebody else who
    /// makes nodes at the same time can have taken it.
    fn with_room(
        &self,
        dir: Option<NodeId>,
        nodes: usize,
        mut change: impl FnMut(&mut Tree<C>, &mut Room<C>) -> Result<bool>,
    ) -> Result<()> {
        loop {
            let room = self.read().missing(dir, nodes)?;
            let mut room = room.allocate()?;
            if self.change(|tree| change(tree, &mut room))? {
                return Ok(());
            }
        }
    }

    /// Moves a node to another directory and name.
    ///
    /// # Errors
    /// `ENOENT`, `EEXIST`, `ENAMETOOLONG`, `ENOMEM`; nothing changed.
    pub(crate) fn rename(&self, id: NodeId, parent: NodeId, name: &[u8]) -> Result<()> {
        let mut name = Name::given(name)?;
        self.with_room(Some(parent), 0, |tree, room| tree.rename(id, parent, &mut name, room))
    }

    /// Removes a node and everything below it. Unknown ids are ignored.
    pub(crate) fn remove(&self, id: NodeId) {
        drop(self.change(|tree| tree.remove(id)));
    }

    /// Hides a node, or shows it again. Who has it open finds it gone for as long as it is hidden.
    pub(crate) fn set_hidden(&self, id: NodeId, hidden: Switch) {
        self.change(|tree| tree.set_hidden(id, hidden));
    }

    /// Changes the permission bits of children of a directory, as far as they are there: whatever was set before.
    pub(crate) fn set_modes(&self, dir: NodeId, modes: impl IntoIterator<Item = (&'static str, u16)>) {
        self.change(|tree| modes.into_iter().for_each(|(name, mode)| tree.set_mode(dir, name, mode)));
    }

    /// Changes attributes.
    ///
    /// # Errors
    /// `ENOENT` when the node has gone.
    pub(crate) fn set_attr(&self, id: NodeId, change: &SetAttr) -> Result<()> {
        self.change(|tree| tree.set_attr(id, change))
    }

    /// Sets an extended attribute, or removes it.
    ///
    /// # Errors
    /// `ENODEV` when the node has gone; `EEXIST` or `ENODATA` as `how` says; `ENOMEM`.
    pub(crate) fn set_xattr(&self, id: NodeId, name: &[u8], value: Option<&[u8]>, how: XattrSet) -> Result<()> {
        let mut spare = match value {
            Some(value) => Spare::new(name, value)?,
            None => Spare::nothing(),
        };
        self.change(|tree| {
            let node = tree.slots.find_mut(id).ok_or(Errno::ENODEV)?;
            node.xattrs.set(name, &mut spare, how)
        })
    }
}

impl<C: Content> Tree<C> {
    /// The names and values of a node's extended attributes.
    pub(crate) fn xattrs(&self, id: NodeId) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.slots.find(id).into_iter().flat_map(|node| node.xattrs.iter())
    }
}
