// SPDX-License-Identifier: GPL-2.0-only
//! What a command is for, looked up once before it waits.

use resctrl_types::{Arch, Errno, Platform, Result};

use super::state::Resctrl;
use crate::nodes::Node;
use crate::tree::{Name, NodeId};

/// What a command is for.
pub(crate) struct Target {
    pub(crate) content: Node,
    /// The directory it is in.
    pub(crate) dir: NodeId,
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
        let (content, dir) = tree.content_and_parent(node).ok_or(Errno::ENODEV)?;
        let (mut at, mut of, mut above) = (node, content, dir);
        loop {
            match of {
                Node::Group(_) => {
                    let group_name = tree.name(at).cloned().ok_or(Errno::ENODEV)?;
                    return Ok(Target { content, dir, group_name });
                }
                // In no group but the default one.
                Node::Root | Node::InfoFile(_) | Node::InfoDir | Node::InfoEventDir => {
                    return Ok(Target { content, dir, group_name: Name::from("") });
                }
                _ => {
                    at = above;
                    (of, above) = tree.content_and_parent(at).ok_or(Errno::ENODEV)?;
                }
            }
        }
    }
}
