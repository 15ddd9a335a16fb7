// SPDX-License-Identifier: GPL-2.0-only
//! What is written instead of what was there.
//!
//! Some mutants are watched: while tests run without any, it is looked into whether a value would be another with the mutant. A test in
//! which it never would cannot notice.

use std::cmp::Reverse;
use std::ops::Range;

use super::{Region, Text, Woven};

/// What is done to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
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
    changes: Vec<Change>,
}

/// A mutant, what it has at a place, and how to see whether it makes a difference.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) mutant: usize,
    pub(super) new: String,
    pub(super) watch: Option<Watch>,
}

/// How to see whether a mutant makes a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Watch {
    /// What it would be is this.
    Value(bool),
    /// Both operators have the same sides, and the same value.
    Operator { sides: [Range<usize>; 2], old: String, new: String, how: How },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The sides are only looked at.
    Comparison,
    /// The sides are used up, unless they are numbers.
    Bits,
    /// The second may not be looked at.
    Logic,
}

impl Watch {
    /// There is no way where the other operator may panic.
    pub(super) fn operator(sides: &[Range<usize>; 2], old: &str, new: &str) -> Option<Self> {
        let how = match old {
            "==" | "!=" | "<" | "<=" | ">" | ">=" => How::Comparison,
            "&" | "|" | "^" => How::Bits,
            "&&" | "||" => How::Logic,
            _ => return None,
        };
        Some(Self::Operator { sides: sides.clone(), old: old.to_owned(), new: new.to_owned(), how })
    }
}

#[derive(Debug, Default)]
pub(super) struct Edits(Vec<Edit>);

impl Edits {
    pub(super) fn add(&mut self, kind: Kind, range: Range<usize>, change: Change) {
        match self.0.iter_mut().find(|edit| edit.kind == kind && edit.range == range) {
            Some(edit) => edit.changes.push(change),
            None => self.0.push(Edit { kind, range, changes: vec![change] }),
        }
    }

    pub(super) fn remove(&mut self, range: Range<usize>) {
        self.0.push(Edit { kind: Kind::Nothing, range, changes: Vec::new() });
    }

    pub(super) fn write(mut self, text: &str, woven: &mut Woven) {
        // As the text has them, the outer ones before those in them.
        self.0.sort_by_key(|edit| (edit.range.start, edit.kind, Reverse(edit.range.end)));
        Writer { text, woven }.write(0..text.len(), &self.0);
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
        let first = self.woven.first + u32::try_from(self.woven.numbers.len()).unwrap_or(u32::MAX);
        let watched = edit.changes.iter().any(|change| change.watch.is_some());
        let function = if watched { "watched" } else { "which" };
        let which = format!("::mutant_switch::{function}({first}, {})", edit.changes.len());
        self.woven.numbers.extend(edit.changes.iter().map(|change| change.mutant));
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
                if watched {
                    self.watched(edit, first, inner);
                } else {
                    self.write(edit.range.clone(), inner);
                }
                self.put("),");
                self.changes(edit, "");
                self.put(" })");
            }
        }
        self.region(start, edit.changes.iter().map(|change| change.mutant).collect(), Text::Choice);
    }

    fn region(&mut self, start: usize, mutants: Vec<usize>, what: Text) {
        self.woven.regions.push(Region { range: start..self.woven.text.len(), mutants, what });
    }

    fn changes(&mut self, edit: &Edit, before: &str) {
        for (nth, change) in (1..).zip(&edit.changes) {
            let number = if nth == edit.changes.len() { "_".to_owned() } else { nth.to_string() };
            self.put(&format!(" {number} => {before}"));
            let start = self.woven.text.len();
            self.put(&format!("({})", change.new));
            self.region(start, vec![change.mutant], Text::New);
            self.put(",");
        }
    }

    /// What was there, watched.
    fn watched(&mut self, edit: &Edit, first: u32, inner: &[Edit]) {
        let start = self.woven.text.len();
        let numbered = || (first..).zip(&edit.changes);
        let mut after = String::new();
        for (number, change) in numbered() {
            match change.watch {
                // It may make one.
                None => {
                    self.put(&format!("{{ ::mutant_switch::differs({number}, true); "));
                    after.push('}');
                }
                Some(Watch::Value(value)) => {
                    self.put(&format!("::mutant_switch::replaced({number}, {value}, "));
                    after.push(')');
                }
                Some(Watch::Operator { .. }) => {}
            }
        }
        let operators: Vec<(u32, &Watch)> = numbered()
            .filter_map(|(number, change)| Some((number, change.watch.as_ref()?)))
            .filter(|(_, watch)| matches!(watch, Watch::Operator { .. }))
            .collect();
        match operators.as_slice() {
            [] => self.write(edit.range.clone(), inner),
            operators => self.operators(operators, inner),
        }
        self.put(&after.chars().rev().collect::<String>());
        let watched = edit.changes.iter().filter(|change| change.watch.is_some());
        self.region(start, watched.map(|change| change.mutant).collect(), Text::Watched);
    }

    /// An operator, and others in its place.
    fn operators(&mut self, others: &[(u32, &Watch)], inner: &[Edit]) {
        let Some((first, Watch::Operator { sides, old, how, .. })) = others.first() else { return };
        let [open, between, close, looked_at] = match how {
            How::Comparison => ["(match (&(", "), &(", ")) { (l, r) => ", "*"],
            How::Bits => ["(match ((", "), (", ")) { (l, r) => ", ""],
            // Of the first that ends it, it is not known what the second would be.
            How::Logic => ["((", "", "", ""],
        };
        self.put(open);
        let met = match old.as_str() {
            "&&" => format!(") || ::mutant_switch::met({first}, false))"),
            _ => format!(") && ::mutant_switch::met({first}, true))"),
        };
        self.side(&sides[0], inner);
        if *how == How::Logic {
            self.put(&format!("{met} {old} (("));
            self.side(&sides[1], inner);
            self.put(&met);
            return;
        }
        self.put(between);
        self.side(&sides[1], inner);
        self.put(&format!("{close}{{ let v = {looked_at}l {old} {looked_at}r; if ::mutant_switch::recording() {{"));
        for (number, other) in others {
            if let Watch::Operator { new, .. } = other {
                self.put(&format!(" ::mutant_switch::differs({number}, v != ({looked_at}l {new} {looked_at}r));"));
            }
        }
        self.put(" } v } })");
    }

    fn side(&mut self, side: &Range<usize>, inner: &[Edit]) {
        let start = inner.partition_point(|edit| edit.range.start < side.start);
        let end = inner.partition_point(|edit| edit.range.start < side.end);
        self.write(side.clone(), &inner[start..end]);
    }
}
