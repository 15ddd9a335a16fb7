// SPDX-License-Identifier: GPL-2.0-only
//! System calls that are led on by the code of the kernel that they run: a sequence that takes a step in the kernel which none
//! has taken before is kept, and later ones are made from it. Nothing is compared: what must not happen is that the kernel
//! reports a fault, or does not answer any more.
//!
//! Two guests, of both implementations or twice the same, have a corpus in common, and each carries out sequences of its own. What
//! one finds the other tries. A sequence that does harm is tried again, made as short as it can be, and printed as a script.

mod corpus;
mod figures;
mod sequence;
mod vary;

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::{Result, bail};
use fastrand::Rng;
use indicatif::{ProgressBar, ProgressStyle};

use super::boots::{Boots, Loss};
use super::generate::Generator;
use super::guest::{Gone, Replayer};
use super::{Asked, Stage, script, shrink};
use crate::guest::interrupt;
use crate::scenario::{Case, Implementation};
use crate::test_qemu::outcome::Outcome;
use corpus::Corpus;
use figures::{Figures, Harm, Report};
use sequence::Sequence;

/// Guests that are lost, after which a run ends.
const ENOUGH: usize = 5;

/// How often a sequence is tried that has done harm.
const AGAIN: usize = 3;

/// Guests that may be lost to make such a sequence shorter, and attempts in all.
const LOST: usize = 10;
const ATTEMPTS: usize = 60;

/// One of both guests.
struct Side {
    guest: Replayer,
    /// What the other has found, and what was known before.
    queue: VecDeque<Sequence>,
    /// Its last sequences, for a fault that has been on its way for a while.
    recent: VecDeque<Sequence>,
    figures: Figures,
}

impl Side {
    fn new(case: &Case, guest: Replayer, queue: VecDeque<Sequence>) -> Self {
        Self { guest, queue, recent: VecDeque::new(), figures: Figures::new(case) }
    }

    fn is_oracle(&self) -> bool {
        self.figures.case.implementation == Implementation::Kernel
    }

    /// What its guest says of a plan that was sent.
    fn hear(&mut self, id: u64, text: &str) -> Result<Report, Gone> {
        let record = self.guest.receive(id, text)?;
        Report::of(&record).ok_or_else(|| Gone(format!("the guest said {record:?}")))
    }
}

/// Runs sequences on both and says what came of it, for each.
///
/// # Errors
///
/// Something that is no guest's fault.
pub(crate) fn run(stage: &Stage<'_>, asked: Asked) -> Result<Vec<Outcome>> {
    let pair = &stage.pair;
    let machine = pair.ours.0.machine.to_string();
    let known = corpus::load(&machine)?;
    let generator = stage.generator(asked.seed);
    stage.with_guests(|mut boots| {
        let start = Instant::now();
        let guests = match boots.both()? {
            Ok(guests) => guests,
            Err(loss) => bail!("no guest: {} ({})", loss.why, loss.console.display()),
        };
        let [first, second] = guests;
        let mut hunt = Hunt {
            sides: [
                Side::new(&pair.oracle.0, first, known.clone()),
                Side::new(&pair.ours.0, second, if pair.is_of_twins() { VecDeque::new() } else { known.clone() }),
            ],
            boots,
            generator: &generator,
            asked,
            corpus: Corpus::default(),
            rng: Rng::with_seed(asked.seed),
            next: 0,
            made: 0,
        };
        let end = hunt.go_on();
        // What was found is not lost with a run that is interrupted, nor is what it has not come to.
        let waiting = hunt.sides.iter_mut().flat_map(|side| std::mem::take(&mut side.queue));
        corpus::save(&corpus::kept(&machine), &hunt.corpus, waiting)?;
        end?;
        let (took, size) = (start.elapsed(), hunt.corpus.len());
        let mut outcomes: Vec<Outcome> = hunt
            .sides
            .iter()
            .map(|side| side.figures.outcome(asked, took, size, side.guest.folder().console()))
            .collect();
        if pair.is_of_twins() {
            // One verdict for both: of the one that has something to say against it.
            let worse = usize::from(hunt.sides[0].figures.harm.is_empty());
            outcomes = vec![outcomes.swap_remove(worse)];
        }
        Ok(outcomes)
    })
}

struct Hunt<'a> {
    sides: [Side; 2],
    boots: Boots<'a>,
    generator: &'a Generator<'a>,
    asked: Asked,
    corpus: Corpus,
    rng: Rng,
    /// Number of the next plan that is sent.
    next: u64,
    /// Sequences that the generator has made.
    made: u64,
}

impl Hunt<'_> {
    fn go_on(&mut self) -> Result<()> {
        let asked = self.asked;
        let bar = ProgressBar::new(asked.operations);
        let style = ProgressStyle::with_template("  {prefix}  [{bar:40}] {pos}/{len} operations  {msg}  {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(self.sides[1].figures.case.to_string());
        while self.sides.iter().any(|side| side.figures.operations < asked.operations)
            && self.sides.iter().all(|side| side.figures.harm.len() < ENOUGH)
        {
            if interrupt::requested() {
                bail!("interrupted");
            }
            let chosen = [self.choose(0), self.choose(1)];
            let id = self.next;
            self.next += 1;
            let sent = [0, 1].map(|side: usize| {
                let text = chosen[side].to_string();
                self.sides[side].guest.send(id, &text).map(|()| text)
            });
            for ((side, sequence), sent) in chosen.into_iter().enumerate().zip(sent) {
                match sent.and_then(|text| self.sides[side].hear(id, &text)) {
                    Ok(report) => self.learn(side, sequence, report),
                    Err(gone) => self.investigate(side, sequence, gone)?,
                }
            }
            bar.set_position(self.sides[1].figures.operations.min(self.sides[0].figures.operations));
            let places = self.sides.each_ref().map(|side| side.figures.places.to_string());
            bar.set_message(format!("{} places, {} sequences kept", places.join(" and "), self.corpus.len()));
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The next sequence for a guest: what is waiting for it, a relative of what was found, or one from nothing. The kernel's own is
    /// spared what it is known not to stand.
    fn choose(&mut self, side: usize) -> Sequence {
        let sequence = match self.sides[side].queue.pop_front() {
            Some(waiting) => waiting,
            None => match (self.corpus.any(&mut self.rng), self.corpus.any(&mut self.rng)) {
                (Some(base), Some(other)) if self.rng.u32(..5) > 0 => vary::vary(&mut self.rng, base, other),
                _ => self.fresh(),
            },
        };
        if !self.sides[side].is_oracle() {
            return sequence;
        }
        let spared = sequence.without(|operation| self.generator.avoids(operation));
        spared.unwrap_or_else(|| self.fresh())
    }

    fn fresh(&mut self) -> Sequence {
        self.made += 1;
        Sequence::new(self.generator.plan(self.made))
    }

    fn learn(&mut self, side: usize, sequence: Sequence, report: Report) {
        self.sides[side].figures.heard(report, self.asked);
        // What is kept already is new only to this guest.
        if report.new > 0 && !self.corpus.has(&sequence) {
            let found = sequence.clone().up_to(report.useful);
            let other = &mut self.sides[1 - side];
            if !other.queue.contains(&sequence) {
                other.queue.push_back(found.clone());
            }
            self.corpus.add(found);
        }
        let recent = &mut self.sides[side].recent;
        recent.push_back(sequence);
        if recent.len() > AGAIN {
            recent.pop_front();
        }
    }

    /// Boots a guest in place of one that is gone, and finds out what did it.
    fn investigate(&mut self, side: usize, sequence: Sequence, Gone(why): Gone) -> Result<()> {
        let console = self.sides[side].guest.folder().console();
        let last =
            self.sides[side].recent.iter().chain([&sequence]).map(Sequence::to_string).collect::<Vec<_>>().join("\n");
        let mut script = None;
        self.reboot(side)?;
        let mut lost = 0;
        for _ in 0..AGAIN {
            if self.does_harm(side, &sequence, &mut lost)? {
                let items = sequence.items();
                let shortest = shrink::shrink(&items, ATTEMPTS, |part| {
                    let Some(part) = Sequence::of_items(part) else { return Ok(false) };
                    Ok(lost < LOST && self.does_harm(side, &part, &mut lost)?)
                })?;
                let shortest = Sequence::of_items(&shortest).unwrap_or(sequence);
                let title = format!("{}, seed {}", self.sides[side].figures.case, self.asked.seed);
                script = Some(script::at_once(&title, shortest.parts()));
                break;
            }
        }
        let loss = Loss { guest: side, why, sequence: last, console };
        self.sides[side].figures.harm.push(Harm { loss, script });
        Ok(())
    }

    fn reboot(&mut self, side: usize) -> Result<()> {
        for attempt in 0..2 {
            let mut guest = self.boots.one(side)?;
            match guest.wait_until_ready() {
                Ok(()) => {
                    self.sides[side].guest = guest;
                    // It has taken no step yet, and shall not find new what is not.
                    self.sides[side].queue = self.corpus.all().cloned().collect();
                    return Ok(());
                }
                Err(Gone(why)) if attempt > 0 => bail!("no guest: {why} ({})", guest.folder().console().display()),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a guest does not live through a sequence; there is another one then.
    fn does_harm(&mut self, side: usize, sequence: &Sequence, lost: &mut usize) -> Result<bool> {
        if interrupt::requested() {
            bail!("interrupted");
        }
        let (id, text) = (self.next, sequence.to_string());
        self.next += 1;
        let sent = self.sides[side].guest.send(id, &text);
        if sent.and_then(|()| self.sides[side].hear(id, &text)).is_ok() {
            return Ok(false);
        }
        *lost += 1;
        self.reboot(side)?;
        Ok(true)
    }
}
