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
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::checks;
use crate::guest::platform::Kind;
use crate::guest::policy;
use crate::kernels::{Arch, Kernel};
use crate::machine;
use crate::needs::{Found, Needs};
use fault::Fault;
pub(crate) use selection::{Again, Boot, Case, Selection, Shard};

/// Time limit of a scenario that names none: several times what any of them takes, for hosts with more to do than this.
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);
/// How many times longer its limit is than a scenario takes, where it does not say so.
const HURRY: u32 = 20;

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
    /// What a machine must have for it.
    pub(crate) needs: Needs,
    /// Of the project's own machines, those it runs on, by name; none: all that have what it needs. If it does not say what it needs,
    /// it is made for these alone.
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
    /// How long it takes where nothing else runs, more or less, if it says so.
    lasts: Option<Duration>,
    /// Kernel arguments it needs.
    append: String,
    /// Parameters of `resctrl.ko`. If it has both, the arguments tell the kernel's own what the parameters tell ours.
    pub(crate) parameters: String,
    /// `resctrl.ko` may refuse to load; the scenario finds out.
    pub(crate) refusal: bool,
    /// It puts the machine to sleep or takes its power away, and goes on.
    pub(crate) suspends: bool,
    /// Standard output must be the same on both implementations.
    pub(crate) compare: bool,
    /// Both implementations run at once, and the rig talks to them.
    pub(crate) lockstep: bool,
    /// The code that runs in both leads the rig on, instead of what they answer.
    pub(crate) guided: bool,
    /// Its guest has the kernel's selftests.
    pub(crate) selftests: bool,
    /// Its guest has the program that uses goresctrl.
    pub(crate) goresctrl: bool,
    /// Its guest has the Debian package of the module, twice.
    pub(crate) package: bool,
    /// Its guest has a root file system with these Debian packages; `NAME/ARCH` on that instruction set alone.
    packages: Vec<String>,
    /// A policy of SELinux or a profile of AppArmor that its guest has: a file of `qemu-images/guest/` without its ending.
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
            needs: Needs::default(),
            machines: Vec::new(),
            kernels: Vec::new(),
            implementations: vec![Implementation::Kernel, Implementation::Rust],
            limit: DEFAULT_LIMIT,
            seconds: None,
            own_guest: false,
            lasts: None,
            only_asked: false,
            append: String::new(),
            parameters: String::new(),
            refusal: false,
            suspends: false,
            compare: false,
            lockstep: false,
            guided: false,
            selftests: false,
            goresctrl: false,
            package: false,
            packages: Vec::new(),
            policy: None,
            snapshots: Vec::new(),
            fault: None,
            checks: checks::named_in(text),
        };
        let mut seen = BTreeSet::new();
        for (number, line) in text.lines().enumerate() {
            if line.starts_with("#!") || line.starts_with("# SPDX-") || line == "#" {
                continue;
            }
            let Some(comment) = line.strip_prefix("# ") else { break };
            match comment.split_once(": ") {
                Some((key, value)) if is_key(key) => {
                    let set = match seen.insert(key) {
                        true => scenario.set(key, value.trim()),
                        false => Err(anyhow!("it is there twice")),
                    };
                    set.with_context(|| format!("{}:{}: {key}", place(name), number + 1))?;
                }
                _ if scenario.about.is_empty() => comment.clone_into(&mut scenario.about),
                _ => {}
            }
        }
        ensure!(!scenario.about.is_empty(), "{}: it does not say what it shows", place(name));
        ensure!(
            !(scenario.needs.is_empty() && scenario.machines.is_empty()),
            "{}: it says neither what it `needs` nor for which `machines` it is made",
            place(name)
        );
        Ok(scenario)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "needs" => self.needs = Needs::parse(value)?,
            "kernels" => self.kernels = known(value, "kernel", &NAMES.kernels)?,
            "machines" => self.machines = known(value, "machine", &NAMES.machines)?,
            "impl" => self.implementations = implementations(value)?,
            "timeout" => self.limit = Duration::from_secs(seconds(value)?),
            "seconds" => {
                let (setting, unasked) = match value.split_once(" unasked=") {
                    Some((setting, unasked)) => (setting, Some(seconds(unasked)?)),
                    None => (value, None),
                };
                let (variable, default) = setting.split_once('=').context("expected VARIABLE=SECONDS")?;
                self.seconds = Some(Seconds { variable: variable.to_owned(), default: seconds(default)?, unasked });
            }
            "guest" => match value {
                "own" => self.own_guest = true,
                "shared" => {}
                _ => bail!("expected `own` or `shared`"),
            },
            "lasts" => self.lasts = Some(Duration::from_secs(seconds(value)?)),
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
            "suspends" => match value {
                "yes" => (self.own_guest, self.suspends) = (true, true),
                "no" => self.suspends = false,
                _ => bail!("expected `yes` or `no`"),
            },
            "compare" => match value {
                "yes" => self.compare = true,
                "no" => self.compare = false,
                _ => bail!("expected `yes` or `no`"),
            },
            "lockstep" => match value {
                "yes" | "guided" => (self.own_guest, self.lockstep, self.guided) = (true, true, value == "guided"),
                "no" => self.lockstep = false,
                _ => bail!("expected `yes`, `guided` or `no`"),
            },
            "programs" => match value {
                "selftests" => self.selftests = true,
                "goresctrl" => self.goresctrl = true,
                "package" => self.package = true,
                _ => bail!("expected `selftests`, `goresctrl` or `package`"),
            },
            "policy" => {
                ensure!(policy::source(value).is_some(), "there is no policy {value} in qemu-images/guest");
                self.policy = Some(value.to_owned());
            }
            "packages" => {
                self.own_guest = true;
                self.packages = value.split_whitespace().map(str::to_owned).collect();
                let arches = Arch::ALL.map(|arch| arch.to_string());
                for package in &self.packages {
                    if let Some((_, arch)) = package.split_once('/') {
                        ensure!(
                            arches.iter().any(|known| known == arch),
                            "`{package}`: expected NAME or NAME/{}",
                            arches.join("|")
                        );
                    }
                }
            }
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
                let fault = Fault::parse(value)?;
                known(fault.kernel(), "kernel", &NAMES.kernels)?;
                self.fault = Some(fault);
            }
            _ => bail!("there is no such setting; docs/rig.md has all"),
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

    /// The Debian packages that its guest has on an instruction set.
    pub(crate) fn packages(&self, arch: Arch) -> Vec<String> {
        let arch = arch.to_string();
        let here = self.packages.iter().map(|package| package.split_once('/').unwrap_or((package, &arch)));
        here.filter(|(_, only)| *only == arch).map(|(name, _)| name.to_owned()).collect()
    }

    /// How long it takes where nothing else runs, more or less.
    pub(crate) fn lasts(&self) -> Duration {
        self.lasts.unwrap_or(self.limit / HURRY)
    }

    /// It cannot share a guest.
    pub(crate) const fn needs_a_guest(&self) -> bool {
        self.own_guest
    }

    /// Why it does not run on this kernel.
    fn why_not_on(&self, kernel: &Kernel) -> Option<String> {
        let runs = self.kernels.is_empty() || self.kernels.iter().any(|name| name == kernel.like());
        (!runs).then(|| format!("is for kernel {}", self.kernels.join(" ")))
    }

    /// Why it does not run on this machine, where resctrl finds this.
    pub(crate) fn why_not(&self, machine: &machine::Name, found: &Found) -> Option<String> {
        if self.needs.is_empty() {
            let is_there = !machine.is_the_users() && machine.is_in(&self.machines);
            return (!is_there).then(|| format!("is made for machine {}", self.machines.join(" ")));
        }
        self.needs.why_not(found).or_else(|| {
            let spared = !machine.is_the_users() && !self.machines.is_empty() && !machine.is_in(&self.machines);
            spared.then(|| format!("is spared all of the project's machines but {}", self.machines.join(" ")))
        })
    }

    /// The machines that it is for, in a few words.
    pub(crate) fn place(&self) -> String {
        match self.machines.is_empty() {
            true => format!("needs {}", self.needs),
            false => self.machines.join(" "),
        }
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

/// The file of a scenario, for messages.
fn place(name: &str) -> String {
    format!("qemu-images/guest/scenarios/{name}.sh")
}

/// A number of seconds that is no 0: what may take no time at all would always fail.
fn seconds(text: &str) -> Result<u64> {
    let seconds = text.parse().with_context(|| format!("`{text}` is no number of seconds"))?;
    ensure!(seconds > 0, "a time of 0 seconds");
    Ok(seconds)
}

/// Names that headers can have.
struct Names {
    machines: Vec<String>,
    kernels: Vec<String>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    // A folder that cannot be read has no names, which whoever asks for one is told.
    machines: machine::names(Kind::Qemu).unwrap_or_default(),
    kernels: Arch::ALL.into_iter().flat_map(|arch| Kernel::names(arch).unwrap_or_default()).collect(),
});

/// Names of machines or kernels, each of which there must be, once.
fn known(value: &str, what: &str, names: &[String]) -> Result<Vec<String>> {
    let words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
    for (number, word) in words.iter().enumerate() {
        ensure!(names.contains(word), "there is no {what} `{word}`; there are: {}", list(names));
        ensure!(!words[..number].contains(word), "`{word}` is there twice");
    }
    ensure!(!words.is_empty(), "no {what} is named");
    Ok(words)
}

/// Each once.
fn list(names: &[String]) -> String {
    names.iter().collect::<BTreeSet<_>>().into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
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
pub(crate) mod tests;
