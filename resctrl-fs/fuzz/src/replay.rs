// SPDX-License-Identifier: GPL-2.0-only
//! Commands carried out, and what must hold.
//!
//! What is refused changes nothing: after all commands a machine shows what another one shows that was never given those it
//! refused. That takes two machines and two looks at every file, however many commands there are; a look before and after each
//! of them took nearly all the time there was.

use std::hash::{DefaultHasher, Hash, Hasher};

use resctrl_fs::MountOptions;
use resctrl_types::resource::CacheControl;
use resctrl_types::{CounterAssignment, Errno, Result, Transactions, sim};

use crate::arch::{AMD, INTEL, Parameters};
use crate::command::{Command, Refused, Session};
use crate::machine::{Machine, mounted};

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

/// When all files are compared, besides the one that was written to, which always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Always.
    Always,
    /// For one input of so many. Which ones follows from their bytes, so that what fails fails again.
    OneOf(u64),
}

impl Look {
    pub(crate) fn is_due(self, data: &[u8]) -> bool {
        match self {
            Self::Always => true,
            Self::OneOf(count) => {
                let mut hasher = DefaultHasher::new();
                data.hash(&mut hasher);
                hasher.finish().is_multiple_of(count)
            }
        }
    }
}

/// What became of commands.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// Of each, how it ended.
    ended: Vec<Result<()>>,
    /// What all files show in the end; empty if nobody looks.
    picture: Vec<Shown>,
}

/// Which files are looked at in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InTheEnd {
    Nothing,
    EveryFile,
}

/// Carries a session out and sees that what must hold does. Returns how many commands were accepted.
pub(crate) fn carry_out(session: Session, everything: bool) -> usize {
    let Session { options, commands } = session;
    let look = if everything { InTheEnd::EveryFile } else { InTheEnd::Nothing };
    let all = run(options, &commands, look);
    let accepted = all.ended.iter().filter(|ended| ended.is_ok()).count();
    let kept: Vec<_> = commands.iter().zip(&all.ended).filter(|(command, ended)| has_effect(command, ended)).collect();
    if everything && kept.len() < commands.len() {
        let (kept, ended): (Vec<Command>, Vec<_>) = kept.into_iter().map(|(one, ended)| (one.clone(), *ended)).unzip();
        let without = run(options, &kept, look);
        let given = || {
            commands.iter().zip(&all.ended).map(|(one, ended)| format!("\n  {one:?}: {ended:?}")).collect::<String>()
        };
        assert_eq!(without.ended, ended, "a command that was refused changed what became of a later one:{}", given());
        let differs = without.picture.iter().zip(&all.picture).find(|(without, all)| without != all);
        assert_eq!(
            without.picture.len(),
            all.picture.len(),
            "a command that was refused changed the files:{}",
            given()
        );
        assert_eq!(differs, None, "a command that was refused changed something:{}", given());
    }
    accepted
}

/// Whether a command that ended so may have changed something.
fn has_effect(command: &Command, ended: &Result<()>) -> bool {
    // Groups are removed again.
    command.file().is_some_and(|file| ended.is_ok() || file.refused == Refused::Steps)
}

/// Carries commands out on a new machine.
fn run(options: MountOptions, commands: &[Command], look: InTheEnd) -> Outcome {
    // Nothing here needs two threads.
    sim::run_serially(|| mounted(EVERYTHING, options, |machine| all(machine, options, commands, look)))
}

/// Carries commands out on a machine that has nothing but what it was mounted with.
fn all(machine: &Machine, options: MountOptions, commands: &[Command], look: InTheEnd) -> Outcome {
    prepare(machine, options);
    let ended = commands.iter().map(|command| {
        let ended = one(machine, options, command);
        machine.audit();
        ended
    });
    let ended = ended.collect();
    let picture = if look == InTheEnd::EveryFile { picture(machine) } else { Vec::new() };
    Outcome { ended, picture }
}

/// Groups of every kind, one of which is exclusive; two tasks.
fn prepare(machine: &Machine, options: MountOptions) {
    let set = |path: &str, text: String| assert_eq!(machine.write(path, text), Ok(()), "{path}");
    for group in ["g", "x", "g/mon_groups/m"] {
        machine.mkdir(group);
    }
    let halves: &[&str] = if options.cdp { &["L3CODE", "L3DATA"] } else { &["L3"] };
    for (group, masks) in [("", "f"), ("g/", "f"), ("x/", "f0")] {
        let l3: String = halves.iter().map(|half| format!("{half}:0={masks};1={masks}\n")).collect();
        set(&format!("{group}schemata"), format!("{l3}L2:0={masks};1={masks};2={masks};3={masks}\n"));
    }
    set("x/mode", "exclusive\n".to_owned());
    machine.spawn_on(0);
    machine.spawn_on(2);
}

/// Carries a command out.
fn one(machine: &Machine, options: MountOptions, command: &Command) -> Result<()> {
    let Some(file) = command.file() else { return make(machine, &command.text) };
    let path = file.path(options);
    let before = machine.try_read(&path);
    let written = machine.write(&path, &command.text);
    let after = machine.try_read(&path);
    if written.is_err() && file.refused == Refused::Nothing {
        assert_eq!(after, before, "{path} was refused {:?}", String::from_utf8_lossy(&command.text));
        // To give it back what it shows is a command of its own: a group's CPUs are taken from the monitoring groups below it.
        return written;
    }
    if let Some(shown) = after.ok().filter(|_| file.round_trip) {
        assert_eq!(machine.write(&path, &shown), Ok(()), "{path} takes back {:?}", String::from_utf8_lossy(&shown));
        assert_eq!(machine.try_read(&path), Ok(shown), "{path} shows the same");
    }
    written
}

/// Makes a group of this name, and removes it again.
fn make(machine: &Machine, name: &[u8]) -> Result<()> {
    // Nothing else comes through the VFS.
    if name.is_empty() || name == b"." || name == b".." || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
        return Err(Errno::EINVAL);
    }
    let made = machine.try_mkdir_named(name);
    if made.is_ok() {
        machine.rmdir_named(name);
    }
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
    use crate::command::{FILES, File, Target};
    use crate::machine::{PLAIN, on};
    use crate::{kept, seeds};
    use std::sync::{Arc, Mutex};

    #[test]
    fn every_file_of_the_table_is_there_in_one_of_the_modes() {
        on(EVERYTHING, PLAIN, |machine| {
            prepare(machine, PLAIN);
            let there = |file: &File| machine.open(&file.path(PLAIN)).is_ok();
            let now: Vec<_> = FILES.iter().map(there).collect();
            machine.set("info/L3_MON/mbm_assign_mode", "default\n");
            assert!(FILES.iter().zip(now).all(|(file, now)| now || there(file)));
        });
    }

    #[test]
    fn one_input_of_so_many_is_compared_with_another_machine_and_always_the_same() {
        let due = |look: Look| (0..4096_u32).filter(|number| look.is_due(&number.to_le_bytes())).count();
        assert_eq!((due(Look::Always), due(Look::OneOf(1))), (4096, 4096));
        let some = due(Look::OneOf(16));
        assert!((200..=312).contains(&some) && some == due(Look::OneOf(16)), "{some}");
    }

    /// Threads of a scheduler are what the other tests of the file system have; the fuzzer does without.
    #[test]
    fn an_input_does_the_same_with_a_scheduler_as_without_one() {
        for target in Target::ALL {
            for input in seeds(target).into_iter().chain(kept(target).into_iter().step_by(8)) {
                let session = target.session(&input);
                let (options, commands) = (session.options, session.commands.clone());
                let outcome = Arc::new(Mutex::new(None));
                let scheduled = Arc::clone(&outcome);
                on(EVERYTHING, options, move |machine| {
                    *scheduled.lock().unwrap() = Some(all(machine, options, &commands, InTheEnd::EveryFile));
                });
                let serial = run(options, &session.commands, InTheEnd::EveryFile);
                assert_eq!(outcome.lock().unwrap().take(), Some(serial), "{}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn a_command_that_changes_something_shows_among_all_files() {
        let session = Target::Schemata.session(b"\0\0\x07L3:0=3\n");
        let with = run(session.options, &session.commands, InTheEnd::EveryFile);
        let without = run(session.options, &[], InTheEnd::EveryFile);
        assert_eq!(with.ended, [Ok(())]);
        let differ: Vec<_> = with.picture.iter().zip(&without.picture).filter(|(one, other)| one != other).collect();
        // The masks, and the size that follows from them.
        let names: Vec<_> = differ.iter().map(|((name, _), _)| name.as_str()).collect();
        assert_eq!((names, with.picture.len()), (vec!["schemata", "size"], without.picture.len()));
    }

    #[test]
    fn what_was_refused_is_not_given_to_the_other_machine() {
        let session = Target::Schemata.session(b"\0\0\x05L3:0=\0\x07L3:0=3\n");
        let ended = run(session.options, &session.commands, InTheEnd::Nothing).ended;
        let kept = session.commands.iter().zip(&ended).map(|(command, ended)| has_effect(command, ended));
        assert_eq!(kept.collect::<Vec<_>>(), [false, true]);
        // Of these the first step is carried out: a task that there is, and one that there is not.
        let session = Target::Tasks.session(b"\0\x01\x061,9999");
        let ended = run(session.options, &session.commands, InTheEnd::Nothing).ended;
        assert!(ended[0].is_err() && has_effect(&session.commands[0], &ended[0]));
    }
}
