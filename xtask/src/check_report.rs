// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask check-report`: the report of a run as a browser shows it, against what the run has written for programs.

mod browser;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::test_qemu::run_folder;
use crate::toolroot::{ToolOptions, ToolRoot};
use browser::Browser;

/// Windows that the report is looked at in, in pixels: a phone's, and that of a desk.
const WIDTHS: [u32; 2] = [400, 1280];

/// Looks at the report of a run in a browser without a screen
///
/// It must show every verdict of the run and no other, on a phone's window without anything sticking out, its links must lead
/// somewhere, its filter must find, and it may neither load anything nor complain. The browser is Debian's Chromium (60 MB).
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder of the run [default: the last one in target/rig]
    run: Option<PathBuf>,
    /// Make a picture (PNG) of what a desk's window shows of it
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    tools: ToolOptions,
}

/// What a case is in `verdicts.json`.
#[derive(Debug, Deserialize)]
struct Row {
    scenario: String,
    machine: String,
    kernel: String,
    implementation: String,
    verdict: String,
    checks: usize,
    seconds: f64,
}

/// What the page shows of a case.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Shown {
    scenario: String,
    machine: String,
    kernel: String,
    implementation: String,
    /// The matrix's.
    verdict: String,
    /// That of the case's own part.
    told: String,
    checks: usize,
    seconds: String,
}

impl From<Row> for Shown {
    fn from(row: Row) -> Self {
        let Row { scenario, machine, kernel, implementation, verdict, checks, seconds } = row;
        let verdict = verdict.to_lowercase();
        let told = verdict.clone();
        Self { scenario, machine, kernel, implementation, verdict, told, checks, seconds: format!("{seconds:.1}") }
    }
}

#[derive(Debug, Deserialize)]
struct Filtered {
    name: String,
    shown: Vec<String>,
    none: usize,
    all: usize,
    rows: usize,
}

/// What `look.js` has seen.
#[derive(Debug, Deserialize)]
struct Seen {
    verdicts: Vec<Shown>,
    width: u32,
    overflow: bool,
    wide: Vec<String>,
    filtered: Filtered,
    files: Vec<String>,
    dangling: Vec<String>,
    opened: bool,
    requests: Vec<String>,
    errors: Vec<String>,
}

/// Looks; the exit code says whether there is nothing to complain of.
///
/// # Errors
///
/// There is no run, or no browser can be had.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let folder = match &options.run {
        Some(folder) => folder.clone(),
        None => run_folder::last().context("there is no run in target/rig: `cargo xtask test-qemu` makes one")?,
    };
    let rows: Vec<Row> = serde_json::from_slice(&read(&folder.join("verdicts.json"))?).context("verdicts.json")?;
    let expected: Vec<Shown> = rows.into_iter().map(Shown::from).collect();
    let page = String::from_utf8(read(&folder.join("report.html"))?).context("report.html")?;
    let browser = Browser::find(&ToolRoot::browser(&options.tools)?)?;
    let mut complaints = Vec::new();
    for width in WIDTHS {
        let seen = look(&browser, &folder, &page, width)?;
        complaints
            .extend(judge(&seen, &expected, &folder, width).into_iter().map(|it| format!("{width} pixels: {it}")));
    }
    if let Some(picture) = &options.picture {
        browser.picture(&folder.join("report.html"), WIDTHS[1], picture)?;
    }
    complaints.iter().for_each(|complaint| eprintln!("{complaint}"));
    let what = if complaints.is_empty() { "as it should be" } else { "NOT as it should be" };
    println!("{}: {} verdicts, {what}", folder.join("report.html").display(), expected.len());
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The page with what looks at it, in a window of this width.
fn look(browser: &Browser, folder: &Path, page: &str, width: u32) -> Result<Seen> {
    let (head, body) = page.split_once("</head>").context("the page has no head")?;
    let (body, rest) = body.rsplit_once("</body>").context("the page has no end")?;
    let (listen, look) = (include_str!("check_report/listen.js"), include_str!("check_report/look.js"));
    let watched = format!("{head}<script>{listen}</script></head>{body}<script>{look}</script></body>{rest}");
    // Beside the page, for its links.
    let copy = tempfile::Builder::new().prefix(".look-").suffix(".html").tempfile_in(folder)?;
    fs::write(copy.path(), watched)?;
    let dump = browser.dump(copy.path(), width)?;
    let seen = dump.rsplit_once("id=\"seen\">").and_then(|(_, rest)| rest.split_once("</script>"));
    let (json, _) = seen.context(
        "the page has a script that never came to its end in the browser, or is from before there was a matrix",
    )?;
    serde_json::from_str(json).context("what was seen is no JSON")
}

/// What is wrong with the page.
fn judge(seen: &Seen, expected: &[Shown], folder: &Path, width: u32) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut complain = |is_wrong: bool, what: String| {
        if is_wrong {
            wrong.push(what);
        }
    };
    for missing in expected.iter().filter(|it| !seen.verdicts.contains(it)) {
        complain(true, format!("it does not show {missing:?}"));
    }
    for more in seen.verdicts.iter().filter(|it| !expected.contains(it)) {
        complain(true, format!("it shows {more:?}"));
    }
    complain(seen.verdicts.len() != expected.len(), format!("{} verdicts of {}", seen.verdicts.len(), expected.len()));
    complain(seen.width != width, format!("the window is {} wide", seen.width));
    complain(seen.overflow || !seen.wide.is_empty(), format!("these stick out: {:?}", seen.wide));
    let Filtered { name, shown, none, all, rows } = &seen.filtered;
    complain(!shown.contains(name), format!("the filter `{name}` shows {shown:?}"));
    complain(
        *none != 0 || all != rows,
        format!("the filter leaves {none} of what nothing has, {all} of {rows} without text"),
    );
    complain(!seen.dangling.is_empty(), format!("these lead nowhere: {:?}", seen.dangling));
    for file in seen.files.iter().filter(|file| !folder.join(file).exists()) {
        complain(true, format!("there is no {file}"));
    }
    complain(!seen.opened, "a cell's link does not open its case".to_owned());
    complain(!seen.requests.is_empty(), format!("it loads {:?}", seen.requests));
    complain(!seen.errors.is_empty(), format!("it complains: {:?}", seen.errors));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(verdict: &str) -> Shown {
        let text = |text: &str| text.to_owned();
        Shown {
            scenario: text("mount"),
            machine: text("intel"),
            kernel: text("stock"),
            implementation: text("rust"),
            verdict: text(verdict),
            told: text(verdict),
            checks: 3,
            seconds: text("1.5"),
        }
    }

    fn seen() -> Seen {
        Seen {
            verdicts: vec![shown("pass")],
            width: 400,
            overflow: false,
            wide: Vec::new(),
            filtered: Filtered { name: "mount".to_owned(), shown: vec!["mount".to_owned()], none: 0, all: 1, rows: 1 },
            files: Vec::new(),
            dangling: Vec::new(),
            opened: true,
            requests: Vec::new(),
            errors: Vec::new(),
        }
    }

    #[test]
    fn a_case_is_shown_as_it_was_written_down() {
        let row = r#"{"scenario": "mount", "machine": "intel", "kernel": "stock", "implementation": "rust", "verdict": "FAIL",
            "reasons": [], "checks": 3, "seconds": 1.46, "again": ""}"#;
        assert_eq!(Shown::from(serde_json::from_str::<Row>(row).unwrap()), shown("fail"));
    }

    #[test]
    fn every_fault_of_a_page_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = |change: &dyn Fn(&mut Seen)| {
            let mut seen = seen();
            change(&mut seen);
            judge(&seen, &[shown("pass")], folder.path(), 400).join("\n")
        };
        assert_eq!(wrong(&|_| ()), "");
        let some = || vec!["x".to_owned()];
        type Fault<'a> = (&'a str, &'a dyn Fn(&mut Seen));
        let faults: [Fault<'_>; 11] = [
            ("it does not show", &|seen| seen.verdicts.clear()),
            ("it shows", &|seen| seen.verdicts[0].told = "fail".to_owned()),
            ("2 verdicts of 1", &|seen| seen.verdicts.push(shown("pass"))),
            ("the window is 500 wide", &|seen| seen.width = 500),
            ("stick out", &|seen| seen.wide = some()),
            ("the filter `mount` shows []", &|seen| seen.filtered.shown.clear()),
            ("the filter leaves 1", &|seen| seen.filtered.none = 1),
            ("lead nowhere", &|seen| seen.dangling = some()),
            ("there is no x", &|seen| seen.files = some()),
            ("does not open", &|seen| seen.opened = false),
            ("it loads", &|seen| seen.requests = some()),
        ];
        for (complaint, change) in faults {
            assert!(wrong(change).contains(complaint), "{complaint}: {}", wrong(change));
        }
        assert!(wrong(&|seen| seen.errors = some()).contains("it complains"));
    }
}
