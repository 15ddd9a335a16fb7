// SPDX-License-Identifier: GPL-2.0-only
//! The frequency of the guest's time stamp counter.
//!
//! A guest measures it at boot against the interval timer, which on a loaded host can be wrong by a factor of ten:
//! then the guest's seconds are. QEMU hands the host's counter through, so the host measures it, and tells the guest.

use std::time::{Duration, Instant};

/// How long to measure.
const WINDOW: Duration = Duration::from_millis(50);
/// Readings of which the one with the least doubt is taken.
const TRIES: u32 = 16;

/// The host's counter, between two looks at the clock: the counter, the time, and how far the looks were apart.
#[cfg(target_arch = "x86_64")]
fn reading(since: Instant) -> (u64, Duration, Duration) {
    let look = || {
        let before = since.elapsed();
        // SAFETY: RDTSC has no precondition; an x86-64 processor has it, and Linux lets programs use it.
        let counter = unsafe { core::arch::x86_64::_rdtsc() };
        let after = since.elapsed();
        (counter, before, after - before)
    };
    // Whoever was interrupted between the looks was away for long.
    (0..TRIES).map(|_| look()).min_by_key(|&(_, _, doubt)| doubt).unwrap_or_else(look)
}

/// Kilohertz of the counter that guests see; `None` on a host without one.
#[cfg(target_arch = "x86_64")]
pub(crate) fn khz() -> Option<u64> {
    let since = Instant::now();
    let (first, start, _) = reading(since);
    std::thread::sleep(WINDOW);
    let (last, end, _) = reading(since);
    let nanoseconds = u64::try_from((end - start).as_nanos()).ok()?;
    last.checked_sub(first)?.checked_mul(1_000_000)?.checked_div(nanoseconds)
}

/// Kilohertz of the counter that guests see; `None` on a host without one.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn khz() -> Option<u64> {
    None
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn two_measurements_agree_to_a_thousandth() {
        let (a, b) = (khz().unwrap(), khz().unwrap());
        assert!(a > 100_000, "{a} kHz");
        assert!(a.abs_diff(b) < a / 1000, "{a} and {b} kHz");
    }
}
