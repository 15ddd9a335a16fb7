// SPDX-License-Identifier: GPL-2.0-only
//! What a command is for, looked up once before it waits.

use resctrl_types::{Arch, Errno, Platform, Result};

use super::state::Resctrl;
use crate::nodes::Node;
use crate::tree::{Name, NodeId};

/// What a command is for.
pub(crate) struct Target {
    pub(crate) content: Node,
    /// The name of the directory of the group that the node is or is in, the empty one for the default group: who waits for a
    /// group that goes is the last to know it.
    pub(crate) group_name: Name,
}

impl<A: Arch<P>, P: Platform> Resctrl<A, P> {
    /// What a node stands for, and in which group.
    ///
    /// # Errors
    /// `ENODEV` when the node has gone.
    pub(crate) fn target(&self, node: NodeId) -> Result<Target> {
        let tree = self.tree.read();
        let content = tree.content(node).ok_or(Errno::ENODEV)?;
        let mut at = node;
        loop {
            match tree.content(at).ok_or(Errno::ENODEV)? {
                Node::Group(_) | Node::Root => {
                    let group_name = tree.name(at).cloned().ok_or(Errno::ENODEV)?;
                    return Ok(Target { content, group_name });
                }
                _ => at = tree.parent(at).ok_or(Errno::ENODEV)?,
            }
        }
    }
}
