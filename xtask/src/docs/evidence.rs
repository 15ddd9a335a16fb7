// SPDX-License-Identifier: GPL-2.0-only
//! What docs/evidence.md says: claims, each with the command that shows it, the figure, and when it was measured; from the figures
//! in docs/evidence.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::coverage::{self, Figures};
use crate::fuzz;
use crate::measured::{self, Part, Share, Table, When};
use crate::mutants::{self, Allowed, Results};
use crate::workspace;

/// The page.
const PAGE: &str = "evidence.md";

/// A row of the table of claims.
#[derive(Debug, Deserialize)]
struct Claim {
    claim: String,
    command: String,
    figure: String,
    #[serde(flatten)]
    when: When,
}

/// Claims whose figures have no file of their own: whoever runs the command writes down what it said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    #[serde(default)]
    claim: Vec<Claim>,
}

impl Claims {
    fn load() -> Result<Vec<Claim>> {
        let path = workspace::root().join("docs/evidence/claims.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let claims: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(claims.claim)
    }
}

/// Its generated parts: the page, the name of the place, the text.
///
/// # Errors
///
/// Figures, or the list of mutants that may survive, cannot be read.
pub(super) fn parts() -> Result<Vec<(&'static str, &'static str, String)>> {
    let parts = measured::parts(&[])?;
    let allowed = Allowed::load()?;
    let coverage: Option<Figures> = kept("coverage")?;
    let mutants: Option<Results> = kept("mutants")?;
    let mut claims = Vec::new();
    let mut text =
        vec![(PAGE, "coverage", String::new()), (PAGE, "mutants", String::new()), (PAGE, "survivors", String::new())];
    if let Some(figures) = &coverage {
        claims.extend(of_coverage(figures, &parts));
        text[0].2 = format!("{}\n{}", figures.crates(&parts).markdown(), figures.files(&parts).markdown());
    }
    if let Some(results) = &mutants {
        claims.extend(of_mutants(results, &parts));
        text[1].2 =
            format!("{}\n{}", results.crates(&parts, &allowed).markdown(), results.files(&parts, &allowed).markdown());
        text[2].2 = survivors(results, &allowed).markdown();
    }
    let fuzzed: Option<fuzz::Figures> = kept("fuzz")?;
    text.push((PAGE, "fuzz", fuzzed.map_or_else(String::new, |figures| figures.table().markdown())));
    claims.extend(Claims::load()?);
    text.insert(0, (PAGE, "claims", table(&claims)));
    Ok(text)
}

/// Figures that are committed, if they are.
fn kept<T: serde::de::DeserializeOwned>(name: &str) -> Result<Option<T>> {
    let path = measured::kept(name);
    path.exists().then(|| measured::load(&path)).transpose()
}

fn of_coverage(figures: &Figures, parts: &[&Part]) -> Vec<Claim> {
    let shipped = parts.iter().filter(|part| part.shipped);
    let of = |part: &&Part| {
        let (lines, branches) = figures.sum(part);
        Claim {
            claim: format!(
                "Lines of {} that tests on the host reach, and outcomes of its conditions; asked for: {} % and {} %",
                part.name,
                coverage::LINES,
                coverage::BRANCHES
            ),
            command: "cargo xtask coverage".to_owned(),
            figure: format!("{} and {}", lines.shown(), branches.shown()),
            when: figures.when.clone(),
        }
    };
    shipped.map(of).collect()
}

fn of_mutants(results: &Results, parts: &[&Part]) -> Vec<Claim> {
    let tried = |part: &&&Part| results.score(part).1.reached > 0;
    let of = |part: &&Part| {
        let (score, tried): (Share, Share) = results.score(part);
        Claim {
            claim: format!(
                "Changes of single places in {} that tests notice; asked for: {} %",
                part.name,
                mutants::FLOOR
            ),
            command: format!("cargo xtask mutants --crate {}", part.name),
            figure: format!("{} ({}); {} mutants tried", score.shown(), score.counts(), tried.counts()),
            when: results.when(part),
        }
    };
    parts.iter().filter(tried).map(of).collect()
}

fn table(claims: &[Claim]) -> String {
    let mut text = "| Claim | Command | Figure | Measured | At |\n|---|---|---|---|---|\n".to_owned();
    for Claim { claim, command, figure, when } in claims {
        text += &format!("| {claim} | `{command}` | {figure} | {} | {} |\n", when.date, when.commit);
    }
    text
}

/// Every survivor, with the reason if it is listed.
fn survivors(results: &Results, allowed: &Allowed) -> Table {
    let mut table = Table::new(&["mutant", "why it may survive"]);
    for survivor in results.survivors() {
        let (file, rest) = survivor.split_once(':').unwrap_or((&survivor, ""));
        let reason = allowed.reason(file, rest).unwrap_or("not listed: a test is missing");
        table.row(vec![format!("`{}`", survivor.replace('|', "\\|")), reason.to_owned()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_claim_can_be_put_to_the_test() {
        for claim in Claims::load().unwrap() {
            assert!(claim.command.starts_with("cargo xtask "), "{}", claim.claim);
            assert!(!claim.figure.is_empty() && claim.when.date.len() == 10, "{}", claim.claim);
        }
    }

    #[test]
    fn a_claim_is_a_row_with_its_command_and_its_figure() {
        let when = When { date: "2026-11-30".to_owned(), commit: "abc".to_owned() };
        let claim =
            Claim { claim: "It works".to_owned(), command: "cargo it".to_owned(), figure: "99 %".to_owned(), when };
        let text = table(&[claim]);
        assert_eq!(text.lines().last(), Some("| It works | `cargo it` | 99 % | 2026-11-30 | abc |"));
    }
}
