// SPDX-License-Identifier: GPL-2.0-only
//! The workflows of GitHub Actions, without GitHub: they say nothing that GitHub does not know, every action is pinned, and
//! every command that a step would run is one that this program takes.

mod format;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

/// A flag that no command has: what complains of it and of nothing before it has taken all that was before it.
const NO_FLAG: &str = "--there-is-no-such-flag";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("it is YAML")
}

fn workflows() -> Vec<PathBuf> {
    let folder = root().join(".github/workflows");
    let mut paths: Vec<PathBuf> = folder.read_dir().expect("it is there").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 2, "{paths:?}");
    paths
}

/// Every combination of a job's matrix; one without values if it has none.
fn combinations(job: &Value) -> Vec<BTreeMap<String, String>> {
    let matrix = &job["strategy"]["matrix"];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut all = vec![BTreeMap::new()];
    for (name, values) in matrix.as_object().into_iter().flatten().filter(|(name, _)| *name != "include") {
        let values: Vec<String> = values.as_array().expect("a list").iter().map(text).collect();
        let with = |one: &BTreeMap<String, String>, value: &String| {
            let mut one = one.clone();
            one.insert(name.clone(), value.clone());
            one
        };
        all = all.iter().flat_map(|one| values.iter().map(|value| with(one, value)).collect::<Vec<_>>()).collect();
    }
    if let Some(more) = matrix["include"].as_array() {
        all.retain(|one| !one.is_empty());
        all.extend(more.iter().map(|one| {
            let one = one.as_object().expect("a table");
            one.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        }));
    }
    all
}

/// The commands of this program in a step's script, as words.
fn commands(script: &str, values: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let mut script = script.to_owned();
    for (name, value) in values {
        script = script.replace(&format!("${{{{ matrix.{name} }}}}"), value);
    }
    assert!(!script.contains("${{ matrix."), "no such value: {script}");
    let lines = script.lines().filter_map(|line| line.split_once("cargo xtask ").map(|(_, rest)| rest));
    lines
        .map(|line| line.split_whitespace().take_while(|word| !["|", "||"].contains(word)).map(str::to_owned).collect())
        .collect()
}

/// The steps of all jobs, each with a combination of its matrix.
fn steps(workflow: &Value) -> Vec<(Value, BTreeMap<String, String>)> {
    let jobs = workflow["jobs"].as_object().expect("jobs");
    let of = |job: &Value| -> Vec<(Value, BTreeMap<String, String>)> {
        let steps = job["steps"].as_array().expect("steps").clone();
        let all = combinations(job);
        all.iter()
            .flat_map(|values| steps.iter().map(|step| (step.clone(), values.clone())).collect::<Vec<_>>())
            .collect()
    };
    jobs.values().flat_map(of).collect()
}

fn xtask(words: &[String], last: &str) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_resctrl-rig")).args(words).arg(last).output().expect("it runs")
}

#[test]
fn they_say_nothing_that_github_does_not_know() {
    let parsed = |text: &str| serde_saphyr::from_str::<format::Workflow>(text);
    for path in workflows() {
        let workflow = parsed(&read(&path));
        assert!(workflow.is_ok(), "{}: {}", path.display(), workflow.unwrap_err());
    }
    let one = |step: &str| {
        format!(
            "name: a\non: {{ workflow_dispatch: }}\npermissions: {{ contents: read }}\n\
             concurrency: {{ group: a, cancel-in-progress: true }}\n\
             jobs: {{ a: {{ name: a, runs-on: ubuntu-24.04, timeout-minutes: 1, steps: [{{ {step} }}] }} }}\n"
        )
    };
    assert!(parsed(&one("run: 'true'")).is_ok(), "{:?}", parsed(&one("run: 'true'")));
    for wrong in ["runs: 'true'", "run: 'true', uses: a@1", "uses: a@1, width: { a: 1 }"] {
        assert!(parsed(&one(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn every_action_is_pinned_by_its_hash_and_every_runner_by_its_release() {
    let pinned = Regex::new(r"^[a-z-]+/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$").expect("a pattern");
    let mut paths = workflows();
    paths.push(root().join(".github/actions/prepare/action.yml"));
    for path in paths {
        for line in read(&path).lines() {
            let line = line.trim().trim_start_matches("- ");
            if let Some(action) = line.strip_prefix("uses: ") {
                assert!(action.starts_with("./") || pinned.is_match(action), "{}: {action}", path.display());
            }
            if let Some(runner) = line.strip_prefix("runs-on: ") {
                assert_eq!(runner, "ubuntu-24.04", "{}", path.display());
            }
        }
    }
}

#[test]
fn every_job_has_a_time_limit() {
    for path in workflows() {
        for (name, job) in parse(&read(&path))["jobs"].as_object().expect("jobs") {
            assert!(job["timeout-minutes"].is_u64(), "{}: {name}", path.display());
        }
    }
}

#[test]
fn every_command_is_one_that_this_program_takes_and_has_something_to_run() {
    let mut seen = BTreeMap::new();
    for path in workflows() {
        for (step, values) in steps(&parse(&read(&path))) {
            let Some(script) = step["run"].as_str() else { continue };
            for words in commands(script, &values) {
                *seen.entry(words[0].clone()).or_insert(0) += 1;
                if words[0] == "test-qemu" {
                    // Fails if a machine or kernel is unknown, or if no case remains.
                    let output = xtask(&words, "--list");
                    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
                } else {
                    let said = String::from_utf8_lossy(&xtask(&words, NO_FLAG).stderr).into_owned();
                    assert!(said.contains(&format!("unexpected argument '{NO_FLAG}'")), "{words:?}: {said}");
                }
            }
        }
    }
    assert!(
        seen["test-qemu"] > 40
            && ["bench", "coverage", "judge", "mutants", "test"].iter().all(|name| seen.contains_key(*name)),
        "{seen:?}"
    );
}

#[test]
fn the_files_that_commands_name_are_there() {
    for path in workflows() {
        for (step, values) in steps(&parse(&read(&path))) {
            let words = step["run"].as_str().map(|script| commands(script, &values)).unwrap_or_default();
            let named = |word: &&String| word.contains('/') && !word.starts_with('-');
            for file in words.iter().flatten().filter(named) {
                assert!(root().join(file).exists(), "{}: {file}", path.display());
            }
        }
    }
}
