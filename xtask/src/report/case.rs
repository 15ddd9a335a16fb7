// SPDX-License-Identifier: GPL-2.0-only
//! Everything there is of one case.

use std::fs;
use std::path::Path;

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use super::Run;
use super::html::class;
use super::matrix::anchor;
use super::plot::{self, Bar};
use crate::test_qemu::compare;
use crate::test_qemu::outcome::Outcome;

/// Lines of a console log that a failure shows.
const CONSOLE_LINES: usize = 60;

/// What a case shows, what it did, and what it counted.
///
/// # Errors
///
/// A chart cannot be drawn.
pub(super) fn details(run: &Run, outcome: &Outcome) -> Result<Markup> {
    let bars: Vec<Bar> = outcome
        .stats
        .iter()
        .map(|(name, &value)| Bar { label: format!("{name}: {value}"), value, series: 0 })
        .collect();
    let chart = if bars.is_empty() { None } else { Some(plot::bars(&bars, "count")?) };
    Ok(html! {
        details id=(anchor(outcome)) class="case" {
            summary {
                (outcome.case) " " span class=(class(outcome.verdict)) { (outcome.marked_verdict()) }
                ", " (outcome.checks) " checks, " (format!("{:.1}", outcome.took.as_secs_f64())) " s"
            }
            p { (outcome.case.scenario.about) }
            @if let Some(why) = &outcome.not_compared { p { "Not compared: " (why) } }
            @if !outcome.reasons.is_empty() { pre { @for reason in &outcome.reasons { (reason) "\n" } } }
            (differences(run, outcome))
            @for known in &outcome.expected { p { "Fails, as known: " b { (known.check) } ": " (known.reason) } }
            p { "Again: " code { (run.again(outcome)) } }
            p { (link(run, "console", &outcome.console)) @for (name, path) in outcome.evidence() { " " (link(run, name, &path)) } }
            @if let Some(chart) = &chart { div class="chart" { (PreEscaped(chart)) } }
            @if !outcome.output.is_empty() { pre { @for line in &outcome.output { (line) "\n" } } }
        }
    })
}

/// What the kernel's own has printed, beside what ours has, where they differ.
fn differences(run: &Run, outcome: &Outcome) -> Markup {
    let partner = compare::partner(&run.outcomes, outcome);
    let rows =
        partner.map_or_else(Vec::new, |(oracle, known)| compare::beside(&oracle.output, &outcome.output, &known));
    html! {
        @if !rows.is_empty() {
            div class="wide" { table class="beside" {
                tr { th { "the kernel's own" } th { "ours" } }
                @for row in &rows { tr { @for line in row { td { @if let Some(line) = line { code { (line) } } } } } }
            } }
        }
    }
}

/// A file of the run's folder. Who has the page alone sees what it is called.
fn link(run: &Run, name: &str, path: &Path) -> Markup {
    let place = path.strip_prefix(&run.folder).unwrap_or(path).display().to_string();
    html! { (name.trim().trim_end_matches(':')) ": " a href=(place) { (place) } }
}

/// Why a case failed, and the end of its guest's console.
pub(super) fn failure(run: &Run, outcome: &Outcome) -> Markup {
    html! {
        h2 class="fail" { a href=(format!("#{}", anchor(outcome))) { (outcome.case) } }
        pre { @for reason in &outcome.reasons { (reason) "\n" } }
        p { "Again: " code { (run.again(outcome)) } }
        details {
            summary { "End of " (outcome.console.strip_prefix(&run.folder).unwrap_or(&outcome.console).display()) }
            pre { (last_lines(&outcome.console)) }
        }
    }
}

/// A fault that the case was there to provoke.
pub(super) fn provoked(outcome: &Outcome) -> Markup {
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
