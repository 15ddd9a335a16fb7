// SPDX-License-Identifier: GPL-2.0-only
//! libFuzzer on [`resctrl_fuzz::tables`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: resctrl_fuzz::write_seeds("tables"),
    |data: &[u8]| {
        resctrl_fuzz::tables(data);
    }
);
