// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask release`.

mod edits;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::package::version::section;
use crate::{cargo_tool, files, workspace};
use edits::Edit;

/// Releases a version: sets it everywhere, commits and tags it, makes packages, the book, notes and the sources
///
/// The tree must be clean, and CHANGELOG.md must have something under "Unreleased". What comes out is in target/release-VERSION. If
/// something fails, the commit is taken back, and there is no tag. Nothing is pushed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The version, of three numbers
    #[arg(value_name = "VERSION", value_parser = parse_version)]
    version: String,
    /// Say what would be done and changed, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Releases, or says how.
///
/// # Errors
///
/// The tree is not clean, there is nothing to release or the version is there already; a part cannot be made.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let release = Release::plan(workspace::root(), &options.version)?;
    if options.dry_run {
        print!("{}", release.describe());
        return Ok(ExitCode::SUCCESS);
    }
    let before = release.git(&["rev-parse", "HEAD"])?;
    let made = release.commit().and_then(|()| release.make()).and_then(|()| release.tag());
    if made.is_err() {
        // The tree was clean: what is taken back is the release's.
        release.git(&["reset", "--hard", "--quiet", &before])?;
    }
    made?;
    println!("{}", release.folder().display());
    Ok(ExitCode::SUCCESS)
}

/// Three numbers, without zeros before them.
fn parse_version(text: &str) -> Result<String, String> {
    let is_number = |part: &str| part.parse::<u32>().is_ok_and(|number| number.to_string() == part);
    let parts: Vec<&str> = text.split('.').collect();
    match parts.len() == 3 && parts.into_iter().all(is_number) {
        true => Ok(text.to_owned()),
        false => Err("expected three numbers with dots between them, as 1.2.3".to_owned()),
    }
}

/// A release of a checkout.
struct Release {
    root: PathBuf,
    version: String,
    edits: Vec<Edit>,
}

impl Release {
    /// Looks whether the checkout can be released.
    fn plan(root: &Path, version: &str) -> Result<Self> {
        let release = Self { root: root.to_owned(), version: version.to_owned(), edits: Vec::new() };
        let changed = release.git(&["status", "--porcelain"])?;
        ensure!(changed.is_empty(), "there are changes that are not committed:\n{changed}");
        let tag = release.tag_name();
        let tags = release.git(&["tag", "--list", &tag])?;
        ensure!(tags.is_empty(), "{tag} is there already");
        let date = duct::cmd!("date", "--utc", "+%F").read().context("cannot run date")?;
        let edits = edits::of(root, version, &date)?;
        Ok(Self { edits, ..release })
    }

    fn tag_name(&self) -> String {
        format!("v{}", self.version)
    }

    fn folder(&self) -> PathBuf {
        self.root.join("target").join(format!("release-{}", self.version))
    }

    /// What it will do, and the changes as a patch.
    fn describe(&self) -> String {
        let (tag, folder) = (self.tag_name(), self.folder());
        let mut text = format!(
            "1. change what is below, and Cargo.lock, and commit it as `{}`\n\
             2. make in {}: packages, the book, notes.md, the sources, SHA256SUMS\n\
             3. tag the commit as {tag}\n\n",
            self.message(),
            folder.display()
        );
        self.edits.iter().for_each(|edit| text.push_str(&edit.patch()));
        text
    }

    fn message(&self) -> String {
        format!("Release {}", self.version)
    }

    /// Changes the files, and commits them.
    fn commit(&self) -> Result<()> {
        for edit in &self.edits {
            edit.write(&self.root)?;
        }
        // Versions of the workspace's own crates alone.
        self.cargo(&["update", "--quiet", "--workspace", "--offline"])?;
        self.git(&["commit", "--quiet", "--all", "--message", &self.message()]).map(drop)
    }

    /// Makes what is given to others. The rig is compiled anew for it: it has the version in it.
    fn make(&self) -> Result<()> {
        let folder = self.folder();
        files::remove(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let text = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let rig = ["run", "--quiet", "--locked", "--package", "xtask", "--"];
        self.cargo(&[&rig[..], &["package", "--lint", "--output", &text("packages")]].concat())?;
        self.cargo(&[&rig[..], &["book", "--out", &text("book")]].concat())?;
        fs::write(folder.join("notes.md"), self.notes()?).context("cannot write the notes")?;
        let name = format!("resctrl-rust-{}", self.version);
        let (prefix, output) = (format!("--prefix={name}/"), format!("--output={}", text(&format!("{name}.tar.gz"))));
        self.git(&["archive", "--format=tar.gz", &prefix, &output, "HEAD"])?;
        let sums = "sha256sum *.tar.gz notes.md packages/*.deb >SHA256SUMS";
        let summed = duct::cmd!("sh", "-c", sums).dir(&folder).env("LC_ALL", "C").run();
        summed.context("cannot run sha256sum").map(drop)
    }

    /// This version's section of CHANGELOG.md.
    fn notes(&self) -> Result<String> {
        let text = fs::read_to_string(self.root.join(edits::CHANGELOG)).context(edits::CHANGELOG)?;
        let section = section(&text, &self.version).context("the version has no notes")?;
        Ok(format!("# {}\n\n{section}\n", self.version))
    }

    fn tag(&self) -> Result<()> {
        let message = format!("{}\n\n{}", self.message(), self.notes()?);
        // A line of the notes that begins with # is no comment.
        let tag = ["tag", "--annotate", "--cleanup=whitespace", "--message", &message, &self.tag_name()];
        self.git(&tag).map(drop)
    }

    /// The user's git, with the user's name: this is for others to see.
    fn git(&self, arguments: &[&str]) -> Result<String> {
        let output = duct::cmd("git", arguments).dir(&self.root).stdout_capture().stderr_capture().unchecked().run();
        let output = output.context("cannot run git")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "git {}: {}", arguments.first().unwrap_or(&""), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn cargo(&self, arguments: &[&str]) -> Result<()> {
        let mut cargo = Command::new(cargo_tool::program());
        let status = cargo.args(arguments).current_dir(&self.root).status().context("cannot run cargo")?;
        ensure!(status.success(), "cargo {} failed ({status})", arguments.join(" "));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
