// SPDX-License-Identifier: GPL-2.0-only
//! Small sources in, woven text out.

use std::collections::BTreeSet;

use super::super::tool::Mutant;
use super::*;
use crate::measured::PARTS;
use crate::workspace;

/// A mutant that replaces `old`, the only one in `text`.
fn mutant(text: &str, genre: &str, range: Range<usize>, new: &str) -> Mutant {
    let place = |at: usize| {
        let before = &text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
        serde_json::json!({ "line": line, "column": column })
    };
    let json = serde_json::json!({
        "name": format!("a.rs: {genre} {range:?} {new}"),
        "file": "a.rs",
        "genre": genre,
        "replacement": new,
        "function": { "return_type": if text.starts_with("fn f() -> impl I") { "-> impl I" } else { "-> u8" } },
        "span": { "start": place(range.start), "end": place(range.end) },
    });
    serde_json::from_value(json).unwrap()
}

/// Mutants as `OLD => NEW`; what OLD is tells what kind of change it is. `fn` is the body of the first function.
fn mutants(text: &str, changes: &[&str]) -> Vec<Mutant> {
    let one = |change: &&str| {
        let (old, new) = change.split_once(" => ").unwrap_or((change.trim_end_matches(" =>"), ""));
        if old == "fn" {
            let open = text.find(") ").and_then(|at| Some(at + text[at..].find("{ ")? + 2)).unwrap();
            return mutant(text, "FnValue", open..text.rfind(" }").unwrap(), new);
        }
        let (genre, part) = match old.split_once(' ') {
            Some(("arm", part)) => ("MatchArm", part),
            Some(("guard", part)) => ("MatchArmGuard", part),
            Some(("field", part)) => ("StructField", part),
            Some(("unary", part)) => ("UnaryOperator", part),
            _ => ("BinaryOperator", old),
        };
        let at = text.find(part).unwrap_or_else(|| panic!("{part} in {text}"));
        mutant(text, genre, at..at + part.len(), new)
    };
    changes.iter().map(one).collect()
}

/// What is known: `out` is the replacement of mutants that do not compile, `unwatched` of others, `constant` a function.
#[derive(Default)]
struct Said {
    out: &'static str,
    unwatched: &'static str,
    constant: &'static str,
}

impl Known for Said {
    fn is_out(&self, mutant: &Mutant) -> bool {
        mutant.replacement == self.out
    }

    fn is_unwatched(&self, mutant: &Mutant) -> bool {
        self.unwatched.split(' ').any(|one| one == mutant.replacement)
    }

    fn is_constant(&self, function: &(String, String)) -> bool {
        format!("{}::{}", function.0, function.1) == self.constant
    }
}

/// Nothing is out, and nothing watched.
const UNWATCHED: Said = Said { out: "none", unwatched: "< <= > != == || && | ^ true false", constant: "" };
const WATCHED: Said = Said { out: "none", unwatched: "none", constant: "" };

pub(in crate::mutants) fn woven(text: &str, changes: &[&str]) -> Woven {
    weave(text, &mutants(text, changes), 7, &UNWATCHED).unwrap()
}

/// The woven text, with what is always the same cut short: `W(7, 2)`.
fn text(text: &str, changes: &[&str]) -> String {
    text_if(&UNWATCHED, text, changes)
}

fn text_if(known: &Said, text: &str, changes: &[&str]) -> String {
    let woven = weave(text, &mutants(text, changes), 7, known).unwrap();
    assert_eq!(woven.left, []);
    syn::parse_file(&woven.text).unwrap_or_else(|error| panic!("{error}: {}", woven.text));
    woven.text.replace("::mutant_switch::which", "W").replace("::mutant_switch::", "S::")
}

#[test]
fn an_operator_is_one_of_several() {
    assert_eq!(
        text("fn f() -> u8 { a + b }", &["+ => -", "+ => *"]),
        "fn f() -> u8 { (match W(7, 2) { 0 => (a + b), 1 => (a - b), _ => (a * b), }) }"
    );
    assert_eq!(
        text("fn f() { é += 1; }", &["+= => -="]),
        "fn f() { (match W(7, 1) { 0 => (é += 1), _ => (é -= 1), }); }"
    );
    assert_eq!(text("fn f() { g(-1) }", &["unary - =>"]), "fn f() { g((match W(7, 1) { 0 => (-1), _ => (1), })) }");
}

#[test]
fn what_is_inside_is_woven_in_what_is_as_before_only() {
    assert_eq!(
        text("fn f() -> bool { !(a + b) < c }", &["< => >", "+ => -", "unary ! =>"]),
        "fn f() -> bool { (match W(7, 1) { 0 => ((match W(8, 1) { 0 => (!((match W(9, 1) { 0 => (a + b), _ => (a - b), }))), _ => ((a + b)), }) < c), \
         _ => (!(a + b) > c), }) }"
    );
    assert_eq!(woven("fn f() -> bool { !(a + b) < c }", &["< => >", "+ => -", "unary ! =>"]).numbers, [0, 2, 1]);
}

#[test]
fn what_would_be_another_tree_is_replaced_as_a_whole() {
    assert_eq!(
        text("fn f() { if a && b && c {} }", &["&& => ||"]),
        "fn f() { if (match W(7, 1) { 0 => (a && b && c), _ => (a || b && c), }) {} }"
    );
}

#[test]
fn a_body_returns_before_its_first_statement() {
    assert_eq!(
        text("fn f() -> u8 { a(); 3 }", &["fn => 0", "fn => 1"]),
        "fn f() -> u8 { match W(7, 2) { 0 => {} 1 => return (0), _ => return (1), } a(); 3 }"
    );
    assert_eq!(
        text("fn f() -> u8 { a + b }", &["fn => 0", "+ => -"]),
        "fn f() -> u8 { match W(7, 1) { 0 => {} _ => return (0), } (match W(8, 1) { 0 => (a + b), _ => (a - b), }) }"
    );
}

#[test]
fn an_arm_that_is_deleted_has_a_guard_and_a_guard_is_an_expression() {
    let source = "fn f() { match a { X | Y => g(), Z if b == c => h(), _ => {} } }";
    assert_eq!(
        text(source, &["arm X | Y => g() =>", "guard b == c => true", "guard b == c => false", "== => !="]),
        "fn f() { match a { X | Y if W(7, 1) == 0 => g(), \
         Z if (match W(8, 3) { 0 => (b == c), 1 => (true), 2 => (false), _ => (b != c), }) => h(), _ => {} } }"
    );
}

#[test]
fn a_field_is_left_to_the_rest() {
    assert_eq!(
        text("fn f() { g(S { a: 1, b: 2, ..c }) }", &["field a: 1, =>", "field b: 2, =>"]),
        "fn f() { g((match W(7, 2) { 0 => (S { a: 1, b: 2, ..c }), 1 => (S {  b: 2, ..c }), _ => (S { a: 1,  ..c }), })) }"
    );
}

#[test]
fn a_function_is_constant_no_more_unless_it_has_to_be() {
    let source = "impl A { pub const fn f() -> u8 { a + b } }";
    assert_eq!(
        text(source, &["+ => -"]),
        "impl A { pub fn f() -> u8 { (match W(7, 1) { 0 => (a + b), _ => (a - b), }) } }"
    );
    let pinned = Said { constant: "A::f", ..UNWATCHED };
    let pinned = weave(source, &mutants(source, &["+ => -"]), 7, &pinned).unwrap();
    assert_eq!((pinned.text.as_str(), pinned.left.as_slice()), (source, &[(0, "it is in a constant")][..]));
    assert_eq!(woven(source, &[]).loosened, [("A".to_owned(), "f".to_owned())]);
}

#[test]
fn what_cannot_be_woven_is_left_with_the_reason() {
    let left = |text: &str, change: &str| {
        let woven = woven(text, &[change]);
        assert_eq!(woven.text, text);
        woven.left.iter().map(|(_, why)| *why).collect::<String>()
    };
    assert_eq!(left("const A: u8 = a + b;", "+ => -"), "it is in a constant");
    assert_eq!(left("fn f() { if a && let Some(b) = c {} }", "&& => ||"), "it binds names");
    assert_eq!(left("fn f() { a as u8 >> 1 }", ">> => <<"), "it does not parse");
    assert_eq!(left("fn f() { m!(a + b) }", "+ => -"), "it is in no known place");
    assert_eq!(left("fn f() -> impl I { a }", "fn => ::std::iter::empty()"), "its value has a type of its own");
    let needed = "what it matches may be matched by no other";
    assert_eq!(
        left(
            "fn f() { match a { X => match b { _ => {} }, _ if c => {} Y => {} } }",
            "arm X => match b { _ => {} }, =>"
        ),
        needed
    );
    let source = "fn f() { a + b }";
    let out = weave(source, &mutants(source, &["+ => -"]), 7, &Said { out: "-", ..UNWATCHED }).unwrap();
    assert_eq!((out.text.as_str(), out.left.as_slice()), (source, &[(0, "it does not compile")][..]));
}

#[test]
fn a_mutant_alone_is_as_cargo_mutants_has_it() {
    let source = "fn é() { a && b && c }\n";
    assert_eq!(alone(source, &mutants(source, &["&& => ||"])[0]).unwrap(), "fn é() { a || b && c }\n");
    assert_eq!(alone(source, &mutants(source, &["fn => ()"])[0]).unwrap(), "fn é() { () }\n");
}

/// Another operator for each, of which some bind otherwise.
fn other(operator: &str) -> &'static str {
    match operator {
        "&&" => "||",
        "+" | "-" => "*",
        "==" | "!=" => "<",
        "<" | "<=" | ">" | ">=" => "==",
        _ if operator.ends_with('=') => "-=",
        _ => "+",
    }
}

#[test]
fn every_file_can_be_woven_at_every_place() {
    const OPERATORS: [&str; 28] = [
        "<<=", ">>=", "&&", "||", "==", "!=", "<=", ">=", "+=", "-=", "*=", "/=", "%=", "^=", "&=", "|=", "<<", ">>",
        "+", "-", "*", "/", "%", "^", "&", "|", "<", ">",
    ];
    let (mut all, mut left) = (0, BTreeSet::new());
    for part in &PARTS {
        for file in crate::files::below(&workspace::root().join(part.folder)).unwrap() {
            let name = format!("{}/{}", part.folder, file.display());
            if !name.ends_with(".rs") {
                continue;
            }
            let source = super::super::results::text(&name).unwrap();
            let mut changes = Vec::new();
            for (genre, at) in Places::of(&source).unwrap().places.into_keys() {
                let (length, new) = match genre {
                    Genre::BinaryOperator => {
                        let operator = OPERATORS.iter().find(|operator| source[at..].starts_with(**operator)).unwrap();
                        (operator.len(), other(operator))
                    }
                    Genre::UnaryOperator => (1, ""),
                    _ => (0, ""),
                };
                changes.push(mutant(&source, &format!("{genre:?}"), at..at + length, new));
            }
            all += changes.len();
            let woven = weave(&source, &changes, 0, &WATCHED).unwrap();
            if let Err(error) = syn::parse_file(&woven.text) {
                panic!("{name}: {error}\n{}", woven.text);
            }
            assert_eq!(woven.numbers.len() + woven.left.len(), changes.len());
            left.extend(woven.left.iter().map(|(_, why)| *why));
        }
    }
    assert!(all > 8000, "{all}");
    let expected =
        ["it binds names", "it does not parse", "it is in a constant", "what it matches may be matched by no other"];
    assert_eq!(left, BTreeSet::from(expected));
}

#[test]
fn it_is_watched_whether_a_mutant_makes_a_difference() {
    let watched = |source: &str, changes: &[&str]| {
        let text = text_if(&WATCHED, source, changes);
        text.strip_prefix("fn f() { ").unwrap().strip_suffix(" }").unwrap().to_owned()
    };
    assert_eq!(
        watched("fn f() { a < b }", &["< => <=", "< => =="]),
        "(match S::watched(7, 2) { 0 => ((match (&(a), &(b)) { (l, r) => { let v = *l < *r; if S::recording() { \
         S::differs(7, v != (*l <= *r)); S::differs(8, v != (*l == *r)); } v } })), 1 => (a <= b), _ => (a == b), })"
    );
    assert_eq!(
        watched("fn f() { a | (b & c) }", &["| => ^", "& => |"]),
        "(match S::watched(7, 1) { 0 => ((match ((a), (((match S::watched(8, 1) { 0 => ((match ((b), (c)) { (l, r) => { let v = l & r; \
         if S::recording() { S::differs(8, v != (l | r)); } v } })), _ => (b | c), })))) { (l, r) => { let v = l | r; \
         if S::recording() { S::differs(7, v != (l ^ r)); } v } })), _ => (a ^ (b & c)), })"
    );
    assert_eq!(
        watched("fn f() { a && b; c || d }", &["&& => ||", "|| => &&"]),
        "(match S::watched(7, 1) { 0 => (((a) || S::met(7, false)) && ((b) || S::met(7, false))), _ => (a || b), }); \
         (match S::watched(8, 1) { 0 => (((c) && S::met(8, true)) || ((d) && S::met(8, true))), _ => (c && d), })"
    );
    assert_eq!(
        watched("fn f() { match a { b if q => {} _ => {} } }", &["guard q => true", "guard q => false"]),
        "match a { b if (match S::watched(7, 2) { 0 => (S::replaced(7, true, S::replaced(8, false, q))), 1 => (true), _ => (false), }) \
         => {} _ => {} }"
    );
    // Of one that is another tree it is not known.
    assert_eq!(
        watched("fn f() { match x { y if a && b && q => {} _ => {} } }", &["guard a && b && q => true", "&& => ||"]),
        "match x { y if (match S::watched(7, 2) { 0 => (S::replaced(7, true, { S::differs(8, true); a && b && q})), \
         1 => (true), _ => (a || b && q), }) => {} _ => {} }"
    );
}
