// SPDX-License-Identifier: GPL-2.0-only
//! How fast a CPU gets lines from memory: whoever has had more than its rate allows waits.

use super::LINE_SIZE;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SECOND: u128 = 1_000_000_000_000;

/// Nobody waits for less, in nanoseconds: a host cannot sleep that shortly.
const SHORTEST: u64 = 1_000_000;

/// What was not used of this much time, in nanoseconds, can be used later: it makes up for waits that took longer than asked for.
const CREDIT: u64 = 20_000_000;

/// The pace of one CPU. Only the thread that executes the CPU waits by it; anybody may change its rate.
#[derive(Debug, Default)]
pub struct Pace {
    /// Picoseconds a line; 0 for no limit.
    line: AtomicU64,
    /// Up to when what was moved takes, in nanoseconds.
    due: AtomicU64,
}

impl Pace {
    /// Allows so many bytes a second from now on; `None` for any number.
    pub(crate) fn set_rate(&self, bytes: Option<u64>) {
        let line = bytes.map_or(0, |bytes| u128::from(LINE_SIZE) * SECOND / u128::from(bytes.max(1)));
        self.line.store(u64::try_from(line).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether there is a limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.line.load(Ordering::Relaxed) != 0
    }

    /// So many lines have been moved at a time, in nanoseconds from any beginning: how long the CPU has to wait now.
    #[must_use]
    pub fn wait(&self, lines: u64, now: u64) -> Option<Duration> {
        let line = self.line.load(Ordering::Relaxed);
        if line == 0 {
            return None;
        }
        // Fractions of a nanosecond are less than what a line takes by far.
        let due = self.due.load(Ordering::Relaxed).max(now.saturating_sub(CREDIT)).saturating_add(lines * line / 1000);
        self.due.store(due, Ordering::Relaxed);
        let ahead = due.saturating_sub(now);
        (ahead >= SHORTEST).then(|| Duration::from_nanos(ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes a second that a CPU gets in ten seconds which can do a line in 100 ns, and sleeps this much longer than it is to.
    fn throughput(rate: Option<u64>, late: u64) -> u64 {
        let pace = Pace::default();
        pace.set_rate(rate);
        let (mut now, mut lines) = (1_000_000_000, 0);
        let end = now + 10_000_000_000;
        while now < end {
            now += 100;
            lines += 1;
            if let Some(wait) = pace.wait(1, now) {
                now += u64::try_from(wait.as_nanos()).expect("a short time") + late;
            }
        }
        lines * LINE_SIZE / 10
    }

    #[test]
    fn a_cpu_gets_what_its_rate_allows_and_no_more() {
        for percent in (1..10).step_by(3).chain((10..=100).step_by(15)) {
            let rate = 1_000_000 * percent;
            for late in [0, 60_000, 3_000_000] {
                let got = throughput(Some(rate), late);
                assert!(got.abs_diff(rate) <= rate / 100, "{got} of {rate}, {late} ns late");
            }
        }
    }

    #[test]
    fn a_cpu_that_is_slower_never_waits() {
        assert_eq!(throughput(Some(700_000_000), 0), 640_000_000);
        assert_eq!(throughput(None, 0), 640_000_000);
        assert!(!Pace::default().is_limited());
    }

    #[test]
    fn what_was_not_used_long_ago_is_lost() {
        let pace = Pace::default();
        pace.set_rate(Some(64_000));
        // A line is a millisecond; ten seconds have passed without any.
        let waits = (0..100).filter(|_| pace.wait(1, 10_000_000_000).is_some()).count();
        assert_eq!(waits, 80);
    }
}
