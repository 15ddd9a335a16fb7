// SPDX-License-Identifier: GPL-2.0-only
//! All mutants of a file in one text, which of them is there being said to the program that it becomes a part of.
//!
//! Where there is a choice there is a `match` on a [number](switch): `a + b` becomes `(match ::mutant_switch::which(7, 2) { 0 => (a + b),
//! 1 => (a - b), _ => (a * b) })`. Only one mutant is ever there, so that what has others in it has them in its first arm only, and
//! the text grows with their number and not with its square.

mod chain;
mod edits;
mod places;
#[cfg(test)]
#[expect(unreachable_pub, reason = "it is a crate of its own, too")]
mod switch;

use std::ops::Range;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::tool::Mutant;
use edits::{Change, Edits, Kind, Watch};
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
    pub(super) what: Text,
}

/// What text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// A choice, with all that is in it.
    Choice,
    /// What one has instead of what was there.
    New,
    /// What was there, and what looks whether they would make a difference.
    Watched,
}

impl Text {
    /// The same, where an error is not about it, but mentions it.
    pub(super) fn mentioned(self) -> Self {
        if self == Self::New { Self::Choice } else { self }
    }
}

impl Woven {
    /// What is at these bytes of the text, if mutants brought it in.
    pub(super) fn at(&self, range: &Range<usize>) -> Option<&Region> {
        let around = |region: &&Region| region.range.start <= range.start && range.end <= region.range.end;
        self.regions.iter().filter(around).min_by_key(|region| region.range.len())
    }
}

/// What is known of mutants and functions.
pub(super) trait Known {
    /// This one does not compile.
    fn is_out(&self, mutant: &Mutant) -> bool;
    /// Whether this one makes a difference cannot be looked into.
    fn is_unwatched(&self, mutant: &Mutant) -> bool;
    /// This function, given with the type that it is of, has to stay constant.
    fn is_constant(&self, function: &(String, String)) -> bool;
}

/// Weaves mutants into the text of their file, numbered from `first` on.
///
/// # Errors
///
/// The text is no Rust.
pub(super) fn weave(text: &str, mutants: &[Mutant], first: u32, known: &impl Known) -> Result<Woven> {
    let places = Places::of(text)?;
    let mut edits = Edits::default();
    let mut woven = Woven { first, ..Woven::default() };
    let lines = Lines::of(text);
    let is_constant: Vec<bool> = places
        .functions
        .iter()
        .map(|function| function.constant.is_some() && known.is_constant(&function.name))
        .collect();
    for (at, mutant) in mutants.iter().enumerate() {
        let range = lines.range(mutant).with_context(|| format!("{}: there is no such place", mutant.name))?;
        let edit = if known.is_out(mutant) {
            Err("it does not compile")
        } else {
            let place = places.places.get(&(mutant.genre, range.start)).ok_or("it is in no known place");
            place.and_then(|place| {
                let constant = place.constant || place.function.is_some_and(|function| is_constant[function]);
                if constant { Err("it is in a constant") } else { edit(text, place, mutant, &range) }
            })
        };
        match edit {
            Ok((kind, range, new, watch)) => {
                let watch = watch.filter(|_| !known.is_unwatched(mutant));
                edits.add(kind, range, Change { mutant: at, new, watch });
            }
            Err(why) => woven.left.push((at, why)),
        }
    }
    for (function, is_constant) in places.functions.iter().zip(is_constant) {
        if let (Some(range), false) = (&function.constant, is_constant) {
            edits.remove(range.clone());
            woven.loosened.push(function.name.clone());
        }
    }
    edits.write(text, &mut woven);
    Ok(woven)
}

/// What is to be done for a mutant, where, what is there instead, and how to see whether it makes a difference.
type Wanted = (Kind, Range<usize>, String, Option<Watch>);

fn edit(text: &str, place: &Place, mutant: &Mutant, range: &Range<usize>) -> Result<Wanted, &'static str> {
    let new = &mutant.replacement;
    match &place.what {
        What::Body(_) if !mutant.has_said_type() => Err("its value has a type of its own"),
        What::Body(at) => Ok((Kind::Body, *at..*at, new.clone(), None)),
        What::NeededArm => Err("what it matches may be matched by no other"),
        What::Arm(at) => Ok((Kind::Arm, *at..*at, String::new(), None)),
        What::Operator { sides, nodes } => {
            let chain: Vec<Range<usize>> = nodes.iter().map(|node| node.range.clone()).collect();
            let node = chain::smallest(text, &chain, range, new).ok_or("it does not parse")?;
            let binds = nodes.iter().any(|other| other.range == node && other.binds);
            if binds {
                return Err("it binds names");
            }
            let changed = chain::replaced(text, &node, range, new);
            let watch = (node == chain[0]).then(|| Watch::operator(sides, &text[range.clone()], new)).flatten();
            Ok((Kind::Choice, node, changed, watch))
        }
        What::Part(node) if node.binds => Err("it binds names"),
        What::Part(node) => {
            let changed = chain::replaced(text, &node.range, range, new);
            let watch = (mutant.genre == Genre::MatchArmGuard).then(|| Watch::Value(new == "true"));
            Ok((Kind::Choice, node.range.clone(), changed, watch))
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
