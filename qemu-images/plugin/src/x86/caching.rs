// SPDX-License-Identifier: GPL-2.0-only
//! Instructions that caches, or the filters before them, have to know of. QEMU does nothing for those that flush.
//!
//! Source: SDM Vol. 2, "CLFLUSH", "CLFLUSHOPT", "CLWB", "INVD", "WBINVD", "WBNOINVD"; "ModR/M and SIB Bytes".

use super::{Plugin, Register, plugin};
use crate::feed::{self, Feed, flush_of};
use crate::qemu::{Translated, current, number};
use resctrl_hardware::caches::{Flush, Mode};
use std::ffi::{c_uint, c_void};

/// Registers by the number that instructions have for them.
const NUMBERED: [Register; 16] = [
    Register::Rax,
    Register::Rcx,
    Register::Rdx,
    Register::Rbx,
    Register::Rsp,
    Register::Rbp,
    Register::Rsi,
    Register::Rdi,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// The number of no register.
const NONE: u8 = 0x1f;

/// The address of an operand in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// An address, which depends on none but the instruction's own.
    At(u64),
    /// Registers by number, or [`NONE`], the second one shifted; and a displacement.
    Sum { base: u8, index: u8, shift: u8, displacement: i32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caching {
    /// Flushes the line of an operand.
    Line(Flush, Operand),
    /// Flushes caches.
    All(Flush),
    /// Virtual addresses may mean other lines behind it.
    Translation,
}

/// Whose code is at an address: Linux has the upper half.
pub(super) fn mode(address: u64) -> Mode {
    if address >> 63 == 1 { Mode::Kernel } else { Mode::User }
}

impl Caching {
    /// Decodes an instruction of 64-bit code, of which the next one is at an address.
    pub(super) fn decode(bytes: &[u8], next: u64) -> Option<Self> {
        let is_legacy = |byte: &u8| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x66 | 0xf2 | 0xf3);
        let (prefixes, rest) = bytes.split_at(bytes.iter().take_while(|byte| is_legacy(byte)).count());
        let has = |prefix: u8| prefixes.contains(&prefix);
        let (rex, opcode) = match rest {
            [rex @ 0x40..=0x4f, opcode @ ..] => (*rex, opcode),
            _ => (0, rest),
        };
        match *opcode {
            [0x0f, 0x08] => Some(Self::All(Flush::Invalidate)),
            [0x0f, 0x09] => Some(Self::All(if has(0xf3) { Flush::Clean } else { Flush::CleanAndInvalidate })),
            // To CR0, CR3 or CR4; INVLPG; INVPCID.
            [0x0f, 0x22, modrm] if matches!(modrm >> 3 & 7, 0 | 3 | 4) && rex & 4 == 0 => Some(Self::Translation),
            [0x0f, 0x01, modrm, ..] if modrm >> 3 & 7 == 7 && modrm >> 6 != 3 => Some(Self::Translation),
            [0x0f, 0x38, 0x82, ..] if has(0x66) => Some(Self::Translation),
            [0x0f, 0xae, modrm, ref tail @ ..] if modrm >> 6 != 3 && !has(0xf3) && !has(0xf2) => {
                let how = match (modrm >> 3 & 7, has(0x66)) {
                    (7, _) => Flush::CleanAndInvalidate,
                    (6, true) => Flush::Clean,
                    _ => return None,
                };
                operand(rex, modrm, tail, next).map(|operand| Self::Line(how, operand))
            }
            _ => None,
        }
    }

    /// Has the instruction carried out on the caches as well.
    pub(super) fn watch(self, insn: &Translated<'_>) {
        match self {
            Self::Line(how, operand) => insn.before(on_line, pack(how, operand)),
            Self::All(how) => insn.before(on_all, how as u64),
            Self::Translation => insn.before_without_registers(on_translation, 0),
        }
    }
}

fn operand(rex: u8, modrm: u8, tail: &[u8], next: u64) -> Option<Operand> {
    let extended = |bit: u8, low: u8| low | if rex & bit == 0 { 0 } else { 8 };
    let (mode, low) = (modrm >> 6, modrm & 7);
    let (mut base, mut index, mut shift, mut rest) = (extended(1, low), NONE, 0, tail);
    let mut relative = false;
    let mut wide = mode == 2;
    if low == 4 {
        let (sib, tail) = tail.split_first()?;
        rest = tail;
        base = extended(1, sib & 7);
        index = extended(2, sib >> 3 & 7);
        shift = sib >> 6;
        if index == 4 {
            index = NONE;
        }
        if sib & 7 == 5 && mode == 0 {
            (base, wide) = (NONE, true);
        }
    } else if low == 5 && mode == 0 {
        (relative, wide) = (true, true);
    }
    let displacement = match (mode, wide) {
        (_, true) => i32::from_le_bytes(rest.get(..4)?.try_into().ok()?),
        (1, _) => i32::from(rest.first()?.cast_signed()),
        _ => 0,
    };
    if relative {
        return Some(Operand::At(next.wrapping_add_signed(displacement.into())));
    }
    Some(Operand::Sum { base, index, shift, displacement })
}

/// What a callback needs, packed into the number it gets. Of an address the uppermost bits are all alike.
fn pack(how: Flush, operand: Operand) -> u64 {
    (how as u64)
        | match operand {
            Operand::At(address) => address << 8 | 1 << 2,
            Operand::Sum { base, index, shift, displacement } => {
                u64::from(base) << 8
                    | u64::from(index) << 13
                    | u64::from(shift) << 18
                    | u64::from(displacement.cast_unsigned()) << 32
            }
        }
}

fn unpack(data: u64) -> (Flush, Operand) {
    let operand = if data >> 2 & 1 == 1 {
        Operand::At((data.cast_signed() >> 8).cast_unsigned())
    } else {
        Operand::Sum {
            base: (data >> 8 & 0x1f) as u8,
            index: (data >> 13 & 0x1f) as u8,
            shift: (data >> 18 & 3) as u8,
            displacement: crate::low(data >> 32).cast_signed(),
        }
    };
    (flush_of(data & 3), operand)
}

impl Operand {
    fn address(self, read: impl Fn(Register) -> u64) -> u64 {
        match self {
            Self::At(address) => address,
            Self::Sum { base, index, shift, displacement } => {
                let of = |number: u8| NUMBERED.get(usize::from(number)).map_or(0, |register| read(*register));
                of(base).wrapping_add(of(index) << shift).wrapping_add_signed(displacement.into())
            }
        }
    }
}

fn with(act: impl FnOnce(Feed, &'static Plugin)) {
    if let (Some(feed), Some(plugin)) = (feed::running(), plugin()) {
        act(feed, plugin);
    }
}

extern "C" fn on_line(_cpu: c_uint, data: *mut c_void) {
    with(|feed, plugin| {
        let (how, operand) = unpack(number(data));
        feed.flushed(operand.address(|register| plugin.read(register)), how);
    });
}

extern "C" fn on_all(cpu: c_uint, how: *mut c_void) {
    with(|feed, plugin| {
        // Anybody else gets a fault.
        if plugin.privileged() {
            feed.all_flushed(current::cpu(cpu), flush_of(number(how)));
        }
    });
}

extern "C" fn on_translation(cpu: c_uint, _data: *mut c_void) {
    with(|feed, _| feed.translated_anew(current::cpu(cpu)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: u64 = 0xffff_ffff_8100_0000;

    fn line(bytes: &[u8]) -> Option<(Flush, Operand)> {
        match Caching::decode(bytes, NEXT) {
            Some(Caching::Line(how, operand)) => Some((how, operand)),
            _ => None,
        }
    }

    #[test]
    fn flushes_of_lines_are_recognised_with_their_operand() {
        use Flush::{Clean, CleanAndInvalidate};
        let sum = |base, index, shift, displacement| Operand::Sum { base, index, shift, displacement };
        // As GNU as encodes them: clflush (%rdi); clflush 0x40(%rax); clflushopt (%r8,%r9,8); clwb -0x80(%rbp);
        // clflush (%r12); clflush 0x1000(%rsp); ds clflush (%rax), as the kernel pads it.
        assert_eq!(line(&[0x0f, 0xae, 0x3f]), Some((CleanAndInvalidate, sum(7, NONE, 0, 0))));
        assert_eq!(line(&[0x0f, 0xae, 0x78, 0x40]), Some((CleanAndInvalidate, sum(0, NONE, 0, 0x40))));
        assert_eq!(line(&[0x66, 0x43, 0x0f, 0xae, 0x3c, 0xc8]), Some((CleanAndInvalidate, sum(8, 9, 3, 0))));
        assert_eq!(line(&[0x66, 0x0f, 0xae, 0x75, 0x80]), Some((Clean, sum(5, NONE, 0, -0x80))));
        assert_eq!(line(&[0x41, 0x0f, 0xae, 0x3c, 0x24]), Some((CleanAndInvalidate, sum(12, NONE, 0, 0))));
        let far = [0x0f, 0xae, 0xbc, 0x24, 0x00, 0x10, 0x00, 0x00];
        assert_eq!(line(&far), Some((CleanAndInvalidate, sum(4, NONE, 0, 0x1000))));
        assert_eq!(line(&[0x3e, 0x0f, 0xae, 0x38]), Some((CleanAndInvalidate, sum(0, NONE, 0, 0))));
        // clflush -0x10(%rip); clflush 0x1000, absolute.
        assert_eq!(
            line(&[0x0f, 0xae, 0x3d, 0xf0, 0xff, 0xff, 0xff]),
            Some((CleanAndInvalidate, Operand::At(NEXT - 16)))
        );
        let absolute = [0x0f, 0xae, 0x3c, 0x25, 0x00, 0x10, 0x00, 0x00];
        assert_eq!(line(&absolute), Some((CleanAndInvalidate, sum(NONE, NONE, 0, 0x1000))));
    }

    #[test]
    fn other_instructions_are_recognised_or_left_alone() {
        let decode = |bytes: &[u8]| Caching::decode(bytes, NEXT);
        assert_eq!(decode(&[0x0f, 0x09]), Some(Caching::All(Flush::CleanAndInvalidate)));
        assert_eq!(decode(&[0xf3, 0x0f, 0x09]), Some(Caching::All(Flush::Clean)));
        assert_eq!(decode(&[0x0f, 0x08]), Some(Caching::All(Flush::Invalidate)));
        // mov %rax,%cr3; mov %rdi,%cr4; invlpg (%rax); invpcid (%rsp),%rax.
        for bytes in
            [&[0x0f, 0x22, 0xd8][..], &[0x0f, 0x22, 0xe7], &[0x0f, 0x01, 0x38], &[0x66, 0x0f, 0x38, 0x82, 0x04, 0x24]]
        {
            assert_eq!(decode(bytes), Some(Caching::Translation), "{bytes:x?}");
        }
        // sfence, xsaveopt, rdfsbase, lgdt, swapgs, mov %rax,%cr8, mov %cr3,%rax, nothing.
        for bytes in [
            &[0x0f, 0xae, 0xf8][..],
            &[0x0f, 0xae, 0x30],
            &[0xf3, 0x0f, 0xae, 0xc0],
            &[0x0f, 0x01, 0x10],
            &[0x0f, 0x01, 0xf8],
            &[0x44, 0x0f, 0x22, 0xc0],
            &[0x0f, 0x20, 0xd8],
            &[],
        ] {
            assert_eq!(decode(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn what_a_callback_needs_survives_in_one_number() {
        for operand in [
            Operand::At(NEXT),
            Operand::At(0x7fff_1234_5678),
            Operand::Sum { base: 15, index: NONE, shift: 3, displacement: -1 },
            Operand::Sum { base: NONE, index: 7, shift: 0, displacement: i32::MAX },
        ] {
            for how in [Flush::Clean, Flush::CleanAndInvalidate, Flush::Invalidate] {
                assert_eq!(unpack(pack(how, operand)), (how, operand));
            }
        }
    }

    #[test]
    fn an_address_is_the_sum_of_its_parts() {
        let read = |register| if register == Register::R9 { 3 } else { 0x1000 };
        let sum = Operand::Sum { base: 0, index: 9, shift: 3, displacement: -8 };
        assert_eq!(sum.address(read), 0x1010);
        assert_eq!(Operand::Sum { base: NONE, index: NONE, shift: 0, displacement: -1 }.address(read), u64::MAX);
    }
}
