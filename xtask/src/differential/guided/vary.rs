// SPDX-License-Identifier: GPL-2.0-only
//! Makes a sequence from others.

use fastrand::Rng;
use guest_tools::operation::{Operation, SLOTS};

use super::sequence::{LENGTH, PARTS, Sequence};
use crate::differential::generate::text::mutate;

/// Changes of one sequence.
const CHANGES: u32 = 5;

/// How files are kept open.
const FLAGS: [&str; 4] = ["r", "w", "rw", "rw,append"];

/// A relative of `base`, with operations of `other`.
pub(super) fn vary(rng: &mut Rng, base: &Sequence, other: &Sequence) -> Sequence {
    let mut parts = base.clone().into_parts();
    for _ in 0..rng.u32(1..=CHANGES) {
        change(rng, &mut parts, other);
    }
    Sequence::of_parts(parts).unwrap_or_else(|| other.clone())
}

fn change(rng: &mut Rng, parts: &mut Vec<Vec<Operation>>, other: &Sequence) {
    let (count, which) = (parts.len(), rng.usize(..parts.len()));
    let part = &mut parts[which];
    let place = rng.usize(..=part.len());
    let end = (place + rng.usize(1..5)).min(part.len());
    match rng.u32(..16) {
        0 | 1 => drop(part.drain(place..end)),
        2..5 => {
            let items = other.items();
            let from = rng.usize(..items.len());
            let some = items[from..].iter().take(rng.usize(1..8)).map(|(_, operation)| operation.clone());
            part.splice(place..place, some);
        }
        5 => {
            let again = part[place..end].to_vec();
            part.splice(place..place, again);
        }
        6 if !part.is_empty() => {
            let (one, other) = (place.min(part.len() - 1), rng.usize(..part.len()));
            part.swap(one, other);
        }
        7 => {
            part.truncate(place);
            part.extend(other.parts()[0].iter().cloned());
        }
        8 | 9 => keep_open(rng, part, place),
        10 | 11 if count < PARTS && part.len() > 2 => {
            // What came one after the other comes at once.
            let rest = part.split_off(place.max(1));
            parts.push(rest);
        }
        12 if count < PARTS => parts.push(other.items().into_iter().map(|(_, operation)| operation).collect()),
        _ => {
            let names = names(other);
            if let Some(operation) = part.get_mut(place) {
                relative(rng, operation, &names);
            }
        }
    }
    parts.iter_mut().for_each(|part| part.truncate(LENGTH));
}

/// A file is opened, and used after something else has happened.
fn keep_open(rng: &mut Rng, part: &mut Vec<Operation>, place: usize) {
    let Some(path) = part.get(place).and_then(path_of) else { return };
    let slot = rng.usize(..SLOTS);
    let text = part.get(place).and_then(text_of).unwrap_or(b"\n").to_vec();
    part.insert(place, Operation::Hold(slot, path, FLAGS[rng.usize(..FLAGS.len())].to_owned()));
    for _ in 0..rng.u32(1..4) {
        let later = rng.usize(place + 1..=part.len());
        part.insert(
            later,
            match rng.u32(..5) {
                0 | 1 => {
                    Operation::ReadHeld(slot, [0, 0, 1, 7, 4095, 4096][rng.usize(..6)], [65536, 1, 5][rng.usize(..3)])
                }
                2 | 3 => Operation::WriteHeld(slot, text.clone()),
                _ => Operation::Release(slot),
            },
        );
    }
}

/// The paths that a sequence is about.
fn names(sequence: &Sequence) -> Vec<String> {
    sequence.parts().iter().flatten().filter_map(path_of).collect()
}

/// The path that an operation is about; of a rename the old one.
fn path_in(operation: &mut Operation) -> Option<&mut String> {
    match operation {
        Operation::Mount(_)
        | Operation::Remount(_)
        | Operation::Unmount
        | Operation::Cpu(..)
        | Operation::ReadHeld(..)
        | Operation::WriteHeld(..)
        | Operation::Release(_) => None,
        Operation::Mkdir(path, _)
        | Operation::Rmdir(path)
        | Operation::Rename(path, ..)
        | Operation::Write(path, _)
        | Operation::WriteAsUser(path, _)
        | Operation::Read(path)
        | Operation::Open(path, _)
        | Operation::Unlink(path)
        | Operation::Symlink(path)
        | Operation::Chmod(path, _)
        | Operation::SetXattr(path, ..)
        | Operation::GetXattr(path, _)
        | Operation::ListXattr(path)
        | Operation::RemoveXattr(path, _)
        | Operation::Map(path, ..)
        | Operation::List(path)
        | Operation::Hold(_, path, _) => Some(path),
    }
}

fn path_of(operation: &Operation) -> Option<String> {
    path_in(&mut operation.clone()).cloned()
}

fn text_of(operation: &Operation) -> Option<&[u8]> {
    match operation {
        Operation::Write(_, text) | Operation::WriteAsUser(_, text) | Operation::WriteHeld(_, text) => Some(text),
        _ => None,
    }
}

/// Another path: the file of this name in another folder, the folder with another name, or one of `names`.
fn relative_path(rng: &mut Rng, path: &mut String, names: &[String]) {
    let Some(other) = rng.choice(names) else { return };
    let folder = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    *path = match rng.u32(..4) {
        0 | 1 => folder(other) + &name(path),
        2 => folder(path) + &name(other),
        _ => other.clone(),
    };
}

/// Changes one thing about an operation.
fn relative(rng: &mut Rng, operation: &mut Operation, names: &[String]) {
    match operation {
        Operation::Write(path, text) | Operation::WriteAsUser(path, text) => match rng.u32(..3) {
            0 => relative_path(rng, path, names),
            _ => *text = mutate(rng, std::mem::take(text)),
        },
        Operation::WriteHeld(_, text) => *text = mutate(rng, std::mem::take(text)),
        Operation::Rename(old, new, _) => {
            let path = if rng.bool() { old } else { new };
            relative_path(rng, path, names);
        }
        Operation::Cpu(cpu, online) => {
            (*cpu, *online) = if rng.bool() { (*cpu, !*online) } else { (rng.u32(..8), *online) };
        }
        Operation::ReadHeld(slot, ..) | Operation::Release(slot) => *slot = rng.usize(..SLOTS),
        Operation::Mount(options) | Operation::Remount(options) => {
            let all = ["", "debug", "cdp", "cdpl2", "mba_MBps", "cdp,debug", "debug,mba_MBps", "ro", "cdp,cdpl2"];
            all[rng.usize(..all.len())].clone_into(options);
        }
        Operation::Unmount => *operation = Operation::Mount(String::new()),
        other => {
            let Some(path) = path_in(other) else { return };
            match rng.u32(..4) {
                0 => *other = Operation::List(path.clone()),
                1 => *other = Operation::Read(path.clone()),
                _ => relative_path(rng, path, names),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(text: &str) -> Sequence {
        Sequence::parse(text).unwrap()
    }

    #[test]
    fn a_relative_is_a_sequence_that_a_guest_takes() {
        let base = sequence("mount\t\nmkdir\ta\t755\nwrite\ta/schemata\tL3:0=f\\n\nrename\ta\tb\t0\ncpu\t1\toffline\n");
        let other = sequence("mount\tdebug\nmkdir\tmon_groups/m\t755\nlane\nread\ttasks\nrmdir\tmon_groups/m\n");
        let mut rng = Rng::with_seed(1);
        let (mut lanes, mut held, mut different) = (0, 0, 0);
        for _ in 0..2000 {
            let one = vary(&mut rng, &base, &other);
            assert_eq!(Sequence::parse(&one.to_string()), Some(one.clone()));
            assert!(one.parts().iter().all(|part| part.len() <= LENGTH) && one.parts().len() <= PARTS);
            lanes += u32::from(one.parts().len() > 1);
            held += u32::from(one.items().iter().any(|(_, operation)| matches!(operation, Operation::Hold(..))));
            different += u32::from(one != base);
        }
        assert!(lanes > 200 && held > 200 && different > 1800, "{lanes} {held} {different}");
    }

    #[test]
    fn a_short_one_does_not_run_out_of_changes() {
        let short = sequence("umount\n");
        let mut rng = Rng::with_seed(7);
        for _ in 0..500 {
            assert!(vary(&mut rng, &short, &short).len() > 0);
        }
    }
}
