// SPDX-License-Identifier: GPL-2.0-only
//! The files `cpus` and `cpus_list`.
//!
//! Each CPU belongs to exactly one control group, and may be lent to one of its monitor groups. It runs tasks of the
//! default group with the ids of the group that owns it.

use resctrl_types::arch::MonId;
use resctrl_types::platform::Mutex;
use resctrl_types::{Arch, CpuMask, Errno, Platform, Result};

use super::cpu_text;
use super::tasks::{self, refresh};
use crate::data::group::{Mode, Place};
use crate::data::regions;
use crate::data::state::Op;
use crate::status::Done;
use crate::text::Shown;
use crate::text::{TextOut, together, until_nul};

/// How a set of CPUs is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In hexadecimal, one bit a CPU: the file `cpus`.
    Mask,
    /// As numbers and ranges: the file `cpus_list`.
    List,
}

impl Form {
    const fn file(self) -> &'static str {
        match self {
            Form::Mask => "cpus",
            Form::List => "cpus_list",
        }
    }
}

/// Prints the CPUs of the group; of a pseudo-locked one, those whose cache its region is in.
pub(crate) fn show<A: Arch<P>, P: Platform>(
    op: &mut Op<'_, A, P>,
    place: Place,
    form: Form,
    out: &mut dyn TextOut,
) -> Shown {
    let fs = op.fs;
    let regions = fs.regions.lock();
    let state = op.state();
    let cpus = match (place, state.groups[place.ctrl()].mode) {
        (Place::Ctrl(_), Mode::PseudoLocked(region)) => match regions.of(region).filter(|slot| slot.part.is_some()) {
            Some(slot) => &slot.cpus,
            None => return Err(regions::offline(&mut state.status).into()),
        },
        _ => state.cpus(place),
    };
    match form {
        Form::Mask => writeln!(out, "{}", cpus.hex())?,
        Form::List => together(out, |out| {
            let mut separator = "";
            for (first, last) in cpus.runs() {
                out.text(separator)?.decimal(first.0)?;
                if last > first {
                    out.text("-")?.decimal(last.0)?;
                }
                separator = ",";
            }
            out.end_line()
        })?,
    }
    Ok(())
}

/// What a command works with, all of it allocated before anything changes.
struct Sets {
    /// The CPUs the group shall have.
    wanted: CpuMask,
    /// CPUs that others get from it.
    lost: CpuMask,
    /// CPUs that it gets from others, or back from its monitor groups.
    gained: CpuMask,
}

impl Sets {
    fn new(nr_cpu_ids: u32) -> Result<Self> {
        let set = || CpuMask::new(nr_cpu_ids);
        Ok(Sets { wanted: set()?, lost: set()?, gained: set()? })
    }

    /// Finds out what changes for a group that has `owned` now.
    fn compare(&mut self, owned: &CpuMask) {
        self.lost.copy_from(owned);
        self.lost.subtract(&self.wanted);
        self.gained.copy_from(&self.wanted);
        self.gained.subtract(owned);
    }
}

/// Makes the CPUs in `data` those of the group.
pub(crate) fn write<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, place: Place, form: Form, data: &[u8]) -> Done {
    let fs = op.fs;
    op.refuse_members(place.ctrl())?;
    let state = op.state();
    let mut sets = Sets::new(fs.platform.nr_cpu_ids()).map_err(|errno| {
        state.status.refuse_with(errno, format_args!("{}: Kernel allocation failure\n", form.file()))
    })?;
    let text = until_nul(data);
    let parsed = match form {
        Form::Mask => cpu_text::parse_mask(text, &mut sets.wanted),
        Form::List => cpu_text::parse_list(text, &mut sets.wanted),
    };
    parsed.map_err(|errno| state.status.refuse(errno, "Bad CPU list/mask\n"))?;
    if !sets.wanted.is_subset(state.online.mask()) {
        return Err(state.status.refuse(Errno::EINVAL, "Can only assign online CPUs\n"));
    }
    match place {
        Place::Ctrl(ctrl) => write_ctrl(op, ctrl, sets),
        Place::Mon(ctrl, mon) => write_mon(op, (ctrl, mon), sets),
    }
}

/// What a control group gains, others and their monitor groups lose; what it loses, the default group gains. Its own
/// monitor groups lose everything.
fn write_ctrl<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, ctrl: usize, mut sets: Sets) -> Done {
    let state = op.state();
    sets.compare(&state.groups[ctrl].cpus);
    let default = state.default_ctrl();
    if ctrl == default && !sets.lost.is_empty() {
        return Err(state.status.refuse(Errno::EINVAL, "Can't drop CPUs from default group\n"));
    }
    state.groups[default].cpus.union_with(&sets.lost);
    let others = state.groups.iter_mut().enumerate().filter(|&(at, _)| at != ctrl).map(|(_, group)| group);
    for group in others.filter(|group| group.cpus.intersects(&sets.gained)) {
        group.cpus.subtract(&sets.gained);
        for child in &mut group.children {
            child.cpus.subtract(&sets.gained);
        }
    }
    let group = &mut *state.groups[ctrl];
    group.cpus.copy_from(&sets.wanted);
    for child in &mut group.children {
        // A CPU that the group keeps falls back from the monitor group's ids to its own.
        sets.gained.union_with(&child.cpus);
        child.cpus.clear_all();
    }
    sets.gained.intersect_with(&sets.wanted);
    hand_over(op, &sets, Place::Ctrl(default), Place::Ctrl(ctrl));
    Ok(())
}

/// What a monitor group gains, its siblings lose; what it loses falls back to its parent, who owns all of it anyway.
fn write_mon<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, (ctrl, mon): (usize, usize), mut sets: Sets) -> Done {
    let state = op.state();
    let parent = &mut *state.groups[ctrl];
    if !sets.wanted.is_subset(&parent.cpus) {
        return Err(state.status.refuse(Errno::EINVAL, "Can only add CPUs to mongroup that belong to parent\n"));
    }
    sets.compare(&parent.children[mon].cpus);
    for (at, child) in parent.children.iter_mut().enumerate() {
        if at == mon {
            child.cpus.copy_from(&sets.wanted);
        } else {
            child.cpus.subtract(&sets.gained);
        }
    }
    hand_over(op, &sets, Place::Ctrl(ctrl), Place::Mon(ctrl, mon));
    Ok(())
}

/// Lets every CPU that changed hands run with the ids of its new owner.
fn hand_over<A: Arch<P>, P: Platform>(op: &mut Op<'_, A, P>, sets: &Sets, loser_to: Place, gainer: Place) {
    let fs = op.fs;
    for (cpus, owner) in [(&sets.lost, loser_to), (&sets.gained, gainer)] {
        let (closid, rmid) = op.state().ids(owner);
        for cpu in cpus.iter() {
            tasks::set_cpu_default(fs, cpu, MonId { closid, rmid });
        }
        refresh(fs, op.cpus, cpus);
    }
}
