// SPDX-License-Identifier: GPL-2.0-only
//! Where atomics are used, and what becomes of a model if one of these places is not as it is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering;

/// How a place can be weaker than it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It orders nothing.
    Relaxed,
    /// It reads, and then it writes.
    Torn,
}

/// A place in a file, and a change of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// As the compiler was told of it.
    pub file: &'static str,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, of the name of what is done.
    pub column: u32,
    /// What is otherwise.
    pub change: Change,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {:?}", self.file, self.line, self.column, self.change)
    }
}

thread_local! {
    static CHANGED: Cell<Option<Place>> = const { Cell::new(None) };
    static FOUND: RefCell<Option<BTreeSet<Place>>> = const { RefCell::new(None) };
}

/// All places that `run` comes to, with every change that can be made there.
pub fn found_by(run: impl FnOnce()) -> BTreeSet<Place> {
    FOUND.set(Some(BTreeSet::new()));
    run();
    FOUND.take().unwrap_or_default()
}

/// Runs with one place changed.
pub fn changed(place: Place, run: impl FnOnce()) {
    struct AsItWas;
    impl Drop for AsItWas {
        fn drop(&mut self) {
            CHANGED.set(None);
        }
    }
    CHANGED.set(Some(place));
    let _as_it_was = AsItWas;
    run();
}

/// Whether this thread runs with a place changed.
pub fn is_any_changed() -> bool {
    CHANGED.get().is_some()
}

/// Whether this change is made where the caller is.
#[track_caller]
fn is_changed(change: Change) -> bool {
    let here = Location::caller();
    let place = Place { file: here.file(), line: here.line(), column: here.column(), change };
    FOUND.with_borrow_mut(|found| found.as_mut().is_some_and(|found| found.insert(place)));
    CHANGED.get() == Some(place)
}

/// The ordering that holds where the caller is, which asks for this one.
#[track_caller]
pub(crate) fn order(asked: Ordering) -> Ordering {
    if asked != Ordering::Relaxed && is_changed(Change::Relaxed) { Ordering::Relaxed } else { asked }
}

/// Whether the caller, which reads and writes as one, does that as two.
#[track_caller]
pub(crate) fn is_torn() -> bool {
    is_changed(Change::Torn)
}
