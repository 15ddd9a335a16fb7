// SPDX-License-Identifier: GPL-2.0-only
//! The global allocator, and what a panic does.

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr;

use crate::ffi;
use crate::line::Line;

/// The kernel's `kvmalloc`. May sleep, so nothing is allocated with interrupts off or under RCU.
struct KernelAllocator;

// SAFETY: the shim aligns as asked and rounds the size up to the alignment; memory stays until freed; a failure is null.
unsafe impl GlobalAlloc for KernelAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: reallocating nothing allocates.
        unsafe { ffi::shim_realloc(ptr::null_mut(), layout.size(), layout.align()) }.cast()
    }

    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        // SAFETY: by the contract `memory` came from this allocator and is not used any more.
        unsafe { ffi::shim_free(memory.cast()) };
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: by the contract `memory` came from this allocator; on failure it stays as it was.
        unsafe { ffi::shim_realloc(memory.cast(), new_size, layout.align()) }.cast()
    }
}

#[global_allocator]
static ALLOCATOR: KernelAllocator = KernelAllocator;

/// Ends in `BUG()`: the task that panicked dies, with a trace of the Rust code in the log.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let line = Line::<240>::new(format_args!("{info}"));
    // SAFETY: the text is as long as said.
    unsafe { ffi::shim_bug(line.bytes().as_ptr().cast(), line.bytes().len()) }
}
