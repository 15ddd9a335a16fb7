// SPDX-License-Identifier: GPL-2.0-only
//! What docs/catalogue.md says there is: machines, kernels, scenarios and checks, from their files.

use anyhow::Result;

use crate::list::{self, Row};

/// The page.
pub(super) const PAGE: &str = "catalogue.md";

/// Its parts: the name of each, and its text.
///
/// # Errors
///
/// A file is not what it should be.
pub(super) fn parts() -> Result<[(&'static str, String); 4]> {
    Ok([
        ("machines", table(["Machine", "Instruction set", "What it is"], &list::machine_rows()?)),
        ("kernels", table(["Kernel", "Instruction set", "What it is"], &list::kernel_rows()?)),
        ("scenarios", table(["Scenario", "Runs on", "What it shows"], &list::scenario_rows()?)),
        ("checks", table(["Check", "Scenarios", "What holds"], &list::check_rows()?)),
    ])
}

fn table(head: [&str; 3], rows: &[Row]) -> String {
    let line = |cells: [&str; 3]| format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    let mut text = line(head) + "|---|---|---|\n";
    for row in rows {
        text.push_str(&line([&row.name, &row.place, &row.about]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_there_is_has_its_row() {
        let parts = parts().unwrap();
        for ((part, text), known) in parts.iter().zip(["intel", "stock", "hotplug-stress", "abi-1"]) {
            let rows: Vec<&str> = text.lines().skip(2).collect();
            assert!(rows.iter().any(|row| row.starts_with(&format!("| {known} | "))), "{part}: {text}");
            assert!(rows.len() > 5 && rows.iter().all(|row| !row.ends_with("|  |")), "{part}: {text}");
        }
    }
}
