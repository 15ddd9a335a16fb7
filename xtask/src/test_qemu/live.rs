// SPDX-License-Identifier: GPL-2.0-only
//! What a person sees while scenarios run: a line for each guest, a bar for all, verdicts above.
//! Where standard error is no terminal, only the verdict lines remain.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::outcome::Outcome;
use super::pool::Report;
use crate::guest::event::Event;

/// The live view.
#[derive(Debug)]
pub(crate) struct Live {
    all: MultiProgress,
    bar: ProgressBar,
    guests: Vec<ProgressBar>,
}

impl Live {
    /// For `cases` cases in up to `jobs` guests at once.
    pub(crate) fn new(cases: usize, jobs: usize) -> Self {
        let all = MultiProgress::new();
        let style =
            |template: &str| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let guests = (0..jobs)
            .map(|_| {
                let line = all.add(ProgressBar::new_spinner());
                line.set_style(style("  {spinner} {prefix}  {msg}  {elapsed}"));
                line.enable_steady_tick(Duration::from_millis(200));
                line
            })
            .collect();
        let bar = all.add(ProgressBar::new(cases as u64));
        bar.set_style(style("  [{bar:40}] {pos}/{len} scenarios  {elapsed}"));
        Self { all, bar, guests }
    }

    /// Shows a report.
    pub(crate) fn report(&self, report: &Report) {
        match report {
            Report::Verdict(outcome) => {
                self.say(&verdict_line(outcome));
                self.bar.inc(1);
            }
            Report::Retry { label, reason } => {
                self.say(&format!("retry {label}: {reason}"));
            }
            Report::Spent(_) => {}
            Report::Guest { worker, label, event } => {
                let Some(line) = self.guests.get(*worker) else { return };
                match event {
                    Event::Started { .. } => {
                        line.reset_elapsed();
                        line.set_prefix(label.clone());
                        line.set_message("boots");
                    }
                    Event::ScenarioStarted { name, .. } => line.set_message(name.clone()),
                    Event::Splat(splat) => line.set_message(format!("splat: {}", splat.kind)),
                    Event::Ended(_) => line.set_message("ended"),
                    _ => {}
                }
            }
        }
    }

    fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            println!("{line}");
        } else {
            self.all.suspend(|| println!("{line}"));
        }
    }

    /// Removes what is not a verdict line.
    pub(crate) fn finish(&self) {
        for line in &self.guests {
            line.finish_and_clear();
        }
        self.bar.finish_and_clear();
    }
}

/// The verdict line of a scenario that ran outside of the live view.
pub(crate) fn say_verdict(outcome: &Outcome) {
    println!("{}", verdict_line(outcome));
}

/// The one line a scenario gets.
fn verdict_line(outcome: &Outcome) -> String {
    let Outcome { verdict, case, checks, took, retried, .. } = outcome;
    format!(
        "{verdict} {case}: {checks} checks, {:.1} s{}",
        took.as_secs_f64(),
        if *retried { ", second boot" } else { "" }
    )
}
