// SPDX-License-Identifier: GPL-2.0-only
//! All verdicts at a glance: a row for each scenario, a column for each machine and kernel, in it a cell for each implementation.

use maud::{Markup, html};

use super::html::class;
use crate::scenario::Implementation;
use crate::test_qemu::outcome::{Outcome, Verdict};

/// With so many columns there is room for what a scenario shows.
const FEW: usize = 3;

/// The machine and the kernel of a column.
type Place = (String, String);

fn place(outcome: &Outcome) -> Place {
    (outcome.case.machine.to_string(), outcome.case.kernel.clone())
}

/// What a cell leads to.
pub(super) fn anchor(outcome: &Outcome) -> String {
    let (machine, kernel) = place(outcome);
    let name = format!("{}-{machine}-{kernel}-{}", outcome.case.scenario.name, outcome.case.implementation);
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

/// The matrix; rows with failures come first.
pub(super) fn matrix(outcomes: &[Outcome]) -> Markup {
    let mut places: Vec<Place> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for outcome in outcomes {
        if !places.contains(&place(outcome)) {
            places.push(place(outcome));
        }
        if !names.contains(&outcome.case.scenario.name.as_str()) {
            names.push(&outcome.case.scenario.name);
        }
    }
    let of = |name: &str| outcomes.iter().filter(move |outcome| outcome.case.scenario.name == name).collect::<Vec<_>>();
    names.sort_by_key(|name| !of(name).iter().any(|outcome| outcome.verdict == Verdict::Fail));
    let has_room = places.len() <= FEW;
    html! {
        div class="wide" {
            table class="matrix" {
                thead {
                    tr {
                        th rowspan="2" { "scenario" }
                        @for (machine, kernel) in &places { th colspan="2" { (machine) br; small { (kernel) } } }
                        @if has_room { th rowspan="2" class="about" { "shows" } }
                    }
                    tr { @for _ in &places { th { small { "C" } } th { small { "ours" } } } }
                }
                tbody {
                    @for name in &names {
                        @let row = of(name);
                        tr data-text=(words(&row)) {
                            th scope="row" title=(row[0].case.scenario.about) { (name) }
                            @for column in &places {
                                @for implementation in [Implementation::Kernel, Implementation::Rust] {
                                    (cell(row.iter().copied().find(|outcome| {
                                        place(outcome) == *column && outcome.case.implementation == implementation
                                    })))
                                }
                            }
                            @if has_room { td class="about" { (row[0].case.scenario.about) } }
                        }
                    }
                }
            }
        }
    }
}

/// What a row is found by.
fn words(row: &[&Outcome]) -> String {
    let mut words = format!("{} {}", row[0].case.scenario.name, row[0].case.scenario.about);
    for outcome in row {
        words.push_str(&format!(" {} {} {}", outcome.case.machine, outcome.case.kernel, outcome.verdict));
    }
    words.to_lowercase()
}

fn cell(outcome: Option<&Outcome>) -> Markup {
    let Some(outcome) = outcome else { return html! { td {} } };
    let mark = match outcome.verdict {
        Verdict::Pass if !outcome.expected.is_empty() => "≠",
        Verdict::Pass => "✓",
        Verdict::Fail => "✗",
        Verdict::Skip => "–",
    };
    let title = format!(
        "{}: {}, {} checks, {:.1} s",
        outcome.case,
        outcome.marked_verdict(),
        outcome.checks,
        outcome.took.as_secs_f64()
    );
    html! {
        td class=(class(outcome.verdict)) {
            a href=(format!("#{}", anchor(outcome))) title=(title) {
                (mark) @if outcome.retried { "²" } @if outcome.not_compared.is_some() { "°" }
            }
        }
    }
}
