// SPDX-License-Identifier: GPL-2.0-only
//! Breakpoints that QEMU goes on running into after the guest has taken them away.
//!
//! Linux changes its own code while other CPUs execute it (static keys, tracepoints): it puts INT3 over the first byte of
//! an instruction, changes the others, and puts the first byte of the new instruction over the INT3. Of a store to code that
//! it has translated, QEMU first throws the translation away and then carries the store out. A CPU that translates in
//! between reads the old byte, nobody throws that translation away any more, and the kernel is hit by a breakpoint that
//! it has no record of: `Oops: int3`. Only the last of the three stores can do this; what is translated too early at the others
//! is overwritten by the next one.
//!
//! So before an INT3 of the kernel's takes effect, the byte that is in memory *now* is looked at. Where it is another one, all
//! translations are thrown away and the CPU begins the instruction anew. (Writing that byte to where it is would throw away
//! just the one translation, but might undo what the kernel writes there meanwhile.)
//!
//! Beginning anew loses the flags that QEMU has not computed yet. Nobody misses them: a compiler expects
//! that patched code changes the flags.

use super::{Plugin, plugin};
use crate::qemu::{Translated, current, number};
use std::ffi::{c_uint, c_void};

const INT3: u8 = 0xcc;

/// First bytes of what Linux puts over its breakpoints: NOP of two bytes and more, JMP, CALL, also with a prefix. None is an
/// instruction of one byte. (RET is one, so it cannot be told from a breakpoint that it has replaced; Linux puts it only where
/// a static call at the end of a function is to call nothing.)
const PATCHED: [u8; 7] = [0x0f, 0x2e, 0x3e, 0x66, 0xe8, 0xe9, 0xeb];

/// Whether an instruction of this size was translated from a breakpoint in the kernel's half of addresses. (Programs that change
/// their own code under themselves are rare, and their addresses here may be those of other programs.)
///
/// `bytes` is what QEMU says the instruction consists of. It does not remember that but looks at memory again, after the
/// translation: there may be the first byte of a longer instruction by now.
pub(super) fn is_kernels(size: usize, bytes: &[u8], address: u64) -> bool {
    let breakpoint = bytes.first().is_some_and(|byte| *byte == INT3 || PATCHED.contains(byte));
    size == 1 && breakpoint && address >> 63 == 1
}

/// Has such an instruction executed only as long as it is there.
pub(super) fn watch(insn: &Translated<'_>, address: u64) {
    insn.instead(on_breakpoint, address);
}

/// Whether the byte in memory says that a translated breakpoint is gone. Where nothing can be read, that is for QEMU to find out.
fn is_gone(now: Option<[u8; 1]>) -> bool {
    now.is_some_and(|[byte]| byte != INT3)
}

impl Plugin {
    fn breakpoint(&self, cpu: usize, address: u64) {
        if !is_gone(self.api.memory(address)) {
            return;
        }
        // Whoever has to explain what this guest did will want to know.
        eprintln!(
            "resctrl plugin: cpu {cpu} ran into a breakpoint that is gone, at {address:#x}; all is translated anew"
        );
        self.translate_anew();
        // SAFETY: nothing in this function or in the callback waits to be dropped.
        unsafe { self.api.go_on_at(address) };
    }
}

extern "C" fn on_breakpoint(cpu: c_uint, address: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.breakpoint(current::cpu(cpu), number(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: u64 = 0xffff_ffff_8100_0000;

    #[test]
    fn only_the_kernels_breakpoints_are_watched() {
        assert!(is_kernels(1, &[0xcc], KERNEL));
        assert!(!is_kernels(1, &[0xcc], 0x40_0000));
        // RET, and INT 3 in its long form.
        assert!(!is_kernels(1, &[0xc3], KERNEL));
        assert!(!is_kernels(2, &[0xcd, 0x03], KERNEL));
        assert!(!is_kernels(1, &[], KERNEL));
    }

    #[test]
    fn a_breakpoint_is_known_by_its_size_once_something_else_is_there() {
        // JMP has five bytes, so what QEMU translated as one was none.
        assert!(is_kernels(1, &[0xe9], KERNEL));
        assert!(!is_kernels(5, &[0xe9, 0, 0, 0, 0], KERNEL));
    }

    #[test]
    fn a_breakpoint_is_gone_where_memory_has_another_byte() {
        assert!(is_gone(Some([0xe9])));
        assert!(!is_gone(Some([0xcc])));
        assert!(!is_gone(None));
    }
}
