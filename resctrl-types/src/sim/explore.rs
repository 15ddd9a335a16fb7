// SPDX-License-Identifier: GPL-2.0-only
//! Which schedules of a test are run.

use std::env;
use std::path::Path;
use std::string::String;

use shuttle::scheduler::{
    DfsScheduler, PctScheduler, RandomScheduler, ReplayScheduler, RoundRobinScheduler, Scheduler,
};
use shuttle::{Config, MaxSteps, Runner};

/// Bytes of stack for each simulated thread; only what is touched is ever mapped.
const STACK: usize = 512 * 1024;
/// A schedule with more steps than this is a livelock.
const MAX_STEPS: usize = 2_000_000;

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

fn replay() -> Option<ReplayScheduler> {
    let text = env::var("SIM_REPLAY").ok()?;
    let schedule = if Path::new(&text).is_file() {
        std::fs::read_to_string(&text).unwrap_or_else(|error| panic!("SIM_REPLAY: {text}: {error}"))
    } else {
        text
    };
    let schedule: String = schedule.split_whitespace().filter(|word| *word != "\"").collect();
    Some(ReplayScheduler::new_from_encoded(&schedule))
}

fn run_on<S: Scheduler + 'static>(scheduler: S, body: impl Fn() + Send + Sync + 'static) -> usize {
    let mut config = Config::new();
    config.stack_size = STACK;
    config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
    config.silence_warnings = true;
    match replay() {
        Some(replay) => Runner::new(replay, config).run(body),
        None => Runner::new(scheduler, config).run(body),
    }
}

fn iterations(wanted: usize) -> usize {
    let factor = number("SIM_ITERATIONS").and_then(|factor| usize::try_from(factor).ok()).unwrap_or(1);
    wanted.saturating_mul(factor.max(1))
}

fn seed() -> u64 {
    number("SIM_SEED").unwrap_or(0x5eed)
}

/// Runs `body` once, under one schedule that is always the same.
pub fn run(body: impl Fn() + Send + Sync + 'static) {
    run_on(RoundRobinScheduler::new(1), body);
}

/// Runs `body` under `wanted` random schedules (times `SIM_ITERATIONS`); returns how many were run.
pub fn explore(wanted: usize, body: impl Fn() + Send + Sync + 'static) -> usize {
    run_on(RandomScheduler::new_from_seed(seed(), iterations(wanted)), body)
}

/// Runs `body` under `wanted` schedules (times `SIM_ITERATIONS`) of few but unlikely switches: probabilistic concurrency
/// testing, which finds with good odds whatever needs no more than `depth` switches at the right places.
/// Returns how many were run.
pub fn explore_pct(wanted: usize, depth: usize, body: impl Fn() + Send + Sync + 'static) -> usize {
    run_on(PctScheduler::new_from_seed(seed(), depth, iterations(wanted)), body)
}

/// Runs `body` under every schedule there is, or the first `limit`; returns how many were run. Only for bodies of a
/// few steps, and without [`shuttle::rand`](https://docs.rs/shuttle).
pub fn explore_all(limit: Option<usize>, body: impl Fn() + Send + Sync + 'static) -> usize {
    run_on(DfsScheduler::new(limit, false), body)
}
