// SPDX-License-Identifier: GPL-2.0-only
//! Carries out sequences of operations on resctrl and writes down what can be seen after each.
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
mod observe;
mod perform;
mod registers;
mod seen;
mod tree;

use guest_tools::operation::{Operation, digest};
use guest_tools::{Arguments, Failure, Outcome, main as run_program, unknown_command};
use observe::Observer;
use perform::Performer;
use seen::{Seen, groups};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const HELP: &str = "\
Carries out sequences of operations on resctrl for the rig.

  resctrl-replay serve PORT   take sequences from a serial port and write the record to it
";

/// How long it takes until ids that were freed can be used again: a worker looks after them every second.
const LIMBO: Duration = Duration::from_millis(1600);

fn main() -> ExitCode {
    run_program("resctrl-replay", HELP, run)
}

fn run(command: &str, arguments: &mut Arguments) -> Outcome {
    if command != "serve" {
        return Err(unknown_command());
    }
    let path = arguments.path("PORT")?;
    arguments.end()?;
    let port = OpenOptions::new().read(true).write(true).open(path)?;
    // Sequences name processes, so those have the same ids in every guest.
    cast::as_process(cast::REPLAYER, || Server::new(port).and_then(Server::serve))
}

struct Server {
    lines: BufReader<File>,
    port: File,
    performer: Performer,
    observer: Observer,
    seen: Seen,
    /// Ids that were freed since they had time to get out of limbo, and when the last one was.
    freed: (usize, Instant),
}

impl Server {
    fn new(port: File) -> Result<Self, Failure> {
        cast::start()?;
        Ok(Self {
            lines: BufReader::new(port.try_clone()?),
            port,
            performer: Performer::new()?,
            observer: Observer::new()?,
            seen: BTreeMap::new(),
            freed: (0, Instant::now()),
        })
    }

    fn serve(mut self) -> Outcome {
        self.say("ready\n")?;
        while let Some(line) = self.line()? {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["plan", id, count, sum] => self.plan(id, count.parse().unwrap_or(0), sum)?,
                ["end"] => break,
                // What is left of a plan that did not arrive whole.
                _ => {}
            }
        }
        Ok(())
    }

    /// A line without its newline, `None` at the end.
    fn line(&mut self) -> Result<Option<String>, Failure> {
        let mut bytes = Vec::new();
        if self.lines.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned()))
    }

    fn say(&mut self, text: &str) -> Outcome {
        Ok(self.port.write_all(text.as_bytes())?)
    }

    fn plan(&mut self, id: &str, count: usize, sum: &str) -> Outcome {
        let mut text = String::new();
        for _ in 0..count {
            let Some(line) = self.line()? else { return Ok(()) };
            text.push_str(&line);
            text.push('\n');
        }
        let operations: Option<Vec<Operation>> = text.lines().map(Operation::parse).collect();
        let (Some(operations), true) = (operations, format!("{:x}", digest(text.as_bytes())) == sum) else {
            return self.say(&format!("again {id}\n"));
        };
        let start = Instant::now();
        self.performer.reset()?;
        self.say(&format!("plan {id}\n"))?;
        let before = std::mem::take(&mut self.seen);
        self.note_freed(&before);
        self.step(0, "ok")?;
        for (number, operation) in operations.iter().enumerate() {
            self.wait_for_ids(operation);
            let outcome = self.performer.perform(operation);
            self.step(number + 1, &outcome)?;
        }
        let took = start.elapsed().as_millis();
        self.say(&format!("done {id} {took}\n"))
    }

    /// Writes down a step and what changed with it.
    fn step(&mut self, number: usize, outcome: &str) -> Outcome {
        let now = self.observer.look();
        let mut text = format!("step {number} {outcome}\n");
        for (name, value) in &now {
            if self.seen.get(name) != Some(value) {
                // Writing to a string does not fail.
                let _ = writeln!(text, "={name}\t{value}");
            }
        }
        for name in self.seen.keys().filter(|name| !now.contains_key(*name)) {
            let _ = writeln!(text, "-{name}");
        }
        let before = std::mem::replace(&mut self.seen, now);
        self.note_freed(&before);
        self.say(&text)
    }

    /// Groups that are gone have left their monitoring ids to limbo.
    fn note_freed(&mut self, before: &Seen) {
        let gone = groups(before).filter(|group| !self.seen.contains_key(*group)).count();
        if gone > 0 {
            self.freed = (self.freed.0 + gone, Instant::now());
        }
    }

    /// Which ids are free depends on when limbo was last looked at, so nobody asks for one before it has been, where that
    /// could make a difference.
    fn wait_for_ids(&mut self, operation: &Operation) {
        let (freed, last) = self.freed;
        let live = groups(&self.seen).count();
        if matches!(operation, Operation::Mkdir(..)) && self.observer.must_wait(live, freed) {
            std::thread::sleep((last + LIMBO).saturating_duration_since(Instant::now()));
            self.freed = (0, Instant::now());
        }
    }
}
