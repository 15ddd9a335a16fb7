// SPDX-License-Identifier: GPL-2.0-only
//! Inside a crate no file knows one that knows it: what files name of each other has no circle. Data is at the bottom, rules
//! are above it, what dispatches is on top.

mod graph;
mod imports;

use std::fs;
use std::path::{Path, PathBuf};

/// The root of each crate that is layered.
const ROOTS: [&str; 14] = [
    "resctrl-types/src/lib.rs",
    "resctrl-fs/src/lib.rs",
    "resctrl-fs/model/src/lib.rs",
    "resctrl-x86/src/lib.rs",
    "resctrl-mpam/src/lib.rs",
    "resctrl-x86/board/src/lib.rs",
    "qemu-images/hardware/src/lib.rs",
    "qemu-images/module/src/lib.rs",
    "qemu-images/guest/tools/src/lib.rs",
    "qemu-images/guest/tools/src/bin/msc.rs",
    "qemu-images/guest/tools/src/bin/msr.rs",
    "qemu-images/guest/tools/src/bin/rdt-traffic.rs",
    "qemu-images/guest/tools/src/bin/resctrl-replay/main.rs",
    "qemu-images/guest/tools/src/bin/resctrl-sys.rs",
];

fn graph(root: &Path) -> graph::Graph {
    imports::graph(root).unwrap_or_else(|error| panic!("{}: {error:#}", root.display()))
}

#[test]
fn no_file_knows_one_above_it() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let graphs: Vec<_> = ROOTS.iter().map(|root| (root, graph(&workspace.join(root)))).collect();
    let edges: usize = graphs.iter().map(|(_, graph)| graph.edges()).sum();
    assert!(edges > 250, "only {edges} imports have been found");
    let mut found = String::new();
    for (root, graph) in graphs.iter().filter(|(_, graph)| !graph.knots().is_empty()) {
        found.push_str(&format!("{root}:\n  {}\n", graph.circles().join("\n  ")));
    }
    assert!(found.is_empty(), "files that know each other:\n{found}");
}

/// A crate of these files, in a folder of its own.
fn crate_of(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, text).expect("writable");
    }
    let root = folder.path().join("lib.rs");
    (folder, root)
}

#[test]
fn every_way_to_name_another_file_can_close_a_circle() {
    for back in [
        "use crate::a::One;",
        "use super::a::One;",
        "use super::{c, a::One as Other};",
        "use crate::One;",
        "use super::One;",
        "use crate::a;",
        "use crate::a::*;",
        "fn f() { crate::a::one(); }",
        "fn f() { use crate::a::one; }",
        "fn f(one: &super::a::One) {}",
        "fn f() -> bool { matches!(1, n if super::a::is(n)) }",
        "fn f() { crate::a::one!(); }",
        "mod inner { use super::super::a::One; }",
    ] {
        let root = "mod a; mod b; mod c; pub use a::One; use c::Two;";
        let (_folder, root) = crate_of(&[
            ("lib.rs", root),
            ("a.rs", "use crate::b::Two;"),
            ("b.rs", &format!("{back} pub struct Two;")),
            ("c.rs", "pub struct Two;"),
        ]);
        assert_eq!(graph(&root).circles(), ["a.rs -> b.rs -> a.rs"], "{back}");
    }
}

#[test]
fn what_is_passed_on_is_known_where_it_is_made() {
    let (_folder, root) = crate_of(&[
        ("lib.rs", "mod a; mod b; pub use a::One; pub use b::Two;"),
        ("a.rs", "pub struct One;\n#[cfg(test)] mod tests { use crate::b::Two; }"),
        ("b.rs", "mod deep; use crate::One; pub(crate) use deep::Three; made! { pub(crate) struct Four; }"),
        ("b/deep.rs", "use super::One; use core::fmt; use other::b::Two; use ::a::Three; fn f() { ::a::f() }"),
    ]);
    assert_eq!((graph(&root).edges(), graph(&root).knots()), (2, vec![]));
}

#[test]
fn the_files_of_one_module_are_one_thing_and_the_root_is_none_of_it() {
    let parent = "mod deep; mod more; pub use deep::Two; pub struct One; fn f(two: Two) {} #[cfg(test)] mod tests;";
    let files = [
        ("lib.rs", "mod a; use a::One; pub struct Root;"),
        ("a.rs", parent),
        ("a/deep.rs", "use super::One;"),
        ("a/more.rs", "use super::deep::Two;"),
        ("a/tests.rs", "use super::*;"),
    ];
    let (_folder, root) = crate_of(&files);
    assert!(graph(&root).knots().is_empty());
    for (changed, text, knot) in [
        (2, "use super::more::Three;", vec!["a/deep.rs", "a/more.rs"]),
        (3, "use crate::Root;", vec![]),
        (2, "use crate::Root;", vec!["a.rs", "a/deep.rs", "lib.rs"]),
    ] {
        let mut files = files;
        files[changed].1 = text;
        let (_folder, root) = crate_of(&files);
        assert_eq!(graph(&root).knots().concat(), knot, "{text}");
    }
}
