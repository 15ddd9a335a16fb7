// SPDX-License-Identifier: GPL-2.0-only
//! Which schedules of a test are run.

use std::cell::Cell;
use std::env;
use std::eprintln;
use std::format;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::string::{String, ToString};
use std::thread_local;

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, RoundRobinScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use super::preemptions::Preemptions;
use super::recording::{Recorded, Replay, recorded};
use super::serial;
use super::tally::Exploration;
use super::thread::{apart, while_running};

/// Bytes of stack for each simulated thread; only what is touched is ever mapped. A panic that looks for its backtrace in code that
/// is built for the thread sanitizer needs more than half of it.
const STACK: usize = 1024 * 1024;
/// A schedule with more steps than this is a livelock.
const MAX_STEPS: usize = 2_000_000;

thread_local! {
    /// How many explorations there have been in the running test, which has a thread of the host to itself.
    static EXPLORATIONS: Cell<u32> = const { Cell::new(0) };
}

fn number(variable: &str) -> Option<usize> {
    env::var(variable).ok()?.parse().ok()
}

/// Whether one schedule is being run again, so that a test that asks for more than soundness has nothing to count.
#[must_use]
pub fn is_replay() -> bool {
    env::var_os("SIM_REPLAY").is_some()
}

fn replay() -> Option<Replay> {
    let path = env::var_os("SIM_REPLAY")?;
    let text = fs::read_to_string(&path).map_err(|error| error.to_string());
    let replay = text.and_then(|text| Replay::new(&text));
    Some(replay.unwrap_or_else(|error| panic!("SIM_REPLAY: {}: {error}", path.display())))
}

/// The path of the running test, as `--exact` takes it.
fn test_name() -> String {
    // A runner that gives each test a process says which in its arguments; otherwise the thread is named after it.
    let exact = env::args().any(|argument| argument == "--exact");
    let named = env::args().skip(1).find(|argument| !argument.starts_with('-')).filter(|_| exact);
    named.or_else(|| std::thread::current().name().map(ToString::to_string)).unwrap_or_default()
}

/// Writes the schedule that failed to a file beside the test programs; gives the command that runs it again.
fn keep(test: &str, exploration: u32) -> io::Result<String> {
    let program = env::current_exe()?;
    let folder = program.ancestors().nth(2).map_or_else(PathBuf::new, |profile| profile.join("schedules"));
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{}.txt", test.replace("::", ".")));
    fs::write(&file, recorded(exploration))?;
    let package = env::var("CARGO_PKG_NAME").unwrap_or_else(|_| "PACKAGE".into());
    Ok(format!("SIM_REPLAY={} cargo test -p {package} --tests -- --exact {test}", file.display()))
}

fn run_on<S: Scheduler + 'static>(how: &str, scheduler: S, body: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    config.silence_warnings = true;
    config.failure_persistence = FailurePersistence::None;
    let test = test_name();
    let nth = EXPLORATIONS.replace(EXPLORATIONS.get() + 1);
    if let Some(replay) = replay() {
        // Another exploration of the same test is another body, to which the schedule means nothing.
        return if replay.exploration == nth { while_running(|| Runner::new(replay, config).run(body)) } else { 0 };
    }
    let exploration = Exploration::begin();
    let runner = Runner::new(Recorded(scheduler), config);
    match catch_unwind(AssertUnwindSafe(|| while_running(|| runner.run(body)))) {
        Ok(schedules) => {
            exploration.end(&test, how, schedules);
            schedules
        }
        Err(panic) => {
            match keep(&test, nth) {
                Ok(command) => eprintln!("this schedule again:\n  {command}"),
                Err(error) => eprintln!("the schedule cannot be kept: {error}"),
            }
            resume_unwind(panic)
        }
    }
}

fn iterations(wanted: usize) -> usize {
    wanted.saturating_mul(number("SIM_ITERATIONS").unwrap_or(1).max(1))
}

fn seed() -> u64 {
    number("SIM_SEED").and_then(|seed| seed.try_into().ok()).unwrap_or(0x5eed)
}

/// Runs `body` once, under one schedule that is always the same.
pub fn run(body: impl Fn() + Send + Sync + 'static) {
    run_on("one schedule", RoundRobinScheduler::new(1), body);
}

/// Runs `body` once and without a scheduler: works that it starts run when it waits for them, one after the other, each to its end.
/// There are no other threads, so this is for tests in which none is started; many times as fast as [`run`].
///
/// # Panics
/// When something waits for what nobody does any more.
pub fn run_serially<R>(body: impl FnOnce() -> R) -> R {
    while_running(|| serial::run(|| apart(body)))
}

/// Runs `body` under `wanted` random schedules (times `SIM_ITERATIONS`); returns how many were run.
pub fn explore(wanted: usize, body: impl Fn() + Send + Sync + 'static) -> usize {
    run_on("random", RandomScheduler::new_from_seed(seed(), iterations(wanted)), body)
}

/// Runs `body` under `wanted` schedules (times `SIM_ITERATIONS`) of few but unlikely switches: probabilistic concurrency
/// testing, which finds with good odds whatever needs no more than `depth` switches at the right places.
/// Returns how many were run.
pub fn explore_pct(wanted: usize, depth: usize, body: impl Fn() + Send + Sync + 'static) -> usize {
    run_on("PCT", PctScheduler::new_from_seed(seed(), depth, iterations(wanted)), body)
}

/// Runs `body` under every schedule there is, or the first `limit`; returns how many were run. Only for bodies of a
/// few steps, and without [`shuttle::rand`](https://docs.rs/shuttle).
pub fn explore_all(limit: Option<usize>, body: impl Fn() + Send + Sync + 'static) -> usize {
    run_on("all", DfsScheduler::new(limit, false), body)
}

/// Runs `body` under every schedule with at most `bound` preemptions (and `SIM_PREEMPTIONS` more); returns how many there
/// are. A preemption is a switch away from a thread that could go on. For bodies without
/// [`shuttle::rand`](https://docs.rs/shuttle) of some hundred steps: what is not to be tried goes into
/// [`in_one_order`](super::in_one_order).
pub fn explore_preemptions(bound: usize, body: impl Fn() + Send + Sync + 'static) -> usize {
    explore_up_to(bound + number("SIM_PREEMPTIONS").unwrap_or(0), body)
}

/// The same with exactly this bound.
pub(super) fn explore_up_to(bound: usize, body: impl Fn() + Send + Sync + 'static) -> usize {
    run_on(&format!("every schedule with at most {bound} preemptions"), Preemptions::new(bound), body)
}
