// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask evidence`.

mod claims;
mod figure;
#[cfg(test)]
mod samples;

use std::io::stdout;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use comfy_table::{Table, presets};

use crate::measured::When;
use crate::{cargo_tool, docs, git, tee, workspace};
pub(crate) use claims::{Claim, Figure, Figures};

/// Runs what shows the claims of docs/evidence.md, and writes down what it shows
///
/// A claim of docs/evidence/claims.toml has a command and says how its figure is taken out of what that prints. The figure, the
/// day and the commit go to docs/evidence/claims.json, and docs/evidence.md is brought up to date. A command that fails, or does not
/// print what is looked for, shows nothing: what was there stays, and the exit code is 1. Without names and flags it lists the
/// claims. `coverage --docs` and `mutants --docs` write down their own figures.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Claims
    #[arg(value_name = "NAME", conflicts_with = "stale")]
    names: Vec<String>,
    /// List claims and run nothing: how long they take, what they have shown, when, and how many commits have changed more than the
    /// documentation since
    #[arg(long)]
    list: bool,
    /// Those without a figure, or with one of what was not committed, or of a commit after which more than the documentation has
    /// changed
    #[arg(long)]
    stale: bool,
    /// Leave out those that take longer
    #[arg(long, value_name = "MINUTES")]
    within: Option<u32>,
}

/// Runs the commands; the exit code says whether all have shown something.
///
/// # Errors
///
/// There is no such claim, or the lists or pages cannot be read or written.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let claims = Claim::load()?;
    let figures = Figures::load()?;
    let rows: Vec<(&Claim, Age)> =
        chosen(&claims, &options.names)?.into_iter().map(|claim| (claim, Age::of(figures.of(claim)))).collect();
    let wanted = |(claim, age): &&(&Claim, Age)| {
        (!options.stale || age.is_stale()) && options.within.is_none_or(|minutes| claim.minutes <= minutes)
    };
    let rows: Vec<&(&Claim, Age)> = rows.iter().filter(wanted).collect();
    if options.list || (options.names.is_empty() && !options.stale) {
        println!("{}", table(&rows, &figures));
        return Ok(ExitCode::SUCCESS);
    }
    let mut failed = Vec::new();
    for (claim, _) in &rows {
        if let Err(error) = show(claim).and_then(|figure| keep(&claims, claim, figure)) {
            eprintln!("{}: {error:#}", claim.name);
            failed.push(claim.name.as_str());
        }
    }
    docs::renew()?;
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{} of {} have shown nothing: {}", failed.len(), rows.len(), failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Those that the command line names; all if it names none.
fn chosen<'a>(claims: &'a [Claim], names: &[String]) -> Result<Vec<&'a Claim>> {
    if names.is_empty() {
        return Ok(claims.iter().collect());
    }
    let known = || claims.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>().join(", ");
    let named = |name: &String| {
        let claim = claims.iter().find(|claim| claim.name == *name);
        claim.with_context(|| format!("there is no claim {name}, but {}", known()))
    };
    names.iter().map(named).collect()
}

/// Runs a claim's command, and takes its figure out of what that prints.
fn show(claim: &Claim) -> Result<Figure> {
    let mut taking = claim.taking()?;
    let shown = claim.shown();
    // Of what the command begins with.
    let when = When::now()?;
    println!("{}: {shown} (takes about {} min)", claim.name, claim.minutes);
    let (variables, words) = claim.words();
    let mut command = duct::cmd(cargo_tool::program(), &words[1..]).dir(workspace::root());
    for (name, value) in variables {
        command = command.env(name, value);
    }
    if claim.stderr {
        command = command.stderr_to_stdout();
    }
    let passed = tee::run(&command, &mut stdout(), |line| taking.line(line));
    ensure!(passed.context("cannot run cargo")?, "`{shown}` failed");
    Ok(Figure { command: shown, figure: taking.figure()?, when })
}

fn keep(claims: &[Claim], claim: &Claim, figure: Figure) -> Result<()> {
    println!("{}: {} ({})", claim.name, figure.figure, figure.when.commit);
    Figures::keep(claims, claim, figure)
}

/// How old a figure is.
#[derive(Debug, PartialEq, Eq)]
enum Age {
    /// There is none.
    Missing,
    /// It is of something that no commit has, or none that there still is.
    Unknown,
    /// So many commits have changed more than the documentation since.
    Commits(u32),
}

impl Age {
    fn of(figure: Option<&Figure>) -> Self {
        let Some(Figure { when, .. }) = figure else { return Self::Missing };
        let range = format!("{}..HEAD", when.commit);
        let count = git::text(workspace::root(), &["rev-list", "--count", &range, "--", ":/", ":!docs"]);
        count.ok().and_then(|count| count.parse().ok()).map_or(Self::Unknown, Self::Commits)
    }

    fn is_stale(&self) -> bool {
        *self != Self::Commits(0)
    }

    fn shown(&self) -> String {
        match self {
            Self::Missing => "not measured yet".to_owned(),
            Self::Unknown => "not of a commit".to_owned(),
            Self::Commits(0) => "of what is there".to_owned(),
            Self::Commits(1) => "1 commit ago".to_owned(),
            Self::Commits(count) => format!("{count} commits ago"),
        }
    }
}

fn table(rows: &[&(&Claim, Age)], figures: &Figures) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["claim", "minutes", "age", "measured", "figure"]);
    for (claim, age) in rows {
        let (date, figure) = match figures.of(claim) {
            Some(figure) => (figure.when.date.clone(), figure.figure.clone()),
            None => Default::default(),
        };
        table.add_row([claim.name.clone(), claim.minutes.to_string(), age.shown(), date, figure]);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::claims::tests::claim;
    use super::*;

    /// What comes of a claim with this command, words of a TOML list, and this pattern.
    fn shown(command: &str, pattern: &str) -> Result<String, String> {
        let claims = claim(command, pattern).unwrap();
        show(&claims[0]).map(|figure| figure.figure).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_figure_is_what_the_command_prints_and_a_command_that_fails_shows_none() {
        let version = r#""cargo", "--version""#;
        assert_eq!(shown(version, r"^(?<it>cargo) \d"), Ok("cargo".to_owned()));
        let missing = shown(version, "^(?<it>nothing)").unwrap_err();
        assert!(missing.starts_with("nothing that it printed has `it`"), "{missing}");
        let failed = shown(r#""cargo", "--version", "--locked=what""#, "(?<it>.*)").unwrap_err();
        assert_eq!(failed, "`cargo --version --locked=what` failed");
    }

    #[test]
    fn a_claim_that_there_is_not_is_named_with_those_that_there_are() {
        let claims = claim(r#""cargo", "test""#, "(?<it>.*)").unwrap();
        assert_eq!(chosen(&claims, &["it".to_owned()]).unwrap().len(), 1);
        assert_eq!(chosen(&claims, &["ti".to_owned()]).unwrap_err().to_string(), "there is no claim ti, but it");
    }

    #[test]
    fn a_figure_is_stale_unless_it_is_of_a_commit_since_which_nothing_has_changed() {
        let of = |commit: &str| {
            let when = When { date: "2026-11-30".to_owned(), commit: commit.to_owned() };
            Age::of(Some(&Figure { command: String::new(), figure: String::new(), when }))
        };
        assert_eq!(of("HEAD"), Age::Commits(0));
        assert_eq!(of("HEAD with changes"), Age::Unknown);
        assert_eq!(of("an unknown commit"), Age::Unknown);
        let stale = [Age::Missing, Age::Unknown, Age::Commits(1), Age::Commits(0)].map(|age| age.is_stale());
        assert_eq!(stale, [true, true, true, false]);
    }
}
