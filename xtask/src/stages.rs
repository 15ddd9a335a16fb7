// SPDX-License-Identifier: GPL-2.0-only
//! What a run spends its time on: time that passes, and processor time, which hardly depends on what else this machine
//! does.

use std::fs;
use std::ops::{AddAssign, Sub};
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};

/// What something has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Time that passed.
    pub(crate) passed: Duration,
    /// Time that processors worked for it.
    pub(crate) processor: Duration,
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.processor += other.processor;
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            passed: self.passed.saturating_sub(before.passed),
            processor: self.processor.saturating_sub(before.processor),
        }
    }
}

/// One part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// What is done.
    pub(crate) name: String,
    /// What it has taken.
    pub(crate) spent: Spent,
}

/// The parts of a run, in the order in which they were begun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stages(Vec<Stage>);

impl Stages {
    /// Does a part of the run, by this process or by programs that it waits for.
    pub(crate) fn measure<T>(&mut self, name: &str, work: impl FnOnce() -> T) -> T {
        let (start, before) = (Instant::now(), processor_time_here());
        let result = work();
        let processor = processor_time_here().saturating_sub(before);
        self.add(name, Spent { passed: start.elapsed(), processor });
        result
    }

    /// Adds to a part.
    pub(crate) fn add(&mut self, name: &str, spent: Spent) {
        match self.0.iter_mut().find(|stage| stage.name == name) {
            Some(stage) => stage.spent += spent,
            None => self.0.push(Stage { name: name.to_owned(), spent }),
        }
    }

    /// Where the time went, as it is printed.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["stage", "seconds", "processor seconds"]);
        for Stage { name, spent } in &self.0 {
            let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
            table.add_row([name.clone(), seconds(spent.passed), seconds(spent.processor)]);
        }
        for column in 1..3 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.trim_fmt()
    }

    /// The same for a page of the documentation.
    pub(crate) fn markdown(&self) -> String {
        let line = |Stage { name, spent }: &Stage| {
            format!("| {name} | {:.0} | {:.0} |\n", spent.passed.as_secs_f64(), spent.processor.as_secs_f64())
        };
        "| stage | seconds | processor seconds |\n|---|--:|--:|\n".to_owned()
            + &self.0.iter().map(line).collect::<String>()
    }

    /// Reads what [`Self::tsv`] wrote; none if it is something else.
    pub(crate) fn parse(text: &str) -> Option<Vec<(String, Spent)>> {
        let seconds =
            |text: &str| text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let lines = text.lines().map(|line| {
            let [name, passed, processor] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
            Some((name.to_owned(), Spent { passed: seconds(passed)?, processor: seconds(processor)? }))
        });
        lines.collect()
    }

    /// The same for programs: name, seconds, processor seconds.
    pub(crate) fn tsv(&self) -> String {
        let line = |Stage { name, spent }: &Stage| {
            format!("{name}\t{:.2}\t{:.2}\n", spent.passed.as_secs_f64(), spent.processor.as_secs_f64())
        };
        self.0.iter().map(line).collect()
    }
}

/// Processor time of this process and of those that it has waited for.
fn processor_time_here() -> Duration {
    times("self").map_or(Duration::ZERO, |[own, waited_for]| own + waited_for)
}

/// Processor time that a process has taken so far; none if it is gone.
pub(crate) fn processor_time_of(process: u32) -> Option<Duration> {
    times(&process.to_string()).map(|[own, _]| own)
}

/// Processor time of a process, and of its children that it has waited for.
fn times(process: &str) -> Option<[Duration; 2]> {
    parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?, rustix::param::clock_ticks_per_second())
}

/// Reads `/proc/PID/stat`: proc_pid_stat(5).
fn parse(stat: &str, hertz: u64) -> Option<[Duration; 2]> {
    // The second field is a name in parentheses, which may have any characters. utime is the 14th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(14 - 3);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let time = |user: u64, system: u64| Duration::from_millis((user + system) * 1000 / hertz);
    Some([time(ticks()?, ticks()?), time(ticks()?, ticks()?)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn times_are_read_behind_a_name_with_anything_in_it() {
        let stat = "7 (a) b 1 2) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 300 400 20 0 1 0 9 1 1\n";
        assert_eq!(parse(stat, 100), Some([2 * SECOND, 7 * SECOND]));
        assert_eq!(parse("7 (a) S 1", 100), None);
    }

    #[test]
    fn work_of_this_process_and_of_programs_that_end_is_counted() {
        let mut stages = Stages::default();
        let (begun, before) = (Instant::now(), processor_time_here());
        let busy = || {
            while processor_time_here() < before + Duration::from_millis(50) && begun.elapsed() < 30 * SECOND {
                std::hint::spin_loop();
            }
        };
        stages.measure("here", busy);
        let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        stages.measure("there", || duct::cmd("sh", ["-c", script]).run().unwrap());
        for stage in &stages.0 {
            assert!(stage.spent.processor > Duration::ZERO, "{stage:?}");
        }
    }

    #[test]
    fn a_process_that_is_gone_has_no_time() {
        assert!(processor_time_of(std::process::id()).is_some());
        assert_eq!(processor_time_of(u32::MAX), None);
    }

    #[test]
    fn what_is_done_in_pieces_is_one_stage() {
        let mut stages = Stages::default();
        let spent = |passed, processor| Spent { passed: passed * SECOND, processor: processor * SECOND };
        stages.add("module", spent(1, 2));
        stages.add("boots", spent(7, 9));
        stages.add("module", spent(3, 4));
        assert_eq!(stages.tsv(), "module\t4.00\t6.00\nboots\t7.00\t9.00\n");
        assert!(stages.table().lines().nth(1).unwrap().ends_with("4.0                6.0"), "{}", stages.table());
        assert_eq!(spent(3, 4) - spent(1, 1), spent(2, 3));
        assert!(stages.markdown().ends_with("| module | 4 | 6 |\n| boots | 7 | 9 |\n"), "{}", stages.markdown());
        let read = Stages::parse(&stages.tsv());
        assert_eq!(read, Some(vec![("module".to_owned(), spent(4, 6)), ("boots".to_owned(), spent(7, 9))]));
        assert_eq!(Stages::parse("module\t4\n"), None);
    }
}
