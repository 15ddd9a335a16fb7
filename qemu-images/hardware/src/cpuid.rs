// SPDX-License-Identifier: GPL-2.0-only
//! CPUID: the leaves of RDT, and the bits of it in leaves that belong to the processor.

use crate::machine::{Cache, Cat, LINE_SIZE, Machine, RdtFeatures, Topology};
use crate::monitor::Event;
use crate::registers::{
    AllocationEbx, CacheEax, CacheEbx, CatEax, CatEcx, ClosidEdx, FeaturesEbx, L3MonitoringEax, L3MonitoringEdx,
    MbaEax, MbaEcx, MonitoringEdx,
};

/// EAX, EBX, ECX and EDX.
pub(crate) type Registers = [u32; 4];

/// A register of a leaf is 32 bits wide; the field declarations keep to that.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).expect("the fields of a CPUID register end at bit 31")
}

/// Answers a leaf that is RDT's alone.
pub(crate) fn own_leaf(rdt: &RdtFeatures, leaf: u32, subleaf: u32) -> Option<Registers> {
    match leaf {
        0xf => Some(monitoring(rdt, subleaf)),
        0x10 => Some(allocation(rdt, subleaf)),
        _ => None,
    }
}

fn monitoring(rdt: &RdtFeatures, subleaf: u32) -> Registers {
    let Some(m) = &rdt.monitoring else { return [0; 4] };
    let max_rmid = narrow(m.rmids as u64 - 1);
    match subleaf {
        0 => [0, max_rmid, 0, narrow(MonitoringEdx::default().with(&MonitoringEdx::L3, 1).0)],
        1 => {
            let width =
                L3MonitoringEax::default().with(&L3MonitoringEax::COUNTER_WIDTH, u64::from(m.counter_bits - 24));
            let has = |event| u64::from(m.events.contains(&event));
            let events = L3MonitoringEdx::default()
                .with(&L3MonitoringEdx::OCCUPANCY, has(Event::LlcOccupancy))
                .with(&L3MonitoringEdx::TOTAL, has(Event::MbmTotal))
                .with(&L3MonitoringEdx::LOCAL, has(Event::MbmLocal));
            [narrow(width.0), narrow(m.unit), max_rmid, narrow(events.0)]
        }
        _ => [0; 4],
    }
}

fn allocation(rdt: &RdtFeatures, subleaf: u32) -> Registers {
    match subleaf {
        0 => {
            let resources = AllocationEbx::default()
                .with(&AllocationEbx::L3, rdt.l3.is_some().into())
                .with(&AllocationEbx::L2, rdt.l2.is_some().into())
                .with(&AllocationEbx::MBA, rdt.mba.is_some().into());
            [0, narrow(resources.0), 0, 0]
        }
        1 => rdt.l3.as_ref().map_or([0; 4], cat),
        2 => rdt.l2.as_ref().map_or([0; 4], cat),
        3 => rdt.mba.as_ref().map_or([0; 4], |mba| {
            let ecx = MbaEcx::default()
                .with(&MbaEcx::PER_THREAD, mba.per_thread.into())
                .with(&MbaEcx::LINEAR, mba.linear.into());
            let delay = MbaEax::default().with(&MbaEax::MAX_DELAY, mba.max_delay - 1);
            [narrow(delay.0), 0, narrow(ecx.0), max_closid(mba.closids)]
        }),
        _ => [0; 4],
    }
}

fn cat(cat: &Cat) -> Registers {
    let length = CatEax::default().with(&CatEax::CBM_LEN, u64::from(cat.cbm_len - 1));
    let ecx =
        CatEcx::default().with(&CatEcx::CDP, cat.cdp.into()).with(&CatEcx::NON_CONTIGUOUS, cat.noncontiguous.into());
    [narrow(length.0), cat.shareable, narrow(ecx.0), max_closid(cat.closids)]
}

fn max_closid(closids: usize) -> u32 {
    narrow(ClosidEdx::default().with(&ClosidEdx::MAX_CLOSID, closids as u64 - 1).0)
}

/// Completes a leaf that the processor answers: `native` is what it said.
pub(crate) fn patch(machine: &Machine, leaf: u32, subleaf: u32, native: Registers) -> Registers {
    match leaf {
        4 => patch_cache(machine, native),
        7 if subleaf == 0 => patch_features(machine, native),
        _ => native,
    }
}

fn patch_features(machine: &Machine, mut native: Registers) -> Registers {
    let rdt = machine.rdt.as_ref();
    let monitoring = rdt.is_some_and(|r| r.monitoring.is_some());
    let allocation = rdt.is_some_and(|r| r.l3.is_some() || r.l2.is_some() || r.mba.is_some());
    let bits = FeaturesEbx::default()
        .with(&FeaturesEbx::RDT_M, monitoring.into())
        .with(&FeaturesEbx::RDT_A, allocation.into());
    native[1] = native[1] & !narrow(FeaturesEbx::DEFINED) | narrow(bits.0);
    native
}

/// Puts the machine's geometry and sharing in place of the processor model's own, level by level.
fn patch_cache(machine: &Machine, native: Registers) -> Registers {
    let eax = CacheEax(native[0].into());
    let (cache, cores) = match (eax.get(CacheEax::TYPE), eax.get(CacheEax::LEVEL)) {
        (3, 2) => (&machine.cache.l2, machine.topology.l2_cores),
        (3, 3) => (&machine.cache.l3, machine.topology.l3_cores()),
        _ => return native,
    };
    cache.as_ref().map_or(native, |cache| geometry(cache, cores, &machine.topology, native))
}

fn geometry(cache: &Cache, cores: usize, topology: &Topology, native: Registers) -> Registers {
    let eax = u64::from(native[0]) & !CacheEax::SHARING.mask() & !CacheEax::FULLY_ASSOCIATIVE.mask();
    let eax = CacheEax(eax).with(&CacheEax::SHARING, topology.apic_span(cores) as u64 - 1);
    let ebx = CacheEbx::default().with(&CacheEbx::LINE_SIZE, LINE_SIZE - 1).with(&CacheEbx::WAYS, cache.ways - 1);
    let sets = cache.size_kib * 1024 / (cache.ways * LINE_SIZE);
    [narrow(eax.0), narrow(ebx.0), narrow(sets - 1), native[3]]
}
