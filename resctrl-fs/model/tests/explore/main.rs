// SPDX-License-Identifier: GPL-2.0-only
//! Every state of the life of a monitor domain, within bounds that each test states: nothing that must hold breaks. And what
//! breaks in the versions that were wrong, by the shortest way there is.
//!
//! The states are told apart by a hash of 64 bits: of ten million states, two look alike with a chance of one in 300000.

mod altered;
mod life;
mod states;
mod wrong;
