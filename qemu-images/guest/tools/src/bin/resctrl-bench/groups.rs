// SPDX-License-Identifier: GPL-2.0-only
//! Mounting, and groups that come and go.

use std::fs::{create_dir, metadata, read_dir, remove_dir, rename};
use std::io::ErrorKind;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use guest_tools::{Failure, Outcome};

use crate::sample::{Around, Operation, Prepared, Sampler, Undone};
use crate::{at, mount_resctrl, umount_resctrl};

/// In how much time monitoring ids that were freed can be used again: two periods of the kernel's looking.
const LIMBO: Duration = Duration::from_millis(2200);

/// Makes a group. Waits if all monitoring ids that are free have been used a moment ago; where they belong to a control
/// group, as with MPAM, the kernel says that there are none.
///
/// # Errors
///
/// What the kernel refuses.
pub(crate) fn make(name: &str) -> Outcome {
    match create_dir(at(name)) {
        Err(error) if matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::StorageFull) => {
            sleep(LIMBO);
            create_dir(at(name)).map_err(Failure::from)
        }
        made => made.map_err(Failure::from),
    }
}

fn remove(name: &str) -> Outcome {
    remove_dir(at(name)).map_err(Failure::from)
}

/// As many groups as can be made: control groups first, then monitoring groups of the default one.
pub(crate) struct Many {
    names: Vec<String>,
}

/// A machine of thousands of ids takes minutes to show what one of hundreds does.
const MOST: usize = 256;

impl Many {
    /// Finds out how many there can be, by making them. Mounted, and no group there before, nor after.
    ///
    /// # Errors
    ///
    /// What the kernel refuses for another reason than that there are no more.
    pub(crate) fn look() -> Result<Self, Failure> {
        sleep(LIMBO);
        let mut names: Vec<String> = Vec::new();
        for kind in ["", "mon_groups/"] {
            if !kind.is_empty() && !Path::new(&at("mon_groups")).is_dir() {
                break;
            }
            let first = names.len();
            names.extend(make_up_to(MOST - first, |number| format!("{kind}f{}", first + number))?);
        }
        let many = Self { names };
        many.remove()?;
        Ok(many)
    }

    /// Makes them.
    ///
    /// # Errors
    ///
    /// What the kernel refuses.
    pub(crate) fn make(&self) -> Outcome {
        self.names.iter().try_for_each(|name| create_dir(at(name)).map_err(Failure::from))
    }

    /// Removes them, and waits until their ids can be used again.
    ///
    /// # Errors
    ///
    /// What the kernel refuses.
    pub(crate) fn remove(&self) -> Outcome {
        self.remove_at_once()?;
        pause()
    }

    fn remove_at_once(&self) -> Outcome {
        self.names.iter().rev().try_for_each(|name| remove(name))
    }
}

/// Lets monitoring ids become free.
#[expect(clippy::unnecessary_wraps, reason = "it is part of an operation, which may fail")]
fn pause() -> Outcome {
    sleep(LIMBO);
    Ok(())
}

/// Mounting and unmounting: nothing is mounted before, nor after.
pub(crate) fn mounting(sampler: &mut Sampler) -> Outcome {
    sampler.seldom("mount", &mut Undone(mount_resctrl, umount_resctrl))?;
    sampler.waiting("umount", &mut Prepared(mount_resctrl, umount_resctrl))?;
    let one = || {
        mount_resctrl()?;
        make("x")
    };
    sampler.waiting("umount/1-group", &mut Prepared(one, umount_resctrl))?;
    mount_resctrl()?;
    let many = Many::look()?;
    umount_resctrl()?;
    let all = || {
        // Unmounting frees what the groups had.
        sleep(LIMBO);
        mount_resctrl()?;
        many.make()
    };
    sampler.waiting("umount/max-groups", &mut Prepared(all, umount_resctrl))?;
    sampler.seldom("mount/after-max-groups", &mut Undone(mount_resctrl, umount_resctrl))?;
    mount_resctrl()?;
    sleep(LIMBO);
    sampler.seldom("mkdir/all-groups", &mut Undone(|| many.make(), || many.remove()))?;
    sampler.seldom("rmdir/all-groups", &mut Around(|| many.make(), || many.remove_at_once(), pause))?;
    umount_resctrl()
}

struct MakeAndRemove<'a> {
    name: &'a str,
    makes: bool,
    /// Monitoring ids that were used since the last pause.
    used: u32,
}

/// After so many groups the measurement pauses, so that no one of them has to wait.
const BETWEEN_PAUSES: u32 = 2;

impl Operation for MakeAndRemove<'_> {
    fn prepare(&mut self) -> Outcome {
        self.used += 1;
        if self.used.is_multiple_of(BETWEEN_PAUSES) {
            sleep(LIMBO);
        }
        if self.makes { Ok(()) } else { make(self.name) }
    }

    fn run(&mut self) -> Outcome {
        if self.makes { make(self.name) } else { remove(self.name) }
    }

    fn undo(&mut self) -> Outcome {
        if self.makes { remove(self.name) } else { Ok(()) }
    }
}

/// Most monitoring groups that are listed.
const LISTED: usize = 24;

/// Makes groups, one after the other, until there are so many or no more can be made.
///
/// # Errors
///
/// What the kernel refuses for another reason than that there are no more.
pub(crate) fn make_up_to(count: usize, name: impl Fn(usize) -> String) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    while names.len() < count {
        let name = name(names.len());
        match create_dir(at(&name)) {
            Ok(()) => names.push(name),
            Err(error) if error.kind() == ErrorKind::StorageFull => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(names)
}

/// Groups that are made, looked at, renamed and removed. Mounted, and no group there.
pub(crate) fn measure(sampler: &mut Sampler) -> Outcome {
    for (kind, name) in [("ctrl", "x"), ("mon", "mon_groups/x")] {
        sampler.seldom(&format!("mkdir/{kind}"), &mut MakeAndRemove { name, makes: true, used: 0 })?;
        sampler.seldom(&format!("rmdir/{kind}"), &mut MakeAndRemove { name, makes: false, used: 0 })?;
    }
    sleep(LIMBO);
    make("a")?;
    make("b")?;
    make("a/mon_groups/m")?;
    let (there, back) = ("a/mon_groups/m", "b/mon_groups/m");
    let mut renamed = 0_u32;
    sampler.often(
        "rename/mon-group",
        &mut Around(
            || {
                // Where ids belong to a control group, a group that moves gets another one.
                renamed += 1;
                if renamed.is_multiple_of(BETWEEN_PAUSES) { pause() } else { Ok(()) }
            },
            || rename(at(there), at(back)).map_err(Failure::from),
            || rename(at(back), at(there)).map_err(Failure::from),
        ),
    )?;
    remove("a/mon_groups/m")?;
    sleep(LIMBO);
    let monitored = make_up_to(LISTED, |number| format!("a/mon_groups/n{number}"))?;
    let count = monitored.len();
    let list = |look: bool| {
        for entry in read_dir(at("a/mon_groups"))? {
            let entry = entry?;
            if look {
                std::hint::black_box(metadata(entry.path())?);
            }
        }
        Ok(())
    };
    sampler.often(&format!("readdir/{count}-mon-groups"), &mut || list(false))?;
    sampler.often(&format!("readdir+stat/{count}-mon-groups"), &mut || list(true))?;
    monitored.iter().try_for_each(|name| remove(name))?;
    remove("a")?;
    remove("b")?;
    sleep(LIMBO);
    Ok(())
}
