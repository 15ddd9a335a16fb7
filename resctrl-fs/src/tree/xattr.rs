// SPDX-License-Identifier: GPL-2.0-only
//! Extended attributes: of a node, in the order in which they were set first, as kernfs has them.
//!
//! Neither their number nor their size is limited here: only the privileged set them (`trusted.*`, `security.*`), and the
//! VFS ends values at 64 KiB. kernfs limits `user.*` alone, which its root for resctrl does not have.

use resctrl_types::{Errno, KBox, KVec, Result};

/// What setting an attribute does about one that is there, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrSet {
    /// Makes it, or gives it another value.
    Any,
    /// Makes it: `XATTR_CREATE`.
    Create,
    /// Gives it another value: `XATTR_REPLACE`.
    Replace,
    /// Both at once, which cannot be: `EEXIST` for one that is there, `ENODATA` for one that is not.
    CreateAndReplace,
}

struct Xattr {
    name: KVec<u8>,
    value: KVec<u8>,
    next: Option<KBox<Xattr>>,
}

/// An attribute that was made before it is set, or that is not set any more.
pub(crate) struct Spare(Option<KBox<Xattr>>);

impl Spare {
    /// Nothing.
    pub(crate) const fn nothing() -> Self {
        Spare(None)
    }

    /// A copy of these.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(name: &[u8], value: &[u8]) -> Result<Self> {
        let (name, value) = (KVec::from_slice(name)?, KVec::from_slice(value)?);
        Ok(Spare(Some(KBox::new(Xattr { name, value, next: None })?)))
    }
}

/// The attributes of one node.
pub(super) struct Xattrs(Option<KBox<Xattr>>);

impl Xattrs {
    pub(super) const fn new() -> Self {
        Xattrs(None)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut next = self.0.as_deref();
        core::iter::from_fn(move || {
            let this = next?;
            next = this.next.as_deref();
            Some((&this.name[..], &this.value[..]))
        })
    }

    /// Where the attribute is, or where the last one ends.
    fn find(&mut self, name: &[u8]) -> &mut Option<KBox<Xattr>> {
        let mut at = &mut self.0;
        while at.as_ref().is_some_and(|this| this.name[..] != *name) {
            match at {
                Some(this) => at = &mut this.next,
                None => unreachable!("there is one, which has another name"),
            }
        }
        at
    }

    /// Sets the attribute to `new`, where what it was before is then; or removes it, if there is nothing in `new`.
    pub(super) fn set(&mut self, name: &[u8], new: &mut Spare, how: XattrSet) -> Result<()> {
        let at = self.find(name);
        match (at.as_mut(), how) {
            (Some(_), XattrSet::Create | XattrSet::CreateAndReplace) => return Err(Errno::EEXIST),
            (None, XattrSet::Replace | XattrSet::CreateAndReplace) => return Err(Errno::ENODATA),
            (Some(there), _) => match &mut new.0 {
                Some(new) => core::mem::swap(&mut there.value, &mut new.value),
                None => {
                    let rest = there.next.take();
                    new.0 = core::mem::replace(at, rest);
                }
            },
            (None, _) => *at = new.0.take(),
        }
        Ok(())
    }
}

impl Drop for Xattrs {
    /// One after the other: there may be many.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(mut this) = next {
            next = this.next.take();
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const NAMES: [&[u8]; 4] = [b"trusted.a", b"trusted.b", b"security.selinux", b"security.c"];

    fn set(xattrs: &mut Xattrs, name: &[u8], value: Option<&[u8]>, how: XattrSet) -> Result<()> {
        let mut spare = value.map_or(Spare::nothing(), |value| Spare::new(name, value).unwrap());
        xattrs.set(name, &mut spare, how)
    }

    proptest! {
        #[test]
        fn attributes_are_what_was_set_in_the_order_of_their_coming(
            steps in prop::collection::vec((0..4_usize, prop::option::of(0..9_u8), 0..4_usize), 0..40)
        ) {
            let mut xattrs = Xattrs::new();
            let mut model: Vec<(&[u8], [u8; 1])> = Vec::new();
            for (name, value, how) in steps {
                let how = [XattrSet::Any, XattrSet::Create, XattrSet::Replace, XattrSet::CreateAndReplace][how];
                let name = NAMES[name];
                let value = value.map(|value| [value]);
                let there = model.iter().position(|(known, _)| *known == name);
                let expected = match (there, how) {
                    (Some(_), XattrSet::Create | XattrSet::CreateAndReplace) => Err(Errno::EEXIST),
                    (None, XattrSet::Replace | XattrSet::CreateAndReplace) => Err(Errno::ENODATA),
                    _ => Ok(()),
                };
                prop_assert_eq!(set(&mut xattrs, name, value.as_ref().map(|value| &value[..]), how), expected);
                if expected.is_ok() {
                    match (there, value) {
                        (Some(at), Some(value)) => model[at].1 = value,
                        (Some(at), None) => drop(model.remove(at)),
                        (None, Some(value)) => model.push((name, value)),
                        (None, None) => (),
                    }
                }
                let now: Vec<_> = xattrs.iter().collect();
                prop_assert_eq!(now, model.iter().map(|(name, value)| (*name, &value[..])).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn very_many_attributes_are_freed_without_deep_recursion() {
        let mut xattrs = Xattrs::new();
        for number in 0..200_000_u32 {
            let mut spare = Spare::new(&number.to_le_bytes(), b"").unwrap();
            // In front, where it is fast.
            let rest = xattrs.0.take();
            spare.0.as_mut().unwrap().next = rest;
            xattrs.0 = spare.0.take();
        }
        drop(xattrs);
    }
}
