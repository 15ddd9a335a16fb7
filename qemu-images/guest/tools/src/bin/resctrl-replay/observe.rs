// SPDX-License-Identifier: GPL-2.0-only
//! Everything that can be seen of resctrl: the mount, the tree with modes, owners and extended attributes, the content of
//! files, registers.
//!
//! This is also the place where what may differ between two guests is made equal:
//!
//! * counters are not read (a sequence may read one; then it is told whether that gave a number);
//! * of `tasks`, the processes of sequences are shown; of all others only that there are some;
//! * of `mon_hw_id`, which group has the same (none should; on Arm, none of the same control group): which id is free
//!   depends on when a worker has last looked. The root group's is shown. In the labels of processors an id is named by
//!   the group that has it; on Arm, only the label of this program is looked at, and of that the PARTID.

use guest_tools::{Failure, channel, escape};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use resctrl_hardware::control::Request;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::registers::Registers;
use super::seen::{DEVICES, MOUNT_POINT, Seen};
use super::tree;

/// Files that show a monitoring id, by control group (on Arm, else empty) and content.
type Owners = BTreeMap<(String, String), String>;

const ONLINE: &str = "/sys/devices/system/cpu/online";

pub(super) struct Observer {
    registers: Registers,
    /// Monitoring ids of the machine, and whether they belong to a control group's.
    ids: (usize, bool),
    /// Whom each processor worked for when last looked at: RMID and CLOSID.
    last: RefCell<BTreeMap<usize, [u64; 2]>>,
}

/// What is in a folder; nothing if there is none.
fn entries(folder: impl AsRef<Path>) -> impl Iterator<Item = (String, fs::DirEntry)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry))
}

/// The devices of pseudo-locked regions, and what there is to measure them with.
fn devices(seen: &mut Seen) {
    for (name, device) in entries(DEVICES) {
        let Ok(metadata) = device.metadata() else { continue };
        // Of the number, the kernel chooses the part that stands for the driver.
        let minor = metadata.rdev() & 0xff;
        seen.insert(format!("device {name}"), format!("{:o} minor {minor}", metadata.mode()));
    }
    // Files there are of one implementation alone; folders are those of regions.
    for (name, region) in entries("/sys/kernel/debug/resctrl") {
        if region.file_type().is_ok_and(|kind| kind.is_dir()) {
            let mut files: Vec<String> = entries(region.path()).map(|(name, _)| name).collect();
            files.sort();
            seen.insert(format!("measured {name}"), files.join(" "));
        }
    }
}

/// Reads a list of CPUs: `0,2-3`.
fn cpus_of_list(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

impl Observer {
    pub(super) fn new() -> Result<Self, Failure> {
        // Labels of a processor are those of whoever runs there: this program, on one.
        let mut first = CpuSet::new();
        first.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &first)?;
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let occupancy = std::env::var("MON_EVENTS").is_ok_and(|events| events.contains("llc_occupancy"));
        // Groups need an id that all that counts knows.
        let of_packages = Some(number("TELEMETRY_RMIDS")).filter(|&ids| ids > 0).unwrap_or(usize::MAX);
        let ids = if occupancy { number("RMIDS").min(of_packages) } else { usize::MAX };
        Ok(Self { registers: Registers::new()?, ids: (ids, number("PMGS") > 0), last: RefCell::default() })
    }

    /// With so many ids in use and so many in limbo, it matters which are out of it.
    pub(super) fn must_wait(&self, live: usize, freed: usize) -> bool {
        let (ids, of_a_group) = self.ids;
        ids != usize::MAX && freed > 0 && (of_a_group || live + freed + 2 >= ids)
    }

    /// Looks at everything.
    pub(super) fn look(&self) -> Seen {
        let mut seen = Seen::new();
        // First of all: reading other files clears it.
        let status = Path::new(MOUNT_POINT).join("info/last_cmd_status");
        if let Ok(text) = fs::read(&status) {
            seen.insert("status".to_owned(), escape::quote(&text));
        }
        let mut owners = BTreeMap::new();
        if let Some(options) = mounted() {
            seen.insert("mount".to_owned(), options);
            tree::look(&mut seen);
            owners = name_ids(&mut seen, self.ids.1);
        }
        devices(&mut seen);
        let online = fs::read_to_string(ONLINE).unwrap_or_default();
        seen.insert("online".to_owned(), escape::quote(online.as_bytes()));
        let online = cpus_of_list(online.trim_end());
        self.labels(&mut seen, &online, &owners);
        self.registers.read(&mut seen, &online);
        seen
    }

    /// Whom a processor works for. All but the first are idle when this looks, and so work for whom they belong to; but a
    /// thread of the kernel that was moved to a group may be at work just then, and will not be for long.
    fn idle_label(&self, cpu: usize) -> Option<[u64; 2]> {
        let mut last = self.last.borrow_mut();
        let look = || channel::send(Request::Association(cpu as u64)).ok().map(|[rmid, closid, _]| [rmid, closid]);
        let before = last.get(&cpu).copied();
        let mut label = look()?;
        for _ in 0..50 {
            if before.is_none_or(|before| before == label) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
            label = look()?;
        }
        last.insert(cpu, label);
        Some(label)
    }

    /// Whom processors work for.
    fn labels(&self, seen: &mut Seen, online: &[usize], owners: &Owners) {
        if self.ids.1 {
            if let Ok([_, partid, _]) = channel::send(Request::Association(0)) {
                seen.insert("label".to_owned(), format!("closid {partid}"));
            }
            return;
        }
        let debug = seen.contains_key("mon_hw_id");
        for &cpu in online {
            let Some([rmid, closid]) = self.idle_label(cpu) else { continue };
            let rmid = match owners.get(&(String::new(), rmid.to_string() + "\\n")) {
                _ if rmid == 0 => "0".to_owned(),
                Some(owner) => format!("of {owner}"),
                None if debug => "of nobody".to_owned(),
                None => "of a group".to_owned(),
            };
            seen.insert(format!("label of CPU {cpu}"), format!("closid {closid}, rmid {rmid}"));
        }
    }
}

/// Options of the mount, if there is one.
fn mounted() -> Option<String> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words.get(2) == Some(&"resctrl")).then(|| words.get(3).unwrap_or(&"").to_string())
    })
}

/// Says of each monitoring id who else has it, instead of which it is. `of_a_group`: ids are those of a control group,
/// and others may have the same.
fn name_ids(seen: &mut Seen, of_a_group: bool) -> Owners {
    let mut owners = Owners::new();
    for (name, value) in seen.iter_mut() {
        let Some(group) = name.strip_suffix("/mon_hw_id").or((name == "mon_hw_id").then_some("")) else { continue };
        let Some((about, id)) = value.rsplit_once(' ') else { continue };
        let control = group.rsplit_once("mon_groups/").map_or(group, |(control, _)| control).trim_end_matches('/');
        let key = (if of_a_group { control.to_owned() } else { String::new() }, id.to_owned());
        let told = match owners.get(&key) {
            Some(owner) => format!("as {owner}"),
            None if name == "mon_hw_id" => id.to_owned(),
            None => "its own".to_owned(),
        };
        let new = format!("{about} {told}");
        owners.entry(key).or_insert_with(|| name.clone());
        *value = new;
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(files: &[(&str, &str)], of_a_group: bool) -> Vec<String> {
        let mut seen: Seen = files.iter().map(|(name, id)| ((*name).to_owned(), format!("f444 0:0 {id}\\n"))).collect();
        name_ids(&mut seen, of_a_group);
        seen.into_values().collect()
    }

    #[test]
    fn an_id_is_told_by_who_else_has_it() {
        let files = [("a/mon_hw_id", "5"), ("mon_groups/m/mon_hw_id", "7"), ("mon_hw_id", "0"), ("z/mon_hw_id", "5")];
        let expected = ["f444 0:0 its own", "f444 0:0 its own", "f444 0:0 0\\n", "f444 0:0 as a/mon_hw_id"];
        assert_eq!(named(&files, false), expected);
    }

    #[test]
    fn a_list_of_cpus_is_read() {
        assert_eq!(cpus_of_list("0,2-3,7"), [0, 2, 3, 7]);
        assert_eq!(cpus_of_list(""), [0_usize; 0]);
    }

    #[test]
    fn on_arm_only_groups_of_one_parent_must_have_different_ids() {
        let files = [
            ("a/mon_groups/m/mon_hw_id", "1"),
            ("a/mon_hw_id", "0"),
            ("mon_groups/m/mon_hw_id", "1"),
            ("mon_hw_id", "0"),
        ];
        assert!(!named(&files, true).iter().any(|value| value.contains(" as ")));
        let files = [("a/mon_groups/m/mon_hw_id", "1"), ("a/mon_hw_id", "1")];
        assert_eq!(named(&files, true)[1], "f444 0:0 as a/mon_groups/m/mon_hw_id");
    }
}
