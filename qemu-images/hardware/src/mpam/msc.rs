// SPDX-License-Identifier: GPL-2.0-only
//! One MSC: its page of registers, its errors, and the traffic that goes through it.

mod monitors;

use std::collections::{BTreeMap, BTreeSet};

use super::monitor::{BandwidthMonitor, LOCAL_CAPTURE, Occupancy, UsageMonitor};
use super::partition::{Partition, is_control};
use super::registers::{Aidr, Bits, CaptEvnt, Ecr, Esr, Idr, Iidr, Intpartid, MonSel, PartSel, holding};
use super::{MscConfig, Request, RisConfig};
use crate::numbers::{high, low, place};

/// What went wrong: `MPAMF_ESR.ERRCODE` (IHI 0099, "Error conditions in accessing memory-mapped registers" and
/// "Error conditions in requests").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorCode {
    /// A configuration register was accessed with a PARTID that does not exist selected.
    PartidSelRange = 1,
    /// A request came with a PARTID that does not exist.
    ReqPartidRange = 2,
    /// A monitor was told to match an id that does not exist.
    MsmonCfgIdRange = 3,
    /// A request came with a PMG that does not exist.
    ReqPmgRange = 4,
    /// A monitor register was accessed with a monitor that does not exist selected.
    MonitorRange = 5,
    /// An internal PARTID does not exist, or one was needed and not selected.
    IntPartidRange = 6,
    /// An internal PARTID was selected where it means nothing.
    UnexpectedInternal = 7,
    /// A resource instance that does not exist was selected for configuration.
    UndefinedRisPartSel = 8,
    /// The selected resource instance lacks the control.
    RisNoControl = 9,
    /// A resource instance that does not exist was selected for monitoring.
    UndefinedRisMonSel = 10,
    /// The selected resource instance lacks the monitor.
    RisNoMonitor = 11,
}

/// An error of software, and the PARTID or monitor it is about.
type Mistake = (ErrorCode, u16);

/// One resource instance.
#[derive(Clone, Debug)]
struct Ris {
    config: RisConfig,
    partitions: Vec<Partition>,
    /// The internal PARTID of each PARTID.
    narrowing: Vec<u16>,
    usage: Vec<UsageMonitor>,
    traffic: Vec<BandwidthMonitor>,
    lines: BTreeMap<(u16, u8), Occupancy>,
    /// Whose monitors are not ready, whatever the time.
    not_ready: BTreeSet<(u16, u8)>,
}

impl Ris {
    fn new(config: RisConfig) -> Self {
        Ris {
            partitions: (0..config.partitions()).map(Partition::new).collect(),
            narrowing: vec![0; usize::from(config.partid_max) + 1],
            usage: vec![UsageMonitor::default(); config.usage.map_or(0, |usage| usage.count.into())],
            traffic: vec![BandwidthMonitor::default(); config.traffic.map_or(0, |traffic| traffic.count.into())],
            lines: BTreeMap::new(),
            not_ready: BTreeSet::new(),
            config,
        }
    }

    /// What usage monitor `index` counts now.
    fn used(&self, index: usize) -> u64 {
        self.usage[index].usage(self.lines.iter())
    }
}

/// One memory system component.
#[derive(Clone, Debug)]
pub struct Msc {
    config: MscConfig,
    ris: Vec<Ris>,
    part_sel: u32,
    mon_sel: u32,
    esr: u64,
    ecr: u32,
    powered: bool,
    accesses_unpowered: u64,
    writes: u64,
}

impl Msc {
    /// An MSC as after reset.
    ///
    /// # Panics
    /// With no resource instance, or more than 16: no register can say so.
    #[must_use]
    pub fn new(config: MscConfig) -> Self {
        assert!((1..=16).contains(&config.ris.len()), "an MSC has 1 to 16 resource instances");
        let ris = config.ris.iter().cloned().map(Ris::new).collect();
        Msc { config, ris, part_sel: 0, mon_sel: 0, esr: 0, ecr: 0, powered: true, accesses_unpowered: 0, writes: 0 }
    }

    // ---- Registers ----

    /// Reads 32 bits at a byte offset of the page.
    ///
    /// # Panics
    /// At an unaligned offset, which an MSC need not support.
    pub fn read32(&mut self, offset: u32, now: u64) -> u32 {
        assert!(offset.is_multiple_of(4), "unaligned access at {offset:#x}");
        if !self.powered {
            self.accesses_unpowered += 1;
            return 0;
        }
        let (value, error) = self.look(offset, now);
        if let Some((code, id)) = error {
            self.raise(code, id, 0, self.selected_ris(offset));
        }
        value
    }

    /// What a read would give, without its side effects: for whoever keeps a copy of the page.
    #[must_use]
    pub fn peek32(&self, offset: u32, now: u64) -> u32 {
        if self.powered { self.look(offset, now).0 } else { 0 }
    }

    /// Reads 64 bits in one access.
    pub fn read64(&mut self, offset: u32, now: u64) -> u64 {
        u64::from(self.read32(offset, now)) | u64::from(self.read32(offset + 4, now)) << 32
    }

    /// Writes 64 bits in one access.
    pub fn write64(&mut self, offset: u32, value: u64, now: u64) {
        self.write32(offset, low(value), now);
        self.write32(offset + 4, high(value), now);
    }

    /// Writes 32 bits at a byte offset of the page.
    ///
    /// # Panics
    /// At an unaligned offset, which an MSC need not support.
    pub fn write32(&mut self, offset: u32, value: u32, now: u64) {
        assert!(offset.is_multiple_of(4), "unaligned access at {offset:#x}");
        if !self.powered {
            self.accesses_unpowered += 1;
            return;
        }
        self.writes += 1;
        match offset {
            Ecr::OFFSET if self.has_errors() => self.ecr = value & Ecr::INTEN.mask32(),
            // Software can write only zeros into the status: that is how it is cleared.
            Esr::OFFSET if self.has_errors() => self.esr = self.esr >> 32 << 32 | u64::from(value),
            0x0fc if self.config.extended_error_status => {
                self.esr = self.esr & 0xffff_ffff | (u64::from(value) << 32 & Esr::RIS.mask());
            }
            PartSel::OFFSET => self.part_sel = value & self.part_sel_bits(),
            MonSel::OFFSET => self.mon_sel = value & (MonSel::MON_SEL.mask32() | self.ris_bits(MonSel::RIS)),
            CaptEvnt::OFFSET if self.config.local_capture => {
                if value & CaptEvnt::NOW.mask32() != 0 {
                    self.capture(LOCAL_CAPTURE, now);
                }
            }
            Intpartid::OFFSET => self.write_narrowing(value),
            offset if is_control(offset) => match self.control_place(offset) {
                Ok(Some((ris, partition, implemented))) => {
                    self.ris[ris].partitions[partition].write(offset, value, implemented);
                }
                Ok(None) => {}
                Err((code, id)) => self.raise(code, id, 0, self.selected_ris(offset)),
            },
            offset => self.write_monitor(offset, value, now),
        }
    }

    /// What is at an offset, and the error that looking there is.
    fn look(&self, offset: u32, now: u64) -> (u32, Option<Mistake>) {
        let ris = &self.ris[..];
        let selected = ris.get(place(self.field(PartSel::RIS)));
        let ris_max = ris.len() - 1;
        let value = match offset {
            Idr::OFFSET => selected.map_or(0, |ris| low(ris.config.idr(&self.config, ris_max))),
            0x004 => selected.map_or(0, |ris| high(ris.config.idr(&self.config, ris_max))),
            Iidr::OFFSET => self.config.iidr,
            Aidr::OFFSET => self.config.aidr,
            Ecr::OFFSET => self.ecr,
            Esr::OFFSET => low(self.esr),
            0x0fc => high(self.esr),
            PartSel::OFFSET => self.part_sel,
            MonSel::OFFSET => self.mon_sel,
            Intpartid::OFFSET => match self.narrowing_place() {
                Ok(Some((ris, partid))) => self.ris[ris].narrowing[partid].into(),
                Ok(None) => 0,
                Err(error) => return (0, Some(error)),
            },
            offset if is_control(offset) => match self.control_place(offset) {
                Ok(Some((ris, partition, implemented))) => {
                    self.ris[ris].partitions[partition].read(offset, implemented)
                }
                Ok(None) => 0,
                Err(error) => return (0, Some(error)),
            },
            offset => match selected.and_then(|ris| ris.config.identification(&self.config, offset)) {
                Some(value) => low(value),
                None => return self.look_at_monitor(offset, now),
            },
        };
        (value, None)
    }

    const fn has_errors(&self) -> bool {
        !self.config.extended || self.config.error_status
    }

    fn field(&self, field: Bits) -> u64 {
        field.get(self.part_sel.into())
    }

    fn ris_bits(&self, field: Bits) -> u32 {
        if self.config.extended && self.ris.len() > 1 { field.mask32() } else { 0 }
    }

    fn part_sel_bits(&self) -> u32 {
        let narrows = self.ris.iter().any(|ris| ris.config.narrowing.is_some());
        let internal = if narrows { PartSel::INTERNAL.mask32() } else { 0 };
        PartSel::PARTID_SEL.mask32() | internal | self.ris_bits(PartSel::RIS)
    }

    // ---- Partition configuration ----

    /// Where the control register at `offset` is: instance, partition and implemented bits. `None` where no instance has
    /// such a register.
    fn control_place(&self, offset: u32) -> Result<Option<(usize, usize, u32)>, Mistake> {
        let partid = PartSel::PARTID_SEL.get16(self.part_sel.into());
        if self.ris.iter().all(|ris| ris.config.implemented(offset).is_none()) {
            return Ok(None);
        }
        let index = place(self.field(PartSel::RIS));
        let ris = self.ris.get(index).ok_or((ErrorCode::UndefinedRisPartSel, partid))?;
        let implemented = ris.config.implemented(offset).ok_or((ErrorCode::RisNoControl, partid))?;
        let internal = self.field(PartSel::INTERNAL) == 1;
        match ris.config.narrowing {
            Some(_) if !internal => return Err((ErrorCode::IntPartidRange, partid)),
            Some(max) if partid > max => return Err((ErrorCode::IntPartidRange, partid)),
            None if internal => return Err((ErrorCode::UnexpectedInternal, partid)),
            None if partid > ris.config.partid_max => return Err((ErrorCode::PartidSelRange, partid)),
            _ => {}
        }
        Ok(Some((index, partid.into(), implemented)))
    }

    /// Where `MPAMCFG_INTPARTID` is: instance and PARTID. `None` where no instance narrows.
    fn narrowing_place(&self) -> Result<Option<(usize, usize)>, Mistake> {
        let partid = PartSel::PARTID_SEL.get16(self.part_sel.into());
        if self.ris.iter().all(|ris| ris.config.narrowing.is_none()) {
            return Ok(None);
        }
        let index = place(self.field(PartSel::RIS));
        let ris = self.ris.get(index).ok_or((ErrorCode::UndefinedRisPartSel, partid))?;
        if ris.config.narrowing.is_none() {
            return Err((ErrorCode::RisNoControl, partid));
        }
        if self.field(PartSel::INTERNAL) == 1 {
            return Err((ErrorCode::UnexpectedInternal, partid));
        }
        if partid > ris.config.partid_max {
            return Err((ErrorCode::PartidSelRange, partid));
        }
        Ok(Some((index, partid.into())))
    }

    fn write_narrowing(&mut self, value: u32) {
        let (ris, partid) = match self.narrowing_place() {
            Ok(Some(place)) => place,
            Ok(None) => return,
            Err((code, id)) => return self.raise(code, id, 0, self.field(PartSel::RIS)),
        };
        let internal = Intpartid::INTPARTID.get16(value.into());
        let told = Intpartid::INTERNAL.get(value.into()) == 1;
        let in_range = self.ris[ris].config.narrowing.is_some_and(|max| internal <= max);
        if told && in_range {
            self.ris[ris].narrowing[partid] = internal;
        } else {
            self.raise(ErrorCode::IntPartidRange, internal, 0, ris as u64);
        }
    }

    // ---- Errors and interrupts ----

    fn selected_ris(&self, offset: u32) -> u64 {
        match Self::monitor_kind(offset) {
            Some(_) => MonSel::RIS.get(self.mon_sel.into()),
            None => self.field(PartSel::RIS),
        }
    }

    fn raise(&mut self, code: ErrorCode, id: u16, pmg: u8, ris: u64) {
        if !self.has_errors() {
            return;
        }
        let overwritten = Esr::ERRCODE.get(self.esr) != 0;
        self.esr = holding([
            (Esr::PARTID_MON, id.into()),
            (Esr::PMG, pmg.into()),
            (Esr::ERRCODE, code as u64),
            (Esr::OVRWR, overwritten.into()),
            (Esr::RIS, if self.config.extended_error_status { ris } else { 0 }),
        ]);
    }

    /// The error status register.
    #[must_use]
    pub const fn error_status(&self) -> u64 {
        self.esr
    }

    /// Whether the error interrupt is asserted. It is a level: it stays until the status is cleared or disabled.
    #[must_use]
    pub const fn error_interrupt(&self) -> bool {
        self.powered && self.ecr & Ecr::INTEN.mask32() != 0 && Esr::ERRCODE.get(self.esr) != 0
    }

    /// Whether the overflow interrupt is asserted: a level as well.
    #[must_use]
    pub fn overflow_interrupt(&self) -> bool {
        self.powered && self.ris.iter().flat_map(|ris| &ris.traffic).any(BandwidthMonitor::wants_interrupt)
    }

    // ---- The memory system ----

    /// A request goes through a resource instance.
    ///
    /// # Panics
    /// For an instance that does not exist.
    pub fn request(&mut self, ris: usize, request: Request) {
        let config = &self.ris[ris].config;
        if request.partid > config.partid_max {
            return self.raise(ErrorCode::ReqPartidRange, request.partid, request.pmg, ris as u64);
        }
        if request.pmg > config.pmg_max {
            return self.raise(ErrorCode::ReqPmgRange, request.partid, request.pmg, ris as u64);
        }
        let ris = &mut self.ris[ris];
        if let Some(config) = ris.config.traffic {
            ris.traffic.iter_mut().for_each(|monitor| monitor.observe(&request, &config));
        }
    }

    /// Sets what a PARTID and PMG hold of a cache.
    ///
    /// # Panics
    /// For an instance that does not exist.
    pub fn set_occupancy(&mut self, ris: usize, partid: u16, pmg: u8, occupancy: Occupancy) {
        self.ris[ris].lines.insert((partid, pmg), occupancy);
    }

    /// Keeps every monitor that counts this PARTID and PMG from getting ready, or ends that.
    ///
    /// # Panics
    /// For an instance that does not exist.
    pub fn set_not_ready(&mut self, ris: usize, partid: u16, pmg: u8, not_ready: bool) {
        let held = &mut self.ris[ris].not_ready;
        if not_ready {
            held.insert((partid, pmg));
        } else {
            held.remove(&(partid, pmg));
        }
    }

    /// What a control register of a PARTID holds, as the memory system sees it: through the narrowing. `None` for an
    /// instance, a PARTID or a control that does not exist.
    #[must_use]
    pub fn control(&self, ris: usize, partid: u16, offset: u32) -> Option<u32> {
        let ris = self.ris.get(ris)?;
        let implemented = ris.config.implemented(offset)?;
        let mapped = *ris.narrowing.get(usize::from(partid))?;
        let partition = if ris.config.narrowing.is_some() { mapped } else { partid };
        Some(ris.partitions.get(usize::from(partition))?.read(offset, implemented))
    }

    /// Gives a control a value for a PARTID, after narrowing, as whoever selects it and writes does. `false` where there is no such
    /// control.
    pub fn set_control(&mut self, ris: usize, partid: u16, offset: u32, value: u32) -> bool {
        let Some(ris) = self.ris.get_mut(ris) else { return false };
        let Some(implemented) = ris.config.implemented(offset) else { return false };
        let Some(mapped) = ris.narrowing.get(usize::from(partid)) else { return false };
        let partition = if ris.config.narrowing.is_some() { *mapped } else { partid };
        let Some(partition) = ris.partitions.get_mut(usize::from(partition)) else { return false };
        partition.write(offset, value, implemented);
        true
    }

    /// How many writes there have been since the MSC was made.
    #[must_use]
    pub const fn writes(&self) -> u64 {
        self.writes
    }

    /// Takes power away: everything that was set is lost, and accesses are mistakes.
    pub fn power_off(&mut self) {
        let config = self.config.clone();
        let (writes, accesses_unpowered) = (self.writes, self.accesses_unpowered);
        *self = Msc { powered: false, writes, accesses_unpowered, ..Msc::new(config) };
    }

    /// Gives power back; the registers are as after reset.
    pub fn power_on(&mut self) {
        self.powered = true;
    }

    /// How many accesses there were without power: a correct driver makes none.
    #[must_use]
    pub const fn accesses_unpowered(&self) -> u64 {
        self.accesses_unpowered
    }
}

#[cfg(test)]
mod tests;
