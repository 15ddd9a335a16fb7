// SPDX-License-Identifier: GPL-2.0-only
//! Functions that the compiler has left out: those for several types that nothing calls for any. It has no counts of them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::export::Counts;
use crate::measured::{Part, item_end, part_of};
use crate::{files, workspace};

/// The source files of `parts`.
///
/// # Errors
///
/// A folder cannot be read.
pub(super) fn sources(parts: &[&Part]) -> Result<Vec<String>> {
    let mut sources = Vec::new();
    for part in parts {
        for file in files::below(&workspace::root().join(part.folder))? {
            let name = Path::new(part.folder).join(file).to_string_lossy().into_owned();
            sources.extend((part_of(&name) == Some(part)).then_some(name));
        }
    }
    Ok(sources)
}

/// The lines with code of functions that have no counts. The text is as rustfmt leaves it.
pub(super) fn not_compiled(text: &str, counts: &Counts) -> BTreeSet<u32> {
    let lines: Vec<&str> = text.lines().collect();
    let mut dead = BTreeSet::new();
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| begins_a_function(line)) {
        let end = item_end(&lines, at);
        let has_body =
            lines[at..=end].iter().any(|line| line.ends_with('{') || line.contains("{ ") || line.ends_with("{}"));
        let of = || (1_u32..).zip(&lines).skip(at).take(end + 1 - at);
        // Of a type that has no values nothing can be called.
        let can_run = !lines[at..=end].iter().any(|line| line.trim() == "match *self {}");
        if has_body && can_run && of().all(|(line, _)| !counts.lines.contains_key(&line)) {
            dead.extend(of().filter(|(_, text)| is_code(text)).map(|(line, _)| line));
        }
    }
    dead
}

fn begins_a_function(line: &str) -> bool {
    let before = line.split_once("fn ").map(|(before, _)| before.trim());
    let qualifier = |word: &str| word.starts_with("pub") || ["const", "unsafe", "extern", "\"C\""].contains(&word);
    before.is_some_and(|before| before.split_whitespace().all(qualifier))
}

fn is_code(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with("//")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_function_of_a_type_without_values_cannot_be_reached() {
        let text = "impl A for Nothing {\n    fn a(&self) {\n        match *self {}\n    }\n}\n";
        assert_eq!(not_compiled(text, &Counts::default()), BTreeSet::new());
    }

    #[test]
    fn a_function_without_counts_is_not_reached_and_a_declaration_is_nothing() {
        let text = "trait A {\n    fn declared(&self) -> u8;\n    fn provided(&self) -> u8 {\n        // Why.\n        1\n    }\n}\n\
                    pub(crate) const fn counted() -> u8 { 2 }\nfn long<T>(\n    a: T,\n) -> T {\n    a\n}\n";
        let counts = Counts { lines: BTreeMap::from([(8, 0)]), ..Counts::default() };
        assert_eq!(not_compiled(text, &counts), BTreeSet::from([3, 5, 6, 9, 10, 11, 12, 13]));
    }
}
