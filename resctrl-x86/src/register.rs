// SPDX-License-Identifier: GPL-2.0-only
//! How a register is declared: a name, where it is, and its fields by the bit numbers of the manual.

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

    /// Whether some bit of the field is set.
    pub(crate) const fn is_set(self, register: u64) -> bool {
        self.get(register) != 0
    }

    /// `value` in the place of the field, the rest zero. Bits that the field has no room for are lost.
    pub(crate) const fn put(self, value: u64) -> u64 {
        (value & self.mask) << self.low
    }
}

/// Declares registers whose addresses are of the type named first. `Name = address;` or `Name = address => count;` for
/// an array of them; then fields as `NAME: high, low;`.
macro_rules! registers {
    ($address_type:ty; $(
        $(#[$doc:meta])*
        $name:ident = $address:expr $(=> $count:literal)?; {
            $($(#[$field_doc:meta])* $field:ident: $high:literal, $low:literal;)*
        }
    )*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl $name {
            /// Where it is; the first where there are several.
            pub(crate) const ADDRESS: $address_type = $address;
            $(
                /// How many there can be.
                pub(crate) const COUNT: u32 = $count;
            )?
            $(
                $(#[$field_doc])*
                pub(crate) const $field: $crate::register::Field = $crate::register::Field::new($high, $low);
            )*
        }
    )*};
}

pub(crate) use registers;
