// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask crates`: the crates as others use them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use similar::TextDiff;

use crate::cargo_tool::cargo;
use crate::workspace;

/// A crate that others can use.
struct Library {
    package: &'static str,
    folder: &'static str,
    /// Features whose items are listed, too.
    features: &'static str,
}

/// In the order in which they need each other.
const LIBRARIES: [Library; 5] = [
    Library { package: "resctrl-types", folder: "resctrl-types", features: "sim" },
    Library { package: "resctrl-fs", folder: "resctrl-fs", features: "" },
    Library { package: "resctrl-x86", folder: "resctrl-x86", features: "" },
    Library { package: "resctrl-mpam", folder: "resctrl-mpam", features: "" },
    Library { package: "resctrl-hardware", folder: "qemu-images/hardware", features: "" },
];

/// What a list begins with.
const HEAD: &str = "# What this crate offers to others, as `cargo xtask crates --accept` lists it.\n";

/// Lists what each crate offers to others, and tries to publish them
///
/// Each crate's list is its interface.txt, so that a change of what others may use shows in a diff. Without --accept nothing is
/// written, and a list that is not what is committed is an error. Then cargo packs and compiles all of them as if they were to
/// be published, and uploads nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write the lists as they are now
    #[arg(long)]
    accept: bool,
    /// Only the lists
    #[arg(long)]
    no_publish: bool,
}

/// Compares, and tries; the exit code says whether nothing has changed.
///
/// # Errors
///
/// A crate does not compile, or could not be published.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut changed = Vec::new();
    for library in &LIBRARIES {
        let place = workspace::root().join(library.folder).join("interface.txt");
        let new = listed(&items(&describe(library)?)?);
        let old = fs::read_to_string(&place).unwrap_or_default();
        if options.accept {
            fs::write(&place, &new).with_context(|| format!("cannot write {}", place.display()))?;
        } else if old != new {
            println!("{}: not as it was:\n{}", library.package, difference(&old, &new));
            changed.push(library.package);
        }
        println!("{}: {} items", library.package, new.lines().count() - 1);
    }
    if !options.no_publish {
        try_to_publish()?;
    }
    if changed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{}: if that is meant, `cargo xtask crates --accept`, and a line in CHANGELOG.md", changed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// rustdoc's description of a crate, as JSON.
fn describe(library: &Library) -> Result<PathBuf> {
    let target = workspace::target().join("interface");
    let status = cargo()
        .args(["rustdoc", "--quiet", "--locked", "--lib", "--package", library.package, "--features", library.features])
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "-Zunstable-options", "--output-format", "json"])
        // The pinned compiler is the stable one; that option of its rustdoc is not.
        .env("RUSTC_BOOTSTRAP", "1")
        .status()
        .context("cannot run cargo rustdoc")?;
    ensure!(status.success(), "cargo rustdoc failed ({status})");
    Ok(target.join("doc").join(library.package.replace('-', "_")).with_extension("json"))
}

/// Every item that others can use, sorted.
fn items(description: &Path) -> Result<Vec<String>> {
    let interface = public_api::Builder::from_rustdoc_json(description)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .with_context(|| format!("cannot read {}", description.display()))?;
    Ok(interface.items().map(ToString::to_string).collect())
}

fn listed(items: &[String]) -> String {
    items.iter().fold(HEAD.to_owned(), |text, item| text + item + "\n")
}

/// What has gone, and what is new.
fn difference(old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(0).to_string()
}

/// Lets cargo do all of it but the last.
fn try_to_publish() -> Result<()> {
    let packages = LIBRARIES.iter().flat_map(|library| ["--package", library.package]);
    let output = cargo()
        // What is not committed yet may be tried, too.
        .args(["publish", "--dry-run", "--locked", "--allow-dirty"])
        .args(packages)
        .output()
        .context("cannot run cargo publish")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "they cannot be published:\n{said}");
    let warnings: Vec<&str> = said.lines().filter(|line| is_bad_news(line)).collect();
    ensure!(warnings.is_empty(), "they can be published, but:\n{}", warnings.join("\n"));
    println!("all {} can be published", LIBRARIES.len());
    Ok(())
}

/// A warning, but not that nothing is uploaded, or that something is left out as it is asked for.
fn is_bad_news(line: &str) -> bool {
    let expected = ["aborting upload due to dry run", "ignoring example `", "ignoring test `"];
    line.starts_with("warning: ") && !expected.iter().any(|text| line.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_that_is_published_has_its_list_and_its_front_page() {
        let root = workspace::root();
        let manifests = LIBRARIES.map(|library| (library.folder, library.package));
        for (folder, package) in manifests {
            let read = |file: &str| fs::read_to_string(root.join(folder).join(file)).unwrap();
            assert!(
                read("Cargo.toml").contains(&format!("name = \"{package}\""))
                    && !read("Cargo.toml").contains("publish.")
            );
            assert!(read("interface.txt").starts_with(HEAD));
            assert!(read("README.md").starts_with(&format!("# {package}\n")));
            assert!(read("src/lib.rs").contains("#![doc = include_str!(\"../README.md\")]"));
        }
    }

    #[test]
    fn a_change_shows_what_has_gone_and_what_is_new() {
        let text = |items: &[&str]| listed(&items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>());
        let shown = difference(&text(&["pub fn a", "pub fn b"]), &text(&["pub fn b", "pub fn c"]));
        assert!(
            shown.contains("-pub fn a\n") && shown.contains("+pub fn c\n") && !shown.contains(" pub fn b"),
            "{shown}"
        );
    }

    #[test]
    fn warnings_that_are_expected_are_no_bad_news() {
        assert!(is_bad_news("warning: manifest has no license"));
        assert!(!is_bad_news("warning: aborting upload due to dry run"));
        assert!(!is_bad_news("   Compiling resctrl-fs"));
    }
}
