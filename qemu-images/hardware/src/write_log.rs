// SPDX-License-Identifier: GPL-2.0-only
//! A record of the writes to the registers of RDT, or of MPAM.
//!
//! Tests ask two things of it: whether a register was written at all (a change that changes nothing must not reach the
//! hardware), and what was written where. Totals are kept for ever, single writes only as many as fit. Writes that switch
//! a CPU between tasks are by far the most and are kept apart, so that they do not push out the others.

use crate::registers::Msr;
use std::collections::VecDeque;

/// Most writes that are remembered one by one, of `IA32_PQR_ASSOC` and of the other registers each.
pub const CAPACITY: usize = 4096;

/// A write that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsrWrite {
    /// Position in the sequence of all writes, from 0.
    pub sequence: u64,
    /// CPU that executed WRMSR.
    pub cpu: usize,
    /// Address of the register. On MPAM: index of the MSC (31:16) and offset in its page (15:0).
    pub address: u32,
    /// What was written. On MPAM: 32 bits, the PARTID (47:32) and the resource instance (63:48) that were selected.
    pub value: u64,
    /// Whether the register held something else before.
    pub changed: bool,
}

/// Groups of registers, for totals. The number is the group's id in the [control protocol](crate::control).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// CDP switches and how nodes share RMIDs; of AMD also what counters count, and what its extension turns on; of MPAM what turns errors and captures on, and the narrowing.
    Config = 0,
    /// L3 masks; of MPAM every control of a cache that is no L2.
    L3Mask = 1,
    /// L2 masks; of MPAM every control of an L2.
    L2Mask = 2,
    /// Bandwidth delays or limits; of MPAM every control of bandwidth.
    Mba = 3,
    /// `IA32_PQR_ASSOC`; the registers of FEAT_MPAM.
    Assoc = 4,
    /// `IA32_QM_EVTSEL`; of MPAM the selectors and monitors.
    Select = 5,
    /// Writes answered with #GP, of any register; of MPAM accesses that were errors.
    Refused = 6,
}

impl Kind {
    /// All groups, in the order of their ids.
    pub const ALL: [Self; 7] =
        [Self::Config, Self::L3Mask, Self::L2Mask, Self::Mba, Self::Assoc, Self::Select, Self::Refused];

    /// The groups that say how resources are shared out: what a write to `schemata` may touch.
    pub const CONTROL: [Self; 4] = [Self::Config, Self::L3Mask, Self::L2Mask, Self::Mba];

    /// Name as tools spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::L3Mask => "l3",
            Self::L2Mask => "l2",
            Self::Mba => "mba",
            Self::Assoc => "assoc",
            Self::Select => "select",
            Self::Refused => "refused",
        }
    }

    /// Group of an id, if there is one.
    pub fn from_id(id: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u64 == id)
    }

    /// Group of a name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn of(msr: Msr) -> Self {
        match msr {
            Msr::L3QosCfg
            | Msr::L2QosCfg
            | Msr::RmidSncConfig
            | Msr::EvtCfg(_)
            | Msr::L3QosAbmcCfg
            | Msr::L3QosAbmcDsc
            | Msr::L3QosExtCfg => Self::Config,
            Msr::L3Mask(_) => Self::L3Mask,
            Msr::L2Mask(_) => Self::L2Mask,
            Msr::MbaThrottle(_) | Msr::MbaBandwidth(_) | Msr::SmbaBandwidth(_) => Self::Mba,
            Msr::PqrAssoc => Self::Assoc,
            Msr::QmEvtsel | Msr::QmCtr => Self::Select,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct WriteLog {
    totals: [u64; Kind::ALL.len()],
    next: u64,
    control: VecDeque<MsrWrite>,
    assoc: VecDeque<MsrWrite>,
}

impl WriteLog {
    pub(crate) fn record(&mut self, msr: Msr, cpu: usize, address: u32, value: u64, changed: bool) {
        self.add(Kind::of(msr), MsrWrite { sequence: 0, cpu, address, value, changed });
    }

    /// Records a write of any kind; its position is given here.
    pub(crate) fn add(&mut self, kind: Kind, write: MsrWrite) {
        self.totals[kind as usize] += 1;
        let writes = match kind {
            // Selecting a counter is part of reading it; nobody asks for those one by one.
            Kind::Select => return,
            Kind::Assoc => &mut self.assoc,
            _ => &mut self.control,
        };
        if writes.len() == CAPACITY {
            writes.pop_front();
        }
        writes.push_back(MsrWrite { sequence: self.next, ..write });
        self.next += 1;
    }

    pub(crate) fn record_refused(&mut self) {
        self.totals[Kind::Refused as usize] += 1;
    }

    pub(crate) fn total(&self, kind: Kind) -> u64 {
        self.totals[kind as usize]
    }

    /// The first remembered write to a control register at or after a position.
    pub(crate) fn control_at_or_after(&self, sequence: u64) -> Option<MsrWrite> {
        let index = self.control.partition_point(|write| write.sequence < sequence);
        self.control.get(index).copied()
    }

    /// All remembered writes from a position on, oldest first.
    pub(crate) fn since(&self, sequence: u64) -> Vec<MsrWrite> {
        let all = self.control.iter().chain(&self.assoc);
        let mut writes: Vec<_> = all.filter(|write| write.sequence >= sequence).copied().collect();
        writes.sort_unstable_by_key(|write| write.sequence);
        writes
    }

    /// Position the next write will get.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_writes_make_room_and_keep_their_positions() {
        let mut log = WriteLog::default();
        for n in 0..CAPACITY as u64 + 10 {
            log.record(Msr::L3Mask(0), 0, 0xc90, n, true);
        }
        assert_eq!(log.total(Kind::L3Mask), CAPACITY as u64 + 10);
        assert_eq!(log.control_at_or_after(0).unwrap().value, 10);
        assert_eq!(log.control_at_or_after(20).unwrap().value, 20);
        assert_eq!(log.control_at_or_after(log.next()), None);
        assert_eq!(log.since(log.next() - 2).len(), 2);
    }

    #[test]
    fn task_switches_push_no_other_write_out_and_stay_in_order_with_them() {
        let mut log = WriteLog::default();
        log.record(Msr::L3Mask(0), 0, 0xc90, 7, true);
        for n in 0..2 * CAPACITY as u64 {
            log.record(Msr::PqrAssoc, 0, 0xc8f, n, true);
        }
        log.record(Msr::L3Mask(1), 0, 0xc91, 8, true);
        assert_eq!(log.control_at_or_after(0).unwrap().value, 7);
        assert_eq!(log.control_at_or_after(1).unwrap().value, 8);
        let last: Vec<_> = log.since(log.next() - 2).iter().map(|write| write.address).collect();
        assert_eq!(last, [0xc8f, 0xc91]);
    }

    #[test]
    fn selecting_a_counter_is_counted_and_not_remembered() {
        let mut log = WriteLog::default();
        log.record(Msr::QmEvtsel, 0, 0xc8d, 1, true);
        assert_eq!((log.total(Kind::Select), log.next()), (1, 0));
    }

    #[test]
    fn ids_and_names_of_groups_lead_back_to_the_group() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_id(kind as u64), Some(kind));
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
    }
}
