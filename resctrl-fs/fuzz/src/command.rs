// SPDX-License-Identifier: GPL-2.0-only
//! Commands, and the bytes that they are made of.

use std::borrow::Cow;
use std::collections::BTreeSet;

use resctrl_fs::MountOptions;

use crate::machine::{CDP, PLAIN};

/// What stays of a command that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nothing.
    Nothing,
    /// Whatever came before the mistake.
    Steps,
}

/// A file that takes commands.
pub(crate) struct File {
    /// Below the root; in `info`, `L3` stands for the directory of some schema of the cache.
    path: &'static str,
    pub(crate) refused: Refused,
    /// Whether what it shows is a command that changes nothing there.
    pub(crate) round_trip: bool,
}

impl File {
    /// Where it is on a machine that is mounted so.
    pub(crate) fn path(&self, options: MountOptions) -> Cow<'static, str> {
        if options.cdp { self.path.replace("info/L3/", "info/L3CODE/").into() } else { self.path.into() }
    }
}

const fn file(path: &'static str, refused: Refused, round_trip: bool) -> File {
    File { path, refused, round_trip }
}

/// Every file with a parser of its own, once for each kind of group where that matters.
pub(crate) const FILES: &[File] = &[
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
    pub(crate) text: Cow<'static, [u8]>,
}

impl Command {
    /// What is written to; none where the text is the name of a group to be made.
    pub(crate) fn file(&self) -> Option<&'static File> {
        FILES.get(self.file)
    }
}

/// What an input is: how the file system is mounted, and what is done there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) options: MountOptions,
    pub(crate) commands: Vec<Command>,
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

    /// The bytes of a session, with those of these commands that are for the target's files; none if there are none.
    pub(crate) fn to_bytes(self, options: MountOptions, commands: &[Command]) -> Option<Vec<u8>> {
        let byte = |number| u8::try_from(number).expect("small");
        let (files, mut bytes) = (self.files(), vec![u8::from(options.cdp)]);
        for Command { file, text } in commands {
            if let Some(place) = files.iter().position(|other| other == file) {
                bytes.extend([byte(place), byte(text.len())]);
                bytes.extend_from_slice(text);
            }
        }
        (bytes.len() > 1).then_some(bytes)
    }

    /// Words of its good commands, and numbers at the edges of types.
    pub(crate) fn words(self) -> BTreeSet<&'static str> {
        let own = GOOD.iter().copied().flatten().filter(|command| self.has(command.file));
        let texts = own.filter_map(|command| match &command.text {
            Cow::Borrowed(text) => std::str::from_utf8(text).ok(),
            Cow::Owned(_) => None,
        });
        let words = texts.flat_map(|text| text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_')));
        words.filter(|word| word.len() > 1).chain(EDGES).collect()
    }

    /// Any bytes are a session: whether with CDP, then for each command which file, how long the text, the text.
    pub(crate) fn session(self, data: &[u8]) -> Session {
        let (mode, mut data) = data.split_first().unwrap_or((&0, &[]));
        let (files, mut commands) = (self.files(), Vec::new());
        while let [place, len, rest @ ..] = data
            && commands.len() < MOST
        {
            let (text, behind) = rest.split_at(usize::from(*len).min(rest.len()));
            let file = files[usize::from(*place) % files.len()];
            commands.push(Command { file, text: Cow::Owned(text.to_vec()) });
            data = behind;
        }
        Session { options: if mode & 1 == 1 { CDP } else { PLAIN }, commands }
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

/// The least and the largest that types hold, and one more.
const EDGES: [&str; 7] =
    ["-1", "2147483647", "2147483648", "4294967295", "0x100000000", "18446744073709551615", "18446744073709551616"];

/// The most commands of one input, so that none takes long.
const MOST: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lead_back_to_their_commands() {
        for (target, options) in
            Target::ALL.into_iter().flat_map(|target| [PLAIN, CDP].map(|options| (target, options)))
        {
            for session in GOOD {
                let own: Vec<_> = session.iter().filter(|command| target.has(command.file)).cloned().collect();
                let Some(bytes) = target.to_bytes(options, session) else {
                    assert_eq!(own, []);
                    continue;
                };
                assert_eq!(target.session(&bytes), Session { options, commands: own }, "{target:?}");
            }
        }
        let plain = |commands| Session { options: PLAIN, commands };
        assert_eq!(Target::Commands.session(&[0, 7, 200, b'f']), plain(vec![put(7, "f")]));
        assert_eq!(Target::Commands.session(&[0, 7]), plain(vec![]));
        assert_eq!(Target::Commands.session(&[]), plain(vec![]));
    }

    #[test]
    fn the_words_of_a_target_are_those_that_its_parser_knows() {
        let of = |target: Target| target.words();
        assert!(of(Target::Schemata).is_superset(&["L3", "L3CODE", "MB", "SMBA", "-1"].into()));
        assert!(of(Target::EventFilter).contains("dirty_victim_writes_all") && !of(Target::Tasks).contains("L3"));
        // As libFuzzer takes them there is nothing to escape.
        assert!(of(Target::Commands).iter().all(|word| word.bytes().all(|byte| byte.is_ascii_graphic())));
    }

    #[test]
    fn each_target_has_the_files_of_its_parser() {
        let count = |target: Target| target.files().len();
        assert_eq!(Target::ALL.map(count), [FILES.len() + 1, 3, 3, 5, 2, 2]);
    }
}
