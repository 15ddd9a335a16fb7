// SPDX-License-Identifier: GPL-2.0-only
//! What the device and the debugfs file of a region do.

use resctrl_types::cache::CacheLevel;
use resctrl_types::platform::{MemoryOf, Mutex};
use resctrl_types::pseudo_lock::{LockMemory, Measurement, PseudoLocking, ThreadError, ThreadKind};
use resctrl_types::{Arch, CpuMask, Errno, Platform, Ref, Result};

use crate::data::regions::Minor;
use crate::data::state::Resctrl;
use crate::text::{parse_i32, until_nul};

/// How many bytes of a number the file looks at.
const NUMBER_LEN: usize = 31;

/// A part of a region to be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRequest {
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Whether writes go to the memory itself (`MAP_SHARED`).
    pub shared: bool,
}

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// Somebody opens the device with this minor number. The region then stays until [`Resctrl::close_region`].
    ///
    /// # Errors
    /// `ENODEV` when there is no such region, or its group has gone.
    pub fn open_region(&self, minor: u32) -> Result<()> {
        let mut regions = self.regions.lock();
        let slot = regions.get_mut(Minor(minor)).filter(|slot| slot.has_group()).ok_or(Errno::ENODEV)?;
        slot.users = slot.users.checked_add(1).ok_or(Errno::EBUSY)?;
        Ok(())
    }

    /// The other end of a successful [`Resctrl::open_region`]; nobody has the memory mapped by that file.
    pub fn close_region(&self, minor: u32) {
        let gone = {
            let mut regions = self.regions.lock();
            if let Some(slot) = regions.get_mut(Minor(minor)) {
                slot.users = slot.users.saturating_sub(1);
            }
            regions.take_unused(Minor(minor))
        };
        drop(gone);
    }

    /// Maps a part of a region that the caller has open: makes zeros of it and calls `map` with the memory. `fits` says
    /// whether the caller can run only on these CPUs, without which he would soon have the region in another cache.
    ///
    /// Takes no lock but that of the regions, so the caller may hold that of an address space.
    ///
    /// # Errors
    /// `ENODEV` when the domain went offline; `EINVAL` when the caller may run elsewhere, or the mapping is private;
    /// `ENOSPC` beyond the region; those of `map`.
    pub fn map_region(
        &self,
        minor: u32,
        request: MapRequest,
        fits: &dyn Fn(&CpuMask) -> bool,
        map: &mut dyn FnMut(&MemoryOf<P>) -> Result<()>,
    ) -> Result<()> {
        let regions = self.regions.lock();
        let slot = regions.get(Minor(minor)).filter(|slot| slot.part.is_some()).ok_or(Errno::ENODEV)?;
        if !fits(&slot.cpus) {
            return Err(Errno::EINVAL);
        }
        let memory = &slot.region.memory;
        let size = u64::from(memory.size());
        let rest = size.checked_sub(request.offset).ok_or(Errno::ENOSPC)?;
        if !request.shared {
            return Err(Errno::EINVAL);
        }
        let len = u32::try_from(request.len).ok().filter(|&len| u64::from(len) <= rest).ok_or(Errno::ENOSPC)?;
        // Not above the size, which is 32 bits wide.
        let offset = u32::try_from(request.offset).map_err(|_| Errno::ENOSPC)?;
        memory.clear(offset, len);
        map(memory)
    }

    /// Carries out what is written to `pseudo_lock_measure` of the region with this minor number: 1 measures the latency of
    /// each reading, 2 and 3 how much of the region is in the cache of that level.
    ///
    /// # Errors
    /// `EINVAL` for any other number, those of the parser, `ENODEV` when group or domain have gone, those of making a thread,
    /// `ERESTARTSYS` for a signal.
    pub fn measure(this: &Ref<Self>, minor: u32, data: &[u8]) -> Result<()> {
        let text = until_nul(&data[..data.len().min(NUMBER_LEN)]);
        let what = match parse_i32(text, 10)? {
            1 => Measurement::Latency,
            2 => Measurement::Residency(CacheLevel::L2),
            3 => Measurement::Residency(CacheLevel::L3),
            _ => return Err(Errno::EINVAL),
        };
        // A platform without pseudo-locking has no region.
        let kernel = this.platform.pseudo_locking().ok_or(Errno::ENODEV)?;
        // One measurement at a time, and no change of any cache meanwhile.
        Self::locked_op(this, |op| {
            let (region, cpu) = {
                let regions = this.regions.lock();
                let slot = regions.get(Minor(minor)).filter(|slot| slot.has_group()).ok_or(Errno::ENODEV)?;
                (slot.region.clone(), slot.cpus.first().ok_or(Errno::ENODEV)?)
            };
            let mut measure = |here: resctrl_types::Pinned<'_>| {
                this.arch.measure(&this.platform, kernel, here, &region.memory, region.line_size, what);
            };
            kernel.run_thread(op.cpus, cpu, ThreadKind::Measure, &mut measure).map_err(|error| match error {
                ThreadError::Creation(errno) => errno,
                ThreadError::Interrupted => Errno::ERESTARTSYS,
            })
        })
    }
}
