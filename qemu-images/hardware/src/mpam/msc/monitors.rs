// SPDX-License-Identifier: GPL-2.0-only
//! The monitor registers of an MSC.

use super::{ErrorCode, Mistake, Msc, Ris};
use crate::mpam::CounterWidth;
use crate::mpam::registers::{
    Csu, CsuCapture, CsuCtl, CsuFlt, Mbwu, MbwuCapture, MbwuFlt, MbwuLong, MbwuLongCapture, MonCtl, MonSel,
};
use crate::numbers::{self, high, low};

/// Upper halves of the two long registers.
const LONG_HIGH: u32 = MbwuLong::OFFSET + 4;
const LONG_CAPTURE_HIGH: u32 = MbwuLongCapture::OFFSET + 4;

/// Which of the two kinds of monitors a register is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Usage,
    Traffic,
}

impl Msc {
    /// Which monitor the register at `offset` is about, if it is about one.
    pub(super) const fn monitor_kind(offset: u32) -> Option<Kind> {
        match offset {
            CsuFlt::OFFSET | CsuCtl::OFFSET | Csu::OFFSET | CsuCapture::OFFSET => Some(Kind::Usage),
            MbwuFlt::OFFSET
            | MonCtl::OFFSET
            | Mbwu::OFFSET
            | MbwuCapture::OFFSET
            | MbwuLong::OFFSET
            | LONG_HIGH
            | MbwuLongCapture::OFFSET
            | LONG_CAPTURE_HIGH => Some(Kind::Traffic),
            _ => None,
        }
    }

    /// The selected monitor: instance and index. `None` where no instance has such monitors.
    fn monitor_place(&self, kind: Kind) -> Result<Option<(usize, usize)>, Mistake> {
        let monitor = MonSel::MON_SEL.get16(self.mon_sel.into());
        let count = |ris: &Ris| match kind {
            Kind::Usage => ris.usage.len(),
            Kind::Traffic => ris.traffic.len(),
        };
        if self.ris.iter().all(|ris| count(ris) == 0) {
            return Ok(None);
        }
        let index = numbers::place(MonSel::RIS.get(self.mon_sel.into()));
        let ris = self.ris.get(index).ok_or((ErrorCode::UndefinedRisMonSel, monitor))?;
        match count(ris) {
            0 => Err((ErrorCode::RisNoMonitor, monitor)),
            count if usize::from(monitor) >= count => Err((ErrorCode::MonitorRange, monitor)),
            _ => Ok(Some((index, monitor.into()))),
        }
    }

    pub(super) fn look_at_monitor(&self, offset: u32, now: u64) -> (u32, Option<Mistake>) {
        let Some(kind) = Self::monitor_kind(offset) else { return (0, None) };
        let (ris, index) = match self.monitor_place(kind) {
            Ok(Some((ris, index))) => (&self.ris[ris], index),
            Ok(None) => return (0, None),
            Err(error) => return (0, Some(error)),
        };
        let value = match (kind, ris.config.usage, ris.config.traffic) {
            (Kind::Usage, Some(config), _) => {
                let monitor = &ris.usage[index];
                let held = ris.not_ready.iter().any(|&(partid, pmg)| monitor.matches(partid, pmg));
                match offset {
                    Csu::OFFSET if held => Csu::NRDY.mask32(),
                    CsuFlt::OFFSET => monitor.filter(),
                    CsuCtl::OFFSET => monitor.control(),
                    Csu::OFFSET => monitor.value(ris.used(index), &config, now),
                    _ => monitor.captured(),
                }
            }
            (Kind::Traffic, _, Some(config)) => {
                let monitor = &ris.traffic[index];
                let long = config.width != CounterWidth::Bits31;
                let held = ris.not_ready.iter().any(|&(partid, pmg)| monitor.matches(partid, pmg));
                match offset {
                    MbwuFlt::OFFSET => monitor.filter(),
                    Mbwu::OFFSET if held => Csu::NRDY.mask32(),
                    LONG_HIGH if held && long => high(MbwuLong::NRDY.mask()),
                    MonCtl::OFFSET => monitor.control(),
                    Mbwu::OFFSET => monitor.short(&config, now),
                    MbwuCapture::OFFSET => monitor.captured_short(),
                    MbwuLong::OFFSET if long => low(monitor.long(&config, now)),
                    LONG_HIGH if long => high(monitor.long(&config, now)),
                    MbwuLongCapture::OFFSET if long => low(monitor.captured_long()),
                    LONG_CAPTURE_HIGH if long => high(monitor.captured_long()),
                    _ => 0,
                }
            }
            _ => 0,
        };
        (value, None)
    }

    pub(super) fn write_monitor(&mut self, offset: u32, value: u32, now: u64) {
        let Some(kind) = Self::monitor_kind(offset) else { return };
        let (place, index) = match self.monitor_place(kind) {
            Ok(Some(place)) => place,
            Ok(None) => return,
            Err((code, id)) => return self.raise(code, id, 0, MonSel::RIS.get(self.mon_sel.into())),
        };
        let used = if kind == Kind::Usage { self.ris[place].used(index) } else { 0 };
        let ris = &mut self.ris[place];
        if matches!(offset, CsuFlt::OFFSET | MbwuFlt::OFFSET) {
            let (partid, pmg) = (CsuFlt::PARTID.get16(value.into()), CsuFlt::PMG.get8(value.into()));
            if partid > ris.config.partid_max || pmg > ris.config.pmg_max {
                return self.raise(ErrorCode::MsmonCfgIdRange, partid, pmg, place as u64);
            }
        }
        match (kind, ris.config.usage, ris.config.traffic) {
            (Kind::Usage, Some(config), _) => {
                let monitor = &mut ris.usage[index];
                match offset {
                    CsuFlt::OFFSET => monitor.set_filter(value, &config, now),
                    CsuCtl::OFFSET => monitor.set_control(value, used, &config, now),
                    Csu::OFFSET => monitor.write_value(value),
                    _ => {}
                }
            }
            (Kind::Traffic, _, Some(config)) => {
                let monitor = &mut ris.traffic[index];
                let long = config.width != CounterWidth::Bits31;
                match offset {
                    MbwuFlt::OFFSET => monitor.set_filter(value, &config, now),
                    MonCtl::OFFSET => monitor.set_control(value, &config, now),
                    Mbwu::OFFSET => monitor.write_short(value),
                    MbwuLong::OFFSET if long => monitor.write_long(value, false, &config),
                    LONG_HIGH if long => monitor.write_long(value, true, &config),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Filter, control and value of a usage monitor, the value with bit 63 for not ready. `None` if there is none.
    #[must_use]
    pub fn usage_monitor(&self, ris: usize, index: usize, now: u64) -> Option<[u64; 3]> {
        let ris = self.ris.get(ris)?;
        let (config, monitor) = (ris.config.usage?, ris.usage.get(index)?);
        let value = monitor.value(ris.used(index), &config, now);
        let value = if value & Csu::NRDY.mask32() == 0 { value.into() } else { MbwuLong::NRDY.mask() };
        Some([monitor.filter().into(), monitor.control().into(), value])
    }

    /// As [`Msc::usage_monitor`], of a bandwidth monitor.
    #[must_use]
    pub fn traffic_monitor(&self, ris: usize, index: usize, now: u64) -> Option<[u64; 3]> {
        let ris = self.ris.get(ris)?;
        let (config, monitor) = (ris.config.traffic?, ris.traffic.get(index)?);
        Some([monitor.filter().into(), monitor.control().into(), monitor.long(&config, now)])
    }

    /// An event that monitors may be told to capture their value at: 1 to 6 from outside, 7 from software.
    pub fn capture(&mut self, event: u64, now: u64) {
        for ris in &mut self.ris {
            if let Some(config) = ris.config.usage {
                for index in 0..ris.usage.len() {
                    let used = ris.used(index);
                    ris.usage[index].capture(event, used, &config, now);
                }
            }
            if let Some(config) = ris.config.traffic {
                ris.traffic.iter_mut().for_each(|monitor| monitor.capture(event, &config, now));
            }
        }
    }
}
