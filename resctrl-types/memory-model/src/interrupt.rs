// SPDX-License-Identifier: GPL-2.0-only
//! Code that is interrupted on its CPU: before whichever of the atomics that it uses.
//!
//! What interrupts runs to its end, and sees everything in the order of the program, so that this is no thread of Loom's.

use std::cell::RefCell;

struct Interruption {
    handler: Box<dyn FnMut()>,
    /// Before which uses of atomics, counted from 0.
    at: [usize; 2],
    used: usize,
}

thread_local! {
    static PENDING: RefCell<Option<Interruption>> = const { RefCell::new(None) };
}

/// An atomic is about to be used.
pub(crate) fn point() {
    // While it is handled, interrupts are off.
    let Some(mut pending) = PENDING.take() else { return };
    for _ in pending.at.iter().filter(|&&at| at == pending.used) {
        (pending.handler)();
    }
    pending.used += 1;
    PENDING.set(Some(pending));
}

/// Runs `code`, with `handler` before each of these two uses of atomics, counted from 0. How many uses there were.
pub(crate) fn run(at: [usize; 2], handler: impl FnMut() + 'static, code: impl FnOnce()) -> usize {
    PENDING.set(Some(Interruption { handler: Box::new(handler), at, used: 0 }));
    code();
    PENDING.take().map_or(0, |pending| pending.used)
}

/// Calls `story` for every two places, one place twice, and one place alone. It tells what [`run`] told.
pub(crate) fn everywhere(mut story: impl FnMut([usize; 2]) -> usize) {
    let mut first = 0;
    loop {
        // Behind the last use there is nothing to interrupt.
        let mut second = first;
        let mut used = story([first, second]);
        if first >= used {
            return;
        }
        while second < used {
            second += 1;
            used = story([first, second]);
        }
        first += 1;
    }
}
