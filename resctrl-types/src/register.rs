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

    /// What the field holds in a register of this value.
    #[must_use]
    pub const fn get(self, register: u64) -> u64 {
        register >> self.low & self.mask
    }

    /// What the field holds in a register of 32 bits.
    #[must_use]
    pub const fn of(self, register: u32) -> u32 {
        // Shifting right and masking never makes 32 bits more.
        self.get(register as u64) as u32
    }

    /// Whether some bit of the field is set.
    #[must_use]
    pub const fn is_set(self, register: u64) -> bool {
        self.get(register) != 0
    }

    /// `value` in the place of the field, the rest zero. Bits that the field has no room for are lost.
    #[must_use]
    pub const fn put(self, value: u64) -> u64 {
        (value & self.mask) << self.low
    }

    /// [`Field::put`] in a register of 32 bits: a field above them is lost.
    #[must_use]
    pub const fn word(self, value: u32) -> u32 {
        self.put(value as u64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_put_where_it_is_got_from_and_loses_what_does_not_fit() {
        let field = Field::new(41, 32);
        assert_eq!(field.put(0x7ff), 0x3ff_0000_0000);
        assert_eq!(field.get(field.put(0x155)), 0x155);
        assert!(!field.is_set(0xffff_fc00_ffff_ffff));
        assert_eq!(Field::new(63, 0).get(u64::MAX), u64::MAX);
        assert_eq!((Field::new(31, 24).word(0x1ff), Field::new(31, 24).of(0xff00_0000)), (0xff00_0000, 0xff));
    }
}
