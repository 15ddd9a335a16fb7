// SPDX-License-Identifier: GPL-2.0-only
//! A disk without room: the rig says which folder it is about, what may be needed, and how it gets elsewhere. Here no file may
//! have a single byte (`ulimit -f 0`), which needs no disk of its own.

use std::process::Command;

#[test]
fn who_cannot_write_is_told_of_the_folders_and_how_to_move_them() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_resctrl-rig")])
        .args(["setup", "--resolve", "--offline", "--cache", cache.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said.lines().find(|line| line.trim_start().starts_with(&format!("{}: ", cache.display())));
    let line = line.unwrap_or_else(|| panic!("nothing of the folder: {said}"));
    for part in [" free, ", "may be needed", "--cache DIR takes another folder"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(said.contains("make `target` a symbolic link"), "{said}");
}
