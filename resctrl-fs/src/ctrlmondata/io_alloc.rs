// SPDX-License-Identifier: GPL-2.0-only
//! Cache for devices: the files `io_alloc` and `io_alloc_cbm` of a cache.
//!
//! Devices fill the cache with the masks of one CLOSID, the highest of the resource. While it is theirs no group gets it; under
//! CDP its code and data masks are kept the same, and either directory shows them. Nothing of it outlives the mount: the
//! CLOSIDs of the next one would not know that it is taken.

use resctrl_types::resource::ControlKind;
use resctrl_types::{Arch, Closid, ConfType, Errno, Platform, ResourceId, Result};

use super::initial;
use super::live::{self, Live};
use super::{parse, schema};
use crate::data::group::Mode;
use crate::data::state::{Op, Resctrl, State};
use crate::nodes::SchemaId;
use crate::text::Shown;
use crate::text::{TextOut, parse_bool, strip_newline, until_nul};

/// Whether the caches have these files. Every cache does if the L3 can give devices a part.
pub(crate) fn capable<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>) -> bool {
    fs.arch.io_alloc(ResourceId::L3).is_some()
}

/// Prints `io_alloc`.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &Op<'_, A, P>, schema: SchemaId, out: &mut dyn TextOut) -> Shown {
    out.write_str(match op.arch().io_alloc(schema.resource) {
        Some(true) => "enabled\n",
        Some(false) => "disabled\n",
        None => "not supported\n",
    })?;
    Ok(())
}

/// Whether devices have a part of this cache.
///
/// # Errors
/// `ENODEV` with words in the status where they cannot.
fn require_capable<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId) -> Result<bool> {
    op.arch().io_alloc(schema.resource).ok_or_else(|| {
        let name = schema.name();
        op.state().status.format(format_args!("io_alloc is not supported on {name}\n"));
        Errno::ENODEV
    })
}

/// The CLOSID of devices.
///
/// # Errors
/// `ENODEV` where they cannot have one, `EINVAL` where they have none, with words in the status.
fn require_enabled<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId) -> Result<Closid> {
    if !require_capable(op, schema)? {
        let name = schema.name();
        op.state().status.format(format_args!("io_alloc is not enabled on {name}\n"));
        return Err(Errno::EINVAL);
    }
    Ok(schema::device_closid(op.fs, schema.resource))
}

/// Carries out a write to `io_alloc`.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId, data: &[u8]) -> Result<()> {
    let fs = op.fs;
    let Some(enable) = parse_bool(until_nul(data)) else {
        op.state().status.text("io_alloc: Invalid input\n");
        return Err(Errno::EINVAL);
    };
    if require_capable(op, schema)? == enable {
        return Ok(());
    }
    let closid = schema::device_closid(fs, schema.resource);
    let state = op.state();
    let mount = state.mount.as_mut().ok_or(Errno::ENOENT)?;
    if !mount.closids.contains(closid) {
        state.status.format(format_args!("io_alloc CLOSID (ctrl_hw_id) {closid} is not available\n"));
        return Err(Errno::EINVAL);
    }
    if !enable {
        set(op, schema.resource, false)?;
        release(op, closid);
        return Ok(());
    }
    if !mount.closids.is_free(closid) {
        say_taken(op, closid);
        return Err(Errno::ENOSPC);
    }
    mount.closids.take(closid);
    start(op, schema, closid).inspect_err(|_| release(op, closid))
}

/// Programs the masks with which devices start, then lets them use the CLOSID, which is taken for them.
fn start<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId, closid: Closid) -> Result<()> {
    let kind = op.arch().control(schema.resource).map(|control| control.kind);
    let Some(ControlKind::Cache(cache)) = kind else { return Err(Errno::ENODEV) };
    initial::init_devices(op, schema, &cache, closid).inspect_err(|_| {
        op.state().status.text("Failed to initialize io_alloc allocations\n");
    })?;
    set(op, schema.resource, true).inspect_err(|_| {
        op.state().status.text("Failed to enable io_alloc feature\n");
    })
}

/// Tells the architecture, and every domain.
fn set<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, resource: ResourceId, enable: bool) -> Result<()> {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    arch.set_io_alloc(resource, enable)?;
    for domain in &mut op.state().ctrl_domains[resource.index()] {
        let domain = &mut **domain;
        arch.program_io_alloc(platform, cpus, resource, &mut domain.arch, &domain.cpus);
    }
    Ok(())
}

fn release<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, closid: Closid) {
    if let Some(mount) = &mut op.state().mount {
        mount.closids.release(closid);
    }
}

/// Says which group has the CLOSID; `another` when no group does.
fn say_taken<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, closid: Closid) {
    let State { groups, status, .. } = op.state();
    let name = groups.iter().find(|group| group.closid == closid).map_or(&b"another"[..], |group| &group.name);
    status.format(format_args!("CLOSID (ctrl_hw_id) {closid} for io_alloc is used by "));
    status.quote("", name, " group\n");
}

/// Devices have no cache of their own any more. Values are not touched.
pub(crate) fn disable_all<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    for resource in ResourceId::ALL {
        if let Some(closid) = schema::devices(op.fs, resource) {
            // Disabling cannot fail, by the contract of `set_io_alloc`.
            let _ = set(op, resource, false);
            release(op, closid);
        }
    }
}

/// Prints `io_alloc_cbm`.
pub(crate) fn show_masks<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    schema: SchemaId,
    out: &mut dyn TextOut,
) -> Shown {
    let fs = op.fs;
    let closid = require_enabled(op, schema)?;
    let mut separator = "";
    for domain in &op.state().ctrl_domains[schema.resource.index()] {
        let mask = fs.arch.control_value(schema.resource, &domain.arch, closid, schema.conf_type);
        write!(out, "{separator}{}={mask:x}", domain.id)?;
        separator = ";";
    }
    Ok(out.write_str("\n")?)
}

/// Carries out a write to `io_alloc_cbm`: all of it or, if there is a mistake in it, nothing.
pub(crate) fn write_masks<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId, data: &[u8]) -> Result<()> {
    let (fs, cpus) = (op.fs, op.cpus);
    let Some(text) = strip_newline(data) else {
        op.state().status.text("io_alloc_cbm: Invalid input\n");
        return Err(Errno::EINVAL);
    };
    let closid = require_enabled(op, schema)?;
    let kind = fs.arch.control(schema.resource).map(|control| control.kind);
    let Some(ControlKind::Cache(cache)) = kind else { return Err(Errno::ENODEV) };
    let state = op.state();
    let (devices, status) = Live::new(fs, state, closid, Mode::SHAREABLE)?;
    let staged = parse::masks(&devices, schema, &cache, text);
    let mut staged = staged.map_err(|mistake| mistake.report(status))?;
    // Code and data are kept the same.
    if schema.conf_type != ConfType::Both {
        let peer = SchemaId { conf_type: schema.conf_type.peer(), ..schema };
        for place in 0..staged.len() {
            let twin = parse::Staged { schema: peer, ..staged[place] };
            staged.push(twin)?;
        }
    }
    live::apply(fs, cpus, state, closid, &mut staged)
}
