// SPDX-License-Identifier: GPL-2.0-only
//! libFuzzer on one of the targets of [`resctrl_fs_fuzz`], which the environment variable `FUZZ_TARGET` names.
#![no_main]

use resctrl_fs_fuzz::{Look, Target, carry_out, target, write_seeds};
use std::sync::LazyLock;

/// How often all files are compared: as often as makes it a small part of the time.
const LOOK: Look = Look::OneOf(16);

static TARGET: LazyLock<Target> = LazyLock::new(target);

libfuzzer_sys::fuzz_target!(
    init: write_seeds(*TARGET),
    |data: &[u8]| {
        carry_out(*TARGET, data, LOOK);
    }
);
