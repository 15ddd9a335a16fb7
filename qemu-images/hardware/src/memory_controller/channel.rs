// SPDX-License-Identifier: GPL-2.0-only
//! The counters of one channel.

use super::Happened;
use crate::registers::{ImcBoxCtl, ImcCtl, ImcFixedCtl};

/// Counters for events; the clock has one besides.
const COUNTERS: usize = 4;
/// Bits of each.
const COUNTER: u64 = (1 << 48) - 1;

/// The event `CLOCKTICKS`.
const CLOCKTICKS: u64 = 0;
/// The event `CAS_COUNT`, and its units `RD_REG` and `WR_WMM`.
const CAS_COUNT: u64 = 4;
const RD_REG: u64 = 1;
const WR_WMM: u64 = 4;

/// Registers by their offsets in configuration space, 4 bytes each: counters have two.
const VALUES: usize = 0xa0;
const FIXED_VALUE: usize = 0xd0;
const CONTROLS: usize = 0xd8;
const FIXED_CONTROL: usize = 0xf0;
const BOX_CONTROL: usize = 0xf4;

/// What a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    /// Half of a counter; the last one is the clock's.
    Half(usize, Half),
    Control(usize),
    FixedControl,
    BoxControl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Lower,
    Upper,
}

impl Register {
    fn at(offset: usize) -> Option<Self> {
        let half = |offset: usize| if offset.is_multiple_of(8) { Half::Lower } else { Half::Upper };
        match offset {
            VALUES..0xc0 => Some(Self::Half((offset - VALUES) / 8, half(offset))),
            FIXED_VALUE..CONTROLS => Some(Self::Half(COUNTERS, half(offset))),
            CONTROLS..0xe8 => Some(Self::Control((offset - CONTROLS) / 4)),
            FIXED_CONTROL => Some(Self::FixedControl),
            BOX_CONTROL => Some(Self::BoxControl),
            _ => None,
        }
    }
}

/// The counters of a channel, after reset at first.
#[derive(Debug, Default)]
pub(super) struct Channel {
    values: [u64; COUNTERS + 1],
    controls: [ImcCtl; COUNTERS],
    fixed: ImcFixedCtl,
    all: ImcBoxCtl,
    /// What had happened when the values were made up last.
    seen: Happened,
}

impl Channel {
    /// How much a counter counts of what has happened.
    fn counted(&self, counter: usize, happened: &Happened) -> u64 {
        let Some(control) = self.controls.get(counter) else {
            return if self.fixed.get(ImcFixedCtl::EN) == 1 { happened.time } else { 0 };
        };
        let units = |unit: u64, lines: u64| if control.get(ImcCtl::UMASK) & unit == 0 { 0 } else { lines };
        match (control.get(ImcCtl::EN), control.get(ImcCtl::EV_SEL)) {
            (1, CLOCKTICKS) => happened.time,
            (1, CAS_COUNT) => units(RD_REG, happened.read) + units(WR_WMM, happened.written),
            _ => 0,
        }
    }

    /// Makes the values up.
    fn settle(&mut self, happened: Happened) {
        let before = std::mem::replace(&mut self.seen, happened);
        if self.all.get(ImcBoxCtl::FRZ) == 1 {
            return;
        }
        for counter in 0..self.values.len() {
            // Caches that have begun anew have moved less than before.
            let more = self.counted(counter, &happened).saturating_sub(self.counted(counter, &before));
            self.values[counter] = (self.values[counter] + more) & COUNTER;
        }
    }

    /// Reads four bytes, at a multiple of four. `None` where none of these registers is.
    pub(super) fn read(&mut self, offset: usize, happened: Happened) -> Option<u32> {
        let register = Register::at(offset)?;
        self.settle(happened);
        let value = match register {
            Register::Half(counter, Half::Lower) => self.values[counter],
            Register::Half(counter, Half::Upper) => self.values[counter] >> 32,
            Register::Control(counter) => self.controls[counter].0,
            Register::FixedControl => self.fixed.0,
            Register::BoxControl => self.all.0,
        };
        Some(crate::numbers::low(value))
    }

    /// Writes four bytes, at a multiple of four.
    pub(super) fn write(&mut self, offset: usize, value: u32, happened: Happened) {
        let Some(register) = Register::at(offset) else { return };
        self.settle(happened);
        let value = u64::from(value);
        match register {
            Register::Half(counter, half) => {
                let (shift, other) = match half {
                    Half::Lower => (0, !0 << 32),
                    Half::Upper => (32, (1 << 32) - 1),
                };
                self.values[counter] = (self.values[counter] & other | value << shift) & COUNTER;
            }
            Register::Control(counter) => {
                if ImcCtl(value).get(ImcCtl::RST) == 1 {
                    self.values[counter] = 0;
                }
                self.controls[counter] = ImcCtl(value & ImcCtl::DEFINED & !ImcCtl::RST.mask());
            }
            Register::FixedControl => {
                if ImcFixedCtl(value).get(ImcFixedCtl::RST) == 1 {
                    self.values[COUNTERS] = 0;
                }
                self.fixed = ImcFixedCtl(value & ImcFixedCtl::DEFINED & !ImcFixedCtl::RST.mask());
            }
            Register::BoxControl => {
                if ImcBoxCtl(value).get(ImcBoxCtl::RST_CTRS) == 1 {
                    self.values = Default::default();
                }
                if ImcBoxCtl(value).get(ImcBoxCtl::RST_CTRL) == 1 {
                    (self.controls, self.fixed) = Default::default();
                }
                self.all = ImcBoxCtl(value & ImcBoxCtl::FRZ.mask());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READS: u32 = 1 << 22 | 0x0304;
    const WRITES: u32 = 1 << 22 | 0x0c04;

    fn happened(time: u64, read: u64, written: u64) -> Happened {
        Happened { time, read, written }
    }

    fn value(channel: &mut Channel, counter: usize, at: Happened) -> u64 {
        let half = |channel: &mut Channel, offset| u64::from(channel.read(offset, at).unwrap());
        let offset = if counter == COUNTERS { FIXED_VALUE } else { VALUES + counter * 8 };
        half(channel, offset) | half(channel, offset + 4) << 32
    }

    #[test]
    fn lines_read_and_written_are_counted_while_the_counter_is_on() {
        let mut channel = Channel::default();
        channel.write(CONTROLS, READS, happened(0, 100, 100));
        channel.write(CONTROLS + 4, WRITES, happened(0, 100, 100));
        channel.write(CONTROLS + 8, READS | WRITES, happened(0, 100, 100));
        channel.write(CONTROLS + 12, READS & !(1 << 22), happened(0, 100, 100));
        let now = happened(5, 1100, 130);
        assert_eq!([0, 1, 2, 3].map(|counter| value(&mut channel, counter, now)), [1000, 30, 1030, 0]);
        channel.write(CONTROLS, 0, now);
        let later = happened(9, 9100, 230);
        assert_eq!([0, 1].map(|counter| value(&mut channel, counter, later)), [1000, 130]);
    }

    #[test]
    fn the_clock_counts_time_and_so_does_its_event() {
        let mut channel = Channel::default();
        channel.write(FIXED_CONTROL, 1 << 22, happened(100, 0, 0));
        channel.write(CONTROLS, 1 << 22, happened(100, 0, 0));
        let now = happened(0x1_0000_0064, 7, 7);
        assert_eq!([0, COUNTERS].map(|counter| value(&mut channel, counter, now)), [1 << 32, 1 << 32]);
        channel.write(FIXED_CONTROL, 1 << 22 | 1 << 19, now);
        assert_eq!(value(&mut channel, COUNTERS, now), 0);
        assert_eq!(channel.read(FIXED_CONTROL, now), Some(1 << 22), "the reset is not kept");
    }

    #[test]
    fn frozen_they_stand_still_and_a_reset_clears_them() {
        let mut channel = Channel::default();
        channel.write(CONTROLS, READS, happened(0, 0, 0));
        channel.write(BOX_CONTROL, 1 << 8, happened(0, 10, 0));
        assert_eq!(value(&mut channel, 0, happened(0, 90, 0)), 10);
        channel.write(BOX_CONTROL, 0, happened(0, 100, 0));
        assert_eq!(value(&mut channel, 0, happened(0, 105, 0)), 15);
        channel.write(BOX_CONTROL, 3, happened(0, 105, 0));
        assert_eq!(value(&mut channel, 0, happened(0, 200, 0)), 0);
        assert_eq!(channel.read(CONTROLS, happened(0, 200, 0)), Some(0));
        assert_eq!(channel.read(BOX_CONTROL, happened(0, 200, 0)), Some(0), "the resets are not kept");
    }

    #[test]
    fn a_counter_is_written_by_halves_and_wraps_at_48_bits() {
        let mut channel = Channel::default();
        let begin = happened(0, 0, 0);
        channel.write(CONTROLS, READS, begin);
        channel.write(VALUES + 4, 0xffff_ffff, begin);
        channel.write(VALUES, 0xffff_fffe, begin);
        assert_eq!(value(&mut channel, 0, begin), COUNTER - 1);
        assert_eq!(value(&mut channel, 0, happened(0, 3, 0)), 1);
        for counter in [VALUES + 8, FIXED_VALUE] {
            let read = |channel: &mut Channel| [counter, counter + 4].map(|half| channel.read(half, begin).unwrap());
            channel.write(counter, 0x89ab_cdef, begin);
            channel.write(counter + 4, 0xffff_4567, begin);
            assert_eq!(read(&mut channel), [0x89ab_cdef, 0x4567], "48 bits");
            channel.write(counter, 0x1234, begin);
            assert_eq!(read(&mut channel), [0x1234, 0x4567]);
            channel.write(counter + 4, 0, begin);
            assert_eq!(read(&mut channel), [0x1234, 0]);
        }
    }

    #[test]
    fn other_places_are_none_of_theirs_and_other_events_stay_at_0() {
        let mut channel = Channel::default();
        for offset in [0, 0x9c, 0xc0, 0xcc, 0xe8, 0xec, 0xf8, 0xfc] {
            assert_eq!(channel.read(offset, happened(0, 0, 0)), None, "{offset:#x}");
        }
        channel.write(CONTROLS, 1 << 22 | 0x0301, happened(0, 0, 0));
        channel.write(CONTROLS + 4, 1 << 22 | 0x0204, happened(0, 0, 0));
        assert_eq!([0, 1].map(|counter| value(&mut channel, counter, happened(5, 5, 5))), [0, 0]);
    }

    #[test]
    fn caches_that_have_begun_anew_take_nothing_away() {
        let mut channel = Channel::default();
        channel.write(CONTROLS, READS, happened(0, 0, 0));
        assert_eq!(value(&mut channel, 0, happened(1, 50, 0)), 50);
        assert_eq!(value(&mut channel, 0, happened(2, 10, 0)), 50);
        assert_eq!(value(&mut channel, 0, happened(3, 15, 0)), 55);
    }
}
