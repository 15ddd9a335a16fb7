// SPDX-License-Identifier: GPL-2.0-only
//! What a machine file may say: limits of the architecture, checked once so that nothing behind needs to.

use super::{
    Arch, Cache, Cat, LINE_SIZE, MAX_CHANNELS, Machine, MachineError, Mba, MemoryControllers, Monitoring, RdtFeatures,
    Topology,
};
use crate::caches::{MAX_MONITORS, MAX_WAYS};
use crate::registers::{L2Mask, L3Mask, MbaThrottle, PqrAssoc, RmidSncConfig};

macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            return Err(MachineError(format!($($message)*)));
        }
    };
}

pub(super) use ensure;

pub(super) type Checked = Result<(), MachineError>;

impl Machine {
    /// Checks every value against what hardware can be.
    ///
    /// # Errors
    ///
    /// The first value that cannot be, with its place in the file.
    pub fn validate(&self) -> Checked {
        ensure!(!self.description.trim().is_empty(), "description: is empty");
        memory_bytes(&self.memory)?;
        ensure!(!self.qemu.machine.is_empty(), "qemu.machine: is empty");
        ensure!(!self.qemu.cpu.is_empty(), "qemu.cpu: is empty");
        self.validate_processor()?;
        topology(&self.topology)?;
        for (name, geometry) in [("cache.l2", &self.cache.l2), ("cache.l3", &self.cache.l3)] {
            if let Some(geometry) = geometry {
                cache(name, geometry)?;
            }
        }
        cache_ids(self)?;
        cache_model(self)?;
        nodes(self)?;
        if let Some(features) = &self.pmu {
            let counters = features.counters;
            match (&self.qos, &self.mpam) {
                (_, Some(mpam)) => {
                    ensure!(!mpam.el2, "pmu: whose kernel runs at EL2 cannot be told, so mpam.el2 must be false");
                    ensure!(counters == 6, "pmu.counters: is {counters}, and QEMU's Cortex-A57 has 6");
                }
                (Some(_), None) => {
                    ensure!(counters == 6, "pmu.counters: is {counters}, and AMD's processors have 6");
                    ensure!(
                        self.cache.l2.is_some(),
                        "pmu: AMD's counts what the L2s miss, so there must be a cache.l2"
                    );
                }
                // With one, Linux takes it for none.
                (None, None) => ensure!((2..=8).contains(&counters), "pmu.counters: is {counters}, not 2 to 8"),
            }
            ensure!(
                self.rdt.is_some() || self.qos.is_some() || self.mpam.is_some(),
                "pmu: only a machine with [rdt], [qos] or [mpam] can have it"
            );
        }
        if let Some(MemoryControllers { channels }) = self.memory_controllers {
            ensure!(self.rdt.is_some(), "memory_controllers: only a machine with [rdt] can have them");
            ensure!(
                self.topology.sockets == 1,
                "memory_controllers: only a machine of one socket can have them: the others' are on buses of their own"
            );
            ensure!(
                (1..=MAX_CHANNELS).contains(&channels),
                "memory_controllers.channels: is {channels}, not 1 to {MAX_CHANNELS}"
            );
        }
        if let Some(features) = &self.telemetry {
            self.validate_telemetry(features)?;
        }
        if let Some(features) = &self.mpam {
            ensure!(self.rdt.is_none(), "rdt: no machine has both [rdt] and [mpam]");
            ensure!(self.qos.is_none(), "qos: no machine has both [qos] and [mpam]");
            return self.validate_mpam(features);
        }
        if let Some(features) = &self.qos {
            ensure!(self.rdt.is_none(), "rdt: no machine has both [rdt] and [qos]");
            self.validate_qos(features)?;
            return self.controlled_caches("qos", &features.as_rdt());
        }
        let Some(features) = &self.rdt else { return Ok(()) };
        ensure!(self.arch == Arch::X86_64, "rdt: only a machine of arch \"x86_64\" can have it");
        rdt(features)?;
        self.controlled_caches("rdt", features)
    }

    /// Checks that what is controlled or monitored is there; `table` is the one that says so.
    fn controlled_caches(&self, table: &str, features: &RdtFeatures) -> Checked {
        let controlled = [
            ("cache.l3", features.l3.is_some() || features.monitoring.is_some(), &self.cache.l3),
            ("cache.l2", features.l2.is_some(), &self.cache.l2),
        ];
        for (name, needed, geometry) in controlled {
            ensure!(
                !needed || geometry.is_some(),
                "{name}: is needed, because [{table}] controls or monitors that cache"
            );
        }
        for (name, cat, geometry) in [("l3", &features.l3, &self.cache.l3), ("l2", &features.l2, &self.cache.l2)] {
            if let (Some(cat), Some(geometry)) = (cat, geometry) {
                ensure!(
                    geometry.size_kib * 1024 % u64::from(cat.cbm_len) == 0,
                    "cache.{name}.size_kib: {} KiB do not divide into {table}.{name}.cbm_len = {} equal shares",
                    geometry.size_kib,
                    cat.cbm_len
                );
            }
        }
        Ok(())
    }
}

/// Bytes of a size as QEMU's `-m` takes it.
pub(super) fn memory_bytes(memory: &str) -> Result<u64, MachineError> {
    let digits = memory.strip_suffix(['M', 'G']).unwrap_or_default();
    let shift = if memory.ends_with('M') { 20 } else { 30 };
    match digits.parse::<u32>() {
        Ok(number) if number > 0 => Ok(u64::from(number) << shift),
        _ => Err(MachineError(format!("memory: \"{memory}\" is not a number with unit, such as \"768M\" or \"1G\""))),
    }
}

fn cache_ids(machine: &Machine) -> Checked {
    for (name, cache) in [("cache.l2", &machine.cache.l2), ("cache.l3", &machine.cache.l3)] {
        let Some(id) = cache.as_ref().and_then(|cache| cache.first_id) else { continue };
        ensure!(machine.mpam.is_some(), "{name}.first_id: only firmware for [mpam] tells ids of caches");
        ensure!(id < 1 << 24, "{name}.first_id: {id:#x} is not below {:#x}", 1 << 24);
    }
    Ok(())
}

fn cache_model(machine: &Machine) -> Checked {
    if !machine.cache.model {
        return Ok(());
    }
    ensure!(machine.cache.l3.is_some(), "cache.model: needs cache.l3");
    ensure!(machine.has_controls(), "cache.model: needs [rdt], [qos] or [mpam], whose counters follow it");
    for (name, cache) in [("cache.l2", &machine.cache.l2), ("cache.l3", &machine.cache.l3)] {
        let ways = cache.as_ref().map_or(0, |cache| cache.ways);
        ensure!(ways <= MAX_WAYS as u64, "{name}.ways: {ways} are more than the {MAX_WAYS} that cache.model can have");
    }
    if let Some(mpam) = &machine.mpam {
        let labels = (usize::from(mpam.partid_max) + 1) * (usize::from(mpam.pmg_max) + 1);
        ensure!(
            labels <= MAX_MONITORS,
            "mpam: {labels} labels are more than the {MAX_MONITORS} that cache.model can have"
        );
    }
    Ok(())
}

fn nodes(machine: &Machine) -> Checked {
    let Topology { sockets, cores, nodes, .. } = machine.topology;
    ensure!((1..=16).contains(&nodes), "topology.nodes: {nodes} is not within 1 to 16");
    if nodes == 1 {
        return Ok(());
    }
    ensure!(machine.arch == Arch::X86_64, "topology.nodes: only sockets of arch \"x86_64\" are divided");
    ensure!(cores.is_multiple_of(nodes), "topology.nodes: {cores} cores cannot be shared out by {nodes}");
    ensure!(machine.topology.l3_cores() == cores, "topology.nodes: a divided socket has one L3, see l3_cores");
    // QEMU wants memory in whole MiB.
    let memory = memory_bytes(&machine.memory)?;
    ensure!(
        (memory >> 20).is_multiple_of((sockets * nodes) as u64),
        "memory: {} cannot be shared out by {} nodes",
        machine.memory,
        sockets * nodes
    );
    let Some(rdt) = &machine.rdt else { return Ok(()) };
    if let Some(m) = &rdt.monitoring {
        ensure!(m.rmids >= nodes, "rdt.monitoring.rmids: {} are not enough for {nodes} nodes", m.rmids);
        ensure!(m.unit >= nodes as u64, "rdt.monitoring.unit: {} bytes cannot be divided by {nodes} nodes", m.unit);
    }
    let before_snc = (RmidSncConfig::ADDRESS - L3Mask::ADDRESS) as usize;
    ensure!(
        rdt.l3.as_ref().is_none_or(|l3| l3.closids <= before_snc),
        "rdt.l3.closids: on a divided socket the register behind the first {before_snc} masks is another one"
    );
    Ok(())
}

fn topology(t: &Topology) -> Checked {
    let shares = [
        ("sockets", t.sockets),
        ("cores", t.cores),
        ("threads", t.threads),
        ("l2_cores", t.l2_cores),
        ("l3_cores", t.l3_cores()),
    ];
    for (name, n) in shares {
        ensure!((1..=64).contains(&n), "topology.{name}: {n} is not within 1 to 64");
    }
    ensure!(t.threads <= 2, "topology.threads: {} is not 1 or 2", t.threads);
    ensure!(t.cpus() <= 256, "topology: {} CPUs are more than 256", t.cpus());
    for (name, n) in [("l2_cores", t.l2_cores), ("l3_cores", t.l3_cores())] {
        ensure!(t.cores.is_multiple_of(n), "topology.{name}: {} cores cannot be shared out by {n}", t.cores);
        // Caches are told apart by a shift of the APIC id, so a part of a package must be a power of two.
        ensure!(
            n == t.cores || (n.is_power_of_two() && t.cores.is_power_of_two()) || (n == 1 && name == "l2_cores"),
            "topology.{name}: {n} of {} cores: both must be powers of two",
            t.cores
        );
    }
    ensure!(
        t.l3_cores().is_multiple_of(t.l2_cores),
        "topology.l2_cores: {} cores of one L2 would lie in several L3s",
        t.l2_cores
    );
    Ok(())
}

fn cache(name: &str, cache: &Cache) -> Checked {
    let Cache { size_kib, ways, .. } = *cache;
    ensure!((1..=1024).contains(&ways), "{name}.ways: {ways} is not within 1 to 1024");
    ensure!((1..=1 << 22).contains(&size_kib), "{name}.size_kib: {size_kib} is not within 1 to {}", 1 << 22);
    ensure!(
        (size_kib * 1024).is_multiple_of(ways * LINE_SIZE),
        "{name}: {size_kib} KiB are no whole number of sets of {ways} ways of {LINE_SIZE} bytes"
    );
    Ok(())
}

fn rdt(features: &RdtFeatures) -> Checked {
    if let Some(l3) = &features.l3 {
        cat("rdt.l3", l3, L3Mask::COUNT)?;
    }
    if let Some(l2) = &features.l2 {
        cat("rdt.l2", l2, L2Mask::COUNT)?;
    }
    if let Some(Mba { max_delay, closids, .. }) = &features.mba {
        ensure!((1..=99).contains(max_delay), "rdt.mba.max_delay: {max_delay} is not within 1 to 99 percent");
        closid_count("rdt.mba", *closids, MbaThrottle::COUNT)?;
    }
    if let Some(m) = &features.monitoring {
        monitoring("rdt.monitoring", m)?;
    }
    Ok(())
}

pub(super) fn closid_count(name: &str, closids: usize, addresses: u32) -> Checked {
    ensure!(
        closids >= 1 && closids <= addresses as usize,
        "{name}.closids: {closids} is not within 1 to {addresses}, the register addresses there are"
    );
    Ok(())
}

pub(super) fn cat(name: &str, cat: &Cat, addresses: u32) -> Checked {
    ensure!((1..=32).contains(&cat.cbm_len), "{name}.cbm_len: {} is not within 1 to 32", cat.cbm_len);
    ensure!(
        u64::from(cat.shareable) & !cat.full_mask() == 0,
        "{name}.shareable: {:#x} has bits beyond cbm_len = {}",
        cat.shareable,
        cat.cbm_len
    );
    closid_count(name, cat.closids, addresses)?;
    ensure!(
        (1..=cat.cbm_len as usize).contains(&cat.min_bits),
        "{name}.min_bits: {} is not within 1 to cbm_len = {}",
        cat.min_bits,
        cat.cbm_len
    );
    ensure!(!cat.cdp || cat.closids.is_multiple_of(2), "{name}.closids: CDP makes pairs, {} is odd", cat.closids);
    Ok(())
}

pub(super) fn monitoring(name: &str, m: &Monitoring) -> Checked {
    let most = PqrAssoc::RMID.max() + 1;
    ensure!(m.rmids >= 1 && m.rmids as u64 <= most, "{name}.rmids: {} is not within 1 to {most}", m.rmids);
    ensure!((1..=1 << 24).contains(&m.unit), "{name}.unit: {} is not within 1 to {} bytes", m.unit, 1 << 24);
    ensure!((24..=62).contains(&m.counter_bits), "{name}.counter_bits: {} is not within 24 to 62", m.counter_bits);
    ensure!(!m.events.is_empty(), "{name}.events: is empty; leave the table out for no monitoring");
    for (i, event) in m.events.iter().enumerate() {
        ensure!(!m.events[..i].contains(event), "{name}.events: \"{}\" is there twice", event.name());
    }
    Ok(())
}
