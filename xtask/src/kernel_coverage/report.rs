// SPDX-License-Identifier: GPL-2.0-only
//! What a run of `cargo xtask kernel-coverage` has found, as text, page and JSON.

use std::collections::BTreeMap;

use maud::html;
use serde::Serialize;

use super::counts::{Counts, Part, Share, ranges};
use super::reasons::{Reasons, Unreached};
use crate::report::html::document;

/// A guest whose kernel has counted.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) machine: String,
    pub(super) scenarios: Vec<String>,
    pub(super) counts: Counts,
}

impl Guest {
    /// Nothing ran in it but the kernel's own tests.
    fn is_of_selftests(&self) -> bool {
        self.scenarios == [super::SELFTESTS]
    }
}

/// The results.
#[derive(Debug)]
pub(super) struct Report<'a> {
    /// What was asked for.
    pub(super) command: String,
    /// The state of this project.
    pub(super) commit: String,
    /// The kernel's release.
    pub(super) kernel: String,
    /// Folders that count, the file system's first.
    pub(super) folders: Vec<String>,
    /// All guests.
    pub(super) guests: Vec<Guest>,
    /// All their counts.
    pub(super) all: Counts,
    /// Those of the kernel's own tests.
    pub(super) selftests: Counts,
    /// Why what is not reached is not.
    pub(super) reasons: &'a Reasons,
}

/// What one machine brings.
#[derive(Debug, Serialize)]
struct Machine<'a> {
    name: &'a str,
    guests: usize,
    /// Lines that run on it.
    lines: usize,
    /// Lines that run on no other machine.
    alone: usize,
}

#[derive(Debug, Serialize)]
struct Both {
    scenarios: Share,
    selftests: Share,
}

impl<'a> Report<'a> {
    /// Adds up what `guests` have counted.
    pub(super) fn new(
        [command, commit, kernel]: [String; 3],
        folders: &[String],
        guests: Vec<Guest>,
        reasons: &'a Reasons,
    ) -> Self {
        let sum = |guests: &mut dyn Iterator<Item = &Guest>| {
            guests.fold(Counts::default(), |mut sum, guest| {
                sum.add(&guest.counts);
                sum
            })
        };
        let all = sum(&mut guests.iter());
        let selftests = sum(&mut guests.iter().filter(|guest| guest.is_of_selftests()));
        Self { command, commit, kernel, folders: folders.to_vec(), guests, all, selftests, reasons }
    }

    /// How much of the file system runs.
    pub(super) fn file_system(&self) -> Part {
        self.all.share_of(super::FILE_SYSTEM).lines
    }

    /// How much of each file runs, and of each folder.
    fn rows(&self) -> Vec<(String, Both)> {
        let selftests = self.selftests.shares();
        // Where they did not run, nothing did; how much there is, the others know.
        let of_selftests = |share: Share, counted: Option<Share>| {
            let none = |part: Part| Part { reached: 0, all: part.all };
            counted.unwrap_or(Share {
                lines: none(share.lines),
                branches: none(share.branches),
                functions: none(share.functions),
            })
        };
        let mut rows = Vec::new();
        for folder in &self.folders {
            let total = self.all.share_of(folder);
            let counted = (!self.selftests.0.is_empty()).then(|| self.selftests.share_of(folder));
            rows.push((format!("**{folder}**"), Both { scenarios: total, selftests: of_selftests(total, counted) }));
            for (file, share) in self.all.shares().into_iter().filter(|(file, _)| file.starts_with(folder.as_str())) {
                let both = Both { scenarios: share, selftests: of_selftests(share, selftests.get(file).copied()) };
                rows.push((file.to_owned(), both));
            }
        }
        rows
    }

    fn machines(&self) -> Vec<Machine<'_>> {
        let mut of: BTreeMap<&str, (usize, Counts)> = BTreeMap::new();
        for guest in &self.guests {
            let (guests, counts) = of.entry(&guest.machine).or_default();
            *guests += 1;
            counts.add(&guest.counts);
        }
        let mut machines = Vec::new();
        for (&name, (guests, counts)) in &of {
            let mut others = Counts::default();
            of.iter().filter(|(other, _)| **other != name).for_each(|(_, (_, counts))| others.add(counts));
            let alone = self.folders.iter().map(|folder| counts.lines_beyond(&others, folder)).sum();
            let lines = self.folders.iter().map(|folder| counts.share_of(folder).lines.reached).sum();
            machines.push(Machine { name, guests: *guests, lines, alone });
        }
        machines
    }

    /// The tables, as Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut text = "| | Lines | Branches | Functions | Selftests alone: lines | branches | functions |\n\
                        |---|---|---|---|---|---|---|\n"
            .to_owned();
        for (name, Both { scenarios, selftests }) in self.rows() {
            let parts = |share: Share| [share.lines, share.branches, share.functions].map(cell).join(" | ");
            text.push_str(&format!("| {name} | {} | {} |\n", parts(scenarios), parts(selftests)));
        }
        text.push_str("\n| Machine | Guests | Lines that run on it | and on no other |\n|---|---|---|---|\n");
        for Machine { name, guests, lines, alone } in self.machines() {
            text.push_str(&format!("| `{name}` | {guests} | {lines} | {alone} |\n"));
        }
        text
    }

    /// What is not reached, by function, as Markdown.
    pub(super) fn unreached(&self) -> String {
        let mut text = "| Function | Lines | Why |\n|---|---|---|\n".to_owned();
        for Unreached { file, function, lines, runs, why, unexplained } in self.reasons.unreached(&self.all) {
            let mut why = why.join("; ");
            if unexplained > 0 {
                why.push_str(&format!("{}{unexplained} without a reason", if why.is_empty() { "" } else { "; " }));
            }
            let none = if runs { "" } else { " (none of it runs)" };
            text.push_str(&format!(
                "| {file} `{function}`{none} | {}: {} | {why} |\n",
                lines.len(),
                ranges(lines.iter().copied())
            ));
        }
        text
    }

    /// What a person reads first.
    pub(super) fn summary(&self) -> String {
        let part = self.file_system();
        let unexplained: usize = self.reasons.unreached(&self.all).iter().map(|unreached| unreached.unexplained).sum();
        format!(
            "{}: {} of {} lines, {:.1} %, in {} guests; {unexplained} lines that nothing reaches are without a reason",
            super::FILE_SYSTEM,
            part.reached,
            part.all,
            part.percent(),
            self.guests.len(),
        )
    }

    /// The page.
    pub(super) fn page(&self) -> String {
        let parts = |share: Share| [share.lines, share.branches, share.functions];
        let body = html! {
            h1 { "Lines of the kernel's own resctrl that run" }
            p { "Linux " (self.kernel) ": " (self.summary()) ". Rig at " code { (self.commit) } ": " code { (self.command) } "." }
            table {
                tr {
                    th { "" } th { "lines" } th { "branches" } th { "functions" }
                    th { "selftests alone: lines" } th { "branches" } th { "functions" }
                }
                @for (name, Both { scenarios, selftests }) in self.rows() {
                    tr {
                        td { (name.trim_matches('*')) }
                        @for part in parts(scenarios).into_iter().chain(parts(selftests)) { td { (cell(part)) } }
                    }
                }
            }
            h2 { "Machines" }
            table {
                tr { th { "machine" } th { "guests" } th { "lines that run on it" } th { "and on no other" } }
                @for Machine { name, guests, lines, alone } in self.machines() {
                    tr { td { (name) } td { (guests) } td { (lines) } td { (alone) } }
                }
            }
            h2 { "What nothing reaches" }
            table {
                tr { th { "function" } th { "lines" } th { "why" } }
                @for unreached in self.reasons.unreached(&self.all) {
                    tr {
                        td { (unreached.file) " " code { (unreached.function) } @if !unreached.runs { " (none of it runs)" } }
                        td { (unreached.lines.len()) ": " (ranges(unreached.lines.iter().copied())) }
                        td {
                            (unreached.why.join("; "))
                            @if unreached.unexplained > 0 { " " (unreached.unexplained) " without a reason" }
                        }
                    }
                }
            }
        };
        document("lines of the kernel's own that run", &body)
    }

    /// All of it for programs.
    ///
    /// # Errors
    ///
    /// It cannot be written as JSON.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Place<'a> {
            file: &'a str,
            function: &'a str,
            lines: Vec<u32>,
            why: Vec<&'a str>,
            unexplained: usize,
        }
        let unreached: Vec<Place<'_>> = self
            .reasons
            .unreached(&self.all)
            .into_iter()
            .map(|Unreached { file, function, lines, why, unexplained, .. }| Place {
                file,
                function,
                lines,
                why,
                unexplained,
            })
            .collect();
        let rows: BTreeMap<String, Both> =
            self.rows().into_iter().map(|(name, both)| (name.trim_matches('*').to_owned(), both)).collect();
        let value = serde_json::json!({
            "command": self.command, "commit": self.commit, "kernel": self.kernel,
            "shares": rows, "machines": self.machines(), "unreached": unreached,
        });
        serde_json::to_string_pretty(&value)
    }
}

fn cell(part: Part) -> String {
    format!("{:.1} % ({}/{})", part.percent(), part.reached, part.all)
}

#[cfg(test)]
mod tests {
    use super::super::counts::tests::counts;
    use super::*;

    fn guest(machine: &str, scenario: &str, lines: &[(u32, u64)]) -> Guest {
        Guest {
            machine: machine.to_owned(),
            scenarios: vec![scenario.to_owned()],
            counts: counts("fs/resctrl/a.c", "f", lines),
        }
    }

    fn report(reasons: &Reasons) -> Report<'_> {
        let guests = vec![
            guest("intel", "mount", &[(1, 1), (2, 1), (3, 0), (4, 0)]),
            guest("amd", "selftests", &[(1, 1), (2, 0), (3, 1), (4, 0)]),
        ];
        Report::new(["command".into(), "commit".into(), "7.3.4".into()], &["fs/resctrl".to_owned()], guests, reasons)
    }

    #[test]
    fn the_selftests_figure_is_of_guests_that_ran_nothing_else() {
        let reasons = Reasons::default();
        let text = report(&reasons).markdown();
        assert!(
            text.contains("| **fs/resctrl** | 75.0 % (3/4) | 75.0 % (3/4) | 100.0 % (1/1) | 50.0 % (2/4) |"),
            "{text}"
        );
        assert!(text.contains("| `intel` | 1 | 2 | 1 |\n"), "{text}");
    }

    #[test]
    fn what_is_not_reached_has_its_function_and_is_without_a_reason_until_one_is_given() {
        let reasons = Reasons::default();
        let report = report(&reasons);
        assert!(
            report.unreached().contains("| fs/resctrl/a.c `f` | 1: 4 | 1 without a reason |"),
            "{}",
            report.unreached()
        );
        assert!(report.summary().starts_with("fs/resctrl: 3 of 4 lines, 75.0 %, in 2 guests; 1 lines"));
        assert!(report.page().contains("1 without a reason"));
        assert!(report.json().unwrap().contains("\"unexplained\": 1"));
    }
}
