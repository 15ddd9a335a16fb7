// SPDX-License-Identifier: GPL-2.0-only
//! The mirror of `shim_x86.h`.

use core::ffi::{c_char, c_int, c_void};

use crate::ffi::opaque;

opaque! {
    /// `struct resctrl_aet_group`.
    TelemetryGroup;
    /// `struct dev_pm_qos_request`.
    Latency;
    /// `struct perf_event`.
    Event;
    /// `struct vm_area_struct`.
    Area;
    /// `struct shim_nodes`.
    Nodes;
}

/// `struct shim_cpuid`.
#[repr(C)]
#[derive(Default)]
pub(super) struct Cpuid {
    pub(super) eax: u32,
    pub(super) ebx: u32,
    pub(super) ecx: u32,
    pub(super) edx: u32,
}

/// `struct shim_telemetry_region`.
#[repr(C)]
#[derive(Default)]
pub(super) struct TelemetryRegion {
    pub(super) guid: u32,
    pub(super) package: u32,
    pub(super) num_rmids: u32,
    pub(super) size: usize,
}

/// `enum shim_thread`.
pub(super) const THREAD_LOCK: u32 = 0;
/// See [`THREAD_LOCK`].
pub(super) const THREAD_MEASURE: u32 = 1;

/// `enum shim_mapping`.
pub(super) const MAPPING_SHARED: u32 = 1;

// SAFETY: these are the declarations of `shim_x86.h`.
unsafe extern "C" {
    pub(super) safe fn shim_rdt_parameter() -> *const c_char;
    pub(super) fn shim_cpuid(leaf: u32, subleaf: u32, out: *mut Cpuid);
    pub(super) fn shim_rdmsr(msr: u32, value: *mut u64) -> c_int;
    pub(super) fn shim_wrmsr(msr: u32, value: u64) -> c_int;
    pub(super) safe fn shim_wrmsr_traced() -> *const i32;
    pub(super) safe fn shim_flush_caches();

    pub(super) safe fn shim_telemetry_get(feature: u32) -> *mut TelemetryGroup;
    pub(super) fn shim_telemetry_put(group: *mut TelemetryGroup);
    pub(super) fn shim_telemetry_count(group: *const TelemetryGroup) -> usize;
    pub(super) fn shim_telemetry_region(group: *const TelemetryGroup, index: usize, region: *mut TelemetryRegion);
    pub(super) fn shim_telemetry_read(group: *const TelemetryGroup, index: usize, offset: usize) -> u64;

    pub(super) safe fn shim_region_max() -> u32;
    pub(super) safe fn shim_region_alloc(size: u32) -> *mut c_void;
    pub(super) fn shim_region_free(memory: *mut c_void);
    pub(super) fn shim_region_read(memory: *const c_void, size: u32, stride: u32);
    pub(super) fn shim_region_time(memory: *const c_void, offset: u32) -> u32;
    pub(super) fn shim_region_clear(memory: *mut c_void, offset: u32, len: u32);
    pub(super) fn shim_latency_limit(cpu: u32, limit: *mut *mut Latency) -> c_int;
    pub(super) fn shim_latency_free(limit: *mut Latency);
    pub(super) fn shim_region_thread(cpu: u32, kind: u32, closure: *mut c_void, interrupted: *mut bool) -> c_int;
    pub(super) fn shim_irqs_off(closure: *mut c_void);
    pub(super) safe fn shim_event_new(cpu: u32, config: u64) -> *mut Event;
    pub(super) fn shim_event_free(event: *mut Event);
    pub(super) fn shim_region_count(
        hits: *mut Event,
        misses: *mut Event,
        memory: *const c_void,
        size: u32,
        stride: u32,
        counts: *mut u32,
    ) -> bool;
    pub(super) safe fn shim_trace_latency(cycles: u32);
    pub(super) safe fn shim_trace_residency(level: u32, hits: u64, misses: u64);
    pub(super) fn shim_region_map(area: *mut Area, memory: *const c_void) -> c_int;
    pub(super) fn shim_affinity_within(words: *const u64, bits: u32) -> bool;
    pub(super) fn shim_nodes_new(minor: u32, name: *const c_char, len: usize, err: *mut c_int) -> *mut Nodes;
    pub(super) fn shim_nodes_free(nodes: *mut Nodes);
}
