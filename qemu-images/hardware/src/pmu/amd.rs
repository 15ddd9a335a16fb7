// SPDX-License-Identifier: GPL-2.0-only
//! Core performance counters of AMD's processors, with the global registers of the second version.
//!
//! What Linux has programs call references and misses of caches is, on these processors, about the L2 of the core: requests to it, and
//! those that it does not have, which are the references of the L3.
//!
//! Source: APM Vol. 2, "Performance Monitoring Counters"; "Processor Programming Reference (PPR) for AMD Family 19h Model 11h"
//! (publication 55901), "Core Performance Monitor Counters", for the numbers of events.

use super::{COUNTER, Event, Register, WIDTH, among};
use crate::Gp;
use crate::cpuid::narrow;
use crate::numbers::place;
use crate::registers::{
    LegacyPerfCtr, LegacyPerfEvtSel, PerfCntrGlobalCtl, PerfCntrGlobalStatus, PerfCntrGlobalStatusClr, PerfCtl,
    PerfCtr, PerfMonEax, PerfMonEbx,
};

/// CPUID leaf of the second version of performance monitoring.
pub(super) const LEAF: u32 = 0x8000_0022;

const _: () = assert!(COUNTER == PerfCtr::VALUE.max() && WIDTH == 48, "counters of both vendors are as wide");

/// By the higher part of the number, unit mask, and number.
pub(super) fn event(select: u64) -> Option<Event> {
    let select = PerfCtl(select);
    match (select.get(PerfCtl::EVENT_HIGH), select.get(PerfCtl::EVENT)) {
        // Cycles, and those of the clock that does not stop (in units of which there is one each cycle).
        (0, 0x0076) | (1, 0x0120) => Some(Event::Cycles),
        (0, 0x00c0) => Some(Event::Instructions),
        // All requests of the L2.
        (0, 0xff60) => Some(Event::Accesses),
        // Fetches and reads that missed it.
        (0, 0x0964) => Some(Event::References),
        _ => None,
    }
}

/// EAX, EBX, ECX and EDX of [`LEAF`].
pub(super) fn cpuid(counters: usize) -> [u32; 4] {
    let version = PerfMonEax::default().with(&PerfMonEax::VERSION_2, 1);
    let counters = PerfMonEbx::default().with(&PerfMonEbx::COUNTERS, counters as u64);
    [narrow(version.0), narrow(counters.0), 0, 0]
}

/// The register at an address.
pub(super) fn register(address: u32, counters: usize) -> Option<Register> {
    let legacy = place(LegacyPerfCtr::COUNT.into()).min(counters);
    match address {
        PerfCntrGlobalStatus::ADDRESS => Some(Register::Status),
        PerfCntrGlobalCtl::ADDRESS => Some(Register::Control),
        PerfCntrGlobalStatusClr::ADDRESS => Some(Register::OverflowControl),
        _ => among(address, PerfCtl::ADDRESS, PerfCtl::STRIDE, counters)
            .or_else(|| among(address, LegacyPerfEvtSel::ADDRESS, 1, legacy))
            .map(Register::Select)
            .or_else(|| {
                among(address, PerfCtr::ADDRESS, PerfCtl::STRIDE, counters)
                    .or_else(|| among(address, LegacyPerfCtr::ADDRESS, 1, legacy))
                    .map(Register::Value)
            }),
    }
}

/// What a register can be written with.
pub(super) fn writable(register: Register, counters: usize) -> Result<u64, Gp> {
    let missing = PerfCntrGlobalCtl::PMC.mask() & !((1 << counters) - 1);
    Ok(match register {
        // Bits that a counter does not have are lost.
        Register::Value(_) => u64::MAX,
        Register::Select(_) => PerfCtl::DEFINED,
        Register::Control => PerfCntrGlobalCtl::DEFINED & !missing,
        Register::OverflowControl => PerfCntrGlobalStatusClr::DEFINED & !missing,
        Register::Status | Register::FixedControl => return Err(Gp::ReadOnly),
    })
}

/// The counter that RDPMC reads with this ECX.
pub(super) fn read_by(ecx: u32, counters: usize) -> Option<usize> {
    Some(place(ecx.into())).filter(|counter| *counter < counters)
}
