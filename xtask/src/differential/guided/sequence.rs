// SPDX-License-Identifier: GPL-2.0-only
//! Sequences that have parts: a first one, and others that are then carried out at once.

use std::fmt;

use guest_tools::operation::{LANE, Operation};

/// The most parts, as the guest takes them.
pub(super) const PARTS: usize = 4;

/// The most operations of a part.
pub(super) const LENGTH: usize = 80;

/// Operations in parts; there is always a first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence(Vec<Vec<Operation>>);

impl Sequence {
    /// Of one part.
    pub(super) fn new(operations: Vec<Operation>) -> Self {
        Self(vec![operations])
    }

    /// Of parts, if it has operations; without what is too much for a guest, and without parts that have none.
    pub(super) fn of_parts(mut parts: Vec<Vec<Operation>>) -> Option<Self> {
        let mut number = 0;
        parts.retain(|part| {
            number += 1;
            number == 1 || !part.is_empty()
        });
        parts.truncate(PARTS);
        parts.iter_mut().for_each(|part| part.truncate(LENGTH));
        parts.iter().any(|part| !part.is_empty()).then_some(Self(parts))
    }

    /// From what a guest is told.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = vec![Vec::new()];
        for line in text.lines() {
            match line {
                LANE => parts.push(Vec::new()),
                _ => parts.last_mut()?.push(Operation::parse(line)?),
            }
        }
        Self::of_parts(parts)
    }

    pub(super) fn parts(&self) -> &[Vec<Operation>] {
        &self.0
    }

    pub(super) fn into_parts(self) -> Vec<Vec<Operation>> {
        self.0
    }

    /// Number of operations.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// Without the operations that `is_bad`; none if there are no others.
    pub(super) fn without(&self, is_bad: impl Fn(&Operation) -> bool) -> Option<Self> {
        let keep = |part: &Vec<Operation>| part.iter().filter(|operation| !is_bad(operation)).cloned().collect();
        Self::of_parts(self.0.iter().map(keep).collect())
    }

    /// The first `useful` operations, where there is one part. What leads to something new in one of several depends on all.
    pub(super) fn up_to(mut self, useful: usize) -> Self {
        if let [part] = self.0.as_mut_slice() {
            part.truncate(useful.max(1));
        }
        self
    }

    /// Every operation with the number of its part.
    pub(super) fn items(&self) -> Vec<(usize, Operation)> {
        let of_part = |(number, part): (usize, &Vec<Operation>)| {
            part.iter().map(|operation| (number, operation.clone())).collect::<Vec<_>>()
        };
        self.0.iter().enumerate().flat_map(of_part).collect()
    }

    /// From some of them, in their order.
    pub(super) fn of_items(items: &[(usize, Operation)]) -> Option<Self> {
        let mut parts = vec![Vec::new(); PARTS];
        for (number, operation) in items {
            parts.get_mut(*number)?.push(operation.clone());
        }
        Self::of_parts(parts)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.0.iter().enumerate() {
            if number > 0 {
                writeln!(f, "{LANE}")?;
            }
            part.iter().try_for_each(|operation| writeln!(f, "{operation}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(text: &str) -> Sequence {
        Sequence::parse(text).unwrap()
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        for text in ["umount\n", "umount\nlane\nmkdir\ta\t755\nrmdir\ta\nlane\numount\n", "lane\numount\n"] {
            assert_eq!(sequence(text).to_string(), text);
        }
        for text in ["", "lane\n", "spin\n"] {
            assert_eq!(Sequence::parse(text), None, "{text}");
        }
        let many = "umount\nlane\n".repeat(9);
        assert_eq!(sequence(&many).parts().len(), PARTS);
    }

    #[test]
    fn items_lead_back_to_their_parts() {
        let whole = sequence("umount\nlane\nmkdir\ta\t755\nrmdir\ta\nlane\nrelease\t1\n");
        let items = whole.items();
        assert_eq!(items.len(), whole.len());
        assert_eq!(Sequence::of_items(&items), Some(whole));
        assert_eq!(Sequence::of_items(&items[1..2]).unwrap().to_string(), "lane\nmkdir\ta\t755\n");
        assert_eq!(Sequence::of_items(&[]), None);
    }

    #[test]
    fn one_part_is_cut_after_what_was_useful_and_several_are_not() {
        assert_eq!(sequence("umount\numount\n").up_to(1).to_string(), "umount\n");
        let two = sequence("umount\numount\nlane\numount\n");
        assert_eq!(two.clone().up_to(1), two);
    }

    #[test]
    fn what_is_bad_is_left_out() {
        let is_unmount = |operation: &Operation| *operation == Operation::Unmount;
        assert_eq!(sequence("umount\nrmdir\ta\n").without(is_unmount).unwrap().to_string(), "rmdir\ta\n");
        assert_eq!(sequence("umount\n").without(is_unmount), None);
    }
}
