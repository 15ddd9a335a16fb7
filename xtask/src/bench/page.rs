// SPDX-License-Identifier: GPL-2.0-only
//! The figures as a page: one file that needs nothing else.

use anyhow::Result;
use maud::{PreEscaped, html};

use super::table::{Row, Table};
use crate::report::html::document;
use crate::report::plot::{self, Bar, Line};

/// What operations can have more and more of, at the end of their names: `tasks-read/1000-threads`.
const SCALES: [&str; 5] = ["threads", "groups", "mon-groups", "domains", "readers"];

/// A machine's size and its figures.
#[derive(Debug, Clone)]
pub(super) struct OfSize {
    /// What there are so many of: `domains`, `CPUs`.
    pub(super) counts: [(&'static str, u32); 2],
    pub(super) table: Table,
}

/// Draws the table, and what its operations cost on machines of other sizes.
///
/// # Errors
///
/// A chart cannot be drawn.
pub(super) fn page(table: &Table, machines: &[OfSize]) -> Result<String> {
    let measured: Vec<&Row> = table.operations.iter().filter(|row| !row.is_control()).collect();
    let ratios: Vec<Bar> = measured.iter().map(|row| ratio(row)).collect();
    let ratios = match ratios.is_empty() {
        true => String::new(),
        false => plot::bars(&ratios, "instructions, as a part of what the kernel's own takes; 1 is the same")?,
    };
    let mut scaling = Vec::new();
    for (operation, scale, lines) in curves(&measured) {
        scaling.push((format!("{operation}, by {scale}"), plot::lines(&lines, &scale, "instructions")?));
    }
    let mut across = Vec::new();
    for (operation, scale, lines) in by_size(machines) {
        across.push((format!("{operation}, by {scale}"), plot::lines(&lines, scale, "instructions")?));
    }
    let origin = &table.origin;
    let body = html! {
                h1 { "What operations cost" }
                p { code { (origin.command) } " at " (origin.commit) ", on Linux " (origin.kernel) " (" (origin.description) ")." }
                p { (table.summary()) ". Instructions of the guest; of operations that wait, what its CPUs executed meanwhile." }
                h2 { "Ratio of ours to the kernel's own" }
                p { "Orange: ours takes more." }
                (PreEscaped(ratios))
                h2 { "With more and more of something" }
                p { "Blue: the kernel's own. Orange: ours." }
                @for (name, chart) in &scaling {
                    h3 { (name) }
                    (PreEscaped(chart))
                }
                @if !across.is_empty() {
                    h2 { "On machines of other sizes" }
                    p { "What `bench --docs` has committed, and the figures above. Blue: the kernel's own. Orange: ours." }
                }
                @for (name, chart) in &across {
                    h3 { (name) }
                    (PreEscaped(chart))
                }
                h2 { "All figures" }
                pre { (table.text()) }
    };
    Ok(document(&table.summary(), &body))
}

/// Orange where ours takes more.
fn ratio(row: &Row) -> Bar {
    Bar {
        label: format!("{}: {:.2}", row.operation, row.ratio),
        value: row.ratio,
        series: usize::from(row.ratio > 1.0),
    }
}

/// Name and number of a row that is one of several which differ in how many of something there are.
fn place(row: &Row) -> Option<(&str, f64, &'static str)> {
    let (operation, many) = row.operation.rsplit_once('/')?;
    let (number, scale) = many.split_once('-')?;
    let scale = SCALES.into_iter().find(|known| *known == scale)?;
    Some((operation, number.parse().ok()?, scale))
}

/// Operations that were measured with several numbers of something.
fn curves(rows: &[&Row]) -> Vec<(String, String, [Line; 2])> {
    let mut curves: Vec<(String, String, [Line; 2])> = Vec::new();
    for row in rows {
        let Some((operation, number, scale)) = place(row) else { continue };
        let known = curves.iter().position(|(name, of, _)| name == operation && of == scale);
        let index = known.unwrap_or_else(|| {
            curves.push((operation.to_owned(), scale.to_owned(), Default::default()));
            curves.len() - 1
        });
        let [kernel, rust] = &mut curves[index].2;
        kernel.push((number, row.instructions.kernel as f64));
        rust.push((number, row.instructions.rust as f64));
    }
    curves.retain(|(_, _, [kernel, _])| kernel.len() > 1);
    curves
}

/// What an operation costs on machines of different sizes.
type Curve = (String, &'static str, [Line; 2]);

/// Operations that were measured on machines of different sizes.
fn by_size(machines: &[OfSize]) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for machine in machines {
        let rows = machine.table.operations.iter().filter(|row| !row.is_control() && place(row).is_none());
        for (row, (scale, count)) in rows.flat_map(|row| machine.counts.map(|count| (row, count))) {
            let known = curves.iter().position(|(name, of, _)| *name == row.operation && *of == scale);
            let index = known.unwrap_or_else(|| {
                curves.push((row.operation.clone(), scale, Default::default()));
                curves.len() - 1
            });
            let [kernel, rust] = &mut curves[index].2;
            kernel.push((f64::from(count), row.instructions.kernel as f64));
            rust.push((f64::from(count), row.instructions.rust as f64));
        }
    }
    for (_, _, lines) in &mut curves {
        lines.iter_mut().for_each(|line| line.sort_by(|one, other| one.0.total_cmp(&other.0)));
    }
    // Machines of the same size, which differ in something else, are no curve.
    curves.retain(|(_, _, [line, _])| line.len() > 1 && line.windows(2).all(|two| two[0].0 < two[1].0));
    curves
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;

    #[test]
    fn operations_with_several_numbers_are_curves() {
        let text = "x/10-threads\tcost=1\nx/20-threads\tcost=2\ny/1-group\tcost=1\nz/3-groups\tcost=1";
        let table = table(text, text);
        let curves = curves(&table.operations.iter().collect::<Vec<_>>());
        let line = vec![(10.0, 1.0), (20.0, 2.0)];
        assert_eq!(curves, [("x".to_owned(), "threads".to_owned(), [line.clone(), line])]);
    }

    #[test]
    fn machines_of_other_sizes_are_curves_and_those_of_the_same_size_are_not() {
        let of = |domains, cpus, cost: &str| {
            let text = format!("mkdir\tcost={cost}\nx/10-threads\tcost=1\ncontrol:a\tcost=1");
            OfSize { counts: [("domains", domains), ("CPUs", cpus)], table: table(&text, &text) }
        };
        let curves = by_size(&[of(16, 64, "9"), of(2, 4, "5")]);
        let line = |points: [(f64, f64); 2]| [points.to_vec(), points.to_vec()];
        assert_eq!(
            curves,
            [
                ("mkdir".to_owned(), "domains", line([(2.0, 5.0), (16.0, 9.0)])),
                ("mkdir".to_owned(), "CPUs", line([(4.0, 5.0), (64.0, 9.0)])),
            ]
        );
        assert!(by_size(&[of(2, 4, "5"), of(2, 4, "6")]).is_empty());
        let drawn = page(&table("", ""), &[of(16, 64, "9"), of(2, 4, "5")]).unwrap();
        assert!(drawn.contains("mkdir, by domains") && drawn.contains("mkdir, by CPUs"), "{drawn}");
    }

    #[test]
    fn a_page_has_the_charts_and_the_table_in_it() {
        let kernel = "x/10-threads\tcost=1\nx/20-threads\tcost=2\na<b\tcost=5";
        let page = page(&table(kernel, kernel), &[]).unwrap();
        assert_eq!(page.matches("<svg").count(), 2, "{page}");
        assert!(page.contains("a&lt;b"), "{page}");
        assert!(!page.contains("src="), "it needs nothing else");
    }

    #[test]
    fn a_page_without_figures_can_be_drawn() {
        assert!(page(&table("", ""), &[]).unwrap().contains("All figures"));
    }
}
