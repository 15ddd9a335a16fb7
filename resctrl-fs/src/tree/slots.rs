// SPDX-License-Identifier: GPL-2.0-only
//! Nodes by id, and directories with what is in them.
//!
//! # Invariants
//! * `slots` is sorted by id, and so are the children of each directory; its `names` are sorted by their hashes.
//! * A node has `entries` if it is a directory.
//! * Less than half of the slots are empty.
//!
//! What is linked, taken in or taken out here neither allocates nor frees: there was room before ([`Slots::missing`],
//! [`Slots::take_room`]), and what went is handed out.

use resctrl_types::platform::{Owner, Timestamp};
use resctrl_types::{Errno, KBox, KVec, Result};

use super::xattr::Xattrs;
use super::{Content, Name, NodeId, NodeKind};

pub(super) struct Node<C> {
    pub(super) parent: NodeId,
    pub(super) name: Name,
    pub(super) content: C,
    pub(super) mode: u16,
    pub(super) owner: Owner,
    pub(super) times: [Timestamp; 3],
    /// Look-ups do not find it: a file that another setting has no use for.
    pub(super) hidden: bool,
    /// Apart, since nearly all nodes are files: so they fit a smaller piece of the kernel's memory.
    entries: Option<KBox<Entries>>,
    pub(super) xattrs: Xattrs,
    /// The next one that was removed with it.
    removed: Option<KBox<Node<C>>>,
}

/// What is in a directory.
struct Entries {
    children: KVec<NodeId>,
    /// The children again, to be found by name.
    names: KVec<Named>,
    subdirs: u32,
}

impl Entries {
    const NONE: Entries = Entries { children: KVec::new(), names: KVec::new(), subdirs: 0 };
}

impl<C: Content> Node<C> {
    pub(super) const fn new(name: Name, content: C, mode: u16, owner: Owner, now: Timestamp) -> Self {
        Node {
            parent: NodeId(0),
            name,
            content,
            mode,
            owner,
            times: [now; 3],
            hidden: false,
            entries: None,
            xattrs: Xattrs::new(),
            removed: None,
        }
    }

    /// What is in it, by id; of a file, nothing.
    pub(super) fn children(&self) -> &[NodeId] {
        self.entries.as_ref().map_or(&[], |entries| &entries.children)
    }

    /// How many directories are in it that count as its links.
    pub(super) fn subdirs(&self) -> u32 {
        self.entries.as_ref().map_or(0, |entries| entries.subdirs)
    }

    /// As many as there were `before` have become as many as there are `now`.
    pub(super) fn change_subdirs(&mut self, before: u32, now: u32) {
        if let Some(entries) = &mut self.entries {
            entries.subdirs = entries.subdirs + now - before;
        }
    }

    /// Whether it counts as a link of the directory it is in.
    pub(super) fn is_subdir(&self) -> bool {
        !self.hidden && self.content.kind() == NodeKind::Dir
    }
}

/// A child, by the hash of its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    hash: u32,
    id: NodeId,
}

/// Where a node is, or was. The ids lie side by side, so that looking for one touches little memory.
struct Slot<C> {
    id: NodeId,
    node: Option<KBox<Node<C>>>,
}

/// Nodes that were removed. Dropping this frees them, one after the other.
pub(super) struct Removed<C>(Option<KBox<Node<C>>>);

impl<C> Drop for Removed<C> {
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(mut node) = next {
            next = node.removed.take();
        }
    }
}

/// Memory for what grows when nodes are taken in, or that it does not need any more; and how large that must be.
pub(super) struct Room<C> {
    wanted: [usize; 3],
    slots: KVec<Slot<C>>,
    children: KVec<NodeId>,
    names: KVec<Named>,
}

impl<C> Default for Room<C> {
    fn default() -> Self {
        Self::wanting([0; 3])
    }
}

impl<C> Room<C> {
    const fn wanting(wanted: [usize; 3]) -> Self {
        Room { wanted, slots: KVec::new(), children: KVec::new(), names: KVec::new() }
    }

    /// Allocates what is wanted.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn allocate(mut self) -> Result<Self> {
        let [slots, children, names] = self.wanted;
        self.slots = KVec::with_capacity(slots)?;
        self.children = KVec::with_capacity(children)?;
        self.names = KVec::with_capacity(names)?;
        Ok(self)
    }
}

/// How large a vector should get that has no room for `more` elements, twice as large as it is at least; 0 for one that has.
fn larger<T>(vec: &KVec<T>, more: usize) -> usize {
    if vec.has_room(more) { 0 } else { (vec.len() + more).max(vec.len() * 2).max(4) }
}

/// Whether the vector has room for `more` elements, or has now, in the memory of `spare`.
fn grow<T>(vec: &mut KVec<T>, more: usize, spare: &mut KVec<T>) -> bool {
    if !vec.has_room(more) && spare.has_room(vec.len() + more) {
        vec.move_to(spare);
    }
    vec.has_room(more)
}

/// Nodes by id.
pub(super) struct Slots<C> {
    slots: KVec<Slot<C>>,
    empty: usize,
}

impl<C: Content> Slots<C> {
    pub(super) const fn new() -> Self {
        Slots { slots: KVec::new(), empty: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Ids are given out one after the other, so mostly there are as many nodes before one as ids, or behind it.
    fn place(&self, id: NodeId) -> Option<usize> {
        let (first, last) = (self.slots.first()?, self.slots.last()?);
        let steps = |from: NodeId, to: NodeId| usize::try_from(to.0.checked_sub(from.0)?).ok();
        // Ids that nobody has any more lie in between, so the place is there or before, and there or behind.
        let high = steps(first.id, id)?.min(self.slots.len().saturating_sub(1));
        let low = self.slots.len().saturating_sub(1).saturating_sub(steps(id, last.id)?);
        let is_at = |at: usize| self.slots.get(at).is_some_and(|slot| slot.id == id);
        if is_at(high) {
            return Some(high);
        }
        if is_at(low) {
            return Some(low);
        }
        let between = self.slots.get(low..high)?;
        between.binary_search_by_key(&id, |slot| slot.id).ok().map(|at| at.saturating_add(low))
    }

    pub(super) fn find(&self, id: NodeId) -> Option<&Node<C>> {
        self.slots.get(self.place(id)?)?.node.as_deref()
    }

    pub(super) fn find_mut(&mut self, id: NodeId) -> Option<&mut Node<C>> {
        let at = self.place(id)?;
        self.slots.get_mut(at)?.node.as_deref_mut()
    }

    fn entries_mut(&mut self, dir: NodeId) -> Option<&mut Entries> {
        self.find_mut(dir)?.entries.as_deref_mut()
    }

    pub(super) fn child(&self, dir: &Node<C>, name: &[u8]) -> Option<NodeId> {
        self.child_node(dir, name).map(|(id, _)| id)
    }

    pub(super) fn child_node(&self, dir: &Node<C>, name: &[u8]) -> Option<(NodeId, &Node<C>)> {
        let hash = hash(name);
        let names = &dir.entries.as_ref()?.names;
        let first = names.partition_point(|named| named.hash < hash);
        let alike = names[first..].iter().take_while(|named| named.hash == hash);
        let mut nodes = alike.filter_map(|named| Some((named.id, self.find(named.id)?)));
        nodes.find(|(_, node)| node.name[..] == *name)
    }

    /// What has to be allocated before `nodes` nodes can be taken in and one linked to the directory, if there is one.
    ///
    /// # Errors
    /// `ENOENT` without the directory.
    pub(super) fn missing(&self, dir: Option<NodeId>, nodes: usize) -> Result<Room<C>> {
        let slots = larger(&self.slots, nodes);
        let Some(dir) = dir else { return Ok(Room::wanting([slots, 0, 0])) };
        let dir = self.find(dir).and_then(|dir| dir.entries.as_ref()).ok_or(Errno::ENOENT)?;
        Ok(Room::wanting([slots, larger(&dir.children, 1), larger(&dir.names, 1)]))
    }

    /// Lets what has to grow have the memory of `room`. Whether it is enough.
    pub(super) fn take_room(&mut self, dir: Option<NodeId>, nodes: usize, room: &mut Room<C>) -> bool {
        let enough = grow(&mut self.slots, nodes, &mut room.slots);
        let Some(dir) = dir else { return enough };
        let Some(dir) = self.entries_mut(dir) else { return false };
        let enough = grow(&mut dir.children, 1, &mut room.children) && enough;
        grow(&mut dir.names, 1, &mut room.names) && enough
    }

    /// Adds a node that is in no directory, with an id above all others.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(super) fn push(&mut self, id: NodeId, mut node: Node<C>) -> Result<()> {
        debug_assert!(self.slots.last().is_none_or(|last| last.id < id));
        if node.content.kind() == NodeKind::Dir {
            node.entries = Some(KBox::new(Entries::NONE)?);
        }
        self.slots.push(Slot { id, node: Some(KBox::new(node)?) })
    }

    /// Makes room for one more child of a directory.
    ///
    /// # Errors
    /// `ENOENT`, `ENOMEM`.
    pub(super) fn reserve_child(&mut self, dir: NodeId) -> Result<()> {
        let dir = self.entries_mut(dir).ok_or(Errno::ENOENT)?;
        dir.children.reserve(1)?;
        dir.names.reserve(1)
    }

    /// Takes over the nodes of another, for which there is room.
    pub(super) fn take_all(&mut self, other: &mut Self) {
        for slot in &mut other.slots {
            let at = self.slots.partition_point(|there| there.id < slot.id);
            // Cannot fail: there is room.
            let _ = self.slots.insert(at, Slot { id: slot.id, node: slot.node.take() });
        }
    }

    /// Makes a node the child of a directory, where there is room. Without the directory nothing happens.
    pub(super) fn link(&mut self, id: NodeId, parent: NodeId) {
        let Some(node) = self.find_mut(id) else { return };
        node.parent = parent;
        let (named, subdir) = (Named { hash: hash(&node.name), id }, node.is_subdir());
        let Some(dir) = self.entries_mut(parent) else { return };
        dir.subdirs += u32::from(subdir);
        // Neither can fail: there is room.
        let _ = dir.children.insert(dir.children.partition_point(|&child| child < id), id);
        let _ = dir.names.insert(dir.names.partition_point(|other| *other < named), named);
    }

    /// Takes a node out of its directory.
    pub(super) fn unlink(&mut self, id: NodeId) {
        let Some(node) = self.find(id) else { return };
        let (parent, named, subdir) = (node.parent, Named { hash: hash(&node.name), id }, node.is_subdir());
        let Some(dir) = self.entries_mut(parent) else { return };
        dir.subdirs -= u32::from(subdir);
        if let Ok(at) = dir.children.binary_search(&id) {
            dir.children.remove(at);
        }
        if let Ok(at) = dir.names.binary_search(&named) {
            dir.names.remove(at);
        }
    }

    /// Takes a node and all below it out.
    pub(super) fn take_out(&mut self, id: NodeId) -> Removed<C> {
        let mut removed = Removed(None);
        self.take_below(id, &mut removed);
        // Each slot is moved less than once for each node that goes.
        if self.empty * 2 >= self.slots.len() {
            self.slots.retain(|slot| slot.node.is_some());
            self.empty = 0;
        }
        removed
    }

    /// The depth is bounded by the layout: root, `mon_groups` of a group, group, `mon_data`, domain.
    fn take_below(&mut self, id: NodeId, removed: &mut Removed<C>) {
        let Some(mut node) = self.place(id).and_then(|at| self.slots.get_mut(at)?.node.take()) else { return };
        self.empty += 1;
        for &child in node.children() {
            self.take_below(child, removed);
        }
        node.removed = removed.0.take();
        removed.0 = Some(node);
    }

    #[cfg(test)]
    pub(super) fn is_compact(&self) -> bool {
        self.empty * 2 < self.slots.len().max(1)
    }
}

/// FNV-1a, as good as any for names that root chooses: names that collide take longer.
pub(super) fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with four files, and no more memory than that took.
    fn directory() -> (Slots<NodeKind>, NodeId) {
        let mut slots = Slots::new();
        let node = |kind| Node::new(Name::from(""), kind, 0, Owner::default(), Timestamp::default());
        let dir = NodeId(1);
        slots.push(dir, node(NodeKind::Dir)).unwrap();
        for id in (2..6).map(NodeId) {
            slots.reserve_child(dir).unwrap();
            slots.push(id, node(NodeKind::File)).unwrap();
            slots.link(id, dir);
        }
        (slots, dir)
    }

    #[test]
    fn room_is_enough_when_everything_has_some_that_must_grow() {
        for lacking in [None, Some(0), Some(1), Some(2)] {
            let (mut slots, dir) = directory();
            let mut room = slots.missing(Some(dir), 64).unwrap();
            assert!(room.wanted.iter().all(|&wanted| wanted > 0), "{:?}", room.wanted);
            if let Some(lacking) = lacking {
                room.wanted[lacking] = 0;
            }
            let mut room = room.allocate().unwrap();
            assert_eq!(slots.take_room(Some(dir), 64, &mut room), lacking.is_none(), "{lacking:?}");
        }
    }

    #[test]
    fn what_is_full_gets_twice_as_large_so_that_it_is_seldom_moved() {
        let vec = KVec::from_slice(&[0; 8]).unwrap();
        assert!(!vec.has_room(1));
        assert_eq!((larger(&vec, 0), larger(&vec, 1), larger(&vec, 20)), (0, 16, 28));
    }

    /// Vectors of its authors'.
    #[test]
    fn names_are_hashed_by_fnv_1a() {
        assert_eq!([&b""[..], b"a", b"foobar"].map(hash), [0x811c_9dc5, 0xe40c_292c, 0xbf9c_f968]);
    }

    #[test]
    fn a_node_fits_the_piece_of_128_bytes_that_the_kernel_has() {
        assert!(size_of::<Node<crate::nodes::Node>>() <= 128, "{}", size_of::<Node<crate::nodes::Node>>());
        assert!(size_of::<Entries>() <= 64, "{}", size_of::<Entries>());
    }
}
