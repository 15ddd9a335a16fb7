// SPDX-License-Identifier: GPL-2.0-only
extern crate std;

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::nodes::GroupId;

/// The first two have the same hash, and so have the last two.
const NAMES: [&str; 5] = ["costarring", "liquid", "tasks", "altarage", "zinke"];

fn new(name: &str, dir: bool, hidden: bool) -> NewNode<'_> {
    let key = if dir { Key::InfoDir } else { Key::GroupFile(GroupId::DEFAULT, crate::nodes::GroupFile::Tasks) };
    NewNode { name: name.as_bytes(), key, mode: 0o755, owner: Owner::default(), now: Timestamp::default(), hidden }
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

fn entries(tree: &Tree, dir: NodeId) -> Vec<NodeId> {
    let mut after = 0;
    let mut name = [0; 16];
    std::iter::from_fn(|| {
        let entry = tree.next_entry(dir, after, &mut name).unwrap()?;
        after = entry.position;
        Some(entry.id)
    })
    .collect()
}

/// Everything that can be asked of the tree is what is known.
fn compare(tree: &Tree, model: &Model, root: NodeId, last: u64) {
    for id in (1..=last).map(NodeId) {
        let known = model.0.get(&id);
        assert_eq!(tree.key(id).is_some(), id == root || known.is_some_and(|known| !known.hidden));
        assert_eq!(tree.name(id), if id == root { Some(&b""[..]) } else { known.map(|known| known.name.as_bytes()) });
        let dir = id == root || known.is_some_and(|known| known.dir);
        let visible = || model.children(id).filter(|(_, known)| !known.hidden);
        if dir {
            assert_eq!(tree.attr(id).unwrap().nlink as usize, 2 + visible().filter(|(_, known)| known.dir).count());
            assert_eq!(entries(tree, id), visible().map(|(child, _)| child).collect::<Vec<_>>());
        }
        for name in NAMES {
            let there = visible().find(|(_, known)| known.name == name).map(|(child, _)| child);
            assert_eq!(tree.lookup(id, name.as_bytes()), there);
        }
    }
    assert!(tree.empty * 2 < tree.slots.len().max(1));
}

proptest! {
    #[test]
    fn a_tree_is_what_was_done_to_it(
        steps in prop::collection::vec((0..5_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5_usize), 1..60)
    ) {
        let mut tree = Tree::new();
        let root = tree.plant(0o555, Owner::default(), Timestamp::default()).unwrap();
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
                    let made = tree.add(dir, &new(name, is_dir, hidden));
                    if model.has(dir, name).is_some() {
                        prop_assert_eq!(made, Err(Errno::EEXIST));
                    } else {
                        last += 1;
                        prop_assert_eq!(made, Ok(NodeId(last)));
                        model.0.insert(NodeId(last), Known { parent: dir, name, dir: is_dir, hidden });
                    }
                }
                2 => {
                    tree.remove(id);
                    model.remove(id);
                }
                3 if model.0.contains_key(&id) && !model.is_below(dir, id) => {
                    let moved = tree.rename(id, dir, name.as_bytes());
                    if model.has(dir, name).is_some_and(|there| there != id) {
                        prop_assert_eq!(moved, Err(Errno::EEXIST));
                    } else {
                        prop_assert_eq!(moved, Ok(()));
                        let known = model.0.get_mut(&id).unwrap();
                        (known.parent, known.name) = (dir, name);
                    }
                }
                _ => {
                    tree.activate(id);
                    if let Some(known) = model.0.get_mut(&id) {
                        known.hidden = false;
                    }
                }
            }
            compare(&tree, &model, root, last);
        }
        tree.remove(root);
        prop_assert_eq!(tree.root(), None);
        prop_assert!(tree.slots.is_empty());
    }
}
