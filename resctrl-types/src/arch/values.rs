// SPDX-License-Identifier: GPL-2.0-only
//! What is passed between the file system and an architecture.

use crate::counter::{Counter, Transactions};
use crate::errno::Result;
use crate::event::EventId;
use crate::ids::{Closid, MonId};
use crate::resource::ConfType;

/// Why a counter has no number to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The hardware refuses the RMID, the event or the place it is read from. Shown as `Error`.
    Error,
    /// The hardware has no data yet, or no monitor is free. Shown as `Unavailable`.
    Unavailable,
    /// The event has no counter. Shown as `Unassigned`.
    Unassigned,
}

impl ReadError {
    /// What the event's file shows.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            ReadError::Error => "Error",
            ReadError::Unavailable => "Unavailable",
            ReadError::Unassigned => "Unassigned",
        }
    }
}

/// One control value to be written: for a CLOSID of the file system and a half of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose value.
    pub closid: Closid,
    /// Which half; [`ConfType::Both`] unless CDP is enabled on the resource.
    pub conf_type: ConfType,
    /// The value, already validated against the resource's [`Control`](crate::resource::Control).
    pub value: u32,
}

/// The largest and the initial value of `max_threshold_occupancy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OccupancyThreshold {
    /// Largest value a user may set, in bytes.
    pub limit: u32,
    /// Values are rounded down to a multiple of this many bytes; 1 where they are not. At least 1.
    pub unit: u32,
}

/// Reads one counter, in the domain that has it.
///
/// Gives `None` while only a part of what it has to be made of has been read: it will be asked for again.
pub type ReadOne<'a, D, C> = dyn FnMut(&mut D, C) -> Option<Result<u64, ReadError>> + 'a;

/// Counters that are read together: asks for each of them, and takes note of what comes.
///
/// Called once or more often, always for the same counters in the same order; each of them is given a value (or the reason
/// why there is none) once. It may run on another CPU, with interrupts off. `D` is what the domain holds of the
/// architecture, `C` says which counter.
pub type Counters<'a, D, C> = dyn FnMut(&mut ReadOne<'_, D, C>) + Send + 'a;

/// What registers are taken to hold when values are programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// What was programmed last. A value that was is left out, and if all were, no CPU is crossed to.
    Memory,
    /// What they show. Only a value that they show is left out: so that whoever writes a value again repairs a register
    /// that has lost it without anybody telling.
    Registers,
}

/// Something that counts in a domain, and goes on counting when the system has slept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// A bandwidth event of these ids, where every group is counted.
    Always(MonId, EventId),
    /// A counter that was assigned, and what it counts.
    Assigned(Counter, Transactions),
}

/// Calls what it is given with everything that counts in a domain.
pub type EachCounting<'a> = &'a dyn Fn(&mut dyn FnMut(Counting));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_of_a_counter_are_told_what_the_kernel_tells_them() {
        let all = [ReadError::Error, ReadError::Unavailable, ReadError::Unassigned];
        assert_eq!(all.map(ReadError::text), ["Error", "Unavailable", "Unassigned"]);
    }
}
