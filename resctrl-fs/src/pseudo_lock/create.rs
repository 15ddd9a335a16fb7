// SPDX-License-Identifier: GPL-2.0-only
//! From a mask that has been programmed to a region that is in the cache.

use resctrl_types::platform::{CacheLevel, LogLevel, Mutex};
use resctrl_types::pseudo_lock::{LatencyError, PseudoLocking, ThreadError, ThreadKind};
use resctrl_types::resource::{ControlKind, Scope};
use resctrl_types::{Arch, CpuId, CpuMask, Errno, KVec, Platform, Ref, Result};

use crate::ctrlmondata::parse::Staged;
use crate::ctrlmondata::schema::mask_size;
use crate::data::group::Mode;
use crate::data::regions::{Nodes, Part, Region, Slot};
use crate::data::state::Op;
use crate::tree::NodeId;

/// Sets up the region of the group at `ctrl`, whose directory is `dir`, in the part of the cache that `staged` names and
/// that is the group's by now.
///
/// # Errors
/// With a reason in the status, mostly. The group stays as it was, with what was programmed for its CLOSID; of the region
/// nothing is left.
pub(crate) fn create<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    ctrl: usize,
    dir: NodeId,
    staged: Staged,
) -> Result<()> {
    let (fs, cpus) = (op.fs, op.cpus);
    // No group gets so far without.
    let kernel = fs.platform.pseudo_locking().ok_or(Errno::EOPNOTSUPP)?;
    let resource = staged.schema.resource;
    let closid = op.state().groups[ctrl].closid;
    let domain = op.state().ctrl_domains[resource.index()].get(staged.domain).ok_or(Errno::ENODEV)?;
    let part = Part { schema: staged.schema, domain: domain.id, cbm: staged.value };
    let cpu = domain.cpus.first().ok_or(Errno::ENODEV)?;
    let mut mask = CpuMask::new(fs.platform.nr_cpu_ids())?;
    mask.copy_from(&domain.cpus);

    let region = allocate(op, kernel, staged, cpu, &mask)?;
    let mut lock = |here: resctrl_types::Pinned<'_>| {
        fs.arch.pseudo_lock(&fs.platform, kernel, here, &region.memory, region.line_size, closid);
    };
    kernel.run_thread(cpus, cpu, ThreadKind::Lock, &mut lock).map_err(|error| match error {
        ThreadError::Creation(errno) => {
            op.state().status.format(format_args!("Locking thread returned error {}\n", errno.to_ret()));
            errno
        }
        ThreadError::Interrupted => {
            op.state().status.text("Locking thread interrupted\n");
            Errno::ERESTARTSYS
        }
    })?;
    let Some(minor) = fs.regions.lock().free_minor() else {
        op.state().status.text("Unable to obtain a new minor number\n");
        return Err(Errno::ENOSPC);
    };
    let name = fs.target(dir)?.group_name;
    // The rdtgroup mutex stays held meanwhile, unlike in the kernel: nothing that making a device waits for waits for it,
    // since mapping takes the mutex of the regions only. So the group cannot go in between, nor the number be taken.
    let nodes = kernel.nodes(minor.0, &name).inspect_err(|errno| {
        op.state().status.format(format_args!("Failed to create character device: {}\n", errno.to_ret()));
    })?;
    let id = {
        let mut regions = fs.regions.lock();
        let id = regions.new_id();
        regions.insert(minor, Slot { id, region, part: Some(part), cpus: mask, nodes: Nodes::There(nodes), users: 0 });
        id
    };
    let state = op.state();
    state.groups[ctrl].mode = Mode::PseudoLocked(id);
    if let Some(mount) = &mut state.mount {
        mount.closids.release(closid);
    }
    fs.tree.set_modes(dir, [("cpus", 0o444), ("cpus_list", 0o444)]);
    Ok(())
}

/// Memory for the region, and CPUs that do not flush it.
fn allocate<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    kernel: &P::PseudoLocking,
    staged: Staged,
    cpu: CpuId,
    mask: &CpuMask,
) -> Result<Ref<Region<P>>> {
    let platform = op.platform();
    let control = op.arch().control(staged.schema.resource).ok_or(Errno::ENODEV)?;
    let level = match (control.scope, control.kind) {
        (Scope::L2Cache, ControlKind::Cache(_)) => CacheLevel::L2,
        (Scope::L3Cache, ControlKind::Cache(_)) => CacheLevel::L3,
        _ => {
            platform.log(LogLevel::Warn, format_args!("a region can only be locked into a level 2 or level 3 cache"));
            return Err(Errno::ENODEV);
        }
    };
    let Some(line_size) = kernel.cache_line(cpu, level) else {
        op.state().status.text("Unable to determine cache line size\n");
        return Err(Errno::EPERM);
    };
    let size = {
        let domain = op.state().ctrl_domains[staged.schema.resource.index()].get(staged.domain);
        domain.map_or(0, |domain| mask_size(platform, &control, domain, staged.value))
    };
    if size > kernel.max_memory() {
        op.state().status.text("Requested region exceeds maximum size\n");
        return Err(Errno::E2BIG);
    }
    let memory = kernel.memory(size.max(1)).inspect_err(|_| {
        op.state().status.text("Unable to allocate memory\n");
    })?;
    let mut limits = KVec::with_capacity(mask.len() as usize).map_err(|_| no_limits(op))?;
    for cpu in mask.iter() {
        match kernel.limit_latency(cpu) {
            // There is room.
            Ok(limit) => limits.push(limit)?,
            Err(LatencyError::NoMemory) => return Err(no_limits(op)),
            Err(LatencyError::Refused) => {
                op.state().status.format(format_args!("Failed to add latency req CPU{cpu}\n"));
                return Err(Errno::EINVAL);
            }
        }
    }
    Ref::new(Region { memory, line_size, _limits: limits })
}

/// The kernel's errno for want of memory here is `EINVAL`.
fn no_limits<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) -> Errno {
    op.state().status.text("Failure to allocate memory for PM QoS\n");
    Errno::EINVAL
}
