// SPDX-License-Identifier: GPL-2.0-only
//! Mounting and unmounting.

use core::fmt;

use resctrl_types::arch::MonId;
use resctrl_types::platform::Mutex;
use resctrl_types::resource::{ControlKind, Scope};
use resctrl_types::{Arch, Closid, CpuId, CpuMask, Errno, KBox, Platform, Ref, ResourceId, Result, Rmid, Switch};

use crate::ctrlmondata::{io_alloc, schema};
use crate::data::closid::ClosidMap;
use crate::data::domain::MBPS_UNLIMITED;
use crate::data::group::{CtrlGroup, Groups, Mode, MonGroup};
use crate::data::options::MountOptions;
use crate::data::regions::{Departure, MAX_REGIONS};
use crate::data::rmid::RmidTable;
use crate::data::state::Mount;
use crate::data::state::{Op, Resctrl};
use crate::monitor::{counters, limbo, mba_sc, mon_data, read, worker};
use crate::nodes::{GroupId, Node};
use crate::rdtgroup::mkdir::{self, Kind};
use crate::rdtgroup::tasks;
use crate::text::TextOut;
use crate::tree::{Name, NewNode};
use crate::{hotplug, info};

/// Why an option is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionError {
    /// There is no such option.
    Unknown,
    /// The machine cannot; `EINVAL` with this text for the mounter.
    Refused(&'static str),
}

const MBA_MBPS_NEEDS: &str = "mba_MBps requires MBM (mbm_event mode not supported) and linear scale MBA at L3 scope";

impl CtrlGroup {
    /// The default group, as it is before the first mount.
    pub(crate) fn default_group(nr_cpu_ids: u32) -> Result<Self> {
        Ok(CtrlGroup {
            id: GroupId::DEFAULT,
            name: Name::from(""),
            closid: Closid::RESERVED,
            rmid: Rmid::RESERVED,
            cpus: CpuMask::new(nr_cpu_ids)?,
            mode: Mode::SHAREABLE,
            mba_event: None,
            children: Groups::new(),
            mon_data: None,
        })
    }
}

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// Takes a mount option. All of them are flags without a value.
    ///
    /// # Errors
    /// See [`OptionError`].
    pub fn parse_option(&self, options: &mut MountOptions, key: &str) -> Result<(), OptionError> {
        match key {
            "cdp" => options.cdp = true,
            "cdpl2" => options.cdpl2 = true,
            "mba_MBps" if self.can_mba_sc() => options.mba_mbps = true,
            "mba_MBps" => return Err(OptionError::Refused(MBA_MBPS_NEEDS)),
            "debug" => options.debug = true,
            _ => return Err(OptionError::Unknown),
        }
        Ok(())
    }

    /// Whether the software bandwidth controller can work here: every group's bandwidth is counted, where it is controlled,
    /// and the control is linear.
    pub(crate) fn can_mba_sc(&self) -> bool {
        let Some(mb) = self.arch.control(ResourceId::Mb) else { return false };
        let ControlKind::Bandwidth(bandwidth) = mb.kind else { return false };
        let scope = self.arch.monitor(ResourceId::L3).map(|monitor| monitor.scope);
        let counted = self.has_mbm() && self.arch.counters().is_none();
        counted && bandwidth.delay_linear && scope == Some(mb.scope) && mb.scope == Scope::L3Cache
    }

    /// Mounts the file system: applies the options, builds the tree, starts the overflow workers.
    ///
    /// # Errors
    /// `ENODEV` when the hardware has failed, `EBUSY` when it is mounted already, `EINVAL` or `EOPNOTSUPP` when the machine
    /// refuses an option, `ENOMEM`; everything is as before.
    pub fn mount(this: &Ref<Self>, options: &MountOptions) -> Result<()> {
        prepare_first(this)?;
        Self::locked_op(this, |op| {
            if this.arch.has_failed() || op.state().online.failed() {
                return Err(Errno::ENODEV);
            }
            if op.state().mount.is_some() {
                return Err(Errno::EBUSY);
            }
            if this.mon_capable() && op.state().rmids.is_none() {
                op.state().rmids = Some(RmidTable::for_arch(&this.arch)?);
            }
            tasks::begin(op);
            let built = apply_options(op, options).and_then(|()| build(op, options));
            if let Err(errno) = built {
                counters::release_all(op);
                take_down(op);
                disable_options(op);
                return Err(errno);
            }
            if this.has_mbm() {
                let (key, state) = (&mut op.locked.key, &op.locked.state);
                worker::arm_overflow(key, state);
            }
            op.state().status.clear();
            Ok(())
        })
    }

    /// Unmounts: everything back to the default group and every control value back to its default. The overflow workers
    /// notice by themselves; the limbo workers go on.
    pub fn unmount(this: &Ref<Self>) {
        // Those that are there go first, so that their names are free when the next mount can have groups of these names; and
        // afterwards what has been locked in between.
        let before = Self::locked_op(this, |op| op.state().mount.as_ref().map(|_| this.regions.lock().depart_all()));
        finish_all(this, before);
        let between = unmount_with(this, |_| ());
        finish_all(this, between);
    }

    /// Prints the active options as `/proc/mounts` shows them. Waits for nobody: whoever reads that file waits for all
    /// mounts.
    ///
    /// # Errors
    /// When `out` is full.
    pub fn show_options(&self, out: &mut dyn TextOut) -> fmt::Result {
        self.shown.show(out)
    }
}

/// Unmounts what is mounted and does something more, as one piece. Regions have not gone before [`finish_all`].
pub(crate) fn unmount_with<A: Arch<P>, P: Platform>(
    this: &Ref<Resctrl<A, P>>,
    more: impl FnOnce(&mut Op<'_, A, P>),
) -> Option<[Option<Departure<P>>; MAX_REGIONS]> {
    Resctrl::locked_op(this, |op| {
        let departures = op.state().mount.is_some().then(|| {
            // Values and counters first: the meaning of their numbers changes with CDP.
            reset_controls(op);
            counters::release_all(op);
            disable_options(op);
            remove_all_groups(op);
            take_down(op);
            this.regions.lock().depart_all()
        });
        more(op);
        departures
    })
}

/// Removes the nodes of regions whose groups have gone. Without a lock.
pub(crate) fn finish_all<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    departures: Option<[Option<Departure<P>>; MAX_REGIONS]>,
) {
    for departure in departures.into_iter().flatten().flatten() {
        departure.finish(&fs.regions);
    }
}

/// Before the file system is first mounted: lets the architecture look for what it could not find any earlier, and makes
/// domains of it around the CPUs that are there. Somebody who mounts meanwhile waits.
///
/// # Errors
/// `ENOMEM`; the next mount tries again.
fn prepare_first<A: Arch<P>, P: Platform>(fs: &Ref<Resctrl<A, P>>) -> Result<()> {
    let mut done = fs.first_mount.lock();
    if *done {
        return Ok(());
    }
    fs.arch.pre_mount(&fs.platform)?;
    Resctrl::locked_op(fs, |op| {
        let state = &mut op.locked.state;
        let mut cpus = (0..fs.platform.nr_cpu_ids()).map(CpuId);
        cpus.try_for_each(|cpu| {
            if state.online.mask().contains(cpu) { hotplug::join_package(fs, state, cpu) } else { Ok(()) }
        })
    })?;
    *done = true;
    Ok(())
}

fn apply_options<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, options: &MountOptions) -> Result<()> {
    if options.cdpl2 {
        set_cdp(op, ResourceId::L2, Switch::On)?;
    }
    if options.cdp {
        set_cdp(op, ResourceId::L3, Switch::On)?;
    }
    if options.mba_mbps && !op.fs.can_mba_sc() {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

fn set_cdp<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, resource: ResourceId, cdp: Switch) -> Result<()> {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    arch.set_cdp(platform, cpus, resource, cdp)?;
    for domain in &mut op.state().ctrl_domains[resource.index()] {
        let domain = &mut **domain;
        arch.program_cdp(platform, cpus, resource, &mut domain.arch, &domain.cpus);
    }
    Ok(())
}

/// Devices' cache, CDP and the bandwidth controller off; targets forgotten.
fn disable_options<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    // First: which CLOSID devices have depends on CDP.
    io_alloc::disable_all(op);
    for resource in [ResourceId::L3, ResourceId::L2] {
        if op.arch().cdp_enabled(resource) {
            // Disabling cannot fail, by the contract of `set_cdp`.
            let _ = set_cdp(op, resource, Switch::Off);
        }
    }
    for domain in &mut op.state().ctrl_domains[ResourceId::Mb.index()] {
        domain.mbps.fill(MBPS_UNLIMITED);
    }
    if let Some(mount) = &mut op.state().mount {
        mount.mba_sc = false;
        mount.debug = false;
    }
    for group in &mut op.state().groups {
        group.mba_event = None;
    }
}

/// Every CLOSID of every domain to its default.
fn reset_controls<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    for resource in ResourceId::ALL.into_iter().filter(|&resource| arch.control(resource).is_some()) {
        for domain in &mut op.state().ctrl_domains[resource.index()] {
            let domain = &mut **domain;
            arch.reset(platform, cpus, resource, &mut domain.arch, &domain.cpus);
        }
        arch.reset_away(platform, cpus, op.state().online.mask(), resource, None);
    }
}

/// Builds schemas, CLOSIDs and the tree of the default group. On failure [`take_down`] removes what there is.
fn build<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, options: &MountOptions) -> Result<()> {
    let fs = op.fs;
    let schemas = schema::build(fs)?;
    let width = schema::width(fs, &schemas);
    let usable = schemas.iter().map(|&schema| schema::num_closid(fs, schema)).min();
    let closids = ClosidMap::new(usable.unwrap_or(0))?;
    let (owner, now) = (fs.platform.owner(), fs.platform.now());
    let dir = |name, content| NewNode { name: Name::from(name), content, mode: 0o555, owner, now };
    let mut branch = fs.tree.branch(dir("", Node::Root))?;
    let mba_sc = options.mba_mbps;
    op.state().column_width = op.state().column_width.max(width);
    op.state().mount = Some(Mount { schemas, closids, mba_sc, debug: options.debug, config_files: Default::default() });
    let group = op.state().default_group();
    group.mode = Mode::SHAREABLE;
    group.mba_event = if mba_sc { mba_sc::default_event(fs) } else { None };

    mkdir::add_files(op, GroupId::DEFAULT, Kind::Ctrl, &mut branch)?;
    info::build(op, &mut branch)?;
    if fs.mon_capable() {
        let root = branch.top();
        fs.tree.grow(&mut branch, root, dir("mon_groups", Node::MonGroups(GroupId::DEFAULT)))?;
        if let Some(who) = op.state().default_group().monitored() {
            counters::assign_to_new(op, who);
        }
        let mon_data = fs.tree.grow(&mut branch, root, dir("mon_data", Node::MonData(GroupId::DEFAULT)))?;
        op.state().default_group().mon_data = Some(mon_data);
        mon_data::add_all(fs, &op.locked.state, GroupId::DEFAULT, &mut branch, mon_data, 0o555)?;
        read::rebase_everywhere(op, Closid::RESERVED, Rmid::RESERVED)?;
    }
    fs.tree.plant(branch)?;
    fs.shown.set(options);
    Ok(())
}

/// The tree, the schemas and the CLOSIDs go.
fn take_down<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    let fs = op.fs;
    op.state().mount = None;
    let group = op.state().default_group();
    group.mode = Mode::SHAREABLE;
    group.mon_data = None;
    group.mba_event = None;
    fs.shown.set(&MountOptions::default());
    let root = fs.tree.read().root();
    if let Some(root) = root {
        fs.tree.remove(root);
    }
}

/// Tasks, CPUs and RMIDs of every group back to the default group, whose directory stays.
fn remove_all_groups<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    let fs = op.fs;
    tasks::move_all_to_default(fs);
    while op.state().groups.len() > 1 {
        let group = op.state().groups.remove(0);
        free_children(op, group.closid, &group.children);
        if let Some(who) = group.monitored() {
            limbo::free_rmid(op, who.id);
        }
        let default = op.state().default_group();
        default.cpus.union_with(&group.cpus);
    }
    let children = core::mem::take(&mut op.state().default_group().children);
    free_children(op, Closid::RESERVED, &children);
    let default = MonId { closid: Closid::RESERVED, rmid: Rmid::RESERVED };
    for cpu in op.locked.state.online.mask().iter() {
        tasks::set_cpu_default(fs, cpu, default);
    }
    tasks::refresh(op.fs, op.cpus, op.locked.state.online.mask());
    op.state().switches = None;
}

fn free_children<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, closid: Closid, children: &[KBox<MonGroup>]) {
    for child in children {
        limbo::free_rmid(op, MonId { closid, rmid: child.rmid });
    }
}
