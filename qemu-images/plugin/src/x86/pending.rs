// SPDX-License-Identifier: GPL-2.0-only
//! Results that are due at the next instruction.
//!
//! Nearly always the next instruction follows at once, and the result is in flight on its CPU for a moment. Where a
//! translation block ends in between (CPUID at the end of a page), an interrupt or a page fault may come first. Its handler
//! may execute CPUID or RDMSR of its own, run another program that does, and the program may go on on another CPU. So an
//! interruption moves the result to the *displaced* ones, where it waits for its place: the address of the next instruction
//! and the page tables it belongs to.
//!
//! Of addresses only the offset in the page counts. QEMU translates a physical page once, wherever it is mapped, so the
//! address a hook was given may be another program's for the same code.

use std::collections::VecDeque;

/// Most results that wait. More than a few at once take an improbable chain of interruptions; one whose place is never
/// reached again (its program was killed there) is pushed out in the end.
const CAPACITY: usize = 64;

/// What is to be done at the next instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// Put these into RAX, RBX, RCX and RDX.
    Cpuid([u64; 4]),
    /// Complete what the processor answered for this leaf and subleaf.
    Patch { leaf: u32, subleaf: u32 },
    /// Look at what the processor answered for this leaf and subleaf.
    Look { leaf: u32, subleaf: u32 },
    /// Put this into EDX:EAX.
    Rdmsr(u64),
}

/// The result one CPU has in flight.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Option<(u64, Late)>);

impl InFlight {
    /// Notes a result that is due at an address.
    pub(crate) fn put(&mut self, pc: u64, late: Late) {
        self.0 = Some((pc, late));
    }

    /// Takes the result if it is due at this address.
    pub(crate) fn take(&mut self, pc: u64) -> Option<Late> {
        self.0.take_if(|(due, _)| offset(*due) == offset(pc)).map(|(_, late)| late)
    }

    /// Takes the result and its address, because something came in between.
    pub(crate) fn interrupt(&mut self) -> Option<(u64, Late)> {
        self.0.take()
    }
}

/// The part of an address that is the same in every mapping.
fn offset(pc: u64) -> u64 {
    pc & 0xfff
}

/// Where a displaced result is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    offset: u64,
    page_tables: u64,
}

impl Place {
    /// The place of an address under the page tables that CR3 points to. The kernel's half of addresses is the same
    /// under all of them, and its threads borrow any.
    pub(crate) fn new(pc: u64, cr3: u64) -> Self {
        // The low bits of CR3 name a context, which is another one on another CPU; the top bit is no address either.
        let page_tables = if pc >> 63 == 1 { 0 } else { cr3 & 0x000f_ffff_ffff_f000 };
        Self { offset: offset(pc), page_tables }
    }
}

/// Results whose program was interrupted before it got them.
#[derive(Debug, Default)]
pub(crate) struct Displaced(VecDeque<(Place, Late)>);

impl Displaced {
    pub(crate) fn push(&mut self, place: Place, late: Late) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back((place, late));
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the newest result for a place: of handlers that interrupt each other the last one ends first.
    pub(crate) fn take(&mut self, place: Place) -> Option<Late> {
        let index = self.0.iter().rposition(|(waiting, _)| *waiting == place)?;
        self.0.remove(index).map(|(_, late)| late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_in_flight_is_delivered_once_and_only_at_its_address() {
        let mut in_flight = InFlight::default();
        in_flight.put(0x1000, Late::Rdmsr(1));
        assert_eq!(in_flight.take(0x1002), None);
        assert_eq!(in_flight.take(0x1000), Some(Late::Rdmsr(1)));
        assert_eq!(in_flight.take(0x1000), None);
    }

    #[test]
    fn a_displaced_result_waits_for_its_own_program_on_any_cpu() {
        let mut displaced = Displaced::default();
        displaced.push(Place::new(0x1000, 0x5000_0001), Late::Rdmsr(1));
        displaced.push(Place::new(0x1000, 0x6000_0001), Late::Rdmsr(2));
        assert_eq!(displaced.take(Place::new(0x1002, 0x6000_0001)), None);
        assert_eq!(displaced.take(Place::new(0x1000, 0x6000_0003)), Some(Late::Rdmsr(2)));
        assert_eq!(displaced.take(Place::new(0x1000, 0x6000_0003)), None);
        assert_eq!(displaced.take(Place::new(0x1000, 0x5000_0002)), Some(Late::Rdmsr(1)));
    }

    #[test]
    fn the_same_code_mapped_elsewhere_gets_its_result() {
        let mut in_flight = InFlight::default();
        in_flight.put(0x1ffe, Late::Rdmsr(1));
        assert_eq!(in_flight.take(0x7fff_0000_2ffe), Some(Late::Rdmsr(1)));
    }

    #[test]
    fn the_kernel_finds_its_results_under_any_page_tables() {
        let mut displaced = Displaced::default();
        let pc = 0xffff_ffff_8100_0000;
        displaced.push(Place::new(pc, 0x5000_0000), Late::Rdmsr(1));
        assert_eq!(displaced.take(Place::new(pc, 0x6000_0000)), Some(Late::Rdmsr(1)));
    }

    #[test]
    fn the_newest_of_nested_results_is_taken_first() {
        let mut displaced = Displaced::default();
        let place = Place::new(0x1000, 0x5000_0000);
        displaced.push(place, Late::Rdmsr(1));
        displaced.push(place, Late::Rdmsr(2));
        assert_eq!(displaced.take(place), Some(Late::Rdmsr(2)));
        assert_eq!(displaced.take(place), Some(Late::Rdmsr(1)));
    }

    #[test]
    fn what_is_never_reached_makes_room() {
        let mut displaced = Displaced::default();
        for pc in 0..=CAPACITY as u64 {
            displaced.push(Place::new(pc, 0x5000_0000), Late::Rdmsr(pc));
        }
        assert_eq!(displaced.len(), CAPACITY);
        assert_eq!(displaced.take(Place::new(0, 0x5000_0000)), None);
        assert_eq!(displaced.take(Place::new(1, 0x5000_0000)), Some(Late::Rdmsr(1)));
    }
}
