// SPDX-License-Identifier: GPL-2.0-only
//! Carries out sequences and writes down what can be seen after each operation.

use guest_tools::operation::Operation;
use guest_tools::{Failure, Outcome};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::observe::Observer;
use super::perform::Performer;
use super::port::{Plan, Port};
use super::seen::{Seen, groups};

/// How long it takes until ids that were freed can be used again: a worker looks after them every second.
const LIMBO: Duration = Duration::from_millis(1600);

fn operations(text: &str) -> Option<Vec<Operation>> {
    text.lines().map(Operation::parse).collect()
}

pub(super) struct Server {
    port: Port,
    performer: Performer,
    observer: Observer,
    seen: Seen,
    /// Ids that were freed since they had time to get out of limbo, and when the last one was.
    freed: (usize, Instant),
}

impl Server {
    pub(super) fn new(port: Port) -> Result<Self, Failure> {
        Ok(Self {
            port,
            performer: Performer::new()?,
            observer: Observer::new()?,
            seen: BTreeMap::new(),
            freed: (0, Instant::now()),
        })
    }

    pub(super) fn serve(mut self) -> Outcome {
        self.port.say("ready\n")?;
        while let Some(Plan { id, text }) = self.port.plan(|text| operations(text).is_some())? {
            let operations = operations(&text).unwrap_or_default();
            let start = Instant::now();
            self.performer.reset()?;
            self.port.say(&format!("plan {id}\n"))?;
            let before = std::mem::take(&mut self.seen);
            self.note_freed(&before);
            self.step(0, "ok")?;
            for (number, operation) in operations.iter().enumerate() {
                self.wait_for_ids(operation);
                let outcome = self.performer.perform(operation);
                self.step(number + 1, &outcome)?;
            }
            let took = start.elapsed().as_millis();
            self.port.say(&format!("done {id} {took}\n"))?;
        }
        Ok(())
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
        self.port.say(&text)
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
