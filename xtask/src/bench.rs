// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask bench`.

mod page;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::console::Scanner;
use crate::guest::event::{End, Event};
use crate::guest::platform::PlatformOptions;
use crate::guest::qemu::Folder;
use crate::guest::run::Limits;
use crate::guest::{Pace, Plan, Provisions, Spec, System, interrupt, programs, run};
use crate::kernels::{Arch, Kernel};
use crate::scenario::Implementation;
use crate::test_qemu::run_folder;
use crate::toolroot::{ToolOptions, ToolRoot};
use crate::{machine, progress};
use table::{Measured, Table};

/// Measures what operations cost, on resctrl.ko and on the kernel's own resctrl, in instructions.
///
/// Both run the same program in guests whose clock counts executed instructions, each twice: so the
/// figures do not depend on this machine or on what else it does, and the same operation costs the
/// same in each boot. Operations that differ by more than a hundredth between boots are marked.
///
/// Prints a table (operation, C, ours, ratio), and writes a page with plots and `bench.json` into the
/// run's folder.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Machine to emulate: a file of qemu-images/machines/ without .toml, with two L3 caches of at least two CPUs
    #[arg(long, value_name = "NAME", default_value = "intel")]
    machine: String,
    /// Kernel to boot: a file of qemu-images/kernels/ without .toml [default: stock; on arm64 oracle]
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Fewer samples, 1000 threads at most, no CPU hotplug
    #[arg(long)]
    quick: bool,
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    tools: ToolOptions,
}

/// How often each implementation is booted.
const BOOTS: usize = 2;

/// What the guests run.
const SCRIPT: &str = "#!/bin/sh\nexec /rig/bin/resctrl-bench run $EXTENT\n";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let platform = PlatformOptions::default();
    let (machine_file, hardware) = machine::load(&options.machine, platform.kind())?;
    let arch: Arch = hardware.arch.into();
    let kernel = options.kernel.as_deref().unwrap_or(match arch {
        Arch::Amd64 => "stock",
        Arch::Arm64 => "oracle",
    });
    let kernel = Kernel::load(kernel, arch)?;
    if let Some(reason) = kernel.no_kernel_impl.as_ref().or(kernel.no_module.as_ref()) {
        bail!("nothing to compare on kernel `{}`: {reason}", kernel.name);
    }
    interrupt::install()?;
    let tools = ToolRoot::ensure(&options.tools, std::slice::from_ref(&kernel))?;
    let provisions = programs::provisions(&tools, arch)?;
    let folder = run_folder::create()?;
    let script = folder.join("bench.sh");
    std::fs::write(&script, SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
    let extent = if options.quick { "quick" } else { "" };
    let specs = [Implementation::Kernel, Implementation::Rust].map(|implementation| {
        Ok(Spec {
            machine: options.machine.clone(),
            machine_file: machine_file.clone(),
            hardware: hardware.clone(),
            system: System::prepare(&tools, &kernel, implementation)?,
            plan: Plan::Script(script.clone()),
            settings: BTreeMap::from([("EXTENT".to_owned(), extent.to_owned())]),
            append: String::new(),
            qemu_arguments: Vec::new(),
            platform: platform.find(arch)?,
            pace: Pace::Instructions,
        })
    });
    let [theirs, ours] = specs.map(|spec: Result<Spec>| spec);
    let (theirs, ours) = (theirs?, ours?);
    let start = Instant::now();
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| boots(&theirs, &provisions, &folder));
        let ours = boots(&ours, &provisions, &folder);
        (theirs.join().unwrap_or_else(|_| Err(anyhow!("the thread of a guest has panicked"))), ours)
    });
    if interrupt::requested() {
        return Ok(interrupt::EXIT_CODE.into());
    }
    let table = Table::new(&theirs?, &ours?);
    println!("{}", table.text());
    println!("{}", table.summary());
    let json = table.json(&options.machine, &kernel.name)?;
    let written = [Some(folder.join("bench.json")), options.json.clone()];
    for path in written.iter().flatten() {
        std::fs::write(path, &json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let report = folder.join("bench.html");
    std::fs::write(&report, page::page(&table, &options.machine, &kernel.name)?)?;
    println!("page: {}; guests {:.0} s", report.display(), start.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// Boots one implementation as often as it takes.
fn boots(spec: &Spec, provisions: &Provisions, folder: &Path) -> Result<Vec<Measured>> {
    (1..=BOOTS).map(|number| boot(spec, provisions, folder, number)).collect()
}

fn boot(spec: &Spec, provisions: &Provisions, folder: &Path, number: usize) -> Result<Measured> {
    let implementation = spec.system.implementation();
    let folder = Folder(folder.join(format!("{implementation}.{number}")));
    let spinner = progress::spinner(&format!("{implementation}, boot {number} of {BOOTS}"));
    let (mut output, mut said, mut code) = (Vec::new(), Vec::new(), None);
    let mut booted = false;
    // One thread for all CPUs, and the guest's clock is no clock.
    let limits = Limits { boot: Duration::from_secs(600), scenarios: BTreeMap::new() };
    let end = run::run(spec, provisions, &folder, &Scanner::new()?, &limits, &mut |event| match event {
        Event::Booted(_) => booted = true,
        Event::Bytes { error: false, bytes } => {
            output.extend(bytes);
            if let Some(line) = String::from_utf8_lossy(&output).lines().last() {
                let name = line.split('\t').next().unwrap_or_default();
                spinner.set_message(format!("{implementation}, boot {number} of {BOOTS}: {name}"));
            }
        }
        Event::Bytes { error: true, bytes } => said.extend(bytes),
        Event::Exited { code: exited, .. } => code = Some(exited),
        _ => {}
    })?;
    spinner.finish_and_clear();
    let place = || format!("{implementation}: console log: {}", folder.console().display());
    ensure!(matches!(end, End::Done) && booted, "{}; {}", end.describe(), place());
    ensure!(code == Some(0), "{}; {}", String::from_utf8_lossy(&said).trim(), place());
    table::parse(&String::from_utf8_lossy(&output)).with_context(place)
}
