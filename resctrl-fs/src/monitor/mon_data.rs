// SPDX-License-Identifier: GPL-2.0-only
//! What is in `mon_data`, the same in each group: `mon_L3_NN`, one directory for each L3, with a file for each event; and
//! `mon_PERF_PKG_NN`, where packages are monitored, the same for each package.
//!
//! Where an L3 is several monitor domains, one for each of its NUMA nodes (sub-NUMA clustering), those files are sums,
//! and beside them is a directory `mon_sub_L3_MM` for each node. The sums go with the last of the nodes.

use core::fmt;

use resctrl_types::platform::Mutex;
use resctrl_types::{Arch, DomainId, EventId, Platform, ResourceId, Result};

use crate::data::state::MonDomain;
use crate::data::state::Resctrl;
use crate::data::state::State;
use crate::nodes::{GroupId, Node};
use crate::tree::{NewNode, NodeId, Tree};

/// The name of a directory.
struct DirName {
    bytes: [u8; 24],
    len: usize,
}

impl DirName {
    /// Of a whole L3.
    fn cache(id: DomainId) -> Self {
        Self::new("mon", ResourceId::L3, id)
    }

    /// Of a part of an L3.
    fn part(id: DomainId) -> Self {
        Self::new("mon_sub", ResourceId::L3, id)
    }

    /// Of a package.
    fn package(id: DomainId) -> Self {
        Self::new("mon", ResourceId::PerfPkg, id)
    }

    fn new(prefix: &str, resource: ResourceId, id: DomainId) -> Self {
        let mut name = DirName { bytes: [0; 24], len: 0 };
        // `mon_PERF_PKG_` and ten digits fit.
        let _ = fmt::Write::write_fmt(&mut name, format_args!("{prefix}_{}_{:02}", resource.name(), id.0));
        name
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Write for DirName {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Shows a domain in a group's `mon_data`.
///
/// # Errors
/// `EEXIST`, `ENOMEM`, `ENOENT`; nothing is left behind.
pub(crate) fn add_domain<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    group: GroupId,
    mon_data: NodeId,
    domain: &MonDomain<A, P>,
) -> Result<()> {
    let mut tree = fs.tree.lock();
    let of_domain = |event| Node::Event(group, domain.id, event);
    let key = Node::MonDomain(group, domain.id);
    let Some(cache) = domain.part_of else {
        let name = DirName::cache(domain.id);
        return add_dir(fs, &mut tree, mon_data, ResourceId::L3, &name, key, of_domain).map(|_| ());
    };
    let there = tree.lookup(mon_data, DirName::cache(cache).as_bytes());
    let dir = match there {
        Some(dir) => dir,
        None => {
            let sum = |event| Node::EventSum(group, cache, event);
            let key = Node::MonCache(group, cache);
            add_dir(fs, &mut tree, mon_data, ResourceId::L3, &DirName::cache(cache), key, sum)?
        }
    };
    let added = add_dir(fs, &mut tree, dir, ResourceId::L3, &DirName::part(domain.id), key, of_domain);
    if added.is_err() && there.is_none() {
        tree.remove(dir);
    }
    added.map(|_| ())
}

/// Shows a package in a group's `mon_data`.
///
/// # Errors
/// As [`add_domain`].
pub(crate) fn add_package<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    group: GroupId,
    mon_data: NodeId,
    package: DomainId,
) -> Result<()> {
    let (name, key) = (DirName::package(package), Node::MonPackage(group, package));
    let file = |event| Node::Event(group, package, event);
    add_dir(fs, &mut fs.tree.lock(), mon_data, ResourceId::PerfPkg, &name, key, file).map(|_| ())
}

/// Shows every domain there is in the new `mon_data` of a group.
///
/// # Errors
/// As [`add_domain`]; what has been made stays, for the caller to remove with `mon_data`.
pub(crate) fn add_all<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    state: &State<A, P>,
    group: GroupId,
    mon_data: NodeId,
) -> Result<()> {
    state.mon_domains.iter().try_for_each(|domain| add_domain(fs, group, mon_data, domain))?;
    state.packages.iter().try_for_each(|package| add_package(fs, group, mon_data, package.id))
}

/// Makes a directory with a file for each event of a resource.
fn add_dir<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    tree: &mut Tree,
    parent: NodeId,
    resource: ResourceId,
    name: &DirName,
    key: Node,
    file: impl Fn(EventId) -> Node,
) -> Result<NodeId> {
    let mode = tree.attr(parent).map_or(0o555, |attr| attr.mode);
    let (owner, now) = (fs.platform.owner(), fs.platform.now());
    let dir = tree.add(parent, &NewNode { name: name.as_bytes(), key, mode, owner, now, hidden: false })?;
    for event in fs.arch.monitor(resource).iter().flat_map(|monitor| monitor.events.iter()) {
        let key = file(event);
        let file = NewNode { name: event.name().as_bytes(), key, mode: 0o444, owner, now, hidden: false };
        if let Err(errno) = tree.add(dir, &file) {
            tree.remove(dir);
            return Err(errno);
        }
    }
    Ok(dir)
}

/// Takes a domain out of the `mon_data` of each group, and its L3 with it if no other domain is a part of that.
pub(crate) fn remove_domain<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    mon_data: impl Iterator<Item = NodeId>,
    domain: &MonDomain<A, P>,
) {
    let mut tree = fs.tree.lock();
    for mon_data in mon_data {
        let name = DirName::cache(domain.part_of.unwrap_or(domain.id));
        let Some(dir) = tree.lookup(mon_data, name.as_bytes()) else { continue };
        if domain.part_of.is_none() {
            tree.remove(dir);
            continue;
        }
        if let Some(part) = tree.lookup(dir, DirName::part(domain.id).as_bytes()) {
            tree.remove(part);
        }
        // Without directories in it a directory has two links.
        if tree.attr(dir).is_some_and(|attr| attr.nlink == 2) {
            tree.remove(dir);
        }
    }
}

/// Takes a package out of the `mon_data` of each group.
pub(crate) fn remove_package<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    mon_data: impl Iterator<Item = NodeId>,
    package: DomainId,
) {
    let mut tree = fs.tree.lock();
    for mon_data in mon_data {
        if let Some(dir) = tree.lookup(mon_data, DirName::package(package).as_bytes()) {
            tree.remove(dir);
        }
    }
}
