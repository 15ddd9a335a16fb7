// SPDX-License-Identifier: GPL-2.0-only
//! libFuzzer on [`resctrl_fs_fuzz::commands`].
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: resctrl_fs_fuzz::write_seeds(),
    |data: &[u8]| {
        resctrl_fs_fuzz::commands(data);
    }
);
