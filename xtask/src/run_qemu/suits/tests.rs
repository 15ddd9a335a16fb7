// SPDX-License-Identifier: GPL-2.0-only
use std::os::unix::fs::symlink;

use super::*;

/// A folder with a stand-in for busybox, which has three applets.
struct Guest {
    folder: tempfile::TempDir,
    root: Option<Root>,
}

impl Guest {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("busybox"), b"\x7fELF..\0ash\0env\0sh\0awk\0..").unwrap();
        Self { folder, root: None }
    }

    /// With a root file system in which these are empty files.
    fn with_root(files: &[&str]) -> Self {
        let mut guest = Self::new();
        let root = guest.folder.path().join("root");
        for file in files {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        fs::create_dir_all(root.join("usr")).unwrap();
        guest.root = Some(Root::Folder(root));
        guest
    }

    fn check(&self, content: &[u8]) -> String {
        self.check_for(Arch::Amd64, content)
    }

    fn check_for(&self, arch: Arch, content: &[u8]) -> String {
        let script = self.folder.path().join("mine");
        fs::write(&script, content).unwrap();
        let busybox = self.folder.path().join("busybox");
        let place = Place { machine: "m", arch, root: self.root.as_ref(), busybox: &busybox };
        let error = match place.check(&script) {
            Ok(()) => return "ok".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        assert!(error.starts_with(&format!("--script {}: ", script.display())), "{error}");
        error
    }
}

#[test]
fn a_script_for_what_busybox_has_suits_and_any_other_is_told_what_to_add() {
    let guest = Guest::new();
    for good in ["#!/bin/sh\n", "#! /bin/sh -e\n", "#!/usr/bin/env sh\n", "#!/usr/bin/env -S awk -f\n", "echo\n"] {
        assert_eq!(guest.check(good.as_bytes()), "ok", "{good}");
    }
    let error = guest.check(b"#!/usr/bin/env python3\nimport os\n");
    assert!(
        error.contains("python3 is not in the guest") && error.contains("--root debian --package python3"),
        "{error}"
    );
    let error = guest.check(b"#!/bin/bash\n");
    assert!(error.contains("/bin/bash is not in the guest") && error.contains("--package bash"), "{error}");
    assert!(guest.check(b"#!/opt/sh\n").contains("/opt/sh is not in the guest"));
    assert!(guest.check(b"#!/bin/sh\r\necho\r\n").contains("carriage return"));
    assert!(guest.check(b"#!\n").contains("names no interpreter"));
    assert!(guest.check(b"").contains("empty"));
}

#[test]
fn an_interpreter_is_looked_for_in_the_users_root_as_the_guest_would() {
    let guest = Guest::with_root(&["usr/bin/python3.13", "usr/lib/x"]);
    let Some(Root::Folder(root)) = &guest.root else { unreachable!("it has one") };
    symlink("usr/bin", root.join("bin")).unwrap();
    symlink("python3.13", root.join("usr/bin/python3")).unwrap();
    // An absolute link is one of the guest's, not of the host's.
    symlink("/usr/bin/python3", root.join("usr/bin/python")).unwrap();
    symlink("loop", root.join("usr/bin/loop")).unwrap();
    for good in ["#!/bin/python3\n", "#!/usr/bin/python\n", "#!/usr/bin/env python3\n", "#!/bin/sh\n"] {
        assert_eq!(guest.check(good.as_bytes()), "ok", "{good}");
    }
    let error = guest.check(b"#!/bin/bash\n");
    assert!(error.contains("/bin/bash is not in the root file system") && error.contains("--package bash"), "{error}");
    assert!(guest.check(b"#!/usr/bin/loop\n").contains("is not in the root"));
}

#[test]
fn a_program_names_its_loader_and_its_libraries() {
    // The running test is a dynamic program of this host's.
    let this = fs::read(std::env::current_exe().unwrap()).unwrap();
    let needs = Needs::of(&this).unwrap();
    assert_eq!(needs.arch, Some(Arch::Amd64));
    assert!(needs.libraries.iter().any(|name| name == "libc.so.6"), "{needs:?}");
    let error = Guest::new().check(&this);
    for part in ["/lib64/ld-linux-x86-64.so.2", "libc.so.6", "--root debian", "statically"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let error = Guest::new().check_for(Arch::Arm64, &this);
    assert!(error.contains("for amd64; machine m is for arm64"), "{error}");
    let error = Guest::with_root(&["lib64/ld-linux-x86-64.so.2"]).check(&this);
    assert!(error.contains("lacks what it is linked with: ") && error.contains("libc.so.6"), "{error}");
    assert!(!error.contains("ld-linux-x86-64.so.2,"), "{error}");
    let libraries: Vec<String> =
        needs.libraries.iter().map(|name| format!("usr/lib/x86_64-linux-gnu/{name}")).collect();
    let mut files: Vec<&str> = libraries.iter().map(String::as_str).collect();
    files.push("lib64/ld-linux-x86-64.so.2");
    assert_eq!(Guest::with_root(&files).check(&this), "ok");
}

#[test]
fn a_static_program_suits_and_a_damaged_or_foreign_one_does_not() {
    let mut this = fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(Guest::new().check(&this[..80]).contains("damaged"));
    // A file without program headers wants no loader.
    let mut plain = this[..64].to_vec();
    plain[32..40].fill(0);
    plain[56..58].fill(0);
    assert_eq!(Guest::new().check(&plain), "ok");
    this[18] = 243;
    assert!(Guest::new().check(&this).contains("another instruction set"));
}
