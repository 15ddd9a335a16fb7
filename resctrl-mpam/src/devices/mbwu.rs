// SPDX-License-Identifier: GPL-2.0-only
//! Memory bandwidth usage monitors: counters that wrap, lose their power, and go on as if nothing had happened.
//!
//! A monitor belongs to whoever it was given to; what was counted before its registers were last lost, and each wrap, is in
//! a *correction* that is added to what the register shows. Who has which monitor is not known here.

mod state;

pub(crate) use state::MbwuState;

use core::sync::atomic::Ordering;

use resctrl_types::{Errno, Here, Result};

use state::Saved;

use super::monitor::NotReady;
use super::msc::{Access, MscDevice, Ris};
use super::{Component, Devices, Feature, Props, Reach, Vmsc};
use crate::Msc;
use crate::registers::{Csu, CsuCtl, CsuFlt, Mbwu, MbwuCtl, MbwuFlt, MbwuLong, TYPE_MBWU};

/// Bytes of a count where lines are counted.
const LINE: u64 = 64;

/// How often the halves of a long counter are read until the upper one stays the same.
const TRIES: u32 = 3;

/// Which accesses are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// All.
    Both,
    /// Writes, where the monitor can tell.
    Writes,
    /// Reads, where the monitor can tell.
    Reads,
}

/// What a bandwidth monitor counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// On behalf of this PARTID.
    pub partid: u16,
    /// And this PMG.
    pub pmg: u8,
    /// These accesses.
    pub direction: Direction,
}

impl Filter {
    /// The filter register of a monitor with these properties.
    fn word(self, props: &Props) -> u32 {
        let direction = match self.direction {
            Direction::Both => 0,
            _ if !props.has(Feature::MbwuRwbw) => 0,
            Direction::Writes => MbwuFlt::RWBW.word(1),
            Direction::Reads => MbwuFlt::RWBW.word(2),
        };
        CsuFlt::PARTID.word(self.partid.into()) | CsuFlt::PMG.word(self.pmg.into()) | direction
    }
}

/// The width of the widest counter that a resource instance has.
fn mask(props: &Props) -> u64 {
    if props.has(Feature::Mbwu63) {
        MbwuLong::VALUE_63.get(u64::MAX)
    } else if props.has(Feature::Mbwu44) {
        MbwuLong::VALUE_44.get(u64::MAX)
    } else {
        Csu::VALUE.get(u64::MAX)
    }
}

const fn is_long(props: &Props) -> bool {
    props.has(Feature::Mbwu63) || props.has(Feature::Mbwu44)
}

impl<M: Msc> Access<'_, M> {
    /// Bytes of one count.
    const fn scale(&self) -> u64 {
        if self.msc.quirks.mbwu_counts_lines { LINE } else { 1 }
    }

    /// The value of the selected monitor without its not-ready bit, which comes beside it.
    fn mbwu_value(&self, props: &Props) -> Result<u64, NotReady> {
        let value = if is_long(props) {
            self.read_long().filter(|value| !MbwuLong::NRDY.is_set(*value))
        } else {
            Some(u64::from(self.read(Mbwu::OFFSET))).filter(|value| !Csu::NRDY.is_set(*value))
        };
        value.map(|value| value & mask(props)).ok_or(NotReady)
    }

    /// A long counter: upper half, lower half, and the upper one again, until it is the same. `None` when it never is.
    fn read_long(&self) -> Option<u64> {
        let mut high = self.read(MbwuLong::OFFSET + 4);
        for _ in 0..TRIES {
            let low = self.read(MbwuLong::OFFSET);
            let again = self.read(MbwuLong::OFFSET + 4);
            if again == high {
                return Some(u64::from(high) << 32 | u64::from(low));
            }
            high = again;
        }
        None
    }

    fn zero_mbwu(&self, props: &Props) {
        if is_long(props) {
            self.write(MbwuLong::OFFSET, 0);
            self.write(MbwuLong::OFFSET + 4, 0);
        } else {
            self.write(Mbwu::OFFSET, 0);
        }
    }

    /// Writes a filter and starts the selected monitor at 0.
    fn start_mbwu(&self, props: &Props, filter: u32) {
        let control = CsuCtl::TYPE.word(TYPE_MBWU) | MbwuCtl::MATCH_PARTID.word(1) | MbwuCtl::MATCH_PMG.word(1);
        self.write(MbwuFlt::OFFSET, filter);
        self.write(MbwuCtl::OFFSET, control);
        self.write(MbwuCtl::OFFSET, control | MbwuCtl::EN.word(1));
        self.zero_mbwu(props);
    }

    /// Reads a bandwidth monitor: bytes since it began to count for `filter`, or since its reset was asked for. Tells it
    /// what to count if it counts something else.
    ///
    /// # Errors
    /// [`NotReady`] for a monitor that is not or that does not exist.
    pub fn read_mbwu(&self, ris: &Ris, monitor: u16, filter: Filter) -> Result<u64, NotReady> {
        let state = ris.mbwu.get(usize::from(monitor)).ok_or(NotReady)?;
        let wanted = filter.word(&ris.props);
        self.select_monitor(ris.index, monitor);
        let control = self.read(MbwuCtl::OFFSET);
        let status = MbwuCtl::OFLOW_STATUS.word(1) | MbwuCtl::OFLOW_STATUS_L.word(1);
        let expected = CsuCtl::TYPE.word(TYPE_MBWU)
            | MbwuCtl::MATCH_PARTID.word(1)
            | MbwuCtl::MATCH_PMG.word(1)
            | MbwuCtl::EN.word(1);
        let saved = state.saved.load(Ordering::Relaxed);
        let fits = self.read(MbwuFlt::OFFSET) == wanted && control & !status == expected;
        if !fits || Saved::RESET.is_set(saved) {
            state.begin(wanted);
            self.start_mbwu(&ris.props, wanted);
        } else {
            let flag = if is_long(&ris.props) { MbwuCtl::OFLOW_STATUS_L } else { MbwuCtl::OFLOW_STATUS };
            if control & status != 0 {
                self.write(MbwuCtl::OFFSET, control & !status);
            }
            if flag.of(control) != 0 {
                let wrap = mask(&ris.props).wrapping_add(1).wrapping_mul(self.scale());
                state.correction.fetch_add(wrap, Ordering::Relaxed);
            }
        }
        let count = self.mbwu_value(&ris.props)?;
        Ok(count.wrapping_mul(self.scale()).wrapping_add(state.correction.load(Ordering::Relaxed)))
    }

    /// Lets a monitor begin at 0 with its next reading.
    pub fn reset_mbwu(&self, ris: &Ris, monitor: u16) {
        if let Some(state) = ris.mbwu.get(usize::from(monitor)) {
            state.reset();
        }
    }

    /// Lets a monitor count for somebody, from 0 on, whatever it did before.
    pub(crate) fn begin_mbwu(&self, ris: &Ris, monitor: u16, filter: Filter) {
        if let Some(state) = ris.mbwu.get(usize::from(monitor)) {
            let filter = filter.word(&ris.props);
            state.begin(filter);
            self.select_monitor(ris.index, monitor);
            self.start_mbwu(&ris.props, filter);
        }
    }

    /// Puts aside what the monitors in use have counted, and stops them: the power may go.
    pub(crate) fn save_mbwu(&self, ris: &Ris) {
        for (state, monitor) in ris.mbwu.iter().zip(0_u16..) {
            if !Saved::ENABLED.is_set(state.saved.load(Ordering::Relaxed)) {
                continue;
            }
            self.select_monitor(ris.index, monitor);
            let flag = if is_long(&ris.props) { MbwuCtl::OFLOW_STATUS_L } else { MbwuCtl::OFLOW_STATUS };
            let control = self.read(MbwuCtl::OFFSET);
            let wrap = if flag.of(control) != 0 { mask(&ris.props).wrapping_add(1) } else { 0 };
            // A monitor that is not ready has nothing to put aside that could be relied on.
            let count = self.mbwu_value(&ris.props).unwrap_or(0).wrapping_add(wrap);
            state.correction.fetch_add(count.wrapping_mul(self.scale()), Ordering::Relaxed);
            self.write(MbwuCtl::OFFSET, 0);
            self.zero_mbwu(&ris.props);
        }
    }

    /// Starts the monitors again that were in use.
    pub(crate) fn restore_mbwu(&self, ris: &Ris) {
        for (state, monitor) in ris.mbwu.iter().zip(0_u16..) {
            let saved = state.saved.load(Ordering::Relaxed);
            if Saved::ENABLED.is_set(saved) {
                self.select_monitor(ris.index, monitor);
                self.start_mbwu(&ris.props, Saved::FILTER.word_of(saved));
            }
        }
    }
}

impl<M: Msc> MscDevice<M> {
    /// Reads a bandwidth monitor of one of this MSC's resource instances; see [`Access::read_mbwu`].
    ///
    /// # Errors
    /// [`NotReady`], also for an MSC that cannot be reached from here and an instance that does not exist.
    pub fn read_mbwu(&self, here: Here<'_>, ris: usize, monitor: u16, filter: Filter) -> Result<u64, NotReady> {
        let access = self.access(here).map_err(|_| NotReady)?;
        access.read_mbwu(self.ris.get(ris).ok_or(NotReady)?, monitor, filter)
    }
}

impl<M: Msc> Devices<M> {
    /// The instances of a part of a component that count traffic.
    fn counting<'a>(&self, vmsc: &'a Vmsc) -> impl Iterator<Item = &Ris> + use<'_, 'a, M> {
        let ris = self.mscs.get(vmsc.msc).map_or(&[][..], |msc| &msc.ris);
        vmsc.ris.iter().filter_map(|&place| ris.get(place)).filter(|ris| ris.props.has(Feature::Mbwu))
    }

    /// What is known of a monitor of each instance that counts, and of the instance.
    fn states<'a>(&'a self, reach: &'a Reach, monitor: u16) -> impl Iterator<Item = (&'a MbwuState, &'a Props)> {
        let instances = reach.vmscs.iter().flat_map(|vmsc| self.counting(vmsc));
        instances.filter_map(move |ris| Some((ris.mbwu.get(usize::from(monitor))?, &ris.props)))
    }

    /// Lets a monitor of parts of a component begin at 0 with its next reading.
    pub(crate) fn reset_traffic(&self, reach: &Reach, monitor: u16) {
        self.states(reach, monitor).for_each(|(state, _)| state.reset());
    }

    /// Lets a monitor of parts that nobody can reach now count from 0 when somebody can.
    pub(crate) fn start_traffic_away(&self, reach: &Reach, monitor: u16, filter: Filter) {
        self.states(reach, monitor).for_each(|(state, props)| state.begin(filter.word(props)));
    }

    /// Forgets whom a monitor counted for, without touching a register: it may go on, and nobody reads it before it has begun
    /// for somebody else.
    pub(crate) fn end_traffic(&self, reach: &Reach, monitor: u16) {
        self.states(reach, monitor).for_each(|(state, _)| state.forget());
    }

    /// Bytes that a monitor of parts that nobody can reach now had counted before.
    pub(crate) fn traffic_aside(&self, reach: &Reach, monitor: u16, filter: Filter) -> u64 {
        let counts = self.states(reach, monitor).map(|(state, props)| state.aside(filter.word(props)));
        counts.fold(0, u64::wrapping_add)
    }

    /// Forgets whom the monitors of a component counted for, without touching a register.
    pub(crate) fn forget_traffic(&self, component: &Component) {
        for ris in component.vmscs().flat_map(|vmsc| self.counting(vmsc)) {
            ris.mbwu.iter().for_each(MbwuState::forget);
        }
    }

    /// Lets a monitor of parts of a component count for somebody, from 0 on.
    ///
    /// # Errors
    /// Those of [`MscDevice::access`].
    pub(crate) fn begin_traffic(&self, here: Here<'_>, reach: &Reach, monitor: u16, filter: Filter) -> Result<()> {
        for vmsc in &reach.vmscs {
            let access = self.mscs.get(vmsc.msc).ok_or(Errno::EINVAL)?.access(here)?;
            self.counting(vmsc).for_each(|ris| access.begin_mbwu(ris, monitor, filter));
        }
        Ok(())
    }

    /// Bytes that a monitor of parts of a component has counted; see [`Access::read_mbwu`].
    ///
    /// # Errors
    /// Those of [`MscDevice::access`]. Inside: [`NotReady`].
    pub(crate) fn traffic(
        &self,
        here: Here<'_>,
        reach: &Reach,
        monitor: u16,
        filter: Filter,
    ) -> Result<Result<u64, NotReady>> {
        let mut sum = Ok(0_u64);
        for vmsc in &reach.vmscs {
            let access = self.mscs.get(vmsc.msc).ok_or(Errno::EINVAL)?.access(here)?;
            for ris in self.counting(vmsc) {
                // Every one of them is told what to count, also behind one that is not ready.
                let count = access.read_mbwu(ris, monitor, filter);
                sum = sum.and_then(|sum| Ok(sum.wrapping_add(count?)));
            }
        }
        Ok(sum)
    }
}
