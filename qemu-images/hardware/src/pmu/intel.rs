// SPDX-License-Identifier: GPL-2.0-only
//! Architectural performance monitoring, version 2.
//!
//! Source: SDM Vol. 3, "Performance Monitoring Events".

use super::{COUNTER, Event, Kind, Register, WIDTH, among};
use crate::Gp;
use crate::cpuid::narrow;
use crate::numbers::{low, place};
use crate::registers::{
    FixedCtr, FixedCtrCtrl, PerfEvtSel, PerfGlobalCtrl, PerfGlobalOvfCtrl, PerfGlobalStatus, Pmc, PmuEax, PmuEbx,
    PmuEdx, RdpmcEcx,
};

/// CPUID leaf of architectural performance monitoring.
pub(super) const LEAF: u32 = 0xa;

/// The version of all this.
const VERSION: u64 = 2;
/// How many events CPUID speaks of.
const EVENTS: u64 = 7;
/// Fixed counters.
const FIXED: usize = Kind::Intel.fixed().len();

/// By unit mask and number.
pub(super) fn event(select: u64) -> Option<Event> {
    match PerfEvtSel(select).get(PerfEvtSel::EVENT) {
        0x003c | 0x013c => Some(Event::Cycles),
        0x00c0 => Some(Event::Instructions),
        0x4f2e => Some(Event::References),
        0x412e => Some(Event::Misses),
        _ => None,
    }
}

/// EAX, EBX, ECX and EDX of [`LEAF`].
pub(super) fn cpuid(counters: usize) -> [u32; 4] {
    let general = PmuEax::default()
        .with(&PmuEax::VERSION, VERSION)
        .with(&PmuEax::COUNTERS, counters as u64)
        .with(&PmuEax::WIDTH, WIDTH)
        .with(&PmuEax::EVENTS, EVENTS);
    let missing = PmuEbx::default().with(&PmuEbx::BRANCHES, 1).with(&PmuEbx::MISPREDICTED, 1);
    let fixed = PmuEdx::default().with(&PmuEdx::FIXED, FIXED as u64).with(&PmuEdx::WIDTH, WIDTH);
    [narrow(general.0), narrow(missing.0), 0, narrow(fixed.0)]
}

/// The register at an address.
pub(super) fn register(address: u32, counters: usize) -> Option<Register> {
    match address {
        FixedCtrCtrl::ADDRESS => Some(Register::FixedControl),
        PerfGlobalStatus::ADDRESS => Some(Register::Status),
        PerfGlobalCtrl::ADDRESS => Some(Register::Control),
        PerfGlobalOvfCtrl::ADDRESS => Some(Register::OverflowControl),
        _ => among(address, Pmc::ADDRESS, 1, counters)
            .map(Register::Value)
            .or_else(|| among(address, PerfEvtSel::ADDRESS, 1, counters).map(Register::Select))
            .or_else(|| among(address, FixedCtr::ADDRESS, 1, FIXED).map(|fixed| Register::Value(counters + fixed))),
    }
}

/// What a register can be written with.
pub(super) fn writable(register: Register, counters: usize) -> Result<u64, Gp> {
    // Of general-purpose counters, those that there are.
    let missing = PerfGlobalCtrl::PMC.mask() & !((1 << counters) - 1);
    Ok(match register {
        Register::Value(counter) if counter < counters => u64::MAX,
        Register::Value(_) => FixedCtr::DEFINED,
        Register::Select(_) => PerfEvtSel::DEFINED,
        Register::FixedControl => FixedCtrCtrl::DEFINED,
        Register::Control => PerfGlobalCtrl::DEFINED & !missing,
        Register::OverflowControl => PerfGlobalOvfCtrl::DEFINED & !missing,
        Register::Status => return Err(Gp::ReadOnly),
    })
}

/// What a general-purpose counter holds that was written: 32 bits, of which the highest is that of all above.
pub(super) fn written(value: u64) -> u64 {
    i64::from(low(value).cast_signed()).cast_unsigned() & COUNTER
}

/// The counter that RDPMC reads with this ECX.
pub(super) fn read_by(ecx: u32, counters: usize) -> Option<usize> {
    let which = RdpmcEcx(ecx.into());
    let (place, fixed) = (place(which.get(RdpmcEcx::COUNTER)), which.get(RdpmcEcx::FIXED) != 0);
    let (first, count) = if fixed { (counters, FIXED) } else { (0, counters) };
    (!which.has_reserved_bits() && place < count).then(|| first + place)
}
