// SPDX-License-Identifier: GPL-2.0-only
//! Which machine, which version of the protocol, and what of the world may happen.

/// A version of the protocol of workers and hotplug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one here.
    Counted,
    /// The one here, with a mistake.
    Altered(Alteration),
    /// Before the patch (Linux 6.12): offline cancels the worker without waiting, and frees the domain.
    Before,
    /// The patch as it was posted, for workers that take the hotplug lock.
    Posted,
    /// The same for workers that do not, as those of Linux 7.3.
    PostedUnlocked,
    /// Linux 7.3: offline cancels the worker, waits, and queues it anew.
    Upstream,
}

/// A mistake that could be made in the version here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// A CPU that leaves does not mark the targets of workers.
    TargetsKept,
    /// A displaced worker goes on with the full period.
    RepickLate,
    /// A worker looks neither at its target nor at where it is.
    PlaceNotAsked,
    /// A worker that is armed takes no reference.
    ArmedWithoutReference,
    /// A worker that ends leaves its target as it was.
    TargetNotIdle,
    /// The module goes without waiting for the last domain.
    ExitNotCounting,
    /// The module goes without waiting for the workqueue.
    ExitNotDraining,
    /// A CPU that the system's sleep has taken stays in its domain.
    LostKept,
}

impl Version {
    /// Whether this is the protocol here, with or without a mistake.
    pub(crate) const fn is_ours(self) -> bool {
        matches!(self, Version::Counted | Version::Altered(_))
    }

    /// Whether domains are counted.
    pub const fn counts(self) -> bool {
        !matches!(self, Version::Before | Version::Upstream)
    }

    /// Whether workers take the hotplug lock.
    pub(crate) const fn worker_holds_cpus(self) -> bool {
        matches!(self, Version::Before | Version::Posted)
    }

    pub(crate) fn has(self, alteration: Alteration) -> bool {
        self == Version::Altered(alteration)
    }
}

/// How time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Timers fire whenever they like, and whoever can go on may wait: every order, and no times.
    Any,
    /// Who can go on does so before time goes on. A period has so many ticks.
    Prompt(u16),
    /// Timers fire at their time, in milliseconds; who can go on may wait. Times are those of a recorded run.
    Recorded,
}

/// How long CPUs take to come and to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hotplug {
    /// As long as they like, at each step.
    Slow,
    /// No time.
    Quick,
}

/// What is modelled.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The version of the protocol.
    pub version: Version,
    /// How time goes.
    pub time: Time,
    /// How long CPUs take. Where time is not modelled it makes no difference.
    pub hotplug: Hotplug,
    /// By CPU: its package, which has one cache.
    pub packages: Vec<u8>,
    /// By CPU: whether it is left alone by what may run elsewhere.
    pub isolated: Vec<bool>,
    /// There is a CPU besides that never goes.
    pub anchored: bool,
}

impl Rules {
    /// Ticks between two runs.
    pub(crate) const fn period(&self) -> u16 {
        match self.time {
            Time::Any => 1,
            Time::Prompt(ticks) => ticks,
            Time::Recorded => 1000,
        }
    }

    /// How long a live domain's counters may stay unread while mounted: a period, and a tick for each of its CPUs that has left
    /// meanwhile.
    pub(crate) fn limit(&self, left: u8) -> u16 {
        self.period() + u16::from(left)
    }

    pub(crate) const fn timed(&self) -> bool {
        !matches!(self.time, Time::Any)
    }
}
