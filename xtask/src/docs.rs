// SPDX-License-Identifier: GPL-2.0-only
//! What commands write into the documentation: each its text, between two marks; and `cargo xtask docs`, which does that for what
//! comes from types and lists.

mod catalogue;
mod evidence;
mod found;
mod machines;
#[cfg(test)]
mod pages;

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::workspace;

/// Brings pages in docs/ up to date: machines.md, catalogue.md, found.md, evidence.md
///
/// Keys of machine files and words that say what scenarios need come from the types in qemu-images/hardware and xtask, known
/// differences from qemu-images/guest/known-differences.toml, reports from docs/found, claims from the figures in docs/evidence.
/// Measured figures are brought up to date by what measures them: `evidence`, `bench --docs`, `timings --docs`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> Result<ExitCode> {
    renew()?;
    Ok(ExitCode::SUCCESS)
}

/// Does that.
///
/// # Errors
///
/// A page has no place for something, or cannot be written.
pub(crate) fn renew() -> Result<()> {
    for (page, name, text) in parts()? {
        put(page, name, &text)?;
        println!("docs/{page}, {name}: up to date");
    }
    Ok(())
}

/// Everything that comes from types and lists: the page, the name of the place, the text.
fn parts() -> Result<Vec<(&'static str, &'static str, String)>> {
    let of_machines = machines::parts()?.map(|(name, text)| (machines::PAGE, name, text));
    let lists = catalogue::parts()?.map(|(name, text)| (catalogue::PAGE, name, text));
    let of_found = found::parts()?.map(|(name, text)| (found::PAGE, name, text));
    Ok(of_machines.into_iter().chain(lists).chain(of_found).chain(evidence::parts()?).collect())
}

/// Puts a text into a page of `docs/`, in place of what is between the mark `<!-- NAME -->` and the next `<!-- end of table -->`.
///
/// # Errors
///
/// The page has no such marks, or cannot be written.
pub(crate) fn put(page: &str, name: &str, text: &str) -> Result<()> {
    let path = workspace::root().join("docs").join(page);
    let old = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let new = replace(&old, name, text)
        .with_context(|| format!("{} has no lines \"{}\" and \"{END}\"", path.display(), begin(name)))?;
    std::fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))
}

const END: &str = "<!-- end of table -->";

fn begin(name: &str) -> String {
    format!("<!-- {name} -->")
}

fn replace(page: &str, name: &str, text: &str) -> Option<String> {
    let begin = begin(name);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{text}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let old = "a\n<!-- amd -->\nx\n<!-- end of table -->\n<!-- intel -->\nold\n<!-- end of table -->\nb\n";
        let new = replace(old, "intel", "new\n").unwrap();
        assert_eq!(new, old.replace("old", "new"));
    }

    #[test]
    fn generated_parts_are_up_to_date() {
        for (page, name, text) in parts().unwrap() {
            let old = std::fs::read_to_string(workspace::root().join("docs").join(page)).unwrap();
            let current = replace(&old, name, &text).unwrap();
            assert!(current == old, "docs/{page}, {name}: run `cargo xtask docs`");
        }
    }

    #[test]
    fn a_page_without_a_place_is_left_alone() {
        assert_eq!(replace("nothing", "intel", "new"), None);
        assert_eq!(replace("<!-- intel -->", "intel", "new"), None);
    }
}
