// SPDX-License-Identifier: GPL-2.0-only
//! The files `schemata` and `size`.

use resctrl_types::platform::Mutex;
use resctrl_types::pseudo_lock::LockMemory;
use resctrl_types::resource::ControlKind;
use resctrl_types::{Arch, Errno, Platform, ResourceId};

use super::live::{self, Live};
use super::parse;
use super::schema;
use crate::data::group::{CtrlGroup, Mode};
use crate::data::regions::{self, Part, RegionId};
use crate::data::state::Op;
use crate::pseudo_lock;
use crate::status::Done;
use crate::text::Shown;
use crate::text::{TextOut, strip_newline};
use crate::tree::NodeId;

/// What is printed of a control value.
#[derive(Clone, Copy)]
enum Unit {
    /// The value as it is written.
    Value,
    /// The bytes that a mask stands for.
    Size,
    /// Nothing, as yet.
    Nothing,
}

/// Prints what the group has of each schema.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, out: &mut dyn TextOut) -> Shown {
    match op.state().groups[ctrl].mode {
        Mode::Using(_) => show_lines(op, ctrl, Unit::Value, out),
        Mode::PseudoLocksetup => {
            for schema in &op.state().mount()?.schemas {
                writeln!(out, "{}:uninitialized", schema.name())?;
            }
            Ok(())
        }
        Mode::PseudoLocked(region) => {
            let (Part { schema, domain, cbm }, _) = locked_part(op, region)?;
            Ok(writeln!(out, "{}:{domain}={cbm:x}", schema.resource.name())?)
        }
    }
}

/// Prints the same in bytes.
pub(crate) fn show_size<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, out: &mut dyn TextOut) -> Shown {
    match op.state().groups[ctrl].mode {
        Mode::Using(_) => show_lines(op, ctrl, Unit::Size, out),
        Mode::PseudoLocksetup => show_lines(op, ctrl, Unit::Nothing, out),
        Mode::PseudoLocked(region) => {
            let (Part { schema, domain, .. }, size) = locked_part(op, region)?;
            let width = op.state().column_width;
            Ok(writeln!(out, "{:>width$}:{domain}={size}", schema.name())?)
        }
    }
}

/// Where the region of a pseudo-locked group is, and how many bytes it has.
///
/// # Errors
/// `ENODEV`, and the status says so, when its domain went offline.
fn locked_part<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, region: RegionId) -> Done<(Part, u32)> {
    let fs = op.fs;
    let regions = fs.regions.lock();
    let found = regions.of(region).and_then(|slot| slot.part.map(|part| (part, slot.region.memory.size())));
    found.ok_or_else(|| regions::offline(&mut op.state().status))
}

fn show_lines<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, unit: Unit, out: &mut dyn TextOut) -> Shown {
    let fs = op.fs;
    let state = op.state();
    let closid = state.groups[ctrl].closid;
    for &schema in &state.mount()?.schemas {
        let Some(control) = fs.arch.control(schema.resource) else { continue };
        if closid.0 >= schema::num_closid(fs, schema) {
            continue;
        }
        write!(out, "{:>width$}:", schema.name(), width = state.column_width)?;
        let targets = schema.resource == ResourceId::Mb && state.mba_sc();
        let mut separator = "";
        for domain in &state.ctrl_domains[schema.resource.index()] {
            let value = if targets {
                domain.target(closid)
            } else {
                fs.arch.control_value(schema.resource, &domain.arch, closid, schema.conf_type)
            };
            let id = domain.id;
            match (control.kind, unit) {
                (_, Unit::Nothing) => write!(out, "{separator}{id}=0")?,
                (ControlKind::Cache(_), Unit::Value) => write!(out, "{separator}{id}={value:x}")?,
                (ControlKind::Bandwidth(_), _) => write!(out, "{separator}{id}={value}")?,
                (ControlKind::Cache(_), Unit::Size) => {
                    write!(out, "{separator}{id}={}", schema::mask_size(&fs.platform, &control, domain, value))?;
                }
            }
            separator = ";";
        }
        out.write_str("\n")?;
    }
    Ok(())
}

/// Changes what the group has: all of it or, if there is a mistake in it, nothing. Of a group that sets up a pseudo-locked
/// region this makes the region; if that fails, the masks stay.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, dir: NodeId, data: &[u8]) -> Done {
    let (fs, cpus) = (op.fs, op.cpus);
    let state = op.state();
    let Some(text) = strip_newline(data) else {
        return Err(state.status.refuse(Errno::EINVAL, "schemata: Invalid input\n"));
    };
    let CtrlGroup { closid, mode, .. } = *state.groups[ctrl];
    if matches!(mode, Mode::PseudoLocked(_)) {
        return Err(state.status.refuse(Errno::EINVAL, "Resource group is pseudo-locked\n"));
    }
    let (mut group, status) = Live::new(fs, state, closid, mode)?;
    let mut staged = parse::text(&mut group, text).map_err(|mistake| mistake.report(status))?;
    // The last line written is the one that is meant.
    let region = staged.last().copied().filter(|_| mode == Mode::PseudoLocksetup);
    live::apply(fs, cpus, state, closid, &mut staged)?;
    match region {
        Some(region) => pseudo_lock::create(op, ctrl, dir, region),
        None => Ok(()),
    }
}
