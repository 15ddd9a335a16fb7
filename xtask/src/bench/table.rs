// SPDX-License-Identifier: GPL-2.0-only
//! The figures of both implementations, side by side.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table as Grid, presets};
use serde::Serialize;

/// Boots of the same thing may differ by so much.
const STEADY: f64 = 0.01;

/// What one boot has measured: operations in their order.
pub(crate) type Measured = Vec<Sample>;

/// One operation in one boot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    /// Instructions from beginning to end: the median.
    pub(crate) elapsed: u64,
    /// Of an operation that waits: how much of that CPUs have worked, all together.
    pub(crate) busy: Option<u64>,
}

/// Reads what `resctrl-bench` printed.
///
/// # Errors
///
/// A line is not of its kind.
pub(crate) fn parse(text: &str) -> Result<Measured> {
    text.lines()
        .map(|line| {
            let mut fields = line.split('\t');
            let sample = fields.next().zip(fields.next()).and_then(|(name, median)| {
                let busy = match fields.nth(3) {
                    None => None,
                    Some(busy) => Some(busy.parse().ok()?),
                };
                Some(Sample { name: name.to_owned(), elapsed: median.parse().ok()?, busy })
            });
            sample.with_context(|| format!("not a line of a measurement: \"{line}\""))
        })
        .collect()
}

/// One operation on both.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub(crate) struct Row {
    pub(crate) operation: String,
    /// The kernel's own: the mean of its boots. Of an operation that waits, what CPUs have worked.
    pub(crate) kernel: u64,
    pub(crate) rust: u64,
    pub(crate) ratio: f64,
    /// From beginning to end with all waiting, where there is any: the kernel's own, and ours.
    pub(crate) elapsed: Option<[u64; 2]>,
    /// Boots agree.
    pub(crate) steady: bool,
}

/// All operations.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
}

#[derive(Serialize)]
struct File<'a> {
    unit: &'static str,
    machine: &'a str,
    kernel: &'a str,
    operations: &'a [Row],
}

impl Table {
    /// Compares the boots of the kernel's own with those of ours. What one of them lacks is left out.
    pub(crate) fn new(kernel: &[Measured], rust: &[Measured]) -> Self {
        let names = kernel.first().into_iter().flatten().map(|sample| sample.name.as_str());
        Self { rows: names.filter_map(|name| row(name, kernel, rust)).collect() }
    }

    /// The table as it is printed.
    pub(crate) fn text(&self) -> String {
        let mut grid = Grid::new();
        grid.load_style(presets::NOTHING);
        grid.set_header(["operation", "C", "ours", "ratio", ""]);
        for row in &self.rows {
            let mut note = String::new();
            if let Some([kernel, rust]) = row.elapsed {
                // Writing to a string does not fail.
                let _ = write!(note, "and waits: {kernel}, {rust} in all");
            }
            if !row.steady {
                note.push_str(" (boots differ)");
            }
            grid.add_row([
                row.operation.clone(),
                row.kernel.to_string(),
                row.rust.to_string(),
                format!("{:.2}", row.ratio),
                note.trim().to_owned(),
            ]);
        }
        for column in 1..4 {
            if let Some(column) = grid.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        grid.trim_fmt()
    }

    /// The last line.
    pub(crate) fn summary(&self) -> String {
        let measured = self.rows.iter().filter(|row| !row.operation.starts_with("control:"));
        let slower = measured.clone().filter(|row| row.ratio > 1.0 + STEADY).count();
        let unsteady = self.rows.iter().filter(|row| !row.steady).count();
        format!("{} operations, {slower} slower than in C; boots differ in {unsteady}", measured.count())
    }

    /// The figures for programs.
    ///
    /// # Errors
    ///
    /// A figure is no number.
    pub(crate) fn json(&self, machine: &str, kernel: &str) -> Result<String> {
        let file = File { unit: "instructions", machine, kernel, operations: &self.rows };
        Ok(serde_json::to_string_pretty(&file)? + "\n")
    }
}

fn row(name: &str, kernel: &[Measured], rust: &[Measured]) -> Option<Row> {
    let of = |boots: &[Measured]| -> Option<Vec<Sample>> {
        boots.iter().map(|boot| boot.iter().find(|sample| sample.name == name).cloned()).collect()
    };
    let (kernel, rust) = (of(kernel)?, of(rust)?);
    let cost = |sample: &Sample| sample.busy.unwrap_or(sample.elapsed);
    let (theirs, ours) = (mean(kernel.iter().map(cost))?, mean(rust.iter().map(cost))?);
    let waits = kernel.iter().chain(&rust).any(|sample| sample.busy.is_some());
    let elapsed = |boots: &[Sample]| mean(boots.iter().map(|sample| sample.elapsed));
    Some(Row {
        operation: name.to_owned(),
        kernel: theirs,
        rust: ours,
        ratio: round(ours as f64 / theirs.max(1) as f64),
        elapsed: if waits { Some([elapsed(&kernel)?, elapsed(&rust)?]) } else { None },
        steady: [&kernel, &rust].into_iter().all(|boots| agree(boots.iter().map(cost))),
    })
}

fn mean(values: impl Iterator<Item = u64>) -> Option<u64> {
    let values: Vec<u64> = values.collect();
    values.iter().sum::<u64>().checked_div(values.len() as u64)
}

fn agree(values: impl Iterator<Item = u64> + Clone) -> bool {
    let (least, most) = (values.clone().min().unwrap_or(0), values.max().unwrap_or(0));
    (most - least) as f64 <= most as f64 * STEADY
}

/// To three digits after the point: more is noise.
fn round(ratio: f64) -> f64 {
    (ratio * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_numbers() {
        let measured = parse("mkdir\t100\t90\t110\t15\numount\t5000\t1\t2\t7\t300\n").unwrap();
        let of = |name: &str, elapsed, busy| Sample { name: name.to_owned(), elapsed, busy };
        assert_eq!(measured, [of("mkdir", 100, None), of("umount", 5000, Some(300))]);
        for wrong in ["mkdir", "mkdir\tx\t1\t1\t1", "mkdir\t1\t1\t1\t1\tx"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn work_is_compared_and_waiting_is_told() {
        let kernel = [parse("umount\t1000\t0\t0\t1\t100").unwrap(), parse("umount\t3000\t0\t0\t1\t100").unwrap()];
        let rust = [parse("umount\t9000\t0\t0\t1\t50").unwrap(), parse("umount\t9000\t0\t0\t1\t52").unwrap()];
        let table = Table::new(&kernel, &rust);
        let row = &table.rows[0];
        assert_eq!((row.kernel, row.rust, row.ratio, row.elapsed), (100, 51, 0.51, Some([2000, 9000])));
        assert!(!row.steady, "50 and 52 differ by more than a hundredth");
        assert!(table.text().contains("boots differ"), "{}", table.text());
    }

    #[test]
    fn what_one_does_not_have_is_left_out_and_controls_are_not_counted() {
        let kernel = [parse("control:x\t10\t0\t0\t1\na\t10\t0\t0\t1\nb\t10\t0\t0\t1").unwrap()];
        let rust = [parse("control:x\t20\t0\t0\t1\nb\t20\t0\t0\t1").unwrap()];
        let table = Table::new(&kernel, &rust);
        assert_eq!(table.rows.len(), 2);
        assert_eq!(table.summary(), "1 operations, 1 slower than in C; boots differ in 0");
        let json = table.json("intel", "stock").unwrap();
        assert!(json.contains("\"operation\": \"b\"") && json.contains("\"ratio\": 2.0"), "{json}");
    }
}
