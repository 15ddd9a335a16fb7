// SPDX-License-Identifier: GPL-2.0-only
//! Whose processor this is.

use crate::Registers;
use crate::cpuid::{VendorEbx, VendorEcx, VendorEdx};

/// Names in CPUID leaf 0.
const INTEL: [u8; 12] = *b"GenuineIntel";
const AMD: [u8; 12] = *b"AuthenticAMD";
/// Of the processors that Hygon derived from AMD's; they have no limits of slow memory.
const HYGON: [u8; 12] = *b"HygonGenuine";

/// Whose processor this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    Intel,
    Amd,
    /// AMD's design of old, but for slow memory and the width of counters.
    Hygon,
}

impl Vendor {
    pub(crate) fn read(registers: &impl Registers) -> Option<Vendor> {
        match vendor_name(registers) {
            INTEL => Some(Vendor::Intel),
            AMD => Some(Vendor::Amd),
            HYGON => Some(Vendor::Hygon),
            _ => None,
        }
    }
}

/// What CPUID calls it.
pub(crate) fn vendor_name(registers: &impl Registers) -> [u8; 12] {
    let mut name = [0; 12];
    let parts = [VendorEbx::ADDRESS, VendorEdx::ADDRESS, VendorEcx::ADDRESS];
    for (bytes, part) in name.chunks_exact_mut(4).zip(parts) {
        bytes.copy_from_slice(&part.read(registers).to_le_bytes()[..4]);
    }
    name
}
