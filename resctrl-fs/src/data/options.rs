// SPDX-License-Identifier: GPL-2.0-only
//! Options of a mount, and those of the present one for whoever asks without a lock.

use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};

use crate::text::TextOut;

/// What a mount asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Code and data apart in the L3.
    pub cdp: bool,
    /// Code and data apart in the L2.
    pub cdpl2: bool,
    /// MB values in MB/s.
    pub mba_mbps: bool,
    /// Show the hardware ids.
    pub debug: bool,
}

/// What `/proc/mounts` shows of each option, in that order.
const TEXTS: [&str; 4] = [",cdp", ",cdpl2", ",mba_MBps", ",debug"];

/// The active options: none while nothing is mounted. A bit for each of [`TEXTS`].
pub(crate) struct ShownOptions(AtomicU8);

impl ShownOptions {
    pub(crate) const fn none() -> Self {
        ShownOptions(AtomicU8::new(0))
    }

    /// Says what is active from now on.
    pub(crate) fn set(&self, options: &MountOptions) {
        let MountOptions { cdp, cdpl2, mba_mbps, debug } = *options;
        let active = [cdp, cdpl2, mba_mbps, debug];
        let bits = (0..).zip(active).fold(0, |bits, (bit, active)| bits | u8::from(active) << bit);
        self.0.store(bits, Ordering::Relaxed);
    }

    /// Prints what is active.
    pub(crate) fn show(&self, out: &mut dyn TextOut) -> fmt::Result {
        let bits = self.0.load(Ordering::Relaxed);
        (0..).zip(TEXTS).filter(|&(bit, _)| bits & 1 << bit != 0).try_for_each(|(_, text)| out.write_str(text))
    }
}
