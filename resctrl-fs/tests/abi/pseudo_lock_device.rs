// SPDX-License-Identifier: GPL-2.0-only
//! The device of a pseudo-locked region, and the file that measures it.

use resctrl_fs::MapRequest;
use resctrl_types::cache::CacheLevel;
use resctrl_types::pseudo_lock::Trace;
use resctrl_types::sim::RegionCounts;
use resctrl_types::{CpuId, CpuMask, Errno, Result};

use crate::arch::{LOCKING, Parameters};
use crate::machine::{Fs, Machine, PLAIN, on};

const PAGE: u64 = 4096;
/// One portion of an L2.
const SIZE: u64 = 256 << 10;
const ALL: MapRequest = MapRequest { offset: 0, len: SIZE, shared: true };

fn locked(machine: &Machine) -> u32 {
    machine.mkdir("g");
    machine.set("schemata", "L2:0=f0;1=f0;2=f0;3=f0\nL3:0=3f0;1=3f0\n");
    machine.set("g/mode", "pseudo-locksetup\n");
    machine.set("g/schemata", "L2:2=1\n");
    machine.sim.device("g").unwrap()
}

/// Maps for a task that can run on these CPUs; gives how often memory was mapped.
fn map(machine: &Machine, minor: u32, request: MapRequest, affinity: &[u32]) -> (Result<()>, u32) {
    let mut maps = 0;
    let fits = |cpus: &CpuMask| affinity.iter().all(|&cpu| cpus.contains(CpuId(cpu)));
    let result = machine.fs.map_region(minor, request, &fits, &mut |_| {
        maps += 1;
        Ok(())
    });
    (result, maps)
}

#[test]
fn a_region_is_mapped_shared_within_its_size_by_tasks_that_stay_on_its_cpus() {
    on(LOCKING, PLAIN, |machine| {
        let minor = locked(machine);
        machine.fs.open_region(minor).unwrap();
        for request in [ALL, MapRequest { offset: SIZE - PAGE, len: PAGE, ..ALL }] {
            assert_eq!(map(machine, minor, request, &[2]), (Ok(()), 1));
        }
        let refused = [
            (ALL, &[3][..], Errno::EINVAL),
            (ALL, &[2, 3], Errno::EINVAL),
            (MapRequest { shared: false, ..ALL }, &[2], Errno::EINVAL),
            (MapRequest { len: SIZE + PAGE, ..ALL }, &[2], Errno::ENOSPC),
            (MapRequest { offset: PAGE, ..ALL }, &[2], Errno::ENOSPC),
            (MapRequest { offset: SIZE + PAGE, len: PAGE, ..ALL }, &[2], Errno::ENOSPC),
            (MapRequest { offset: u64::MAX - PAGE, len: u64::MAX, ..ALL }, &[2], Errno::ENOSPC),
        ];
        for (request, affinity, errno) in refused {
            assert_eq!(map(machine, minor, request, affinity), (Err(errno), 0), "{request:?} on {affinity:?}");
        }
        machine.sim.offline(CpuId(2)).unwrap();
        assert_eq!(map(machine, minor, ALL, &[2]), (Err(Errno::ENODEV), 0));
        machine.fs.close_region(minor);
    });
}

#[test]
fn a_region_stays_until_its_device_is_closed() {
    on(LOCKING, PLAIN, |machine| {
        let minor = locked(machine);
        machine.fs.open_region(minor).unwrap();
        machine.fs.open_region(minor).unwrap();
        machine.rmdir("g");
        assert_eq!(machine.sim.region_counts(), RegionCounts { memories: 1, limits: 1, nodes: 0 });
        assert_eq!(machine.fs.open_region(minor), Err(Errno::ENODEV));
        assert_eq!(map(machine, minor, ALL, &[2]), (Ok(()), 1), "by who has it open");
        machine.refuses("schemata", "L2:2=1\n", Errno::EINVAL, "CBM overlaps with pseudo-locked region\n");
        machine.audit();
        machine.fs.close_region(minor);
        machine.audit();
        machine.fs.close_region(minor);
        assert_eq!(machine.sim.region_counts(), RegionCounts::default());
        machine.set("schemata", "L2:2=1\n");
    });
}

#[test]
fn the_number_of_a_region_that_is_still_open_is_not_given_away() {
    on(LOCKING, PLAIN, |machine| {
        let first = locked(machine);
        machine.fs.open_region(first).unwrap();
        machine.rmdir("g");
        machine.mkdir("g");
        machine.set("g/mode", "pseudo-locksetup\n");
        machine.set("g/schemata", "L2:3=1\n");
        assert_eq!((first, machine.sim.device("g")), (0, Some(1)));
        machine.fs.close_region(first);
        machine.rmdir("g");
        assert_eq!(locked(machine), 0);
    });
}

#[test]
fn unmounting_takes_devices_away_and_leaves_memory_to_who_has_it_open() {
    on(LOCKING, PLAIN, |machine| {
        let minor = locked(machine);
        machine.fs.open_region(minor).unwrap();
        Fs::unmount(&machine.fs);
        assert_eq!(machine.sim.region_counts(), RegionCounts { memories: 1, limits: 1, nodes: 0 });
        Fs::mount(&machine.fs, &PLAIN).unwrap();
        assert_eq!(machine.fs.open_region(minor), Err(Errno::ENODEV));
        machine.audit();
        machine.fs.close_region(minor);
        assert_eq!(machine.sim.region_counts(), RegionCounts::default());
    });
}

#[test]
fn there_are_as_many_regions_as_minor_numbers() {
    // Enough for the limbo that each group leaves one in.
    on(Parameters { num_rmid: 32, ..LOCKING }, PLAIN, |machine| {
        machine.set("schemata", "L2:0=f0;1=f0;2=f0;3=f0\nL3:0=3f0;1=3f0\n");
        let setup = |cpu: u32| {
            machine.mkdir("g");
            machine.set("g/mode", "pseudo-locksetup\n");
            machine.write("g/schemata", format!("L2:{cpu}=1\n"))
        };
        for number in 0..20 {
            // A cache has room for another region once its CPU has been away.
            let cpu = 1 + number % 3;
            assert_eq!(setup(cpu), Ok(()), "region {number}");
            assert_eq!(machine.sim.device("g"), Some(number));
            machine.fs.open_region(number).unwrap();
            machine.rmdir("g");
            machine.sim.offline(CpuId(cpu)).unwrap();
            machine.sim.online(CpuId(cpu)).unwrap();
            machine.set("schemata", format!("L2:{cpu}=f0\nL3:{}=3f0\n", cpu / 2));
        }
        assert_eq!(setup(1), Err(Errno::ENOSPC));
        assert_eq!(machine.status(), "Unable to obtain a new minor number\n");
        assert_eq!(machine.sim.region_counts(), RegionCounts { memories: 20, limits: 20, nodes: 0 });
        machine.fs.close_region(7);
        machine.set("g/schemata", "L2:1=1\n");
        assert_eq!(machine.sim.device("g"), Some(7));
        for number in (0..20).filter(|&number| number != 7) {
            machine.fs.close_region(number);
        }
        machine.audit();
    });
}

#[test]
fn three_things_can_be_measured() {
    on(LOCKING, PLAIN, |machine| {
        let minor = locked(machine);
        let measure = |text: &[u8]| Fs::measure(&machine.fs, minor, text);
        assert_eq!(measure(b"1\n"), Ok(()));
        assert_eq!((measure(b"2"), measure(b"3\n")), (Ok(()), Ok(())));
        let residency = |level| Trace::Residency { level, hits: 1, misses: 0 };
        let all = [Trace::Latency(40), residency(CacheLevel::L2), residency(CacheLevel::L3)];
        assert_eq!(machine.sim.take_traces(), all);
        for (text, errno) in [
            (&b"0\n"[..], Errno::EINVAL),
            (b"4\n", Errno::EINVAL),
            (b"-1\n", Errno::EINVAL),
            (b"", Errno::EINVAL),
            (b"x\n", Errno::EINVAL),
            (b"99999999999\n", Errno::ERANGE),
            // Cut after 31 bytes.
            (b"00000000000000000000000000000091", Errno::EINVAL),
        ] {
            assert_eq!(measure(text), Err(errno), "{text:?}");
        }
        assert_eq!(measure(b"00000000000000000000000000000019"), Ok(()));
        assert_eq!(machine.sim.take_traces().len(), 1);
        machine.sim.offline(CpuId(2)).unwrap();
        assert_eq!(measure(b"1\n"), Err(Errno::ENODEV));
        machine.rmdir("g");
        assert_eq!(measure(b"1\n"), Err(Errno::ENODEV));
        assert_eq!(machine.sim.take_traces(), []);
    });
}
