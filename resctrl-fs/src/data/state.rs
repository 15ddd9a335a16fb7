// SPDX-License-Identifier: GPL-2.0-only
//! One resctrl: the instance, what its rdtgroup mutex protects, and the monitor domains that outlive the mutex. They
//! refer to each other, so they are in one place.

use core::fmt;

use resctrl_types::locked::{Key, LockedBy, MutexHeld};
use resctrl_types::resource::Control;
use resctrl_types::{
    Arch, Closid, CpuMask, CpusHeld, DomainId, Errno, EventId, KBox, KVec, OnlineCpus, Platform, Ref, ResourceId,
    Result, Rmid,
};

use super::closid::ClosidMap;
use super::counters::Filters;
use super::domain::{CtrlDomain, MonState, PackageDomain};
use super::group::{CtrlGroup, Groups, Monitored, Place, every_monitored};
use super::history::History;
use super::options::ShownOptions;
use super::regions::Regions;
use super::rmid::RmidTable;
use crate::nodes::{GroupId, Node, SchemaId};
use crate::stats::Stats;
use crate::status::{Done, Refusal, Status};
use crate::tree::{NodeId, SharedTree};

/// One resctrl: what in the kernel are the globals of `fs/resctrl`.
pub struct Resctrl<A: Arch<P>, P: Platform> {
    pub(crate) platform: P,
    pub(crate) arch: A,
    /// What can be controlled while no setting hides it. A resource that is hidden for the moment (MB while MPAM emulates
    /// CDP) still has its domains, and CPUs come to them and go.
    pub(crate) controls: [Option<Control>; ResourceId::ALL.len()],
    /// How many counters of each monitor domain can be assigned while no setting takes some away.
    pub(crate) counters: u32,
    /// Whether all that is only found at the first mount has been found.
    pub(crate) first_mount: P::Mutex<bool>,
    /// `rdtgroup_mutex` and all that it protects.
    pub(crate) locked: P::Mutex<Locked<A, P>>,
    /// The nodes.
    pub(crate) tree: SharedTree<Node, P>,
    /// The options that `/proc/mounts` shows, which waits for nobody.
    pub(crate) shown: ShownOptions,
    /// Which ids tasks may have.
    pub(crate) history: History,
    /// The pseudo-locked regions; innermost lock.
    pub(crate) regions: P::Mutex<Regions<P>>,
}

/// A command on its way: with CPU hotplug held off and the rdtgroup mutex held.
pub(crate) struct Op<'a, A: Arch<P>, P: Platform> {
    pub(crate) fs: &'a Ref<Resctrl<A, P>>,
    pub(crate) cpus: CpusHeld<'a>,
    pub(crate) locked: &'a mut Locked<A, P>,
}

impl<'a, A: Arch<P>, P: Platform> Op<'a, A, P> {
    pub(crate) fn state(&mut self) -> &mut State<A, P> {
        &mut self.locked.state
    }

    pub(crate) fn arch(&self) -> &'a A {
        &self.fs.arch
    }

    pub(crate) fn platform(&self) -> &'a P {
        &self.fs.platform
    }

    /// Refuses with a constant text.
    pub(crate) fn refuse(&mut self, errno: Errno, text: &'static str) -> Refusal {
        self.state().status.refuse(errno, text)
    }

    /// Refuses for want of memory.
    pub(crate) fn out_of_memory(&mut self) -> Refusal {
        self.state().status.out_of_memory()
    }

    /// Refuses because something else has failed; see [`Status::failed`].
    pub(crate) fn failed(&mut self, errno: Errno, to_do: fmt::Arguments<'_>) -> Refusal {
        self.state().status.failed(errno, to_do)
    }

    /// Refuses what a group that is there for a region cannot have.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(crate) fn refuse_members(&mut self, ctrl: usize) -> Done {
        if self.state().groups[ctrl].mode.is_pseudo_locking() {
            return Err(self.refuse(Errno::EINVAL, "Pseudo-locking in progress\n"));
        }
        Ok(())
    }
}

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// Whether anything can be controlled.
    pub(crate) fn alloc_capable(&self) -> bool {
        ResourceId::ALL.into_iter().any(|resource| self.arch.control(resource).is_some())
    }

    /// Whether anything can be monitored.
    pub(crate) fn mon_capable(&self) -> bool {
        ResourceId::ALL.into_iter().any(|resource| self.arch.monitor(resource).is_some())
    }

    /// Whether the L3 counts this event.
    pub(crate) fn has_event(&self, event: EventId) -> bool {
        self.arch.monitor(ResourceId::L3).is_some_and(|monitor| monitor.events.contains(event))
    }

    /// Whether the L3 counts memory bandwidth.
    pub(crate) fn has_mbm(&self) -> bool {
        EventId::MBM.into_iter().any(|event| self.has_event(event))
    }
}

/// The content of the rdtgroup mutex: the key to what the monitor domains hold, and everything else.
pub(crate) struct Locked<A: Arch<P>, P: Platform> {
    pub(crate) key: Key,
    pub(crate) state: KBox<State<A, P>>,
}

/// Everything that changes, but the insides of monitor domains and the tree of nodes.
pub(crate) struct State<A: Arch<P>, P: Platform> {
    pub(crate) status: Status,
    /// What exists only while mounted.
    pub(crate) mount: Option<Mount>,
    /// The control groups, newest first; the default group is always the last and always there.
    pub(crate) groups: Groups<CtrlGroup>,
    pub(crate) next_group: u64,
    /// That context switches are watched: from the first command that gives tasks or CPUs to a group other than the default one
    /// until no such group is left. Without it every task and every CPU has the default group's ids.
    pub(crate) switches: Option<P::Switches>,
    /// How resctrl stands to each CPU.
    pub(crate) online: OnlineCpus,
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
    /// The files of `info` that show what [`EventId::MBM`] count, which are hidden while counters are assigned.
    pub(crate) config_files: [Option<NodeId>; EventId::MBM.len()],
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

    /// Where the default group is.
    pub(crate) fn default_ctrl(&self) -> usize {
        self.groups.len().saturating_sub(1)
    }

    /// The default group.
    pub(crate) fn default_group(&mut self) -> &mut CtrlGroup {
        let default = self.default_ctrl();
        &mut self.groups[default]
    }

    /// An id for a new group.
    pub(crate) fn new_group_id(&mut self) -> GroupId {
        self.next_group = self.next_group.wrapping_add(1);
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

    /// What is there while mounted, for a command.
    ///
    /// # Errors
    /// As [`State::mount`].
    pub(crate) fn mounted(&mut self) -> Done<&mut Mount> {
        self.mount.as_mut().ok_or_else(|| self.status.unmounted())
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
        every_monitored(&self.groups)
    }
}

/// A monitor domain of the L3.
pub(crate) struct MonDomain<A: Arch<P>, P: Platform> {
    pub(crate) id: DomainId,
    /// The L3 of which this domain, a NUMA node, is a part; `None` where the domain is a whole L3.
    pub(crate) part_of: Option<DomainId>,
    /// Workers have nobody else to ask. The cycle through the domain list ends when the domain goes offline.
    pub(crate) fs: Ref<Resctrl<A, P>>,
    pub(crate) overflow: P::Work,
    pub(crate) limbo: P::Work,
    pub(crate) inner: LockedBy<MonState<A::MonDomain>>,
}

impl<A: Arch<P>, P: Platform> MonDomain<A, P> {
    /// Opens the domain for writing.
    pub(crate) fn open<'a>(&'a self, key: &'a mut Key) -> &'a mut MonState<A::MonDomain> {
        self.inner.get_mut(key)
    }

    /// Opens the domain for writing, and proves that the mutex is held meanwhile.
    pub(crate) fn open_held<'a>(&'a self, key: &'a mut Key) -> (&'a mut MonState<A::MonDomain>, MutexHeld<'a>) {
        self.inner.get_mut_held(key)
    }

    /// Opens the domain for reading.
    pub(crate) fn peek<'a>(&'a self, key: &'a Key) -> &'a MonState<A::MonDomain> {
        self.inner.get(key)
    }
}
