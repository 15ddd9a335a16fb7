// SPDX-License-Identifier: GPL-2.0-only
//! A table of names and figures, as text and for a page of the documentation.

use comfy_table::{CellAlignment, Table as Grid, presets};

/// A table; all columns but the first have figures.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// As it is printed.
    pub(crate) fn text(&self) -> String {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        grid.set_header(&self.header);
        grid.add_rows(&self.rows);
        for column in grid.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        grid.trim_fmt()
    }

    /// As a page has it.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|---|{}\n", "--:|".repeat(self.header.len() - 1));
        line(&self.header) + &rule + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_to_the_right() {
        let mut table = Table::new(&["file", "lines"]);
        table.row(vec!["a.rs".to_owned(), "9".to_owned()]);
        assert_eq!(table.text(), " file  lines\n a.rs      9");
        assert_eq!(table.markdown(), "| file | lines |\n|---|--:|\n| a.rs | 9 |\n");
    }
}
