// SPDX-License-Identifier: GPL-2.0-only
//! What docs/found.md says of the kernel's own resctrl: every difference that is listed as known, and the command that shows it.

use anyhow::{Context, Result};

use crate::guest::platform::Kind;
use crate::kernels::Arch;
use crate::machine::{self, Chosen};
use crate::needs::Found;
use crate::scenario::known::{Known, KnownDifferences};
use crate::scenario::{self, Scenario};
use crate::workspace;

/// The page.
pub(super) const PAGE: &str = "found.md";

/// Its generated part: its name, and its text.
///
/// # Errors
///
/// Scenarios, or the list, cannot be read.
pub(super) fn part() -> Result<(&'static str, String)> {
    let guest = workspace::root().join("qemu-images/guest");
    let scenarios = scenario::load(&guest.join("scenarios"))?;
    let known = KnownDifferences::load(&guest.join("known-differences.toml"), &scenarios)?;
    let machines = machine::load_all(&["all".to_owned()], Kind::Qemu)?;
    Ok(("known differences", table(&known, &scenarios, &machines)?))
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
    let mut text = "| What the kernel's own does | Checks that show it | Command |\n|---|---|---|\n".to_owned();
    for (known, checks) in rows {
        let checks = checks.join("; ").replace('|', "\\|");
        let scenario = scenarios.iter().find(|scenario| scenario.name == known.scenario);
        let command = scenario.and_then(|scenario| command(known, scenario, machines));
        let command = command.with_context(|| format!("`{}` runs on no machine where it differs", known.scenario))?;
        text.push_str(&format!("| {} | {checks} | `{command}` |\n", known.reason));
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
