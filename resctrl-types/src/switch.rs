// SPDX-License-Identifier: GPL-2.0-only
//! On or off, as an argument that says so.

/// Whether something is to be on. What it is, the function's name says; `true` would not say that much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Not any more.
    Off,
    /// From now on.
    On,
}

impl Switch {
    /// Whether it is on.
    #[must_use]
    pub const fn is_on(self) -> bool {
        matches!(self, Switch::On)
    }
}

impl From<bool> for Switch {
    fn from(on: bool) -> Self {
        if on { Switch::On } else { Switch::Off }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_what_it_was_made_from() {
        assert_eq!((Switch::from(true), Switch::from(false)), (Switch::On, Switch::Off));
        assert!(Switch::On.is_on() && !Switch::Off.is_on());
    }
}
