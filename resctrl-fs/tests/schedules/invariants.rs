// SPDX-License-Identifier: GPL-2.0-only
//! What must hold whenever no command is under way.
//!
//! | # | Invariant | Checked by |
//! |---|---|---|
//! | C1, C2 | control groups share the online CPUs out among them, monitor groups those of their parent | `check_cpus` |
//! | C3, C4 | no id has two groups, but what pseudo-locked groups have given up; each RMID is in use, free or in limbo, and in one of these only | `check_ids`, the audit |
//! | C5 | limbo counts agree with the domains | the audit |
//! | C6 | a domain with an RMID in limbo has its limbo worker | the audit |
//! | C7 | a mounted file system has an overflow worker in each domain | the audit, `check_workers` |
//! | C8 | exclusive groups overlap with nobody | `check_exclusive` |
//! | C9 | nobody overlaps with a pseudo-locked region | the audit |
//! | C10 | no value is staged | nothing to check: staged values are a local of the command that parses them |
//! | C11 | what files show is what is in the registers | `check_control_values` |
//! | C12 | assigned counters belong to living groups | `counters.rs`, on a machine that has some |
//! | C13 | `mon_data` shows every domain, once | `check_mon_data` |
//! | C14 | tasks are in groups that live, and in one control group each | `check_tasks` |
//! | C15 | without the bandwidth controller there are no targets | the audit |
//! | C16 | domains are in ascending order, and none is without CPUs | the audit, `check_control_values` |
//! | C17 | the status says what the last command said, in 512 bytes | `check_status` |
//!
//! The audit is [`resctrl_fs::Resctrl::audit`], which looks at what no file shows.

use std::collections::BTreeSet;

use resctrl_hardware::registers::{L3Mask, MbaBandwidth, MbaThrottle, PqrAssoc, SmbaBandwidth};
use resctrl_types::arch::Ids;
use resctrl_types::{CpuId, Errno};

use crate::machine::{Machine, possible};

/// A group as its files show it.
struct Group {
    path: String,
    closid: u64,
    rmid: u64,
    cpus: BTreeSet<u32>,
    tasks: BTreeSet<i32>,
    /// Empty for a control group: the path of the parent for a monitor group.
    parent: Option<String>,
}

fn cpu_list(text: &str) -> BTreeSet<u32> {
    let ranges = text.trim().split(',').filter(|range| !range.is_empty());
    let bounds = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    };
    ranges.flat_map(bounds).collect()
}

fn group(machine: &Machine, path: &str, parent: Option<&str>) -> Group {
    let read = |file: &str| machine.read(&format!("{path}/{file}")).unwrap();
    let id = |file: &str| read(file).trim().parse().unwrap();
    let closid = if parent.is_some() { 0 } else { id("ctrl_hw_id") };
    let tasks = read("tasks").lines().map(|line| line.parse().unwrap()).collect();
    let cpus = cpu_list(&read("cpus_list"));
    Group { path: path.into(), closid, rmid: id("mon_hw_id"), cpus, tasks, parent: parent.map(Into::into) }
}

/// Every group that has ids: each control group is followed by its monitor groups.
fn groups(machine: &Machine) -> Vec<Group> {
    let not_groups = ["info", "mon_data", "mon_groups"];
    let mut paths = vec![String::new()];
    paths.extend(machine.dirs("").unwrap().into_iter().filter(|name| !not_groups.contains(&name.as_str())));
    let has_ids = |path: &String| !machine.read(&format!("{path}/mode")).unwrap().starts_with("pseudo-");
    let mut groups = Vec::new();
    for path in paths.into_iter().filter(has_ids) {
        let ctrl = group(machine, &path, None);
        let closid = ctrl.closid;
        groups.push(ctrl);
        for name in machine.dirs(&format!("{path}/mon_groups")).unwrap() {
            let mon = group(machine, &format!("{path}/mon_groups/{name}"), Some(&path));
            groups.push(Group { closid, ..mon });
        }
    }
    groups
}

/// Checks everything. Nothing else may be running but workers; leaves no trace but in `info/last_cmd_status`.
pub(crate) fn check(machine: &Machine) {
    machine.sim.settle();
    assert_eq!(machine.audit(), "");
    check_workers(machine);
    if !machine.is_mounted() {
        return;
    }
    let groups = groups(machine);
    check_cpus(machine, &groups);
    check_ids(&groups);
    check_tasks(machine, &groups);
    check_mon_data(machine, &groups);
    check_control_values(machine, &groups);
    if !machine.has_new_domains() {
        check_exclusive(machine, &groups);
    }
    check_associations(machine, &groups);
    check_status(machine);
}

/// C17: a command that says something replaces what an earlier one said, and one that has nothing to say leaves nothing.
fn check_status(machine: &Machine) {
    let status = || machine.read("info/last_cmd_status").unwrap();
    let [long, short] = ["x".repeat(600), "y".into()];
    assert_eq!(machine.write("schemata", &format!("{long}:0=1\n")), Err(Errno::EINVAL));
    assert!(status().len() <= 512 + "[truncated]\n".len(), "{}", status());
    assert_eq!(machine.write("schemata", &format!("{short}:0=1\n")), Err(Errno::EINVAL));
    assert!(status().contains('y') && !status().contains("xxx"), "{}", status());
    machine.read("cpus").unwrap();
    assert_eq!(status(), "ok\n");
}

/// C7, and that no work is scheduled that nobody needs: while mounted one overflow worker for each domain. What else is
/// scheduled can only be limbo workers, one for a domain at most, or workers of domains that have gone.
fn check_workers(machine: &Machine) {
    let (scheduled, domains) = (machine.sim.scheduled_works(), machine.mon_domains().len());
    if machine.is_mounted() {
        assert!(scheduled >= domains, "{scheduled} works scheduled for {domains} domains: an overflow worker is lost");
    }
    assert!(machine.sim.live_works() >= 2 * domains);
}

/// C1, C2.
fn check_cpus(machine: &Machine, groups: &[Group]) {
    let mut seen = BTreeSet::new();
    for ctrl in groups.iter().filter(|group| group.parent.is_none()) {
        let mut in_children = BTreeSet::new();
        for &cpu in &ctrl.cpus {
            assert!(seen.insert(cpu), "CPU {cpu} is in two control groups");
        }
        for child in groups.iter().filter(|group| group.parent.as_ref() == Some(&ctrl.path)) {
            assert!(child.cpus.is_subset(&ctrl.cpus), "{} has CPUs that its parent has not", child.path);
            for &cpu in &child.cpus {
                assert!(in_children.insert(cpu), "CPU {cpu} is in two monitor groups of {:?}", ctrl.path);
            }
        }
    }
    let online: BTreeSet<u32> = machine.sim.online_cpus().into_iter().map(|cpu| cpu.0).collect();
    assert_eq!(seen, online, "the control groups' CPUs are not the online ones");
}

/// C3, C4.
fn check_ids(groups: &[Group]) {
    let (mut closids, mut rmids) = (BTreeSet::new(), BTreeSet::new());
    for group in groups {
        assert!(rmids.insert(group.rmid), "RMID {} has two groups", group.rmid);
        if group.parent.is_none() {
            assert!(closids.insert(group.closid), "CLOSID {} has two groups", group.closid);
        }
        assert_eq!(group.path.is_empty(), group.rmid == 0);
    }
    assert_eq!(groups[0].closid, 0);
}

/// C14: each task is in one control group, and in no more than one monitor group, which is that one's.
fn check_tasks(machine: &Machine, groups: &[Group]) {
    machine.sim.tasks().iter().for_each(|task| {
        let pid = task.pid();
        let of =
            |mon: bool| groups.iter().filter(move |group| group.parent.is_some() == mon && group.tasks.contains(&pid));
        assert_eq!(of(false).count(), 1, "task {pid} is not in exactly one control group");
        assert!(of(true).count() <= 1, "task {pid} is in several monitor groups");
        let ctrl = of(false).next().map(|group| &group.path);
        for mon in of(true) {
            assert_eq!(mon.parent.as_ref(), ctrl, "task {pid} is in a monitor group of another parent");
        }
    });
}

/// C13, C16.
fn check_mon_data(machine: &Machine, groups: &[Group]) {
    let packages = machine.packages().into_iter().map(|package| format!("mon_PERF_PKG_{package:02}"));
    let l3s = machine.l3s().into_iter().map(|l3| format!("mon_L3_{l3:02}"));
    let expected: Vec<String> = l3s.chain(packages).collect();
    for group in groups {
        let mon_data = format!("{}/mon_data", group.path);
        assert_eq!(machine.dirs(&mon_data).unwrap(), expected, "{:?}", group.path);
        for l3 in machine.l3s() {
            let nodes = machine.mon_domains().into_iter().filter(|&(of, _)| of == l3);
            let nodes: Vec<String> = nodes.filter_map(|(_, node)| Some(format!("mon_sub_L3_{:02}", node?))).collect();
            assert_eq!(machine.dirs(&format!("{mon_data}/mon_L3_{l3:02}")).unwrap(), nodes, "{:?}", group.path);
        }
    }
}

/// The values of a group's schemata: name of the schema, L3, value as it is printed.
fn schemata(machine: &Machine, group: &Group) -> Vec<(String, Vec<(usize, String)>)> {
    let text = machine.read(&format!("{}/schemata", group.path)).unwrap();
    let line = |line: &str| {
        let (name, values) = line.trim().split_once(':').unwrap();
        let value = |value: &str| {
            let (l3, value) = value.split_once('=').unwrap();
            (l3.parse().unwrap(), value.trim().to_owned())
        };
        (name.to_owned(), values.split(';').map(value).collect())
    };
    text.lines().map(line).collect()
}

/// C10 as far as it shows, C11, C16: what `schemata` shows is what is in the registers, in every domain there is.
fn check_control_values(machine: &Machine, groups: &[Group]) {
    let mbps = machine.options().contains("mba_MBps");
    let amd = machine.board.rdt.machine().qos.is_some();
    for group in groups.iter().filter(|group| group.parent.is_none()) {
        for (name, values) in schemata(machine, group) {
            assert_eq!(values.iter().map(|&(l3, _)| l3).collect::<Vec<_>>(), machine.l3s(), "domains of {name}");
            for (l3, value) in values {
                let cpu = machine.l3_cpus(l3)[0];
                let closid = u32::try_from(group.closid).unwrap();
                let mask = || u64::from_str_radix(&value, 16).unwrap();
                let (shown, address) = match name.as_str() {
                    "L3" => (mask(), L3Mask::ADDRESS + closid),
                    "L3DATA" => (mask(), L3Mask::ADDRESS + 2 * closid),
                    "L3CODE" => (mask(), L3Mask::ADDRESS + 2 * closid + 1),
                    // The value is a target then, and the register what the controller makes of it.
                    "MB" if mbps => continue,
                    "MB" if amd => (value.parse().unwrap(), MbaBandwidth::ADDRESS + closid),
                    "SMBA" => (value.parse().unwrap(), SmbaBandwidth::ADDRESS + closid),
                    "MB" => (100 - value.parse::<u64>().unwrap(), MbaThrottle::ADDRESS + closid),
                    _ => panic!("no register is known for {name}"),
                };
                let register = machine.msr(cpu, address);
                assert_eq!(shown, register, "{:?} {name}:{l3}: the register differs", group.path);
            }
        }
    }
}

/// C8.
fn check_exclusive(machine: &Machine, groups: &[Group]) {
    let mut masks = Vec::new();
    for (at, group) in groups.iter().enumerate().filter(|(_, group)| group.parent.is_none()) {
        let exclusive = machine.read(&format!("{}/mode", group.path)).unwrap() == "exclusive\n";
        for (name, values) in schemata(machine, group).into_iter().filter(|(name, _)| name.starts_with("L3")) {
            let mask = |value: String| u64::from_str_radix(&value, 16).unwrap();
            masks.extend(values.into_iter().map(|(l3, value)| (at, exclusive, name.clone(), l3, mask(value))));
        }
    }
    for (at, exclusive, name, l3, mask) in &masks {
        for (other, _, other_name, other_l3, other_mask) in &masks {
            let meet = at != other && l3 == other_l3 && mask & other_mask != 0;
            let [path, other_path] = [at, other].map(|&group| &groups[group].path);
            assert!(!(*exclusive && meet), "{path:?} {name} and {other_path:?} {other_name} overlap in L3 {l3}");
        }
    }
}

/// What each CPU's register says it works for is the running task's group, or else the CPU's.
fn check_associations(machine: &Machine, groups: &[Group]) {
    let arch = machine.fs.arch();
    let mut running = vec![None; possible(machine).count()];
    machine.sim.tasks().iter().for_each(|task| {
        if let Some(cpu) = machine.sim.running_on(task) {
            let ids = Ids::task_ids(arch, task.word());
            running[cpu.index()] = Some((u64::from(ids.closid.0), u64::from(ids.rmid.0)));
        }
    });
    for cpu in machine.sim.online_cpus() {
        let (closid, rmid) = running[cpu.index()].unwrap_or_default();
        let (cpu_closid, cpu_rmid) = group_of_cpu(groups, cpu);
        let expected = (if closid == 0 { cpu_closid } else { closid }, if rmid == 0 { cpu_rmid } else { rmid });
        let register = machine.board.rdt.association(cpu.index()).unwrap();
        assert_eq!((register.get(PqrAssoc::CLOSID), register.get(PqrAssoc::RMID)), expected, "ids of CPU {cpu}");
    }
}

fn group_of_cpu(groups: &[Group], cpu: CpuId) -> (u64, u64) {
    // A monitor group comes after its parent: the last one that has the CPU decides.
    let group = groups.iter().rfind(|group| group.cpus.contains(&cpu.0)).unwrap();
    (group.closid, group.rmid)
}
