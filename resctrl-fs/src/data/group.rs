// SPDX-License-Identifier: GPL-2.0-only
//! Groups: what each of them has.

use core::ops::{Deref, DerefMut, Index, IndexMut};

use resctrl_types::arch::MonId;
use resctrl_types::{Closid, CpuMask, EventId, KBox, KVec, Rmid};

use super::regions::RegionId;
use crate::nodes::GroupId;
use crate::tree::{Name, NodeId};

/// Who may use the cache portions of a control group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    Shareable,
    Exclusive,
}

/// What a control group is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Tasks, which use its portions of caches.
    Using(Sharing),
    /// Setting up a pseudo-locked region: no tasks, no CPUs, no RMID.
    PseudoLocksetup,
    /// A region, and nothing else: no CLOSID any more.
    PseudoLocked(RegionId),
}

impl Mode {
    /// What a new group is.
    pub(crate) const SHAREABLE: Mode = Mode::Using(Sharing::Shareable);

    /// Who may use its cache portions, if it has any to use.
    pub(crate) const fn sharing(self) -> Option<Sharing> {
        match self {
            Mode::Using(sharing) => Some(sharing),
            Mode::PseudoLocksetup | Mode::PseudoLocked(_) => None,
        }
    }

    /// Whether the group is there for a region, and not for tasks.
    pub(crate) const fn is_pseudo_locking(self) -> bool {
        matches!(self, Mode::PseudoLocksetup | Mode::PseudoLocked(_))
    }
}

/// A control group, the default group included.
pub(crate) struct CtrlGroup {
    pub(crate) id: GroupId,
    /// Of its directory; nobody renames it. Empty for the default group.
    pub(crate) name: Name,
    /// Its own unless it is pseudo-locked; then only what it was.
    pub(crate) closid: Closid,
    /// Its own unless it is there for a region; then only what it was.
    pub(crate) rmid: Rmid,
    /// The CPUs it owns; its monitor groups' CPUs among them.
    pub(crate) cpus: CpuMask,
    pub(crate) mode: Mode,
    /// What the bandwidth controller compares with the group's targets.
    pub(crate) mba_event: Option<EventId>,
    /// Its monitor groups, oldest first.
    pub(crate) children: Groups<MonGroup>,
    /// The directory `mon_data`, where something can be monitored. The default group's comes and goes with the mount.
    pub(crate) mon_data: Option<NodeId>,
}

/// A monitor group. Its CLOSID is its parent's.
pub(crate) struct MonGroup {
    pub(crate) id: GroupId,
    pub(crate) rmid: Rmid,
    pub(crate) cpus: CpuMask,
    /// The directory `mon_data`.
    pub(crate) mon_data: Option<NodeId>,
}

/// A group as it is monitored: whose counts, and by which ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Monitored {
    pub(crate) group: GroupId,
    pub(crate) id: MonId,
}

/// Groups, by their places. A vector that is indexed here and nowhere else, so that the list of what could panic has this once.
///
/// # Panics
/// Where there is no group: places come from a look-up ([`Place`]) under the mutex that is still held.
pub(crate) struct Groups<T>(KVec<KBox<T>>);

impl<T> Groups<T> {
    pub(crate) const fn new() -> Self {
        Groups(KVec::new())
    }

    // `Index` passes its caller's place on to a panic; these do not.

    fn at(&self, place: usize) -> &KBox<T> {
        &self.0[place]
    }

    fn at_mut(&mut self, place: usize) -> &mut KBox<T> {
        &mut self.0[place]
    }
}

impl<T> Default for Groups<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Deref for Groups<T> {
    type Target = KVec<KBox<T>>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for Groups<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> Index<usize> for Groups<T> {
    type Output = KBox<T>;
    fn index(&self, place: usize) -> &KBox<T> {
        self.at(place)
    }
}

impl<T> IndexMut<usize> for Groups<T> {
    fn index_mut(&mut self, place: usize) -> &mut KBox<T> {
        self.at_mut(place)
    }
}

impl<'a, T> IntoIterator for &'a Groups<T> {
    type Item = &'a KBox<T>;
    type IntoIter = core::slice::Iter<'a, KBox<T>>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut Groups<T> {
    type Item = &'a mut KBox<T>;
    type IntoIter = core::slice::IterMut<'a, KBox<T>>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}

/// Where a group is in [`State::groups`]. Good for as long as the mutex is held and no group is made or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The control group at this index.
    Ctrl(usize),
    /// The monitor group at the second index of the control group at the first.
    Mon(usize, usize),
}

impl Place {
    /// The index of the control group: itself, or the parent.
    pub(crate) const fn ctrl(self) -> usize {
        match self {
            Place::Ctrl(ctrl) | Place::Mon(ctrl, _) => ctrl,
        }
    }
}

/// Every one of these groups that is monitored, in list order: each control group, then its monitor groups.
pub(crate) fn every_monitored(groups: &[KBox<CtrlGroup>]) -> impl Iterator<Item = Monitored> + '_ {
    groups.iter().flat_map(|group| {
        let children = group.children.iter().map(|child| group.monitored_child(child));
        group.monitored().into_iter().chain(children)
    })
}

impl CtrlGroup {
    /// The group itself, to be monitored, unless it is there for a region.
    pub(crate) fn monitored(&self) -> Option<Monitored> {
        let id = MonId { closid: self.closid, rmid: self.rmid };
        (!self.mode.is_pseudo_locking()).then_some(Monitored { group: self.id, id })
    }

    /// One of its monitor groups, to be monitored.
    pub(crate) const fn monitored_child(&self, child: &MonGroup) -> Monitored {
        Monitored { group: child.id, id: MonId { closid: self.closid, rmid: child.rmid } }
    }

    /// Whether the CLOSID is this group's: a pseudo-locked group has given it up.
    pub(crate) const fn owns_closid(&self) -> bool {
        !matches!(self.mode, Mode::PseudoLocked(_))
    }
}
