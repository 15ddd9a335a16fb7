// SPDX-License-Identifier: GPL-2.0-only
//! What a release changes: the version in Cargo.toml, and the heading of what was not released before.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use similar::TextDiff;

use crate::package::version::section;

pub(super) const CHANGELOG: &str = "CHANGELOG.md";
const MANIFEST: &str = "Cargo.toml";

/// A file with another text.
#[derive(Debug)]
pub(super) struct Edit {
    name: &'static str,
    old: String,
    new: String,
}

impl Edit {
    /// The change as a patch; none if there is none.
    pub(super) fn patch(&self) -> String {
        let (old, new) = (format!("a/{}", self.name), format!("b/{}", self.name));
        TextDiff::from_lines(&self.old, &self.new).unified_diff().context_radius(1).header(&old, &new).to_string()
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(super) fn write(&self, root: &Path) -> Result<()> {
        fs::write(root.join(self.name), &self.new).with_context(|| format!("cannot write {}", self.name))
    }
}

/// What `version`, released on `date`, changes in the checkout `root`.
///
/// # Errors
///
/// There is nothing to release, or a file is not as it should be.
pub(super) fn of(root: &Path, version: &str, date: &str) -> Result<Vec<Edit>> {
    let one = |name: &'static str, change: &dyn Fn(&str) -> Result<String>| -> Result<Edit> {
        let old = fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"))?;
        let new = change(&old).with_context(|| name.to_owned())?;
        Ok(Edit { name, old, new })
    };
    Ok(vec![one(MANIFEST, &|text| manifest(text, version))?, one(CHANGELOG, &|text| changelog(text, version, date))?])
}

/// The workspace's version, and that of its crates where others name them.
fn manifest(text: &str, version: &str) -> Result<String> {
    let workspace = Regex::new(r#"(?ms)^(\[workspace\.package\]\nversion = ")[^"]+"#)?;
    ensure!(workspace.is_match(text), "it has no version where one is looked for");
    let text = workspace.replace(text, format!("${{1}}{version}"));
    let own = Regex::new(r#"(?m)^([\w-]+ = \{ path = "[^"]+", version = ")[^"]+"#)?;
    Ok(own.replace_all(&text, format!("${{1}}{version}")).into_owned())
}

/// What was not released is of this version, and there is nothing yet that will be of the next.
fn changelog(text: &str, version: &str, date: &str) -> Result<String> {
    let unreleased = Regex::new(r"(?m)^## Unreleased.*$")?;
    let found = unreleased.find(text).context("it has no section \"Unreleased\"")?;
    let after = text[found.end()..].split("\n## ").next().unwrap_or_default();
    ensure!(!after.trim().is_empty(), "nothing has changed since the last release");
    let heading = format!("## Unreleased\n\n## {version} ({date})");
    let new = unreleased.replace(text, heading.as_str()).replace("; none has been released yet.", ".");
    ensure!(section(&new, version).is_some(), "it has a section {version} already");
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_set_for_the_workspace_and_its_crates_and_nobody_elses() {
        let text = "[workspace]\n\n[workspace.package]\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace.dependencies]\n\
                    own = { path = \"own\", version = \"0.1.0\" }\nother-own = { path = \"x\" }\nalien = \"0.1.0\"\n\
                    far = { version = \"0.1.0\" }\n";
        let new = manifest(text, "0.2.0").unwrap();
        assert_eq!(new.matches("0.2.0").count(), 2, "{new}");
        assert!(new.contains("version = \"0.2.0\"\nedition") && new.contains("path = \"own\", version = \"0.2.0\""));
        assert!(manifest("[package]\nversion = \"0.1.0\"\n", "0.2.0").is_err());
    }

    #[test]
    fn what_is_unreleased_becomes_the_versions() {
        let text = "# Changes\n\nWords; none has been released yet.\n\n## Unreleased (0.1.0)\n\n* One.\n\n## 0.0.1 (2025-01-01)\n\n* Zero.\n";
        let new = changelog(text, "0.1.0", "2026-12-01").unwrap();
        assert_eq!(
            new,
            "# Changes\n\nWords.\n\n## Unreleased\n\n## 0.1.0 (2026-12-01)\n\n* One.\n\n## 0.0.1 (2025-01-01)\n\n* Zero.\n"
        );
        let again = changelog(&new, "0.2.0", "2026-12-02").unwrap_err().to_string();
        assert_eq!(again, "nothing has changed since the last release");
    }

    #[test]
    fn a_patch_shows_what_changes() {
        let edit = Edit { name: "x", old: "a\nb\n".to_owned(), new: "a\nc\n".to_owned() };
        let patch = edit.patch();
        assert!(patch.starts_with("--- a/x\n+++ b/x\n") && patch.contains("\n-b\n+c\n"), "{patch}");
    }
}
