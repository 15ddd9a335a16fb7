// SPDX-License-Identifier: GPL-2.0-only
//! Names of nodes.

use core::ops::Deref;

use resctrl_types::{Errno, KVec, Ref, Result};

use super::NAME_MAX;

/// The name of a node in its directory. Cloning it takes no memory, so that it can outlive its node.
#[derive(Clone)]
pub(crate) enum Name {
    /// One that is always the same: nearly all nodes are files with such.
    Fixed(&'static str),
    /// One that somebody has chosen, or that has a number in it.
    Given(Ref<KVec<u8>>),
}

impl Name {
    /// A copy of the bytes.
    ///
    /// # Errors
    /// `ENAMETOOLONG`, `ENOMEM`.
    pub(crate) fn given(name: &[u8]) -> Result<Self> {
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        Ok(Name::Given(Ref::new(KVec::from_slice(name)?)?))
    }
}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Self {
        Name::Fixed(name)
    }
}

impl Deref for Name {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Name::Fixed(name) => name.as_bytes(),
            Name::Given(name) => name,
        }
    }
}
