// SPDX-License-Identifier: GPL-2.0-only
//! Memory controllers as software sees them: counters of what each channel has moved, in the configuration space of PCI functions.
//!
//! What moves is what the caches that follow ([`crate::caches`]) read from memory and write to it. Lines are spread evenly over the
//! channels, as hardware interleaves them: a channel has moved its part of all, rounded.
//!
//! * `CAS_COUNT` counts lines read (`RD_REG`) and written (`WR_WMM`). Nothing is read because a write was of a part of a line only,
//!   and nothing written while reads have precedence, so the other units stay at 0; so do all other events.
//! * The memory's clock has a period of a nanosecond, also for the event `CLOCKTICKS`.
//! * Overflows tell nobody. Edge detection and thresholds are kept and change nothing.
//!
//! Source: Intel Xeon Processor Scalable Memory Family Uncore Performance Monitoring Reference Manual (336274), "Memory Controller
//! (IMC) Performance Monitoring", and "Uncore Performance Monitoring State in PCICFG space" for where functions are.

mod channel;
mod function;

pub use function::{Function, Kind, Space, functions};

/// What the memory behind the caches has done, since whenever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// Nanoseconds.
    pub time: u64,
    /// Lines read.
    pub read: u64,
    /// Lines written.
    pub written: u64,
}

impl Happened {
    /// The part of one of so many channels. The parts of all make up the whole.
    #[must_use]
    fn of_channel(self, channel: usize, channels: usize) -> Self {
        let part = |all: u64| (all + (channels - 1 - channel) as u64) / channels as u64;
        Self { time: self.time, read: part(self.read), written: part(self.written) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_channels_are_even_and_make_up_the_whole() {
        for channels in 1..=6 {
            for all in [0, 1, 5, 6, 7, 1_000_003] {
                let happened = Happened { time: 9, read: all, written: 2 * all };
                let parts: Vec<_> = (0..channels).map(|channel| happened.of_channel(channel, channels)).collect();
                assert_eq!(parts.iter().map(|part| part.read).sum::<u64>(), all);
                assert_eq!(parts.iter().map(|part| part.written).sum::<u64>(), 2 * all);
                assert!(parts.iter().all(|part| part.time == 9 && part.read.abs_diff(all / channels as u64) <= 1));
            }
        }
    }
}
