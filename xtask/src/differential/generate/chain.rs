// SPDX-License-Identifier: GPL-2.0-only
//! Operations that only lead somewhere together. Chance alone rarely makes them, one after the other, between all others.

use fastrand::Rng;
use guest_tools::operation::Operation;

use super::{NAMES, State, Texts, join, one};

fn write(path: String, text: &str) -> Operation {
    Operation::Write(path, format!("{text}\n").into_bytes())
}

fn list(cpus: &[u32]) -> String {
    cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// A monitoring group gets CPUs of its parent's, and then something happens to the two, or to the CPUs.
pub(super) fn monitored_cpus(rng: &mut Rng, state: &mut State, cpus: u32) -> Vec<Operation> {
    let control = state.any_group(rng);
    let control = control.split('/').next().filter(|name| *name != "mon_groups").unwrap_or_default().to_owned();
    let mut all: Vec<u32> = (0..cpus).collect();
    rng.shuffle(&mut all);
    let given = &all[..rng.usize(1..=all.len().min(4))];
    let watched = &given[..rng.usize(1..=given.len())];
    let name = one(rng, &NAMES);
    let group = join(&control, &format!("mon_groups/{name}"));
    let mut chain = Vec::new();
    if !control.is_empty() {
        chain.push(write(join(&control, "cpus_list"), &list(given)));
    }
    if !state.groups.contains(&group) {
        chain.push(Operation::Mkdir(group.clone(), 0o755));
        state.groups.push(group.clone());
    }
    chain.push(write(join(&group, "cpus_list"), &list(watched)));
    let cpu = watched[rng.usize(..watched.len())];
    let other = join(&control, &format!("mon_groups/{}", one(rng, &NAMES)));
    match rng.u32(..12) {
        0 => chain.push(write(join(&group, "cpus_list"), "")),
        1 => chain.push(Operation::Rmdir(group)),
        2 if !control.is_empty() => chain.push(Operation::Rmdir(control)),
        3 if !control.is_empty() => chain.push(write(join(&control, "cpus_list"), "")),
        4..7 => {
            let taker = one(rng, &NAMES).to_owned();
            if !state.groups.contains(&taker) {
                chain.push(Operation::Mkdir(taker.clone(), 0o755));
                state.groups.push(taker.clone());
            }
            chain.push(write(join(&taker, "cpus_list"), &cpu.to_string()));
        }
        7 => {
            chain.push(Operation::Mkdir(other.clone(), 0o755));
            chain.push(write(join(&other, "cpus_list"), &cpu.to_string()));
        }
        8 | 9 if cpu > 0 => chain.extend([Operation::Cpu(cpu, false), Operation::Cpu(cpu, true)]),
        10 => chain.push(Operation::Rename(group, other, 0)),
        _ => chain.push(Operation::Rename(group, format!("mon_groups/{name}"), 0)),
    }
    state
        .groups
        .retain(|group| !chain.iter().any(|operation| matches!(operation, Operation::Rmdir(gone) if gone == group)));
    chain
}

/// A region of the cache is locked, and then used, measured, or given up.
pub(super) fn locked_region(rng: &mut Rng, state: &mut State, texts: &Texts<'_>) -> Vec<Operation> {
    let name = one(rng, &NAMES).to_owned();
    let (cache, domain, rest) = texts.room_for_a_region(rng);
    let mut chain = vec![Operation::Write("schemata".to_owned(), rest.into_bytes())];
    if !state.groups.contains(&name) {
        chain.push(Operation::Mkdir(name.clone(), 0o755));
        state.groups.push(name.clone());
    }
    chain.push(write(join(&name, "mode"), "pseudo-locksetup"));
    let mask = one(rng, &["1", "1", "2", "3", "4"]);
    chain.push(write(join(&name, "schemata"), &format!("{cache}:{domain}={mask}")));
    let device = format!("../../../dev/pseudo_lock/{name}");
    let kibibyte = 1024;
    for _ in 0..rng.usize(..4) {
        chain.push(match rng.u32(..8) {
            0 => Operation::Map(device.clone(), 0, 4 * kibibyte),
            1 => Operation::Map(device.clone(), rng.u64(..3) * 512 * kibibyte, rng.u64(1..300) * 4 * kibibyte),
            2 => write(
                format!("../../kernel/debug/resctrl/{name}/pseudo_lock_measure"),
                one(rng, &["1", "2", "3", "4", "x"]),
            ),
            3 => write(join(&name, "mode"), one(rng, &["shareable", "pseudo-locked", "pseudo-locksetup", "exclusive"])),
            4 => write(join(&name, "schemata"), &format!("{cache}:{domain}=2")),
            5 => Operation::Write("schemata".to_owned(), texts.of(rng, "schemata")),
            6 => Operation::Chmod(join(&name, one(rng, &["tasks", "cpus", "cpus_list", "mon_groups"])), 0o644),
            _ => Operation::Mkdir(join(&name, "mon_groups/m"), 0o755),
        });
    }
    if rng.bool() {
        chain.push(Operation::Rmdir(name.clone()));
        state.groups.retain(|group| *group != name);
    }
    chain
}
