// SPDX-License-Identifier: GPL-2.0-only
//! What a guest's CPU does while it waits for another one: it spins.
//!
//! On hardware that costs nothing but power. Here every CPU is a thread of the host, which has fewer processors than the
//! guest has CPUs, and the one that is waited for may be among those that wait for a processor themselves. Linux stops all
//! CPUs in a spin for each that leaves, so CPU hotplug is where it hurts most: four steps, each of which takes as long
//! as all the others' time slices. A CPU that says it spins therefore gives its processor to whoever is next.

use crate::qemu::Translated;
use std::ffi::{c_uint, c_void};

/// Has the CPU give its processor of the host away each time it comes to this instruction.
pub(crate) fn give_way_at(hint: &Translated<'_>) {
    hint.before_without_registers(on_spin, 0);
}

extern "C" fn on_spin(_cpu: c_uint, _data: *mut c_void) {
    std::thread::yield_now();
}
