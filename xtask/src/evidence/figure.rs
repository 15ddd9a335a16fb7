// SPDX-License-Identifier: GPL-2.0-only
//! How the figure of a claim is taken out of what its command prints.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use serde::Deserialize;

/// A pattern for lines. Its named groups are what is taken out of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Take {
    /// A regular expression.
    pattern: String,
    /// What becomes of groups that several lines may have; all others are the same in every line.
    #[serde(default)]
    by: BTreeMap<String, Way>,
}

/// What becomes of the texts that several lines have of one thing.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    /// They must be the same.
    #[default]
    Same,
    /// They are added up.
    Sum,
    /// The largest counts.
    Largest,
    /// That of the last line counts.
    Last,
    /// How many lines there are.
    Lines,
    /// How many different ones there are.
    Kinds,
}

impl Way {
    fn join(self, texts: &[String]) -> Result<String> {
        let numbers = || -> Result<Vec<u64>> {
            texts.iter().map(|text| text.parse().with_context(|| format!("`{text}` is no number"))).collect()
        };
        let last = || texts.last().context("no line has it");
        Ok(match self {
            Self::Same => {
                let kinds: BTreeSet<&String> = texts.iter().collect();
                ensure!(kinds.len() < 2, "it is not the same in every line: {kinds:?}");
                last()?.clone()
            }
            Self::Sum => numbers()?.iter().sum::<u64>().to_string(),
            Self::Largest => numbers()?.iter().max().context("no line has it")?.to_string(),
            Self::Last => last()?.clone(),
            Self::Lines => texts.len().to_string(),
            Self::Kinds => texts.iter().collect::<BTreeSet<_>>().len().to_string(),
        })
    }
}

/// What is looked for in the output of a command.
#[derive(Debug)]
pub(crate) struct Taking {
    /// With `{NAME}` for what is taken out of lines.
    template: String,
    patterns: Vec<(Regex, BTreeMap<String, Way>)>,
    /// What was found so far, by name.
    found: BTreeMap<String, Vec<String>>,
    escapes: Regex,
    names: Regex,
}

impl Taking {
    /// Nothing is found yet.
    ///
    /// # Errors
    ///
    /// A pattern is none, or names something twice, or the template and the patterns do not name the same things.
    pub(crate) fn new(template: &str, takes: &[Take]) -> Result<Self> {
        let names = Regex::new(r"\{([a-z_]+)\}")?;
        let mut found = BTreeMap::new();
        let mut patterns = Vec::new();
        for Take { pattern, by } in takes {
            let regex = Regex::new(pattern).with_context(|| format!("`{pattern}` is no pattern"))?;
            let groups: Vec<&str> = regex.capture_names().flatten().collect();
            ensure!(!groups.is_empty(), "`{pattern}` takes nothing: it needs a named group");
            for group in &groups {
                ensure!(found.insert((*group).to_owned(), Vec::new()).is_none(), "two patterns take `{group}`");
            }
            if let Some(unknown) = by.keys().find(|name| !groups.contains(&name.as_str())) {
                bail!("`{pattern}` has no group `{unknown}`");
            }
            patterns.push((regex, by.clone()));
        }
        let said: BTreeSet<&str> =
            names.captures_iter(template).filter_map(|name| Some(name.get(1)?.as_str())).collect();
        let taken: BTreeSet<&str> = found.keys().map(String::as_str).collect();
        ensure!(said == taken, "the figure names {said:?}, and what is taken is {taken:?}");
        let escapes = Regex::new("\x1b\\[[0-9;]*m")?;
        Ok(Self { template: template.to_owned(), patterns, found, escapes, names })
    }

    /// Looks at a line.
    pub(crate) fn line(&mut self, line: &str) {
        // Colours are there for people, if somebody asks for them.
        let line = self.escapes.replace_all(line, "");
        for (pattern, _) in &self.patterns {
            let Some(captures) = pattern.captures(&line) else { continue };
            for name in pattern.capture_names().flatten() {
                if let (Some(text), Some(found)) = (captures.name(name), self.found.get_mut(name)) {
                    found.push(text.as_str().to_owned());
                }
            }
        }
    }

    /// The figure.
    ///
    /// # Errors
    ///
    /// Something was not found, or cannot be joined.
    pub(crate) fn figure(&self) -> Result<String> {
        let mut values = BTreeMap::new();
        for (pattern, by) in &self.patterns {
            for name in pattern.capture_names().flatten() {
                let texts = &self.found[name];
                ensure!(!texts.is_empty(), "nothing that it printed has `{name}`, as in `{pattern}`");
                let value = by.get(name).copied().unwrap_or_default().join(texts);
                values.insert(name, value.with_context(|| format!("`{name}` of `{pattern}`"))?);
            }
        }
        let figure = self.names.replace_all(&self.template, |name: &regex::Captures<'_>| values[&name[1]].as_str());
        Ok(figure.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(text: &str) -> Vec<Take> {
        #[derive(Deserialize)]
        struct Takes {
            take: Vec<Take>,
        }
        toml::from_str::<Takes>(text).unwrap().take
    }

    fn taken(template: &str, text: &str, printed: &str) -> Result<String, String> {
        let mut taking = Taking::new(template, &takes(text)).map_err(|error| format!("{error:#}"))?;
        printed.lines().for_each(|line| taking.line(line));
        taking.figure().map_err(|error| format!("{error:#}"))
    }

    const STATES: &str = r"
        [[take]]
        pattern = ': (?<states>\d+) (?<bounds>states), after (?<steps>\d+) of (?<all>\d+)(?<rest>.*)'
        by = { states = 'sum', bounds = 'lines', steps = 'largest', rest = 'last' }";

    #[test]
    fn texts_of_several_lines_are_joined_as_the_claim_says() {
        let template = "{states} {bounds} {steps} {all} {rest}";
        let printed = "a: 20 states, after 9 of 11, b\nnothing\nb: 3 states, after 10 of 11, c\n";
        assert_eq!(taken(template, STATES, printed), Ok("23 2 10 11 , c".to_owned()));
        let kinds = "[[take]]\npattern = '^(?<mistakes>\\w+): not so'\nby = { mistakes = 'kinds' }";
        let printed = "Kept: not so: a\nKept: not so: b\nLate: not so: a\n";
        assert_eq!(taken("{mistakes}", kinds, printed), Ok("2".to_owned()));
    }

    #[test]
    fn colours_are_not_looked_at() {
        let passed = "[[take]]\npattern = 'run: (?<passed>\\d+) passed'";
        assert_eq!(
            taken("{passed}", passed, "\x1b[1m7\x1b[0m tests run: \x1b[1m7\x1b[0m \x1b[32;1mpassed\x1b[0m"),
            Ok("7".to_owned())
        );
    }

    #[test]
    fn what_is_not_there_or_not_clear_is_no_figure() {
        let passed = "[[take]]\npattern = '(?<passed>\\d+) passed'";
        let error = taken("{passed}", passed, "7 failed\n").unwrap_err();
        assert_eq!(error, r"nothing that it printed has `passed`, as in `(?<passed>\d+) passed`");
        let error = taken("{passed}", passed, "7 passed\n8 passed\n").unwrap_err();
        assert!(error.contains(r#"not the same in every line: {"7", "8"}"#), "{error}");
        assert_eq!(taken("{passed}", passed, "7 passed\n7 passed\n"), Ok("7".to_owned()));
        let sum = "[[take]]\npattern = '(?<passed>\\w+) passed'\nby = { passed = 'sum' }";
        assert!(taken("{passed}", sum, "none passed\n").unwrap_err().contains("`none` is no number"));
    }

    #[test]
    fn a_figure_and_its_patterns_name_the_same() {
        let one = "[[take]]\npattern = '(?<passed>\\d+) passed'";
        for (template, text, why) in [
            (
                "{passed} of {all}",
                one.to_owned(),
                r#"the figure names {"all", "passed"}, and what is taken is {"passed"}"#,
            ),
            ("all", one.to_owned(), "the figure names {}"),
            ("{passed}", format!("{one}\n{one}"), "two patterns take `passed`"),
            ("{passed}", format!("{one}\nby = {{ failed = 'sum' }}"), "has no group `failed`"),
            ("", "[[take]]\npattern = 'passed'".to_owned(), "takes nothing"),
            ("", "[[take]]\npattern = '('".to_owned(), "is no pattern"),
        ] {
            let error = taken(template, &text, "").unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
