// SPDX-License-Identifier: GPL-2.0-only
//! How long scenarios and boots took in earlier runs of this checkout: what is expected of the next run. Nothing depends on it
//! but what is shown, so a file that is not there or damaged is an empty one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, Verdict};
use crate::scenario::Case;
use crate::workspace;

/// Seconds that each thing takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct History {
    boots: BTreeMap<String, f64>,
    scenarios: BTreeMap<String, f64>,
}

/// Where it is kept: beside the runs, and for longer than they are.
fn place() -> PathBuf {
    workspace::target().join("rig/history.json")
}

/// A case as long as it was asked to run.
fn of_case(case: &Case, settings: &BTreeMap<String, String>) -> String {
    let asked = case.scenario.seconds.as_ref().and_then(|seconds| settings.get_key_value(&seconds.variable));
    asked.map_or_else(|| case.to_string(), |(variable, value)| format!("{case} {variable}={value}"))
}

fn of_boot(case: &Case) -> String {
    format!("{} {} {}", case.machine, case.kernel, case.implementation)
}

/// Halfway from what was thought to what was seen: a host is not always as busy.
fn learn(known: &mut BTreeMap<String, f64>, name: String, took: Duration) {
    let took = took.as_secs_f64();
    known.entry(name).and_modify(|seconds| *seconds = f64::midpoint(*seconds, took)).or_insert(took);
}

fn expected(known: &BTreeMap<String, f64>, name: &str) -> Option<Duration> {
    known.get(name).and_then(|&seconds| Duration::try_from_secs_f64(seconds).ok())
}

impl History {
    /// What earlier runs have left.
    pub(crate) fn load() -> Self {
        Self::load_from(&place())
    }

    fn load_from(path: &Path) -> Self {
        fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Keeps it for the next run. Of two runs at once, one is forgotten.
    pub(crate) fn save(&self) {
        self.save_to(&place());
    }

    fn save_to(&self, path: &Path) {
        let Ok(text) = serde_json::to_vec_pretty(self) else { return };
        let Some(folder) = path.parent() else { return };
        // All at once, since another run may just be reading it; what goes wrong costs an estimate.
        if let Ok(new) = tempfile::NamedTempFile::new_in(folder)
            && fs::write(new.path(), text).is_ok()
        {
            let _ = new.persist(path);
        }
    }

    /// How long this case runs.
    pub(super) fn case(&self, case: &Case, settings: &BTreeMap<String, String>) -> Option<Duration> {
        expected(&self.scenarios, &of_case(case, settings))
    }

    /// How long a guest like this case's takes until it is up.
    pub(super) fn boot(&self, case: &Case) -> Option<Duration> {
        expected(&self.boots, &of_boot(case))
    }

    /// A case has its verdict. One that failed may have been anything but itself.
    pub(super) fn learn_case(&mut self, outcome: &Outcome, settings: &BTreeMap<String, String>) {
        if outcome.verdict != Verdict::Fail && outcome.booted {
            learn(&mut self.scenarios, of_case(&outcome.case, settings), outcome.took);
        }
    }

    /// A guest like this case's is up.
    pub(super) fn learn_boot(&mut self, case: &Case, took: Duration) {
        learn(&mut self.boots, of_boot(case), took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Implementation;
    use crate::scenario::tests::case_of;
    use crate::test_qemu::outcome::tests::finished;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn what_was_seen_is_expected_the_last_time_most_of_all() {
        let text = "# A.\n# machines: intel\n# seconds: STRESS=60 unasked=20\n";
        let case = |implementation| case_of("a", text, implementation);
        let (short, long) = ([("STRESS".to_owned(), "20".to_owned())].into(), BTreeMap::new());
        let mut history = History::default();
        assert_eq!(
            (history.case(&case(Implementation::Rust), &short), history.boot(&case(Implementation::Rust))),
            (None, None)
        );
        let mut outcome = finished(case(Implementation::Rust), &["ok 1 - x"]);
        for took in [20, 10] {
            outcome.took = seconds(took);
            history.learn_case(&outcome, &short);
        }
        assert_eq!(history.case(&case(Implementation::Rust), &short), Some(seconds(15)));
        assert_eq!(history.case(&case(Implementation::Rust), &long), None, "as long as it was not asked to run");
        assert_eq!(history.case(&case(Implementation::Kernel), &short), None);
        outcome.verdict = Verdict::Fail;
        outcome.took = seconds(500);
        history.learn_case(&outcome, &short);
        assert_eq!(history.case(&case(Implementation::Rust), &short), Some(seconds(15)));
        history.learn_boot(&case(Implementation::Rust), seconds(4));
        assert_eq!(history.boot(&case(Implementation::Rust)), Some(seconds(4)));
        assert_eq!(history.boot(&case(Implementation::Kernel)), None);
    }

    #[test]
    fn it_outlives_the_run_and_a_damaged_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.json");
        assert_eq!(History::load_from(&path), History::default());
        let mut history = History::default();
        history.learn_boot(&case_of("a", "# A.\n# machines: intel\n", Implementation::Rust), seconds(4));
        history.save_to(&path);
        assert_eq!(History::load_from(&path), history);
        fs::write(&path, "{\"boots\": 1").unwrap();
        assert_eq!(History::load_from(&path), History::default());
        fs::write(&path, "{\"boots\": {\"x\": -1.0}}").unwrap();
        assert_eq!(expected(&History::load_from(&path).boots, "x"), None);
    }
}
