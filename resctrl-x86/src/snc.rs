// SPDX-License-Identifier: GPL-2.0-only
//! Sub-NUMA clustering: a package, with one L3, that is several NUMA nodes.
//!
//! The L3 is then monitored node by node. Its RMIDs are dealt out: each node has an equal share of them, and tasks on
//! every node carry a *logical* RMID, which is one of the first share. Hardware adds the node's place ("RMID sharing
//! mode", which software turns on); who reads a counter adds it himself, and may do so from any node of the package. A
//! node's part of the cache is smaller, and so are the units in which it is counted.

use core::num::NonZeroU32;

use resctrl_types::platform::{LogLevel, Platform};
use resctrl_types::resource::Scope;
use resctrl_types::{DomainId, Rmid};

use crate::quirks::Model;

/// How many NUMA nodes share an L3: 1, 2, 3, 4 or 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clusters(NonZeroU32);

impl Clusters {
    /// An L3 is a node.
    pub(crate) const ONE: Clusters = Clusters(NonZeroU32::MIN);

    /// Finds out, from the nodes that the kernel knows and from what the processor can be.
    pub(crate) fn find<P: Platform>(model: Model, platform: &P) -> Clusters {
        let nodes = platform.nodes_per_package();
        if nodes > 1 && !model.knows_clusters() {
            platform.log(LogLevel::Warn, format_args!("CoD enabled system? Resctrl not supported"));
            return Clusters::ONE;
        }
        match nodes {
            1 => {}
            2..=4 | 6 => platform
                .log(LogLevel::Info, format_args!("Sub-NUMA Cluster mode detected with {nodes} nodes per L3 cache")),
            _ => {
                platform.log(LogLevel::Warn, format_args!("Ignore improbable SNC node count {nodes}"));
                return Clusters::ONE;
            }
        }
        NonZeroU32::new(nodes).map_or(Clusters::ONE, Clusters)
    }

    /// What is monitored as one: a whole L3, or a node.
    pub(crate) fn scope(self) -> Scope {
        if self.0.get() > 1 { Scope::Node } else { Scope::L3Cache }
    }

    /// A node's share of something that the whole L3 has; at least 1.
    pub(crate) fn share(self, whole: u32) -> u32 {
        (whole / self.0).max(1)
    }

    /// What to add to the RMIDs of a domain, of which each has so many.
    pub(crate) fn first_rmid(self, domain: DomainId, num_rmid: u32) -> Rmid {
        Rmid((domain.0 % self.0).saturating_mul(num_rmid))
    }
}
