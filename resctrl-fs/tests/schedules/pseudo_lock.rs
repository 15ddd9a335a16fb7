// SPDX-License-Identifier: GPL-2.0-only
//! Pseudo-locked groups that go while they are used: what is locked belongs to nobody and to somebody in turn, and each part
//! of it is given back once, whoever is the last.

use resctrl_fs::MapRequest;
use resctrl_types::sim::{RegionCounts, explore, tally};
use resctrl_types::{CpuId, Errno, Result};

use crate::invariants::check;
use crate::machine::{Fs, Machine};

/// A group `g` that has the low portion of the first L3 locked.
fn lock(machine: &Machine) -> Result<()> {
    machine.mkdir("g")?;
    machine.write("schemata", "L3:0=3f0;1=3f0\n")?;
    machine.write("g/mode", "pseudo-locksetup\n")?;
    machine.write("g/schemata", "L3:0=1\n")
}

/// Opens the device of any region, maps and measures it, closes it. It may have gone before, and go at any time.
fn use_device(machine: &Machine) {
    const GONE: [Errno; 2] = [Errno::ENODEV, Errno::EINVAL];
    for _ in 0..3 {
        let Some(minor) = machine.sim.device("g") else { continue };
        if let Err(errno) = machine.fs.open_region(minor) {
            assert_eq!(errno, Errno::ENODEV);
            continue;
        }
        tally("devices opened", 1);
        let request = MapRequest { offset: 0, len: 4096, shared: true };
        let mapped = machine.fs.map_region(minor, request, &|cpus| cpus.contains(CpuId(0)), &mut |_| Ok(()));
        assert!(mapped.is_ok() || mapped.is_err_and(|errno| GONE.contains(&errno)), "{mapped:?}");
        let measured = Fs::measure(&machine.fs, minor, b"1\n");
        assert!(measured.is_ok() || measured == Err(Errno::ENODEV), "{measured:?}");
        machine.fs.close_region(minor);
    }
}

fn beside(machine: &Machine, f: impl Fn(&Machine) + Send + 'static) -> shuttle::thread::JoinHandle<()> {
    let machine = machine.clone();
    shuttle::thread::spawn(move || f(&machine))
}

#[test]
fn a_group_is_removed_while_its_device_is_open_mapped_and_measured() {
    explore(300, || {
        let machine = Machine::mounted();
        lock(&machine).unwrap();
        let users = [(), ()].map(|()| beside(&machine, use_device));
        machine.rmdir("g").unwrap();
        check(&machine);
        for user in users {
            user.join().unwrap();
        }
        assert_eq!(machine.sim.region_counts(), RegionCounts::default());
        lock(&machine).unwrap();
        check(&machine);
        machine.finish();
    });
}

#[test]
fn the_file_system_is_unmounted_and_mounted_while_a_device_is_in_use_and_another_is_locked() {
    explore(300, || {
        let machine = Machine::mounted();
        lock(&machine).unwrap();
        let user = beside(&machine, use_device);
        // Locks again if it is early enough, or late enough.
        let locker = beside(&machine, |machine| {
            let _ = machine.rmdir("g");
            let _ = lock(machine);
        });
        machine.unmount();
        machine.mount().unwrap();
        locker.join().unwrap();
        user.join().unwrap();
        check(&machine);
        machine.finish();
    });
}

#[test]
fn a_domain_goes_and_comes_while_its_region_is_locked_and_used() {
    explore(300, || {
        let machine = Machine::mounted();
        machine.mkdir("g").unwrap();
        machine.write("schemata", "L3:0=3f0;1=3f0\n").unwrap();
        machine.write("g/mode", "pseudo-locksetup\n").unwrap();
        let hotplug = beside(&machine, |machine| {
            machine.offline(2);
            machine.offline(3);
            machine.online(3);
            machine.online(2);
        });
        let user = beside(&machine, use_device);
        let locked = machine.write("g/schemata", "L3:1=1\n");
        // The domain may be away, or be back with everything everybody's.
        assert!(locked.is_ok() || locked == Err(Errno::EINVAL), "{locked:?}");
        for file in ["g/schemata", "g/size", "g/cpus"] {
            let read = machine.read(file);
            assert!(read.is_ok() || [Errno::ENODEV, Errno::EACCES].contains(&read.unwrap_err()), "{file}");
        }
        hotplug.join().unwrap();
        user.join().unwrap();
        check(&machine);
        machine.finish();
    });
}
