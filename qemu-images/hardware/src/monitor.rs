// SPDX-License-Identifier: GPL-2.0-only
//! Monitoring counters of one L3 domain: what each RMID occupies and moves.
//!
//! A counter holds exact bytes and never wraps; width and unit are applied when software looks at it. Rates are kept as
//! rates and turned into bytes when somebody looks, so that virtual time may jump any distance.

use crate::registers::QmCtr;
use serde::Deserialize;

/// An event of L3 monitoring; the number is its id in `IA32_QM_EVTSEL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Event {
    /// Bytes of the L3 that hold lines of the RMID.
    #[serde(rename = "llc_occupancy")]
    LlcOccupancy = 1,
    /// Bytes moved between the L3 and the next level, any memory.
    #[serde(rename = "mbm_total_bytes")]
    MbmTotal = 2,
    /// Bytes moved between the L3 and memory of the same package.
    #[serde(rename = "mbm_local_bytes")]
    MbmLocal = 3,
}

impl Event {
    /// All events, in the order of their ids.
    pub const ALL: [Self; 3] = [Self::LlcOccupancy, Self::MbmTotal, Self::MbmLocal];

    /// Event of an id, if there is one.
    pub fn from_id(id: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|event| *event as u64 == id)
    }

    /// Event of a name as machine files and tools spell it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.name() == name)
    }

    /// Name as machine files and tools spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LlcOccupancy => "llc_occupancy",
            Self::MbmTotal => "mbm_total_bytes",
            Self::MbmLocal => "mbm_local_bytes",
        }
    }
}

/// What a counter answers instead of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bit 63 of `IA32_QM_CTR`. Counting goes on unseen.
    Error,
    /// Bit 62 of `IA32_QM_CTR`: the hardware does not track this RMID now. Nothing is counted, and a bandwidth counter
    /// starts again at zero when tracking resumes.
    Unavailable,
}

impl Fault {
    fn bits(self) -> u64 {
        match self {
            Self::Error => QmCtr::ERROR.mask(),
            Self::Unavailable => QmCtr::UNAVAILABLE.mask(),
        }
    }
}

const NANO: u128 = 1_000_000_000;

/// One counter: bytes so far, and how they change with time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    /// In 10^-9 bytes, so that a rate in bytes a second times nanoseconds loses nothing.
    nanobytes: u128,
    /// Bytes a second that arrive by themselves.
    rate: u64,
    /// Up to when `rate` has been accounted for.
    since: u64,
    fault: Option<Fault>,
}

impl Counter {
    /// Bytes so far, not wrapped.
    pub(crate) fn bytes(&self) -> u64 {
        u64::try_from(self.nanobytes / NANO).unwrap_or(u64::MAX)
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Nanoseconds not accounted for yet; they are from now on.
    fn elapse(&mut self, now: u64) -> u64 {
        let elapsed = now.saturating_sub(self.since);
        self.since = self.since.max(now);
        elapsed
    }

    /// Accounts for the own rate up to `now`.
    pub(crate) fn advance(&mut self, now: u64) {
        let elapsed = self.elapse(now);
        self.flow(self.rate, elapsed);
    }

    /// Lets the bytes flow off at `rate` up to `now`.
    pub(crate) fn drain(&mut self, rate: u64, now: u64) {
        let elapsed = self.elapse(now);
        self.nanobytes = self.nanobytes.saturating_sub(u128::from(rate) * u128::from(elapsed));
    }

    /// Lets time pass without any change.
    pub(crate) fn hold(&mut self, now: u64) {
        self.elapse(now);
    }

    /// Adds what `rate` bytes a second make in `elapsed` nanoseconds.
    pub(crate) fn flow(&mut self, rate: u64, elapsed: u64) {
        self.add_nanobytes(u128::from(rate) * u128::from(elapsed));
    }

    /// As [`Counter::flow`], up to a limit in bytes; what is above the limit already stays.
    pub(crate) fn fill(&mut self, rate: u64, elapsed: u64, limit: u64) {
        let limit = u128::from(limit) * NANO;
        if self.nanobytes < limit {
            self.flow(rate, elapsed);
            self.nanobytes = self.nanobytes.min(limit);
        }
    }

    pub(crate) fn add(&mut self, bytes: u64) {
        self.add_nanobytes(u128::from(bytes) * NANO);
    }

    fn add_nanobytes(&mut self, nanobytes: u128) {
        if self.fault != Some(Fault::Unavailable) {
            self.nanobytes = self.nanobytes.saturating_add(nanobytes);
        }
    }

    pub(crate) fn set(&mut self, bytes: u64) {
        self.nanobytes = u128::from(bytes) * NANO;
    }

    pub(crate) fn rate(&self) -> u64 {
        self.rate
    }

    pub(crate) fn set_rate(&mut self, rate: u64) {
        self.rate = rate;
    }

    /// Sets or clears the fault state; `restarts` counters lose their value with the end of [`Fault::Unavailable`].
    pub(crate) fn set_fault(&mut self, fault: Option<Fault>, restarts: bool) {
        if restarts && self.fault == Some(Fault::Unavailable) && fault != self.fault {
            self.nanobytes = 0;
        }
        self.fault = fault;
    }

    /// The register `IA32_QM_CTR` for this counter, in units of `unit` bytes and `width` bits wide.
    pub(crate) fn register(&self, unit: u64, width: u32) -> QmCtr {
        if let Some(fault) = self.fault {
            return QmCtr(fault.bits());
        }
        let chunks = self.nanobytes / NANO / u128::from(unit);
        let wrapped = chunks & ((1 << width) - 1);
        QmCtr(u64::try_from(wrapped).expect("a counter is at most 62 bits wide"))
    }
}

/// The counters of one RMID in one domain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rmid([Counter; 3]);

impl Rmid {
    pub(crate) fn counter(&mut self, event: Event) -> &mut Counter {
        &mut self.0[event as usize - 1]
    }

    /// Makes 0 of the bandwidth counters; rates and faults stay.
    pub(crate) fn clear_bandwidth(&mut self) {
        for event in [Event::MbmTotal, Event::MbmLocal] {
            self.counter(event).set(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_wraps_at_its_width_and_nowhere_else() {
        for width in [24, 32, 44, 62] {
            let mut counter = Counter::default();
            counter.add(u64::MAX);
            let largest = (1 << width) - 1;
            assert_eq!(counter.register(1, width).0, largest, "{width} bits");
            counter.add(1);
            assert_eq!(counter.register(1, width).0, 0, "{width} bits");
        }
    }

    #[test]
    fn a_rate_loses_no_byte_however_often_it_is_looked_at() {
        let mut often = Counter::default();
        let mut once = Counter::default();
        for counter in [&mut often, &mut once] {
            counter.set_rate(7);
        }
        for now in (0..3_000_000_000).step_by(999_983) {
            often.advance(now);
        }
        often.advance(3_000_000_000);
        once.advance(3_000_000_000);
        assert_eq!((often.bytes(), once.bytes()), (21, 21));
    }

    #[test]
    fn time_that_goes_backwards_counts_nothing_twice() {
        let mut counter = Counter::default();
        counter.set_rate(1_000_000_000);
        counter.advance(500);
        counter.advance(400);
        counter.advance(500);
        assert_eq!(counter.bytes(), 500);
    }

    #[test]
    fn an_unavailable_counter_starts_again_at_zero() {
        let mut counter = Counter::default();
        counter.add(4096);
        counter.set_fault(Some(Fault::Unavailable), true);
        assert_eq!(counter.register(64, 24).0, 1 << 62);
        counter.add(4096);
        counter.set_fault(None, true);
        counter.add(64);
        assert_eq!(counter.register(64, 24).0, 1);
    }

    #[test]
    fn a_counter_in_error_goes_on_counting() {
        let mut counter = Counter::default();
        counter.add(64);
        counter.set_fault(Some(Fault::Error), true);
        counter.add(64);
        assert_eq!(counter.register(64, 24).0, 1 << 63);
        counter.set_fault(None, true);
        assert_eq!(counter.register(64, 24).0, 2);
    }

    #[test]
    fn names_and_ids_of_events_lead_back_to_the_event() {
        for event in Event::ALL {
            assert_eq!(Event::from_name(event.name()), Some(event));
            assert_eq!(Event::from_id(event as u64), Some(event));
        }
        assert_eq!(Event::from_id(0), None);
        assert_eq!(Event::from_id(4), None);
    }
}
