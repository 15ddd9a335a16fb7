// SPDX-License-Identifier: GPL-2.0-only
//! All mutants of a file in one text, which of them is there being said to the program that it becomes a part of.
//!
//! Where there is a choice there is a `match` on a [number](switch): `a + b` becomes `(match ::mutant_switch::which(7, 2) { 0 => (a + b),
//! 1 => (a - b), _ => (a * b) })`. Only one mutant is ever there, so that what has others in it has them in its first arm only, and
//! the text grows with their number and not with its square.

mod chain;
mod places;
#[cfg(test)]
#[expect(unreachable_pub, reason = "it is a crate of its own, too")]
mod switch;

use std::cmp::Reverse;
use std::ops::Range;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::tool::Mutant;
use places::{Place, Places, What};

/// The crate that says which mutant is there.
pub(super) const SWITCH: &str = include_str!("weave/switch.rs");

/// What is changed, in cargo-mutants' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum Genre {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

/// A file with its mutants.
#[derive(Debug, Clone, Default)]
pub(super) struct Woven {
    pub(super) text: String,
    /// The number of the first mutant.
    pub(super) first: u32,
    /// Which mutant has the first number, which the second: places in the list that was given.
    pub(super) numbers: Vec<usize>,
    /// Those that are not in it, and why.
    pub(super) left: Vec<(usize, &'static str)>,
    regions: Vec<Region>,
    /// Functions that were constant: the type that each is of, and its name.
    pub(super) loosened: Vec<(String, String)>,
}

/// Text that mutants brought in.
#[derive(Debug, Clone)]
pub(super) struct Region {
    range: Range<usize>,
    pub(super) mutants: Vec<usize>,
    /// It is what one has instead of what was there.
    pub(super) is_new: bool,
}

impl Woven {
    /// What is at these bytes of the text, if mutants brought it in.
    pub(super) fn at(&self, range: &Range<usize>) -> Option<&Region> {
        let around = |region: &&Region| region.range.start <= range.start && range.end <= region.range.end;
        self.regions.iter().filter(around).min_by_key(|region| region.range.len())
    }
}

/// Weaves mutants into the text of their file, numbered from `first` on. Those that `is_out` names stay out; a function is no longer
/// constant, unless `is_pinned` names it.
///
/// # Errors
///
/// The text is no Rust.
pub(super) fn weave(
    text: &str,
    mutants: &[Mutant],
    first: u32,
    is_out: impl Fn(&Mutant) -> bool,
    is_pinned: impl Fn(&(String, String)) -> bool,
) -> Result<Woven> {
    let places = Places::of(text)?;
    let mut edits = Edits::default();
    let mut woven = Woven { first, ..Woven::default() };
    let lines = Lines::of(text);
    let is_pinned: Vec<bool> =
        places.functions.iter().map(|function| function.constant.is_some() && is_pinned(&function.name)).collect();
    for (at, mutant) in mutants.iter().enumerate() {
        let range = lines.range(mutant).with_context(|| format!("{}: there is no such place", mutant.name))?;
        let place = places.places.get(&(mutant.genre, range.start));
        let edit = if is_out(mutant) {
            Err("it does not compile")
        } else {
            place.ok_or("it is in no known place").and_then(|place| {
                let pinned = place.function.is_some_and(|function| is_pinned[function]);
                if place.constant || pinned { Err("it is in a constant") } else { edit(text, place, mutant, &range) }
            })
        };
        match edit {
            Ok((kind, range, new)) => edits.add(kind, range, at, new),
            Err(why) => woven.left.push((at, why)),
        }
    }
    for (function, pinned) in places.functions.iter().zip(is_pinned) {
        if let (Some(range), false) = (&function.constant, pinned) {
            edits.0.push(Edit { kind: Kind::Nothing, range: range.clone(), changes: Vec::new() });
            woven.loosened.push(function.name.clone());
        }
    }
    let edits = edits.sorted();
    Writer { text, woven: &mut woven }.write(0..text.len(), &edits);
    Ok(woven)
}

/// What is to be done for a mutant, where, and what is there instead.
fn edit(
    text: &str,
    place: &Place,
    mutant: &Mutant,
    range: &Range<usize>,
) -> Result<(Kind, Range<usize>, String), &'static str> {
    let new = &mutant.replacement;
    match &place.what {
        What::Body(_) if !mutant.has_said_type() => Err("its value has a type of its own"),
        What::Body(at) => Ok((Kind::Body, *at..*at, new.clone())),
        What::NeededArm => Err("what it matches may be matched by no other"),
        What::Arm(at) => Ok((Kind::Arm, *at..*at, String::new())),
        What::Operator(nodes) => {
            let chain: Vec<Range<usize>> = nodes.iter().map(|node| node.range.clone()).collect();
            let node = chain::smallest(text, &chain, range, new).ok_or("it does not parse")?;
            let binds = nodes.iter().any(|other| other.range == node && other.binds);
            if binds {
                return Err("it binds names");
            }
            let changed = chain::replaced(text, &node, range, new);
            Ok((Kind::Choice, node, changed))
        }
        What::Part(node) if node.binds => Err("it binds names"),
        What::Part(node) => {
            let changed = chain::replaced(text, &node.range, range, new);
            Ok((Kind::Choice, node.range.clone(), changed))
        }
    }
}

/// What is done to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A function returns before its first statement.
    Body,
    /// An arm gets a guard.
    Arm,
    /// It goes.
    Nothing,
    /// An expression is one of several.
    Choice,
}

#[derive(Debug)]
struct Edit {
    kind: Kind,
    range: Range<usize>,
    /// Mutants, and what each has here.
    changes: Vec<(usize, String)>,
}

#[derive(Debug, Default)]
struct Edits(Vec<Edit>);

impl Edits {
    fn add(&mut self, kind: Kind, range: Range<usize>, mutant: usize, new: String) {
        match self.0.iter_mut().find(|edit| edit.kind == kind && edit.range == range) {
            Some(edit) => edit.changes.push((mutant, new)),
            None => self.0.push(Edit { kind, range, changes: vec![(mutant, new)] }),
        }
    }

    /// As the text has them, the outer ones before those in them.
    fn sorted(mut self) -> Vec<Edit> {
        self.0.sort_by_key(|edit| (edit.range.start, edit.kind, Reverse(edit.range.end)));
        self.0
    }
}

struct Writer<'a> {
    text: &'a str,
    woven: &'a mut Woven,
}

impl Writer<'_> {
    /// Writes what is in `range`, with the edits that are in it.
    fn write(&mut self, range: Range<usize>, edits: &[Edit]) {
        let (mut at, mut next) = (range.start, 0);
        while let Some(edit) = edits.get(next) {
            let inside = edits[next + 1..].iter().take_while(|inner| inner.range.start < edit.range.end).count();
            let inner = &edits[next + 1..=next + inside];
            self.put(&self.text[at..edit.range.start]);
            self.edit(edit, inner);
            (at, next) = (edit.range.end, next + 1 + inside);
        }
        self.put(&self.text[at..range.end]);
    }

    fn put(&mut self, text: &str) {
        self.woven.text.push_str(text);
    }

    fn edit(&mut self, edit: &Edit, inner: &[Edit]) {
        let start = self.woven.text.len();
        let which = format!("::mutant_switch::which({}, {})", self.next(), edit.changes.len());
        self.woven.numbers.extend(edit.changes.iter().map(|(mutant, _)| *mutant));
        match edit.kind {
            Kind::Nothing => {}
            Kind::Body => {
                self.put(&format!("match {which} {{ 0 => {{}}"));
                self.changes(edit, "return ");
                self.put(" } ");
            }
            Kind::Arm => self.put(&format!(" if {which} == 0")),
            Kind::Choice => {
                self.put(&format!("(match {which} {{ 0 => ("));
                self.write(edit.range.clone(), inner);
                self.put("),");
                self.changes(edit, "");
                self.put(" })");
            }
        }
        let mutants = edit.changes.iter().map(|(mutant, _)| *mutant).collect();
        self.woven.regions.push(Region { range: start..self.woven.text.len(), mutants, is_new: false });
    }

    /// The number of the next mutant.
    fn next(&self) -> u32 {
        self.woven.first + u32::try_from(self.woven.numbers.len()).unwrap_or(u32::MAX)
    }

    fn changes(&mut self, edit: &Edit, before: &str) {
        for (nth, (mutant, new)) in (1..).zip(&edit.changes) {
            let number = if nth == edit.changes.len() { "_".to_owned() } else { nth.to_string() };
            self.put(&format!(" {number} => {before}"));
            let start = self.woven.text.len();
            self.put(&format!("({new})"));
            let range = start..self.woven.text.len();
            self.woven.regions.push(Region { range, mutants: vec![*mutant], is_new: true });
            self.put(",");
        }
    }
}

/// Where lines begin.
struct Lines<'a> {
    text: &'a str,
    begin: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, begin: std::iter::once(0).chain(after).collect() }
    }

    /// Line and column count from 1, columns in characters.
    fn byte(&self, line: usize, column: usize) -> Option<usize> {
        let begin = *self.begin.get(line.checked_sub(1)?)?;
        let mut characters = self.text[begin..].char_indices().map(|(at, _)| at).chain([self.text.len() - begin]);
        Some(begin + characters.nth(column.checked_sub(1)?)?)
    }

    /// What a mutant replaces.
    fn range(&self, mutant: &Mutant) -> Option<Range<usize>> {
        let [start, end] = mutant.places();
        Some(self.byte(start.0, start.1)?..self.byte(end.0, end.1)?)
    }
}

/// A file with one mutant and no other.
///
/// # Errors
///
/// The mutant is of another version of the file.
pub(super) fn alone(text: &str, mutant: &Mutant) -> Result<String> {
    let range = Lines::of(text).range(mutant).with_context(|| format!("{}: there is no such place", mutant.name))?;
    Ok(chain::replaced(text, &(0..text.len()), &range, &mutant.replacement))
}

#[cfg(test)]
pub(super) mod tests;
