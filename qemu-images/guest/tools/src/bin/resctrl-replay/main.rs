// SPDX-License-Identifier: GPL-2.0-only
//! Carries out sequences of operations on resctrl and writes down what can be seen after each, or what the kernel runs for them.
//!
//! The host sends a sequence over a serial port and reads the record from it; a guest does many sequences, each from a
//! fresh state. Everything is done by direct system calls of one process, so that thousands of operations a minute are
//! possible in an emulated machine. Lines to the guest:
//!
//! | Line | Meaning |
//! |---|---|
//! | `plan ID COUNT DIGEST` | that many lines with [operations](guest_tools::operation) follow |
//! | `end` | there are no more |
//!
//! Lines from the guest: `ready`; `again ID` for a plan that did not arrive whole; and the record:
//!
//! | Line | Meaning |
//! |---|---|
//! | `plan ID` | it begins |
//! | `step N OUTCOME` | an operation and how it ended: `ok`, what it read, or the errno's name. Step 0 is the fresh state |
//! | `=NAME` tab `VALUE` | something that can be seen is new or has changed |
//! | `-NAME` | something is gone |
//! | `done ID MILLISECONDS` | the plan is at its end |

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

mod cast;
mod guided;
mod observe;
mod perform;
mod port;
mod registers;
mod seen;
mod serve;
mod tree;

use guest_tools::{Arguments, Outcome, main as run_program, unknown_command};
use guided::Guided;
use port::Port;
use serve::Server;
use std::fs::OpenOptions;
use std::process::ExitCode;

const HELP: &str = "\
Carries out sequences of operations on resctrl for the rig.

  resctrl-replay serve PORT    take sequences from a serial port and write the record to it
  resctrl-replay guided PORT   the same, but the record says which code of the kernel runs for the first time
";

fn main() -> ExitCode {
    run_program("resctrl-replay", HELP, run)
}

fn run(command: &str, arguments: &mut Arguments) -> Outcome {
    let guided = match command {
        "serve" => false,
        "guided" => true,
        _ => return Err(unknown_command()),
    };
    let path = arguments.path("PORT")?;
    arguments.end()?;
    let port = OpenOptions::new().read(true).write(true).open(path)?;
    // Sequences name processes, so those have the same ids in every guest.
    cast::as_process(cast::REPLAYER, || {
        cast::start()?;
        let port = Port::new(port)?;
        if guided { Guided::new(port)?.serve() } else { Server::new(port)?.serve() }
    })
}
