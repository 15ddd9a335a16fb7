// SPDX-License-Identifier: GPL-2.0-only
//! Carries out sequences and tells which code of the kernel runs for the first time with each, so that the host can go on from
//! those that lead somewhere new.
//!
//! A sequence has parts, with a line `lane` between them: the first is carried out here, the others then by a process each, at
//! once. The record of one is a single step with these lines:
//!
//! | Line | Meaning |
//! |---|---|
//! | `=new` tab N | steps from a place of the kernel to another that nobody has taken before |
//! | `=useful` tab N | operations of the first part up to the last that took a new step |
//! | `=steps` tab N, `=places` tab N | all that were taken since this program began |
//! | `=ok` tab N, `=operations` tab N | operations that the kernel did not refuse, of so many |

use guest_tools::kcov::{Kcov, Step, Taken};
use guest_tools::operation::{LANE, Operation};
use guest_tools::{Failure, Outcome};
use nix::errno::Errno;
use nix::unistd::{ForkResult, fork};
use std::fs::File;
use std::io::{Read, Write};
use std::time::Instant;

use super::perform::Performer;
use super::port::{Plan, Port};

/// The most parts that are carried out at once.
const LANES: usize = 3;

/// The parts of a sequence; `None` if it is none.
fn parts(text: &str) -> Option<Vec<Vec<Operation>>> {
    let mut parts = vec![Vec::new()];
    for line in text.lines() {
        if line == LANE {
            parts.push(Vec::new());
        } else {
            parts.last_mut()?.push(Operation::parse(line)?);
        }
    }
    (parts.len() <= LANES + 1).then_some(parts)
}

/// What became of a part.
#[derive(Default)]
struct Report {
    new: Vec<Step>,
    useful: usize,
    ok: usize,
    operations: usize,
}

/// Somebody who carries out operations under watch.
struct Worker {
    kcov: Kcov,
    taken: Taken,
    performer: Performer,
}

impl Worker {
    fn new(performer: Performer) -> Result<Self, Failure> {
        Ok(Self { kcov: Kcov::of_this_task()?, taken: Taken::default(), performer })
    }

    fn carry_out(&mut self, operations: &[Operation]) -> Report {
        let mut report = Report { operations: operations.len(), ..Report::default() };
        for (number, operation) in operations.iter().enumerate() {
            self.kcov.begin();
            let outcome = self.performer.perform(operation);
            let new = self.taken.add_all(self.kcov.places());
            if !new.is_empty() {
                report.useful = number + 1;
            }
            report.new.extend(new);
            report.ok += usize::from(outcome.starts_with("ok"));
        }
        report
    }
}

/// A process that carries out parts.
struct Lane {
    to: File,
    from: File,
}

impl Lane {
    fn start() -> Result<Self, Failure> {
        let (here, there) = (nix::unistd::pipe()?, nix::unistd::pipe()?);
        // SAFETY: this process has one thread, so that the new one finds no lock held that nobody would release.
        match unsafe { fork()? } {
            ForkResult::Parent { .. } => Ok(Self { to: there.1.into(), from: here.0.into() }),
            ForkResult::Child => {
                // So that it ends when the other does, which has the only other end.
                drop((here.0, there.1));
                let outcome = Self::serve(there.0.into(), here.1.into());
                std::process::exit(i32::from(outcome.is_err()));
            }
        }
    }

    /// The process itself: takes a part, answers with its report, until there are no more.
    fn serve(mut from: File, mut to: File) -> Outcome {
        let mut worker = Worker::new(Performer::beside())?;
        while let Some(text) = receive(&mut from)? {
            let operations: Vec<Operation> =
                String::from_utf8_lossy(&text).lines().filter_map(Operation::parse).collect();
            let Report { new, ok, .. } = worker.carry_out(&operations);
            worker.performer.release();
            let words = [ok as u64].into_iter().chain(new.into_iter().map(Step::bits));
            send(&mut to, &words.flat_map(u64::to_le_bytes).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn begin(&mut self, operations: &[Operation]) -> Outcome {
        let text: String = operations.iter().map(|operation| format!("{operation}\n")).collect();
        send(&mut self.to, text.as_bytes())
    }

    /// What it has found that is new to it, and how many operations were not refused.
    fn end(&mut self) -> Result<(Vec<Step>, usize), Failure> {
        let gone = || Failure::Hardware("a process that carries out operations is gone".to_owned());
        let bytes = receive(&mut self.from)?.ok_or_else(gone)?;
        let (words, _) = bytes.as_chunks::<8>();
        let (ok, steps) = words.split_first().ok_or_else(gone)?;
        let steps = steps.iter().map(|word| Step::from_bits(u64::from_le_bytes(*word))).collect();
        Ok((steps, usize::try_from(u64::from_le_bytes(*ok)).unwrap_or(usize::MAX)))
    }
}

/// A message, with its length before it.
fn send(to: &mut File, message: &[u8]) -> Outcome {
    to.write_all(&(message.len() as u64).to_le_bytes())?;
    Ok(to.write_all(message)?)
}

/// The next message, `None` at the end.
fn receive(from: &mut File) -> Result<Option<Vec<u8>>, Failure> {
    let mut length = [0; 8];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let mut message = vec![0; usize::try_from(u64::from_le_bytes(length)).map_err(|_| Errno::EMSGSIZE)?];
    from.read_exact(&mut message)?;
    Ok(Some(message))
}

pub(super) struct Guided {
    port: Port,
    worker: Worker,
    lanes: Vec<Lane>,
}

impl Guided {
    pub(super) fn new(port: Port) -> Result<Self, Failure> {
        let lanes = (0..LANES).map(|_| Lane::start()).collect::<Result<_, _>>()?;
        Ok(Self { port, worker: Worker::new(Performer::new()?)?, lanes })
    }

    pub(super) fn serve(mut self) -> Outcome {
        self.port.say("ready\n")?;
        while let Some(Plan { id, text }) = self.port.plan(|text| parts(text).is_some())? {
            let parts = parts(&text).unwrap_or_default();
            let start = Instant::now();
            self.worker.performer.reset()?;
            self.port.say(&format!("plan {id}\n"))?;
            let report = self.carry_out(&parts)?;
            let Report { new, useful, ok, operations } = report;
            let (steps, places) = (self.worker.taken.steps(), self.worker.taken.places());
            let took = start.elapsed().as_millis();
            self.port.say(&format!(
                "step 0 ok\n=new\t{}\n=useful\t{useful}\n=steps\t{steps}\n=places\t{places}\n=ok\t{ok}\n\
                 =operations\t{operations}\ndone {id} {took}\n",
                new.len()
            ))?;
        }
        Ok(())
    }

    fn carry_out(&mut self, parts: &[Vec<Operation>]) -> Result<Report, Failure> {
        let Some((first, others)) = parts.split_first() else { return Ok(Report::default()) };
        let mut report = self.worker.carry_out(first);
        let lanes = self.lanes.iter_mut().zip(others);
        let running =
            lanes.map(|(lane, part)| lane.begin(part).map(|()| (lane, part.len()))).collect::<Result<Vec<_>, _>>()?;
        for (lane, operations) in running {
            let (steps, ok) = lane.end()?;
            report.new.extend(steps.into_iter().filter(|step| self.worker.taken.add(*step)));
            report.ok += ok;
            report.operations += operations;
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_has_parts_and_not_too_many() {
        let counts = |text: &str| parts(text).map(|parts| parts.iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(counts("umount\nlane\nmkdir\ta\t755\numount\nlane\n"), Some(vec![1, 2, 0]));
        assert_eq!(counts("umount\n"), Some(vec![1]));
        assert_eq!(counts("umount\nspin\n"), None);
        assert_eq!(counts("lane\nlane\nlane\nlane\n"), None);
    }

    #[test]
    fn a_message_arrives_as_it_was_sent_and_the_end_is_seen() {
        let (from, to) = nix::unistd::pipe().unwrap();
        let (mut from, mut to) = (File::from(from), File::from(to));
        send(&mut to, b"umount\n").unwrap();
        send(&mut to, b"").unwrap();
        drop(to);
        assert_eq!(receive(&mut from).unwrap().as_deref(), Some(b"umount\n".as_slice()));
        assert_eq!(receive(&mut from).unwrap().as_deref(), Some(b"".as_slice()));
        assert!(receive(&mut from).unwrap().is_none());
    }
}
