// SPDX-License-Identifier: GPL-2.0-only
//! How a register is declared: a name, where it is, and its fields by the bit numbers of the specification.

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
                pub(crate) const $field: ::resctrl_types::register::Field = ::resctrl_types::register::Field::new($high, $low);
            )*
        }
    )*};
}

pub(crate) use registers;
