// SPDX-License-Identifier: GPL-2.0-only
//! Results that are due at the next instruction.
//!
//! Nearly always the next instruction follows at once and the queue holds one entry for a moment. Where a translation
//! block ends in between, an interrupt may come first and its handler may execute CPUID or RDMSR of its own, or run
//! another program that does. So an entry waits for its place: the address of the next instruction *and* the page tables
//! it belongs to.

use std::collections::VecDeque;

/// Most entries that wait. More than two at once take an improbable chain of interrupts; an entry whose place is never
/// reached again (its program was killed there) is pushed out in the end.
const CAPACITY: usize = 16;

/// Where a result is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Virtual address of the instruction.
    pub(crate) pc: u64,
    /// CR3.
    pub(crate) page_tables: u64,
}

/// What is to be done there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// Put these into RAX, RBX, RCX and RDX.
    Cpuid([u64; 4]),
    /// Complete what the processor answered for this leaf and subleaf.
    Patch { leaf: u32, subleaf: u32 },
    /// Put this into EDX:EAX.
    Rdmsr(u64),
}

/// The results one CPU has to deliver.
#[derive(Debug, Default)]
pub(crate) struct Pending(VecDeque<(Place, Late)>);

impl Pending {
    pub(crate) fn push(&mut self, place: Place, late: Late) {
        // An older entry of the same place belongs to an execution that never got there.
        self.0.retain(|(waiting, _)| *waiting != place);
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back((place, late));
    }

    /// Whether anything waits for this address, whosever it is.
    pub(crate) fn waits_at(&self, pc: u64) -> bool {
        self.0.iter().any(|(place, _)| place.pc == pc)
    }

    pub(crate) fn take(&mut self, place: Place) -> Option<Late> {
        let index = self.0.iter().position(|(waiting, _)| *waiting == place)?;
        self.0.remove(index).map(|(_, late)| late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place { pc: 0x1000, page_tables: 1 };

    #[test]
    fn a_result_waits_for_its_own_program() {
        let mut pending = Pending::default();
        let other = Place { page_tables: 2, ..HERE };
        pending.push(HERE, Late::Rdmsr(1));
        pending.push(other, Late::Rdmsr(2));
        assert!(pending.waits_at(HERE.pc));
        assert_eq!(pending.take(other), Some(Late::Rdmsr(2)));
        assert_eq!(pending.take(other), None);
        assert_eq!(pending.take(HERE), Some(Late::Rdmsr(1)));
        assert!(!pending.waits_at(HERE.pc));
    }

    #[test]
    fn a_second_execution_replaces_the_first() {
        let mut pending = Pending::default();
        pending.push(HERE, Late::Rdmsr(1));
        pending.push(HERE, Late::Rdmsr(2));
        assert_eq!(pending.take(HERE), Some(Late::Rdmsr(2)));
        assert_eq!(pending.take(HERE), None);
    }

    #[test]
    fn what_is_never_reached_makes_room() {
        let mut pending = Pending::default();
        for pc in 0..=CAPACITY as u64 {
            pending.push(Place { pc, ..HERE }, Late::Rdmsr(pc));
        }
        assert_eq!(pending.take(Place { pc: 0, ..HERE }), None);
        assert_eq!(pending.take(Place { pc: 1, ..HERE }), Some(Late::Rdmsr(1)));
    }
}
