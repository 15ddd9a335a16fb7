// SPDX-License-Identifier: GPL-2.0-only
//! The directories `mon_data/mon_L3_NN`, one for each monitor domain in each group.

use core::fmt;

use resctrl_types::platform::Mutex;
use resctrl_types::{Arch, DomainId, Platform, ResourceId, Result};

use crate::Resctrl;
use crate::nodes::{GroupId, Node};
use crate::tree::{NewNode, NodeId};

/// The name of a domain's directory.
struct DirName {
    bytes: [u8; 24],
    len: usize,
}

impl DirName {
    fn new(domain: DomainId) -> Self {
        let mut name = DirName { bytes: [0; 24], len: 0 };
        // `mon_L3_` and ten digits fit.
        let _ = fmt::Write::write_fmt(&mut name, format_args!("mon_{}_{:02}", ResourceId::L3.name(), domain.0));
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

/// Makes the directory of a domain, with one file for each event, in a group's `mon_data`.
///
/// # Errors
/// `EEXIST`, `ENOMEM`, `ENOENT`; nothing is left behind.
pub(crate) fn add_domain<A: Arch<P>, P: Platform>(
    fs: &Resctrl<A, P>,
    group: GroupId,
    mon_data: NodeId,
    domain: DomainId,
) -> Result<()> {
    let Some(monitor) = fs.arch.monitor(ResourceId::L3) else { return Ok(()) };
    let mut tree = fs.tree.lock();
    let mode = tree.attr(mon_data).map_or(0o555, |attr| attr.mode);
    let (owner, now) = (fs.platform.owner(), fs.platform.now());
    let name = DirName::new(domain);
    let key = Node::MonDomain(group, domain);
    let dir = tree.add(mon_data, &NewNode { name: name.as_bytes(), key, mode, owner, now, hidden: false })?;
    for event in monitor.events.iter() {
        let key = Node::Event(group, domain, event);
        let file = NewNode { name: event.name().as_bytes(), key, mode: 0o444, owner, now, hidden: false };
        if let Err(errno) = tree.add(dir, &file) {
            tree.remove(dir);
            return Err(errno);
        }
    }
    Ok(())
}

/// Removes the directory of a domain from a group's `mon_data`.
pub(crate) fn remove_domain<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, mon_data: NodeId, domain: DomainId) {
    let mut tree = fs.tree.lock();
    if let Some(dir) = tree.lookup(mon_data, DirName::new(domain).as_bytes()) {
        tree.remove(dir);
    }
}
