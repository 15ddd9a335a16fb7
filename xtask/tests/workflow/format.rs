// SPDX-License-Identifier: GPL-2.0-only
//! What a workflow may say, as far as those of this project say it: keys as in "Workflow syntax for GitHub Actions"
//! (docs.github.com), of which GitHub refuses any other. A key that is not here yet is looked up there and added.
#![expect(dead_code, reason = "parsing them is what this is for")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Text, a number or a truth value: what expressions and variables may be.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(u64),
    Truth(bool),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workflow {
    name: String,
    on: Triggers,
    permissions: Permissions,
    concurrency: Concurrency,
    #[serde(default)]
    env: BTreeMap<String, Scalar>,
    jobs: BTreeMap<String, Job>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    push: Option<Branches>,
    /// On any branch: there is nothing below it.
    pull_request: Option<()>,
    schedule: Option<Vec<Schedule>>,
    workflow_dispatch: Option<()>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Branches {
    branches: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Schedule {
    cron: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Permissions {
    contents: Access,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Access {
    Read,
    None,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Concurrency {
    group: String,
    cancel_in_progress: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Job {
    name: String,
    runs_on: String,
    timeout_minutes: u64,
    #[serde(rename = "if")]
    condition: Option<String>,
    needs: Option<Vec<String>>,
    strategy: Option<Strategy>,
    #[serde(default)]
    env: BTreeMap<String, Scalar>,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Strategy {
    fail_fast: bool,
    matrix: BTreeMap<String, Vec<Value>>,
}

/// One that uses an action, or runs a script.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Step {
    Uses(Uses),
    Runs(Runs),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Uses {
    uses: String,
    id: Option<String>,
    name: Option<String>,
    #[serde(rename = "if")]
    condition: Option<String>,
    #[serde(default)]
    with: BTreeMap<String, Scalar>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Runs {
    run: String,
    id: Option<String>,
    name: Option<String>,
    shell: Option<String>,
    #[serde(rename = "if")]
    condition: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, Scalar>,
}
