// SPDX-License-Identifier: GPL-2.0-only
//! Fields of registers, by the bit numbers of the manuals.

/// The bits `high..=low` of a register.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    mask: u64,
    low: u32,
}

impl Field {
    /// The field of these bits; a range that is none does not compile where the field is a constant.
    ///
    /// # Panics
    /// Unless `low <= high < 64`.
    #[must_use]
    pub const fn new(high: u32, low: u32) -> Field {
        assert!(low <= high && high < 64, "a field runs from its high bit down to its low bit");
        Field { mask: u64::MAX >> (63 - (high - low)), low }
    }

    /// The field's bits in the register.
    #[must_use]
    pub const fn places(self) -> u64 {
        self.mask << self.low
    }

    /// What the field holds in a register of this value.
    #[must_use]
    pub const fn get(self, register: u64) -> u64 {
        register >> self.low & self.mask
    }

    /// What the field holds in a register of 32 bits.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "shifting right and masking 32 bits never makes more of them")]
    pub const fn of(self, register: u32) -> u32 {
        self.get(register as u64) as u32
    }

    /// What a field of up to 32 bits holds.
    ///
    /// # Panics
    /// If the field is wider, which is known where it is compiled.
    #[must_use]
    #[inline(always)]
    #[track_caller]
    #[expect(clippy::cast_possible_truncation, reason = "the line above has compared the width")]
    pub const fn word_of(self, register: u64) -> u32 {
        assert!(self.mask <= u32::MAX as u64, "a field of up to 32 bits");
        self.get(register) as u32
    }

    /// What a field of up to 16 bits holds.
    ///
    /// # Panics
    /// If the field is wider, which is known where it is compiled.
    #[must_use]
    #[inline(always)]
    #[track_caller]
    #[expect(clippy::cast_possible_truncation, reason = "the line above has compared the width")]
    pub const fn half_of(self, register: u64) -> u16 {
        assert!(self.mask <= u16::MAX as u64, "a field of up to 16 bits");
        self.get(register) as u16
    }

    /// What a field of up to 8 bits holds.
    ///
    /// # Panics
    /// If the field is wider, which is known where it is compiled.
    #[must_use]
    #[inline(always)]
    #[track_caller]
    #[expect(clippy::cast_possible_truncation, reason = "the line above has compared the width")]
    pub const fn byte_of(self, register: u64) -> u8 {
        assert!(self.mask <= u8::MAX as u64, "a field of up to 8 bits");
        self.get(register) as u8
    }

    /// Whether some bit of the field is set.
    #[must_use]
    pub const fn is_set(self, register: u64) -> bool {
        self.get(register) != 0
    }

    /// The bits of the field in a register.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.mask << self.low
    }

    /// [`Field::bits`] in a register of 32 bits.
    ///
    /// # Panics
    /// If the field is not in them.
    #[must_use]
    #[inline(always)]
    #[track_caller]
    #[expect(clippy::cast_possible_truncation, reason = "the line above has compared the bits")]
    pub const fn word_bits(self) -> u32 {
        let bits = self.bits();
        assert!(bits <= u32::MAX as u64, "the field of a register of 32 bits");
        bits as u32
    }

    /// `value` in the place of the field, the rest zero.
    ///
    /// For values that fit by their type or by what is done to them in sight of the compiler: then there is no check left in
    /// the program. Where there is one, the list of panics that the module is built with has it. For all others there is
    /// [`Field::try_put`].
    ///
    /// # Panics
    /// If the field has no room for the value.
    #[must_use]
    #[inline(always)]
    #[track_caller]
    pub const fn put(self, value: u64) -> u64 {
        assert!(value <= self.mask, "a value that its field has no room for");
        value << self.low
    }

    /// `value` in the place of the field, the rest zero; `None` if the field has no room for it.
    #[must_use]
    pub const fn try_put(self, value: u64) -> Option<u64> {
        if value <= self.mask { Some(value << self.low) } else { None }
    }

    /// [`Field::put`] in a register of 32 bits.
    ///
    /// # Panics
    /// If the field has no room for the value, or is not in the register.
    #[must_use]
    #[inline(always)]
    #[track_caller]
    #[expect(clippy::cast_possible_truncation, reason = "all bits of the field are among the 32")]
    pub const fn word(self, value: u32) -> u32 {
        assert!(self.bits() <= u32::MAX as u64, "the field of a register of 32 bits");
        self.put(value as u64) as u32
    }

    /// [`Field::word`] of the value, or of the largest that there is room for.
    ///
    /// # Panics
    /// If the field is not in a register of 32 bits.
    #[must_use]
    #[inline(always)]
    #[track_caller]
    #[expect(clippy::cast_possible_truncation, reason = "a mask that is less than 32 bits are")]
    pub const fn word_at_most(self, value: u32) -> u32 {
        self.word(if value as u64 > self.mask { self.mask as u32 } else { value })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn a_field_is_put_where_it_is_got_from() {
        let field = Field::new(41, 32);
        assert_eq!(field.put(0x3ff), 0x3ff_0000_0000);
        assert_eq!(field.bits(), 0x3ff_0000_0000);
        assert_eq!(field.get(field.put(0x155)), 0x155);
        assert!(!field.is_set(0xffff_fc00_ffff_ffff));
        assert_eq!(Field::new(63, 0).get(u64::MAX), u64::MAX);
        assert_eq!((Field::new(31, 24).word(0xff), Field::new(31, 24).of(0xff00_0000)), (0xff00_0000, 0xff));
        assert_eq!(Field::new(63, 0).put(u64::MAX), u64::MAX);
    }

    #[test]
    fn no_bit_of_a_value_is_lost() {
        let (ten, byte, high) = (Field::new(41, 32), Field::new(31, 24), Field::new(32, 32));
        assert_eq!((ten.try_put(0x3ff), ten.try_put(0x400)), (Some(0x3ff_0000_0000), None));
        assert_eq!((byte.word_at_most(0x1ff), byte.word_at_most(0x12)), (0xff00_0000, 0x1200_0000));
        assert_eq!((ten.half_of(0xffff << 32), byte.byte_of(0x1234_5678)), (0x3ff, 0x12));
        assert_eq!(Field::new(63, 32).word_of(0x1234_5678 << 32), 0x1234_5678);
        let panics = |f: &dyn Fn() -> u64| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
        assert!(panics(&|| ten.put(0x400)));
        assert!(panics(&|| byte.word(0x100).into()));
        assert!(panics(&|| high.word(1).into()));
        assert!(panics(&|| high.word(0).into()));
        assert!(panics(&|| high.word_bits().into()));
        assert!(panics(&|| ten.byte_of(0).into()));
        assert!(panics(&|| Field::new(16, 0).half_of(0).into()));
        assert!(panics(&|| Field::new(32, 0).word_of(0).into()));
    }

    #[test]
    fn a_field_is_set_if_any_of_its_bits_is() {
        let field = Field::new(5, 4);
        assert_eq!(
            [0, 0x10, 0x20, 0x30, 0xcf].map(|register| field.is_set(register)),
            [false, true, true, true, false]
        );
        assert_eq!((field.places(), field.bits(), field.word_bits()), (0x30, 0x30, 0x30));
        assert_eq!([3, 4].map(|value| field.word_at_most(value)), [0x30, 0x30]);
        assert_eq!([0, 3, 4].map(|value| field.try_put(value)), [Some(0), Some(0x30), None]);
    }
}
