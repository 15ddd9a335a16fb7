// SPDX-License-Identifier: GPL-2.0-only
//! The table as text, as Markdown, and as a file for programs.

use anyhow::Result;
use comfy_table::{CellAlignment, Table as Grid, presets};

use super::table::{ACCESSES, Pair, Row, STEADY, Table};

/// Heads of the columns where figures are bytes.
const BYTES: [&str; 5] = ["bytes of memory", "C", "ours", "ratio", ""];

const HEADER: [&str; 8] = ["operation", "C", "ours", "ratio", ACCESSES[0], ACCESSES[1], ACCESSES[2], ""];

impl Table {
    /// The table as it is printed.
    pub(super) fn text(&self) -> String {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        grid.set_header(HEADER);
        for row in &self.operations {
            grid.add_row(cells(row));
        }
        for column in 1..7 {
            if let Some(column) = grid.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if self.memory.is_empty() {
            return grid.trim_fmt();
        }
        let mut memory = Grid::new();
        memory.load_style(presets::NOTHING);
        memory.set_header(BYTES);
        for row in &self.memory {
            memory.add_row(bytes(row));
        }
        format!("{}\n\n{}", grid.trim_fmt(), memory.trim_fmt())
    }

    /// The same for a page of the documentation.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: [String; 8]| format!("| {} |\n", cells.join(" | "));
        let mut text = line(HEADER.map(str::to_owned)) + "|---|--:|--:|--:|--:|--:|--:|---|\n";
        for row in &self.operations {
            text += &line(cells(row));
        }
        if !self.memory.is_empty() {
            text += &format!("\n| {} |\n|---|--:|--:|--:|---|\n", BYTES.join(" | "));
            for row in &self.memory {
                text += &format!("| {} |\n", bytes(row).join(" | "));
            }
        }
        text
    }

    /// What it comes to, in one line.
    pub(super) fn summary(&self) -> String {
        let measured = self.operations.iter().filter(|row| !row.is_control());
        let count = |what: fn(&Row) -> bool| measured.clone().filter(|row| what(row)).count();
        format!(
            "{} operations: {} cost less than in C, {} more; {} reach the hardware or interrupt CPUs more often; boots \
             differ in {}",
            measured.clone().count(),
            count(|row| row.ratio < 1.0 - STEADY),
            count(|row| row.ratio > 1.0 + STEADY),
            count(|row| !row.more().is_empty()),
            count(|row| !row.is_steady()),
        )
    }

    /// The figures for programs.
    ///
    /// # Errors
    ///
    /// A figure is no number.
    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

fn cells(row: &Row) -> [String; 8] {
    let [interrupts, reads, writes] = row.accesses().map(accesses);
    [
        row.operation.clone(),
        row.instructions.kernel.to_string(),
        row.instructions.rust.to_string(),
        format!("{:.2}", row.ratio),
        interrupts,
        reads,
        writes,
        note(row),
    ]
}

/// What something takes.
fn bytes(row: &Row) -> [String; 5] {
    let Pair { kernel, rust } = row.instructions;
    [row.operation.clone(), kernel.to_string(), rust.to_string(), format!("{:.2}", row.ratio), note(row)]
}

/// One number where both have the same.
fn accesses(Pair { kernel, rust }: Pair) -> String {
    match (kernel, rust) {
        (0, 0) => String::new(),
        _ if kernel == rust => kernel.to_string(),
        _ => format!("{kernel}, {rust}"),
    }
}

fn note(row: &Row) -> String {
    let mut notes = Vec::new();
    if let Some(Pair { kernel, rust }) = row.elapsed {
        notes.push(format!("with waiting {kernel}, {rust}"));
    }
    let more = row.more();
    if !more.is_empty() {
        notes.push(format!("more {}", more.join(" and ")));
    }
    if !row.is_steady() {
        notes.push(format!("boots differ by {:.1} %", row.spread * 100.0));
    }
    notes.join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{origin, table};
    use super::super::table::{Table, parse};

    #[test]
    fn every_row_is_printed_with_what_is_to_be_known_of_it() {
        let kernel =
            ["umount\tcost=100\telapsed=1000\treads=1\twrites=2", "umount\tcost=90\telapsed=1000\treads=1\twrites=2"];
        let rust = ["umount\tcost=190\telapsed=50\treads=1\twrites=3"];
        let boots = |texts: &[&str]| texts.iter().map(|text| parse(text).unwrap()).collect::<Vec<_>>();
        let table = Table::new(origin(), &boots(&kernel), &boots(&rust));
        let text = table.text();
        let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words[..7], ["umount", "95", "190", "2.00", "1", "2,", "3"], "{text}");
        assert!(text.contains("with waiting 1000, 50; more writes; boots differ by 10.0 %"), "{text}");
        assert!(table.markdown().contains("| umount | 95 | 190 | 2.00 |  | 1 | 2, 3 | with"), "{}", table.markdown());
    }

    #[test]
    fn memory_is_a_table_of_its_own() {
        let table = table("a\tcost=1\nmemory:group\tcost=8000", "a\tcost=1\nmemory:group\tcost=2000");
        let text = table.text();
        let words: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(words, ["group", "8000", "2000", "0.25"], "{text}");
        assert!(table.markdown().contains("\n\n| bytes of memory | C | ours | ratio |  |\n"), "{}", table.markdown());
        assert!(table.markdown().ends_with("| group | 8000 | 2000 | 0.25 |  |\n"), "{}", table.markdown());
        assert!(table.summary().starts_with("1 operations:"), "{}", table.summary());
    }

    #[test]
    fn controls_are_not_summed_up() {
        let table = table(
            "control:x\tcost=10\na\tcost=100\nb\tcost=100\nc\tcost=100",
            "control:x\tcost=20\na\tcost=90\nb\tcost=102\nc\tcost=101\twrites=1",
        );
        assert_eq!(
            table.summary(),
            "3 operations: 1 cost less than in C, 1 more; 1 reach the hardware or interrupt CPUs more often; boots differ in 0"
        );
    }

    #[test]
    fn programs_read_back_what_was_written() {
        let table = table("b\tcost=10\telapsed=20\treads=3", "b\tcost=20\telapsed=20");
        let read: Table = serde_json::from_str(&table.json().unwrap()).unwrap();
        assert_eq!((read.operations, read.origin), (table.operations, table.origin));
    }
}
