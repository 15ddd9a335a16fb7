// SPDX-License-Identifier: GPL-2.0-only
//! How bandwidth is counted: for every group (`default`), or for those that were given counters (`mbm_event`).
//!
//! The mode, whether new groups get counters, and what an event counts outlive the mount.

use resctrl_types::{Arch, CounterAssignment, Errno, Platform, Switch};

use super::{counters, event_config};
use crate::data::counters::default_filters;
use crate::data::domain::{Bandwidth, MonState};
use crate::data::state::Locked;
use crate::data::state::Op;
use crate::status::Done;
use crate::text::Shown;
use crate::text::{TextOut, line_of, parse_bool, strip_newline, together, until_nul};

/// Prints `mbm_assign_mode`: the mode that is on, then the other one, where there is another one.
pub(crate) fn show<A: Arch<P>, P: Platform>(op: &Op<'_, A, P>, out: &mut dyn TextOut) -> Shown {
    let counters = op.arch().counters();
    let (on, off) = if counters.is_some() && op.arch().counters_assigned() {
        ("mbm_event", "default")
    } else {
        ("default", "mbm_event")
    };
    together(out, |out| {
        out.text("[")?.text(on)?.text("]\n")?;
        if counters.is_some_and(|counters| counters.switchable) {
            out.text(off)?.text("\n")?;
        }
        Ok(())
    })
}

/// Carries out a write to `mbm_assign_mode`.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, data: &[u8]) -> Done {
    let counters = op.arch().counters();
    let wanted = match strip_newline(data) {
        Some(b"default") => Ok(false),
        Some(b"mbm_event") if counters.is_some() => Ok(true),
        Some(b"mbm_event") => Err("mbm_event mode is not supported\n"),
        Some(_) => Err("Unsupported assign mode\n"),
        None => Err("mbm_assign_mode: Invalid input\n"),
    };
    let wanted = wanted.and_then(|wanted| match counters {
        _ if wanted == op.arch().counters_assigned() => Ok(None),
        Some(CounterAssignment { switchable: true, .. }) => Ok(Some(wanted)),
        // None: counters that the architecture would assign, but of which there are none.
        Some(_) | None => Err("Counter assignment mode is not configurable\n"),
    });
    match wanted {
        Ok(Some(assigned)) => switch(op, assigned.into()),
        Ok(None) => Ok(()),
        Err(refused) => Err(op.refuse(Errno::EINVAL, refused)),
    }
}

/// Changes the mode: nobody has a counter, everything that was counted is forgotten, and events count what they did at
/// first.
fn switch<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, assigned: Switch) -> Done {
    let (arch, platform, cpus) = (op.arch(), op.platform(), op.cpus);
    arch.set_counters_assigned(assigned).map_err(|errno| op.failed(errno, format_args!("change the assign mode")))?;
    counters::forget_all(op);
    let Locked { key, state } = &mut *op.locked;
    for domain in &state.mon_domains {
        let MonState { arch: arch_domain, cpus: mask, bandwidth, .. } = domain.open(key);
        arch.program_counters_assigned(platform, cpus, arch_domain, mask);
        for memory in bandwidth {
            memory.fill(Bandwidth::default());
        }
    }
    state.filters = default_filters(arch);
    state.assign_on_mkdir |= assigned.is_on();
    event_config::show_files(op);
    Ok(())
}

/// Prints `mbm_assign_on_mkdir`: whether new groups get counters.
pub(crate) fn show_on_mkdir<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, out: &mut dyn TextOut) -> Shown {
    counters::require_assigned(op)?;
    line_of(out, op.state().assign_on_mkdir)
}

/// Carries out a write to `mbm_assign_on_mkdir`.
pub(crate) fn write_on_mkdir<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, data: &[u8]) -> Done {
    let Some(assign) = parse_bool(until_nul(data)) else {
        return Err(op.refuse(Errno::EINVAL, "mbm_assign_on_mkdir: Invalid input\n"));
    };
    counters::require_assigned(op)?;
    op.state().assign_on_mkdir = assign;
    Ok(())
}
