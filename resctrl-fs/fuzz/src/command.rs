// SPDX-License-Identifier: GPL-2.0-only
//! Commands, and what must hold after each of them.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use resctrl_fs::MountOptions;
use resctrl_types::resource::CacheControl;
use resctrl_types::{CounterAssignment, Errno, Result, Transactions};

use crate::arch::{AMD, INTEL, Parameters};
use crate::machine::{CDP, Machine, PLAIN, on};

/// What stays of a command that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Nothing.
    Nothing,
    /// Whatever came before the mistake.
    Steps,
}

/// A file that takes commands.
struct File {
    /// Below the root; in `info`, `L3` stands for the directory of some schema of the cache.
    path: &'static str,
    refused: Refused,
    /// Whether what it shows is a command that changes nothing there.
    round_trip: bool,
}

const fn file(path: &'static str, refused: Refused, round_trip: bool) -> File {
    File { path, refused, round_trip }
}

/// Every file with a parser of its own, once for each kind of group where that matters.
const FILES: &[File] = &[
    file("schemata", Refused::Nothing, true),
    file("g/schemata", Refused::Nothing, true),
    file("x/schemata", Refused::Nothing, true),
    file("g/mode", Refused::Nothing, true),
    file("x/mode", Refused::Nothing, true),
    file("cpus", Refused::Nothing, true),
    file("cpus_list", Refused::Nothing, true),
    file("g/cpus", Refused::Nothing, true),
    file("g/cpus_list", Refused::Nothing, true),
    file("g/mon_groups/m/cpus_list", Refused::Nothing, true),
    file("tasks", Refused::Steps, false),
    file("g/tasks", Refused::Steps, false),
    file("g/mon_groups/m/tasks", Refused::Steps, false),
    file("mbm_L3_assignments", Refused::Steps, true),
    file("g/mon_groups/m/mbm_L3_assignments", Refused::Steps, true),
    file("info/L3_MON/max_threshold_occupancy", Refused::Nothing, true),
    file("info/L3_MON/mbm_assign_mode", Refused::Nothing, false),
    file("info/L3_MON/mbm_assign_on_mkdir", Refused::Nothing, true),
    file("info/L3_MON/mbm_total_bytes_config", Refused::Steps, true),
    file("info/L3_MON/mbm_local_bytes_config", Refused::Steps, true),
    file("info/L3_MON/event_configs/mbm_total_bytes/event_filter", Refused::Nothing, true),
    file("info/L3_MON/event_configs/mbm_local_bytes/event_filter", Refused::Nothing, true),
    file("info/L3/io_alloc", Refused::Nothing, true),
    file("info/L3/io_alloc_cbm", Refused::Nothing, true),
    file("info/L2/io_alloc_cbm", Refused::Nothing, false),
];

/// What is done: something is written, or, one number beyond the files, a group of this name is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    file: usize,
    text: Cow<'static, [u8]>,
}

/// The files that commands are for: those of one parser find more of its corners in the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every file, and names of groups.
    Commands,
    /// `schemata`.
    Schemata,
    /// `tasks`.
    Tasks,
    /// `cpus` and `cpus_list`.
    Cpus,
    /// `event_filter`.
    EventFilter,
    /// `mbm_L3_assignments`.
    Assignments,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Commands, Self::Schemata, Self::Tasks, Self::Cpus, Self::EventFilter, Self::Assignments];

    /// What `cargo xtask fuzz` calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Schemata => "schemata",
            Self::Tasks => "tasks",
            Self::Cpus => "cpus",
            Self::EventFilter => "event-filter",
            Self::Assignments => "assignments",
        }
    }

    fn has(self, file: usize) -> bool {
        let wanted: &[&str] = match self {
            Self::Commands => return true,
            Self::Schemata => &["schemata"],
            Self::Tasks => &["tasks"],
            Self::Cpus => &["cpus", "cpus_list"],
            Self::EventFilter => &["event_filter"],
            Self::Assignments => &["mbm_L3_assignments"],
        };
        FILES.get(file).and_then(|file| file.path.rsplit('/').next()).is_some_and(|name| wanted.contains(&name))
    }

    /// The numbers of its files, in the order in which the bytes of an input count them.
    fn files(self) -> Vec<usize> {
        (0..=FILES.len()).filter(|file| self.has(*file)).collect()
    }

    /// The bytes of those of these commands that are for its files.
    pub(crate) fn to_bytes(self, commands: &[Command]) -> Vec<u8> {
        let byte = |number| u8::try_from(number).expect("small");
        let (files, mut bytes) = (self.files(), Vec::new());
        for Command { file, text } in commands {
            if let Some(place) = files.iter().position(|other| other == file) {
                bytes.extend([byte(place), byte(text.len())]);
                bytes.extend_from_slice(text);
            }
        }
        bytes
    }

    /// Any bytes are commands: which file, how long the text, the text.
    pub(crate) fn commands(self, mut data: &[u8]) -> Vec<Command> {
        let (files, mut commands) = (self.files(), Vec::new());
        while let [place, len, rest @ ..] = data
            && commands.len() < MOST
        {
            let (text, behind) = rest.split_at(usize::from(*len).min(rest.len()));
            let file = files[usize::from(*place) % files.len()];
            commands.push(Command { file, text: Cow::Owned(text.to_vec()) });
            data = behind;
        }
        commands
    }
}

const fn put(file: usize, text: &'static str) -> Command {
    Command { file, text: Cow::Borrowed(text.as_bytes()) }
}

/// Sessions in which most is right.
pub(crate) const GOOD: &[&[Command]] = &[
    &[
        put(0, "L3:0=f;1=0xf;\nMB:0=50;1= 60 \n"),
        put(1, "  L3 :0=3;1=c\n"),
        put(1, "L2:0=f;1=f;2=f;3=f\n"),
        put(2, "L3:0=f0\nSMBA:1=1000\n"),
        put(3, "exclusive\n"),
        put(3, "shareable\n"),
        put(4, "shareable\n"),
        put(FILES.len(), "a name"),
        put(0, "L3CODE:0=f\nL3DATA:1=7\n"),
    ],
    &[
        put(7, "c\n"),
        put(8, "1-2\n"),
        put(9, "2\n"),
        put(8, "0-3:1/2,N\n"),
        put(5, "f"),
        put(6, "all\n"),
        put(8, "\n"),
        put(11, "1, 0x2,\n"),
        put(12, "1\n"),
        put(10, "01,3\n"),
    ],
    &[
        put(20, "local_reads, remote_reads\n"),
        put(21, "dirty_victim_writes_all,\n"),
        put(13, "mbm_total_bytes:0=_;1=_\nmbm_local_bytes:*=_\n"),
        put(14, "mbm_total_bytes:*=e\n"),
        put(15, "0x10000\n"),
        put(17, "0"),
        put(16, "default\n"),
        put(18, "0=0x3f;1=15\n"),
        put(19, "1=7f;\n"),
        put(16, "mbm_event\n"),
        put(17, "on\n"),
    ],
    &[put(22, "1\n"), put(23, "0=f;1=3\n"), put(23, "*=c;\n"), put(24, "0=1\n"), put(1, "L3:0=c\n"), put(22, "off\n")],
];

/// The most commands of one input, so that none takes long.
const MOST: usize = 40;

/// A machine with every file there is.
const EVERYTHING: Parameters = Parameters {
    l3: CACHE,
    l2: CACHE,
    mb: INTEL.mb,
    io_alloc: true,
    configurable: Some(Transactions::ALL),
    counters: Some(CounterAssignment { count: 6, configurable: true, switchable: true, supported: Transactions::ALL }),
    ..AMD
};

const CACHE: Option<CacheControl> =
    Some(CacheControl { cbm_len: 8, min_cbm_bits: 1, shareable_bits: 0, sparse_masks: true });

/// Carries the commands out, with CDP and without it, and sees that what must hold does. Returns how many were accepted.
pub(crate) fn carry_out(commands: Vec<Command>) -> usize {
    let accepted = Arc::new(AtomicUsize::new(0));
    let commands = Arc::new(commands);
    for options in [PLAIN, CDP] {
        let (accepted, commands) = (Arc::clone(&accepted), Arc::clone(&commands));
        on(EVERYTHING, options, move |machine| {
            prepare(machine, options);
            for command in &*commands {
                accepted.fetch_add(usize::from(one(machine, options, command)), Ordering::Relaxed);
                machine.audit();
            }
        });
    }
    accepted.load(Ordering::Relaxed)
}

/// Groups of every kind, one of which is exclusive; two tasks.
fn prepare(machine: &Machine, options: MountOptions) {
    for group in ["g", "x", "g/mon_groups/m"] {
        machine.mkdir(group);
    }
    let halves: &[&str] = if options.cdp { &["L3CODE", "L3DATA"] } else { &["L3"] };
    for (group, masks) in [("", "f"), ("g/", "f"), ("x/", "f0")] {
        for half in halves {
            machine.set(&format!("{group}schemata"), format!("{half}:0={masks};1={masks}\n"));
        }
        machine.set(&format!("{group}schemata"), format!("L2:0={masks};1={masks};2={masks};3={masks}\n"));
    }
    machine.set("x/mode", "exclusive\n");
    machine.spawn_on(0);
    machine.spawn_on(2);
}

fn path(file: &File, options: MountOptions) -> String {
    if options.cdp { file.path.replace("info/L3/", "info/L3CODE/") } else { file.path.to_owned() }
}

/// Carries a command out. Returns whether it was accepted.
fn one(machine: &Machine, options: MountOptions, command: &Command) -> bool {
    let before = picture(machine);
    let Some(file) = FILES.get(command.file) else {
        return make(machine, &command.text, &before).is_ok();
    };
    let path = path(file, options);
    let written = machine.write(&path, &command.text);
    if written.is_err() && file.refused == Refused::Nothing {
        assert_eq!(picture(machine), before, "{path} was refused {:?}", String::from_utf8_lossy(&command.text));
    }
    if let Some(shown) = machine.try_read(&path).ok().filter(|_| file.round_trip) {
        assert_eq!(machine.write(&path, &shown), Ok(()), "{path} takes back {:?}", String::from_utf8_lossy(&shown));
        assert_eq!(machine.try_read(&path), Ok(shown), "{path} shows the same");
    }
    written.is_ok()
}

/// Makes a group of this name, and removes it again.
fn make(machine: &Machine, name: &[u8], before: &[Shown]) -> Result<()> {
    // Nothing else comes through the VFS.
    if name.is_empty() || name == b"." || name == b".." || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(Errno::EINVAL);
    }
    let made = machine.try_mkdir_named(name);
    if made.is_ok() {
        machine.rmdir_named(name);
    }
    // The RMID is in limbo, and counters have found a new owner and lost him.
    assert_eq!(picture(machine), before, "after the group {:?}", String::from_utf8_lossy(name));
    made
}

/// What a file shows, if it can be read.
type Shown = (String, Option<Vec<u8>>);

/// What every file shows but the status.
fn picture(machine: &Machine) -> Vec<Shown> {
    let (mut dirs, mut files) = (vec![String::new()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for (name, _) in machine.list(&dir) {
            let path = format!("{dir}{name}");
            match machine.try_read(&path) {
                Err(Errno::EISDIR) => dirs.push(format!("{path}/")),
                shown => files.push((path, shown.ok())),
            }
        }
    }
    files.retain(|(path, _)| path != "info/last_cmd_status");
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lead_back_to_their_commands() {
        for target in Target::ALL {
            for session in GOOD {
                let own: Vec<_> = session.iter().filter(|command| target.has(command.file)).cloned().collect();
                assert_eq!(target.commands(&target.to_bytes(session)), own, "{target:?}");
            }
        }
        assert_eq!(Target::Commands.commands(&[7, 200, b'f']), [put(7, "f")]);
        assert_eq!(Target::Commands.commands(&[7]), []);
    }

    #[test]
    fn each_target_has_the_files_of_its_parser() {
        let count = |target: Target| target.files().len();
        assert_eq!(Target::ALL.map(count), [FILES.len() + 1, 3, 3, 5, 2, 2]);
    }

    #[test]
    fn every_file_of_the_table_is_there_in_one_of_the_modes() {
        on(EVERYTHING, PLAIN, |machine| {
            prepare(machine, PLAIN);
            let there = |file: &File| machine.open(file.path).is_ok();
            let now: Vec<_> = FILES.iter().map(there).collect();
            machine.set("info/L3_MON/mbm_assign_mode", "default\n");
            assert!(FILES.iter().zip(now).all(|(file, now)| now || there(file)));
        });
    }
}
