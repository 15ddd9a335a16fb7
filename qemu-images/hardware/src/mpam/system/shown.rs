// SPDX-License-Identifier: GPL-2.0-only
//! What processors and MSCs hold, for people who look into a failure.

use super::super::registers::{Cassoc, Cmax, Cmin, Cpbm, MbwMax, MbwMin, MbwPbm, MbwProp, Pri};
use super::super::{Label, Level, SystemRegister};
use super::System;
use crate::rdt::shown::writes_shown;
use std::fmt::Write as _;

/// Controls of a PARTID, by the names of the manual.
const CONTROLS: [(&str, u32); 9] = [
    ("MPAMCFG_CPBM", Cpbm::OFFSET),
    ("MPAMCFG_CMAX", Cmax::OFFSET),
    ("MPAMCFG_CMIN", Cmin::OFFSET),
    ("MPAMCFG_CASSOC", Cassoc::OFFSET),
    ("MPAMCFG_MBW_MIN", MbwMin::OFFSET),
    ("MPAMCFG_MBW_MAX", MbwMax::OFFSET),
    ("MPAMCFG_MBW_PROP", MbwProp::OFFSET),
    ("MPAMCFG_MBW_PBM", MbwPbm::OFFSET),
    ("MPAMCFG_PRI", Pri::OFFSET),
];

impl System {
    /// The labels and system registers of each CPU, the controls of each PARTID as the memory system sees them, errors, and the
    /// last writes: lines of text. Changes nothing.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut text = String::new();
        let state = self.state();
        let level = if self.features.el2 { Level::El2 } else { Level::El1 };
        for (number, cpu) in state.cpus.iter().enumerate() {
            let Label { partid, pmg } = cpu.label(Level::El0, false);
            // Writing to a string does not fail.
            let _ = write!(text, "CPU {number}: programs are PARTID {partid}, PMG {pmg};");
            for register in SystemRegister::ALL {
                if let Some(value) = cpu.read(register, level) {
                    let _ = write!(text, " {register:?} {value:#x}");
                }
            }
            text.push('\n');
        }
        for (number, unit) in state.mscs.iter().enumerate() {
            let _ = writeln!(
                text,
                "MSC {number} at {:#x}: error status {:#x}, {} accesses from where it is not reached",
                self.features.address(number),
                unit.msc.error_status(),
                unit.strays
            );
            for ris in 0..self.features.msc[number].ris.len() {
                for (name, offset) in CONTROLS {
                    let values: Vec<u32> =
                        (0..=u16::MAX).map_while(|partid| unit.msc.control(ris, partid, offset)).collect();
                    let mut first = 0;
                    while first < values.len() {
                        let alike = values[first..].iter().take_while(|value| **value == values[first]).count();
                        let last = first + alike - 1;
                        let _ =
                            writeln!(text, "  {number}.{ris} {name}: {:#x} (PARTIDs {first}-{last})", values[first]);
                        first += alike;
                    }
                }
            }
        }
        text.push_str(&writes_shown(&state.log.since(0), state.log.next(), |kind| state.log.total(kind)));
        text
    }
}
