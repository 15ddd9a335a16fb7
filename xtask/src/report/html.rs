// SPDX-License-Identifier: GPL-2.0-only
//! The page to look at: one file that needs nothing else.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plot::{self, Bar, Line};
use super::{Run, case, matrix};
use crate::checks::Found;
use crate::scenario::Case;
use crate::test_qemu::outcome::{Outcome, Verdict};

/// How pages look: in light and in dark, on a wide screen and on a phone.
const STYLE: &str = include_str!("page.css");

/// Finds rows by a text, and opens what a link leads to. Without it everything is there, too.
const SCRIPT: &str = include_str!("page.js");

/// A page of one file that needs nothing else.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta name="color-scheme" content="light dark";
                title { "resctrl: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) script { (PreEscaped(SCRIPT)) } }
        }
    };
    page.into_string()
}

/// The page for `run`.
///
/// # Errors
///
/// A chart cannot be drawn.
pub(crate) fn page(run: &Run) -> Result<String> {
    let timings: Vec<Bar> = run.outcomes.iter().map(timing).collect();
    let timings = plot::bars(&timings, "seconds in the guest")?;
    let mut curves = Vec::new();
    for (name, [across, up], lines) in curves_of(&run.outcomes) {
        curves.push((format!("{name}: {up} by {across}"), plot::lines(&lines, &across, &up)?));
    }
    let mut cases = Vec::new();
    for outcome in &run.outcomes {
        cases.push(case::details(run, outcome)?);
    }
    let all_is_well = run.count(Verdict::Fail) == 0;
    let body = html! {
        h1 { "resctrl in guests" }
        p class=(if all_is_well { "verdict pass" } else { "verdict fail" }) { (run.summary()) }
        dl { @for (name, value) in run.origin.rows() { dt { (name) } dd { (value) } } }
        @for outcome in run.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Fail) { (case::failure(run, outcome)) }
        @for outcome in run.outcomes.iter().filter(|outcome| !outcome.fault.is_empty()) { (case::provoked(outcome)) }
        h2 { "Verdicts" }
        p {
            input id="filter" type="search" placeholder="find: a scenario, a machine, FAIL" aria-label="find in the table";
    " " (legend(run))
        }
        (matrix::matrix(&run.outcomes))
        @for misfits in &run.misfits { pre { (misfits) } }
        h2 { "Checks" }
        (checks(run))
        @if !curves.is_empty() {
            h2 { "Curves" }
            p { "Blue: the kernel's own. Orange: ours." }
        }
        @for (name, chart) in &curves {
            h3 { (name) }
            div class="chart" { (PreEscaped(chart)) }
        }
        h2 { "Cases" }
        @for case in &cases { (case) }
        h2 { "Timings" }
        div class="chart" { (PreEscaped(timings)) }
        pre { (run.stages.table()) }
    };
    Ok(document(&run.summary(), &body))
}

/// What the signs mean that there are.
fn legend(run: &Run) -> String {
    let signs = [
        ("✓ passed", true),
        ("✗ failed", run.count(Verdict::Fail) > 0),
        ("– skipped", run.count(Verdict::Skip) > 0),
        ("≠ differs as it is known to", run.outcomes.iter().any(|outcome| !outcome.expected.is_empty())),
        ("° not compared", run.outcomes.iter().any(|outcome| outcome.not_compared.is_some())),
        ("² on a second boot", run.outcomes.iter().any(|outcome| outcome.retried)),
    ];
    let there: Vec<_> = signs.iter().filter(|(_, there)| *there).map(|(sign, _)| *sign).collect();
    format!("{}. Each leads to what there is of it.", there.join(", "))
}

/// A scenario on a machine, what is across and up, and the line of each implementation.
type Curve = (String, [String; 2], [Line; 2]);

/// The curves of scenarios, both implementations on one chart.
fn curves_of(outcomes: &[Outcome]) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for outcome in outcomes {
        let Case { scenario, machine, kernel, implementation, .. } = &outcome.case;
        let name = format!("{} on {machine}, {kernel}", scenario.name);
        for (axes, line) in &outcome.curves {
            let known = curves.iter().position(|(of, known, _)| *of == name && known == axes);
            let index = known.unwrap_or_else(|| {
                curves.push((name.clone(), axes.clone(), Default::default()));
                curves.len() - 1
            });
            curves[index].2[*implementation as usize].clone_from(line);
        }
    }
    curves
}

fn timing(outcome: &Outcome) -> Bar {
    let case = &outcome.case;
    let seconds = outcome.took.as_secs_f64();
    Bar {
        label: format!("{} {} {}: {seconds:.1}", case.scenario.name, case.machine, case.implementation),
        value: seconds,
        series: case.implementation as usize,
    }
}

/// The class of what shows a verdict.
pub(super) fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Skip => "skip",
    }
}

/// The table of the catalogue, and what is known to differ.
fn checks(run: &Run) -> Markup {
    let class = |found: Found| match found {
        Found::NotRun => "skip",
        Found::Passed => "pass",
        Found::Known => "",
        Found::Failed => "fail",
    };
    html! {
        pre { (run.checks.summary()) (run.gone()) }
        @for outcome in &run.outcomes {
            @for known in &outcome.expected {
                p { (outcome.case) ": " b { (known.check) } " fails, as known: " (known.reason) }
            }
        }
        details {
            summary { "Every check" }
            div class="wide" { table {
                tr { th { "check" } th { "about" } th { "oracle" } th { "ours" } th { "scenarios" } }
                @for row in &run.checks.rows {
                    tr {
                        td { (row.number) }
                        td { (row.behaviour.title) }
                        td class=(class(row.oracle)) { (row.oracle) }
                        td class=(class(row.ours)) { (row.ours) }
                        td { (row.place()) }
                    }
                }
            } }
        }
    }
}
