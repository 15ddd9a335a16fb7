// SPDX-License-Identifier: GPL-2.0-only
//! What a package is a version of: the commit, and the time, by which the same commit makes the same package.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::{git, workspace};

/// The version of packages, and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    /// Version of the workspace with the package's revision: `0.1.0-1`.
    pub(crate) full: String,
    /// Seconds since 1970: of the commit, or `SOURCE_DATE_EPOCH` of the environment.
    pub(crate) epoch: u64,
    /// What it is made from.
    pub(crate) commit: String,
    /// `NAME <MAIL>`.
    pub(crate) maintainer: String,
}

/// The workspace's version.
pub(crate) const UPSTREAM: &str = env!("CARGO_PKG_VERSION");

impl Version {
    /// The one of this checkout. `revision` counts packages of one version; `maintainer` is who made the commit, if nobody else.
    ///
    /// # Errors
    ///
    /// There is no commit, and the environment has no time; a maintainer that Debian's control files cannot have.
    pub(crate) fn of_checkout(revision: u32, maintainer: Option<&str>) -> Result<Self> {
        let of_commit = |format: &str| git::text(workspace::root(), &["log", "-1", &format!("--format={format}")]);
        let epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => {
                of_commit("%ct").context("without a commit the time has to be told: SOURCE_DATE_EPOCH=SECONDS")?
            }
        };
        let maintainer = match maintainer {
            Some(maintainer) => maintainer.to_owned(),
            None => of_commit("%cn <%ce>").context("without a commit --maintainer has to be told")?,
        };
        check_maintainer(&maintainer)?;
        Ok(Self {
            full: format!("{UPSTREAM}-{revision}"),
            epoch: epoch.parse().with_context(|| format!("SOURCE_DATE_EPOCH={epoch}: these are no seconds"))?,
            commit: workspace::commit(),
            maintainer,
        })
    }

    /// The time as `date` prints it in `format`, in UTC.
    ///
    /// # Errors
    ///
    /// There is no `date`.
    pub(crate) fn date(&self, format: &str) -> Result<String> {
        let when = format!("--date=@{}", self.epoch);
        duct::cmd!("date", "--utc", when, format).env("LC_ALL", "C").read().context("cannot run date")
    }

    /// What Debian's packages have for a changelog: this version's section of CHANGELOG.md, or what is not released yet.
    ///
    /// # Errors
    ///
    /// CHANGELOG.md has neither.
    pub(crate) fn changelog(&self, source: &str) -> Result<String> {
        let path = workspace::root().join("CHANGELOG.md");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let section = section(&text, UPSTREAM).with_context(|| format!("{} has no {UPSTREAM}", path.display()))?;
        let mut entry = format!("{source} ({}) unstable; urgency=medium\n\n", self.full);
        for item in format!("\n{section}").split("\n* ").map(str::trim).filter(|item| !item.is_empty()) {
            entry.push_str(&wrapped(item));
        }
        Ok(format!("{entry}\n -- {}  {}\n", self.maintainer, self.date("--rfc-email")?))
    }
}

/// An item of a changelog in lines of at most 80 columns.
fn wrapped(item: &str) -> String {
    let (mut lines, mut line) = (String::new(), "  *".to_owned());
    for word in item.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 80 {
            lines.push_str(&line);
            lines.push('\n');
            line = "   ".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

fn check_maintainer(text: &str) -> Result<()> {
    let parts = text.strip_suffix('>').and_then(|text| text.split_once(" <"));
    let plain = |(name, mail): &(&str, &str)| {
        !name.trim().is_empty() && mail.contains('@') && !text.contains(['\n', ',']) && !mail.contains([' ', '<', '>'])
    };
    ensure!(parts.as_ref().is_some_and(plain), "--maintainer {text}: expected NAME <MAIL>");
    Ok(())
}

/// The section of a version of CHANGELOG.md, without its heading: what follows `## VERSION (DATE)`, or `## Unreleased (VERSION)`.
pub(crate) fn section<'a>(text: &'a str, version: &str) -> Option<&'a str> {
    let is_its = |heading: &str| {
        heading.split_whitespace().next() == Some(version) || heading.trim() == format!("Unreleased ({version})")
    };
    let mut sections = text.split("\n## ").skip(1);
    let (_, body) = sections.find_map(|section| section.split_once('\n').filter(|(heading, _)| is_its(heading)))?;
    Some(body.trim()).filter(|body| !body.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "# Changes\n\nWords.\n\n## Unreleased (0.3.0)\n\n* New.\n\n## 0.2.0 (2026-12-01)\n\n* One,\n  two.\n* Three.\n\n## 0.1.0\n\n";

    #[test]
    fn a_version_has_a_section_and_what_is_unreleased_is_of_its_version() {
        assert_eq!(section(LOG, "0.2.0"), Some("* One,\n  two.\n* Three."));
        assert_eq!(section(LOG, "0.3.0"), Some("* New."));
        assert_eq!(section(LOG, "0.1.0"), None, "it says nothing");
        assert_eq!(section(LOG, "0.4.0"), None);
    }

    #[test]
    fn a_changelog_is_as_debian_has_them() {
        let version = Version {
            full: format!("{UPSTREAM}-3"),
            epoch: 1_700_000_000,
            commit: "c0ffee".to_owned(),
            maintainer: "A B <a@b.org>".to_owned(),
        };
        let text = version.changelog("resctrl-rust").unwrap();
        assert!(text.starts_with(&format!("resctrl-rust ({UPSTREAM}-3) unstable; urgency=medium\n\n  * ")), "{text}");
        assert!(text.ends_with("\n\n -- A B <a@b.org>  Tue, 14 Nov 2023 22:13:20 +0000\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.lines().skip(1).all(|line| line.is_empty() || line.starts_with("  ") || line.starts_with(" -- ")));
    }

    #[test]
    fn a_maintainer_is_a_name_with_an_address() {
        for wrong in ["", "A", "A <b>", "<a@b.org>", "A <a@b.org", "A <a@b.org>\nX: y", "A, B <a@b.org>"] {
            assert!(check_maintainer(wrong).is_err(), "{wrong:?}");
        }
        check_maintainer("A B <a@b.org>").unwrap();
    }
}
