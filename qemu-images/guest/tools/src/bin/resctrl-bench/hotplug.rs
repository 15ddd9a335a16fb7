// SPDX-License-Identifier: GPL-2.0-only
//! CPUs that go and come. Most of what that takes is waiting, and not resctrl's.

use std::path::{Path, PathBuf};

use guest_tools::{Failure, Outcome};

use crate::groups::{Many, make};
use crate::sample::{Prepared, Sampler, Undone};
use crate::{Machine, command, mount_resctrl, umount_resctrl};

/// The file by which a CPU goes and comes.
///
/// # Errors
///
/// It cannot go.
pub(crate) fn switch(cpu: usize) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(format!("/sys/devices/system/cpu/cpu{cpu}/online"));
    if path.exists() { Ok(path) } else { Err(Failure::Hardware(format!("CPU {cpu} cannot go offline"))) }
}

pub(crate) fn offline(path: &Path) -> Outcome {
    command(path, "0\n")
}

pub(crate) fn online(path: &Path) -> Outcome {
    command(path, "1\n")
}

/// The last CPU of the last domain and the one before it: unmounted, and mounted with groups. Nothing is mounted before, nor
/// after.
pub(crate) fn measure(sampler: &mut Sampler, machine: &Machine) -> Outcome {
    let (Some(&last), others) = (machine.remote.last(), &machine.remote[..machine.remote.len() - 1]) else {
        return Ok(());
    };
    let last = switch(last)?;
    let others = others.iter().map(|&cpu| switch(cpu)).collect::<Result<Vec<_>, _>>()?;
    let both = |sampler: &mut Sampler, which: &str, state: &str| -> Outcome {
        sampler.waiting(&format!("offline/{which},{state}"), &mut Undone(|| offline(&last), || online(&last)))?;
        sampler.waiting(&format!("online/{which},{state}"), &mut Prepared(|| offline(&last), || online(&last)))
    };
    for state in ["unmounted", "1-group", "max-groups"] {
        if state != "unmounted" {
            mount_resctrl()?;
        }
        match state {
            "1-group" => make("g")?,
            "max-groups" => Many::look()?.make()?,
            _ => {}
        }
        both(sampler, "not-last", state)?;
        others.iter().try_for_each(|cpu| offline(cpu))?;
        both(sampler, "last", state)?;
        others.iter().try_for_each(|cpu| online(cpu))?;
        if state != "unmounted" {
            umount_resctrl()?;
        }
    }
    Ok(())
}
