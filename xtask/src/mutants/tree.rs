// SPDX-License-Identifier: GPL-2.0-only
//! The copy of this checkout that is changed in place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{files, git, workspace};

/// Makes `tree` a copy of what is in this checkout and not ignored, but for files that have another text, or are not in the checkout
/// at all. What is the same already is not touched, so that it is not compiled again; what a run that was broken off has left
/// changed is put right.
pub(super) fn copy_checkout(tree: &Path, others: &BTreeMap<String, String>) -> Result<()> {
    let list = git::text(workspace::root(), &["ls-files", "--cached", "--others", "--exclude-standard"])?;
    let there = list.lines().filter(|file| workspace::root().join(file).is_file());
    let wanted: BTreeSet<&str> = there.chain(others.keys().map(String::as_str)).collect();
    if tree.exists() {
        for file in files::below(tree)? {
            if !wanted.iter().any(|wanted| Path::new(wanted) == file) {
                let path = tree.join(file);
                fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
    }
    for file in wanted {
        let (from, to) = (workspace::root().join(file), tree.join(file));
        let new = match others.get(file) {
            Some(text) => text.clone().into_bytes(),
            None => fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?,
        };
        if fs::read(&to).is_ok_and(|old| old == new) {
            continue;
        }
        let folder = to.parent().context("a file is in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        if others.contains_key(file) {
            fs::write(&to, new).with_context(|| format!("cannot write {}", to.display()))?;
        } else {
            // What may be run stays so.
            fs::copy(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_of_the_checkout_is_put_right_and_what_is_the_same_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        copy_checkout(&tree, &BTreeMap::new()).unwrap();
        let written = |file: &str| fs::metadata(tree.join(file)).unwrap().modified().unwrap();
        let before = written("Cargo.toml");
        fs::write(tree.join("README.md"), "changed").unwrap();
        fs::write(tree.join("left-over.rs"), "").unwrap();
        let others = [("LICENSE", "another"), ("new/a.rs", "new")];
        copy_checkout(&tree, &others.map(|(file, text)| (file.to_owned(), text.to_owned())).into()).unwrap();
        assert!(others.iter().all(|(file, text)| fs::read_to_string(tree.join(file)).unwrap() == *text));
        assert_eq!(before, written("Cargo.toml"));
        assert!(!tree.join("left-over.rs").exists());
        assert_eq!(fs::read(tree.join("README.md")).unwrap(), fs::read(workspace::root().join("README.md")).unwrap());
    }
}
