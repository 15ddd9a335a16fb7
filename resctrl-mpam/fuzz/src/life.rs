// SPDX-License-Identifier: GPL-2.0-only
//! Everything that happens to a machine, in the simulated kernel.

use std::fmt;

use resctrl_fs::{Bytes, MountOptions, NodeId, Resctrl, TextOut};
use resctrl_mpam::acpi::has_memory_side_cache;
use resctrl_mpam::{Firmware, Mpam, Options, SystemRegister, SystemRegisters};
use resctrl_types::platform::CpusReadGuard;
use resctrl_types::sim::{SimPlatform, Topology};
use resctrl_types::{CpuId, Errno, Here, Pinned, Platform, Ref, Result, sim};

use crate::msc::{FuzzMsc, Identity};
use crate::table::{CPUS, L3, Tables};

type Driver = Mpam<FuzzMsc, FuzzCpus>;
type Fs = Resctrl<Driver, SimPlatform>;

/// Labels that the processors know.
const PARTID_MAX: u64 = 63;
const PMG_MAX: u64 = 3;

/// Good processors.
struct FuzzCpus;

impl SystemRegisters for FuzzCpus {
    fn mpamidr(&self, _: Here<'_>) -> u64 {
        PARTID_MAX | PMG_MAX << 32
    }

    fn has_streaming(&self) -> bool {
        true
    }

    fn has_guests(&self) -> bool {
        true
    }

    fn write(&self, _: Here<'_>, register: SystemRegister, value: u64) {
        let fields = [(0, 0xffff, PARTID_MAX), (16, 0xffff, PARTID_MAX), (32, 0xff, PMG_MAX), (40, 0xff, PMG_MAX)];
        for (low, mask, largest) in fields {
            assert!(value >> low & mask <= largest, "{register:?} is {value:#x}");
        }
    }

    fn synchronize(&self, _: Here<'_>) {}

    fn wait_us(&self, _: Pinned<'_>, _: u32) {}
}

#[derive(Default)]
struct Text(Vec<u8>);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl TextOut for Text {
    fn bytes(&mut self, bytes: Bytes<'_>) -> fmt::Result {
        self.0.extend_from_slice(bytes.0);
        Ok(())
    }
}

/// Lives a life on a machine with these tables. The MSCs are `identities`, in the order of the table and over again.
/// Returns how often something could be mounted.
pub(crate) fn live(tables: &Tables, identities: &[Identity]) -> u32 {
    // Nothing here needs two threads.
    sim::run_serially(|| live_on(tables, identities))
}

/// The same in a run that is under way.
fn live_on(tables: &Tables, identities: &[Identity]) -> u32 {
    let mut topology = Topology::packages(1, CPUS);
    for cpu in &mut topology.cpus {
        cpu.l3 = cpu.l3.map(|cache| resctrl_types::cache::CacheInfo { id: L3, ..cache });
    }
    let sim = SimPlatform::new(topology);
    let Ok(driver) = boot(&sim, tables, identities) else { return 0 };
    let Ok(fs) = Fs::new(sim.clone(), driver) else { return 0 };
    let (online, offline, switched) = (fs.clone(), fs.clone(), fs.clone());
    let registered =
        sim.register_hotplug(move |cpu| Fs::cpu_online(&online, cpu), move |cpu| Fs::cpu_offline(&offline, cpu));
    registered.expect("the processors are good");
    sim.set_sched_in(move |here, word| switched.sched_in(here, word));
    let mut mounts = 0;
    for cdp in [false, true] {
        let options = MountOptions { cdp, cdpl2: false, mba_mbps: false, debug: true };
        if Fs::mount(&fs, &options).is_ok() {
            mounts += 1;
            // Refusals are as good as successes; what must not be is seen by the MSCs, and at the end.
            let _ = use_it(&sim, &fs);
            Fs::unmount(&fs);
        }
    }
    fail(&sim, &fs);
    sim.unregister_hotplug();
    Fs::shut_down(&fs);
    sim.clear_sched_in();
    sim.advance(5000);
    sim.assert_idle();
    assert!(Fs::is_idle(&fs), "a domain was never freed");
    mounts
}

fn boot(sim: &SimPlatform, tables: &Tables, identities: &[Identity]) -> Result<Driver> {
    let firmware = Firmware {
        mpam: &tables.mpam,
        pptt: &tables.pptt,
        processor: &|uid| (uid < CPUS).then_some(CpuId(uid)),
        proximity: &|domain| u32::try_from(domain).ok(),
        memory_side_cache: has_memory_side_cache(&tables.hmat).unwrap_or(true),
    };
    let guard = sim.cpus_read_lock();
    let mut next = identities.iter().cycle();
    let mut map = |_: &resctrl_mpam::acpi::MscNode<'_>| next.next().cloned().map(FuzzMsc::new).ok_or(Errno::ENODEV);
    Mpam::new(sim, guard.held(), &firmware, FuzzCpus, Options { expert: true }, &mut map)
}

fn node(fs: &Fs, path: &str) -> Result<NodeId> {
    let root = fs.root().ok_or(Errno::ENOENT)?;
    let mut names = path.split('/').filter(|name| !name.is_empty());
    names.try_fold(root, |dir, name| fs.lookup(dir, name.as_bytes()).ok_or(Errno::ENOENT))
}

fn read(fs: &Ref<Fs>, path: &str) -> Result<Vec<u8>> {
    let mut text = Text::default();
    Fs::read(fs, node(fs, path)?, &mut text)?;
    Ok(text.0)
}

fn use_it(sim: &SimPlatform, fs: &Ref<Fs>) -> Result<()> {
    Fs::mkdir(fs, fs.root().ok_or(Errno::ENOENT)?, b"group", 0o755)?;
    let group = node(fs, "group/schemata")?;
    let values = read(fs, "group/schemata")?;
    // What it shows it takes, and least values besides.
    Fs::write(fs, group, &values)?;
    for least in ["L3:7=1\n", "MB:7=0\n", "MB:7=1\n", "L3CODE:7=1\n", "L2:0=1\n"] {
        let _ = Fs::write(fs, group, least.as_bytes());
    }
    let count = std::format!("mon_data/mon_L3_{L3:02}/llc_occupancy");
    let _ = read(fs, &count);
    let _ = read(fs, &["group/", &count].concat());
    sim.offline(CpuId(1))?;
    let _ = read(fs, &count);
    sim.online(CpuId(1))?;
    sim.advance(2000);
    Fs::rmdir(fs, node(fs, "group")?)
}

/// Every MSC says that something is wrong with it, if it does.
fn fail(sim: &SimPlatform, fs: &Ref<Fs>) {
    let guard = sim.cpus_read_lock();
    for msc in 0..fs.arch().devices().mscs.len() {
        let called = sim.interrupt(guard.held(), CpuId(0), &mut |here| {
            let _ = fs.arch().error_interrupt(sim, here.into(), msc);
        });
        called.expect("CPU 0 never goes");
    }
}
