// SPDX-License-Identifier: GPL-2.0-only
//! The tree under its lock: whoever looks waits for no command, sees no half of a change, and may trust what it saw for as
//! long as the tree's version stands.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use resctrl_fs::{Bytes, MountOptions, NodeId, SetAttr, TextOut, XattrSet};
use resctrl_types::sim::{explore_preemptions, fail_allocation, in_one_order, is_replay, run};
use resctrl_types::{CpuId, Errno};

use crate::machine::{Fs, INTEL, Machine};

const OPTIONS: MountOptions = MountOptions { cdp: true, cdpl2: false, mba_mbps: true, debug: true };

/// A reader who takes his time: until he is told to go on, whoever prints for him waits, with the rdtgroup mutex.
struct SlowReader {
    inside: Arc<AtomicBool>,
    may_go_on: Arc<AtomicBool>,
}

impl fmt::Write for SlowReader {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        self.inside.store(true, Ordering::Relaxed);
        while !self.may_go_on.load(Ordering::Relaxed) {
            shuttle::thread::yield_now();
        }
        Ok(())
    }
}

impl TextOut for SlowReader {
    fn bytes(&mut self, _: Bytes<'_>) -> fmt::Result {
        fmt::Write::write_str(self, "")
    }
}

/// Runs `f` while another thread has the rdtgroup mutex.
fn while_commands_wait(machine: &Machine, f: impl FnOnce()) {
    let (inside, may_go_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let holder = {
        let mut out = SlowReader { inside: Arc::clone(&inside), may_go_on: Arc::clone(&may_go_on) };
        let (machine, node) = (machine.clone(), machine.open("schemata").unwrap());
        shuttle::thread::spawn(move || Fs::read(&machine.fs, node, &mut out))
    };
    while !inside.load(Ordering::Relaxed) {
        shuttle::thread::yield_now();
    }
    f();
    may_go_on.store(true, Ordering::Relaxed);
    assert_eq!(holder.join().unwrap(), Ok(()));
}

/// Who reads `/proc/mounts` waits for every mount there is, so one command that takes its time would hold up everybody.
#[test]
fn the_options_and_the_tree_are_read_while_a_command_has_the_rdtgroup_mutex() {
    run(|| {
        let machine = Machine::boot(INTEL);
        assert_eq!(machine.options(), "");
        machine.mount_with(&OPTIONS).unwrap();
        while_commands_wait(&machine, || {
            assert_eq!(machine.options(), ",cdp,mba_MBps,debug");
            let tasks = machine.fs.lookup(machine.fs.root().unwrap(), b"tasks").unwrap();
            assert_eq!(machine.fs.attr(tasks).unwrap().mode, 0o644);
            machine.fs.set_attr(tasks, &SetAttr { mode: Some(0o600), ..SetAttr::default() }).unwrap();
            assert_eq!(machine.fs.open(tasks, resctrl_fs::OpenFor { read: true, write: true }), Ok(()));
        });
        machine.unmount();
        assert_eq!(machine.options(), "");
        machine.finish();
    });
}

/// A group is there with all that belongs to it, or not at all.
#[test]
fn nobody_sees_a_group_in_the_making() {
    static SEEN: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    explore_preemptions(2, || {
        let machine = in_one_order(Machine::mounted);
        let maker = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || machine.mkdir("g"))
        };
        let root = machine.fs.root().unwrap();
        let group = machine.fs.lookup(root, b"g");
        SEEN[usize::from(group.is_some())].fetch_add(1, Ordering::Relaxed);
        if let Some(group) = group {
            let mon_data = machine.fs.lookup(group, b"mon_data").expect("mon_data of a group that is there");
            let domain = machine.fs.lookup(mon_data, b"mon_L3_01").expect("each domain");
            assert!(machine.fs.lookup(domain, b"mbm_total_bytes").is_some());
            assert!(machine.fs.lookup(group, b"mon_groups").is_some());
        }
        assert_eq!(maker.join().unwrap(), Ok(()));
        in_one_order(|| machine.finish());
    });
    assert!(is_replay() || SEEN.iter().all(|seen| seen.load(Ordering::Relaxed) > 0));
}

/// What the VFS relies on to answer without a lock: with the same version, the answer is the same.
#[test]
fn what_was_seen_is_so_while_the_version_stands() {
    explore_preemptions(2, || {
        let (machine, root) = in_one_order(|| {
            let machine = Machine::mounted();
            let root = machine.fs.root().unwrap();
            (machine, root)
        });
        let changer = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || {
                let tasks = machine.fs.lookup(root, b"tasks").unwrap();
                let change = SetAttr { mode: Some(0o600), ..SetAttr::default() };
                machine.fs.set_attr(tasks, &change).unwrap();
            })
        };
        let seen = machine.fs.entry(root, b"tasks");
        let again = machine.fs.entry(root, b"tasks");
        assert!(0 < seen.version && seen.version <= again.version);
        assert!(seen.version != again.version || seen.what == again.what);
        changer.join().unwrap();
        // Whoever comes after the change has returned does not take what was before it for true.
        let before = again.what.is_some_and(|attr| attr.mode == 0o644);
        assert!(!before || machine.fs.tree_version() != again.version);
        assert_eq!(machine.fs.entry(root, b"tasks").what.unwrap().mode, 0o600);
        in_one_order(|| machine.finish());
    });
}

#[test]
fn every_change_of_the_tree_changes_its_version() {
    run(|| {
        let machine = Machine::mounted();
        let changes: [(&str, &dyn Fn()); 8] = [
            ("mkdir", &|| machine.mkdir("g").unwrap()),
            ("a monitoring group", &|| machine.mkdir("g/mon_groups/m").unwrap()),
            ("rename", &|| machine.rename("g/mon_groups/m", "g/mon_groups/n").unwrap()),
            ("chmod", &|| {
                let tasks = machine.fs.lookup(machine.fs.root().unwrap(), b"tasks").unwrap();
                machine.fs.set_attr(tasks, &SetAttr { mode: Some(0o640), ..SetAttr::default() }).unwrap();
            }),
            ("a domain that goes", &|| [2, 3].into_iter().for_each(|cpu| machine.offline(cpu))),
            ("and comes back", &|| [2, 3].into_iter().for_each(|cpu| machine.online(cpu))),
            ("rmdir", &|| machine.rmdir("g").unwrap()),
            ("unmount", &|| machine.unmount()),
        ];
        for (name, change) in changes {
            let before = machine.fs.tree_version();
            assert_eq!(machine.fs.tree_version(), before);
            change();
            assert!(machine.fs.tree_version() > before, "{name}");
        }
        machine.finish();
    });
}

/// `trusted.a` of a node, in a buffer of so many bytes.
fn value(machine: &Machine, node: NodeId, room: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; room];
    let len = machine.fs.xattr(node, b"trusted.a", Some(&mut bytes))?;
    bytes.truncate(len);
    Ok(bytes)
}

fn names(machine: &Machine, node: NodeId) -> Vec<String> {
    let mut names = Vec::new();
    machine.fs.xattr_names(node, &mut |name| {
        names.push(String::from_utf8_lossy(name).into_owned());
        true
    });
    names
}

#[test]
fn extended_attributes_are_of_the_node_and_go_with_it() {
    run(|| {
        let machine = Machine::mounted();
        machine.mkdir("g").unwrap();
        let node = machine.open("g/tasks").unwrap();
        let set = |name: &[u8], value: Option<&[u8]>, how| machine.fs.set_xattr(node, name, value, how);
        assert_eq!(value(&machine, node, 9), Err(Errno::ENODATA));
        set(b"trusted.a", Some(b"long value"), XattrSet::Create).unwrap();
        set(b"security.selinux", Some(b"label"), XattrSet::Any).unwrap();
        set(b"trusted.empty", Some(b""), XattrSet::Any).unwrap();
        assert_eq!(set(b"trusted.a", Some(b"x"), XattrSet::Create), Err(Errno::EEXIST));
        assert_eq!(set(b"trusted.b", Some(b"x"), XattrSet::Replace), Err(Errno::ENODATA));
        assert_eq!(
            (value(&machine, node, 10), value(&machine, node, 9)),
            (Ok(b"long value".to_vec()), Err(Errno::ERANGE))
        );
        assert_eq!(machine.fs.xattr(node, b"trusted.a", None), Ok(10));
        assert_eq!(machine.fs.xattr(node, b"trusted.empty", None), Ok(0));
        set(b"trusted.a", Some(b"short"), XattrSet::Replace).unwrap();
        assert_eq!(names(&machine, node), ["trusted.a", "security.selinux", "trusted.empty"]);
        assert_eq!(names(&machine, machine.open("tasks").unwrap()), [""; 0]);
        // They stay where the node goes.
        machine.mkdir("mon_groups/m").unwrap();
        let moved = machine.open("mon_groups/m/tasks").unwrap();
        machine.fs.set_xattr(moved, b"trusted.a", Some(b"stays"), XattrSet::Any).unwrap();
        machine.rename("mon_groups/m", "mon_groups/n").unwrap();
        assert_eq!(value(&machine, machine.open("mon_groups/n/tasks").unwrap(), 9), Ok(b"stays".to_vec()));
        set(b"trusted.a", None, XattrSet::Any).unwrap();
        assert_eq!(set(b"trusted.a", None, XattrSet::Replace), Err(Errno::ENODATA));
        machine.rmdir("g").unwrap();
        assert_eq!((value(&machine, node, 9), names(&machine, node)), (Err(Errno::ENODATA), vec![]));
        assert_eq!(set(b"trusted.a", Some(b"x"), XattrSet::Any), Err(Errno::ENODEV));
        machine.finish();
    });
}

#[test]
fn an_extended_attribute_without_memory_for_it_changes_nothing() {
    run(|| {
        let machine = Machine::mounted();
        let node = machine.open("tasks").unwrap();
        machine.fs.set_xattr(node, b"trusted.a", Some(b"old"), XattrSet::Any).unwrap();
        for n in 0.. {
            let set = || machine.fs.set_xattr(node, b"trusted.a", Some(b"new"), XattrSet::Any);
            let (result, failed) = fail_allocation(n, set);
            if !failed {
                assert_eq!((n, result), (3, Ok(())), "name, value and what they are in");
                break;
            }
            assert_eq!((result, value(&machine, node, 9)), (Err(Errno::ENOMEM), Ok(b"old".to_vec())));
        }
        assert_eq!(value(&machine, node, 9), Ok(b"new".to_vec()));
        machine.finish();
    });
}

/// A look-up and the removal of a whole domain, in every order with so many preemptions.
#[test]
fn a_domain_goes_while_its_files_are_looked_up() {
    explore_preemptions(1, || {
        let (machine, root) = in_one_order(|| {
            let machine = Machine::mounted();
            machine.offline(3);
            let root = machine.fs.root().unwrap();
            (machine, root)
        });
        let hotplug = {
            let machine = machine.clone();
            shuttle::thread::spawn(move || machine.try_offline(CpuId(2)))
        };
        let mon_data = machine.fs.lookup(root, b"mon_data").unwrap();
        let domain = machine.fs.entry(mon_data, b"mon_L3_01");
        let file = domain.what.and_then(|dir| machine.fs.lookup(dir.id, b"mbm_total_bytes"));
        if domain.version == machine.fs.tree_version() {
            assert_eq!(domain.what.is_some(), file.is_some());
        }
        hotplug.join().unwrap().unwrap();
        assert_eq!(machine.fs.entry(mon_data, b"mon_L3_01").what, None);
        in_one_order(|| machine.finish());
    });
}
