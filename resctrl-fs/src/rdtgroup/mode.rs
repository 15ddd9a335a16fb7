// SPDX-License-Identifier: GPL-2.0-only
//! The file `mode`: who may use the cache portions of a group.

use resctrl_types::resource::ControlKind;
use resctrl_types::{Arch, Errno, Platform, ResourceId, Result};

use crate::Op;
use crate::ctrlmondata::overlap::{self, Overlap};
use crate::nodes::GroupId;
use crate::ops::Shown;
use crate::state::Mode;
use crate::text::{TextOut, strip_newline};

/// Prints the mode.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, out: &mut dyn TextOut) -> Shown {
    out.write_str(match op.state().groups[ctrl].mode {
        Mode::Shareable => "shareable\n",
        Mode::Exclusive => "exclusive\n",
    })?;
    Ok(())
}

/// Changes the mode.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, data: &[u8]) -> Result<()> {
    let refused = match strip_newline(data) {
        Some(b"shareable") => {
            op.state().groups[ctrl].mode = Mode::Shareable;
            return Ok(());
        }
        Some(b"exclusive") => match why_not_exclusive(op, ctrl)? {
            None => {
                op.state().groups[ctrl].mode = Mode::Exclusive;
                return Ok(());
            }
            Some(reason) => reason,
        },
        Some(b"pseudo-locksetup") => why_not_locksetup(op, ctrl),
        Some(_) => "Unknown or unsupported mode\n",
        None => "mode: Invalid input\n",
    };
    op.state().status.text(refused);
    Err(Errno::EINVAL)
}

/// What stands against the group's having its cache portions for itself: portions of any cache that others may fill.
/// A group that is exclusive already is not asked again.
fn why_not_exclusive<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize) -> Result<Option<&'static str>> {
    let fs = op.fs;
    let state = op.state();
    let group = &state.groups[ctrl];
    if group.mode == Mode::Exclusive {
        return Ok(None);
    }
    let mut has_cache = false;
    for &schema in &state.mount()?.schemas {
        let Some(ControlKind::Cache(_)) = fs.arch.control(schema.resource).map(|control| control.kind) else {
            continue;
        };
        has_cache = true;
        for domain in &state.ctrl_domains[schema.resource.index()] {
            let mask = fs.arch.control_value(schema.resource, &domain.arch, group.closid, schema.conf_type);
            if overlap::of_mask(fs, &state.groups, schema, &domain.arch, group.closid, mask) != Overlap::None {
                return Ok(Some("Schemata overlaps\n"));
            }
        }
    }
    Ok((!has_cache).then_some("Cannot be exclusive without CAT/CDP\n"))
}

/// What stands against setting up a pseudo-locked region. In the end always something: it takes a processor whose
/// prefetchers can be turned off, and no architecture says yet how that is done on its processors.
fn why_not_locksetup<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize) -> &'static str {
    if op.state().groups[ctrl].id == GroupId::DEFAULT {
        "Cannot pseudo-lock default group\n"
    } else if [ResourceId::L3, ResourceId::L2].into_iter().any(|cache| op.arch().cdp_enabled(cache)) {
        "CDP enabled\n"
    } else {
        "Pseudo-locking not supported\n"
    }
}
