// SPDX-License-Identifier: GPL-2.0-only
//! What happens in a guest, as the runner tells it to everybody else.

use std::path::PathBuf;
use std::time::Duration;

use crate::console::Splat;
use crate::guest::protocol::Available;

/// One thing that happened. Events of one guest come in the order in which they happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// QEMU was started.
    Started {
        /// Folder with the guest's logs.
        folder: PathBuf,
    },
    /// The guest's first process runs and has loaded its modules.
    Booted(Available),
    /// A line of the kernel's console.
    Console(String),
    /// A scenario begins.
    ScenarioStarted {
        /// Its name.
        name: String,
        /// The guest's uptime.
        at: Duration,
    },
    /// Bytes of a script's standard output or standard error, as they are.
    Bytes {
        /// Standard error.
        error: bool,
        /// At least one.
        bytes: Vec<u8>,
    },
    /// A line of standard output of the running scenario.
    Output(String),
    /// A line of standard error of the running scenario.
    Error(String),
    /// The guest could not be brought back to a clean state after a scenario.
    Dirty {
        /// The scenario.
        name: String,
        /// What is left.
        reason: String,
    },
    /// A scenario, or the script, ended by itself.
    Exited {
        /// Name of the scenario; `script` for a script.
        name: String,
        /// Its exit code.
        code: i32,
        /// The guest's uptime.
        at: Duration,
    },
    /// A line of the control channel that is none of the protocol's.
    Garbage(String),
    /// The console says that something is wrong. Ends the guest.
    Splat(Splat),
    /// Processor time that the guest has taken so far. Comes before what begins or ends something.
    Processor(Duration),
    /// The guest is gone; the last event.
    Ended(End),
}

/// Why a guest is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It did all it had to do.
    Done,
    /// It could not do what it had to do, and said why.
    Problem(String),
    /// Its console showed a splat.
    Splat,
    /// It was not up in time.
    BootTimeout(Duration),
    /// A scenario ran into its time limit.
    Timeout(Duration),
    /// What runs the guest did not run at all: it refuses its arguments, or lacks something.
    NotStarted {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it said.
        message: String,
    },
    /// What runs the guest ended before the guest was done.
    Died {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it said.
        message: String,
    },
}

impl End {
    /// A sentence for reports.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Done => "the guest ended as it should".to_owned(),
            Self::Problem(text) => format!("the guest gave up: {text}"),
            Self::Splat => "the kernel reported a fault".to_owned(),
            Self::BootTimeout(limit) => {
                format!("the guest did not boot within {} s", limit.as_secs())
            }
            Self::Timeout(limit) => format!("no verdict within {} s", limit.as_secs()),
            Self::NotStarted { program, status, message } => {
                format!("{program} does not start ({status}): {message}")
            }
            Self::Died { program, status, message } if message.is_empty() => {
                format!("{program} ended early ({status})")
            }
            Self::Died { program, status, message } => format!("{program} ended early ({status}): {message}"),
        }
    }

    /// A boot that came to this end may go well the next time: on a loaded host, guests hang or die now
    /// and then before they are up.
    pub(crate) fn is_worth_a_retry(&self) -> bool {
        matches!(self, Self::BootTimeout(_) | Self::Died { .. })
    }
}
