// SPDX-License-Identifier: GPL-2.0-only
//! The models: what must hold in every execution, of whom, and what does not hold if it were done otherwise.

use loom::cell::UnsafeCell;

use crate::place::Change;

mod fault;
mod in_use;
mod once;
mod pool;
mod refs;
mod switch;
mod version;

/// Something that must hold in every execution, or that must not.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// A sentence.
    pub name: &'static str,
    /// Panics in an execution in which it does not hold.
    pub run: fn(),
}

/// A change of the source that no model notices, and why that is no fault of theirs.
#[derive(Clone, Copy, Debug)]
pub struct Harmless {
    /// The line.
    pub line: &'static str,
    /// What is changed there.
    pub change: Change,
    /// Why it does not matter.
    pub reason: &'static str,
}

/// Files that are modelled together.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// For the names of tests.
    pub name: &'static str,
    /// Its files, from the top of the checkout.
    pub files: &'static [&'static str],
    /// What must hold.
    pub models: &'static [Model],
    /// What does not hold, since something is done the wrong way.
    pub wrong: &'static [Model],
    /// Changes that do not matter.
    pub harmless: &'static [Harmless],
}

/// All of them.
pub const SUBJECTS: [Subject; 7] =
    [refs::SUBJECT, once::SUBJECT, switch::SUBJECT, version::SUBJECT, fault::SUBJECT, pool::SUBJECT, in_use::SUBJECT];

/// The functions of these names, as models.
macro_rules! models {
    ($($name:ident),* $(,)?) => { &[$($crate::models::Model { name: stringify!($name), run: $name }),*] };
}
use models;

/// What one at a time may use.
#[derive(Default)]
struct Registers(UnsafeCell<()>);

// SAFETY: the cell is Loom's, which reports any use that another thread's is not ordered with.
unsafe impl Sync for Registers {}

impl Registers {
    fn use_them(&self) {
        self.0.with_mut(|_| ());
    }
}

/// Runs all executions that Loom knows of.
fn explore(execution: impl Fn() + Send + Sync + 'static) {
    loom::model::Builder::new().check(execution);
}
