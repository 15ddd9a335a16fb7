// SPDX-License-Identifier: GPL-2.0-only
//! What the rdtgroup mutex protects.

use resctrl_types::arch::MonId;
use resctrl_types::locked::Key;
use resctrl_types::{Arch, Closid, CpuMask, Errno, EventId, KBox, KVec, Platform, Ref, ResourceId, Result, Rmid};

use crate::closid::ClosidMap;
use crate::domain::{CtrlDomain, MonDomain, PackageDomain};
use crate::monitor::counters::Filters;
use crate::monitor::rmid::RmidTable;
use crate::nodes::{GroupId, SchemaId};
use crate::pseudo_lock::regions::RegionId;
use crate::stats::Stats;
use crate::status::Status;
use crate::tree::NodeId;

/// The content of the rdtgroup mutex: the key to what the monitor domains hold, and everything else.
pub(crate) struct Locked<A: Arch<P>, P: Platform> {
    pub(crate) key: Key,
    pub(crate) state: State<A, P>,
}

/// Everything that changes, but the insides of monitor domains and the tree of nodes.
pub(crate) struct State<A: Arch<P>, P: Platform> {
    pub(crate) status: Status,
    /// What exists only while mounted.
    pub(crate) mount: Option<Mount>,
    /// The control groups, newest first; the default group is always the last and always there.
    pub(crate) groups: KVec<KBox<CtrlGroup>>,
    pub(crate) next_group: u64,
    /// CPUs whose online callback has run.
    pub(crate) online: CpuMask,
    /// Control domains of each resource, ascending by id.
    pub(crate) ctrl_domains: [KVec<KBox<CtrlDomain<A::CtrlDomain>>>; ResourceId::ALL.len()],
    /// Monitor domains of the L3, ascending by id. The list holds one reference to each.
    pub(crate) mon_domains: KVec<Ref<MonDomain<A, P>>>,
    /// Monitor domains of package telemetry, ascending by id.
    pub(crate) packages: KVec<PackageDomain>,
    /// Made at the first mount, kept until the end: limbo goes on over unmounts.
    pub(crate) rmids: Option<RmidTable>,
    /// Occupancy in bytes below which a freed RMID is clean: `max_threshold_occupancy`.
    pub(crate) threshold: u32,
    /// Where counters are assigned: whether new groups get some. Outlives the mount.
    pub(crate) assign_on_mkdir: bool,
    /// Where counters are assigned: what each event counts. Outlives the mount.
    pub(crate) filters: Filters,
    /// Width of the names in `schemata` and `size`; never shrinks.
    pub(crate) column_width: usize,
    pub(crate) stats: Stats,
}

/// What exists only while mounted.
pub(crate) struct Mount {
    /// The schemas in the order of every listing: SMBA, MB, L2, L3, data before code.
    pub(crate) schemas: KVec<SchemaId>,
    /// The free CLOSIDs.
    pub(crate) closids: ClosidMap,
    /// Whether the software bandwidth controller runs: MB values are MB/s.
    pub(crate) mba_sc: bool,
    /// Whether the hardware ids are shown.
    pub(crate) debug: bool,
}

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
}

/// A control group, the default group included.
pub(crate) struct CtrlGroup {
    pub(crate) id: GroupId,
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
    pub(crate) children: KVec<KBox<MonGroup>>,
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

impl<A: Arch<P>, P: Platform> State<A, P> {
    /// Where the group of this id is, if it lives.
    pub(crate) fn find_group(&self, id: GroupId) -> Option<Place> {
        self.groups.iter().enumerate().find_map(|(ctrl, group)| {
            if group.id == id {
                return Some(Place::Ctrl(ctrl));
            }
            group.children.iter().position(|child| child.id == id).map(|mon| Place::Mon(ctrl, mon))
        })
    }

    /// The default group.
    pub(crate) fn default_group(&mut self) -> &mut CtrlGroup {
        let last = self.groups.len() - 1;
        &mut self.groups[last]
    }

    /// An id for a new group.
    pub(crate) fn new_group_id(&mut self) -> GroupId {
        self.next_group += 1;
        GroupId(self.next_group)
    }

    /// The CPUs of the group at `place`.
    pub(crate) fn cpus(&self, place: Place) -> &CpuMask {
        match place {
            Place::Ctrl(ctrl) => &self.groups[ctrl].cpus,
            Place::Mon(ctrl, mon) => &self.groups[ctrl].children[mon].cpus,
        }
    }

    /// The ids of the group at `place`.
    pub(crate) fn ids(&self, place: Place) -> (Closid, Rmid) {
        match place {
            Place::Ctrl(ctrl) => (self.groups[ctrl].closid, self.groups[ctrl].rmid),
            Place::Mon(ctrl, mon) => (self.groups[ctrl].closid, self.groups[ctrl].children[mon].rmid),
        }
    }

    /// What is there while mounted.
    ///
    /// # Errors
    /// `ENOENT` for an operation which waited for the mutex while the file system was unmounted.
    pub(crate) fn mount(&self) -> Result<&Mount> {
        self.mount.as_ref().ok_or(Errno::ENOENT)
    }

    /// Whether the software bandwidth controller runs.
    pub(crate) fn mba_sc(&self) -> bool {
        self.mount.as_ref().is_some_and(|mount| mount.mba_sc)
    }

    /// The group at `place`, to be monitored, if it has an RMID.
    pub(crate) fn monitored(&self, place: Place) -> Option<Monitored> {
        match place {
            Place::Ctrl(ctrl) => self.groups[ctrl].monitored(),
            Place::Mon(ctrl, mon) => Some(self.groups[ctrl].monitored_child(&self.groups[ctrl].children[mon])),
        }
    }

    /// Every group that is monitored, in list order: each control group, then its monitor groups.
    pub(crate) fn every_monitored(&self) -> impl Iterator<Item = Monitored> + '_ {
        self.groups.iter().flat_map(|group| {
            let children = group.children.iter().map(|child| group.monitored_child(child));
            group.monitored().into_iter().chain(children)
        })
    }
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
}
