// SPDX-License-Identifier: GPL-2.0-only
//! `git bisect run` on a tree of which no commit builds: every one is skipped, and none is called bad.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn git(tree: &Path, arguments: &[&str]) -> Output {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").current_dir(tree).args(identity).args(arguments).output().unwrap();
    assert!(output.status.success() || arguments[0] == "bisect", "{arguments:?}: {output:?}");
    output
}

#[test]
fn a_commit_that_does_not_build_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path();
    fs::create_dir_all(tree.join("scripts/kconfig")).unwrap();
    for folder in ["fs/resctrl", "arch/x86/kernel/cpu/resctrl"] {
        fs::create_dir_all(tree.join(folder)).unwrap();
    }
    git(tree, &["init", "--quiet"]);
    for number in 0..3 {
        for (path, text) in [("Makefile", "%:\n\tfalse\n"), ("Kbuild", ""), ("Kconfig", ""), ("scripts/kconfig/a", "")]
        {
            fs::write(tree.join(path), text).unwrap();
        }
        fs::write(tree.join("fs/resctrl/rdtgroup.c"), format!("int a{number};\n")).unwrap();
        git(tree, &["add", "."]);
        git(tree, &["commit", "--quiet", "--message", &number.to_string()]);
    }
    git(tree, &["bisect", "start", "HEAD", "HEAD~2"]);
    let cache = folder.path().join(".git/cache");
    let arguments =
        ["test-qemu", "--tree", ".", "--offline", "--scenario", "^mount$", "--cache", cache.to_str().unwrap()];
    let run = [&["bisect", "run", env!("CARGO_BIN_EXE_resctrl-rig")][..], &arguments].concat();
    let output = git(tree, &run);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("error: "), "the run says why: {said}");
    assert!(said.contains("There are only 'skip'ped commits left to test"), "{said}");
}
