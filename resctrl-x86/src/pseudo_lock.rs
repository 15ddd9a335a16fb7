// SPDX-License-Identifier: GPL-2.0-only
//! Pseudo-locking: how a cache is filled with one piece of memory, and how one sees that it stays there.
//!
//! While that is being read nothing else may be: interrupts are off, and so are the prefetchers, which would fetch what lies
//! behind the memory into the same part of the cache. Which bits turn them off is a matter of the processor's model
//! (`resctrl_arch_get_prefetch_disable_bits()`); where it is not known there is no pseudo-locking.

mod models;

pub(crate) use models::PseudoLock;

use models::Residency;
use resctrl_types::arch;
use resctrl_types::platform::MemoryOf;
use resctrl_types::pseudo_lock::{Counts, LockMemory, Measurement, PseudoLocking, Trace};
use resctrl_types::{Closid, Here, IrqOff, Pinned, Platform};

use crate::Registers;
use crate::core::X86;
use crate::msr::{MiscFeatureControl, PqrAssoc};

/// Bytes of a page: the first round of reading is for the page walker's sake.
const PAGE: u32 = 4096;
/// How far apart the readings are that are timed.
const LATENCY_STRIDE: usize = 32;

impl<P: Platform, R: Registers> arch::PseudoLock<P> for X86<R> {
    const PSEUDO_LOCKING: bool = true;

    fn can_pseudo_lock(&self) -> bool {
        self.pseudo_lock.is_some()
    }

    fn pseudo_lock(
        &self,
        platform: &P,
        kernel: &P::PseudoLocking,
        here: Pinned<'_>,
        memory: &MemoryOf<P>,
        line_size: u32,
        closid: Closid,
    ) {
        let Some(PseudoLock { disable, .. }) = self.pseudo_lock else { return };
        // What is cached anywhere would be read from there, and not fill the part that is meant.
        self.registers.flush_caches(here.into());
        kernel.irqs_off(here, &mut |here| {
            self.without_prefetchers(here, disable, || {
                let assoc = PqrAssoc::ADDRESS;
                let Ok(before) = self.read_msr(here.into(), assoc) else { return };
                let rmid = before & PqrAssoc::RMID.bits();
                // The group's own CLOSID: only that one may fill the part that is to be locked.
                if self.write_msr(here.into(), assoc, rmid | PqrAssoc::CLOSID.put(closid.0.into())).is_ok() {
                    memory.read(here, PAGE);
                    memory.read(here, line_size);
                    // It was this CPU's a moment ago; what context switches remember of it is right again.
                    let _ = self.write_msr(here.into(), assoc, before);
                }
            });
        });
        self.fault.tell(platform);
    }

    fn measure(
        &self,
        platform: &P,
        kernel: &P::PseudoLocking,
        here: Pinned<'_>,
        memory: &MemoryOf<P>,
        line_size: u32,
        what: Measurement,
    ) {
        let Some(PseudoLock { disable, residency: (known, events) }) = self.pseudo_lock else { return };
        match what {
            Measurement::Latency => kernel.irqs_off(here, &mut |here| {
                self.without_prefetchers(here, disable, || {
                    for offset in (0..memory.size()).step_by(LATENCY_STRIDE) {
                        kernel.trace(Trace::Latency(memory.time_read(here, offset)));
                    }
                });
            }),
            Measurement::Residency(level) if level == known => {
                let (Residency::Counted(pair) | Residency::Referenced(pair)) = events;
                let mut counts = None;
                if let Some(counters) = kernel.counters(here, pair) {
                    kernel.irqs_off(here, &mut |here| {
                        self.without_prefetchers(here, disable, || {
                            counts = kernel.count_reads(here, &counters, memory, line_size);
                        });
                    });
                }
                // What cannot be counted is told as 0, as the kernel does.
                let Counts { hits, misses } = counts.unwrap_or_default();
                let hits = match events {
                    Residency::Counted(_) => hits,
                    // There may be a miss more than references.
                    Residency::Referenced(_) => hits.saturating_sub(misses),
                };
                kernel.trace(Trace::Residency { level, hits, misses });
            }
            Measurement::Residency(_) => {}
        }
        self.fault.tell(platform);
    }
}

impl<R: Registers> X86<R> {
    /// Runs `f` with the prefetchers of this CPU off; not, where the processor does not let them be turned off.
    fn without_prefetchers(&self, here: IrqOff<'_>, disable: u64, f: impl FnOnce()) {
        let here = Here::from(here);
        let Ok(before) = self.read_msr(here, MiscFeatureControl::ADDRESS) else { return };
        if self.write_msr(here, MiscFeatureControl::ADDRESS, disable).is_ok() {
            f();
            // It took the other value.
            let _ = self.write_msr(here, MiscFeatureControl::ADDRESS, before);
        }
    }
}
