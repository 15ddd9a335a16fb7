// SPDX-License-Identifier: GPL-2.0-only
//! What is in `mon_data`, the same in each group: `mon_L3_NN`, one directory for each L3, with a file for each event; and
//! `mon_PERF_PKG_NN`, where packages are monitored, the same for each package.
//!
//! Where an L3 is several monitor domains, one for each of its NUMA nodes (sub-NUMA clustering), those files are sums,
//! and beside them is a directory `mon_sub_L3_MM` for each node. The sums go with the last of the nodes.

use core::fmt;

use resctrl_types::{Arch, DomainId, EventId, Platform, ResourceId, Result};

use crate::data::state::MonDomain;
use crate::data::state::Resctrl;
use crate::data::state::State;
use crate::nodes::{GroupId, Node};
use crate::tree::{Branch, Name, NewNode, NodeId};

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
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Write for DirName {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.saturating_add(text.len());
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        self.len = end;
        Ok(())
    }
}

/// A directory and its files: what it is called and stands for, and what the files stand for, by their events.
struct Dir<'a> {
    resource: ResourceId,
    name: DirName,
    content: Node,
    file: &'a dyn Fn(EventId) -> Node,
    mode: u16,
}

/// Where a directory is to be.
enum Place<'b> {
    /// In a directory of a branch that is being made.
    In(&'b mut Branch<Node>, NodeId),
    /// In a directory that is there.
    There(NodeId),
}

impl Place<'_> {
    /// The directory of this name in it.
    fn find<A: Arch<P>, P: Platform>(&self, fs: &Resctrl<A, P>, name: &DirName) -> Option<NodeId> {
        match self {
            Place::In(branch, dir) => branch.lookup(*dir, name.as_bytes()),
            Place::There(dir) => fs.tree.read().lookup(*dir, name.as_bytes()),
        }
    }

    /// The same, one directory deeper.
    fn at(self, dir: NodeId) -> Self {
        match self {
            Place::In(branch, _) => Place::In(branch, dir),
            Place::There(_) => Place::There(dir),
        }
    }

    /// Makes the directory of an L3 that is several domains with that of the first of them, or any other directory alone.
    fn add<A: Arch<P>, P: Platform>(self, fs: &Resctrl<A, P>, dir: &Dir<'_>, part: Option<&Dir<'_>>) -> Result<()> {
        match self {
            Place::In(branch, parent) => {
                let id = fs.tree.grow(branch, parent, dir.node(fs)?)?;
                dir.fill(fs, branch, id)?;
                part.map_or(Ok(()), |part| Place::In(branch, id).add(fs, part, None))
            }
            Place::There(parent) => {
                let mut branch = fs.tree.branch(dir.node(fs)?)?;
                let top = branch.top();
                dir.fill(fs, &mut branch, top)?;
                part.map_or(Ok(()), |part| Place::In(&mut branch, top).add(fs, part, None))?;
                fs.tree.attach(parent, branch)
            }
        }
    }
}

impl Dir<'_> {
    fn node<A: Arch<P>, P: Platform>(&self, fs: &Resctrl<A, P>) -> Result<NewNode<Node>> {
        let (owner, now) = (fs.platform.owner(), fs.platform.now());
        Ok(NewNode { name: Name::given(self.name.as_bytes())?, content: self.content, mode: self.mode, owner, now })
    }

    /// Makes a file for each event of the resource.
    fn fill<A: Arch<P>, P: Platform>(&self, fs: &Resctrl<A, P>, branch: &mut Branch<Node>, dir: NodeId) -> Result<()> {
        let (owner, now) = (fs.platform.owner(), fs.platform.now());
        for event in fs.arch.monitor(self.resource).iter().flat_map(|monitor| monitor.events.iter()) {
            let (name, content) = (Name::from(event.name()), (self.file)(event));
            fs.tree.grow(branch, dir, NewNode { name, content, mode: 0o444, owner, now })?;
        }
        Ok(())
    }
}

fn show_domain<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    group: GroupId,
    place: Place<'_>,
    mode: u16,
    domain: &MonDomain<A, P>,
) -> Result<()> {
    let resource = ResourceId::L3;
    let of_domain = |event| Node::Event(group, domain.id, event);
    let content = Node::MonDomain(group, domain.id);
    let Some(cache) = domain.part_of else {
        let name = DirName::cache(domain.id);
        return place.add(fs, &Dir { resource, name, content, file: &of_domain, mode }, None);
    };
    let part = Dir { resource, name: DirName::part(domain.id), content, file: &of_domain, mode };
    match place.find(fs, &DirName::cache(cache)) {
        Some(dir) => place.at(dir).add(fs, &part, None),
        None => {
            let (content, sum) = (Node::MonCache(group, cache), |event| Node::EventSum(group, cache, event));
            let whole = Dir { resource, name: DirName::cache(cache), content, file: &sum, mode };
            place.add(fs, &whole, Some(&part))
        }
    }
}

fn show_package<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    group: GroupId,
    place: Place<'_>,
    mode: u16,
    package: DomainId,
) -> Result<()> {
    let (name, content) = (DirName::package(package), Node::MonPackage(group, package));
    let file = |event| Node::Event(group, package, event);
    place.add(fs, &Dir { resource: ResourceId::PerfPkg, name, content, file: &file, mode }, None)
}

/// The mode of new directories in `mon_data`: its own.
fn mode_of<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, mon_data: NodeId) -> u16 {
    fs.tree.see(|tree| tree.attr(mon_data)).what.map_or(0o555, |attr| attr.mode)
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
    show_domain(fs, group, Place::There(mon_data), mode_of(fs, mon_data), domain)
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
    show_package(fs, group, Place::There(mon_data), mode_of(fs, mon_data), package)
}

/// Shows every domain there is in the new `mon_data` of a group, which is in a branch and has this mode.
///
/// # Errors
/// `ENOMEM`.
pub(crate) fn add_all<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    state: &State<A, P>,
    group: GroupId,
    branch: &mut Branch<Node>,
    mon_data: NodeId,
    mode: u16,
) -> Result<()> {
    for domain in &state.mon_domains {
        show_domain(fs, group, Place::In(branch, mon_data), mode, domain)?;
    }
    for package in &state.packages {
        show_package(fs, group, Place::In(branch, mon_data), mode, package.id)?;
    }
    Ok(())
}

/// Takes a domain out of the `mon_data` of each group, and its L3 with it if no other domain is a part of that.
pub(crate) fn remove_domain<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    mon_data: impl Iterator<Item = NodeId>,
    domain: &MonDomain<A, P>,
) {
    let (name, part) = (DirName::cache(domain.part_of.unwrap_or(domain.id)), DirName::part(domain.id));
    for mon_data in mon_data {
        let gone = fs.tree.see(|tree| {
            let dir = tree.lookup(mon_data, name.as_bytes())?;
            if domain.part_of.is_none() {
                return Some(dir);
            }
            let part = tree.lookup(dir, part.as_bytes());
            // Without directories in it but this one, a directory has three links.
            let links = 2 + u32::from(part.is_some());
            if tree.attr(dir)?.nlink == links { Some(dir) } else { part }
        });
        if let Some(gone) = gone.what {
            fs.tree.remove(gone);
        }
    }
}

/// Takes a package out of the `mon_data` of each group.
pub(crate) fn remove_package<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    mon_data: impl Iterator<Item = NodeId>,
    package: DomainId,
) {
    let name = DirName::package(package);
    for mon_data in mon_data {
        let gone = fs.tree.read().lookup(mon_data, name.as_bytes());
        if let Some(gone) = gone {
            fs.tree.remove(gone);
        }
    }
}
