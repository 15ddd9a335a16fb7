// SPDX-License-Identifier: GPL-2.0-only
//! What each node of the tree is, and the tables of files.
//!
//! A node says what it is by value: the id of a group, of a schema, of a domain. It points at nothing, so nothing has to
//! be kept alive for it, and a node that outlives its group is told apart by a look-up that fails.

use resctrl_types::{ConfType, DomainId, EventId, ResourceId};

use crate::tree::{Content, NodeKind};

/// A control or monitor group; never used again. The default group is [`GroupId::DEFAULT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupId(pub(crate) u64);

impl GroupId {
    pub(crate) const DEFAULT: GroupId = GroupId(0);
}

/// What users see of a controllable resource: under CDP a cache has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SchemaId {
    pub(crate) resource: ResourceId,
    pub(crate) conf_type: ConfType,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// The root, directory of the default group.
    Root,
    /// The directory of any other group.
    Group(GroupId),
    /// `mon_groups` of a control group.
    MonGroups(GroupId),
    /// `mon_data` of a group.
    MonData(GroupId),
    /// `mon_data/mon_L3_NN` of a group, or `mon_sub_L3_NN` in a [`Node::MonCache`].
    MonDomain(GroupId, DomainId),
    /// `mon_data/mon_L3_NN` of a group, for an L3 that is several monitor domains.
    MonCache(GroupId, DomainId),
    /// `mon_data/mon_PERF_PKG_NN` of a group.
    MonPackage(GroupId, DomainId),
    /// A directory of `info`, or `info` itself.
    InfoDir,
    /// The directory of an event below `event_configs`.
    InfoEventDir,
    /// A file of a group.
    GroupFile(GroupId, GroupFile),
    /// An event file below `mon_data`, for a domain of the resource that has the event.
    Event(GroupId, DomainId, EventId),
    /// An event file below `mon_data`, for all domains of an L3.
    EventSum(GroupId, DomainId, EventId),
    /// A file of `info`.
    InfoFile(InfoFile),
}

impl Content for Node {
    fn kind(self) -> NodeKind {
        match self {
            Node::Root
            | Node::Group(_)
            | Node::MonGroups(_)
            | Node::MonData(_)
            | Node::MonDomain(..)
            | Node::MonCache(..)
            | Node::MonPackage(..)
            | Node::InfoDir
            | Node::InfoEventDir => NodeKind::Dir,
            Node::GroupFile(..) | Node::Event(..) | Node::EventSum(..) | Node::InfoFile(_) => NodeKind::File,
        }
    }
}

impl Node {
    /// Whether the node has a write method at all, whatever its mode says. A file without a meaning for a write still
    /// has one, which answers `EINVAL`.
    pub(crate) const fn is_writable(self) -> bool {
        matches!(self, Node::GroupFile(..) | Node::InfoFile(_))
    }
}

/// A file of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupFile {
    Cpus,
    CpusList,
    Tasks,
    Schemata,
    Mode,
    Size,
    MbaMbpsEvent,
    CtrlHwId,
    MonHwId,
    MbmL3Assignments,
}

/// A file of `info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InfoFile {
    LastCmdStatus,
    NumClosids(SchemaId),
    CbmMask(SchemaId),
    MinCbmBits(SchemaId),
    ShareableBits(SchemaId),
    BitUsage(SchemaId),
    SparseMasks(SchemaId),
    MinBandwidth(SchemaId),
    BandwidthGran(SchemaId),
    DelayLinear(SchemaId),
    ThreadThrottleMode(SchemaId),
    IoAlloc(SchemaId),
    IoAllocCbm(SchemaId),
    NumRmids(ResourceId),
    MonFeatures(ResourceId),
    MaxThresholdOccupancy,
    MbmAssignMode,
    NumMbmCntrs,
    AvailableMbmCntrs,
    MbmAssignOnMkdir,
    EventFilter(EventId),
    EventConfig(EventId),
}

/// Which groups have a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// Every group.
    All,
    /// Control groups.
    Ctrl,
    /// Every group of a system that can monitor.
    Monitoring,
}

/// What a mount must have for a file to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// The option `debug`.
    Debug,
    /// The option `mba_MBps`, and monitoring.
    MbaSc,
    /// Counters that can be assigned.
    Counters,
}

/// One row of the table of group files.
pub(crate) struct GroupFileSpec {
    pub(crate) name: &'static str,
    pub(crate) mode: u16,
    pub(crate) belongs: Belongs,
    pub(crate) needs: Needs,
    pub(crate) file: GroupFile,
}

const fn row(name: &'static str, mode: u16, belongs: Belongs, needs: Needs, file: GroupFile) -> GroupFileSpec {
    GroupFileSpec { name, mode, belongs, needs, file }
}

/// The files of groups.
pub(crate) const GROUP_FILES: &[GroupFileSpec] = &[
    row("cpus", 0o644, Belongs::All, Needs::Nothing, GroupFile::Cpus),
    row("cpus_list", 0o644, Belongs::All, Needs::Nothing, GroupFile::CpusList),
    row("tasks", 0o644, Belongs::All, Needs::Nothing, GroupFile::Tasks),
    row("mbm_L3_assignments", 0o644, Belongs::Monitoring, Needs::Counters, GroupFile::MbmL3Assignments),
    row("mon_hw_id", 0o444, Belongs::Monitoring, Needs::Debug, GroupFile::MonHwId),
    row("schemata", 0o644, Belongs::Ctrl, Needs::Nothing, GroupFile::Schemata),
    row("mba_MBps_event", 0o644, Belongs::Ctrl, Needs::MbaSc, GroupFile::MbaMbpsEvent),
    row("mode", 0o644, Belongs::Ctrl, Needs::Nothing, GroupFile::Mode),
    row("size", 0o444, Belongs::Ctrl, Needs::Nothing, GroupFile::Size),
    row("ctrl_hw_id", 0o444, Belongs::Ctrl, Needs::Debug, GroupFile::CtrlHwId),
];
