// SPDX-License-Identifier: GPL-2.0-only
//! Cache for devices: the files `io_alloc` and `io_alloc_cbm` of a cache.
//!
//! Devices fill the cache with the masks of one CLOSID, the highest of the resource. While it is theirs no group gets it; under
//! CDP its code and data masks are kept the same, and either directory shows them. Nothing of it outlives the mount: the
//! CLOSIDs of the next one would not know that it is taken.

use resctrl_types::resource::{CacheControl, ControlKind};
use resctrl_types::{Arch, Closid, ConfType, Errno, Platform, ResourceId, Result, Switch};

use super::initial;
use super::live::{self, Live};
use super::{parse, schema};
use crate::data::group::Mode;
use crate::data::state::{Op, Resctrl, State};
use crate::nodes::SchemaId;
use crate::status::{Done, Refusal};
use crate::text::Shown;
use crate::text::{TextOut, parse_bool, strip_newline, together, until_nul};

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
fn require_capable<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId) -> Done<bool> {
    op.arch().io_alloc(schema.resource).ok_or_else(|| not_supported(op, schema))
}

fn not_supported<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId) -> Refusal {
    let name = schema.name();
    op.state().status.refuse_with(Errno::ENODEV, format_args!("io_alloc is not supported on {name}\n"))
}

/// The cache that devices are to have a part of.
///
/// # Errors
/// As [`require_capable`].
fn require_cache<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId) -> Done<CacheControl> {
    match op.arch().control(schema.resource).map(|control| control.kind) {
        Some(ControlKind::Cache(cache)) => Ok(cache),
        _ => Err(not_supported(op, schema)),
    }
}

/// The CLOSID of devices.
///
/// # Errors
/// `ENODEV` where they cannot have one, `EINVAL` where they have none, with words in the status.
fn require_enabled<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId) -> Done<Closid> {
    if !require_capable(op, schema)? {
        let why = format_args!("io_alloc is not enabled on {}\n", schema.name());
        return Err(op.state().status.refuse_with(Errno::EINVAL, why));
    }
    Ok(schema::device_closid(op.fs, schema.resource))
}

/// Carries out a write to `io_alloc`.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId, data: &[u8]) -> Done {
    let fs = op.fs;
    let Some(enable) = parse_bool(until_nul(data)) else {
        return Err(op.refuse(Errno::EINVAL, "io_alloc: Invalid input\n"));
    };
    if require_capable(op, schema)? == enable {
        return Ok(());
    }
    let closid = schema::device_closid(fs, schema.resource);
    if !op.state().mounted()?.closids.contains(closid) {
        let why = format_args!("io_alloc CLOSID (ctrl_hw_id) {closid} is not available\n");
        return Err(op.state().status.refuse_with(Errno::EINVAL, why));
    }
    if !enable {
        set(op, schema.resource, Switch::Off)
            .map_err(|errno| op.failed(errno, format_args!("disable io_alloc on {}", schema.name())))?;
        release(op, closid);
        return Ok(());
    }
    let closids = &mut op.state().mounted()?.closids;
    if !closids.is_free(closid) {
        return Err(taken(op, closid));
    }
    closids.take(closid);
    start(op, schema, closid).inspect_err(|_| release(op, closid))
}

/// Programs the masks with which devices start, then lets them use the CLOSID, which is taken for them.
fn start<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId, closid: Closid) -> Done {
    let cache = require_cache(op, schema)?;
    initial::init_devices(op, schema, &cache, closid)?;
    set(op, schema.resource, Switch::On).map_err(|errno| op.refuse(errno, "Failed to enable io_alloc feature\n"))
}

/// Tells the architecture, and every domain.
fn set<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, resource: ResourceId, enable: Switch) -> Result<()> {
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
fn taken<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, closid: Closid) -> Refusal {
    let State { groups, status, .. } = op.state();
    let name = groups.iter().find(|group| group.closid == closid).map_or(&b"another"[..], |group| &group.name);
    status.format(format_args!("CLOSID (ctrl_hw_id) {closid} for io_alloc is used by "));
    status.refuse_quoting(Errno::ENOSPC, "", name, " group\n")
}

/// Devices have no cache of their own any more. Values are not touched.
pub(crate) fn disable_all<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>) {
    for resource in ResourceId::ALL {
        if let Some(closid) = schema::devices(op.fs, resource) {
            // Disabling cannot fail, by the contract of `set_io_alloc`.
            let _ = set(op, resource, Switch::Off);
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
    let domains = &op.state().ctrl_domains[schema.resource.index()];
    together(out, |out| {
        let mut separator = "";
        for domain in domains {
            let mask = fs.arch.control_value(schema.resource, &domain.arch, closid, schema.conf_type);
            out.text(separator)?.decimal(domain.id.0)?.text("=")?.hex(mask)?;
            separator = ";";
        }
        out.end_line()
    })
}

/// Carries out a write to `io_alloc_cbm`: all of it or, if there is a mistake in it, nothing.
pub(crate) fn write_masks<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, schema: SchemaId, data: &[u8]) -> Done {
    let (fs, cpus) = (op.fs, op.cpus);
    let Some(text) = strip_newline(data) else {
        return Err(op.refuse(Errno::EINVAL, "io_alloc_cbm: Invalid input\n"));
    };
    let closid = require_enabled(op, schema)?;
    let cache = require_cache(op, schema)?;
    let state = op.state();
    let (devices, status) = Live::new(fs, state, closid, Mode::SHAREABLE)?;
    let staged = parse::masks(&devices, schema, &cache, text);
    let mut staged = staged.map_err(|mistake| mistake.report(status))?;
    // Code and data are kept the same.
    if schema.conf_type != ConfType::Both {
        let peer = SchemaId { conf_type: schema.conf_type.peer(), ..schema };
        for place in 0..staged.len() {
            let twin = parse::Staged { schema: peer, ..staged[place] };
            staged.push(twin).map_err(|_| status.out_of_memory())?;
        }
    }
    live::apply(fs, cpus, state, closid, &mut staged)
}
