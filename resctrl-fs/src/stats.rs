// SPDX-License-Identifier: GPL-2.0-only
//! Counts of what the domain life cycle did, for those who stress it.

use core::fmt;

use crate::text::TextOut;

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts since the instance was made.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// Prints one `name value` line each.
            ///
            /// # Errors
            /// When `out` is full.
            pub fn show(&self, out: &mut dyn TextOut) -> fmt::Result {
                $(writeln!(out, concat!(stringify!($name), " {}"), self.$name)?;)*
                Ok(())
            }
        }
    };
}

stats! {
    /// L3 monitor domains made.
    domains_created,
    /// L3 monitor domains taken off the list.
    domains_destroyed,
    /// Runs of overflow workers that read counters.
    overflow_runs,
    /// Runs of limbo workers that looked at RMIDs.
    limbo_runs,
    /// Workers that ran unbound, since the CPU they were queued on had gone.
    displaced,
    /// Workers that were not on the CPU they were meant for, displaced or told to leave it, and went to another of their
    /// domain.
    repicks,
    /// Workers that found their domain gone.
    dead_domain_runs,
    /// RMIDs that went into limbo.
    rmids_limbo,
    /// RMIDs that came out of limbo.
    rmids_cleaned,
}
