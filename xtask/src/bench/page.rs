// SPDX-License-Identifier: GPL-2.0-only
//! The figures as a page: one file that needs nothing else.

use anyhow::Result;
use maud::{DOCTYPE, PreEscaped, html};

use super::table::{Row, Table};
use crate::report::html::STYLE;
use crate::report::plot::{self, Bar};

/// Draws the table.
///
/// # Errors
///
/// A chart cannot be drawn.
pub(crate) fn page(table: &Table, machine: &str, kernel: &str) -> Result<String> {
    let ratios: Vec<Bar> = table.rows.iter().map(ratio).collect();
    let ratios = plot::bars(&ratios, "instructions, as a part of what the kernel's own takes; 1 is the same")?;
    let scaling = table.rows.iter().filter(|row| row.operation.ends_with("-threads")).flat_map(|row| {
        let bar = |who, value: u64, series| Bar {
            label: format!("{} {who}: {value}", row.operation),
            value: value as f64,
            series,
        };
        [bar("C", row.kernel, 0), bar("ours", row.rust, 1)]
    });
    let scaling = plot::bars(&scaling.collect::<Vec<_>>(), "instructions")?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "resctrl: " (table.summary()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "What operations cost" }
                p { "Machine " (machine) ", kernel " (kernel) ": " (table.summary()) ". Instructions of the guest; of operations that wait, what its CPUs worked meanwhile." }
                h2 { "Ratio of ours to the kernel's own" }
                (PreEscaped(ratios))
                h2 { "With more and more threads" }
                (PreEscaped(scaling))
                h2 { "All figures" }
                pre { (table.text()) }
            }
        }
    };
    Ok(page.into_string())
}

/// Orange where ours takes more.
fn ratio(row: &Row) -> Bar {
    Bar {
        label: format!("{}: {:.2}", row.operation, row.ratio),
        value: row.ratio,
        series: usize::from(row.ratio > 1.0),
    }
}
