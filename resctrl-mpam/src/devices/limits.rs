// SPDX-License-Identifier: GPL-2.0-only
//! Which PARTIDs and PMGs everything in the system knows.
//!
//! A request keeps its labels on its way through the system, so only labels that every requestor can make and every MSC
//! understands are safe.

use resctrl_types::{Errno, Result};

/// The largest PARTID and PMG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Largest PARTID.
    pub partid_max: u16,
    /// Largest PMG.
    pub pmg_max: u8,
}

impl Ids {
    /// What both know.
    #[must_use]
    pub fn common(self, other: Ids) -> Ids {
        Ids { partid_max: self.partid_max.min(other.partid_max), pmg_max: self.pmg_max.min(other.pmg_max) }
    }

    /// Whether a component with these knows every label of `used`.
    #[must_use]
    pub const fn covers(self, used: Ids) -> bool {
        self.partid_max >= used.partid_max && self.pmg_max >= used.pmg_max
    }
}

/// The limits of the system, in the making or in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    ids: Option<Ids>,
    published: bool,
}

impl Limits {
    /// Takes a requestor or an MSC into account: the kernel's `mpam_register_requestor()`.
    ///
    /// # Errors
    /// `EBUSY` when that would lower limits in force; they stand.
    pub fn register(&mut self, ids: Ids) -> Result<()> {
        match self.ids {
            Some(current) if self.published => {
                if ids.covers(current) {
                    Ok(())
                } else {
                    Err(Errno::EBUSY)
                }
            }
            current => {
                self.ids = Some(current.map_or(ids, |current| current.common(ids)));
                Ok(())
            }
        }
    }

    /// Puts the limits in force.
    ///
    /// # Errors
    /// `EINVAL` when nothing was registered.
    pub fn publish(&mut self) -> Result<Ids> {
        self.published = true;
        self.ids.ok_or(Errno::EINVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ids(partid_max: u16, pmg_max: u8) -> Ids {
        Ids { partid_max, pmg_max }
    }

    #[test]
    fn limits_are_what_everybody_knows() {
        let mut limits = Limits::default();
        limits.register(ids(63, 1)).unwrap();
        limits.register(ids(31, 3)).unwrap();
        assert_eq!(limits.publish(), Ok(ids(31, 1)));
    }

    #[test]
    fn who_comes_late_with_less_is_refused() {
        let mut limits = Limits::default();
        limits.register(ids(31, 1)).unwrap();
        let published = limits.publish().unwrap();
        assert_eq!(limits.register(ids(15, 1)), Err(Errno::EBUSY));
        assert_eq!(limits.register(ids(31, 0)), Err(Errno::EBUSY));
        assert_eq!(limits.register(ids(63, 3)), Ok(()));
        assert_eq!(limits.publish(), Ok(published));
    }

    #[test]
    fn nobody_registered_is_nothing_to_publish() {
        assert_eq!(Limits::default().publish(), Err(Errno::EINVAL));
    }
}
