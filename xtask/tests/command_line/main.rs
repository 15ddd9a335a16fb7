// SPDX-License-Identifier: GPL-2.0-only
//! What is wrong with a command line is said before anything is fetched, built or booted.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs it as cargo does, without a network and with an empty cache; its exit code, what it printed, and what it complained of.
fn xtask(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_resctrl-rig")).env("CARGO", "cargo").args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// That it gives no verdict, and why.
fn why(arguments: &[&str]) -> String {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path().to_str().unwrap();
    let (code, _, said) = xtask(&[arguments, &["--offline", "--cache", cache]].concat());
    assert_eq!(code, Some(125), "{said}");
    assert!(!said.contains("packages were not fetched"), "the packages were looked for first: {said}");
    said
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn it_tells_its_version() {
    let (code, version, _) = xtask(&["--version"]);
    assert_eq!((code, version), (Some(0), format!("cargo xtask {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_list_is_not_printed_for_a_kernel_that_there_is_not() {
    let why = why(&["test-qemu", "--list", "--kdir", "/nonexistent"]);
    assert!(why.contains("/nonexistent"), "{why}");
}

#[test]
fn a_program_that_is_no_qemu_is_named() {
    let why = why(&["test-qemu", "--qemu", "/bin/true", "--scenario", "^mount$"]);
    assert!(why.contains("--qemu /bin/true: this is no QEMU"), "{why}");
}

#[test]
fn a_built_tree_of_another_instruction_set_is_named() {
    let tree = tempfile::tempdir().unwrap();
    write(&tree.path().join("include/config/kernel.release"), "7.3.4\n");
    write(&tree.path().join("include/config/auto.conf"), "CONFIG_ARM64=y\n");
    write(&tree.path().join("arch/arm64/boot/Image"), "");
    let folder = tree.path().to_str().unwrap();
    let why = why(&["test-qemu", "--kdir", folder, "--machine", "intel", "--scenario", "^mount$"]);
    assert!(why.contains(&format!("--kdir {folder} is a kernel for arm64, and none of the machines is")), "{why}");
}

#[test]
fn a_source_tree_of_another_instruction_set_is_named() {
    let tree = tempfile::tempdir().unwrap();
    for file in ["Makefile", "Kbuild", "Kconfig", "scripts/kconfig/a", "fs/resctrl/a", "arch/x86/kernel/cpu/resctrl/a"]
    {
        write(&tree.path().join(file), "");
    }
    let folder = tree.path().to_str().unwrap();
    for command in [
        &["test-qemu", "--tree", folder, "--machine", "mpam", "--list"][..],
        &["run-qemu", "--tree", folder, "--machine", "mpam", "--script", "/bin/true"],
    ] {
        let why = why(command);
        assert!(why.contains("are of arm64, and this tree is not for it: it has no arch/arm64"), "{why}");
    }
}
