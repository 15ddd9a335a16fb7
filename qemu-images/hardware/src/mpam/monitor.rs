// SPDX-License-Identifier: GPL-2.0-only
//! Monitors: what they select, what they count, when they are ready.

use super::registers::{Csu, CsuFlt, MbwuFlt, MbwuLong, MonCtl, TYPE_CSU, TYPE_MBWU, places32};
use super::{BandwidthMonitors, CounterWidth, NotReady, Request, UsageMonitors};
use crate::numbers::low;

/// What a PARTID and PMG hold of a cache, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// All lines.
    pub total: u64,
    /// Lines that would have to be written back.
    pub dirty: u64,
}

/// Filter bits that say which access a bandwidth monitor counts: `MSMON_CFG_MBWU_FLT.RWBW`.
const COUNT_WRITES: u64 = 1;
const COUNT_READS: u64 = 2;

/// The event software causes: `MSMON_CFG_*_CTL.CAPT_EVNT`.
pub(super) const LOCAL_CAPTURE: u64 = 7;

/// What every monitor has.
#[derive(Clone, Copy, Debug, Default)]
struct Selection {
    filter: u32,
    control: u32,
    /// Not ready before this time.
    ready_at: u64,
    /// Not ready because software said so, where nobody else does.
    told_not_ready: bool,
}

impl Selection {
    fn field(self, field: super::registers::Bits) -> u64 {
        field.get(self.control.into())
    }

    fn enabled(self) -> bool {
        self.field(MonCtl::EN) == 1
    }

    fn matches(self, partid: u16, pmg: u8) -> bool {
        let filter = u64::from(self.filter);
        (self.field(MonCtl::MATCH_PARTID) == 0 || CsuFlt::PARTID.get(filter) == u64::from(partid))
            && (self.field(MonCtl::MATCH_PMG) == 0 || CsuFlt::PMG.get(filter) == u64::from(pmg))
    }

    fn changed(&mut self, not_ready: NotReady, now: u64) {
        if let NotReady::Nanoseconds(duration) = not_ready {
            self.ready_at = now.saturating_add(duration);
        }
    }

    fn is_ready(self, not_ready: NotReady, now: u64) -> bool {
        match not_ready {
            NotReady::Unmanaged => !self.told_not_ready,
            NotReady::Nanoseconds(_) => now >= self.ready_at,
        }
    }

    fn captured_by(self, event: u64) -> bool {
        event != 0 && self.field(MonCtl::CAPT_EVNT) == event
    }
}

/// The short form of a value: not ready, and then with nothing to rely on, or a number.
fn short(ready: bool, value: u64) -> u32 {
    if ready { low(value) & Csu::VALUE.mask32() } else { Csu::NRDY.mask32() }
}

/// A cache storage usage monitor.
#[derive(Clone, Debug, Default)]
pub(super) struct UsageMonitor {
    selection: Selection,
    /// What it showed when it was disabled.
    held: u64,
    captured: u32,
}

impl UsageMonitor {
    pub(super) fn filter(&self) -> u32 {
        self.selection.filter
    }

    pub(super) fn control(&self) -> u32 {
        self.selection.control | TYPE_CSU
    }

    pub(super) fn matches(&self, partid: u16, pmg: u8) -> bool {
        self.selection.matches(partid, pmg)
    }

    pub(super) fn captured(&self) -> u32 {
        self.captured
    }

    pub(super) fn set_filter(&mut self, value: u32, config: &UsageMonitors, now: u64) {
        let mut fields = places32([CsuFlt::PARTID, CsuFlt::PMG]);
        if config.exclude_clean {
            fields |= CsuFlt::XCL.mask32();
        }
        self.selection.filter = value & fields;
        self.selection.changed(config.not_ready, now);
    }

    /// Writes the control register; `usage` is what the monitor counts at this moment.
    pub(super) fn set_control(&mut self, value: u32, usage: u64, config: &UsageMonitors, now: u64) {
        if self.selection.enabled() {
            self.held = usage;
        }
        let mut fields = places32([MonCtl::MATCH_PARTID, MonCtl::MATCH_PMG, MonCtl::EN]);
        if config.capture {
            fields |= MonCtl::CAPT_EVNT.mask32();
        }
        self.selection.control = value & fields;
        self.selection.changed(config.not_ready, now);
    }

    pub(super) fn write_value(&mut self, value: u32) {
        self.selection.told_not_ready = value & Csu::NRDY.mask32() != 0;
    }

    /// What the monitor counts of a cache that these use.
    pub(super) fn usage<'a>(&self, lines: impl Iterator<Item = (&'a (u16, u8), &'a Occupancy)>) -> u64 {
        let dirty_only = CsuFlt::XCL.get(self.selection.filter.into()) == 1;
        lines
            .filter(|&(&(partid, pmg), _)| self.selection.matches(partid, pmg))
            .map(|(_, occupancy)| if dirty_only { occupancy.dirty } else { occupancy.total })
            .sum()
    }

    pub(super) fn value(&self, usage: u64, config: &UsageMonitors, now: u64) -> u32 {
        let value = if self.selection.enabled() { usage } else { self.held };
        short(self.selection.is_ready(config.not_ready, now), value.min(Csu::VALUE.mask()))
    }

    pub(super) fn capture(&mut self, event: u64, usage: u64, config: &UsageMonitors, now: u64) {
        if config.capture && self.selection.captured_by(event) {
            self.captured = self.value(usage, config, now);
        }
    }
}

/// A memory bandwidth usage monitor.
#[derive(Clone, Debug, Default)]
pub(super) struct BandwidthMonitor {
    selection: Selection,
    /// Counts, in the width of the counter.
    count: u64,
    /// Bytes short of a count.
    rest: u64,
    captured: u64,
    captured_ready: bool,
}

impl BandwidthMonitor {
    pub(super) fn filter(&self) -> u32 {
        self.selection.filter
    }

    pub(super) fn control(&self) -> u32 {
        self.selection.control | TYPE_MBWU
    }

    pub(super) fn set_filter(&mut self, value: u32, config: &BandwidthMonitors, now: u64) {
        let mut fields = places32([MbwuFlt::PARTID, MbwuFlt::PMG]);
        if config.direction {
            fields |= MbwuFlt::RWBW.mask32();
        }
        self.selection.filter = value & fields;
        self.selection.changed(config.not_ready, now);
    }

    pub(super) fn set_control(&mut self, value: u32, config: &BandwidthMonitors, now: u64) {
        let mut status = MonCtl::OFLOW_STATUS.mask32();
        if config.width != CounterWidth::Bits31 {
            status |= MonCtl::OFLOW_STATUS_L.mask32();
        }
        let mut fields =
            places32([MonCtl::MATCH_PARTID, MonCtl::MATCH_PMG, MonCtl::OFLOW_FRZ, MonCtl::OFLOW_INTR, MonCtl::EN]);
        fields |= status;
        if config.capture {
            fields |= places32([MonCtl::CAPT_EVNT, MonCtl::CAPT_RESET]);
        }
        let before = self.selection.control;
        self.selection.control = value & fields;
        // Clearing a flag is not a change of what is counted.
        if (before ^ self.selection.control) & !status != 0 {
            self.selection.changed(config.not_ready, now);
        }
    }

    pub(super) fn write_short(&mut self, value: u32) {
        self.selection.told_not_ready = value & Csu::NRDY.mask32() != 0;
        self.count = u64::from(value & Csu::VALUE.mask32());
        self.rest = 0;
    }

    /// Writes a half of the long counter.
    pub(super) fn write_long(&mut self, value: u32, high: bool, config: &BandwidthMonitors) {
        let shift = if high { 32 } else { 0 };
        if high {
            self.selection.told_not_ready = u64::from(value) << 32 & MbwuLong::NRDY.mask() != 0;
        }
        let kept = self.count & !(u64::from(u32::MAX) << shift);
        self.count = (kept | u64::from(value) << shift) & config.width.mask();
        self.rest = 0;
    }

    /// Counts a request, if it is one that the monitor counts.
    pub(super) fn observe(&mut self, request: &Request, config: &BandwidthMonitors) {
        let direction = MbwuFlt::RWBW.get(self.selection.filter.into());
        let wanted = match direction {
            COUNT_WRITES => request.write,
            COUNT_READS => !request.write,
            _ => true,
        };
        let frozen = self.selection.field(MonCtl::OFLOW_FRZ) == 1 && self.has_overflowed();
        if !self.selection.enabled() || !wanted || frozen || !self.selection.matches(request.partid, request.pmg) {
            return;
        }
        let bytes = self.rest.saturating_add(request.bytes);
        self.rest = bytes % config.bytes_per_count;
        let sum = u128::from(self.count) + u128::from(bytes / config.bytes_per_count);
        let short = u128::from(CounterWidth::Bits31.mask());
        if sum & !short != u128::from(self.count) & !short {
            self.selection.control |= MonCtl::OFLOW_STATUS.mask32();
        }
        if config.width != CounterWidth::Bits31 && sum > u128::from(config.width.mask()) {
            self.selection.control |= MonCtl::OFLOW_STATUS_L.mask32();
        }
        // What the counter has no room for is lost.
        self.count = u64::try_from(sum & u128::from(config.width.mask())).unwrap_or(u64::MAX);
    }

    pub(super) fn short(&self, config: &BandwidthMonitors, now: u64) -> u32 {
        short(self.selection.is_ready(config.not_ready, now), self.count)
    }

    pub(super) fn long(&self, config: &BandwidthMonitors, now: u64) -> u64 {
        if self.selection.is_ready(config.not_ready, now) { self.count } else { MbwuLong::NRDY.mask() }
    }

    pub(super) fn matches(&self, partid: u16, pmg: u8) -> bool {
        self.selection.matches(partid, pmg)
    }

    pub(super) fn captured_short(&self) -> u32 {
        short(self.captured_ready, self.captured)
    }

    pub(super) fn captured_long(&self) -> u64 {
        if self.captured_ready { self.captured } else { MbwuLong::NRDY.mask() }
    }

    pub(super) fn capture(&mut self, event: u64, config: &BandwidthMonitors, now: u64) {
        if config.capture && self.selection.captured_by(event) {
            self.captured_ready = self.selection.is_ready(config.not_ready, now);
            self.captured = self.count;
            if self.selection.field(MonCtl::CAPT_RESET) == 1 {
                self.count = 0;
            }
        }
    }

    pub(super) fn wants_interrupt(&self) -> bool {
        self.selection.field(MonCtl::OFLOW_INTR) == 1 && self.has_overflowed()
    }

    fn has_overflowed(&self) -> bool {
        self.selection.control & places32([MonCtl::OFLOW_STATUS, MonCtl::OFLOW_STATUS_L]) != 0
    }
}
