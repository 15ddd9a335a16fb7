// SPDX-License-Identifier: GPL-2.0-only
//! Allocations that fail on demand: the kernel's fault injection (`failslab`).
//!
//! Counted are the allocations of [`crate::mem`] and [`crate::refs`], and what a platform allocates on behalf of its
//! caller. Everything in a simulated machine runs on one thread of the host, so the count is that thread's.

use std::cell::Cell;
use std::thread_local;

#[derive(Clone, Copy)]
enum Plan {
    /// Nothing fails.
    Off,
    /// So many allocations go well, then one fails.
    After(u64),
    /// It has failed.
    Done,
}

thread_local! {
    static PLAN: Cell<Plan> = const { Cell::new(Plan::Off) };
}

/// Whether the allocation that asks is the one to fail.
pub(crate) fn fails() -> bool {
    super::thread::check_allocation();
    PLAN.with(|plan| match plan.get() {
        Plan::After(0) => {
            plan.set(Plan::Done);
            true
        }
        Plan::After(left) => {
            plan.set(Plan::After(left - 1));
            false
        }
        Plan::Off | Plan::Done => false,
    })
}

/// Runs `f` with its allocation number `n` failing, counted from 0; gives what `f` returned, and whether there was such
/// an allocation.
pub fn fail_allocation<R>(n: u64, f: impl FnOnce() -> R) -> (R, bool) {
    PLAN.with(|plan| plan.set(Plan::After(n)));
    let result = f();
    let failed = PLAN.with(|plan| matches!(plan.replace(Plan::Off), Plan::Done));
    (result, failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Errno, KBox, KVec};

    #[test]
    fn exactly_the_chosen_allocation_fails() {
        let make = || [KBox::new(1_u64).is_ok(), KVec::<u8>::with_capacity(4).is_ok(), KBox::new(2_u64).is_ok()];
        assert_eq!(fail_allocation(1, make), ([true, false, true], true));
        assert_eq!(fail_allocation(3, make), ([true; 3], false));
    }

    #[test]
    fn a_push_within_the_capacity_allocates_nothing() {
        let mut vec = KVec::with_capacity(1).unwrap();
        assert_eq!(fail_allocation(0, || vec.push(1)), (Ok(()), false));
        let (pushed, failed) = fail_allocation(0, || vec.push(2));
        assert_eq!((pushed, failed, &vec[..]), (Err(Errno::ENOMEM), true, &[1][..]));
    }
}
