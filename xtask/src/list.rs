// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask list`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write, stdout};
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::checks::Catalogue;
use crate::guest::platform::Kind;
use crate::kernels::{Arch, Kernel};
use crate::needs::Found;
use crate::scenario::{self, Scenario};
use crate::{machine, workspace};

/// Lists what there is to choose from.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What to list
    #[arg(value_enum)]
    what: What,
    /// As JSON, with all that is known of each
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum What {
    /// Machines to emulate: values of --machine
    Machines,
    /// Guest kernels: values of --kernel
    Kernels,
    /// Scenarios: what --scenario selects from
    Scenarios,
    /// Behaviours of the catalogue, by the numbers that checks begin with
    Checks,
}

/// Something that there is, for a table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Where it runs, or what has it.
    pub(crate) place: String,
    pub(crate) about: String,
}

/// Something that is listed.
trait Entry: Serialize {
    /// What it is called, and what it is.
    fn line(&self) -> (String, &str);
}

#[derive(Serialize)]
struct MachineEntry {
    name: String,
    description: String,
    arch: String,
    /// What scenarios can need, and the machine has.
    found: BTreeMap<&'static str, u64>,
}

impl Entry for MachineEntry {
    fn line(&self) -> (String, &str) {
        (self.name.clone(), &self.description)
    }
}

#[derive(Serialize)]
struct KernelEntry {
    name: String,
    arch: String,
    description: String,
    /// Why `resctrl.ko` does not run on it.
    no_module: Option<String>,
    /// Why no resctrl of its own runs on it.
    no_kernel_impl: Option<String>,
}

impl Entry for KernelEntry {
    fn line(&self) -> (String, &str) {
        (format!("{} ({})", self.name, self.arch), &self.description)
    }
}

#[derive(Serialize)]
struct ScenarioEntry {
    name: String,
    about: String,
    /// What it needs of a machine; empty if it is made for `machines`.
    needs: String,
    /// Of the project's machines, those it is kept to; empty: all that have what it needs.
    machines: Vec<String>,
    /// Empty: all.
    kernels: Vec<String>,
    implementations: Vec<String>,
    /// A run without `--scenario` leaves it out.
    only_asked: bool,
    /// Numbers of the catalogue.
    checks: Vec<u16>,
}

impl Entry for ScenarioEntry {
    fn line(&self) -> (String, &str) {
        (self.name.clone(), &self.about)
    }
}

#[derive(Serialize)]
struct CheckEntry {
    number: u16,
    title: String,
    needs: Vec<String>,
    /// Scenarios that have it.
    scenarios: Vec<String>,
}

impl Entry for CheckEntry {
    fn line(&self) -> (String, &str) {
        (format!("abi-{}", self.number), &self.title)
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let text = match options.what {
        What::Machines => text(&machines()?, options.json),
        What::Kernels => text(&kernels()?, options.json),
        What::Scenarios => text(&scenarios()?.into_iter().map(scenario_entry).collect::<Vec<_>>(), options.json),
        What::Checks => text(&checks()?, options.json),
    }?;
    print(&text)
}

/// Prints what a command is asked for that does nothing else.
///
/// # Errors
///
/// It cannot be written.
pub(crate) fn print(text: &str) -> Result<ExitCode> {
    match stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads the list, `head` for one, has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn text<E: Entry>(entries: &[E], json: bool) -> Result<String> {
    if json {
        return Ok(serde_json::to_string_pretty(entries)? + "\n");
    }
    let lines: Vec<(String, &str)> = entries.iter().map(Entry::line).collect();
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    Ok(lines.into_iter().map(|(name, about)| format!("{name:width$}  {about}\n")).collect())
}

fn machines() -> Result<Vec<MachineEntry>> {
    let entry = |name: String| {
        let machine = machine::load(&name, Kind::Qemu)?;
        let found = Found::on(&machine.hardware).present().collect();
        let arch = machine.arch().to_string();
        Ok(MachineEntry { name, description: machine.hardware.description, arch, found })
    };
    machine::names(Kind::Qemu)?.into_iter().map(entry).collect()
}

fn kernels() -> Result<Vec<KernelEntry>> {
    let mut entries = Vec::new();
    for arch in Arch::ALL {
        for name in Kernel::names(arch)? {
            let Kernel { name, description, no_module, no_kernel_impl, .. } = Kernel::load(&name, arch)?;
            entries.push(KernelEntry { name, arch: arch.to_string(), description, no_module, no_kernel_impl });
        }
    }
    Ok(entries)
}

fn scenarios() -> Result<Vec<Scenario>> {
    scenario::load(&workspace::root().join("qemu-images/guest/scenarios"))
}

fn scenario_entry(scenario: Scenario) -> ScenarioEntry {
    let Scenario { name, about, needs, machines, kernels, implementations, only_asked, checks, .. } = scenario;
    ScenarioEntry {
        name,
        about,
        needs: needs.to_string(),
        machines,
        kernels,
        implementations: implementations.iter().map(ToString::to_string).collect(),
        only_asked,
        checks: checks.into_iter().collect(),
    }
}

fn checks() -> Result<Vec<CheckEntry>> {
    let catalogue = Catalogue::load(&workspace::root().join("qemu-images/guest/checks.toml"))?;
    let scenarios = scenarios()?;
    let entry = |(number, behaviour): (u16, crate::checks::Behaviour)| CheckEntry {
        number,
        title: behaviour.title,
        needs: behaviour.needs,
        scenarios: scenarios.iter().filter(|it| it.checks.contains(&number)).map(|it| it.name.clone()).collect(),
    };
    Ok(catalogue.behaviours.into_iter().map(entry).collect())
}

/// Every machine.
///
/// # Errors
///
/// A file is not what it should be; so with the others.
pub(crate) fn machine_rows() -> Result<Vec<Row>> {
    let row = |entry: MachineEntry| Row { name: entry.name, place: entry.arch, about: entry.description };
    Ok(machines()?.into_iter().map(row).collect())
}

/// Every kernel.
pub(crate) fn kernel_rows() -> Result<Vec<Row>> {
    let row = |entry: KernelEntry| Row { name: entry.name, place: entry.arch, about: entry.description };
    Ok(kernels()?.into_iter().map(row).collect())
}

/// Every scenario.
pub(crate) fn scenario_rows() -> Result<Vec<Row>> {
    let row = |scenario: Scenario| {
        let asked = if scenario.only_asked { "; only if asked for" } else { "" };
        Row { place: format!("{}{asked}", scenario.place()), name: scenario.name, about: scenario.about }
    };
    Ok(scenarios()?.into_iter().map(row).collect())
}

/// Every check.
pub(crate) fn check_rows() -> Result<Vec<Row>> {
    let row = |entry: CheckEntry| {
        let needs = entry.needs.iter().map(|word| format!(" [{word}]")).collect::<String>();
        Row { name: format!("abi-{}", entry.number), place: entry.scenarios.join(", "), about: entry.title + &needs }
    };
    Ok(checks()?.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// What is listed, as JSON.
    fn json<E: Entry>(entries: &[E]) -> Vec<Value> {
        serde_json::from_str(&text(entries, true).unwrap()).unwrap()
    }

    fn named<'a>(list: &'a [Value], name: &str) -> &'a Value {
        list.iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no {name}"))
    }

    #[test]
    fn a_list_has_a_line_for_each_with_its_description() {
        let list = text(&machines().unwrap(), false).unwrap();
        assert_eq!(list.lines().count(), machine::names(Kind::Qemu).unwrap().len());
        let line = list.lines().find(|line| line.starts_with("none ")).unwrap();
        assert!(line.ends_with("  Intel, 1 socket, nothing to control or to monitor"), "{line}");
        let list = text(&kernels().unwrap(), false).unwrap();
        assert!(list.lines().any(|line| line.starts_with("stock (arm64) ")), "{list}");
        let list = text(&checks().unwrap(), false).unwrap();
        assert!(list.starts_with("abi-1    the type is registered"), "{list}");
    }

    #[test]
    fn json_has_all_that_is_known() {
        let list = json(&machines().unwrap());
        let abmc = named(&list, "amd-abmc");
        assert_eq!((&abmc["arch"], &abmc["found"]["abmc.counters"]), (&"amd64".into(), &8.into()));
        let list = json(&scenarios().unwrap().into_iter().map(scenario_entry).collect::<Vec<_>>());
        let scenario = named(&list, "failslab");
        assert_eq!(
            (&scenario["kernels"][0], &scenario["implementations"]),
            (&"debug".into(), &serde_json::json!(["rust"]))
        );
        assert!(scenario["needs"].as_str().unwrap().contains("l3.domains=2"));
        let list = json(&kernels().unwrap());
        assert!(named(&list, "stable")["no_module"].as_str().unwrap().contains("6.12"));
        let list = json(&checks().unwrap());
        let mounted = list.iter().find(|check| check["number"] == 2).unwrap();
        assert!(mounted["scenarios"].as_array().unwrap().contains(&"mount".into()), "{mounted}");
    }
}
