// SPDX-License-Identifier: GPL-2.0-only
//! What can be seen of resctrl, as it is compared, and where it is.

use guest_tools::escape;
use std::collections::BTreeMap;

use super::cast;

/// Where resctrl is mounted.
pub(super) const MOUNT_POINT: &str = "/sys/fs/resctrl";

/// Where the devices of locked regions are, by the names of their groups.
pub(super) const DEVICES: &str = "/dev/pseudo_lock";

/// What can be seen, by name.
pub(super) type Seen = BTreeMap<String, String>;

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
    if path.ends_with("/mon_hw_id") {
        return "an id".to_owned();
    }
    escape::quote(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_of_sequences_are_told_apart() {
        assert_eq!(normal("a/tasks", b"1\n30002\n30005\n77\n"), "30002 30005 and others");
        assert_eq!(normal("a/tasks", b"30002\n"), "30002");
        assert_eq!(normal("a/mode", b"shareable\n"), "shareable\\n");
    }
}
