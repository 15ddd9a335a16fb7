// SPDX-License-Identifier: GPL-2.0-only

use super::*;

/// A clone of this checkout as it is committed, with a name to commit by.
fn clone() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("clone");
    duct::cmd!("git", "clone", "--quiet", "--shared", workspace::root(), &root).run().unwrap();
    for (name, value) in [("user.name", "A"), ("user.email", "a@b.org"), ("commit.gpgSign", "false")] {
        duct::cmd!("git", "config", name, value).dir(&root).run().unwrap();
    }
    (folder, root)
}

#[test]
fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let (_folder, root) = clone();
    let release = Release::plan(&root, "77.0.1").unwrap();
    let said = release.describe();
    for part in ["`Release 77.0.1`", "v77.0.1", "target/release-77.0.1", "+version = \"77.0.1\"", "+## 77.0.1 ("] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(release.git(&["status", "--porcelain"]).unwrap(), "");
    assert_eq!(release.git(&["tag", "--list", "v77*"]).unwrap(), "");
}

#[test]
fn the_commit_has_the_version_everywhere_and_the_tag_has_the_notes() {
    let (_folder, root) = clone();
    let release = Release::plan(&root, "77.0.1").unwrap();
    release.commit().unwrap();
    release.tag().unwrap();
    assert_eq!(release.git(&["status", "--porcelain"]).unwrap(), "");
    assert_eq!(release.git(&["log", "-1", "--format=%s %an"]).unwrap(), "Release 77.0.1 A");
    let changed = release.git(&["diff", "--name-only", "HEAD~1"]).unwrap();
    assert_eq!(changed, "CHANGELOG.md\nCargo.lock\nCargo.toml");
    // Cargo agrees with the lock file.
    release.cargo(&["tree", "--quiet", "--locked", "--offline", "--package", "xtask", "--depth", "0"]).unwrap();
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"xtask\"\nversion = \"77.0.1\"\n"));
    let notes = release.git(&["tag", "--list", "--format=%(contents)", "v77.0.1"]).unwrap();
    assert!(notes.starts_with("Release 77.0.1\n\n# 77.0.1\n\n* "), "{notes}");
    let again = Release::plan(&root, "77.0.1").err().unwrap().to_string();
    assert_eq!(again, "v77.0.1 is there already");
}

#[test]
fn a_tree_with_changes_is_not_released() {
    let (_folder, root) = clone();
    fs::write(root.join("new"), "").unwrap();
    let error = Release::plan(&root, "77.0.1").err().unwrap().to_string();
    assert!(error.starts_with("there are changes that are not committed:\n?? new"), "{error}");
}

#[test]
fn a_version_is_three_numbers() {
    assert_eq!(parse_version("1.20.3").as_deref(), Ok("1.20.3"));
    for wrong in ["1.2", "v1.2.3", "1.2.3.4", "1.02.3", "1.2.x", ""] {
        assert!(parse_version(wrong).is_err(), "{wrong}");
    }
}
