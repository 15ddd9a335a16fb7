// SPDX-License-Identifier: GPL-2.0-only
//! From a mask that has been programmed to a region that is in the cache.

use resctrl_types::cache::CacheLevel;
use resctrl_types::platform::{LogLevel, Mutex};
use resctrl_types::pseudo_lock::{LatencyError, PseudoLocking, ThreadError, ThreadKind};
use resctrl_types::resource::{ControlKind, Scope};
use resctrl_types::{Arch, CpuId, CpuMask, Errno, KVec, Platform, Ref};

use crate::ctrlmondata::parse::Staged;
use crate::ctrlmondata::schema::mask_size;
use crate::data::group::Mode;
use crate::data::regions::{Nodes, Part, Region, Slot, offline};
use crate::data::state::Op;
use crate::status::{Done, Refusal};
use crate::tree::NodeId;

/// Sets up the region of the group at `ctrl`, whose directory is `dir`, in the part of the cache that `staged` names and
/// that is the group's by now.
///
/// # Errors
/// With a reason in the status. The group stays as it was, with what was programmed for its CLOSID; of the region
/// nothing is left.
pub(crate) fn create<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, dir: NodeId, staged: Staged) -> Done {
    let (fs, cpus) = (op.fs, op.cpus);
    // No group gets so far without.
    let Some(kernel) = fs.platform.pseudo_locking() else {
        return Err(op.refuse(Errno::EOPNOTSUPP, "Pseudo-locking not supported\n"));
    };
    let resource = staged.schema.resource;
    let closid = op.state().groups[ctrl].closid;
    let mut mask = CpuMask::new(fs.platform.nr_cpu_ids()).map_err(|_| op.out_of_memory())?;
    let state = op.state();
    let domain = state.ctrl_domains[resource.index()].get(staged.domain);
    let Some((domain, cpu)) = domain.and_then(|domain| Some((domain, domain.cpus.first()?))) else {
        return Err(offline(&mut state.status));
    };
    let part = Part { schema: staged.schema, domain: domain.id, cbm: staged.value };
    mask.copy_from(&domain.cpus);

    let region = allocate(op, kernel, staged, cpu, &mask)?;
    let mut lock = |here: resctrl_types::Pinned<'_>| {
        fs.arch.pseudo_lock(&fs.platform, kernel, here, &region.memory, region.line_size, closid);
    };
    kernel.run_thread(cpus, cpu, ThreadKind::Lock, &mut lock).map_err(|error| match error {
        ThreadError::Creation(errno) => {
            let why = format_args!("Locking thread returned error {}\n", errno.to_ret());
            op.state().status.refuse_with(errno, why)
        }
        ThreadError::Interrupted => op.refuse(Errno::ERESTARTSYS, "Locking thread interrupted\n"),
    })?;
    let Some(minor) = fs.regions.lock().free_minor() else {
        return Err(op.refuse(Errno::ENOSPC, "Unable to obtain a new minor number\n"));
    };
    let name = fs.target(dir).map_err(|errno| op.failed(errno, format_args!("find the group's name")))?.group_name;
    // The rdtgroup mutex stays held meanwhile, unlike in the kernel: nothing that making a device waits for waits for it,
    // since mapping takes the mutex of the regions only. So the group cannot go in between, nor the number be taken.
    let nodes = kernel.nodes(minor.0, &name).map_err(|errno| {
        let why = format_args!("Failed to create character device: {}\n", errno.to_ret());
        op.state().status.refuse_with(errno, why)
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
) -> Done<Ref<Region<P>>> {
    let platform = op.platform();
    let control = op.arch().control(staged.schema.resource);
    let (control, level) = match control.map(|control| (control, control.scope, control.kind)) {
        Some((control, Scope::L2Cache, ControlKind::Cache(_))) => (control, CacheLevel::L2),
        Some((control, Scope::L3Cache, ControlKind::Cache(_))) => (control, CacheLevel::L3),
        _ => {
            platform.log(LogLevel::Warn, format_args!("a region can only be locked into a level 2 or level 3 cache"));
            return Err(op.refuse(Errno::ENODEV, "Can only pseudo-lock L2 and L3 caches\n"));
        }
    };
    let Some(line_size) = kernel.cache_line(cpu, level) else {
        return Err(op.refuse(Errno::EPERM, "Unable to determine cache line size\n"));
    };
    let size = {
        let domain = op.state().ctrl_domains[staged.schema.resource.index()].get(staged.domain);
        domain.map_or(0, |domain| mask_size(&control, domain, staged.value))
    };
    if size > kernel.max_memory() {
        return Err(op.refuse(Errno::E2BIG, "Requested region exceeds maximum size\n"));
    }
    let memory = kernel.memory(size.max(1)).map_err(|errno| op.refuse(errno, "Unable to allocate memory\n"))?;
    let mut limits = KVec::with_capacity(mask.len() as usize).map_err(|_| no_limits(op))?;
    for cpu in mask.iter() {
        match kernel.limit_latency(cpu) {
            // There is room.
            Ok(limit) => limits.push(limit).map_err(|_| no_limits(op))?,
            Err(LatencyError::NoMemory) => return Err(no_limits(op)),
            Err(LatencyError::Refused) => {
                let why = format_args!("Failed to add latency req CPU{cpu}\n");
                return Err(op.state().status.refuse_with(Errno::EINVAL, why));
            }
        }
    }
    Ref::new(Region { memory, line_size, _limits: limits }).map_err(|_| op.out_of_memory())
}

/// The kernel's errno for want of memory here is `EINVAL`.
fn no_limits<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) -> Refusal {
    op.refuse(Errno::EINVAL, "Failure to allocate memory for PM QoS\n")
}
