// SPDX-License-Identifier: GPL-2.0-only
//! How a register is declared: a name, where it is, and its fields by the bit numbers of the specification.

/// The bits `high..=low` of a register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    mask: u64,
    low: u32,
}

impl Field {
    /// The field of these bits; a range that is none does not compile, every field being a constant.
    pub(crate) const fn new(high: u32, low: u32) -> Field {
        assert!(low <= high && high < 64, "a field runs from its high bit down to its low bit");
        Field { mask: u64::MAX >> (63 - (high - low)), low }
    }

    /// What the field holds in a register of this value.
    pub(crate) const fn get(self, register: u64) -> u64 {
        register >> self.low & self.mask
    }

    /// What the field holds in a register of 32 bits.
    pub(crate) const fn of(self, register: u32) -> u32 {
        // Shifting right and masking never makes 32 bits more.
        self.get(register as u64) as u32
    }

    /// Whether some bit of the field is set.
    pub(crate) const fn is_set(self, register: u64) -> bool {
        self.get(register) != 0
    }

    /// `value` in the place of the field, the rest zero. Bits that the field has no room for are lost.
    pub(crate) const fn put(self, value: u64) -> u64 {
        (value & self.mask) << self.low
    }

    /// [`Field::put`] in a register of 32 bits: a field above them is lost.
    pub(crate) const fn word(self, value: u32) -> u32 {
        self.put(value as u64) as u32
    }
}

/// Declares registers: `Name = offset;` then fields as `NAME: high, low;`.
macro_rules! registers {
    ($(
        $(#[$doc:meta])*
        $name:ident = $offset:expr; {
            $($(#[$field_doc:meta])* $field:ident: $high:literal, $low:literal;)*
        }
    )*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl $name {
            /// Byte offset in the MSC's page.
            pub(crate) const OFFSET: u32 = $offset;
            $(
                $(#[$field_doc])*
                pub(crate) const $field: $crate::register::Field = $crate::register::Field::new($high, $low);
            )*
        }
    )*};
}

pub(crate) use registers;
