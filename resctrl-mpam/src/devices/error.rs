// SPDX-License-Identifier: GPL-2.0-only
//! What an MSC complains about in its error status register.

use core::fmt;

use crate::registers::Esr;

/// An error that an MSC reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MscError {
    /// The MSC's number in the firmware table.
    pub msc: u32,
    /// What happened, `1..=15`.
    pub code: u8,
    /// PARTID or monitor concerned.
    pub partid: u16,
    /// PMG concerned.
    pub pmg: u8,
    /// Resource instance concerned, as far as the MSC tells.
    pub ris: u8,
}

/// The names of the codes (IHI 0099).
const NAMES: [&str; 12] = [
    "No error",
    "PARTID_SEL_Range",
    "Req_PARTID_Range",
    "MSMONCFG_ID_RANGE",
    "Req_PMG_Range",
    "Monitor_Range",
    "intPARTID_Range",
    "Unexpected_INTERNAL",
    "Undefined_RIS_PART_SEL",
    "RIS_No_Control",
    "Undefined_RIS_MON_SEL",
    "RIS_No_Monitor",
];

impl MscError {
    /// What an error status register says; `None` when nothing happened.
    #[must_use]
    pub fn decode(msc: u32, status: u64) -> Option<MscError> {
        let code = Esr::ERRCODE.byte_of(status);
        (code != 0).then(|| MscError {
            msc,
            code,
            partid: Esr::PARTID_MON.half_of(status),
            pmg: Esr::PMG.byte_of(status),
            ris: Esr::RIS.byte_of(status),
        })
    }

    /// The name of the error.
    #[must_use]
    pub fn name(&self) -> &'static str {
        NAMES.get(usize::from(self.code)).copied().unwrap_or("Reserved")
    }
}

impl fmt::Display for MscError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "error irq from msc:{} '{}', partid:{}, pmg: {}, ris: {}",
            self.msc,
            self.name(),
            self.partid,
            self.pmg,
            self.ris
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_error_reads_as_the_kernel_prints_it() {
        let error = MscError::decode(3, 0x5_0202_0021).unwrap();
        assert_eq!(error.to_string(), "error irq from msc:3 'Req_PARTID_Range', partid:33, pmg: 2, ris: 5");
    }

    #[test]
    fn no_code_is_no_error_and_unknown_codes_are_reserved() {
        assert_eq!(MscError::decode(3, 0x8000_0021), None);
        for code in 12..16 {
            assert_eq!(MscError::decode(3, code << 24).unwrap().name(), "Reserved");
        }
    }
}
