// SPDX-License-Identifier: GPL-2.0-only
//! What docs/evidence.md says: claims, each with the command that shows it, the figure, and when it was measured; from the figures
//! in docs/evidence.

use anyhow::Result;

use crate::coverage::{self, Figures};
use crate::evidence::{self, Claim};
use crate::fuzz;
use crate::measured::{self, Part, Share, Table, When};
use crate::mutants::{self, Allowed, Results};

/// The page.
const PAGE: &str = "evidence.md";

/// A row of the table of claims.
#[derive(Debug)]
struct Row {
    claim: String,
    command: String,
    /// What it showed, if it has been run.
    figure: Option<(String, When)>,
}

impl Row {
    /// Of the list of claims.
    fn of(claim: &Claim, figures: &evidence::Figures) -> Self {
        let figure = figures.of(claim).map(|figure| (figure.figure.clone(), figure.when.clone()));
        Self { claim: claim.claim.clone(), command: claim.shown(), figure }
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
    claims.extend(fuzzed.iter().flat_map(of_fuzzing));
    text.push((PAGE, "fuzz", fuzzed.map_or_else(String::new, |figures| figures.table().markdown())));
    let figures = evidence::Figures::load()?;
    claims.extend(Claim::load()?.iter().map(|claim| Row::of(claim, &figures)));
    text.insert(0, (PAGE, "claims", table(&claims)));
    Ok(text)
}

/// Figures that are committed, if they are.
fn kept<T: serde::de::DeserializeOwned>(name: &str) -> Result<Option<T>> {
    let path = measured::kept(name);
    path.exists().then(|| measured::load(&path)).transpose()
}

fn of_coverage(figures: &Figures, parts: &[&Part]) -> Vec<Row> {
    let shipped = parts.iter().filter(|part| part.shipped);
    let of = |part: &&Part| {
        let (lines, branches) = figures.sum(part);
        Row {
            claim: format!(
                "Lines of {} that tests on the host reach, and outcomes of its conditions; asked for: {} % and {} %",
                part.name,
                coverage::LINES,
                coverage::BRANCHES
            ),
            command: "cargo xtask coverage".to_owned(),
            figure: Some((format!("{} and {}", lines.shown(), branches.shown()), figures.when.clone())),
        }
    };
    shipped.map(of).collect()
}

fn of_mutants(results: &Results, parts: &[&Part]) -> Vec<Row> {
    let tried = |part: &&&Part| results.score(part).1.reached > 0;
    let of = |part: &&Part| {
        let (score, tried): (Share, Share) = results.score(part);
        let figure = format!("{} ({}); {} mutants tried", score.shown(), score.counts(), tried.counts());
        Row {
            claim: format!(
                "Changes of single places in {} that tests notice; asked for: {} %",
                part.name,
                mutants::FLOOR
            ),
            command: format!("cargo xtask mutants --crate {}", part.name),
            figure: Some((figure, results.when(part))),
        }
    };
    parts.iter().filter(tried).map(of).collect()
}

fn of_fuzzing(figures: &fuzz::Figures) -> Vec<Row> {
    let of = |(target, figure, when): (&str, String, &When)| Row {
        claim: format!("No input of fuzzing target `{target}` does harm; asked for: an hour of a processor"),
        command: format!("cargo xtask fuzz {target} --seconds 3600"),
        figure: Some((figure, when.clone())),
    };
    figures.claims().map(of).collect()
}

fn table(rows: &[Row]) -> String {
    let mut text = "| Claim | Command | Figure | Measured | At |\n|---|---|---|---|---|\n".to_owned();
    for Row { claim, command, figure } in rows {
        let command = command.replace('|', "\\|");
        text += &match figure {
            Some((figure, When { date, commit })) => {
                format!("| {claim} | `{command}` | {figure} | {date} | {commit} |\n")
            }
            None => format!("| {claim} | `{command}` | not measured yet | | |\n"),
        };
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
    fn a_claim_is_a_row_with_its_command_and_its_figure() {
        let when = When { date: "2026-11-30".to_owned(), commit: "abc".to_owned() };
        let figure = Some(("99 %".to_owned(), when));
        let row = |command: &str, figure| Row { claim: "It works".to_owned(), command: command.to_owned(), figure };
        let text = table(&[row("cargo it", figure), row("cargo it 'a|b'", None)]);
        let rows: Vec<_> = text.lines().skip(2).collect();
        let unmeasured = "| It works | `cargo it 'a\\|b'` | not measured yet | | |";
        assert_eq!(rows, ["| It works | `cargo it` | 99 % | 2026-11-30 | abc |", unmeasured]);
    }
}
