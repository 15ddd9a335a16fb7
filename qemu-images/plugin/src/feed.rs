// SPDX-License-Identifier: GPL-2.0-only
//! Tells the caches of the emulated hardware what the guest's CPUs load, store and fetch, while caches are to follow that.
//!
//! While they are still, blocks are translated without any of this, so it costs nothing. Turning them on or off has QEMU throw
//! away all that it has translated.
//!
//! * **Loads and stores**: after each, a callback. The filter of the CPU knows lines by their virtual addresses, and is emptied
//!   when these come to mean other lines (a write to a control register or a base of page tables, an invalidation of the TLB).
//!   What it does not hide goes on with its physical address, which QEMU has at hand: its own TLB was just used for it.
//! * **Fetches**: before each block, one callback for each page that it is in, which has the physical lines of its instructions.
//! * **Instructions that flush** lines or caches are carried out on the model as well, see the modules of the architectures.
//!
//! Not seen: what devices and QEMU's walks of page tables access, and what helpers of QEMU's access without telling plugins.

use crate::nanoseconds_since;
use crate::qemu::{Api, Block, Physical, Translated, current, number};
use resctrl_hardware::caches::{Access, Filter, Flush, LINE_SIZE, Mode, Model, Write};
use std::ffi::{c_uint, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What callbacks need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feed {
    api: &'static Api,
    caches: &'static Model,
    /// Those of each CPU, for data and for instructions.
    filters: &'static [[Filter; 2]],
    started: Instant,
    /// Instructions that each CPU has executed meanwhile, by [`Mode`]. Only its own thread writes them.
    instructions: &'static [[AtomicU64; 2]],
}

/// The one of this process.
static FEED: OnceLock<Feed> = OnceLock::new();

/// Smallest page of any guest.
const PAGE: u64 = 4096;

/// A CPU that waits takes no interrupts, so it waits no longer at a time; what is left counts for its next line.
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// An access that ends beyond its line begins behind this offset in it: none is longer than 16 bytes.
const LONGEST: u64 = 16;

/// Sets it up, once the plugin is where it stays. Without caches there is nothing to feed.
pub(crate) fn begin(api: &'static Api, caches: Option<&'static Model>) {
    if let Some(caches) = caches {
        FEED.get_or_init(|| Feed {
            api,
            caches,
            filters: caches.all_filters(),
            started: Instant::now(),
            // For as long as the process lives, as the rest.
            instructions: (0..caches.cpus()).map(|_| Default::default()).collect::<Vec<_>>().leak(),
        });
    }
}

/// The feed, while caches are to be told.
pub(crate) fn running() -> Option<Feed> {
    if cfg!(feature = "still") {
        return None;
    }
    FEED.get().copied().filter(|feed| feed.caches.is_running())
}

/// How many instructions a CPU has executed while caches followed, by [`Mode`].
pub(crate) fn instructions(cpu: usize) -> [u64; 2] {
    let counts = FEED.get().and_then(|feed| feed.instructions.get(cpu));
    counts.map_or([0; 2], |counts| counts.each_ref().map(|count| count.load(Ordering::Relaxed)))
}

/// What a callback for instructions in a page gets, packed into a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fetch {
    /// The first physical line.
    line: u64,
    /// How many lines, at most those of a page.
    lines: u64,
    /// How many instructions begin to be executed with it, at most 512: no block of QEMU's has more.
    instructions: u64,
    mode: Mode,
}

impl Fetch {
    const LINES: u32 = 7;
    const INSTRUCTIONS: u32 = 10;

    fn pack(self) -> u64 {
        let Self { line, lines, instructions, mode } = self;
        ((line << Self::INSTRUCTIONS | instructions) << Self::LINES | lines) << 1 | mode as u64
    }

    fn unpack(data: u64) -> Self {
        let low = |data: u64, bits: u32| data & ((1 << bits) - 1);
        let (lines, instructions) = (data >> 1, data >> (1 + Self::LINES));
        Self {
            line: instructions >> Self::INSTRUCTIONS,
            lines: low(lines, Self::LINES),
            instructions: low(instructions, Self::INSTRUCTIONS),
            mode: mode_of(data & 1),
        }
    }
}

/// The mode of a number that a callback got.
pub(crate) fn mode_of(number: u64) -> Mode {
    if number == Mode::Kernel as u64 { Mode::Kernel } else { Mode::User }
}

/// The flush of a number that a callback got.
pub(crate) fn flush_of(number: u64) -> Flush {
    let all = [Flush::Clean, Flush::CleanAndInvalidate, Flush::Invalidate];
    all.into_iter().find(|how| *how as u64 == number).unwrap_or(Flush::CleanAndInvalidate)
}

/// The pieces of a range of addresses, page by page: address and the number of lines that are touched.
fn pieces(begin: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut at = begin;
    std::iter::from_fn(move || {
        let next = (at / PAGE + 1).saturating_mul(PAGE).min(end);
        let piece = (at < end).then(|| (at, (next - 1) / LINE_SIZE - at / LINE_SIZE + 1));
        at = next;
        piece
    })
}

impl Feed {
    /// Has the fetches of a block told.
    ///
    /// # Safety
    ///
    /// `block` is the one the running translation callback was called with.
    pub(crate) unsafe fn watch_fetches(&self, block: *mut Block, mode: impl Fn(u64) -> Mode) {
        let mut instructions = 0;
        // SAFETY: as this function requires of its caller.
        let range = unsafe { self.api.instructions(block) }.fold(None, |range: Option<(u64, u64)>, insn| {
            instructions += 1;
            let (begin, end) = (insn.address(), insn.address().wrapping_add(insn.size() as u64));
            Some((range.map_or(begin, |(first, _)| first), end))
        });
        let Some((begin, end)) = range else { return };
        for (address, lines) in pieces(begin, end) {
            if let Some(physical) = self.api.translate(address) {
                // Those of the whole block go with its first page.
                let instructions = std::mem::take(&mut instructions);
                let fetch = Fetch { line: physical / LINE_SIZE, lines, instructions, mode: mode(address) };
                // SAFETY: as this function requires of its caller.
                unsafe { self.api.before_block_with(block, on_fetch, fetch.pack()) };
            }
        }
    }

    /// Has the loads and stores of an instruction told.
    pub(crate) fn watch_data(&self, insn: &Translated<'_>, mode: Mode) {
        insn.after_loads_without_registers(on_load, mode as u64);
        insn.after_stores(on_store, mode as u64);
    }

    /// A CPU writes whole lines of a page, by an instruction whose stores are not told.
    pub(crate) fn zeroed(&self, cpu: usize, address: u64, bytes: u64, mode: Mode) {
        let Some(physical) = self.api.translate(address) else { return };
        for line in 0..bytes / LINE_SIZE {
            self.access(cpu, Access::Store, mode, physical + line * LINE_SIZE);
        }
    }

    /// A CPU flushes the line of a virtual address.
    pub(crate) fn flushed(&self, address: u64, how: Flush) {
        if let Some(physical) = self.api.translate(address) {
            self.caches.flush(physical, how);
        }
    }

    /// A CPU flushes its caches.
    pub(crate) fn all_flushed(&self, cpu: usize, how: Flush) {
        self.caches.flush_all(cpu, how);
    }

    /// Virtual addresses of a CPU mean other lines from now on.
    pub(crate) fn translated_anew(&self, cpu: usize) {
        let [data, _] = self.caches.filters(cpu);
        data.empty();
    }

    /// Virtual addresses of all CPUs mean other lines from now on.
    pub(crate) fn all_translated_anew(&self) {
        self.caches.empty_filters();
    }

    /// Whether a load or store need not go on to the caches. Nearly all need not, so this is what following costs.
    #[inline]
    fn is_hidden(&self, cpu: c_uint, address: u64, write: Write) -> bool {
        address % LINE_SIZE <= LINE_SIZE - LONGEST
            && self
                .filters
                .get(current::cpu_of_access(cpu))
                .is_some_and(|[data, _]| data.holds(address / LINE_SIZE, write))
    }

    /// A load or store that may have to go on.
    #[cold]
    #[inline(never)]
    fn accessed(&self, cpu: c_uint, access: c_uint, address: u64, what: Access, mode: Mode) {
        let cpu = current::cpu_of_access(cpu);
        let [data, _] = self.caches.filters(cpu);
        let write = if what == Access::Store { Write::Yes } else { Write::No };
        if !data.hides(address / LINE_SIZE, write)
            && let Some(Physical::Memory(physical)) = self.api.physical(access, address)
        {
            self.access(cpu, what, mode, physical);
        }
        if address % LINE_SIZE > LINE_SIZE - LONGEST {
            self.accessed_beyond(cpu, access, address, data, (what, mode));
        }
    }

    /// The second line of an access, if it has one. Where it is on the next page, QEMU does not say where that is.
    #[cold]
    fn accessed_beyond(&self, cpu: usize, access: c_uint, address: u64, data: &Filter, (what, mode): (Access, Mode)) {
        let next = (address / LINE_SIZE + 1) * LINE_SIZE;
        if address + self.api.access_size(access) <= next {
            return;
        }
        let write = if what == Access::Store { Write::Yes } else { Write::No };
        if data.hides(next / LINE_SIZE, write) {
            return;
        }
        let physical = match self.api.physical(access, address) {
            Some(Physical::Memory(physical)) if !next.is_multiple_of(PAGE) => {
                Some(physical - address % LINE_SIZE + LINE_SIZE)
            }
            _ => self.api.translate(next),
        };
        if let Some(physical) = physical {
            self.access(cpu, what, mode, physical);
        }
    }

    /// A fetch that may have to go on.
    #[cold]
    #[inline(never)]
    fn fetched(&self, cpu: usize, code: &Filter, line: u64, mode: Mode) {
        if !code.hides(line, Write::No) {
            self.access(cpu, Access::Fetch, mode, line * LINE_SIZE);
        }
    }

    /// Tells an access that the filter does not hide. Who has moved more than its pace allows waits, on the thread that executes the
    /// CPU.
    fn access(&self, cpu: usize, what: Access, mode: Mode, physical: u64) {
        let lines = self.caches.access(cpu, what, mode, physical);
        let pace = self.caches.pace(cpu);
        if lines > 0
            && pace.is_limited()
            && let Some(wait) = pace.wait(lines, nanoseconds_since(self.started))
        {
            std::thread::sleep(wait.min(LONGEST_WAIT));
        }
    }
}

extern "C" fn on_load(cpu: c_uint, access: c_uint, address: u64, data: *mut c_void) {
    if let Some(feed) = FEED.get()
        && !feed.is_hidden(cpu, address, Write::No)
    {
        feed.accessed(cpu, access, address, Access::Load, mode_of(number(data)));
    }
}

extern "C" fn on_store(cpu: c_uint, access: c_uint, address: u64, data: *mut c_void) {
    if let Some(feed) = FEED.get()
        && !feed.is_hidden(cpu, address, Write::Yes)
    {
        feed.accessed(cpu, access, address, Access::Store, mode_of(number(data)));
    }
}

extern "C" fn on_fetch(cpu: c_uint, data: *mut c_void) {
    let Some(feed) = FEED.get() else { return };
    let Fetch { line: first, lines, instructions, mode } = Fetch::unpack(number(data));
    let cpu = current::cpu_of_access(cpu);
    if let Some(counts) = feed.instructions.get(cpu) {
        let count = &counts[mode as usize];
        count.store(count.load(Ordering::Relaxed) + instructions, Ordering::Relaxed);
    }
    let Some([_, code]) = feed.filters.get(cpu) else { return };
    for line in first..first + lines {
        if !code.holds(line, Write::No) {
            feed.fetched(cpu, code, line, mode);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_callback_needs_survives_in_one_number() {
        let line = (1 << 46) - 1;
        for fetch in [
            Fetch { line: 0, lines: 1, instructions: 0, mode: Mode::User },
            Fetch { line, lines: 64, instructions: 1, mode: Mode::Kernel },
            Fetch { line: 7, lines: 1, instructions: 512, mode: Mode::User },
        ] {
            assert_eq!(Fetch::unpack(fetch.pack()), fetch);
        }
    }

    #[test]
    fn a_range_is_told_by_pages_and_the_lines_that_it_touches() {
        let all = |begin, end| pieces(begin, end).collect::<Vec<_>>();
        assert_eq!(all(0x1000, 0x1001), [(0x1000, 1)]);
        assert_eq!(all(0x103e, 0x1041), [(0x103e, 2)]);
        assert_eq!(all(0x1fc0, 0x2080), [(0x1fc0, 1), (0x2000, 2)]);
        assert_eq!(all(0x1ffe, 0x2002), [(0x1ffe, 1), (0x2000, 1)]);
        assert_eq!(all(0x1000, 0x1000), []);
        assert_eq!(all(u64::MAX - 3, u64::MAX), [(u64::MAX - 3, 1)]);
    }
}
