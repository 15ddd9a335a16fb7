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
use crate::text::{TextOut, strip_newline, together};
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
            let schemas = &op.state().mount()?.schemas;
            together(out, |out| {
                schemas.iter().try_for_each(|schema| out.text(schema.name())?.text(":uninitialized")?.end_line())
            })
        }
        Mode::PseudoLocked(region) => {
            let (Part { schema, domain, cbm }, _) = locked_part(op, region)?;
            together(out, |out| {
                out.text(schema.resource.name())?.text(":")?.decimal(domain.0)?.text("=")?.hex(cbm)?.end_line()
            })
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
            together(out, |out| {
                out.aligned(schema.name(), width)?.text(":")?.decimal(domain.0)?.text("=")?.decimal(size)?.end_line()
            })
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
    let schemas = &state.mount()?.schemas;
    together(out, |out| {
        for &schema in schemas {
            let Some(control) = fs.arch.control(schema.resource) else { continue };
            out.aligned(schema.name(), state.column_width)?.text(":")?;
            let targets = schema.resource == ResourceId::Mb && state.mba_sc();
            let mut separator = "";
            for domain in &state.ctrl_domains[schema.resource.index()] {
                let value = if targets {
                    domain.target(closid)
                } else {
                    fs.arch.control_value(schema.resource, &domain.arch, closid, schema.conf_type)
                };
                out.text(separator)?.decimal(domain.id.0)?.text("=")?;
                match (control.kind, unit) {
                    (_, Unit::Nothing) => out.text("0")?,
                    (ControlKind::Cache(_), Unit::Value) => out.hex(value)?,
                    (ControlKind::Bandwidth(_), _) => out.decimal(value)?,
                    (ControlKind::Cache(_), Unit::Size) => out.decimal(schema::mask_size(&control, domain, value))?,
                };
                separator = ";";
            }
            out.end_line()?;
        }
        Ok(())
    })
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
