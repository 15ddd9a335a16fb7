// SPDX-License-Identifier: GPL-2.0-only
//! A guest that runs one script, with caches that follow what it does, or still ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::console::Scanner;
use crate::guest::event::{End, Event};
use crate::guest::platform::PlatformOptions;
use crate::guest::qemu::Folder;
use crate::guest::run::Limits;
use crate::guest::visit::Visit;
use crate::guest::{Pace, Plan, Provisions, Spec, System, run};
use crate::kernels::{Arch, Kernel};
use crate::machine::{self, Chosen};
use crate::scenario::Implementation;
use crate::toolroot::{ToolOptions, ToolRoot};

/// From power-on to `init`; on a quiet host a tenth of this.
const BOOT_LIMIT: Duration = Duration::from_secs(900);
/// Of the script, many times what it takes.
const SCRIPT_LIMIT: Duration = Duration::from_secs(900);

/// Where guests come from.
#[derive(Debug, clap::Args)]
pub(super) struct Guests {
    /// Machine to emulate, with an L3: a file of qemu-images/machines/ without .toml, or a file of your own (docs/machines.md)
    #[arg(long, value_name = "NAME|FILE", default_value = "intel")]
    machine: String,
    /// Kernel to boot: a file of qemu-images/kernels/ without .toml
    #[arg(long, value_name = "NAME", default_value = "stock")]
    kernel: String,
    /// Which resctrl the guest runs
    #[arg(long = "impl", value_enum, default_value_t = Implementation::Rust)]
    implementation: Implementation,
    #[command(flatten)]
    tools: ToolOptions,
}

/// What caches do from power-on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caches {
    Still,
    Follow,
}

/// All that guests are made from.
pub(super) struct Made {
    machines: [Chosen; 2],
    tools: ToolRoot,
    system: System,
    folder: PathBuf,
}

impl Guests {
    /// Builds and fetches what is needed; files go to `folder`.
    pub(super) fn make(&self, folder: PathBuf) -> Result<Made> {
        let kind = PlatformOptions::default().kind();
        let still = machine::load(&self.machine, kind)?;
        ensure!(
            still.hardware.has_controls() && still.hardware.cache.l3.is_some(),
            "machine {} has no caches that could follow",
            still.name
        );
        let path = folder.join(format!("{}-follow.toml", still.name.to_string().trim_end_matches(".toml")));
        let text =
            format!("like = {:?}\ndescription = \"caches follow\"\n[cache]\nmodel = true\n", still.name.argument());
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        let follow = machine::load(path.to_str().context("odd folder")?, kind)?;
        let kernel = Kernel::load(&self.kernel, still.arch())?;
        let tools = ToolRoot::ensure(&self.tools, std::slice::from_ref(&kernel))?;
        let system = System::prepare(&tools, &kernel, self.implementation)?;
        Ok(Made { machines: [still, follow], tools, system, folder })
    }
}

/// What a guest has come to.
#[derive(Debug)]
pub(super) struct Ran {
    /// What the script printed.
    pub(super) printed: String,
    /// Processor time of QEMU up to its end.
    pub(super) processor: Duration,
}

impl Made {
    /// The instruction set.
    pub(super) fn arch(&self) -> Arch {
        self.machines[0].arch()
    }

    /// What guests need.
    pub(super) fn tools(&self) -> &ToolRoot {
        &self.tools
    }

    /// The folder for files.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes what a guest runs.
    pub(super) fn script(&self, text: &str) -> Result<PathBuf> {
        let path = self.folder.join("script.sh");
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A guest that runs a script.
    pub(super) fn spec(&self, caches: Caches, script: &Path, pace: Pace, qemu_arguments: Vec<String>) -> Result<Spec> {
        let Chosen { name, hardware, text } = self.machines[usize::from(caches == Caches::Follow)].clone();
        Ok(Spec {
            machine: name.to_string(),
            hardware,
            machine_text: text,
            system: self.system.clone(),
            plan: Plan::Script(script.to_owned()),
            settings: BTreeMap::new(),
            append: String::new(),
            qemu_arguments,
            platform: PlatformOptions::default().find(self.arch())?,
            pace,
            visit: Visit::default(),
        })
    }

    /// Boots a guest, once more if it does not come up.
    pub(super) fn run(&self, spec: &Spec, provisions: &Provisions, name: &str) -> Result<Ran> {
        let folders = ["", "-again"].map(|again| Folder(self.folder.join(format!("{name}{again}"))));
        let limits = Limits { boot: BOOT_LIMIT, scenarios: BTreeMap::new(), script: Some(SCRIPT_LIMIT) };
        let limits = limits.stretched(spec.slowness());
        let (mut output, mut said, mut code, mut processor) = (Vec::new(), Vec::new(), None, Duration::ZERO);
        let again = format!("{name}: ");
        let (end, folder) =
            run::run_again_if_not_up(spec, provisions, folders, &Scanner::new()?, &limits, &again, &mut |event| {
                match event {
                    Event::Bytes { error: false, bytes } => output.extend(bytes),
                    Event::Bytes { error: true, bytes } => said.extend(bytes),
                    Event::Exited { code: exited, .. } => code = Some(exited),
                    Event::Processor(taken) => processor = taken,
                    _ => {}
                }
            });
        let (end, place) = (end?, format!("{name}; console log: {}", folder.console().display()));
        ensure!(matches!(end, End::Done), "{}: {place}", end.describe());
        ensure!(code == Some(0), "the script failed: {}; {place}", String::from_utf8_lossy(&said).trim());
        Ok(Ran { printed: String::from_utf8_lossy(&output).into_owned(), processor })
    }
}
