// SPDX-License-Identifier: GPL-2.0-only
//! What the compiler has against woven text: which mutants, and which functions that have to stay constant.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::weave::{Text, Woven};

/// A line of `cargo --message-format json`.
#[derive(Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub(super) enum Line {
    CompilerMessage {
        message: Message,
    },
    CompilerArtifact {
        package_id: String,
        manifest_path: String,
        target: Target,
        profile: Profile,
        executable: Option<String>,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct Target {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    pub(super) test: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    message: String,
    code: Option<Code>,
    level: String,
    #[serde(default)]
    spans: Vec<Span>,
    #[serde(default)]
    children: Vec<Message>,
    rendered: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Code {
    code: String,
}

#[derive(Debug, Deserialize)]
struct Span {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    is_primary: bool,
    expansion: Option<Box<Expansion>>,
}

#[derive(Debug, Deserialize)]
struct Expansion {
    span: Span,
}

/// What cargo has printed.
///
/// # Errors
///
/// It prints something else than it used to.
pub(super) fn lines(json: &str) -> Result<Vec<Line>> {
    // What build scripts print is no JSON.
    let lines = json.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).with_context(|| format!("cargo prints {line}"))).collect()
}

/// Errors about names and types, which depend on nothing but the text that they are in and the type that is asked for.
const NAMES_AND_TYPES: [&str; 16] = [
    "E0061", "E0107", "E0271", "E0277", "E0282", "E0283", "E0284", "E0308", "E0412", "E0423", "E0425", "E0432",
    "E0433", "E0599", "E0603", "E0624",
];

/// What is to be left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Blame {
    /// A file's mutants, by their place in its list; whether it is the new text of just that one which has a wrong name or type.
    pub(super) mutants: BTreeMap<(String, usize), bool>,
    /// Those that cannot be watched, in the same way.
    pub(super) unwatched: BTreeSet<(String, usize)>,
    /// Functions that have to stay constant: the type that each is of, and its name.
    pub(super) constant: BTreeSet<(String, String)>,
    /// Errors that are nobody's.
    pub(super) unknown: Vec<String>,
}

impl Blame {
    /// Of what cargo has printed, given the woven files.
    pub(super) fn of(lines: &[Line], woven: &BTreeMap<String, Woven>) -> Self {
        let mut blame = Self::default();
        for line in lines {
            if let Line::CompilerMessage { message } = line
                && message.level.starts_with("error")
                && !message.message.starts_with("aborting due to")
            {
                blame.add(message, woven);
            }
        }
        blame
    }

    fn add(&mut self, message: &Message, woven: &BTreeMap<String, Woven>) {
        if message.code.as_ref().is_some_and(|code| code.code == "E0015") {
            let before = self.constant.len();
            let named = called(&message.message);
            let loosened = woven.values().flat_map(|woven| &woven.loosened);
            let mut found: Vec<_> =
                loosened.filter(|name| named.as_ref().is_some_and(|(_, own)| *own == name.1)).collect();
            if found.iter().any(|name| named.as_ref() == Some(name)) {
                found.retain(|name| named.as_ref() == Some(name));
            }
            self.constant.extend(found.into_iter().cloned());
            if self.constant.len() > before
                || named.is_some_and(|named| self.constant.iter().any(|name| name.1 == named.1))
            {
                return;
            }
        }
        let mutants = message.mutants(woven);
        if mutants.is_empty() {
            self.unknown.push(message.rendered.clone().unwrap_or_else(|| message.message.clone()));
        }
        let names_or_types = match &message.code {
            Some(code) => NAMES_AND_TYPES.contains(&code.code.as_str()),
            None => message.message.starts_with("cannot find macro"),
        };
        for (file, at, what) in mutants {
            if what == Text::Watched {
                self.unwatched.insert((file, at));
            } else {
                *self.mutants.entry((file, at)).or_default() |= what == Text::New && names_or_types;
            }
        }
    }
}

impl Message {
    /// The mutants in whose text it is: that of what it is about, or else of what it mentions.
    fn mutants(&self, woven: &BTreeMap<String, Woven>) -> Vec<(String, usize, Text)> {
        let (about, mentioned): (Vec<&Span>, Vec<&Span>) = self.spans.iter().partition(|span| span.is_primary);
        let first: Vec<_> = about.into_iter().flat_map(|span| span.mutants(woven)).collect();
        if !first.is_empty() {
            return first;
        }
        let second = mentioned.into_iter().flat_map(|span| span.mutants(woven));
        let all = second.chain(self.children.iter().flat_map(|child| child.mutants(woven)));
        all.map(|(file, at, what)| (file, at, what.mentioned())).collect()
    }
}

impl Span {
    fn mutants(&self, woven: &BTreeMap<String, Woven>) -> Vec<(String, usize, Text)> {
        let here = woven.get(&self.file_name).and_then(|woven| woven.at(&self.range()));
        if let Some(here) = here {
            return here.mutants.iter().map(|mutant| (self.file_name.clone(), *mutant, here.what)).collect();
        }
        // It may be in a macro that is called in woven text.
        let called = self.expansion.as_ref().map(|expansion| expansion.span.mutants(woven)).unwrap_or_default();
        called.into_iter().map(|(file, at, what)| (file, at, what.mentioned())).collect()
    }

    fn range(&self) -> Range<usize> {
        self.byte_start..self.byte_end
    }
}

/// The function in "cannot call non-const associated function `ids::Rmid::<T>::new` in constants": its type, and its name.
fn called(message: &str) -> Option<(String, String)> {
    let path = message.split('`').nth(1)?;
    let mut plain = String::new();
    let mut depth = 0_usize;
    for letter in path.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            letter if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    let mut parts = plain.rsplit("::").filter(|part| !part.is_empty());
    let name = parts.next()?.to_owned();
    let owner = parts.next().filter(|owner| owner.starts_with(char::is_uppercase)).unwrap_or_default();
    Some((owner.to_owned(), name))
}

#[cfg(test)]
mod tests {
    use super::super::weave::tests::woven;
    use super::*;

    fn error(code: &str, message: &str, spans: &str) -> String {
        format!(
            r#"{{"reason":"compiler-message","package_id":"a","message":{{"message":"{message}","code":{{"code":"{code}"}},"level":"error","spans":[{spans}],"children":[],"rendered":"{message}"}}}}"#
        )
    }

    fn span(range: Range<usize>, primary: bool, expansion: &str) -> String {
        let Range { start, end } = range;
        format!(
            r#"{{"file_name":"a.rs","byte_start":{start},"byte_end":{end},"is_primary":{primary},"expansion":{expansion}}}"#
        )
    }

    fn blame(errors: &[String], woven: Woven) -> Blame {
        let text = format!("not json\n{{\"reason\":\"build-finished\",\"success\":false}}\n{}\n", errors.join("\n"));
        Blame::of(&lines(&text).unwrap(), &BTreeMap::from([("a.rs".to_owned(), woven)]))
    }

    #[test]
    fn an_error_is_that_of_the_mutants_in_whose_text_it_is() {
        let woven = woven("fn f() -> u8 { a + (b & c) }", &["+ => *", "+ => /", "& => |", "fn => 0"]);
        let place = |part: &str| {
            let start = woven.text.find(part).unwrap();
            start..start + part.len()
        };
        let one = |range| {
            blame(&[error("E0308", "m", &span(range, true, "null"))], woven.clone())
                .mutants
                .into_iter()
                .map(|((_, at), is_new)| (at, is_new))
                .collect::<Vec<_>>()
        };
        assert_eq!(one(place("a * (b & c)")), [(0, true)]);
        assert_eq!(one(place("b | c")), [(2, true)]);
        assert_eq!(one(place("b & c")), [(2, false)], "as before, where it can be another");
        assert_eq!(one(place("a + ")), [(0, false), (1, false)]);
        assert_eq!(one(place("return (0)")), [(3, false)]);
        assert_eq!(one(place("(0)")), [(3, true)]);
        assert_eq!(one(place("fn f")), []);
        let outside = span(0..2, true, "null");
        let mentioned = format!("{outside},{}", span(place("a / (b & c)"), false, "null"));
        assert_eq!(
            blame(&[error("E0308", "m", &mentioned)], woven.clone()).mutants,
            [(("a.rs".to_owned(), 1), false)].into()
        );
        let expanded = span(0..2, true, &format!(r#"{{"span":{}}}"#, span(place("b | c"), true, "null")));
        assert_eq!(
            blame(&[error("E0308", "m", &expanded)], woven.clone()).mutants,
            [(("a.rs".to_owned(), 2), false)].into()
        );
        assert_eq!(blame(&[error("E0308", "whose", &outside)], woven.clone()).unknown, ["whose"]);
        assert_eq!(blame(&[error("", "linking failed", "")], woven.clone()).unknown, ["linking failed"]);
        assert_eq!(blame(&[error("", "aborting due to 1 previous error", "")], woven.clone()), Blame::default());
    }

    #[test]
    fn a_function_that_constants_call_stays_constant() {
        let source = "struct A; impl A { const fn new() -> u8 { 1 } } struct B; impl B { const fn new() -> u8 { 1 } } const fn g() {}";
        let named = |path: &str| {
            let message = format!("cannot call non-const associated function `{path}` in constants");
            let blame = blame(&[error("E0015", &message, &span(0..2, true, "null"))], woven(source, &[]));
            assert_eq!(blame.unknown.is_empty(), !blame.constant.is_empty());
            blame.constant.into_iter().map(|(owner, name)| format!("{owner}::{name}")).collect::<Vec<_>>()
        };
        assert_eq!(named("a::A::new"), ["A::new"]);
        assert_eq!(named("B::<u8, Vec<u8>>::new"), ["B::new"]);
        assert_eq!(named("new"), ["A::new", "B::new"], "whichever it is");
        assert_eq!(named("a::g"), ["::g"]);
        assert_eq!(named("other"), Vec::<String>::new());
    }
}
