// SPDX-License-Identifier: GPL-2.0-only
//! What goes through an MSC.

/// A memory request on its way through an MSC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// On behalf of this PARTID.
    pub partid: u16,
    /// In this performance monitoring group.
    pub pmg: u8,
    /// Size in bytes.
    pub bytes: u64,
    /// A write, not a read.
    pub write: bool,
}
