// SPDX-License-Identifier: GPL-2.0-only
//! Which file knows which.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Default)]
pub(crate) struct Graph(BTreeMap<String, BTreeSet<String>>);

impl Graph {
    pub(crate) fn add(&mut self, from: &str, to: &str) {
        if from != to {
            self.0.entry(from.to_owned()).or_default().insert(to.to_owned());
        }
    }

    pub(crate) fn edges(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// The sets of files of which each knows every other, if only through others.
    pub(crate) fn knots(&self) -> Vec<Vec<&str>> {
        let mut knots = BTreeSet::new();
        for file in self.0.keys() {
            let above = |other: &str| self.reaches(other, file);
            let knot: Vec<&str> = self.below(file).into_iter().filter(|other| above(other)).collect();
            if !knot.is_empty() {
                knots.insert(knot);
            }
        }
        knots.into_iter().collect()
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        self.below(from).contains(to)
    }

    /// What a file knows, if only through others; itself only if it is in a circle.
    fn below<'a>(&'a self, file: &str) -> BTreeSet<&'a str> {
        let mut below = BTreeSet::new();
        let mut ahead: Vec<&str> = self.0.get(file).into_iter().flatten().map(String::as_str).collect();
        while let Some(next) = ahead.pop() {
            if below.insert(next) {
                ahead.extend(self.0.get(next).into_iter().flatten().map(String::as_str));
            }
        }
        below
    }

    /// The shortest circle through each file that is in one; each once.
    pub(crate) fn circles(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        let mut named = BTreeSet::new();
        for file in self.0.keys() {
            let Some(circle) = self.circle(file) else { continue };
            // The same circle from another of its files.
            if named.insert(circle.iter().copied().collect::<BTreeSet<_>>()) {
                found.insert(format!("{} -> {file}", circle.join(" -> ")));
            }
        }
        found.into_iter().collect()
    }

    /// The shortest way from a file back to it, without its end.
    fn circle<'a>(&'a self, start: &'a str) -> Option<Vec<&'a str>> {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut ahead = VecDeque::from([start]);
        while let Some(file) = ahead.pop_front() {
            for next in self.0.get(file).into_iter().flatten() {
                if next == start {
                    let mut way = vec![file];
                    while let Some(&earlier) = before.get(way[0]) {
                        way.insert(0, earlier);
                    }
                    return Some(way);
                }
                if !before.contains_key(next.as_str()) {
                    before.insert(next, file);
                    ahead.push_back(next);
                }
            }
        }
        None
    }
}
