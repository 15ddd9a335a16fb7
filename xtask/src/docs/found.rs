// SPDX-License-Identifier: GPL-2.0-only
//! What docs/found.md says of the kernel's own resctrl: the reports in docs/found, and every difference that is listed as known, with
//! the command that shows it.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::guest::platform::Kind;
use crate::kernels::Arch;
use crate::machine::{self, Chosen};
use crate::needs::Found;
use crate::scenario::known::{Known, KnownDifferences};
use crate::scenario::{self, Scenario};
use crate::workspace;

/// The page.
pub(super) const PAGE: &str = "found.md";

/// The kernels whose source every report speaks of, the oldest first.
const VERSIONS: [&str; 3] = ["6.12.117", "7.2.12", "7.3.4"];

/// What each report answers, in this order.
const SECTIONS: [&str; 6] =
    ["What happens", "Where", "Since when", "How to see it", "What is seen", "A way to mend it"];

/// How subjects begin: whose the fault is.
const SUBSYSTEMS: [&str; 4] = ["fs/resctrl: ", "x86/resctrl: ", "arm_mpam: ", "kernfs: "];

/// How long a subject may be, and a line that a mail would wrap.
const WIDTHS: (usize, usize) = (75, 80);

/// How a report begins to say what shows it, if no difference that is listed does.
const OTHERWISE: &str = "Shown otherwise: ";

/// Its generated parts: their names, and their texts.
///
/// # Errors
///
/// Scenarios, the list or a report cannot be read, or do not belong together.
pub(super) fn parts() -> Result<[(&'static str, String); 2]> {
    let guest = workspace::root().join("qemu-images/guest");
    let scenarios = scenario::load(&guest.join("scenarios"))?;
    let known = KnownDifferences::load(&guest.join("known-differences.toml"), &scenarios)?;
    let machines = machine::load_all(&["all".to_owned()], Kind::Qemu)?;
    let reports = reports()?;
    compare(&known, &reports)?;
    Ok([("reports", overview(&reports)), ("known differences", table(&known, &scenarios, &machines)?)])
}

/// Fails unless what is listed has its report, and each report is of something listed or says how it is shown otherwise.
fn compare(known: &KnownDifferences, reports: &[Report]) -> Result<()> {
    for name in known.reports() {
        ensure!(reports.iter().any(|report| report.name == name), "there is no docs/found/{name}.md");
    }
    for Report { name, otherwise, .. } in reports {
        let listed = known.reports().any(|report| report == name);
        ensure!(
            listed || *otherwise,
            "docs/found/{name}.md: no known difference names it, and no line begins \"{OTHERWISE}\""
        );
        ensure!(!(listed && *otherwise), "docs/found/{name}.md says \"{OTHERWISE}\", but a known difference names it");
    }
    Ok(())
}

/// A page that could be sent to the kernel's maintainers.
#[derive(Debug)]
struct Report {
    /// Its file without `.md`.
    name: String,
    /// The subject.
    title: String,
    /// For each of [`VERSIONS`]: whether it has the fault, and whether a guest has shown that.
    versions: Vec<String>,
    /// It says what shows it besides checks of scenarios.
    otherwise: bool,
}

/// All reports, by their names.
fn reports() -> Result<Vec<Report>> {
    let folder = workspace::root().join("docs/found");
    let mut reports = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        reports.push(Report::parse(&name, &text).with_context(|| format!("{} is no report", path.display()))?);
    }
    reports.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(reports)
}

impl Report {
    fn parse(name: &str, text: &str) -> Result<Self> {
        let title = text.lines().next().and_then(|line| line.strip_prefix("# ")).context("it has no title")?;
        ensure!(SUBSYSTEMS.iter().any(|part| title.starts_with(part)), "its title does not say whose it is");
        let (subject, line) = WIDTHS;
        ensure!(title.len() <= subject, "its title is long for a subject");
        let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        ensure!(sections == SECTIONS, "its sections are {sections:?}");
        ensure!(text.contains("\n$ cargo xtask "), "it has no command");
        let long = prose(text).find(|prose| prose.len() > line);
        ensure!(long.is_none(), "a mail would wrap {long:?}");
        let versions = VERSIONS.iter().map(|version| answer(text, version)).collect::<Result<_>>()?;
        let otherwise = prose(text).any(|line| line.starts_with(OTHERWISE));
        Ok(Self { name: name.to_owned(), title: title.to_owned(), versions, otherwise })
    }
}

/// The lines that are neither of a table nor of something that is shown as it is.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut shown = false;
    text.lines().filter(move |line| {
        shown ^= line.starts_with("```");
        !(shown || line.starts_with("    ") || line.starts_with('|'))
    })
}

/// What a report says of a version: the first word of the item, and whether it was seen.
fn answer(text: &str, version: &str) -> Result<String> {
    let (_, item) = text.split_once(&format!("\n* {version}: ")).with_context(|| format!("nothing of {version}"))?;
    let item = item.split("\n* ").next().and_then(|item| item.split("\n\n").next()).unwrap_or_default();
    let word = item.split([' ', ',', '.']).next().unwrap_or_default();
    let seen = if item.contains("Seen") { ", seen" } else { "" };
    match word {
        "yes" | "no" | "partly" => Ok(format!("{word}{seen}")),
        _ => bail!("{version}: neither yes, no nor partly"),
    }
}

/// A row for each report.
fn overview(reports: &[Report]) -> String {
    let mut text = format!("| Report | {} |\n|---|---|---|---|\n", VERSIONS.join(" | "));
    for report in reports {
        let title = report.title.replace('|', "\\|");
        text.push_str(&format!("| [{title}](found/{}.md) | {} |\n", report.name, report.versions.join(" | ")));
    }
    text
}

/// A row for each reason and scenario.
fn table(known: &KnownDifferences, scenarios: &[Scenario], machines: &[Chosen]) -> Result<String> {
    let mut rows: Vec<(&Known, Vec<&str>)> = Vec::new();
    for one in known.of_the_kernels_own() {
        let same = rows.iter_mut().find(|(of, _)| of.reason == one.reason && of.scenario == one.scenario);
        match same {
            Some((_, checks)) => checks.push(&one.check),
            None => rows.push((one, vec![&one.check])),
        }
    }
    let mut text =
        "| What the kernel's own does | Report | Checks that show it | Command |\n|---|---|---|---|\n".to_owned();
    for (known, checks) in rows {
        let checks = checks.join("; ").replace('|', "\\|");
        let scenario = scenarios.iter().find(|scenario| scenario.name == known.scenario);
        let command = scenario.and_then(|scenario| command(known, scenario, machines));
        let command = command.with_context(|| format!("`{}` runs on no machine where it differs", known.scenario))?;
        let Known { reason, report, .. } = known;
        text.push_str(&format!("| {reason} | [{report}](found/{report}.md) | {checks} | `{command}` |\n"));
    }
    Ok(text)
}

/// The command that runs a scenario on both implementations on the first machine where the difference is.
fn command(known: &Known, scenario: &Scenario, machines: &[Chosen]) -> Option<String> {
    let arch = if known.kernels == ["oracle"] { Arch::Arm64 } else { Arch::Amd64 };
    let fits = |machine: &&Chosen| {
        let listed = |list: &[String]| list.is_empty() || machine.name.is_in(list);
        machine.arch() == arch
            && listed(&known.machines)
            && listed(&scenario.machines)
            && scenario.needs.why_not(&Found::on(&machine.hardware)).is_none()
    };
    // The everyday ones before others.
    let everyday = |machine: &&Chosen| ["intel", "amd", "mpam"].contains(&machine.name.argument());
    let machine = machines.iter().filter(fits).find(everyday).or_else(|| machines.iter().find(fits))?;
    let kernel = match &known.kernels[..] {
        [kernel] => format!(" --kernel {kernel}"),
        _ => String::new(),
    };
    let (machine, scenario) = (&machine.name, &scenario.name);
    Some(format!("cargo xtask test-qemu --machine {machine}{kernel} --impl both --scenario '^{scenario}$'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_has_every_report() {
        let summary = fs::read_to_string(workspace::root().join("docs/SUMMARY.md")).unwrap();
        let reports = reports().unwrap();
        assert!(!reports.is_empty());
        for Report { name, title, .. } in &reports {
            let entry = format!("    - [{title}](found/{name}.md)\n");
            assert!(summary.contains(&entry), "docs/SUMMARY.md lacks: {entry}");
        }
    }

    /// A report as it should be.
    fn good() -> String {
        let sections: String = SECTIONS.iter().map(|section| format!("\n## {section}\n")).collect();
        let items =
            "\n* 6.12.117: no. There is none.\n* 7.2.12: partly, by\n  reading.\n* 7.3.4: yes. Seen.\n\nSeen once.\n";
        let command = format!("```console\n$ cargo xtask test-qemu # {}\n```\n", "x".repeat(80));
        format!("# kernfs: X\n{sections}{items}{command}")
    }

    #[test]
    fn what_answers_less_or_cannot_be_sent_is_no_report() {
        let good = good();
        let report = Report::parse("x", &good).unwrap();
        assert_eq!(report.versions, ["no", "partly", "yes, seen"]);
        assert!(!report.otherwise);
        for (from, to, why) in [
            ("# kernfs", "kernfs", "no title"),
            ("# kernfs", "# fuse", "whose it is"),
            ("kernfs: X", &format!("kernfs: {}", "x".repeat(70)), "long for a subject"),
            ("## Where\n", "", "its sections are"),
            ("cargo xtask", "make", "no command"),
            ("There", &"x ".repeat(40), "would wrap"),
            ("7.2.12", "7.2", "nothing of 7.2.12"),
            ("yes", "always", "neither yes, no nor partly"),
        ] {
            let error = format!("{:#}", Report::parse("x", &good.replace(from, to)).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_report_is_of_a_known_difference_or_says_how_it_is_shown_otherwise() {
        let list = "[[random]]\nignore = \"x\"\nreason = \"so it is\"\nreport = \"listed\"\n";
        let known: KnownDifferences = toml::from_str(list).unwrap();
        let named = |name: &str, said: &str| Report::parse(name, &(good() + said)).unwrap();
        let otherwise = format!("\n{OTHERWISE}by hand.\n");
        assert!(compare(&known, &[named("listed", ""), named("other", &otherwise)]).is_ok());
        for (reports, why) in [
            (vec![], "there is no docs/found/listed.md"),
            (vec![named("listed", ""), named("other", "")], "no known difference names it"),
            (vec![named("listed", &otherwise)], "but a known difference names it"),
        ] {
            let error = compare(&known, &reports).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
