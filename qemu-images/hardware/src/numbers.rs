// SPDX-License-Identifier: GPL-2.0-only
//! Numbers that get narrower, each way by its name: `as` does not say what is to become of the rest.

/// The lower half of a register.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is asked for")]
pub(crate) const fn low(register: u64) -> u32 {
    register as u32
}

/// The upper half of a register.
pub(crate) const fn high(register: u64) -> u32 {
    low(register >> 32)
}

/// A number in a register as a place in a list; beyond any list if it is larger than one can be.
pub(crate) fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A number of the machine (of its CPUs, its caches, its components; bytes of a table) for a field of 32 bits.
///
/// # Panics
///
/// If it does not fit: a machine that has been checked has no such numbers.
pub(crate) fn word(number: usize) -> u32 {
    u32::try_from(number).expect("the parts of a machine are counted with 32 bits")
}

/// Reads bytes of a device that has registers of `N` bytes one behind the other: each register once, by its offset, so that its
/// bytes are from one moment.
pub(crate) fn read_registers<const N: usize>(
    offset: usize,
    data: &mut [u8],
    mut register: impl FnMut(usize) -> [u8; N],
) {
    let (mut at, mut rest) = (offset, data);
    while !rest.is_empty() {
        let within = at % N;
        let count = rest.len().min(N - within);
        let (bytes, more) = std::mem::take(&mut rest).split_at_mut(count);
        bytes.copy_from_slice(&register(at - within)[within..][..count]);
        at += count;
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_of_registers_are_read_and_each_register_once() {
        for (offset, length) in (0..24).flat_map(|offset| (0..24).map(move |length| (offset, length))) {
            let mut asked = Vec::new();
            let mut data = vec![0; length];
            read_registers(offset, &mut data, |at| {
                asked.push(at);
                std::array::from_fn::<u8, 8, _>(|byte| u8::try_from(at + byte).expect("a small number"))
            });
            assert!(data.iter().copied().map(usize::from).eq(offset..offset + length), "{length} at {offset}");
            let end = if length == 0 { offset / 8 * 8 } else { offset + length };
            assert!(asked.into_iter().eq((offset / 8 * 8..end).step_by(8)), "{length} at {offset}");
        }
    }

    #[test]
    fn halves_make_up_the_whole() {
        let register = 0x0123_4567_89ab_cdef;
        assert_eq!((high(register), low(register)), (0x0123_4567, 0x89ab_cdef));
        assert_eq!(u64::from(high(register)) << 32 | u64::from(low(register)), register);
    }

    #[test]
    fn no_number_is_taken_for_a_smaller_one() {
        assert_eq!(place(1 << 33), 1 << 33);
        assert_eq!(word(0xffff_ffff), 0xffff_ffff);
        assert!(std::panic::catch_unwind(|| word(1 << 32)).is_err());
    }
}
