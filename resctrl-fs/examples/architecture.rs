// SPDX-License-Identifier: GPL-2.0-only
//! A new architecture in a hundred lines: a machine that limits the memory bandwidth of each package, with a register for each
//! class. Nothing is counted, and nothing else shared out.
//!
//! `cargo run --package resctrl-fs --example architecture`

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{read, write};
use resctrl_fs::{MountOptions, Resctrl};
use resctrl_types::arch::{
    Assignment, Cdp, Change, Controls, Counters, Cpus, Domains, EachCounting, Ids, IoAlloc, MonId, Monitors,
    OccupancyThreshold, PseudoLock, ReadError, Resources, Telemetry, Trust,
};
use resctrl_types::cpu::CpuLabels;
use resctrl_types::resource::{BandwidthControl, Control, ControlKind, Monitor, Scope};
use resctrl_types::sim::{self, SimPlatform, Topology};
use resctrl_types::{
    Closid, ConfType, CpuId, CpuMask, CpusHeld, DomainCpus, DomainId, Errno, EventId, Here, HotplugCpu, Platform,
    ResourceId, Result, Rmid, RmidIndex, Switch, TaskWord,
};

const CLASSES: usize = 4;

/// The registers of two packages: percent of the bandwidth that each class may have.
type Registers = [[AtomicU32; CLASSES]; 2];

struct Limiter(Arc<Registers>);

/// What a domain holds: where its registers are, and what is in them.
struct Package(usize, [u32; CLASSES]);

impl Resources for Limiter {
    fn control(&self, resource: ResourceId) -> Option<Control> {
        let throttle_mode = None;
        let kind = BandwidthControl {
            min_bw: 1,
            max_bw: 100,
            bw_gran: 1,
            delay_linear: true,
            needs_linear: false,
            throttle_mode,
        };
        let kind = ControlKind::Bandwidth(kind);
        let control = Control { scope: Scope::Package, num_closid: CLASSES as u32, cdp_capable: false, kind };
        (resource == ResourceId::Mb).then_some(control)
    }
    fn monitor(&self, _: ResourceId) -> Option<Monitor> {
        None
    }
    fn occupancy_threshold(&self) -> OccupancyThreshold {
        OccupancyThreshold { limit: 0, unit: 1 }
    }
}

impl<P: Platform> Controls<P> for Limiter {
    fn apply(
        &self,
        platform: &P,
        cpus: DomainCpus<'_>,
        _: ResourceId,
        Package(number, values): &mut Package,
        changes: &[Change],
        trust: Trust,
    ) -> Result<()> {
        if trust == Trust::Memory && changes.iter().all(|change| values[change.closid.index()] == change.value) {
            // It is programmed already, so nobody is disturbed. What a user writes is programmed in any case.
            return Ok(());
        }
        // Registers are touched where they are.
        cpus.on_one(platform, &mut |_| {
            for change in changes {
                values[change.closid.index()] = change.value;
                self.0[*number][change.closid.index()].store(change.value, Ordering::Relaxed);
            }
        })
    }
    fn control_value(&self, _: ResourceId, domain: &Package, closid: Closid, _: ConfType) -> u32 {
        domain.1[closid.index()]
    }
    fn reset(&self, _: &P, _: CpusHeld<'_>, _: ResourceId, domain: &mut Package, _: &CpuMask) {
        domain.1 = [100; CLASSES];
        self.0[domain.0].iter().for_each(|register| register.store(100, Ordering::Relaxed));
    }
}

impl Ids for Limiter {
    const RMID_DEPENDS_ON_CLOSID: bool = false;
    const CLOSID_PLACES: u64 = 0xff;
    const RMID_PLACES: u64 = 0;
    fn num_rmid_index(&self) -> u32 {
        0
    }
    fn rmid_index(&self, id: MonId) -> RmidIndex {
        RmidIndex(id.rmid.0)
    }
    fn rmid_decode(&self, index: RmidIndex) -> MonId {
        MonId { closid: Closid::RESERVED, rmid: Rmid(index.0) }
    }
    fn task_word(&self, id: MonId) -> TaskWord {
        TaskWord(id.closid.0.into())
    }
    fn task_ids(&self, word: TaskWord) -> MonId {
        MonId { closid: Closid((word.0 & 0xff) as u32), rmid: Rmid::RESERVED }
    }
    fn cpu_labels(&self, _: CpuId) -> Option<&CpuLabels> {
        None
    }
    fn effective(&self, task: TaskWord, _: TaskWord) -> u64 {
        task.0
    }
    fn write_labels(&self, _: Here<'_>, _: u64) {}
    fn cdp_enabled(&self, _: ResourceId) -> bool {
        false
    }
}

impl Domains for Limiter {
    type CtrlDomain = Package;
    type MonDomain = ();
    fn ctrl_domain_online(&self, _: HotplugCpu<'_>, _: ResourceId, id: DomainId) -> Result<Package> {
        Ok(Package(id.0 as usize, [100; CLASSES]))
    }
    fn ctrl_domain_join(&self, _: HotplugCpu<'_>, _: ResourceId, _: &mut Package) {}
    fn mon_domain_online(&self, _: HotplugCpu<'_>, _: ResourceId, _: DomainId) -> Result<()> {
        Ok(())
    }
    fn ctrl_domain_resume(&self, _: Here<'_>, _: ResourceId, _: &mut Package) {}
    fn mon_domain_suspend(&self, _: Here<'_>, (): &mut (), _: EachCounting<'_>) {}
    fn mon_domain_resume(&self, _: Here<'_>, (): &mut (), _: EachCounting<'_>) {}
}

impl<P: Platform> Cpus<P> for Limiter {
    fn cpu_online(&self, _: &P, _: HotplugCpu<'_>) -> Result<()> {
        Ok(())
    }
    fn cpu_offline(&self, _: &P, _: HotplugCpu<'_>) {}
    fn cpu_suspend(&self, _: Here<'_>) {}
    fn cpu_resume(&self, _: &P, _: Here<'_>) {}
}

impl<P: Platform> Cdp<P> for Limiter {
    fn set_cdp(&self, _: &P, _: CpusHeld<'_>, _: ResourceId, _: Switch) -> Result<()> {
        Err(Errno::EINVAL)
    }
    fn program_cdp(&self, _: &P, _: CpusHeld<'_>, _: ResourceId, _: &mut Package, _: &CpuMask) {}
}

impl<P: Platform> Monitors<P> for Limiter {
    type MonContext = ();
    fn mon_context(&self, _: ResourceId, _: EventId) -> Result<(), ReadError> {
        Err(ReadError::Unavailable)
    }
    fn read(&self, _: &P, _: DomainCpus<'_>, _: EventId, (): &mut (), _: &mut Counters<'_, (), MonId>) -> Result<()> {
        Err(Errno::ENODEV)
    }
}

impl<P: Platform> Assignment<P> for Limiter {}
impl<P: Platform> IoAlloc<P> for Limiter {}
impl<P: Platform> PseudoLock<P> for Limiter {}
impl<P: Platform> Telemetry<P> for Limiter {}

type Fs = Resctrl<Limiter, SimPlatform>;

pub(crate) fn main() {
    sim::run(|| {
        let registers: Arc<Registers> = Arc::new([(); 2].map(|()| [(); CLASSES].map(|()| AtomicU32::new(100))));
        let kernel = SimPlatform::new(Topology::packages(2, 2));
        let fs = Fs::new(kernel.clone(), Limiter(registers.clone())).expect("it can share something out");
        let (comes, goes) = (fs.clone(), fs.clone());
        kernel
            .register_hotplug(move |cpu| Fs::cpu_online(&comes, cpu), move |cpu| Fs::cpu_offline(&goes, cpu))
            .expect("CPUs");
        Fs::mount(&fs, &MountOptions::default()).expect("mounted");
        Fs::mkdir(&fs, fs.root().expect("mounted"), b"slow", 0o755).expect("a class is free");

        write(&fs, "slow/schemata", "MB:1=30").expect("a percentage");
        print!("{}", read(&fs, "slow/schemata").expect("readable"));
        assert_eq!(registers[1][1].load(Ordering::Relaxed), 30);

        let refused = write(&fs, "slow/schemata", "MB:0=101");
        print!("{}", read(&fs, "info/last_cmd_status").expect("readable"));
        assert_eq!((refused, registers[0][1].load(Ordering::Relaxed)), (Err(Errno::EINVAL), 100));

        Fs::unmount(&fs);
        kernel.unregister_hotplug();
        kernel.advance(3000);
        assert!(Fs::is_idle(&fs), "no domain is left");
    });
}
