// SPDX-License-Identifier: GPL-2.0-only
//! Scenarios: shell scripts in `qemu-images/guest/scenarios/` whose header comments say where and
//! how they run.
//!
//! Text becomes a [`Scenario`], scenarios become [`Case`]s (one for each machine, kernel and
//! implementation), cases become [`Boot`]s (those that can share a guest share one). Nothing here
//! runs anything. The header is described in `docs/rig.md`.

pub(crate) mod fault;
pub(crate) mod known;
mod selection;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::checks;
use crate::kernels::Kernel;
use fault::Fault;
pub(crate) use selection::{Again, Boot, Case, Selection, Shard};

/// Time limit of a scenario that names none: several times what any of them takes, for hosts with more to do than this.
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

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
    /// It needs a guest for itself, on any implementation.
    own_guest: bool,
    /// It has no part in a run of everything.
    pub(crate) only_asked: bool,
    /// It sleeps most of the time: it shares a guest with others that do, beside those that compute.
    pub(crate) waits: bool,
    /// Kernel arguments it needs.
    append: String,
    /// Parameters of `resctrl.ko`. If it has both, the arguments tell the kernel's own what the parameters tell ours.
    pub(crate) parameters: String,
    /// `resctrl.ko` may refuse to load; the scenario finds out.
    pub(crate) refusal: bool,
    /// Standard output must be the same on both implementations.
    pub(crate) compare: bool,
    /// Both implementations run at once, and the rig talks to them.
    pub(crate) lockstep: bool,
    /// Its guest has the kernel's selftests.
    pub(crate) selftests: bool,
    /// A policy of SELinux that its guest has: a file of `qemu-images/guest/` without `.cil`.
    pub(crate) policy: Option<String>,
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
            policy: None,
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
            "append" => value.clone_into(&mut self.append),
            "parameters" => value.clone_into(&mut self.parameters),
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
            "policy" => self.policy = Some(value.to_owned()),
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

    /// Kernel arguments it needs with this implementation.
    pub(crate) fn arguments(&self, implementation: Implementation) -> &str {
        match implementation {
            Implementation::Rust if !self.parameters.is_empty() => "",
            _ => &self.append,
        }
    }

    /// It cannot share a guest: kernel arguments cannot change between scenarios of one boot. Parameters of the module can.
    pub(crate) fn needs_a_guest(&self, implementation: Implementation) -> bool {
        self.own_guest || !self.arguments(implementation).is_empty()
    }

    /// It runs on this kernel.
    fn runs_on(&self, kernel: &Kernel) -> bool {
        self.kernels.is_empty() || self.kernels.iter().any(|name| name == kernel.like())
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

#[cfg(test)]
mod tests;
