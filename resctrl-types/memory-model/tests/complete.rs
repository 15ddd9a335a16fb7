// SPDX-License-Identifier: GPL-2.0-only
//! No file of what is shipped has atomics that are neither modelled nor known to order nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use resctrl_memory_model::models::SUBJECTS;
use resctrl_memory_model::source::{orders, shipped, top};

/// What users run.
const SHIPPED: [&str; 5] =
    ["resctrl-types/src", "resctrl-fs/src", "resctrl-x86/src", "resctrl-mpam/src", "qemu-images/module/src"];

/// The list of files whose atomics order nothing.
const LIST: &str = "docs/proof.md";

#[derive(Debug, Default)]
struct Found {
    /// They name atomics by way of their crate.
    by_way_of_the_crate: BTreeSet<String>,
    /// They name `core`'s.
    of_core: BTreeSet<String>,
    /// Lines of the latter that order something.
    ordering: Vec<String>,
}

impl Found {
    fn take(&mut self, file: &str, text: &str) {
        let code: Vec<&str> = shipped(text).map(|(_, line)| line).collect();
        let has = |part: &str| code.iter().any(|line| line.contains(part));
        if has("crate::atomic") {
            self.by_way_of_the_crate.insert(file.to_owned());
        }
        if has("sync::atomic::") {
            self.of_core.insert(file.to_owned());
            let ordering = code.iter().filter(|line| orders(line));
            self.ordering.extend(ordering.map(|line| format!("{file}: {}", line.trim())));
        }
    }

    fn folder(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(top()).expect("inside").to_string_lossy().into_owned();
            if is_for_tests(&name) {
                continue;
            }
            if path.is_dir() {
                self.folder(&path);
            } else if name.ends_with(".rs") {
                self.take(&name, &fs::read_to_string(&path).expect("a text"));
            }
        }
    }
}

/// Tests, and the simulated kernel.
fn is_for_tests(name: &str) -> bool {
    name == "resctrl-types/src/sim" || name.split('/').any(|part| part == "tests" || part == "tests.rs")
}

fn found() -> Found {
    let mut found = Found::default();
    SHIPPED.iter().for_each(|folder| found.folder(&top().join(folder)));
    found
}

/// The files in the table of this section.
fn listed() -> BTreeSet<String> {
    let text = fs::read_to_string(top().join(LIST)).expect("a text");
    let section = text.split("\n## ").find(|section| section.starts_with("Memory order\n")).expect("the section");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let files = rows.flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`'));
    files.filter(|file| file.ends_with(".rs")).map(ToOwned::to_owned).collect()
}

#[test]
fn the_files_that_name_atomics_by_way_of_their_crate_are_the_modelled_ones() {
    let modelled = SUBJECTS.iter().flat_map(|subject| subject.files).map(|&file| file.to_owned());
    // A switch has none itself.
    let modelled: BTreeSet<String> = modelled.filter(|file| file != "resctrl-fs/src/rdtgroup/switch.rs").collect();
    assert_eq!(found().by_way_of_the_crate, modelled);
}

#[test]
fn the_others_are_listed_with_the_reason_and_order_nothing() {
    let found = found();
    assert_eq!(found.of_core, listed());
    assert!(found.ordering.is_empty(), "{:#?}", found.ordering);
}

#[test]
fn an_atomic_is_found_wherever_it_is_and_a_test_is_none() {
    let mut found = Found::default();
    found.take("a.rs", "use core::sync::atomic::AtomicU8;\nfn a() {\n    A.load(Ordering::SeqCst);\n}\n");
    found.take("b.rs", "use crate::atomic::AtomicU8;\n// core::sync::atomic::AtomicU8\n");
    found.take("c.rs", "fn c() {}\n#[cfg(test)]\nmod tests {\n    use core::sync::atomic::AtomicU8;\n}\n");
    assert_eq!(found.of_core, BTreeSet::from(["a.rs".to_owned()]));
    assert_eq!(found.ordering, ["a.rs: A.load(Ordering::SeqCst);"]);
    assert_eq!(found.by_way_of_the_crate, BTreeSet::from(["b.rs".to_owned()]));
    assert!(is_for_tests("resctrl-mpam/src/tests/board.rs") && !is_for_tests("resctrl-types/src/simple.rs"));
}
