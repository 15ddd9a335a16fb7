// SPDX-License-Identifier: GPL-2.0-only
//! What is judged: a commit before a series, and one after it, in a work tree of the rig's own.
//!
//! The user's repository is only read: the work tree borrows its objects. It is kept, so that a checkout writes only what
//! differs, and what is compiled next time is what the series touches.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::git;

/// What `--series` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Series {
    /// A mailbox or a patch, or a folder of patches in the order of their names (of its file `series`, if it has one).
    Patches(Vec<PathBuf>),
    /// All commits after the first up to the second.
    Range(String, String),
}

impl Series {
    /// What `text` names: a file, a folder, or `REV..REV`.
    ///
    /// # Errors
    ///
    /// There is no such file and it is no range; a folder without patches.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if path.is_dir() {
            return patches_in(path).map(Self::Patches);
        }
        if path.exists() {
            return Ok(Self::Patches(vec![path.canonicalize()?]));
        }
        match text.split_once("..") {
            Some((before, after)) if !before.is_empty() && !after.is_empty() && !after.starts_with('.') => {
                Ok(Self::Range(before.to_owned(), after.to_owned()))
            }
            _ => bail!("--series {text}: there is no such file or folder, and it is no range of commits (REV..REV)"),
        }
    }
}

/// The patches of a folder, in their order.
fn patches_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let folder = folder.canonicalize().with_context(|| format!("--series {}", folder.display()))?;
    let order = folder.join("series");
    let mut patches = Vec::new();
    if order.is_file() {
        let text = fs::read_to_string(&order).with_context(|| format!("cannot read {}", order.display()))?;
        // quilt may have an option after a name.
        let names =
            text.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| !name.starts_with('#'));
        patches.extend(names.map(|name| folder.join(name)));
        if let Some(missing) = patches.iter().find(|patch| !patch.is_file()) {
            bail!("{} names {}, which is not there", order.display(), missing.display());
        }
    } else {
        for entry in folder.read_dir()? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "patch" || extension == "mbox") {
                patches.push(path);
            }
        }
        patches.sort();
    }
    ensure!(!patches.is_empty(), "--series {}: no *.patch in it", folder.display());
    Ok(patches)
}

/// A commit to build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Commit {
    /// Its hash.
    pub(crate) hash: String,
    /// What `git describe` calls it, or what it is made from.
    pub(crate) name: String,
}

/// Both, and where they are checked out.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The work tree.
    pub(crate) folder: PathBuf,
    /// Without the series.
    pub(crate) before: Commit,
    /// With it.
    pub(crate) after: Commit,
    /// First lines of the commits of the series, oldest first.
    pub(crate) subjects: Vec<String>,
}

impl Subject {
    /// Applies `series` to what is checked out in `tree`, or finds its commits there. `folder` is the rig's work tree for it.
    ///
    /// # Errors
    ///
    /// `tree` is no work tree of git or has no such commit; the series does not apply, or changes nothing.
    pub(crate) fn of_tree(tree: &Path, series: &Series, folder: &Path) -> Result<Self> {
        let flag = || format!("--tree {}", tree.display());
        let top = git::text(tree, &["rev-parse", "--show-toplevel"])
            .with_context(|| format!("{}: not a work tree of git, which a series needs", flag()))?;
        borrow(Path::new(&top), folder)?;
        let commit = |rev: &str| -> Result<Commit> {
            let hash = git::text(
                tree,
                &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{rev}^{{commit}}")],
            )
            .with_context(|| format!("{}: there is no commit `{rev}`", flag()))?;
            let name = git::text(tree, &["describe", "--tags", "--always", &hash])?;
            Ok(Commit { hash, name })
        };
        match series {
            Series::Range(before, after) => Self::between(folder, commit(before)?, commit(after)?),
            Series::Patches(patches) => Self::apply(folder, commit("HEAD")?, patches),
        }
    }

    /// Applies `series` to the source of a package of this `version`, which is in `folder` as it was unpacked.
    ///
    /// # Errors
    ///
    /// As [`Subject::of_tree`]; a range, which a package has none of.
    pub(crate) fn of_source(version: &str, series: &Series, folder: &Path) -> Result<Self> {
        let Series::Patches(patches) = series else {
            bail!("the source of a package has no commits: --series takes patches there, or give a --tree");
        };
        if git::text(folder, &["rev-parse", "--verify", "--quiet", BASE]).is_err() {
            git::text(folder, &["init", "--quiet"])?;
            git::text(folder, &["add", "--all", "--force"])?;
            git::text(folder, &["commit", "--quiet", "--no-verify", "--message", version])?;
            // Last, so that what was interrupted begins anew.
            git::text(folder, &["update-ref", BASE, "HEAD"])?;
        }
        let hash = git::text(folder, &["rev-parse", BASE])?;
        Self::apply(folder, Commit { hash, name: version.to_owned() }, patches)
    }

    fn apply(folder: &Path, before: Commit, patches: &[PathBuf]) -> Result<Self> {
        check_out(folder, &before.hash)?;
        for patch in patches {
            apply_one(folder, patch)
                .with_context(|| format!("{} does not apply to {}", patch.display(), before.name))?;
        }
        let hash = git::text(folder, &["rev-parse", "HEAD"])?;
        let short = git::text(folder, &["rev-parse", "--short=12", "HEAD"])?;
        let count = git::text(folder, &["rev-list", "--count", &format!("{}..HEAD", before.hash)])?;
        let after = Commit { hash, name: format!("{}-{count}-g{short}", before.name) };
        Self::between(folder, before, after)
    }

    fn between(folder: &Path, before: Commit, after: Commit) -> Result<Self> {
        let range = format!("{}..{}", before.hash, after.hash);
        let subjects = git::text(folder, &["log", "--reverse", "--format=%s", &range])?;
        let same = git::text(folder, &["diff", "--quiet", &before.hash, &after.hash]).is_ok();
        ensure!(!same, "{} and {} have the same content: there is nothing to judge", before.name, after.name);
        let subjects = subjects.lines().map(str::to_owned).collect();
        Ok(Self { folder: folder.to_owned(), before, after, subjects })
    }

    /// Checks a commit out.
    ///
    /// # Errors
    ///
    /// git fails.
    pub(crate) fn check_out(&self, commit: &Commit) -> Result<()> {
        check_out(&self.folder, &commit.hash)
    }
}

/// What the source of a package is.
const BASE: &str = "refs/rig/base";

/// Checks a commit out over whatever an earlier run has left.
fn check_out(folder: &Path, hash: &str) -> Result<()> {
    // Says so if there is none.
    let _ = git::text(folder, &["am", "--abort"]);
    git::text(folder, &["checkout", "--quiet", "--force", "--detach", hash])?;
    git::text(folder, &["clean", "--quiet", "-d", "--force", "-x"]).map(drop)
}

/// Makes `folder` a repository that has the objects of the one at `top`.
fn borrow(top: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    git::text(folder, &["init", "--quiet"])?;
    let place =
        |of: &Path, what: &str| -> Result<PathBuf> { Ok(of.join(git::text(of, &["rev-parse", "--git-path", what])?)) };
    let alternates = place(folder, "objects/info/alternates")?;
    let objects = place(top, "objects")?.canonicalize()?;
    fs::write(&alternates, format!("{}\n", objects.display()))
        .with_context(|| format!("cannot write {}", alternates.display()))?;
    // A clone without its history says in a file where that ends.
    let shallow = place(top, "shallow")?;
    if shallow.is_file() {
        fs::copy(&shallow, place(folder, "shallow")?)?;
    }
    Ok(())
}

/// Applies a mailbox or a bare patch.
fn apply_one(folder: &Path, patch: &Path) -> Result<()> {
    let text = fs::read(patch).with_context(|| format!("cannot read {}", patch.display()))?;
    let text = String::from_utf8_lossy(&text);
    let is_mail = text.lines().take_while(|line| !line.starts_with("diff ")).any(|line| line.starts_with("From"));
    if is_mail {
        let words: [OsString; 5] =
            ["am".into(), "--quiet".into(), "--3way".into(), "--committer-date-is-author-date".into(), patch.into()];
        let result = git::bytes(folder, &words);
        if result.is_err() {
            let _ = git::text(folder, &["am", "--abort"]);
        }
        return result.map(drop);
    }
    git::bytes(folder, &["apply".into(), "--index".into(), "--whitespace=nowarn".into(), patch.into()])?;
    let name = patch.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    git::text(folder, &["commit", "--quiet", "--no-verify", "--message", &name]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with a file, and folders for the rig's work tree and for patches.
    struct Fixture {
        folder: tempfile::TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            let fixture = Self { folder: tempfile::tempdir().unwrap() };
            fs::create_dir(fixture.path("tree")).unwrap();
            fs::create_dir(fixture.path("patches")).unwrap();
            fixture.git(&["init", "--quiet"]);
            fixture.commit("one\n", "first");
            fixture.git(&["tag", "v1"]);
            fixture
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn git(&self, arguments: &[&str]) -> String {
            git::text(&self.path("tree"), arguments).unwrap()
        }

        fn commit(&self, text: &str, subject: &str) {
            fs::write(self.path("tree/file"), text).unwrap();
            self.git(&["add", "file"]);
            self.git(&["commit", "--quiet", "--message", subject]);
        }

        /// Two commits as mails, in a folder; the tree is where it was.
        fn mails(&self) -> PathBuf {
            self.commit("two\n", "second");
            self.commit("three\n", "third");
            let folder = self.path("patches");
            self.git(&["format-patch", "--quiet", "--output-directory", folder.to_str().unwrap(), "v1"]);
            self.git(&["reset", "--quiet", "--hard", "v1"]);
            folder
        }

        fn subject(&self, series: &str) -> Result<Subject> {
            Subject::of_tree(&self.path("tree"), &Series::parse(series)?, &self.path("work"))
        }

        fn content(&self) -> String {
            fs::read_to_string(self.path("work/file")).unwrap()
        }
    }

    #[test]
    fn a_folder_of_mails_is_applied_beside_the_users_tree() {
        let fixture = Fixture::new();
        let subject = fixture.subject(fixture.mails().to_str().unwrap()).unwrap();
        assert_eq!(subject.subjects, ["second", "third"]);
        assert_eq!(subject.before.name, "v1");
        assert!(subject.after.name.starts_with("v1-2-g"), "{}", subject.after.name);
        for (commit, content) in [(&subject.before, "one\n"), (&subject.after, "three\n"), (&subject.before, "one\n")] {
            subject.check_out(commit).unwrap();
            assert_eq!(fixture.content(), content);
        }
        assert_eq!(fixture.git(&["status", "--porcelain"]), "", "the user's is as it was");
        assert_eq!(fixture.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    }

    #[test]
    fn the_same_series_is_the_same_commit_so_that_what_was_built_is_found_again() {
        let fixture = Fixture::new();
        let mails = fixture.mails();
        let first = fixture.subject(mails.to_str().unwrap()).unwrap();
        assert_eq!(fixture.subject(mails.to_str().unwrap()).unwrap().after, first.after);
    }

    #[test]
    fn a_mailbox_a_bare_patch_and_a_range_are_series_too() {
        let fixture = Fixture::new();
        let mails = fixture.mails();
        let mut all = Vec::new();
        for patch in patches_in(&mails).unwrap() {
            all.extend(fs::read(patch).unwrap());
        }
        let mailbox = fixture.path("series.mbox");
        fs::write(&mailbox, all).unwrap();
        assert_eq!(fixture.subject(mailbox.to_str().unwrap()).unwrap().subjects, ["second", "third"]);

        let bare = fixture.path("bare.patch");
        fs::write(&bare, "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-one\n+four\n").unwrap();
        let subject = fixture.subject(bare.to_str().unwrap()).unwrap();
        assert_eq!(subject.subjects, ["bare"]);
        assert_eq!(fixture.content(), "four\n");

        fixture.commit("five\n", "fifth");
        let subject = fixture.subject("v1..HEAD").unwrap();
        assert_eq!((subject.before.name.as_str(), subject.subjects), ("v1", vec!["fifth".to_owned()]));
    }

    #[test]
    fn a_quilt_series_has_its_own_order() {
        let fixture = Fixture::new();
        let folder = fixture.path("patches");
        for name in ["b", "a"] {
            fs::write(folder.join(name), "").unwrap();
        }
        fs::write(folder.join("series"), "# first\nb\na -p1\n").unwrap();
        let names = |patches: Vec<PathBuf>| -> Vec<String> {
            patches.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(patches_in(&folder).unwrap()), ["b", "a"]);
        fs::write(folder.join("series"), "gone\n").unwrap();
        assert!(patches_in(&folder).unwrap_err().to_string().contains("gone, which is not there"));
    }

    #[test]
    fn what_cannot_be_judged_says_why() {
        let fixture = Fixture::new();
        let why = |series: &str| format!("{:#}", fixture.subject(series).map(drop).unwrap_err());
        assert!(why("/nonexistent.mbox").contains("no such file or folder"), "{}", why("/nonexistent.mbox"));
        assert!(why("v1..v2").contains("there is no commit `v2`"), "{}", why("v1..v2"));
        assert!(why("v1..HEAD").contains("the same content"), "{}", why("v1..HEAD"));
        let wrong = fixture.path("wrong.patch");
        fs::write(&wrong, "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-other\n+four\n").unwrap();
        let text = why(wrong.to_str().unwrap());
        assert!(text.contains("wrong.patch does not apply to v1") && text.contains("patch failed: file:1"), "{text}");
        // And the next one finds a work tree that is clean.
        fixture.subject(fixture.mails().to_str().unwrap()).unwrap();
        let error = Subject::of_tree(&fixture.path("patches"), &Series::Patches(Vec::new()), &fixture.path("work2"));
        assert!(format!("{:#}", error.unwrap_err()).contains("not a work tree of git"));
    }

    #[test]
    fn the_source_of_a_package_becomes_a_repository_once() {
        let fixture = Fixture::new();
        let folder = fixture.path("source");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "one\n").unwrap();
        let bare = fixture.path("bare.patch");
        fs::write(&bare, "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-one\n+four\n").unwrap();
        let series = Series::Patches(vec![bare]);
        let first = Subject::of_source("linux-source-7.3", &series, &folder).unwrap();
        let second = Subject::of_source("linux-source-7.3", &series, &folder).unwrap();
        assert_eq!((&first.before, &first.after), (&second.before, &second.after));
        let range = Series::Range("a".to_owned(), "b".to_owned());
        assert!(Subject::of_source("x", &range, &folder).unwrap_err().to_string().contains("give a --tree"));
    }
}
