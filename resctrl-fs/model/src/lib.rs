// SPDX-License-Identifier: GPL-2.0-only
//! The life of a monitor domain as an explicit model: CPUs that come and go, the mount, the two workers, the system's sleep, the
//! module's exit.
//!
//! [`Rules::step`](rules::Rules::step) is the relation: which [`Action`](action::Action) leads from which
//! [`State`](state::State) where. It is used twice. The tests of this crate go through every state within stated
//! [`Bounds`](bounds::Bounds) and look at the [`INVARIANTS`](invariants::INVARIANTS), for the protocol here and for those that
//! were wrong. And [`follow`](follow::follow) takes the steps of a recorded run of the file system on the simulated kernel, each
//! of which the relation must allow. So the model is that of the code, as long as the tests pass.
//!
//! The protocol is told in `docs/lifetime.md`, and so is what is modelled and what is not.

pub mod action;
pub mod bounds;
mod callback;
pub mod follow;
pub mod invariants;
mod kernel;
mod mask;
pub mod rules;
pub mod state;
mod step;
mod worker;
mod wrong;

pub use worker::Limbo;
