// SPDX-License-Identifier: GPL-2.0-only
//! Where and on what a run was: what somebody else has to know to have the same.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::{shell, workspace};

/// What a report begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// When it ended, in UTC.
    pub(crate) date: String,
    /// The commit of this checkout.
    pub(crate) commit: String,
    /// The whole command.
    pub(crate) command: String,
    /// Each guest kernel's name with its release.
    pub(crate) kernels: BTreeSet<String>,
    /// Each QEMU's version.
    pub(crate) emulators: BTreeSet<String>,
    /// The machine that it ran on: its kernel, processor and how many CPUs of it there are.
    pub(crate) host: String,
}

impl Origin {
    /// All but what guests are made of.
    pub(crate) fn of_this_run() -> Self {
        let said = |program: &str, arguments: &[&str]| duct::cmd(program, arguments).read().unwrap_or_default();
        let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown processor", |(_, name)| name);
        let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let words = std::env::args_os().skip(1).map(|word| shell::word(&word.to_string_lossy()));
        Self {
            date: said("date", &["-u", "+%F %R UTC"]),
            commit: workspace::commit(),
            command: ["cargo xtask".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" "),
            kernels: BTreeSet::new(),
            emulators: BTreeSet::new(),
            host: format!("{}; {cpus} CPUs of {model}", said("uname", &["-srm"])),
        }
    }

    /// Adds the QEMU that is started with these words.
    pub(crate) fn add_emulator(&mut self, command: &[OsString]) {
        let Some((program, first)) = command.split_first() else { return };
        let arguments = first.iter().cloned().chain(["--version".into()]);
        let said = duct::cmd(program, arguments).stderr_null().read().unwrap_or_default();
        self.emulators.extend(said.lines().next().map(str::to_owned));
    }

    /// What there is to say, each with what it is.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let joined = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join("; ");
        let rows = [
            ("command", self.command.clone()),
            ("commit", self.commit.clone()),
            ("date", self.date.clone()),
            ("kernels", joined(&self.kernels)),
            ("QEMU", joined(&self.emulators)),
            ("host", self.host.clone()),
        ];
        rows.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_where_it_was() {
        let mut origin = Origin::of_this_run();
        origin.add_emulator(&["echo".into(), "QEMU emulator version 99".into()]);
        origin.kernels.insert("stock: 7.3.4".to_owned());
        let rows = origin.rows();
        let names: Vec<_> = rows.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["command", "commit", "date", "kernels", "QEMU", "host"]);
        assert!(rows[2].1.ends_with(" UTC") && rows[4].1.starts_with("QEMU emulator version 99"), "{rows:?}");
        assert!(rows[0].1.starts_with("cargo xtask ") && rows[5].1.contains(" CPUs of "), "{rows:?}");
    }
}
