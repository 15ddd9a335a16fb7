// SPDX-License-Identifier: GPL-2.0-only
//! Mounting, and groups that come and go.

use std::fs::{create_dir, metadata, read_dir, read_to_string, remove_dir, rename};
use std::io::ErrorKind;
use std::thread::sleep;
use std::time::Duration;

use guest_tools::{Failure, Outcome};

use crate::sample::{Operation, Prepared, Sampler, Undone};
use crate::{Extent, at, mount_resctrl, umount_resctrl};

/// In how much time monitoring ids that were freed can be used again: two periods of the kernel's looking.
const LIMBO: Duration = Duration::from_millis(2200);

/// Makes a group. Waits if all monitoring ids that are free have been used a moment ago.
pub(crate) fn make(name: &str) -> Outcome {
    match create_dir(at(name)) {
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {
            sleep(LIMBO);
            create_dir(at(name)).map_err(Failure::from)
        }
        made => made.map_err(Failure::from),
    }
}

fn remove(name: &str) -> Outcome {
    remove_dir(at(name)).map_err(Failure::from)
}

/// Mounting and unmounting: nothing is mounted before, nor after.
pub(crate) fn mounting(sampler: &mut Sampler) -> Outcome {
    sampler.seldom("mount", &mut Undone(mount_resctrl, umount_resctrl))?;
    let mut umounts: Vec<(&str, usize)> = vec![("umount", 0), ("umount/1-group", 1)];
    if sampler.extent == Extent::Full {
        umounts.push(("umount/all-groups", usize::MAX));
    }
    for (name, groups) in umounts {
        sampler.waiting(
            name,
            &mut Prepared(
                || {
                    mount_resctrl()?;
                    fill(groups).map(|_| ())
                },
                umount_resctrl,
            ),
        )?;
    }
    Ok(())
}

/// Makes control groups until there are so many, or no more can be made.
fn fill(count: usize) -> Result<usize, Failure> {
    let closids = read_to_string(at("info/L3/num_closids"))?;
    let closids: usize = closids.trim().parse().map_err(|_| Failure::Hardware("num_closids".to_owned()))?;
    let rmids = read_to_string(at("info/L3_MON/num_rmids"))?;
    let rmids: usize = rmids.trim().parse().map_err(|_| Failure::Hardware("num_rmids".to_owned()))?;
    let count = count.min(closids.saturating_sub(1)).min(rmids.saturating_sub(1));
    (0..count).try_for_each(|number| make(&format!("f{number}")))?;
    Ok(count)
}

struct MakeAndRemove<'a> {
    name: &'a str,
    makes: bool,
    /// Monitoring ids that were used since the last pause.
    used: u32,
}

/// After so many groups the measurement pauses, so that no one of them has to wait.
const BETWEEN_PAUSES: u32 = 8;

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

/// Groups that are made, looked at, renamed and removed. Mounted, and no group there.
pub(crate) fn measure(sampler: &mut Sampler) -> Outcome {
    for (kind, name) in [("ctrl", "x"), ("mon", "mon_groups/x")] {
        sampler.seldom(&format!("mkdir/{kind}"), &mut MakeAndRemove { name, makes: true, used: 0 })?;
        sampler.seldom(&format!("rmdir/{kind}"), &mut MakeAndRemove { name, makes: false, used: 0 })?;
    }
    make("a")?;
    make("b")?;
    make("a/mon_groups/m")?;
    let (there, back) = ("a/mon_groups/m", "b/mon_groups/m");
    sampler.often(
        "rename/mon-group",
        &mut Undone(
            || rename(at(there), at(back)).map_err(Failure::from),
            || rename(at(back), at(there)).map_err(Failure::from),
        ),
    )?;
    remove("a/mon_groups/m")?;
    let monitored: Vec<String> = (0..16).map(|number| format!("a/mon_groups/n{number}")).collect();
    monitored.iter().try_for_each(|name| make(name))?;
    let list = |look: bool| {
        for entry in read_dir(at("a/mon_groups"))? {
            let entry = entry?;
            if look {
                std::hint::black_box(metadata(entry.path())?);
            }
        }
        Ok(())
    };
    sampler.often("readdir/16-mon-groups", &mut || list(false))?;
    sampler.often("readdir+stat/16-mon-groups", &mut || list(true))?;
    monitored.iter().try_for_each(|name| remove(name))?;
    remove("a")?;
    remove("b")
}
