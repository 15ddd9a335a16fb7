// SPDX-License-Identifier: GPL-2.0-only
//! The page to look at: one file that needs nothing else.

use std::fs;
use std::path::Path;

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Run;
use super::plot::{self, Bar, Line};
use crate::checks::Found;
use crate::scenario::Case;
use crate::test_qemu::outcome::{Outcome, Verdict};

/// Lines of a console log that a failure shows.
const CONSOLE_LINES: usize = 60;

/// How pages look.
const STYLE: &str = "body{font:15px sans-serif;margin:2em auto;max-width:70em;padding:0 1em}\
    table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:left}\
    tr:nth-child(even){background:#f4f4f4}.pass{color:#17692b}.fail{color:#b3261e;font-weight:bold}\
    .skip{color:#777}pre{background:#f4f4f4;padding:.8em;overflow:auto}";

/// A page of one file that needs nothing else.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "resctrl: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
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
    let mut charts = Vec::new();
    for outcome in run.outcomes.iter().filter(|outcome| !outcome.stats.is_empty()) {
        let bars: Vec<Bar> = outcome
            .stats
            .iter()
            .map(|(name, &value)| Bar { label: format!("{name}: {value}"), value, series: 0 })
            .collect();
        charts.push((outcome.case.to_string(), plot::bars(&bars, "count")?));
    }
    let mut curves = Vec::new();
    for (name, [across, up], lines) in curves_of(&run.outcomes) {
        curves.push((format!("{name}: {up} by {across}"), plot::lines(&lines, &across, &up)?));
    }
    let failed = run.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Fail);
    let body = html! {
                h1 { "resctrl in guests" }
                p { (run.summary()) }
                @for outcome in failed { (failure(run, outcome)) }
                @for outcome in run.outcomes.iter().filter(|outcome| !outcome.fault.is_empty()) { (provoked(outcome)) }
                h2 { "Verdicts" }
                (table(run))
                @for misfits in &run.misfits { pre { (misfits) } }
                h2 { "Checks" }
                (checks(run))
                h2 { "Timings" }
                (PreEscaped(timings))
                @if !curves.is_empty() {
                    h2 { "Curves" }
                    p { "Blue: the kernel's own. Orange: ours." }
                }
                @for (name, chart) in &curves {
                    h3 { (name) }
                    (PreEscaped(chart))
                }
                @for (case, chart) in &charts {
                    h2 { "Counts of " (case) }
                    (PreEscaped(chart))
                }
    };
    Ok(document(&run.summary(), &body))
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

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Skip => "skip",
    }
}

fn table(run: &Run) -> Markup {
    html! {
        table {
            tr { th { "scenario" } th { "shows" } th { "machine" } th { "kernel" } th { "impl" }
                 th { "verdict" } th { "checks" } th { "seconds" } }
            @for outcome in &run.outcomes {
                tr {
                    td { (outcome.case.scenario.name) }
                    td { (outcome.case.scenario.about) }
                    td { (outcome.case.machine) }
                    td { (outcome.case.kernel) }
                    td { (outcome.case.implementation) }
                    td class=(class(outcome.verdict)) {
                        (outcome.verdict) @if outcome.retried { " (retried)" }
                        @if let Some(why) = &outcome.not_compared { span class="skip" title=(why) { ", not compared" } }
                    }
                    td { (outcome.checks) }
                    td { (format!("{:.1}", outcome.took.as_secs_f64())) }
                }
            }
        }
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
            table {
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
            }
        }
    }
}

fn failure(run: &Run, outcome: &Outcome) -> Markup {
    html! {
        h2 class="fail" { (outcome.case) }
        pre { @for reason in &outcome.reasons { (reason) "\n" } }
        p { "Again: " code { (run.again(outcome)) } }
        details {
            summary { "Output" }
            pre { @for line in &outcome.output { (line) "\n" } }
        }
        details {
            summary { "End of " (outcome.console.display()) }
            pre { (last_lines(&outcome.console)) }
        }
    }
}

/// A fault that the case was there to provoke.
fn provoked(outcome: &Outcome) -> Markup {
    html! {
        h2 { (outcome.case) ": the fault that it provoked" }
        p { "Passed, because this kernel has the fault. Console: " code { (outcome.console.display()) } }
        pre { @for line in &outcome.fault { (line) "\n" } }
    }
}

/// The end of a console log; empty if there is none.
fn last_lines(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
}
