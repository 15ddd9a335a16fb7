// SPDX-License-Identifier: GPL-2.0-only
extern crate std;

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::slots::hash;
use super::*;

/// The first two have the same hash, and so have the last two.
const NAMES: [&str; 5] = ["costarring", "liquid", "tasks", "altarage", "zinke"];

/// What a node of this test stands for.
impl Content for NodeKind {
    fn kind(self) -> NodeKind {
        self
    }
}

fn new(name: &'static str, content: NodeKind) -> NewNode<NodeKind> {
    NewNode { name: Name::from(name), content, mode: 0o755, owner: Owner::default(), now: Timestamp::default() }
}

/// Room for a branch, as it is made without the lock.
fn room(tree: &Tree<NodeKind>, parent: Option<NodeId>, nodes: usize) -> Result<Room<NodeKind>> {
    tree.missing(parent, nodes)?.allocate()
}

/// Adds a branch of one node.
fn add(tree: &mut Tree<NodeKind>, ids: &Ids, parent: NodeId, new: NewNode<NodeKind>, hidden: bool) -> Result<NodeId> {
    let mut branch = Branch::new(ids, new)?;
    let mut room = room(tree, Some(parent), 1)?;
    let top = branch.top();
    if hidden {
        branch.hide(top);
    }
    assert!(tree.attach(Some(parent), &mut branch, &mut room)?, "there was room");
    Ok(top)
}

fn planted(ids: &Ids) -> (Tree<NodeKind>, NodeId) {
    let mut tree = Tree::new();
    let mut root = Branch::new(ids, new("", NodeKind::Dir)).unwrap();
    let mut room = room(&tree, None, 1).unwrap();
    assert_eq!(tree.attach(None, &mut root, &mut room), Ok(true));
    (tree, root.top())
}

#[test]
fn a_branch_is_there_as_a_whole() {
    let ids = Ids::new();
    let (mut tree, root) = planted(&ids);
    let mut branch = Branch::new(&ids, new("g", NodeKind::Dir)).unwrap();
    let top = branch.top();
    let tasks = branch.add(&ids, top, new("tasks", NodeKind::File)).unwrap();
    let below = branch.add(&ids, top, new("mon_data", NodeKind::Dir)).unwrap();
    assert_eq!(branch.add(&ids, top, new("tasks", NodeKind::File)), Err(Errno::EEXIST));
    assert_eq!((tree.lookup(root, b"g"), tree.attr(tasks)), (None, None));
    let mut room = room(&tree, Some(root), 3).unwrap();
    assert_eq!(tree.attach(Some(root), &mut branch, &mut room), Ok(true));
    assert_eq!((tree.lookup(root, b"g"), tree.lookup(top, b"tasks")), (Some(top), Some(tasks)));
    assert_eq!((tree.attr(root).unwrap().nlink, tree.attr(top).unwrap().nlink), (3, 3));
    drop(tree.remove(top));
    assert_eq!((tree.attr(below), tree.attr(root).unwrap().nlink), (None, 2));
}

#[test]
fn a_branch_without_room_for_it_changes_nothing() {
    let ids = Ids::new();
    let (mut tree, root) = planted(&ids);
    for name in ["a", "b", "c", "d"] {
        add(&mut tree, &ids, root, new(name, NodeKind::File), false).unwrap();
    }
    let mut branch = Branch::new(&ids, new("e", NodeKind::Dir)).unwrap();
    // As when somebody else has taken the room in between.
    let mut none = Room::default();
    assert_eq!(tree.attach(Some(root), &mut branch, &mut none), Ok(false));
    assert_eq!((tree.lookup(root, b"e"), tree.attr(root).unwrap().nlink), (None, 2));
    let mut room = room(&tree, Some(root), 1).unwrap();
    assert_eq!(tree.attach(Some(root), &mut branch, &mut room), Ok(true));
    assert_eq!(tree.lookup(root, b"e"), Some(branch.top()));
}

#[test]
fn names_with_the_same_hash_are_told_apart() {
    assert_eq!(hash(b"costarring"), hash(b"liquid"));
    assert_eq!(hash(b"altarage"), hash(b"zinke"));
}

/// What is known of a node without the tree.
#[derive(Clone, Copy, Debug)]
struct Known {
    parent: NodeId,
    name: &'static str,
    dir: bool,
    hidden: bool,
}

#[derive(Default)]
struct Model(BTreeMap<NodeId, Known>);

impl Model {
    fn children(&self, dir: NodeId) -> impl Iterator<Item = (NodeId, Known)> {
        self.0.iter().map(|(&id, &known)| (id, known)).filter(move |(_, known)| known.parent == dir)
    }

    fn has(&self, dir: NodeId, name: &str) -> Option<NodeId> {
        self.children(dir).find(|(_, known)| known.name == name).map(|(id, _)| id)
    }

    fn remove(&mut self, id: NodeId) {
        self.0.remove(&id);
        let below: Vec<NodeId> = self.children(id).map(|(child, _)| child).collect();
        below.into_iter().for_each(|child| self.remove(child));
    }

    fn is_below(&self, mut id: NodeId, dir: NodeId) -> bool {
        while id != dir {
            let Some(known) = self.0.get(&id) else { return false };
            id = known.parent;
        }
        true
    }
}

/// A directory, read so many entries at a time.
fn entries(tree: &Tree<NodeKind>, dir: NodeId, at_once: usize) -> Vec<NodeId> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let (before, from) = (all.len(), after);
        let mut note = |entry: DirEntry<'_>| {
            after = entry.position;
            all.push(entry.id);
            all.len() - before < at_once
        };
        tree.entries(dir, from, &mut note).unwrap();
        if all.len() - before < at_once {
            return all;
        }
    }
}

/// Everything that can be asked of the tree is what is known.
fn compare(tree: &Tree<NodeKind>, model: &Model, root: NodeId, last: u64) {
    for id in (1..=last).map(NodeId) {
        let known = model.0.get(&id);
        assert_eq!(tree.content(id).is_some(), id == root || known.is_some_and(|known| !known.hidden));
        let name = if id == root { Some("") } else { known.map(|known| known.name) };
        assert_eq!(tree.name(id).map(|name| &name[..]), name.map(str::as_bytes));
        let dir = id == root || known.is_some_and(|known| known.dir);
        let visible = || model.children(id).filter(|(_, known)| !known.hidden);
        if dir {
            assert_eq!(tree.attr(id).unwrap().nlink as usize, 2 + visible().filter(|(_, known)| known.dir).count());
            let ids: Vec<_> = visible().map(|(child, _)| child).collect();
            assert_eq!((entries(tree, id, 1), entries(tree, id, 99)), (ids.clone(), ids));
        }
        for name in NAMES {
            let there = visible().find(|(_, known)| known.name == name).map(|(child, _)| child);
            assert_eq!(tree.lookup(id, name.as_bytes()), there);
        }
    }
    assert!(tree.slots.is_compact());
}

proptest! {
    #[test]
    fn a_tree_is_what_was_done_to_it(
        steps in prop::collection::vec((0..5_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5_usize), 1..60)
    ) {
        let ids = Ids::new();
        let (mut tree, root) = planted(&ids);
        let mut model = Model::default();
        let mut last = root.0;
        for (step, one, other, name) in steps {
            let name = NAMES[name];
            let nodes: Vec<NodeId> = model.0.keys().copied().collect();
            let dirs: Vec<NodeId> =
                [root].into_iter().chain(nodes.iter().copied().filter(|id| model.0[id].dir)).collect();
            let dir = *other.get(&dirs);
            let id = if nodes.is_empty() { NodeId(9999) } else { *one.get(&nodes) };
            match step {
                // More come than go.
                0 | 1 => {
                    let (is_dir, hidden) = (step == 0, one.index(4) == 0);
                    let kind = if is_dir { NodeKind::Dir } else { NodeKind::File };
                    let made = add(&mut tree, &ids, dir, new(name, kind), hidden);
                    // An id that was taken in vain is not used again.
                    last += 1;
                    if model.has(dir, name).is_some() {
                        prop_assert_eq!(made, Err(Errno::EEXIST));
                    } else {
                        prop_assert_eq!(made, Ok(NodeId(last)));
                        model.0.insert(NodeId(last), Known { parent: dir, name, dir: is_dir, hidden });
                    }
                }
                2 => {
                    drop(tree.remove(id));
                    model.remove(id);
                }
                3 if model.0.contains_key(&id) && !model.is_below(dir, id) => {
                    let mut room = room(&tree, Some(dir), 0).unwrap();
                    let moved = tree.rename(id, dir, &mut Name::from(name), &mut room);
                    if model.has(dir, name).is_some_and(|there| there != id) {
                        prop_assert_eq!(moved, Err(Errno::EEXIST));
                    } else {
                        prop_assert_eq!(moved, Ok(true));
                        let known = model.0.get_mut(&id).unwrap();
                        (known.parent, known.name) = (dir, name);
                    }
                }
                _ => {
                    tree.set_hidden(id, Switch::Off);
                    if let Some(known) = model.0.get_mut(&id) {
                        known.hidden = false;
                    }
                }
            }
            compare(&tree, &model, root, last);
        }
        drop(tree.remove(root));
        prop_assert_eq!((tree.root(), tree.slots.len()), (None, 0));
    }
}
