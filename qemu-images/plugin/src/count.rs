// SPDX-License-Identifier: GPL-2.0-only
//! Counts what a guest does, for programs in it that measure something.
//!
//! Only where the option `count=yes` says so: a guest is a little slower then.

use crate::qemu::{Api, Block, number};
use resctrl_hardware::control::{Answer, COUNTED_HANDLERS, Call, Request, answer};
use std::ffi::{c_uint, c_void};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What happens often enough to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// An interrupt that one CPU sends another.
    Interrupt,
    /// Reading a register of the emulated hardware.
    Read,
    /// Writing one.
    Write,
}

/// Instructions that began to be executed since power-on.
static INSTRUCTIONS: AtomicU64 = AtomicU64::new(0);

/// What else has been counted since power-on.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// By [`Counted`].
    events: [AtomicU64; 3],
    /// Addresses of interrupt handlers, 0 where there is none.
    handlers: [AtomicU64; COUNTED_HANDLERS],
    next_handler: AtomicUsize,
}

impl Counts {
    /// Has the instructions of a block counted.
    ///
    /// # Safety
    ///
    /// `block` is the one the running translation callback was called with.
    pub(crate) unsafe fn watch(api: &Api, block: *mut Block) {
        // SAFETY: as this function requires of its caller.
        unsafe { api.before_block(block, on_block) };
    }

    /// Counts one.
    pub(crate) fn add(&self, what: Counted) {
        self.add_several(what, 1);
    }

    /// Counts so many.
    pub(crate) fn add_several(&self, what: Counted, many: u64) {
        self.events[what as usize].fetch_add(many, Ordering::Relaxed);
    }

    /// Counts an interrupt if its handler is that of one CPU interrupting another.
    pub(crate) fn interrupted(&self, handler: u64) {
        if self.handlers.iter().any(|known| known.load(Ordering::Relaxed) == handler) {
            self.add(Counted::Interrupt);
        }
    }

    fn count_handler(&self, address: u64) {
        if self.handlers.iter().all(|known| known.load(Ordering::Relaxed) != address) {
            let place = self.next_handler.fetch_add(1, Ordering::Relaxed) % COUNTED_HANDLERS;
            self.handlers[place].store(address, Ordering::Relaxed);
        }
    }

    fn so_far(&self, what: Counted) -> u64 {
        self.events[what as usize].load(Ordering::Relaxed)
    }

    /// Answers a command of the guest's that is about counts; `None` for all others.
    pub(crate) fn answer(&self, call: Call) -> Option<Answer> {
        let values = match Request::decode(call).ok()? {
            Request::Executed => [INSTRUCTIONS.load(Ordering::Relaxed), self.so_far(Counted::Interrupt), 0],
            Request::Accesses => [self.so_far(Counted::Read), self.so_far(Counted::Write), 0],
            Request::CountHandler(address) => {
                self.count_handler(address);
                [0; 3]
            }
            _ => return None,
        };
        Some(answer(Ok(values)))
    }
}

extern "C" fn on_block(_cpu: c_uint, instructions: *mut c_void) {
    INSTRUCTIONS.fetch_add(number(instructions), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use resctrl_hardware::control::read_answer;

    fn ask(counts: &Counts, request: Request) -> Option<[u64; 3]> {
        let answer = counts.answer(request.encode())?;
        read_answer(answer).and_then(Result::ok)
    }

    fn interrupts(counts: &Counts) -> Option<u64> {
        ask(counts, Request::Executed).map(|[_, interrupts, _]| interrupts)
    }

    #[test]
    fn what_was_counted_is_answered_and_nothing_else_is() {
        let counts = Counts::default();
        on_block(0, std::ptr::without_provenance_mut(7));
        counts.add(Counted::Read);
        counts.add_several(Counted::Write, 3);
        counts.add_several(Counted::Interrupt, 2);
        assert!(
            ask(&counts, Request::Executed)
                .is_some_and(|[instructions, interrupts, _]| instructions >= 7 && interrupts == 2)
        );
        assert_eq!(ask(&counts, Request::Accesses), Some([1, 3, 0]));
        assert_eq!(ask(&counts, Request::Probe), None);
        assert_eq!(counts.answer([99, 0, 0, 0, 0]), None);
    }

    #[test]
    fn only_handlers_that_were_named_count() {
        let counts = Counts::default();
        counts.interrupted(0x1000);
        assert_eq!(ask(&counts, Request::CountHandler(0x1000)), Some([0; 3]));
        // Named twice, it counts once.
        ask(&counts, Request::CountHandler(0x1000));
        counts.interrupted(0x1000);
        counts.interrupted(0x2000);
        assert_eq!(interrupts(&counts), Some(1));
    }

    #[test]
    fn one_handler_too_many_takes_the_place_of_the_first() {
        let counts = Counts::default();
        for number in 0..=COUNTED_HANDLERS as u64 {
            ask(&counts, Request::CountHandler(0x1000 + number));
        }
        counts.interrupted(0x1000);
        assert_eq!(interrupts(&counts), Some(0));
        counts.interrupted(0x1000 + COUNTED_HANDLERS as u64);
        assert_eq!(interrupts(&counts), Some(1));
    }
}
