// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask coverage`.
//!
//! The compiler counts how often each region of the source runs and each condition comes out true and false; LLVM's programs,
//! of the version that the compiler has, read the counts. Only this project's crates count: what they call is not measured.

mod export;
mod figures;
mod missed;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::measured::{self, TESTED, When};
use crate::toolroot::ToolOptions;
use crate::{docs, toolroot, unit_tests, workspace};
use export::{Counts, Export};
pub(crate) use figures::{BRANCHES, Figures, LINES};

/// Has the compiler count. Conditions need an option that is not stable yet; the wrapper unlocks it for this project's crates
/// alone, since the build scripts of others look whether it is.
const WRAPPER: &str = "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec \"$@\" -Cinstrument-coverage -Zcoverage-options=branch\n";

/// Where the processes write their counts, in `target/coverage`.
const PROFILES: &str = "profiles";

/// Which programs have counted.
const PROGRAMS: &str = "programs.json";

/// Measures which lines and conditions of the crates their tests reach
///
/// Runs the unit tests and the schedules of the simulated kernel on crates that count. Fails if less is reached than is asked
/// for: 95 % of the lines and 90 % of the outcomes of conditions, in each crate that users run. Lines of tests do not count;
/// a function that is compiled for several types counts once, and what any of them reaches is reached; one that nothing
/// calls counts as not reached. The figures and all that is not reached are left in target/coverage/coverage.json.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Show this crate only; may be given more than once
    #[arg(long = "crate", value_name = "CRATE")]
    crates: Vec<String>,
    /// Make pages with the source and how often each line ran, in target/coverage/html
    #[arg(long)]
    html: bool,
    /// Show what the last run has counted, and all that it has not reached; no test is run
    #[arg(long, conflicts_with = "html")]
    show: bool,
    /// Bring docs/evidence.md and docs/evidence/coverage.json up to date
    #[arg(long, conflicts_with = "crates")]
    docs: bool,
    #[command(flatten)]
    tools: ToolOptions,
}

/// Measures; the exit code says whether enough is reached.
///
/// # Errors
///
/// A test fails, or a tool is missing and cannot be had.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let parts = measured::parts(&options.crates)?;
    let folder = workspace::target().join("coverage");
    let path = folder.join("coverage.json");
    let llvm = Llvm { programs: toolroot::llvm(&options.tools)?, folder: &folder };
    if !options.show {
        count(options, &llvm)?;
    }
    let figures = read(&llvm)?;
    measured::save(&path, &figures)?;
    if options.show {
        print!("{}", figures.missed(&parts));
    }
    println!("{}\n\n{}", figures.files(&parts).text(), figures.crates(&parts).text());
    if options.docs {
        measured::save(&measured::kept("coverage"), &figures)?;
        docs::renew()?;
    }
    let low = figures.too_low(&parts);
    low.iter().for_each(|low| eprintln!("too little: {low}"));
    println!("what is not reached: {}", path.display());
    Ok(if low.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the tests on crates that count, and makes one of all counts.
fn count(options: &Options, llvm: &Llvm<'_>) -> Result<()> {
    let nextest = unit_tests::nextest()?;
    let profiles = llvm.folder.join(PROFILES);
    if profiles.exists() {
        fs::remove_dir_all(&profiles).with_context(|| format!("cannot remove {}", profiles.display()))?;
    }
    let mut tests = instrumented(&nextest, llvm.folder, &["run", "--profile", "coverage"])?;
    let passed = tests.status().with_context(|| format!("cannot run {}", nextest.display()))?;
    ensure!(passed.success(), "tests fail: what they reach says nothing");
    let programs = programs(&mut instrumented(&nextest, llvm.folder, &["list", "--list-type", "binaries-only"])?)?;
    measured::save(&llvm.folder.join(PROGRAMS), &Counted { when: When::now()?, programs: programs.clone() })?;
    llvm.merge(&profiles)?;
    if options.html {
        println!("{}", llvm.pages(&programs)?.display());
    }
    Ok(())
}

/// Reads what was counted.
fn read(llvm: &Llvm<'_>) -> Result<Figures> {
    let counted: Counted = measured::load(&llvm.folder.join(PROGRAMS))?;
    let mut counts = BTreeMap::<String, Counts>::new();
    for program in &counted.programs {
        for (file, of_program) in Export::parse(&llvm.export(program)?)?.within(workspace::root()) {
            counts.entry(file).or_default().join(&of_program);
        }
    }
    let text =
        |file: &str| fs::read_to_string(workspace::root().join(file)).with_context(|| format!("cannot read {file}"));
    let sources = missed::sources(&measured::parts(&[])?)?;
    Figures::new(counted.when, &counts, &sources, text)
}

/// What has counted, and when.
#[derive(Debug, Serialize, Deserialize)]
struct Counted {
    when: When,
    programs: Vec<PathBuf>,
}

/// A command of nextest on crates that count.
fn instrumented(nextest: &Path, folder: &Path, arguments: &[&str]) -> Result<Command> {
    let wrapper = folder.join("rustc-with-coverage");
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(&wrapper, WRAPPER)
        .and_then(|()| fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", wrapper.display()))?;
    let mut command = Command::new(nextest);
    command
        .current_dir(workspace::root())
        .args(["nextest", arguments[0], "--locked", "--cargo-quiet"])
        .args(&arguments[1..])
        .args(TESTED.iter().flat_map(|package| ["--package", package]))
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
        .env("CARGO_TARGET_DIR", folder.join("build"))
        // Each test is a process; those of one program take turns with a few files, into which they add.
        .env("LLVM_PROFILE_FILE", folder.join(PROFILES).join("%4m.profraw"));
    Ok(command)
}

/// The programs that have the tests, from what nextest lists.
fn programs(list: &mut Command) -> Result<Vec<PathBuf>> {
    let output = list.args(["--message-format", "json"]).output().context("cannot run cargo-nextest")?;
    ensure!(output.status.success(), "cargo-nextest cannot list: {}", String::from_utf8_lossy(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).context("cargo-nextest lists no JSON")?;
    let programs = list["rust-binaries"].as_object().context("cargo-nextest lists no programs")?;
    let paths: Option<Vec<PathBuf>> =
        programs.values().map(|program| program["binary-path"].as_str().map(PathBuf::from)).collect();
    match paths {
        Some(paths) if !paths.is_empty() => Ok(paths),
        _ => bail!("cargo-nextest lists programs without a path"),
    }
}

/// LLVM's programs.
struct Llvm<'a> {
    programs: PathBuf,
    folder: &'a Path,
}

impl Llvm<'_> {
    fn merged(&self) -> PathBuf {
        self.folder.join("merged.profdata")
    }

    /// Makes one of the counts of all processes.
    fn merge(&self, profiles: &Path) -> Result<()> {
        let entries = profiles.read_dir().with_context(|| format!("no test has counted: {}", profiles.display()))?;
        let files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        let mut command = Command::new(self.programs.join("llvm-profdata"));
        command.args(["merge", "--sparse", "--output"]).arg(self.merged()).args(files);
        said(&mut command).map(drop)
    }

    fn llvm_cov(&self, what: &[&str], programs: &[PathBuf]) -> Command {
        let mut command = Command::new(self.programs.join("llvm-cov"));
        command.args(what).arg("--instr-profile").arg(self.merged());
        for program in programs {
            command.arg("--object").arg(program);
        }
        command
    }

    fn export(&self, program: &PathBuf) -> Result<Vec<u8>> {
        let what = ["export", "--format=text", "--skip-functions", "--skip-expansions"];
        said(&mut self.llvm_cov(&what, std::slice::from_ref(program)))
    }

    /// The source as pages; gives the first.
    fn pages(&self, programs: &[PathBuf]) -> Result<PathBuf> {
        let folder = self.folder.join("html");
        let what = ["show", "--format=html", "--show-instantiations=false", "--show-branches=count"];
        let mut command = self.llvm_cov(&what, programs);
        command.arg("--output-dir").arg(&folder).args(["--ignore-filename-regex", "/(tests|target|fuzz|board|model)/"]);
        said(&mut command)?;
        Ok(folder.join("index.html"))
    }
}

/// What a program prints.
fn said(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().to_owned();
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr).trim());
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_of_tests_are_read_from_what_nextest_lists() {
        let mut list = Command::new("sh");
        // As cargo-nextest 0.9.143 prints it, shortened; the flags that are added become arguments of the script.
        let text = r#"{"rust-build-meta":{},"rust-binaries":{"a":{"binary-id":"a","kind":"lib","binary-path":"/t/a-1"},"a::b":{"binary-path":"/t/b-2"}}}"#;
        list.args(["-c", "printf '%s' \"$0\"", text]);
        assert_eq!(programs(&mut list).unwrap(), [Path::new("/t/a-1"), Path::new("/t/b-2")]);
        let mut none = Command::new("sh");
        none.args(["-c", "echo '{\"rust-binaries\":{}}'"]);
        assert!(programs(&mut none).is_err());
    }

    #[test]
    fn the_packaged_llvm_is_the_compilers() {
        let output = Command::new("rustc").current_dir(workspace::root()).arg("-vV").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let version = text.lines().find_map(|line| line.strip_prefix("LLVM version: ")).unwrap();
        let major = version.split('.').next().unwrap();
        assert_eq!(toolroot::LLVM_PACKAGE, format!("llvm-{major}"));
    }
}
