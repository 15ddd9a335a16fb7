// SPDX-License-Identifier: GPL-2.0-only
//! The file `mode`: who may use the cache portions of a group, or what else it is for.

use resctrl_types::resource::ControlKind;
use resctrl_types::{Arch, Errno, Platform};

use crate::ctrlmondata::overlap::{self, Overlap};
use crate::data::group::{Mode, Sharing};
use crate::data::state::Op;
use crate::pseudo_lock;
use crate::status::Done;
use crate::text::Shown;
use crate::text::{TextOut, strip_newline, together};
use crate::tree::NodeId;

/// Prints the mode.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, out: &mut dyn TextOut) -> Shown {
    let name = name(op.state().groups[ctrl].mode);
    together(out, |out| out.text(name)?.end_line())
}

const fn name(mode: Mode) -> &'static str {
    match mode {
        Mode::Using(Sharing::Shareable) => "shareable",
        Mode::Using(Sharing::Exclusive) => "exclusive",
        Mode::PseudoLocksetup => "pseudo-locksetup",
        Mode::PseudoLocked(_) => "pseudo-locked",
    }
}

/// Changes the mode of the group whose directory is `dir`.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, dir: NodeId, data: &[u8]) -> Done {
    let Some(wanted) = strip_newline(data) else { return refuse(op, "mode: Invalid input\n") };
    let mode = op.state().groups[ctrl].mode;
    let wanted = match wanted {
        _ if wanted == name(mode).as_bytes() => return Ok(()),
        _ if matches!(mode, Mode::PseudoLocked(_)) => return refuse(op, "Cannot change pseudo-locked group\n"),
        b"shareable" => Sharing::Shareable,
        b"exclusive" => match why_not_exclusive(op, ctrl) {
            None => Sharing::Exclusive,
            Some(reason) => return refuse(op, reason),
        },
        b"pseudo-locksetup" if A::PSEUDO_LOCKING => return pseudo_lock::enter(op, ctrl, dir),
        _ => return refuse(op, "Unknown or unsupported mode\n"),
    };
    if mode == Mode::PseudoLocksetup {
        pseudo_lock::leave(op, ctrl, dir)?;
    }
    op.state().groups[ctrl].mode = Mode::Using(wanted);
    Ok(())
}

fn refuse<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, reason: &'static str) -> Done {
    Err(op.refuse(Errno::EINVAL, reason))
}

/// What stands against the group's having its cache portions for itself: portions of any cache that others may fill.
fn why_not_exclusive<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize) -> Option<&'static str> {
    let fs = op.fs;
    let state = op.state();
    let group = &state.groups[ctrl];
    let mut has_cache = false;
    for &schema in state.mount.iter().flat_map(|mount| mount.schemas.iter()) {
        let Some(ControlKind::Cache(_)) = fs.arch.control(schema.resource).map(|control| control.kind) else {
            continue;
        };
        has_cache = true;
        for domain in &state.ctrl_domains[schema.resource.index()] {
            let mask = fs.arch.control_value(schema.resource, &domain.arch, group.closid, schema.conf_type);
            if overlap::of_mask(fs, &state.groups, schema, &domain.arch, group.closid, mask) != Overlap::None {
                return Some("Schemata overlaps\n");
            }
        }
    }
    (!has_cache).then_some("Cannot be exclusive without CAT/CDP\n")
}
