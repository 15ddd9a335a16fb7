// SPDX-License-Identifier: GPL-2.0-only
//! The free CLOSIDs of a mount.

use resctrl_types::{Closid, KVec, Result};

/// Which CLOSIDs are free. 0 is the default group's and never is.
pub(crate) struct ClosidMap {
    free: KVec<bool>,
}

impl ClosidMap {
    /// All of `0..count` free but the reserved one. A system without schemas has a count of 0.
    pub(crate) fn new(count: u32) -> Result<Self> {
        Ok(ClosidMap { free: KVec::from_fn(count as usize, |closid| closid != Closid::RESERVED.index())? })
    }

    /// The free CLOSIDs, lowest first.
    pub(crate) fn free(&self) -> impl Iterator<Item = Closid> + '_ {
        (0..).zip(self.free.iter()).filter(|&(_, &free)| free).map(|(closid, _)| Closid(closid))
    }

    /// Whether the CLOSID is one of this mount's.
    pub(crate) fn contains(&self, closid: Closid) -> bool {
        closid.index() < self.free.len()
    }

    /// Whether nobody has the CLOSID.
    pub(crate) fn is_free(&self, closid: Closid) -> bool {
        self.free.get(closid.index()).is_some_and(|&free| free)
    }

    /// The CLOSIDs of this mount that somebody has.
    pub(crate) fn taken(&self) -> impl Iterator<Item = Closid> + '_ {
        (0..).zip(self.free.iter()).filter(|&(_, &free)| !free).map(|(closid, _)| Closid(closid))
    }

    /// One that is not of this mount is nobody's.
    pub(crate) fn take(&mut self, closid: Closid) {
        if let Some(free) = self.free.get_mut(closid.index()) {
            *free = false;
        }
    }

    /// One that is not of this mount is nobody's.
    pub(crate) fn release(&mut self, closid: Closid) {
        if closid == Closid::RESERVED {
            return;
        }
        if let Some(free) = self.free.get_mut(closid.index()) {
            *free = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_closid_is_never_free() {
        let mut map = ClosidMap::new(4).unwrap();
        assert!(map.free().eq([1, 2, 3].map(Closid)));
        map.take(Closid(2));
        assert!(!map.is_free(Closid(2)) && map.taken().eq([0, 2].map(Closid)));
        assert!(map.contains(Closid(3)) && !map.contains(Closid(4)) && !map.is_free(Closid(4)));
        map.release(Closid::RESERVED);
        assert!(map.free().eq([1, 3].map(Closid)));
        map.release(Closid(2));
        assert!(map.free().eq([1, 2, 3].map(Closid)));
        assert_eq!(ClosidMap::new(0).unwrap().free().count(), 0);
    }
}
