// SPDX-License-Identifier: GPL-2.0-only
//! The verdict as a page: one file that needs nothing else, to attach to a mail.

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use super::report::Judgement;
use super::verdict::{Change, Finding};
use crate::report::html::document;
use crate::report::plot::{self, Bar};

/// Draws the verdict.
///
/// # Errors
///
/// A chart cannot be drawn.
pub(super) fn page(judgement: &Judgement) -> Result<String> {
    let findings = &judgement.findings;
    let mut charts = Vec::new();
    for (machine, costs) in &judgement.costs {
        let bars: Vec<Bar> = costs
            .iter()
            .map(|cost| Bar {
                label: format!("{}: {:.2}", cost.operation, cost.ratio),
                value: cost.ratio,
                series: usize::from(cost.is_worse()),
            })
            .collect();
        charts.push((machine, plot::bars(&bars, "with the series, as a part of without; 1 is the same")?));
    }
    let class = if judgement.is_worse() { "fail" } else { "pass" };
    let body = html! {
                h1 { (judgement.after.name) " against " (judgement.before.name) }
                p class=(class) { (judgement.summary()) }
                ul { @for subject in &judgement.subjects { li { (subject) } } }
                p {
                    "Before: " code { (judgement.before.hash) } ". After: " code { (judgement.after.hash) } ". Machines: "
                    (judgement.machines.join(", ")) ". Kernels " @if judgement.debug { "with" } @else { "without" }
                    " KASAN, lockdep and more. Rig at " code { (judgement.rig) } "."
                }
                p { "Again: " code { (judgement.command) @for machine in &judgement.machines { " --machine " (machine) } } }
                @if let Some(broken) = &judgement.broken {
                    h2 class="fail" { "It does not build" }
                    pre { (broken) }
                }
                (section(judgement, "Worse: fails with the series and not without", &findings.worse))
                (section(judgement, "Fixed: fails without the series and not with it", &findings.better))
                (section(judgement, "Unsteady: failed with the series once, and not the second time", &findings.unsteady))
                (section(judgement, "Cannot be told", &findings.unknown))
                @if !findings.changed.is_empty() {
                    h2 { "Changed" }
                    p { "Both do it, differently: - without the series, + with it." }
                    @for Change { machine, scenario, what, text, .. } in findings.changed.iter().map(Change::shown) {
                        h3 { (scenario) " [" (machine) "]: " (what) }
                        pre { (text) }
                        p { "Again: " code { (judgement.again(&scenario, &machine)) } }
                    }
                }
                (section(judgement, "Fails on both", &findings.both))
                @for (machine, chart) in &charts {
                    h2 { "What operations cost on " (machine) }
                    p { "Orange: more, beyond what two boots of the same differ by, in two measurements." }
                    (PreEscaped(chart))
                }
                (table(judgement))
    };
    Ok(document(&format!("{}: {}", judgement.after.name, judgement.summary()), &body))
}

fn section(judgement: &Judgement, title: &str, findings: &[Finding]) -> Markup {
    html! {
        @if !findings.is_empty() {
            h2 { (title) }
            @for finding in findings {
                h3 { (finding.scenario) " [" (finding.machine) "]: " (finding.what) }
                @if !finding.note.is_empty() { p { (finding.note) } }
                @if !finding.details.is_empty() { pre { (finding.details) } }
                p { "Again: " code { (judgement.again(&finding.scenario, &finding.machine)) } }
            }
        }
    }
}

fn table(judgement: &Judgement) -> Markup {
    let class = |verdict: &str| match verdict {
        "pass" => "pass",
        "skip" => "skip",
        _ => "fail",
    };
    html! {
        @if !judgement.table.is_empty() {
            h2 { "Every case" }
            table {
                tr { th { "scenario" } th { "machine" } th { "before" } th { "after" } }
                @for line in &judgement.table {
                    tr {
                        td { (line.scenario) }
                        td { (line.machine) }
                        td class=(class(&line.before)) { (line.before) }
                        td class=(class(&line.after)) { (line.after) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::report::Line;

    #[test]
    fn the_page_has_what_the_verdict_has_and_needs_nothing_else() {
        let mut judgement = Judgement { subjects: vec!["a <b> & c".to_owned()], ..Judgement::default() };
        judgement.findings.worse.push(Finding {
            machine: "intel".to_owned(),
            scenario: "hotplug-stress".to_owned(),
            what: "the guest".to_owned(),
            details: "KASAN: use after free".to_owned(),
            is_report: true,
            console: "console.log".into(),
            note: "it shows each time".to_owned(),
        });
        let line = Line {
            scenario: "hotplug-stress".to_owned(),
            machine: "intel".to_owned(),
            before: "pass".to_owned(),
            after: "FAIL".to_owned(),
        };
        judgement.table.push(line);
        let page = page(&judgement).unwrap();
        for part in
            ["a &lt;b&gt; &amp; c", "KASAN: use after free", "it shows each time", "Every case", "class=\"fail\""]
        {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script src"));
    }
}
