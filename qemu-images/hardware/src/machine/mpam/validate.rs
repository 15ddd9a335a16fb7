// SPDX-License-Identifier: GPL-2.0-only
//! What `[mpam]` may say. Limits are those of the registers' fields: a machine may be nonsense, as long as registers can
//! say it.

use super::{Component, GIB, Instance, MSC_LIMIT, MSC_STRIDE, Machine, MpamFeatures, Place};
use crate::machine::validate::{Checked, ensure, memory_bytes};
use crate::machine::{Arch, MachineError, processor_name};
use crate::mpam::registers::PAGE_SIZE;
use crate::mpam::{BandwidthMonitors, UsageMonitors};
use std::ops::RangeInclusive;

const _: () = assert!(PAGE_SIZE as u64 <= MSC_STRIDE, "a page of registers fits between two");

/// Resource instances that a selector can tell apart.
const RIS_LIMIT: usize = 16;

/// Bits of the longest bit map that the page has room for.
const BIT_MAP_LIMIT: u32 = 0x1000 * 8;

/// Numbers of shared interrupts of QEMU's `virt` that none of its own devices has.
const SHARED_INTERRUPTS: RangeInclusive<u32> = 112..=143;

/// Numbers of private interrupts that neither a processor's timers and its PMU have, nor the GIC.
const PRIVATE_INTERRUPTS: RangeInclusive<u32> = 16..=22;

impl Machine {
    /// Checks `[mpam]`.
    pub(in crate::machine) fn validate_mpam(&self, features: &MpamFeatures) -> Checked {
        ensure!(self.arch == Arch::Aarch64, "mpam: only a machine of arch \"aarch64\" can have it");
        ensure!(
            self.qemu.machine == "virt",
            "qemu.machine: MPAM needs \"virt\" without options; what else QEMU must be told follows from [mpam]"
        );
        ensure!(self.topology.threads == 1, "topology.threads: QEMU's \"virt\" has no threads, 1 is what there can be");
        ensure!(self.cache.l3.is_some(), "cache.l3: is needed, because [mpam] puts it into the firmware's tables");
        for (name, cache) in [("cache.l2", &self.cache.l2), ("cache.l3", &self.cache.l3)] {
            if let Some(cache) = cache {
                ensure!(cache.ways <= 255, "{name}.ways: the firmware's tables have no room for {}", cache.ways);
                ensure!(
                    (cache.size_kib * 1024 / cache.ways / crate::machine::LINE_SIZE).is_power_of_two(),
                    "{name}: {} KiB in {} ways are no power of two of sets",
                    cache.size_kib,
                    cache.ways
                );
            }
        }
        let has_sme = processor_name(&self.qemu.cpu) == "max" && !self.qemu.cpu.contains("sme=off");
        ensure!(
            features.streaming == has_sme,
            "mpam.streaming: is {}, but processor \"{}\" {} FEAT_SME",
            features.streaming,
            self.qemu.cpu,
            if has_sme { "has" } else { "lacks" }
        );
        self.validate_base(features.base)?;
        // Which chip a page is on its address tells, from bit 43 up; the registers of chip 0 are where nothing else is.
        ensure!(
            !features.t241 || features.partid_max < 500,
            "mpam.partid_max: a slice of a T241 has no shadow registers for more than 500 PARTIDs within 4 KiB"
        );
        let count = features.msc.len();
        ensure!((1..=MSC_LIMIT).contains(&count), "mpam.msc: {count} components are not within 1 to {MSC_LIMIT}");
        for (index, msc) in features.msc.iter().enumerate() {
            self.validate_component(&format!("mpam.msc[{index}]"), features, msc)?;
        }
        Ok(())
    }

    fn validate_base(&self, base: u64) -> Checked {
        let least = MpamFeatures::plugged_base(memory_bytes(&self.memory)?);
        ensure!(
            base >= least,
            "mpam.base: {base:#x} is within what QEMU uses; with {} of memory, {least:#x} is free",
            self.memory
        );
        ensure!(base <= 64 * GIB, "mpam.base: {base:#x} is beyond 64 GiB");
        ensure!(base.is_multiple_of(2 << 20), "mpam.base: {base:#x} is no multiple of 2 MiB");
        Ok(())
    }

    fn validate_component(&self, name: &str, features: &MpamFeatures, msc: &Component) -> Checked {
        let count = msc.ris.len();
        ensure!(
            (1..=RIS_LIMIT).contains(&count),
            "{name}.ris: {count} resource instances are not within 1 to {RIS_LIMIT}"
        );
        ensure!(count == 1 || msc.extended, "{name}.ris: without \"extended\" there is only one resource instance");
        ensure!(
            msc.error_status || msc.extended,
            "{name}.error_status: without \"extended\" there always are error registers"
        );
        ensure!(
            msc.extended || !msc.extended_error_status,
            "{name}.extended_error_status: without \"extended\" they tell no resource instance"
        );
        for (field, interrupt) in
            [("error_interrupt", msc.error_interrupt), ("overflow_interrupt", msc.overflow_interrupt)]
        {
            let Some(number) = interrupt else { continue };
            ensure!(
                [SHARED_INTERRUPTS, PRIVATE_INTERRUPTS].iter().any(|free| free.contains(&number)),
                "{name}.{field}: {number} is not within {} to {} (private) or {} to {}, which are free",
                PRIVATE_INTERRUPTS.start(),
                PRIVATE_INTERRUPTS.end(),
                SHARED_INTERRUPTS.start(),
                SHARED_INTERRUPTS.end()
            );
        }
        if let Some(domain) = msc.reached_from_l3 {
            let domains = self.topology.l3_domains();
            ensure!(domain < domains, "{name}.reached_from_l3: {domain} is beyond the {domains} L3 domains");
        }
        if let Some(cpus) = &msc.reached_from_cpus {
            self.validate_part(&format!("{name}.reached_from_cpus"), features, cpus)?;
            ensure!(msc.reached_from_l3.is_none(), "{name}: it is reached either from an L3 or from some of its CPUs");
        }
        for (index, ris) in msc.ris.iter().enumerate() {
            let name = format!("{name}.ris[{index}]");
            match ris.part_of {
                Some(Place::L3(n)) => ensure!(
                    n < self.topology.l3_domains(),
                    "{name}.part_of: there is no L3 domain {n}, but {}",
                    self.topology.l3_domains()
                ),
                Some(Place::L2(n)) => ensure!(
                    n < self.topology.l2_domains(),
                    "{name}.part_of: there is no L2 domain {n}, but {}",
                    self.topology.l2_domains()
                ),
                _ => {}
            }
            instance(&name, features, ris)?;
        }
        Ok(())
    }

    /// CPUs within an L3 domain, which a container of the firmware's tables can hold.
    fn validate_part(&self, name: &str, features: &MpamFeatures, cpus: &[usize]) -> Checked {
        let topology = &self.topology;
        ensure!(!cpus.is_empty() && cpus.is_sorted_by(|a, b| a < b), "{name}: {cpus:?} are not CPUs in order");
        let beyond = cpus.iter().find(|&&cpu| cpu >= topology.cpus());
        ensure!(beyond.is_none(), "{name}: {cpus:?} are beyond the {} CPUs", topology.cpus());
        let domain = topology.l3_domain(cpus[0]);
        ensure!(
            cpus.iter().all(|&cpu| topology.l3_domain(cpu) == domain),
            "{name}: {cpus:?} are of several L3 domains"
        );
        // Containers form a tree.
        let others = features.msc.iter().filter_map(|msc| msc.reached_from_cpus.as_deref());
        let crosses = |other: &[usize]| other != cpus && other.iter().any(|cpu| cpus.contains(cpu));
        ensure!(others.into_iter().all(|other| !crosses(other)), "{name}: {cpus:?} overlap with those of another MSC");
        Ok(())
    }
}

fn instance(name: &str, features: &MpamFeatures, ris: &Instance) -> Checked {
    let bits = |field: &str, bits: u32, most: u32| -> Checked {
        ensure!(bits <= most, "{name}.{field}: {bits} is not within 0 to {most}");
        Ok(())
    };
    bits("cpor_bits", ris.cpor_bits, BIT_MAP_LIMIT)?;
    if let Some(capacity) = ris.capacity {
        bits("capacity.bits", capacity.bits, 16)?;
        bits("capacity.associativity_bits", capacity.associativity_bits, 16)?;
    }
    if let Some(bandwidth) = ris.bandwidth {
        // The field has 6 bits; more than 16 is a claim that software has to cut down.
        bits("bandwidth.bits", bandwidth.bits, 63)?;
        bits("bandwidth.portion_bits", bandwidth.portion_bits, (1 << 13) - 1)?;
    }
    for (field, priority) in
        [("internal_priority", ris.internal_priority), ("downstream_priority", ris.downstream_priority)]
    {
        let Some(priority) = priority else { continue };
        ensure!((1..=16).contains(&priority.bits), "{name}.{field}.bits: {} is not within 1 to 16", priority.bits);
    }
    let partid_max = ris.partid_max.unwrap_or(features.partid_max);
    if let Some(internal) = ris.narrowing {
        ensure!(
            internal <= partid_max,
            "{name}.narrowing: {internal} internal PARTIDs are more than there are others, {partid_max}"
        );
    }
    ensure!(
        !matches!(ris.usage, Some(UsageMonitors { count: 0, .. })),
        "{name}.usage.count: is 0; leave the table out"
    );
    if let Some(BandwidthMonitors { count, bytes_per_count, .. }) = ris.traffic {
        ensure!(count > 0, "{name}.traffic.count: is 0; leave the table out");
        ensure!(bytes_per_count > 0, "{name}.traffic.bytes_per_count: is 0");
    }
    Ok(())
}
