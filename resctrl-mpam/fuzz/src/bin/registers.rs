// SPDX-License-Identifier: GPL-2.0-only
//! libFuzzer on [`resctrl_fuzz::registers`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: resctrl_fuzz::write_seeds("registers"),
    |data: &[u8]| {
        resctrl_fuzz::registers(data);
    }
);
