// SPDX-License-Identifier: GPL-2.0-only
//! The contract of an architecture: what hardware must do for the file system.
//!
//! The kernel's `resctrl_arch_*` functions as a trait, with one change: the file system owns the lists of domains and
//! their life (what CPU hotplug does to them is the same on every architecture and is where the bugs were), and an
//! architecture supplies what each domain holds of it, as [`Domains::CtrlDomain`] and [`Domains::MonDomain`]. Dropping that
//! value is the architecture's release function; the last reference to a monitor domain does it.
//!
//! # What holds for every call
//!
//! * `&mut` to a domain's value is the proof that the rdtgroup mutex is held: no two calls on one domain overlap.
//! * A call that must run on a CPU takes [`Pinned`](crate::Pinned) or [`IrqOff`](crate::IrqOff).
//! * A call that crosses to other CPUs takes the platform and [`DomainCpus`](crate::DomainCpus): the domain's mask, what keeps its CPUs from
//!   going meanwhile, and where the caller is already. Only the architecture knows how often it has to cross, and to where:
//!   never if the caller is where it has to be. Those that only commands make take [`CpusHeld`](crate::CpusHeld) and the mask instead.
//! * [`Ids::sched_in`] alone is called without any lock.
//! * Nothing panics on what a user or the firmware can cause.
//!
//! # Monitors
//!
//! Three kinds of machines are behind these calls. Where an RMID is a global number (x86), [`Ids::rmid_index`] ignores
//! the CLOSID. Where it is only a part of one (MPAM), the index is made of both and
//! [`Ids::RMID_DEPENDS_ON_CLOSID`] tells the file system to allocate pairs. Where a read needs a monitor that must be
//! allocated first (MPAM CSU), that is [`Monitors::MonContext`], taken before the reading, and taking it may sleep.
//!
//! Counters are read many at a time ([`Counters`]), those of a group and its monitor groups or those of everybody, so that
//! the number of crossings depends on the hardware and not on the number of groups.
//!
//! # Counters that are assigned
//!
//! Where bandwidth is counted by fewer counters than there are groups, [`Assignment::counters`] says so, and the file system
//! keeps the table of who has which, for each domain its own. Such a machine may have a second mode without assignment:
//! [`Assignment::counters_assigned`] says which is on, and only then are bandwidth events read by [`Assignment::read_counters`]
//! instead of [`Monitors::read`], and never rebased. An architecture without such counters leaves these functions as they are.

mod assignment;
mod cdp;
mod controls;
mod cpus;
mod domains;
mod ids;
mod io_alloc;
mod monitors;
mod pseudo_lock;
mod resources;
mod telemetry;
mod values;

pub use crate::ids::MonId;
pub use assignment::Assignment;
pub use cdp::Cdp;
pub use controls::Controls;
pub use cpus::Cpus;
pub use domains::Domains;
pub use ids::Ids;
pub use io_alloc::IoAlloc;
pub use monitors::Monitors;
pub use pseudo_lock::PseudoLock;
pub use resources::Resources;
pub use telemetry::Telemetry;
pub use values::{Change, Counters, Counting, EachCounting, OccupancyThreshold, ReadError, ReadOne, Trust};

use crate::platform::Platform;

/// What an architecture does for resctrl: each trait of this module is about one thing, and an architecture that has no such
/// thing says so, or nothing.
///
/// `examples/architecture.rs` of `resctrl-fs` is a small one, whole: a machine that limits the memory bandwidth of each package, by
/// a register for each class, with the file system mounted over it.
pub trait Arch<P: Platform>:
    Ids
    + Resources
    + Cpus<P>
    + Domains
    + Controls<P>
    + Cdp<P>
    + Monitors<P>
    + Telemetry<P>
    + Assignment<P>
    + IoAlloc<P>
    + PseudoLock<P>
{
}

impl<
    P: Platform,
    A: Ids
        + Resources
        + Cpus<P>
        + Domains
        + Controls<P>
        + Cdp<P>
        + Monitors<P>
        + Telemetry<P>
        + Assignment<P>
        + IoAlloc<P>
        + PseudoLock<P>,
> Arch<P> for A
{
}

#[cfg(all(test, feature = "sim"))]
mod tests;
