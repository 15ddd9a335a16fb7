// SPDX-License-Identifier: GPL-2.0-only
//! Checks that the emulated hardware answers the same every time: CPUID on x86, the channel on Arm.
//!
//! An x86 machine puts its answers into registers one instruction late. What could go wrong there goes wrong rarely and
//! under load: a program interrupted between the two instructions, and moved to another CPU. The place where that happens
//! is CPUID as the last instruction of a page, so it is executed there too.

use crate::Failure;
use std::time::{Duration, Instant};

/// Leaves that the machine answers or completes, and one that is the processor's own.
const LEAVES: [(u32, u32); 6] = [(0x10, 1), (7, 0), (4, 3), (0xf, 1), (0x10, 3), (0, 0)];

/// Executes the instruction over and over for a while and returns how often.
///
/// # Errors
///
/// An answer differs from the first one for the same leaf, or the flags were changed; the first such case.
pub fn check(duration: Duration) -> Result<u64, Failure> {
    let first = LEAVES.map(|(leaf, subleaf)| processor::cpuid(Code::MidPage, leaf, subleaf));
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < duration {
        for _ in 0..100 {
            for ((leaf, subleaf), expected) in LEAVES.into_iter().zip(first) {
                for code in [Code::MidPage, Code::PageEnd] {
                    let answer = processor::cpuid(code, leaf, subleaf);
                    count += 1;
                    if answer != expected {
                        return Err(Failure::Hardware(format!(
                            "leaf {leaf:#x}.{subleaf} answered {answer:x?} at {code:?}, before {expected:x?}, after {count} times"
                        )));
                    }
                }
            }
        }
    }
    Ok(count)
}

/// Where the CPUID to execute lies.
#[derive(Clone, Copy, Debug)]
enum Code {
    MidPage,
    PageEnd,
}

/// What the instruction, CPUID, left in EAX, EBX, ECX and EDX, and whether the carry flag set before is still set.
type Answer = ([u32; 4], bool);

#[cfg(target_arch = "x86_64")]
mod processor {
    use super::{Answer, Code};
    use std::arch::{asm, global_asm};

    // Two functions that only execute CPUID: in the middle of a page, and as its last instruction.
    global_asm!(
        ".pushsection .text.steadiness, \"ax\", @progbits",
        ".globl steadiness_mid_page, steadiness_page_end",
        ".p2align 12",
        "steadiness_mid_page: cpuid",
        "ret",
        ".skip 4096 - 2 - (. - steadiness_mid_page), 0x90",
        "steadiness_page_end: cpuid",
        "ret",
        ".popsection",
    );

    // SAFETY: both are defined by the assembly above. They change registers that a caller does not expect to change, so
    // they are only called from assembly that says so.
    unsafe extern "C" {
        fn steadiness_mid_page();
        fn steadiness_page_end();
    }

    pub(super) fn cpuid(code: Code, leaf: u32, subleaf: u32) -> Answer {
        let code = match code {
            Code::MidPage => steadiness_mid_page,
            Code::PageEnd => steadiness_page_end,
        };
        let (mut eax, mut ecx) = (leaf, subleaf);
        let (rbx, edx, carry): (u64, u32, u8);
        // SAFETY: the function executes CPUID, which writes four registers, and returns. RBX, which the compiler keeps for
        // itself, is saved and restored around it.
        unsafe {
            asm!(
                "mov {saved}, rbx",
                "stc",
                "call {code}",
                "setc {carry}",
                "xchg {saved}, rbx",
                saved = out(reg) rbx,
                code = in(reg) code,
                carry = out(reg_byte) carry,
                inout("eax") eax,
                inout("ecx") ecx,
                out("edx") edx,
            );
        }
        ([eax, (rbx & 0xffff_ffff) as u32, ecx, edx], carry == 1)
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod processor {
    use super::{Answer, Code};

    /// What the machine says of itself over the channel. Its answer is in registers before the next instruction, wherever
    /// the code lies.
    pub(super) fn cpuid(_code: Code, _leaf: u32, _subleaf: u32) -> Answer {
        match crate::channel::probe() {
            Ok((cpus, domains)) => ([1, (cpus & 0xffff_ffff) as u32, (domains & 0xffff_ffff) as u32, 0], true),
            Err(_) => ([0; 4], true),
        }
    }
}
