// SPDX-License-Identifier: GPL-2.0-only
//! Scenarios: shell scripts in `qemu-images/guest/scenarios/` whose header comments say where and
//! how they run.
//!
//! Text becomes a [`Scenario`], scenarios become [`Case`]s (one for each machine, kernel and
//! implementation), cases become [`Boot`]s (those that can share a guest share one). Nothing here
//! runs anything. The header is described in `docs/rig.md`.

pub(crate) mod fault;
pub(crate) mod known;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;

use crate::checks;
use crate::differential::Asked;
use crate::kernels::{Arch, Kernel};
use fault::Fault;
use known::Known;

/// Time limit of a scenario that names none.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// Which resctrl a guest runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Implementation {
    /// The kernel's own, in C: the oracle.
    Kernel,
    /// resctrl.ko, this project's.
    Rust,
}

impl Implementation {
    /// Why it does not run on `kernel`.
    fn why_not(self, kernel: &Kernel) -> Option<&str> {
        match self {
            Self::Kernel => kernel.no_kernel_impl.as_deref(),
            Self::Rust => kernel.no_module.as_deref(),
        }
    }
}

impl fmt::Display for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kernel => "kernel",
            Self::Rust => "rust",
        })
    }
}

/// A snapshot that a scenario promises to make.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SnapshotName {
    /// Name as the scenario gives it to `snapshot`.
    pub(crate) name: String,
    /// The implementations have a file each, because their texts may differ.
    pub(crate) per_implementation: bool,
}

/// A run-time parameter with an effect on the time limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seconds {
    /// Environment variable, set with `--set`.
    pub(crate) variable: String,
    /// Its value when it is not set.
    pub(crate) default: u64,
    /// Its value in a run of everything, which nobody wants to wait for that long.
    pub(crate) unasked: Option<u64>,
}

/// A scenario's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scenario {
    /// File name without `.sh`.
    pub(crate) name: String,
    /// The first comment line that is no setting.
    pub(crate) about: String,
    /// Machines it runs on, by name.
    pub(crate) machines: Vec<String>,
    /// Kernels it runs on, by name; none: all.
    pub(crate) kernels: Vec<String>,
    /// Implementations it runs on.
    pub(crate) implementations: Vec<Implementation>,
    /// Time limit, without [`Self::seconds`].
    pub(crate) limit: Duration,
    /// Parameter that says how long it runs.
    pub(crate) seconds: Option<Seconds>,
    /// It needs a guest for itself.
    pub(crate) own_guest: bool,
    /// It has no part in a run of everything.
    pub(crate) only_asked: bool,
    /// It sleeps most of the time: it shares a guest with others that do, beside those that compute.
    pub(crate) waits: bool,
    /// Kernel arguments it needs.
    pub(crate) append: String,
    /// Parameters of `resctrl.ko`.
    pub(crate) parameters: String,
    /// `resctrl.ko` may refuse to load; the scenario finds out.
    pub(crate) refusal: bool,
    /// Standard output must be the same on both implementations.
    pub(crate) compare: bool,
    /// Both implementations run at once, and the rig talks to them.
    pub(crate) lockstep: bool,
    /// Its guest has the kernel's selftests.
    pub(crate) selftests: bool,
    /// Snapshots it makes.
    pub(crate) snapshots: Vec<SnapshotName>,
    /// A fault that it provokes.
    pub(crate) fault: Option<Fault>,
    /// Numbers of the catalogue that its text names.
    pub(crate) checks: BTreeSet<u16>,
}

impl Scenario {
    /// Parses the header of the scenario `name`.
    ///
    /// # Errors
    ///
    /// A setting with an unknown name or a value that does not parse.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self> {
        let mut scenario = Self {
            name: name.to_owned(),
            about: String::new(),
            machines: vec!["intel".to_owned()],
            kernels: Vec::new(),
            implementations: vec![Implementation::Kernel, Implementation::Rust],
            limit: DEFAULT_LIMIT,
            seconds: None,
            own_guest: false,
            waits: false,
            only_asked: false,
            append: String::new(),
            parameters: String::new(),
            refusal: false,
            compare: false,
            lockstep: false,
            selftests: false,
            snapshots: Vec::new(),
            fault: None,
            checks: checks::named_in(text),
        };
        for line in text.lines() {
            if line.starts_with("#!") || line.starts_with("# SPDX-") || line == "#" {
                continue;
            }
            let Some(comment) = line.strip_prefix("# ") else { break };
            match comment.split_once(": ") {
                Some((key, value)) if is_key(key) => scenario
                    .set(key, value.trim())
                    .with_context(|| format!("scenario `{name}`: header line `{line}`"))?,
                _ if scenario.about.is_empty() => comment.clone_into(&mut scenario.about),
                _ => {}
            }
        }
        ensure!(!scenario.about.is_empty(), "scenario `{name}` does not say what it shows");
        Ok(scenario)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "kernels" => self.kernels = value.split_whitespace().map(str::to_owned).collect(),
            "machines" => self.machines = value.split_whitespace().map(str::to_owned).collect(),
            "impl" => self.implementations = implementations(value)?,
            "timeout" => self.limit = Duration::from_secs(value.parse()?),
            "seconds" => {
                let (setting, unasked) = match value.split_once(" unasked=") {
                    Some((setting, unasked)) => (setting, Some(unasked.parse()?)),
                    None => (value, None),
                };
                let (variable, default) = setting.split_once('=').context("expected VARIABLE=SECONDS")?;
                self.seconds = Some(Seconds { variable: variable.to_owned(), default: default.parse()?, unasked });
            }
            "guest" => match value {
                "own" => self.own_guest = true,
                "waits" => self.waits = true,
                "shared" => {}
                _ => bail!("expected `own`, `waits` or `shared`"),
            },
            "run" => match value {
                "always" => self.only_asked = false,
                "asked" => self.only_asked = true,
                _ => bail!("expected `always` or `asked`"),
            },
            "append" => {
                // Kernel arguments cannot change between scenarios of one boot.
                self.own_guest = true;
                value.clone_into(&mut self.append);
            }
            "parameters" => {
                // The module is loaded once, before the first scenario.
                self.own_guest = true;
                value.clone_into(&mut self.parameters);
            }
            "refusal" => match value {
                "yes" => (self.own_guest, self.refusal) = (true, true),
                "no" => self.refusal = false,
                _ => bail!("expected `yes` or `no`"),
            },
            "compare" => match value {
                "yes" => self.compare = true,
                "no" => self.compare = false,
                _ => bail!("expected `yes` or `no`"),
            },
            "lockstep" => match value {
                "yes" => (self.own_guest, self.lockstep) = (true, true),
                "no" => self.lockstep = false,
                _ => bail!("expected `yes` or `no`"),
            },
            "programs" => match value {
                "selftests" => self.selftests = true,
                _ => bail!("expected `selftests`"),
            },
            "snapshot" => {
                self.snapshots = value
                    .split_whitespace()
                    .map(|word| match word.strip_suffix("/impl") {
                        Some(name) => SnapshotName { name: name.to_owned(), per_implementation: true },
                        None => SnapshotName { name: word.to_owned(), per_implementation: false },
                    })
                    .collect();
            }
            "fault" => {
                // The fault ends the guest.
                self.own_guest = true;
                self.fault = Some(Fault::parse(value)?);
            }
            _ => bail!("unknown setting `{key}`"),
        }
        Ok(())
    }

    /// It runs on this kernel.
    fn runs_on(&self, kernel: &Kernel) -> bool {
        self.kernels.is_empty() || self.kernels.contains(&kernel.name)
    }

    /// Time limit with the parameters `settings`.
    ///
    /// # Errors
    ///
    /// The parameter's value is not a number of seconds.
    pub(crate) fn limit(&self, settings: &BTreeMap<String, String>) -> Result<Duration> {
        let Some(seconds) = &self.seconds else { return Ok(self.limit) };
        let value = match settings.get(&seconds.variable) {
            Some(text) => {
                text.parse().with_context(|| format!("{}={text} is not a number of seconds", seconds.variable))?
            }
            None => seconds.default,
        };
        Ok(self.limit + Duration::from_secs(value))
    }
}

/// A header key is one lower-case word, so that prose with a colon is not taken for a setting.
fn is_key(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn implementations(value: &str) -> Result<Vec<Implementation>> {
    Ok(match value {
        "both" => vec![Implementation::Kernel, Implementation::Rust],
        "kernel" => vec![Implementation::Kernel],
        "rust" => vec![Implementation::Rust],
        _ => bail!("expected `rust`, `kernel` or `both`"),
    })
}

/// Reads every scenario in `folder`, in order of their names.
///
/// # Errors
///
/// The folder cannot be read, or a header does not parse.
pub(crate) fn load(folder: &Path) -> Result<Vec<Scenario>> {
    let mut paths = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sh"));
    paths.sort();
    paths.iter().map(PathBuf::as_path).map(read).collect()
}

fn read(path: &Path) -> Result<Scenario> {
    let name = path.file_stem().and_then(|stem| stem.to_str()).context("odd file name")?;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Scenario::parse(name, &text)
}

/// Part of the cases for one of several machines that share the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// 1-based.
    index: usize,
    count: usize,
}

impl FromStr for Shard {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (index, count) = text.split_once('/').context("expected I/N, for example 1/4")?;
        let shard = Self { index: index.parse()?, count: count.parse()? };
        ensure!((1..=shard.count).contains(&shard.index), "shard {text}: I goes from 1 to N");
        Ok(shard)
    }
}

impl Shard {
    /// The shard's part of `items`: every N-th one, beginning with the I-th.
    pub(crate) fn select<T>(self, items: Vec<T>) -> Vec<T> {
        items.into_iter().skip(self.index - 1).step_by(self.count).collect()
    }
}

/// A scenario on one machine, kernel and implementation: what gets a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    /// The scenario.
    pub(crate) scenario: Scenario,
    /// Name of the machine.
    pub(crate) machine: String,
    /// Its instruction set.
    pub(crate) arch: Arch,
    /// Name of the guest kernel.
    pub(crate) kernel: String,
    /// Which resctrl.
    pub(crate) implementation: Implementation,
    /// Checks that are known to fail here.
    pub(crate) known: Vec<Known>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, machine, kernel, implementation, .. } = self;
        write!(f, "{} [{machine} {kernel} {implementation}]", scenario.name)
    }
}

impl Case {
    /// The fault that must show in this case, for it to pass.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.scenario.fault.as_ref().filter(|fault| fault.applies_to(&self.kernel, self.implementation))
    }

    /// The command that runs this case and no other.
    pub(crate) fn command(&self, settings: &BTreeMap<String, String>, sequences: Asked) -> String {
        let Self { scenario, machine, kernel, implementation, .. } = self;
        let implementation = if scenario.lockstep { "both".to_owned() } else { implementation.to_string() };
        let mut command = format!(
            "cargo xtask test-qemu --machine {machine} --kernel {kernel} --impl {implementation} \
             --scenario '^{}$'",
            scenario.name
        );
        for (name, value) in settings {
            command.push_str(&format!(" --set {name}={value}"));
        }
        if scenario.lockstep {
            command.push_str(&format!(" --seed {} --ops {}", sequences.seed, sequences.operations));
        }
        command
    }
}

/// What to run, as asked for on the command line.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    /// Machines: name and instruction set.
    pub(crate) machines: &'a [(String, Arch)],
    /// Kernels.
    pub(crate) kernels: &'a [Kernel],
    /// Implementations.
    pub(crate) implementations: &'a [Implementation],
    /// Patterns a scenario's name must match one of; none: all.
    pub(crate) patterns: &'a [Regex],
    /// Part of the result.
    pub(crate) shard: Option<Shard>,
}

impl Selection<'_> {
    /// The selected cases.
    ///
    /// # Errors
    ///
    /// There are none: a run that tests nothing is not green.
    pub(crate) fn cases(&self, scenarios: &[Scenario]) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        for kernel in self.kernels {
            for machine in self.machines {
                let (machine, arch) = machine;
                if *arch != kernel.arch {
                    continue;
                }
                for scenario in scenarios.iter().filter(|scenario| self.wants(scenario)) {
                    if !(scenario.machines.contains(machine) && scenario.runs_on(kernel)) {
                        continue;
                    }
                    for implementation in self.implementations {
                        if implementation.why_not(kernel).is_some() {
                            continue;
                        }
                        let wanted =
                            !(*implementation == Implementation::Kernel && self.spares_the_oracle(kernel, scenario));
                        if wanted && scenario.implementations.contains(implementation) {
                            cases.push(Case {
                                scenario: scenario.clone(),
                                machine: machine.clone(),
                                arch: *arch,
                                kernel: kernel.name.clone(),
                                implementation: *implementation,
                                known: Vec::new(),
                            });
                        }
                    }
                }
            }
        }
        if let Some(shard) = self.shard {
            cases = shard.select(cases);
        }
        if cases.is_empty() {
            bail!("{}", self.nothing(scenarios));
        }
        Ok(cases)
    }

    /// In a run of everything the oracle only answers where answers are compared: what ours does is under test.
    fn spares_the_oracle(&self, kernel: &Kernel, scenario: &Scenario) -> bool {
        let ours_runs = kernel.no_module.is_none() && self.implementations.contains(&Implementation::Rust);
        let is_compared = scenario.compare || !scenario.snapshots.is_empty();
        self.patterns.is_empty()
            && !is_compared
            && ours_runs
            && scenario.implementations.contains(&Implementation::Rust)
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        if self.patterns.is_empty() {
            return !scenario.only_asked;
        }
        self.patterns.iter().any(|pattern| pattern.is_match(&scenario.name))
    }

    /// What is asked for and cannot be, each with its reason.
    pub(crate) fn left_out(&self) -> Vec<String> {
        let mut left_out = Vec::new();
        for kernel in self.kernels {
            for implementation in self.implementations {
                if let Some(reason) = implementation.why_not(kernel) {
                    left_out.push(format!("[{} {} {implementation}]: {reason}", kernel.name, kernel.arch));
                }
            }
        }
        left_out
    }

    /// Why there is no case.
    fn nothing(&self, scenarios: &[Scenario]) -> String {
        let patterns: Vec<_> = self.patterns.iter().map(Regex::as_str).collect();
        let implementations: Vec<_> = self.implementations.iter().map(ToString::to_string).collect();
        let mut text = format!(
            "no scenario matches --scenario {patterns:?} --machine {:?} --impl {implementations:?}",
            self.machines.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()
        );
        for scenario in scenarios.iter().filter(|scenario| !patterns.is_empty() && self.wants(scenario)) {
            text.push_str(&format!(
                "\n  `{}` runs on {}, on {}",
                scenario.name,
                scenario.machines.join(" "),
                scenario.implementations.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            ));
        }
        for left_out in self.left_out() {
            text.push_str(&format!("\n  not run: {left_out}"));
        }
        text.push_str("\n`cargo xtask test-qemu --machine all --list` shows all of them");
        text
    }
}

/// Cases that run in one guest, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    /// At least one; all of the same machine, kernel and implementation.
    pub(crate) cases: Vec<Case>,
}

impl Boot {
    /// Puts cases that may share a guest together. Guests of one case come first: they are the long ones.
    pub(crate) fn group(cases: Vec<Case>) -> Vec<Self> {
        let (mut boots, mut shared): (Vec<Self>, Vec<Self>) = (Vec::new(), Vec::new());
        for case in cases {
            if case.scenario.own_guest {
                boots.push(Self { cases: vec![case] });
                continue;
            }
            let same = |boot: &&mut Self| {
                let first = boot.first();
                (&first.machine, &first.kernel, first.implementation, first.scenario.waits)
                    == (&case.machine, &case.kernel, case.implementation, case.scenario.waits)
            };
            match shared.iter_mut().find(same) {
                Some(boot) => boot.cases.push(case),
                None => shared.push(Self { cases: vec![case] }),
            }
        }
        // Waiting takes long and costs nothing, so it begins first.
        shared.sort_by_key(|boot| !boot.first().scenario.waits);
        boots.append(&mut shared);
        boots
    }

    /// The case that stands for what all of them have in common.
    pub(crate) fn first(&self) -> &Case {
        &self.cases[0]
    }

    /// Name for folders and the live view.
    pub(crate) fn label(&self) -> String {
        let Case { scenario, machine, kernel, implementation, .. } = self.first();
        if scenario.own_guest {
            format!("{machine}-{kernel}-{implementation}-{}", scenario.name)
        } else if scenario.waits {
            format!("{machine}-{kernel}-{implementation}-waits")
        } else {
            format!("{machine}-{kernel}-{implementation}")
        }
    }
}

#[cfg(test)]
mod tests;
