// SPDX-License-Identifier: GPL-2.0-only
//! Everything that can be seen of resctrl: the mount, the tree with modes and owners, the content of files, registers.
//!
//! This is also the place where what may differ between two guests is made equal:
//!
//! * counters are not read (a sequence may read one; then it is told whether that gave a number);
//! * of `tasks`, the processes of sequences are shown; of all others only that there are some;
//! * of `mon_hw_id`, that it is zero, or which group has the same (none should): which id is free depends on when a
//!   worker has last looked.

use guest_tools::{Failure, channel, escape};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use resctrl_hardware::control::Request;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::cast;
use super::perform::MOUNT_POINT;
use super::registers::Registers;

/// What can be seen, by name.
pub(super) type Seen = BTreeMap<String, String>;

pub(super) struct Observer {
    registers: Registers,
    /// Monitoring ids of the machine, and whether they belong to a control group's.
    ids: (usize, bool),
}

/// The groups among what can be seen, by their files for tasks; the root group is one.
pub(super) fn groups(seen: &Seen) -> impl Iterator<Item = &String> {
    seen.keys().filter(|name| *name == "tasks" || name.ends_with("/tasks"))
}

/// A file whose content is counted by hardware.
pub(super) fn is_counter(path: &str) -> bool {
    path.starts_with("mon_data/") || path.contains("/mon_data/")
}

/// Content of a file as it is compared.
pub(super) fn normal(path: &str, content: &[u8]) -> String {
    if path == "tasks" || path.ends_with("/tasks") {
        let text = String::from_utf8_lossy(content);
        let (cast, others): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.parse().is_ok_and(|id: i32| cast::has(id)));
        return format!("{}{}", cast.join(" "), if others.is_empty() { "" } else { " and others" });
    }
    if path == "mon_hw_id" || path.ends_with("/mon_hw_id") {
        return if content == b"0\n" { "zero" } else { "not zero" }.to_owned();
    }
    escape::quote(content)
}

impl Observer {
    pub(super) fn new() -> Result<Self, Failure> {
        // Labels of a processor are those of whoever runs there: this program, on one.
        let mut first = CpuSet::new();
        first.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &first)?;
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let occupancy = std::env::var("MON_EVENTS").is_ok_and(|events| events.contains("llc_occupancy"));
        let ids = if occupancy { number("RMIDS") } else { usize::MAX };
        Ok(Self { registers: Registers::new()?, ids: (ids, number("PMGS") > 0) })
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
        if let Some(options) = mounted() {
            seen.insert("mount".to_owned(), options);
            walk(&mut seen, "");
            name_ids(&mut seen);
        }
        if let Ok(online) = fs::read("/sys/devices/system/cpu/online") {
            seen.insert("online".to_owned(), escape::quote(&online));
        }
        if let Ok([rmid, closid, _]) = channel::send(Request::Association(0)) {
            let rmid = if rmid == 0 { "zero" } else { "not zero" };
            seen.insert("label".to_owned(), format!("closid {closid} rmid {rmid}"));
        }
        self.registers.read(&mut seen);
        seen
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

fn walk(seen: &mut Seen, folder: &str) {
    let place = Path::new(MOUNT_POINT).join(folder);
    let mut value = match fs::symlink_metadata(&place) {
        Ok(metadata) => format!("d{:o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid()),
        Err(error) => format!("{error}"),
    };
    let entries = match fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) => {
            let _ = write!(value, " {error}");
            seen.insert(format!("{folder}/"), value);
            return;
        }
    };
    seen.insert(format!("{folder}/"), value);
    // Reading some files leaves a status, and of others clears it: the order must be the same on both.
    let mut entries: Vec<fs::DirEntry> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(seen, &path);
        } else {
            let value = file(&path);
            seen.insert(path.replace('\n', "\\n"), value);
        }
    }
}

fn file(path: &str) -> String {
    let place = Path::new(MOUNT_POINT).join(path);
    let mut value = match fs::symlink_metadata(&place) {
        Ok(metadata) => format!("f{:o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid()),
        Err(error) => return format!("{error}"),
    };
    if path == "info/last_cmd_status" || is_counter(path) {
        return value;
    }
    match fs::read(&place) {
        Ok(content) => {
            // The number is needed until it is known who else has it.
            let ids = path == "mon_hw_id" || path.ends_with("/mon_hw_id");
            let content = if ids { escape::quote(&content) } else { normal(path, &content) };
            let _ = write!(value, " {content}");
        }
        Err(error) => {
            let _ = match error.raw_os_error() {
                Some(number) => write!(value, " {:?}", nix::errno::Errno::from_raw(number)),
                None => write!(value, " {error}"),
            };
        }
    }
    value
}

/// Says of each monitoring id who else has it, instead of which it is.
fn name_ids(seen: &mut Seen) {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in seen.iter_mut() {
        if name != "mon_hw_id" && !name.ends_with("/mon_hw_id") {
            continue;
        }
        let Some((about, id)) = value.rsplit_once(' ') else { continue };
        let told = match owners.get(id) {
            Some(owner) => format!("as {owner}"),
            None if id == "0\\n" => "zero".to_owned(),
            None => "its own".to_owned(),
        };
        let new = format!("{about} {told}");
        owners.entry(id.to_owned()).or_insert_with(|| name.clone());
        *value = new;
    }
}
