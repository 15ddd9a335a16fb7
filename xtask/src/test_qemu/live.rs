// SPDX-License-Identifier: GPL-2.0-only
//! What a person sees while scenarios run: a line for each guest, a bar for all, verdicts above.
//! Where standard error is no terminal, only the verdict lines remain.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::estimate::{Estimate, Step, about};
use super::outcome::Outcome;
use super::pool::Report;
use crate::guest::event::Event;

/// The live view.
#[derive(Debug)]
pub(crate) struct Live {
    all: MultiProgress,
    bar: ProgressBar,
    guests: Vec<ProgressBar>,
    /// Nothing, where nothing is known of earlier runs. The bar looks at it whenever it is drawn.
    estimate: Arc<Mutex<Option<Estimate>>>,
}

/// What a line shows, and how.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Live {
    /// For `cases` cases in up to `jobs` guests at once.
    pub(crate) fn new(cases: usize, jobs: usize, estimate: Option<Estimate>) -> Self {
        let estimate = Arc::new(Mutex::new(estimate));
        let all = MultiProgress::new();
        let guests = (0..jobs)
            .map(|_| {
                let line = all.add(ProgressBar::new_spinner());
                line.set_style(style("  {spinner} {prefix}  {msg}  {elapsed}"));
                line.enable_steady_tick(Duration::from_millis(200));
                line
            })
            .collect();
        let bar = all.add(ProgressBar::new(cases as u64));
        let seen = Arc::clone(&estimate);
        let left = move |_: &ProgressState, to: &mut dyn fmt::Write| {
            // Writing to a line does not fail.
            let _ = to.write_str(&left(&seen, Instant::now()));
        };
        bar.set_style(style("  [{bar:40}] {pos}/{len} scenarios  {elapsed}{left}").with_key("left", left));
        bar.enable_steady_tick(Duration::from_secs(1));
        let live = Self { all, bar, guests, estimate };
        live.announce(cases, jobs);
        live
    }

    /// Says what is to come.
    fn announce(&self, cases: usize, jobs: usize) {
        let Ok(estimate) = self.estimate.lock() else { return };
        let left = estimate.as_ref().map(|estimate| about(estimate.left(Instant::now())));
        let left = left.map_or_else(String::new, |left| format!("; {left}, by earlier runs"));
        self.say(&format!("{cases} scenarios, up to {jobs} guests at once{left}"));
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
            Report::Spent { .. } => {}
            Report::Guest { worker, label, event } => self.guest(*worker, label, event),
        }
    }

    /// Shows what a guest does.
    fn guest(&self, worker: usize, label: &str, event: &Event) {
        let Some(line) = self.guests.get(worker) else { return };
        let now = Instant::now();
        let known = |note: &dyn Fn(&mut Estimate)| {
            let mut estimate = self.estimate.lock().ok()?;
            let estimate = estimate.as_mut()?;
            note(estimate);
            Some((estimate.expected(worker)?, estimate.progress(worker)?))
        };
        let doing = |what: &str, known: Option<(Duration, (usize, usize))>| {
            line.reset_elapsed();
            line.set_message(doing(what, known));
        };
        match event {
            Event::Started { .. } => {
                line.set_prefix(label.to_owned());
                doing("boots", known(&|estimate| estimate.started(worker, label, now)));
            }
            Event::ScenarioStarted { name, .. } => {
                let step = Step::Scenario(name.clone());
                doing(name, known(&|estimate| estimate.begins(worker, &step, now)));
            }
            Event::Splat(splat) => line.set_message(format!("splat: {}", splat.kind)),
            Event::Ended(_) => {
                known(&|estimate| estimate.ended(worker, now));
                line.set_message("ended");
            }
            _ => {}
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

/// What a guest does, which of its scenarios that is, and how long it is expected to take.
fn doing(what: &str, known: Option<(Duration, (usize, usize))>) -> String {
    let mut text = what.to_owned();
    if let Some((expected, (which, of))) = known {
        // Writing to a string does not fail.
        let _ = match what {
            "boots" => write!(text, ", {}", about(expected)),
            _ => write!(text, ", {which} of {of}, {}", about(expected)),
        };
    }
    text
}

/// How long it will take, for the end of a line.
fn left(estimate: &Mutex<Option<Estimate>>, now: Instant) -> String {
    let Ok(estimate) = estimate.lock() else { return String::new() };
    estimate.as_ref().map_or_else(String::new, |estimate| format!(", {} left", about(estimate.left(now))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_says_what_it_does_and_for_how_long_where_that_is_known() {
        assert_eq!(doing("groups", None), "groups");
        let known = |seconds| Some((Duration::from_secs(seconds), (3, 25)));
        assert_eq!(doing("groups", known(4)), "groups, 3 of 25, about 4 s");
        assert_eq!(doing("boots", known(5)), "boots, about 5 s");
        assert_eq!(left(&Mutex::new(None), Instant::now()), "");
    }
}
