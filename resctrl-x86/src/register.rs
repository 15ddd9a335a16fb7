// SPDX-License-Identifier: GPL-2.0-only
//! How a register is declared: a name, where it is, and its fields by the bit numbers of the manual.

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
                pub(crate) const $field: ::resctrl_types::register::Field = ::resctrl_types::register::Field::new($high, $low);
            )*
        }
    )*};
}

pub(crate) use registers;
