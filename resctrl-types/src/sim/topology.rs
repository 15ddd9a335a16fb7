// SPDX-License-Identifier: GPL-2.0-only
//! The machine's shape: which CPUs there are and what they share.

use std::collections::BTreeSet;
use std::vec::Vec;

use crate::cache::CacheInfo;
use crate::ids::CpuId;

/// What one possible CPU is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTopology {
    /// Its level 2 cache.
    pub l2: Option<CacheInfo>,
    /// Its level 3 cache.
    pub l3: Option<CacheInfo>,
    /// Its NUMA node.
    pub node: Option<u32>,
    /// Its package.
    pub package: Option<u32>,
    /// Whether `nohz_full` keeps unbound kernel work away from it.
    pub isolated: bool,
}

/// The possible CPUs of a machine. Edit the fields for a shape that no constructor makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// By CPU number; never empty.
    pub cpus: Vec<CpuTopology>,
}

impl Topology {
    /// Bytes of the level 2 caches that [`Topology::packages`] makes.
    pub const L2_SIZE: u32 = 2 << 20;
    /// Bytes of the level 3 caches that [`Topology::packages`] makes.
    pub const L3_SIZE: u32 = 32 << 20;

    /// `packages` packages of `cpus_each` CPUs with consecutive numbers; each package is a NUMA node and has one level
    /// 3 cache, each CPU a level 2 cache of its own. Ids count from 0.
    #[must_use]
    pub fn packages(packages: u32, cpus_each: u32) -> Self {
        let cpu = |cpu: u32| CpuTopology {
            l2: Some(CacheInfo { id: cpu, size: Self::L2_SIZE }),
            l3: Some(CacheInfo { id: cpu / cpus_each, size: Self::L3_SIZE }),
            node: Some(cpu / cpus_each),
            package: Some(cpu / cpus_each),
            isolated: false,
        };
        Topology { cpus: (0..packages * cpus_each).map(cpu).collect() }
    }

    /// The same with each package divided into `nodes` NUMA nodes of consecutive CPUs, below the one level 3 cache:
    /// sub-NUMA clustering. Each package has a multiple of `nodes` CPUs.
    #[must_use]
    pub fn clustered(mut self, nodes: u32) -> Self {
        for package in 0..self.count(|cpu| cpu.package) {
            let members = self.cpus.iter().filter(|cpu| cpu.package == Some(package)).count();
            let of_package = self.cpus.iter_mut().filter(|cpu| cpu.package == Some(package));
            for (at, cpu) in (0..).zip(of_package) {
                let node = u32::try_from(at * nodes as usize / members).unwrap_or(0);
                cpu.node = Some(package * nodes + node);
            }
        }
        self
    }

    /// NUMA nodes for each package, rounded up; at least 1.
    #[must_use]
    pub fn nodes_per_package(&self) -> u32 {
        self.count(|cpu| cpu.node).div_ceil(self.count(|cpu| cpu.package).max(1)).max(1)
    }

    /// Packages; at least 1.
    #[must_use]
    pub fn max_packages(&self) -> u32 {
        self.count(|cpu| cpu.package).max(1)
    }

    /// How many different values CPUs have of something.
    fn count(&self, of: impl Fn(&CpuTopology) -> Option<u32>) -> u32 {
        let different: BTreeSet<u32> = self.cpus.iter().filter_map(of).collect();
        u32::try_from(different.len()).unwrap_or(u32::MAX)
    }

    /// The same with these CPUs isolated by `nohz_full`.
    #[must_use]
    pub fn isolate(mut self, cpus: &[u32]) -> Self {
        for &cpu in cpus {
            self.cpus[CpuId(cpu).index()].isolated = true;
        }
        self
    }
}
