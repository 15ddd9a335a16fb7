// SPDX-License-Identifier: GPL-2.0-only
//! The directory `info`: what the machine can do, and what the last command had to say.

use resctrl_types::platform::Mutex;
use resctrl_types::resource::{BandwidthControl, CacheControl, Control, ControlKind, ThrottleMode};
use resctrl_types::{Arch, Errno, EventId, Platform, ResourceId, Result};

use crate::ctrlmondata::{io_alloc, schema};
use crate::data::group::{Mode, Sharing};
use crate::data::state::{Op, Resctrl};
use crate::monitor::{assign_mode, counters, event_config, event_filter};
use crate::nodes::{InfoFile, Node, SchemaId};
use crate::status::{Done, NO_COMMANDS};
use crate::text::Shown;
use crate::text::{TextOut, line_of, line_of_hex, parse_u32, together, until_nul};
use crate::tree::{Branch, Name, NewNode, NodeId};

/// Which schemas have a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Every schema.
    All,
    /// Caches.
    Cache,
    /// Caches, where devices can have a part of the L3.
    DeviceCache,
    /// Bandwidths.
    Bandwidth,
    /// Bandwidths, where it is known of one of them how threads of a core share it.
    Throttled,
}

/// One row of the table of files that each schema has for itself.
struct SchemaFile {
    name: &'static str,
    mode: u16,
    of: Of,
    file: fn(SchemaId) -> InfoFile,
}

const fn row(name: &'static str, mode: u16, of: Of, file: fn(SchemaId) -> InfoFile) -> SchemaFile {
    SchemaFile { name, mode, of, file }
}

/// The files of a schema's directory.
const SCHEMA_FILES: &[SchemaFile] = &[
    row("num_closids", 0o444, Of::All, InfoFile::NumClosids),
    row("cbm_mask", 0o444, Of::Cache, InfoFile::CbmMask),
    row("min_cbm_bits", 0o444, Of::Cache, InfoFile::MinCbmBits),
    row("shareable_bits", 0o444, Of::Cache, InfoFile::ShareableBits),
    row("bit_usage", 0o444, Of::Cache, InfoFile::BitUsage),
    row("sparse_masks", 0o444, Of::Cache, InfoFile::SparseMasks),
    row("io_alloc", 0o644, Of::DeviceCache, InfoFile::IoAlloc),
    row("io_alloc_cbm", 0o644, Of::DeviceCache, InfoFile::IoAllocCbm),
    row("min_bandwidth", 0o444, Of::Bandwidth, InfoFile::MinBandwidth),
    row("bandwidth_gran", 0o444, Of::Bandwidth, InfoFile::BandwidthGran),
    row("delay_linear", 0o444, Of::Bandwidth, InfoFile::DelayLinear),
    row("thread_throttle_mode", 0o444, Of::Throttled, InfoFile::ThreadThrottleMode),
];

/// A directory for each resource that can be monitored, in the order of the resources.
const MONITOR_DIRS: [(&str, ResourceId); 2] = [("L3_MON", ResourceId::L3), ("PERF_PKG_MON", ResourceId::PerfPkg)];

/// A file that each of them has.
type MonitorFile = fn(ResourceId) -> InfoFile;

/// The files of each of them. Nobody writes them.
const MONITOR_FILES: [(&str, MonitorFile); 2] =
    [("num_rmids", InfoFile::NumRmids), ("mon_features", InfoFile::MonFeatures)];

/// Further files of `L3_MON`, with their modes.
const L3_MONITOR_FILES: &[(&str, u16, InfoFile)] = &[
    ("max_threshold_occupancy", 0o644, InfoFile::MaxThresholdOccupancy),
    ("mbm_assign_mode", 0o644, InfoFile::MbmAssignMode),
];

/// The files of `L3_MON` where counters can be assigned, with their modes.
const COUNTER_FILES: &[(&str, u16, InfoFile)] = &[
    ("num_mbm_cntrs", 0o444, InfoFile::NumMbmCntrs),
    ("available_mbm_cntrs", 0o444, InfoFile::AvailableMbmCntrs),
    ("mbm_assign_on_mkdir", 0o644, InfoFile::MbmAssignOnMkdir),
];

/// Makes the directory at the top of a branch that will be the whole tree.
///
/// # Errors
/// `ENOMEM`, and `ENOENT` when nothing is mounted.
pub(crate) fn build<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, branch: &mut Branch<Node>) -> Result<()> {
    let fs = op.fs;
    let root = branch.top();
    let (owner, now) = (fs.platform.owner(), fs.platform.now());
    let mut config_files = [None; EventId::MBM.len()];
    let mut add = |parent, name: &'static str, mode, content| {
        let id = fs.tree.grow(branch, parent, NewNode { name: Name::from(name), content, mode, owner, now })?;
        if let Node::InfoFile(InfoFile::EventConfig(_)) = content {
            // One for each event, in whatever order: they are shown and hidden together.
            if let Some(place) = config_files.iter_mut().find(|place| place.is_none()) {
                *place = Some(id);
            }
            if fs.arch.counters_assigned() {
                branch.hide(id);
            }
        }
        Ok(id)
    };
    let info = add(root, "info", 0o555, Node::InfoDir)?;
    add(info, "last_cmd_status", 0o444, Node::InfoFile(InfoFile::LastCmdStatus))?;
    let throttled = throttle_mode_known(fs);
    for &schema in &op.locked.state.mount()?.schemas {
        let Some(control) = fs.arch.control(schema.resource) else { continue };
        let dir = add(info, schema.name(), 0o555, Node::InfoDir)?;
        for row in SCHEMA_FILES {
            let present = match (row.of, control.kind) {
                (Of::All, _) | (Of::Cache, ControlKind::Cache(_)) | (Of::Bandwidth, ControlKind::Bandwidth(_)) => true,
                (Of::DeviceCache, ControlKind::Cache(_)) => io_alloc::capable(fs),
                (Of::Throttled, ControlKind::Bandwidth(_)) => throttled,
                _ => false,
            };
            if present {
                add(dir, row.name, row.mode, Node::InfoFile((row.file)(schema)))?;
            }
        }
    }
    for (name, resource) in MONITOR_DIRS {
        if fs.arch.monitor(resource).is_none() {
            continue;
        }
        let dir = add(info, name, 0o555, Node::InfoDir)?;
        for (name, file) in MONITOR_FILES {
            add(dir, name, 0o444, Node::InfoFile(file(resource)))?;
        }
        if resource == ResourceId::L3 {
            add_l3_files(fs, dir, &mut add)?;
        }
    }
    op.locked.state.mount.as_mut().ok_or(Errno::ENOENT)?.config_files = config_files;
    Ok(())
}

/// What `L3_MON` has besides.
fn add_l3_files<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    dir: NodeId,
    add: &mut dyn FnMut(NodeId, &'static str, u16, Node) -> Result<NodeId>,
) -> Result<()> {
    for &(name, mode, file) in L3_MONITOR_FILES {
        add(dir, name, mode, Node::InfoFile(file))?;
    }
    for (name, event) in event_config::files(fs) {
        add(dir, name, 0o644, Node::InfoFile(InfoFile::EventConfig(event)))?;
    }
    let Some(counters) = fs.arch.counters() else { return Ok(()) };
    for &(name, mode, file) in COUNTER_FILES {
        add(dir, name, mode, Node::InfoFile(file))?;
    }
    let configs = add(dir, "event_configs", 0o555, Node::InfoDir)?;
    let mode = if counters.configurable { 0o644 } else { 0o444 };
    for event in counters::events(fs) {
        let config = add(configs, event.name(), 0o555, Node::InfoEventDir)?;
        add(config, "event_filter", mode, Node::InfoFile(InfoFile::EventFilter(event)))?;
    }
    Ok(())
}

/// Whether it is known of some bandwidth how the threads of a core share it.
fn throttle_mode_known<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>) -> bool {
    [ResourceId::Mb, ResourceId::Smba].into_iter().any(|resource| {
        fs.arch.control(resource).is_some_and(|control| match control.kind {
            ControlKind::Bandwidth(bandwidth) => bandwidth.throttle_mode.is_some(),
            ControlKind::Cache(_) => false,
        })
    })
}

/// Whether a reading of the file forgets what the last command had to say, as commands do: it has something to say itself.
pub(crate) const fn read_clears_status(file: InfoFile) -> bool {
    matches!(
        file,
        InfoFile::AvailableMbmCntrs | InfoFile::MbmAssignOnMkdir | InfoFile::EventFilter(_) | InfoFile::IoAllocCbm(_)
    )
}

/// Prints a file.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, file: InfoFile, out: &mut dyn TextOut) -> Shown {
    let fs = op.fs;
    match file {
        InfoFile::LastCmdStatus => op.state().status.show(out)?,
        InfoFile::NumClosids(schema) => line_of(out, schema::num_closid(fs, schema))?,
        InfoFile::CbmMask(schema) => line_of_hex(out, cache(fs, schema)?.full_mask())?,
        InfoFile::MinCbmBits(schema) => line_of(out, cache(fs, schema)?.min_cbm_bits)?,
        InfoFile::ShareableBits(schema) => line_of_hex(out, cache(fs, schema)?.shareable_bits)?,
        InfoFile::BitUsage(schema) => show_bit_usage(op, schema, out)?,
        InfoFile::SparseMasks(schema) => line_of(out, cache(fs, schema)?.sparse_masks)?,
        InfoFile::MinBandwidth(schema) => line_of(out, bandwidth(fs, schema)?.min_bw)?,
        InfoFile::BandwidthGran(schema) => line_of(out, bandwidth(fs, schema)?.bw_gran)?,
        InfoFile::DelayLinear(schema) => line_of(out, bandwidth(fs, schema)?.delay_linear)?,
        InfoFile::ThreadThrottleMode(schema) => out.write_str(match bandwidth(fs, schema)?.throttle_mode {
            Some(ThrottleMode::Max) => "max\n",
            Some(ThrottleMode::PerThread) => "per-thread\n",
            None => "undefined\n",
        })?,
        InfoFile::IoAlloc(schema) => io_alloc::show(op, schema, out)?,
        InfoFile::IoAllocCbm(schema) => io_alloc::show_masks(op, schema, out)?,
        InfoFile::NumRmids(resource) => {
            let monitor = fs.arch.monitor(resource).ok_or(Errno::ENOENT)?;
            line_of(out, monitor.num_rmid)?;
        }
        InfoFile::MonFeatures(resource) => {
            let monitor = fs.arch.monitor(resource).ok_or(Errno::ENOENT)?;
            together(out, |out| {
                monitor.events.iter().try_for_each(|event| {
                    out.text(event.name())?.text("\n")?;
                    let config = event_config::feature(fs, event);
                    config.map_or(Ok(()), |config| out.text(config)?.end_line())
                })
            })?;
        }
        InfoFile::MaxThresholdOccupancy => line_of(out, op.state().threshold)?,
        InfoFile::MbmAssignMode => assign_mode::show(op, out)?,
        InfoFile::NumMbmCntrs => counters::show_count(op, out)?,
        InfoFile::AvailableMbmCntrs => counters::show_available(op, out)?,
        InfoFile::MbmAssignOnMkdir => assign_mode::show_on_mkdir(op, out)?,
        InfoFile::EventFilter(event) => event_filter::show(op, event, out)?,
        InfoFile::EventConfig(event) => event_config::show(op, event, out)?,
    }
    Ok(())
}

fn control<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, schema: SchemaId) -> Result<Control> {
    fs.arch.control(schema.resource).ok_or(Errno::ENOENT)
}

fn cache<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, schema: SchemaId) -> Result<CacheControl> {
    match control(fs, schema)?.kind {
        ControlKind::Cache(cache) => Ok(cache),
        ControlKind::Bandwidth(_) => Err(Errno::ENOENT),
    }
}

fn bandwidth<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, schema: SchemaId) -> Result<BandwidthControl> {
    match control(fs, schema)?.kind {
        ControlKind::Bandwidth(bandwidth) => Ok(bandwidth),
        ControlKind::Cache(_) => Err(Errno::ENOENT),
    }
}

/// Prints for each bit of each domain who uses it.
fn show_bit_usage<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId, out: &mut dyn TextOut) -> Shown {
    let fs = op.fs;
    let cache = cache(fs, schema)?;
    let state = op.state();
    let domains = &state.ctrl_domains[schema.resource.index()];
    together(out, |out| {
        let mut separator = "";
        for domain in domains {
            let locked = fs.regions.lock().locked_bits(schema.resource, domain.id);
            let (mut shared, mut exclusive) = (0, 0);
            let devices = schema::devices(fs, schema.resource)
                .map_or(0, |closid| fs.arch.control_value(schema.resource, &domain.arch, closid, schema.conf_type));
            let hardware = cache.shareable_bits | devices;
            for group in &state.groups {
                let mask = fs.arch.control_value(schema.resource, &domain.arch, group.closid, schema.conf_type);
                match group.mode {
                    Mode::Using(Sharing::Shareable) => shared |= mask,
                    Mode::Using(Sharing::Exclusive) => exclusive |= mask,
                    // The one fills nothing yet, the other nothing any more.
                    Mode::PseudoLocksetup | Mode::PseudoLocked(_) => {}
                }
            }
            out.text(separator)?.decimal(domain.id.0)?.text("=")?;
            for bit in (0..cache.cbm_len).rev().map(|place| 1_u32.checked_shl(place).unwrap_or(0)) {
                let [hardware, shared, exclusive, locked] =
                    [hardware, shared, exclusive, locked].map(|bits| bits & bit != 0);
                out.text(Users { hardware, shared, exclusive, locked }.letter())?;
            }
            separator = ";";
        }
        out.end_line()
    })
}

/// Who may fill what a bit of a mask stands for.
struct Users {
    /// Other hardware, devices too.
    hardware: bool,
    /// A group that shares.
    shared: bool,
    /// A group that does not.
    exclusive: bool,
    /// Nobody, because of what is locked there.
    locked: bool,
}

impl Users {
    /// The letter for it.
    const fn letter(self) -> &'static str {
        match (self.hardware, self.shared, self.exclusive, self.locked) {
            (true, true, ..) => "X",
            (true, false, ..) => "H",
            (false, true, ..) => "S",
            (false, false, true, _) => "E",
            (false, false, false, true) => "P",
            (false, false, false, false) => "0",
        }
    }
}

/// Carries out what is written into one of the files that take commands.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, file: InfoFile, data: &[u8]) -> Done {
    match file {
        InfoFile::MaxThresholdOccupancy => write_threshold(op, data),
        InfoFile::MbmAssignMode => assign_mode::write(op, data),
        InfoFile::MbmAssignOnMkdir => assign_mode::write_on_mkdir(op, data),
        InfoFile::EventFilter(event) => event_filter::write(op, event, data),
        InfoFile::EventConfig(event) => event_config::write(op, event, data),
        InfoFile::IoAlloc(schema) => io_alloc::write(op, schema, data),
        InfoFile::IoAllocCbm(schema) => io_alloc::write_masks(op, schema, data),
        _ => Err(op.refuse(Errno::EINVAL, NO_COMMANDS)),
    }
}

/// Sets how many bytes of the cache a freed RMID may still occupy to count as clean.
fn write_threshold<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, data: &[u8]) -> Done {
    let bounds = op.arch().occupancy_threshold();
    let state = op.state();
    let bytes = parse_u32(until_nul(data), 0)
        .map_err(|errno| state.status.refuse(errno, "max_threshold_occupancy: Invalid input\n"))?;
    if bytes > bounds.limit {
        let limit = bounds.limit;
        let why = format_args!("max_threshold_occupancy: Exceeds limit (before adjustment) of {limit} bytes\n");
        return Err(state.status.refuse_with(Errno::EINVAL, why));
    }
    state.threshold = bytes - bytes % bounds.unit.max(1);
    Ok(())
}
