// SPDX-License-Identifier: GPL-2.0-only
//! Ids: CLOSIDs and PARTIDs, RMIDs and PMGs, task words, and the emulation of code and data prioritisation.
//!
//! # CDP
//!
//! MPAM labels data accesses and instruction fetches each with a PARTID of its own, so a CLOSID can be a pair of PARTIDs:
//! `2 * CLOSID` for data, the one behind it for code. A processor has one pair of labels, not one for each cache: with CDP
//! for one cache every CLOSID is a pair, and a cache without CDP is given the same value for both.
//!
//! # Task words
//!
//! The kernel stores PARTIDs in its tasks and has to rewrite all of them when CDP is switched. Here a word holds what
//! resctrl means, CLOSID and RMID, in the places of the labels, and becomes a pair of PARTIDs when a register is written.

use core::sync::atomic::{AtomicBool, Ordering};

use resctrl_types::arch::{Ids, MonId, Resources};
use resctrl_types::cpu::CpuLabels;
use resctrl_types::{Closid, ConfType, CpuId, Errno, Here, ResourceId, Result, Rmid, RmidIndex, TaskWord};

use super::Mpam;
use crate::registers::Labels;
use crate::{Msc, SystemRegisters};

/// Whether code and data are told apart, for each cache.
#[derive(Debug, Default)]
pub(crate) struct CdpSwitches {
    l3: AtomicBool,
    l2: AtomicBool,
}

impl CdpSwitches {
    pub(super) fn of(&self, resource: ResourceId) -> Option<&AtomicBool> {
        match resource {
            ResourceId::L3 => Some(&self.l3),
            ResourceId::L2 => Some(&self.l2),
            _ => None,
        }
    }

    pub(crate) fn is_on(&self, resource: ResourceId) -> bool {
        self.of(resource).is_some_and(|switch| switch.load(Ordering::Relaxed))
    }

    pub(crate) fn any(&self) -> bool {
        self.l3.load(Ordering::Relaxed) || self.l2.load(Ordering::Relaxed)
    }
}

/// One or two PARTIDs: the first stands for both when they are the same to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partids {
    first: u16,
    second: Option<u16>,
}

impl Partids {
    pub(crate) const fn first(self) -> u16 {
        self.first
    }

    pub(crate) fn contains(self, partid: u16) -> bool {
        self.first == partid || self.second == Some(partid)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u16> + Clone + Send {
        [Some(self.first), self.second].into_iter().flatten()
    }
}

impl<M: Msc, S: SystemRegisters> Ids for Mpam<M, S> {
    const RMID_DEPENDS_ON_CLOSID: bool = true;

    fn num_rmid_index(&self) -> u32 {
        (u32::from(self.devices.ids.partid_max) + 1) * self.rmids()
    }

    fn rmid_index(&self, id: MonId) -> RmidIndex {
        RmidIndex(id.closid.0.saturating_mul(self.rmids()).saturating_add(id.rmid.0))
    }

    fn rmid_decode(&self, index: RmidIndex) -> MonId {
        MonId { closid: Closid(index.0 / self.rmids()), rmid: Rmid(index.0 % self.rmids()) }
    }

    const CLOSID_PLACES: u64 = Labels::PARTID_D.places();
    const RMID_PLACES: u64 = Labels::PMG_D.places();

    /// The word of a task: the CLOSID in the places of both PARTIDs, the RMID in those of both PMGs.
    fn task_word(&self, id: MonId) -> TaskWord {
        let (closid, rmid) = (id.closid.0.into(), id.rmid.0.into());
        let partids = (Labels::PARTID_I.try_put(closid), Labels::PARTID_D.try_put(closid));
        let pmgs = (Labels::PMG_I.try_put(rmid), Labels::PMG_D.try_put(rmid));
        match (partids, pmgs) {
            ((Some(code), Some(data)), (Some(code_pmg), Some(data_pmg))) => TaskWord(code | data | code_pmg | data_pmg),
            // No system has such ids: the default group's.
            _ => TaskWord(0),
        }
    }

    fn task_ids(&self, word: TaskWord) -> MonId {
        MonId { closid: Closid(Labels::PARTID_D.word_of(word.0)), rmid: Rmid(Labels::PMG_D.word_of(word.0)) }
    }

    #[inline]
    fn cpu_labels(&self, cpu: CpuId) -> Option<&CpuLabels> {
        self.cpus.get(cpu.index())
    }

    /// A failed system has no labels but the default group's.
    fn effective(&self, task: TaskWord, default: TaskWord) -> u64 {
        self.labels(match task {
            _ if self.has_failed() => TaskWord(0),
            TaskWord(0) => default,
            own => own,
        })
    }

    #[inline]
    fn write_labels(&self, here: Here<'_>, labels: u64) {
        super::sched::write_labels(&self.system, here, labels);
    }

    fn cdp_enabled(&self, resource: ResourceId) -> bool {
        self.cdp.is_on(resource)
    }
}

impl<M: Msc, S: SystemRegisters> Mpam<M, S> {
    /// RMIDs of one CLOSID.
    fn rmids(&self) -> u32 {
        u32::from(self.devices.ids.pmg_max) + 1
    }

    fn partid(&self, number: u32) -> Result<u16> {
        u16::try_from(number).ok().filter(|&partid| partid <= self.devices.ids.partid_max).ok_or(Errno::EINVAL)
    }

    /// The PARTIDs of a CLOSID: data before code.
    pub(crate) fn partids(&self, closid: Closid) -> Result<Partids> {
        if !self.cdp.any() {
            return Ok(Partids { first: self.partid(closid.0)?, second: None });
        }
        let data = closid.0.checked_mul(2).ok_or(Errno::EINVAL)?;
        Ok(Partids { first: self.partid(data)?, second: Some(self.partid(data.checked_add(1).ok_or(Errno::EINVAL)?)?) })
    }

    /// The PARTIDs that a control value of a CLOSID is for.
    pub(crate) fn controlled(&self, resource: ResourceId, closid: Closid, conf_type: ConfType) -> Result<Partids> {
        let both = self.partids(closid)?;
        Ok(match (conf_type, both.second) {
            (ConfType::Data, _) if self.cdp.is_on(resource) => Partids { second: None, ..both },
            (ConfType::Code, Some(code)) if self.cdp.is_on(resource) => Partids { first: code, second: None },
            _ => both,
        })
    }

    /// The PMG of an RMID.
    pub(crate) fn pmg(&self, rmid: Rmid) -> Result<u8> {
        u8::try_from(rmid.0).ok().filter(|&pmg| pmg <= self.devices.ids.pmg_max).ok_or(Errno::EINVAL)
    }

    /// The labels of a processor that runs for a word. Ids that the system does not have are none of its own making; they
    /// become those of the default group rather than an error in some MSC.
    pub(crate) fn labels(&self, word: TaskWord) -> u64 {
        let id = self.task_ids(word);
        let (Ok(partids), Ok(pmg)) = (self.partids(id.closid), self.pmg(id.rmid)) else {
            return self.labels(TaskWord(0));
        };
        let (data, code) = (partids.first, partids.second.unwrap_or(partids.first));
        Labels::PARTID_D.put(data.into())
            | Labels::PARTID_I.put(code.into())
            | Labels::PMG_D.put(pmg.into())
            | Labels::PMG_I.put(pmg.into())
    }
}
