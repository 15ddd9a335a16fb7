// SPDX-License-Identifier: GPL-2.0-only
//! CPUID: the leaves of RDT, and the bits of it in leaves that belong to the processor.

use crate::machine::{BandwidthLimit, Cache, Cat, LINE_SIZE, Machine, QosFeatures, RdtFeatures, Topology};
use crate::monitor::Event;
use crate::registers::{
    AbmcEax, AbmcEbx, AllocationEbx, AmdCacheEcx, BandwidthEbx, CacheEax, CacheEbx, CatEax, CatEcx, ClosidEdx,
    ExtendedEbx, ExtendedFeaturesEcx, FeaturesEbx, L3MonitoringEax, L3MonitoringEdx, MbaEax, MbaEcx, MonitoringEdx,
};

/// EAX, EBX, ECX and EDX.
pub(crate) type Registers = [u32; 4];

/// A register of a leaf is 32 bits wide; the field declarations keep to that.
pub(crate) fn narrow(value: u64) -> u32 {
    u32::try_from(value).expect("the fields of a CPUID register end at bit 31")
}

/// Leaves that [`patch`] completes.
pub(crate) const PATCHED: [u32; 2] = [4, 7];
/// Leaves that it completes on a machine of AMD, too.
pub(crate) const PATCHED_OF_AMD: [u32; 4] = [0x8000_0001, 0x8000_0006, 0x8000_0008, 0x8000_001d];

/// Width that counters of AMD have when leaf 0xF says nothing of it.
const UNSAID_WIDTH_OF_AMD: u32 = 44;

/// Answers a leaf that is RDT's alone; `qos` is what only AMD has.
pub(crate) fn own_leaf(rdt: &RdtFeatures, qos: Option<&QosFeatures>, leaf: u32, subleaf: u32) -> Option<Registers> {
    match (leaf, qos) {
        (0xf, _) => Some(monitoring(rdt, qos.is_some(), subleaf)),
        (0x10, Some(_)) => Some(without_holes_bit(allocation(rdt, subleaf), subleaf)),
        (0x10, None) => Some(allocation(rdt, subleaf)),
        (0x8000_0020, Some(qos)) => Some(extended(qos, subleaf)),
        _ => None,
    }
}

/// AMD has no bit for masks with holes: all may have some.
fn without_holes_bit(mut registers: Registers, subleaf: u32) -> Registers {
    if subleaf != 0 {
        registers[2] &= !narrow(CatEcx::NON_CONTIGUOUS.mask());
    }
    registers
}

fn extended(qos: &QosFeatures, subleaf: u32) -> Registers {
    let limit = |limit: &Option<BandwidthLimit>| {
        limit.as_ref().map_or([0; 4], |limit| [limit.bits, 0, 0, max_closid(limit.closids)])
    };
    match subleaf {
        0 => {
            let features = ExtendedEbx::default()
                .with(&ExtendedEbx::MBE, qos.mba.is_some().into())
                .with(&ExtendedEbx::SMBE, qos.smba.is_some().into())
                .with(&ExtendedEbx::BMEC, qos.bmec.into())
                .with(&ExtendedEbx::ABMC, qos.abmc.is_some().into())
                .with(&ExtendedEbx::SDCIAE, qos.sdciae.into());
            [0, narrow(features.0), 0, 0]
        }
        1 => limit(&qos.mba),
        2 => limit(&qos.smba),
        // Two events can be configured; the kinds are those of assignable counters, too.
        3 if qos.bmec || qos.abmc.is_some() => [0, if qos.bmec { 2 } else { 0 }, narrow(qos.transactions), 0],
        5 => qos.abmc.as_ref().map_or([0; 4], |abmc| {
            let bits = qos.monitoring.as_ref().map_or(24, |m| m.counter_bits);
            let width = AbmcEax::default().with(&AbmcEax::COUNTER_WIDTH, u64::from(bits - 24));
            let counters = AbmcEbx::default().with(&AbmcEbx::MAX_COUNTER, abmc.counters as u64 - 1);
            [narrow(width.0), narrow(counters.0), 0, 0]
        }),
        _ => [0; 4],
    }
}

fn monitoring(rdt: &RdtFeatures, amd: bool, subleaf: u32) -> Registers {
    let Some(m) = &rdt.monitoring else { return [0; 4] };
    let max_rmid = narrow(m.rmids as u64 - 1);
    match subleaf {
        0 => [0, max_rmid, 0, narrow(MonitoringEdx::default().with(&MonitoringEdx::L3, 1).0)],
        1 => {
            let said = if amd && m.counter_bits == UNSAID_WIDTH_OF_AMD { 0 } else { m.counter_bits - 24 };
            let width = L3MonitoringEax::default().with(&L3MonitoringEax::COUNTER_WIDTH, said.into());
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
                .with(&AllocationEbx::L3, announced(&rdt.l3).is_some().into())
                .with(&AllocationEbx::L2, announced(&rdt.l2).is_some().into())
                .with(&AllocationEbx::MBA, rdt.mba.is_some().into());
            [0, narrow(resources.0), 0, 0]
        }
        1 => announced(&rdt.l3).map_or([0; 4], cat),
        2 => announced(&rdt.l2).map_or([0; 4], cat),
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

/// Cache allocation, where CPUID speaks of it.
fn announced(cat: &Option<Cat>) -> Option<&Cat> {
    cat.as_ref().filter(|cat| !cat.unannounced)
}

fn cat(cat: &Cat) -> Registers {
    let length = CatEax::default().with(&CatEax::CBM_LEN, u64::from(cat.cbm_len - 1));
    let ecx =
        CatEcx::default().with(&CatEcx::CDP, cat.cdp.into()).with(&CatEcx::NON_CONTIGUOUS, cat.noncontiguous.into());
    [narrow(length.0), cat.shareable, narrow(ecx.0), max_closid(cat.closids)]
}

/// The highest CLOSID as every leaf that has one says it.
fn max_closid(closids: usize) -> u32 {
    narrow(ClosidEdx::default().with(&ClosidEdx::MAX_CLOSID, closids as u64 - 1).0)
}

/// Completes a leaf that the processor answers: `native` is what it said.
pub(crate) fn patch(machine: &Machine, leaf: u32, subleaf: u32, native: Registers) -> Registers {
    match (leaf, &machine.qos) {
        (4, None) | (0x8000_001d, Some(_)) => patch_cache(machine, native),
        (7, _) if subleaf == 0 => patch_features(machine, native),
        (0x8000_0001, Some(_)) => {
            // QEMU's emulation hides the bit, though it answers the leaves.
            let features = ExtendedFeaturesEcx::default()
                .with(&ExtendedFeaturesEcx::TOPOLOGY_EXTENSIONS, 1)
                .with(&ExtendedFeaturesEcx::CORE_COUNTERS, machine.pmu.is_some().into());
            or(native, 2, features.0)
        }
        (0x8000_0006, Some(_)) => patch_l2_size(machine, native),
        (0x8000_0008, Some(qos)) if qos.mba.is_some() => or(native, 1, BandwidthEbx::MBE.mask()),
        _ => native,
    }
}

fn or(mut native: Registers, register: usize, bits: u64) -> Registers {
    native[register] |= narrow(bits);
    native
}

fn patch_l2_size(machine: &Machine, mut native: Registers) -> Registers {
    if let Some(l2) = &machine.cache.l2 {
        let rest = AmdCacheEcx(u64::from(native[2]) & !AmdCacheEcx::SIZE.mask());
        native[2] = narrow(rest.with(&AmdCacheEcx::SIZE, l2.size_kib.min(AmdCacheEcx::SIZE.max())).0);
    }
    native
}

fn patch_features(machine: &Machine, mut native: Registers) -> Registers {
    let shared = machine.qos.as_ref().map(QosFeatures::as_rdt);
    let rdt = shared.as_ref().or(machine.rdt.as_ref());
    let limits = machine.qos.as_ref().is_some_and(|qos| qos.mba.is_some() || qos.smba.is_some());
    let monitoring = rdt.is_some_and(|r| r.monitoring.is_some());
    let allocation =
        limits || rdt.is_some_and(|r| announced(&r.l3).is_some() || announced(&r.l2).is_some() || r.mba.is_some());
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
