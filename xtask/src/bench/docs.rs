// SPDX-License-Identifier: GPL-2.0-only
//! The tables of docs/performance.md.

use anyhow::{Context, Result};

use super::table::Table;
use crate::workspace;

/// Puts the table into the documentation, and its figures beside it.
///
/// # Errors
///
/// The page has no place for this machine, or cannot be written.
pub(super) fn update(table: &Table) -> Result<()> {
    let docs = workspace::root().join("docs");
    let path = docs.join("performance.md");
    let page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let page = replace(&page, table).with_context(|| {
        format!("{} has no lines \"{}\" and \"{END}\"", path.display(), begin(&table.origin.machine))
    })?;
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    let figures = docs.join("performance");
    std::fs::create_dir_all(&figures)?;
    let figures = figures.join(format!("{}.json", table.origin.machine));
    std::fs::write(&figures, table.json()?).with_context(|| format!("cannot write {}", figures.display()))
}

fn begin(machine: &str) -> String {
    format!("<!-- table of machine {machine} -->")
}

const END: &str = "<!-- end of table -->";

fn replace(page: &str, table: &Table) -> Option<String> {
    let origin = &table.origin;
    let begin = begin(&origin.machine);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{begin}\n`{}` at {}, on Linux {} ({}): {}.\n\n{}{END}{after}",
        origin.command,
        origin.commit,
        origin.kernel,
        origin.description,
        table.summary(),
        table.markdown()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let old = "a\n<!-- table of machine amd -->\nx\n<!-- end of table -->\n<!-- table of machine intel -->\nold\n<!-- end of table -->\nb\n";
        let new = replace(old, &table("mkdir\tcost=10", "mkdir\tcost=20")).unwrap();
        assert!(new.starts_with("a\n<!-- table of machine amd -->\nx\n<!-- end of table -->\n"), "{new}");
        assert!(new.ends_with("| mkdir | 10 | 20 | 2.00 |  |  |  |  |\n<!-- end of table -->\nb\n"), "{new}");
        assert!(new.contains("`cargo xtask bench --machine intel` at 0123456789ab, on Linux 7.3.4"), "{new}");
        assert!(!new.contains("old"));
    }

    #[test]
    fn a_page_without_a_place_is_left_alone() {
        assert_eq!(replace("nothing", &table("a\tcost=1", "a\tcost=1")), None);
    }
}
