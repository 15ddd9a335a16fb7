// SPDX-License-Identifier: GPL-2.0-only
//! The claims: `docs/evidence/claims.toml` says what they are, `docs/evidence/claims.json` what their commands have shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::figure::{Take, Taking};
use crate::measured::{self, When};
use crate::{shell, workspace};

/// Something that is said, and how it is shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claim {
    /// For the command line.
    pub(crate) name: String,
    /// What is said.
    pub(crate) claim: String,
    /// The words of the command that shows it, run in the checkout; variables for it come first, as in a shell.
    command: Vec<String>,
    /// How long that takes on two processors, more or less.
    pub(crate) minutes: u32,
    /// Whether what is looked for is on standard error, where progress is otherwise.
    #[serde(default)]
    pub(crate) stderr: bool,
    /// What it shows, with `{NAME}` for what is taken out of lines.
    figure: String,
    take: Vec<Take>,
}

impl Claim {
    /// All of them, in their order.
    ///
    /// # Errors
    ///
    /// They cannot be read, or one of them is none.
    pub(crate) fn load() -> Result<Vec<Self>> {
        let path = workspace::root().join("docs/evidence/claims.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Vec<Self>> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Claims {
            #[serde(default)]
            claim: Vec<Claim>,
        }
        let Claims { claim: claims } = toml::from_str(text)?;
        let mut names = BTreeSet::new();
        for claim in &claims {
            ensure!(names.insert(&claim.name), "{} is there twice", claim.name);
            let (_, words) = claim.words();
            ensure!(words.first().is_some_and(|word| word == "cargo"), "{}: its command is none of cargo", claim.name);
            claim.taking().with_context(|| claim.name.clone())?;
        }
        Ok(claims)
    }

    /// The variables and the words of its command.
    pub(crate) fn words(&self) -> (Vec<(&str, &str)>, &[String]) {
        let variables: Vec<_> = self.command.iter().map_while(|word| word.split_once('=')).collect();
        let words = &self.command[variables.len()..];
        (variables, words)
    }

    /// Its command, for a shell.
    pub(crate) fn shown(&self) -> String {
        self.command.iter().map(|word| shell::word(word)).collect::<Vec<_>>().join(" ")
    }

    /// What to look for in the output.
    ///
    /// # Errors
    ///
    /// As [`Taking::new`].
    pub(crate) fn taking(&self) -> Result<Taking> {
        Taking::new(&self.figure, &self.take)
    }
}

/// What a command has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Which command.
    pub(crate) command: String,
    pub(crate) figure: String,
    #[serde(flatten)]
    pub(crate) when: When,
}

/// What commands have shown, by the names of claims.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figures(BTreeMap<String, Figure>);

impl Figures {
    const NAME: &str = "claims";

    /// What is committed; nothing if there is nothing.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub(crate) fn load() -> Result<Self> {
        let path = measured::kept(Self::NAME);
        if path.exists() { measured::load(&path) } else { Ok(Self::default()) }
    }

    /// That of a claim. What another command has shown is none.
    pub(crate) fn of(&self, claim: &Claim) -> Option<&Figure> {
        self.0.get(&claim.name).filter(|figure| figure.command == claim.shown())
    }

    /// Writes down what a claim's command has shown, and forgets claims that are there no longer.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub(super) fn keep(claims: &[Claim], claim: &Claim, figure: Figure) -> Result<()> {
        let mut kept = Self::load()?;
        kept.0.insert(claim.name.clone(), figure);
        kept.0.retain(|name, _| claims.iter().any(|claim| claim.name == *name));
        measured::save(&measured::kept(Self::NAME), &kept)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A claim with this command, words of a TOML list, and a pattern that takes `it`.
    pub(crate) fn claim(command: &str, pattern: &str) -> Result<Vec<Claim>> {
        let rest = format!("minutes = 1\nfigure = '{{it}}'\ntake = [{{ pattern = '{pattern}' }}]\n");
        Claim::parse(&format!("[[claim]]\nname = 'it'\nclaim = 'It works'\ncommand = [{command}]\n{rest}"))
    }

    const PASSED: &str = r"(?<it>\d+) passed";

    #[test]
    fn variables_come_before_the_command_as_in_a_shell() {
        let claims = claim(r#""LONG=1", "cargo", "test", "--set", "A=b", "^(a|b)$""#, PASSED).unwrap();
        let (variables, words) = claims[0].words();
        assert_eq!((variables, words.len()), (vec![("LONG", "1")], 5));
        assert_eq!(claims[0].shown(), "LONG=1 cargo test --set A=b '^(a|b)$'");
        assert!(claim(r#""cargo""#, "passed").is_err(), "it takes nothing");
        assert!(claim(r#""LONG=1""#, PASSED).is_err() && claim(r#""make""#, PASSED).is_err());
    }

    #[test]
    fn what_another_command_has_shown_is_no_figure() {
        let figure = Figure { command: "cargo test".to_owned(), figure: "7".to_owned(), when: When::default() };
        let figures = Figures(BTreeMap::from([("it".to_owned(), figure.clone())]));
        assert_eq!(figures.of(&claim(r#""cargo", "test""#, PASSED).unwrap()[0]), Some(&figure));
        assert_eq!(figures.of(&claim(r#""cargo", "test", "--quiet""#, PASSED).unwrap()[0]), None);
    }
}
