// SPDX-License-Identifier: GPL-2.0-only
//! The tables of docs/performance.md.

use anyhow::{Context, Result};

use super::guard;
use super::table::{Origin, Table};
use crate::guest::platform::Kind;
use crate::{docs, machine, workspace};

/// Puts the table into the documentation, and its figures beside it.
///
/// # Errors
///
/// The page has no place for this machine, or cannot be written.
pub(super) fn update(table: &Table) -> Result<()> {
    let machine = &table.origin.machine;
    docs::put("performance.md", &format!("table of machine {machine}"), &text(table))?;
    let figures = workspace::root().join("docs/performance");
    std::fs::create_dir_all(&figures)?;
    let figures = figures.join(format!("{machine}.json"));
    std::fs::write(&figures, table.json()?).with_context(|| format!("cannot write {}", figures.display()))
}

/// Figures that are committed, of machines of this one's instruction set, this one's left out.
///
/// # Errors
///
/// A file has no figures, or is of a machine that there is not.
pub(super) fn of_other_machines(this: &Origin) -> Result<Vec<Table>> {
    let arch = machine::load(this.argument(), Kind::Qemu)?.arch();
    let mut tables = Vec::new();
    let folder = workspace::root().join("docs/performance");
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        let table = guard::load(&entry?.path())?;
        let is_another = table.origin.machine != this.machine;
        if is_another && machine::load(table.origin.argument(), Kind::Qemu)?.arch() == arch {
            tables.push(table);
        }
    }
    Ok(tables)
}

fn text(table: &Table) -> String {
    let origin = &table.origin;
    format!(
        "`{}` at {}, on Linux {} ({}): {}.\n\n{}",
        origin.command,
        origin.commit,
        origin.kernel,
        origin.description,
        table.summary(),
        table.markdown()
    )
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;

    #[test]
    fn the_text_says_where_the_figures_are_from_and_has_the_table() {
        let text = text(&table("mkdir\tcost=10", "mkdir\tcost=20"));
        assert!(text.starts_with("`cargo xtask bench --machine intel` at 0123456789ab, on Linux 7.3.4"), "{text}");
        assert!(text.ends_with("| mkdir | 10 | 20 | 2.00 |  |  |  |  |\n"), "{text}");
    }
}
