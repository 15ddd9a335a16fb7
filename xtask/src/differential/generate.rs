// SPDX-License-Identifier: GPL-2.0-only
//! Makes random sequences: mostly right, often nearly right, sometimes garbage.
//!
//! A sequence depends on the machine's facts, the seed and its number, and on nothing else. What a guest answers is not
//! known here; which groups there are is guessed, and a wrong guess is just another mistake to try.

mod chain;
pub(super) mod text;

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;
use guest_tools::operation::Operation;
use regex::Regex;

use crate::scenario::known::Random;
use text::{Texts, mutate, names_a_stranger};

/// Names of control groups and of monitoring groups. Few, so that they meet.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "m"];

/// Files that monitoring groups do not have.
const CONTROL_FILES: [&str; 5] = ["schemata", "mode", "size", "ctrl_hw_id", "mba_MBps_event"];

/// Operations of a sequence after its mount.
const LENGTH: usize = 60;

/// Makes sequences for one machine.
#[derive(Debug)]
pub(crate) struct Generator<'a> {
    facts: BTreeMap<String, String>,
    seed: u64,
    /// Operations that are not made.
    avoid: Vec<&'a Regex>,
}

/// What a sequence has probably come to.
#[derive(Default)]
struct State {
    mounted: bool,
    /// Options of the mount.
    options: Vec<&'static str>,
    /// Groups, by path; the root's is empty.
    groups: Vec<String>,
    /// What comes next, whatever that is then.
    next: VecDeque<Operation>,
}

impl State {
    fn any_group(&self, rng: &mut Rng) -> String {
        self.groups[rng.usize(..self.groups.len())].clone()
    }

    /// A file of some group, mostly of one that has such a file.
    fn file(&self, rng: &mut Rng, name: &str) -> String {
        let mut group = self.any_group(rng);
        if name.starts_with("cpus") && rng.bool() {
            // CPUs of monitoring groups depend on those of their parents, so most attempts come to nothing.
            let monitoring: Vec<&String> = self.groups.iter().filter(|group| group.contains("mon_groups/")).collect();
            group = rng.choice(monitoring).unwrap_or(&group).clone();
        }
        if CONTROL_FILES.contains(&name) && rng.u32(..16) > 0 {
            group.truncate(group.find("mon_groups").unwrap_or(group.len()));
        }
        join(group.trim_end_matches('/'), name)
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

impl<'a> Generator<'a> {
    /// For a machine with these facts.
    pub(crate) fn new(facts: BTreeMap<String, String>, seed: u64, known: &'a [Random]) -> Self {
        let avoid = known.iter().filter_map(|known| known.avoid.as_ref()).collect();
        Self { facts, seed, avoid }
    }

    fn fact(&self, name: &str) -> u32 {
        self.facts.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Whether the kernel's own is known to do harm with it, or something else than ours.
    pub(crate) fn avoids(&self, operation: &Operation) -> bool {
        self.avoid.iter().any(|avoid| avoid.is_match(&line(operation)))
    }

    /// The sequence of this number.
    pub(crate) fn plan(&self, number: u64) -> Vec<Operation> {
        let mut rng = Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        let mut state = State { mounted: true, groups: vec![String::new()], ..State::default() };
        let avoided = |operation: &Operation| about_a_stranger(operation) || self.avoids(operation);
        let mut mount = self.mount(&mut rng, &mut state);
        while avoided(&mount) {
            mount = self.mount(&mut rng, &mut state);
        }
        let mut operations = vec![mount];
        if state.options.iter().any(|&option| option != "debug") {
            // In case the machine has that not.
            operations.push(Operation::Mount(String::new()));
        }
        if self.fact("PSEUDO_LOCK") > 0 && rng.bool() {
            // Later on, the groups there are then leave no room for a region.
            state.next = chain::locked_region(&mut rng, &mut state, &self.texts(&State::default())).into();
        }
        while operations.len() <= LENGTH {
            let next = state.next.pop_front();
            let operation = next.unwrap_or_else(|| self.operation(&mut rng, &mut state));
            if !avoided(&operation) {
                operations.push(operation);
            }
        }
        operations
    }

    fn texts(&self, state: &State) -> Texts<'_> {
        let cdp = |name: &str, option: &str| self.fact(name) > 0 && state.options.contains(&option);
        Texts { facts: &self.facts, cdp: [cdp("L3_CDP", "cdp"), cdp("L2_CDP", "cdpl2")] }
    }

    /// A mount that mostly works.
    fn mount(&self, rng: &mut Rng, state: &mut State) -> Operation {
        let mut options = Vec::new();
        // On Arm it takes an expert's kernel.
        let x86 = self.fact("PARTIDS") == 0;
        let throttled = x86 && self.fact("MB_CLOSIDS") > 0 && self.fact("MON_COUNTER_BITS") > 0;
        for (option, likely) in [
            ("debug", rng.u32(..3) > 0),
            ("cdp", self.fact("L3_CDP") > 0 && rng.u32(..if x86 { 4 } else { 12 }) == 0),
            ("cdpl2", self.fact("L2_CDP") > 0 && rng.u32(..4) == 0),
            ("mba_MBps", throttled && rng.u32(..8) == 0),
        ] {
            if likely {
                options.push(option);
            }
        }
        state.options = options;
        state.mounted = true;
        state.groups = vec![String::new()];
        Operation::Mount(state.options.join(","))
    }

    fn operation(&self, rng: &mut Rng, state: &mut State) -> Operation {
        if !state.mounted && rng.u32(..4) > 0 {
            return self.mount(rng, state);
        }
        match rng.u32(..100) {
            20..29 => self.write(rng, state, "tasks"),
            29..32 => self.write(rng, state, "cpus_list"),
            34..37 if state.mounted => self.chain(rng, state),
            32..37 => self.write(rng, state, "cpus"),
            37..43 => self.write(rng, state, "mode"),
            43..46 if self.has_counters() || rng.u32(..8) == 0 => self.write(rng, state, "mbm_L3_assignments"),
            46..48 if state.options.contains(&"mba_MBps") || rng.u32(..8) == 0 => {
                self.write(rng, state, "mba_MBps_event")
            }
            0..20 | 43..48 => self.write(rng, state, "schemata"),
            48..55 => self.write_info(rng, state),
            55..68 => make(rng, state),
            68..74 => remove(rng, state),
            74..80 => rename(rng, state),
            80..83 => Operation::Read(self.any_file(rng, state)),
            83 | 97 => {
                let path = self.any_file(rng, state);
                attribute(rng, path)
            }
            84..86 => Operation::Open(
                self.any_file(rng, state),
                one(rng, &["r", "w", "rw", "w,create", "w,truncate", "rw,append"]).to_owned(),
            ),
            86..88 => match rng.u32(..3) {
                0 => Operation::Unlink(self.any_file(rng, state)),
                1 => Operation::Symlink(state.file(rng, "link")),
                _ => Operation::Open(state.file(rng, "new"), "w,create".to_owned()),
            },
            88..90 => Operation::Chmod(self.any_file(rng, state), [0o644, 0o666, 0o444, 0o200, 0][rng.usize(..5)]),
            90..92 => Operation::WriteAsUser(state.file(rng, "tasks"), self.texts(state).tasks(rng)),
            92..94 => self.mount_again(rng, state),
            94..97 if self.fact("CPUS") > 1 => Operation::Cpu(rng.u32(1..self.fact("CPUS")), rng.u32(..5) > 1),
            _ => {
                let text = self.texts(state).any(rng);
                Operation::Write(self.any_file(rng, state), mutate(rng, text))
            }
        }
    }

    /// The first of some operations that belong together; the others are next.
    fn chain(&self, rng: &mut Rng, state: &mut State) -> Operation {
        // Where nothing can be locked, that is refused in one of two ways, which takes few attempts.
        let lock = if self.fact("PSEUDO_LOCK") > 0 { rng.u32(..3) > 0 } else { rng.u32(..12) == 0 };
        let mut chain = VecDeque::from(if lock {
            let texts = self.texts(state);
            chain::locked_region(rng, state, &texts)
        } else {
            chain::monitored_cpus(rng, state, self.fact("CPUS").max(1))
        });
        let first = chain.pop_front().unwrap_or(Operation::Unmount);
        state.next = chain;
        first
    }

    /// A write to a file of a group.
    fn write(&self, rng: &mut Rng, state: &State, name: &str) -> Operation {
        let text = self.texts(state).of(rng, name);
        let text = if rng.u32(..3) == 0 { mutate(rng, text) } else { text };
        Operation::Write(state.file(rng, name), text)
    }

    /// Counters are assigned to groups.
    fn has_counters(&self) -> bool {
        self.fact("COUNTERS") > 0
    }

    fn write_info(&self, rng: &mut Rng, state: &State) -> Operation {
        let event = format!("info/L3_MON/event_configs/{}/event_filter", one(rng, &text::EVENTS));
        let cache = one(rng, &["L3", "L2", "L3CODE", "L3DATA", "MB"]);
        let many = self.has_counters() || self.fact("BMEC") > 0 || self.fact("SDCIAE") > 0;
        let kinds = if many || rng.u32(..6) == 0 { 10 } else { 5 };
        let path = match rng.u32(..kinds) {
            0..3 => "info/L3_MON/max_threshold_occupancy".to_owned(),
            3..5 => "info/L3_MON/mbm_assign_mode".to_owned(),
            5 => "info/L3_MON/mbm_assign_on_mkdir".to_owned(),
            6 => event,
            7 => format!("info/L3_MON/{}", one(rng, &["mbm_total_bytes_config", "mbm_local_bytes_config"])),
            8 => format!("info/{cache}/{}", one(rng, &["io_alloc", "io_alloc_cbm"])),
            _ => format!("info/{cache}/{}", one(rng, &["num_closids", "bit_usage", "min_bandwidth"])),
        };
        let name = path.rsplit('/').next().unwrap_or(&path);
        let text = self.texts(state).of(rng, name);
        let text = if rng.u32(..3) == 0 { mutate(rng, text) } else { text };
        Operation::Write(path, text)
    }

    /// A file that there probably is.
    fn any_file(&self, rng: &mut Rng, state: &State) -> String {
        let domain = rng.u32(..self.fact("L3_DOMAINS").max(1)) + self.fact("L3_FIRST_ID");
        let event = one(rng, &["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"]);
        match rng.u32(..10) {
            0 | 1 if self.fact("TELEMETRY_RMIDS") > 0 && rng.bool() => {
                let event = one(rng, &["core_energy", "activity", "stalls_llc_hit", "uops_retired"]);
                let package = rng.u32(..2);
                state.file(rng, &format!("mon_data/mon_PERF_PKG_{package:02}/{event}"))
            }
            0 | 1 => state.file(rng, &format!("mon_data/mon_L3_{domain:02}/{event}")),
            2 => one(
                rng,
                &["info/last_cmd_status", "info/L3/cbm_mask", "info/L3/bit_usage", "info/L3_MON/num_rmids", "info", ""],
            )
            .to_owned(),
            _ => {
                let name = one(rng, &text::FILES);
                state.file(rng, name)
            }
        }
    }

    fn mount_again(&self, rng: &mut Rng, state: &mut State) -> Operation {
        match rng.u32(..6) {
            0 | 1 => {
                state.groups.truncate(1);
                state.mounted = false;
                Operation::Unmount
            }
            2 => Operation::Remount(one(rng, &["", "debug", "cdp", "foo", "mba_MBps"]).to_owned()),
            3 => Operation::Mount(
                one(rng, &["foo", "cdp=1", "CDP", "cdp,cdpl2", "mba_MBps", "debug,debug", "ro", "cdpl2"]).to_owned(),
            ),
            _ => self.mount(rng, state),
        }
    }
}

/// Whether it gives a group a task that is in no sequence.
fn about_a_stranger(operation: &Operation) -> bool {
    match operation {
        Operation::Write(path, text) | Operation::WriteAsUser(path, text) => {
            path.rsplit('/').next() == Some("tasks") && names_a_stranger(text)
        }
        _ => false,
    }
}

/// What `avoid` is matched with: the operation as it is sent, but a rename into another directory begins with `move`.
fn line(operation: &Operation) -> String {
    let line = operation.to_string();
    let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    match operation {
        Operation::Rename(old, new, _) if folder(old) != folder(new) => line.replacen("rename", "move", 1),
        _ => line,
    }
}

/// An extended attribute is set, read, listed or removed. Few names, so that they meet.
fn attribute(rng: &mut Rng, path: String) -> Operation {
    let names = [
        "trusted.a",
        "trusted.a",
        "trusted.b",
        "security.x",
        "security.selinux",
        "security.capability",
        "user.x",
        "system.posix_acl_access",
        "trusted.",
        "bogus",
        "",
    ];
    let name = one(rng, &names).to_owned();
    match rng.u32(..8) {
        0..4 => {
            let length = [0, 1, 5, 300][rng.usize(..4)];
            let value = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
            Operation::SetXattr(path, name, value, [0, 0, 0, 1, 2, 3][rng.usize(..6)])
        }
        4 | 5 => Operation::GetXattr(path, name),
        6 => Operation::ListXattr(path),
        _ => Operation::RemoveXattr(path, name),
    }
}

/// A group, or something that cannot be one.
fn make(rng: &mut Rng, state: &mut State) -> Operation {
    let name = one(rng, &NAMES);
    let mode = if rng.u32(..8) == 0 { 0o700 } else { 0o755 };
    let path = match rng.u32(..20) {
        0..11 => {
            // Not so many that ids are always short.
            if state.groups.len() > 9 {
                return remove(rng, state);
            }
            name.to_owned()
        }
        11..17 => {
            let parent = state.any_group(rng);
            let parent = parent.split('/').next().unwrap_or_default();
            join(parent, &format!("mon_groups/{name}"))
        }
        17 => state.file(rng, name),
        18 => join(one(rng, &["info", "mon_data", "info/L3", "info/L3_MON", "mon_groups/a/mon_groups"]), name),
        _ => one(rng, &["mon_groups/mon_groups", "info", "new\nline", "a b:c;d=e", "tasks", "x/y"]).to_owned(),
    };
    if !state.groups.contains(&path) && rng.u32(..20) > 0 {
        state.groups.push(path.clone());
    }
    Operation::Mkdir(path, mode)
}

fn remove(rng: &mut Rng, state: &mut State) -> Operation {
    if rng.u32(..6) == 0 {
        let path = one(
            rng,
            &[
                "info",
                "mon_groups",
                "mon_data",
                "tasks",
                "info/L3",
                "a/mon_groups",
                "a/mon_data",
                "nosuch",
                "mon_data/mon_L3_00",
                "mon_data/mon_PERF_PKG_00",
            ],
        );
        return Operation::Rmdir(path.to_owned());
    }
    let path = state.any_group(rng);
    if !path.is_empty() {
        state.groups.retain(|group| *group != path && !group.starts_with(&format!("{path}/")));
    }
    Operation::Rmdir(path)
}

fn rename(rng: &mut Rng, state: &mut State) -> Operation {
    let monitoring: Vec<&String> = state.groups.iter().filter(|group| group.contains("mon_groups/")).collect();
    let old = match rng.u32(..8) {
        0 => state.any_group(rng),
        1 => one(rng, &["info", "tasks", "a/tasks", "mon_groups", "mon_data"]).to_owned(),
        _ if monitoring.is_empty() => format!("mon_groups/{}", one(rng, &NAMES)),
        _ => monitoring[rng.usize(..monitoring.len())].clone(),
    };
    let parent = state.any_group(rng);
    let parent = parent.split('/').next().unwrap_or_default();
    let new = match rng.u32(..10) {
        0 => join(parent, one(rng, &NAMES)),
        1 => join(parent, "mon_groups/mon_groups"),
        2 => join(parent, "mon_groups/tasks"),
        _ => join(parent, &format!("mon_groups/{}", one(rng, &NAMES))),
    };
    if let Some(group) = state.groups.iter_mut().find(|group| **group == old && !old.is_empty()) {
        group.clone_from(&new);
    }
    let flags = if rng.u32(..12) == 0 { rng.u32(1..3) } else { 0 };
    Operation::Rename(old, new, flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::platform::Kind;

    fn generator(machine: &str, seed: u64) -> Generator<'static> {
        let hardware = crate::machine::load(machine, Kind::Qemu).unwrap().hardware;
        Generator::new(crate::guest::facts_of(&hardware), seed, &[])
    }

    #[test]
    fn a_sequence_is_made_again_from_its_seed_and_number() {
        let (one, other) = (generator("intel", 1), generator("intel", 1));
        assert_eq!(one.plan(7), other.plan(7));
        assert_ne!(one.plan(7), one.plan(8));
        assert_ne!(one.plan(7), generator("intel", 2).plan(7));
    }

    #[test]
    fn what_is_avoided_is_not_made() {
        let renames = Regex::new("^(rename|move)\t").unwrap();
        let avoiding = Generator { avoid: vec![&renames], ..generator("intel", 1) };
        let made = |generator: &Generator<'_>| (0..20).flat_map(|number| generator.plan(number)).collect::<Vec<_>>();
        let is_rename = |operation: &Operation| matches!(operation, Operation::Rename(..));
        assert!(made(&generator("intel", 1)).iter().any(is_rename));
        assert!(!made(&avoiding).iter().any(is_rename));
        let cdp = Regex::new("^mount\t[^\t]*cdp").unwrap();
        let avoiding = Generator { avoid: vec![&cdp], ..generator("intel-cdp", 1) };
        let mounts_with = |operation: &Operation| cdp.is_match(&operation.to_string());
        assert!((0..20).any(|number| mounts_with(&generator("intel-cdp", 1).plan(number)[0])));
        assert!(!made(&avoiding).iter().any(mounts_with));
    }

    #[test]
    fn monitoring_groups_are_given_cpus_again_and_again() {
        let generator = generator("intel", 1);
        let given = |operation: &Operation| {
            matches!(operation, Operation::Write(path, text)
                if path.contains("mon_groups/") && path.contains("/cpus") && text.first().is_some_and(u8::is_ascii_digit))
        };
        let sequences = (0..20).filter(|number| generator.plan(*number).iter().any(given)).count();
        assert!(sequences > 12, "{sequences} of 20");
    }

    #[test]
    fn a_move_is_told_from_a_rename() {
        let rename = |new: &str| line(&Operation::Rename("mon_groups/a".to_owned(), new.to_owned(), 0));
        assert_eq!(rename("mon_groups/b"), "rename\tmon_groups/a\tmon_groups/b\t0");
        assert_eq!(rename("c/mon_groups/a"), "move\tmon_groups/a\tc/mon_groups/a\t0");
    }

    #[test]
    fn every_kind_of_operation_is_made_on_every_machine() {
        for machine in crate::machine::names(Kind::Qemu).unwrap() {
            let generator = generator(&machine, 3);
            let verbs: std::collections::BTreeSet<String> = (0..60)
                .flat_map(|number| generator.plan(number))
                .map(|operation| operation.to_string().split('\t').next().unwrap_or_default().to_owned())
                .collect();
            assert!(verbs.len() >= 17, "{machine}: {verbs:?}");
        }
    }
}
