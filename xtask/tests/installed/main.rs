// SPDX-License-Identifier: GPL-2.0-only
//! The rig as it is installed: a program elsewhere, called anywhere, which cargo does not run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program in a folder of its own.
fn install() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("resctrl-rig");
    fs::copy(env!("CARGO_BIN_EXE_resctrl-rig"), &program).unwrap();
    (folder, program)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Calls it in `place`, with a checkout that is named, or none.
fn call(program: &Path, place: &Path, named: Option<&Path>, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(place).env_remove("CARGO").env_remove("CARGO_MANIFEST_DIR");
    match named {
        Some(named) => command.env("RESCTRL_RIG", named),
        None => command.env_remove("RESCTRL_RIG"),
    };
    command.output().unwrap()
}

#[test]
fn it_works_anywhere_on_the_checkout_that_it_was_installed_from() {
    let (folder, program) = install();
    let there = call(&program, folder.path(), None, &["list", "machines"]);
    let said = String::from_utf8(there.stdout).unwrap();
    assert!(there.status.success() && said.contains("intel-snc"), "{said}");
    let version = call(&program, folder.path(), None, &["--version"]);
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("resctrl-rig {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn it_works_on_the_checkout_around_it_and_on_one_that_is_named() {
    let (folder, program) = install();
    let other = folder.path().join("other");
    for file in ["xtask/Cargo.toml", "qemu-images/guest/init", "qemu-images/machines/only.toml"] {
        fs::create_dir_all(other.join(file).parent().unwrap()).unwrap();
        fs::write(other.join(file), "").unwrap();
    }
    fs::copy(root().join("qemu-images/machines/intel.toml"), other.join("qemu-images/machines/only.toml")).unwrap();
    fs::copy(root().join("Cargo.toml"), other.join("Cargo.toml")).unwrap();
    for (place, named) in [(other.join("xtask"), None), (folder.path().to_owned(), Some(other.as_path()))] {
        let there = call(&program, &place, named, &["list", "machines"]);
        let said = String::from_utf8(there.stdout).unwrap();
        assert!(there.status.success() && said.starts_with("only ") && said.lines().count() == 1, "{said}");
    }
}

#[test]
fn what_is_no_checkout_is_refused() {
    let (folder, program) = install();
    let there = call(&program, folder.path(), Some(folder.path()), &["list", "machines"]);
    let said = String::from_utf8(there.stderr).unwrap();
    assert!(!there.status.success() && said.contains("this is no checkout of resctrl in Rust"), "{said}");
}
