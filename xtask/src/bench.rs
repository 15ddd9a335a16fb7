// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask bench`.

mod boot;
mod docs;
mod guard;
mod page;
pub(crate) mod pair;
mod table;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::guest::platform::{Kind, PlatformOptions};
use crate::guest::visit::Visit;
use crate::guest::{Pace, Plan, Spec, System, interrupt, programs};
use crate::kernels::{Arch, Kernel};
use crate::scenario::Implementation;
use crate::shell::word;
use crate::test_qemu::run_folder;
use crate::toolroot::{ToolOptions, ToolRoot};
use crate::{machine, workspace};
use page::OfSize;
use table::{Origin, Table};

/// It is measured in QEMU.
const KIND: Kind = Kind::Qemu;

/// Measures what operations cost, on resctrl.ko and on the kernel's own resctrl, in instructions.
///
/// Both run the same program in guests whose clock counts executed instructions, each twice: so the
/// figures do not depend on this machine or on what else it does, and the same operation costs the
/// same in each boot. Operations that differ by more than a hundredth between boots are marked.
///
/// Prints a table (operation, C, ours, ratio; interrupts between CPUs, and accesses to the hardware's
/// registers), and writes `bench.json` into the run's folder and a page with plots (`target/rig/bench.html`).
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Machine to emulate, with two L3 caches of at least two CPUs: a file of qemu-images/machines/ without .toml, or a file of your
    /// own (docs/machines.md)
    #[arg(long, value_name = "NAME|FILE", default_value = "intel")]
    machine: String,
    /// Kernel to boot: a file of qemu-images/kernels/ without .toml [default: stock; on arm64 oracle]
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Fewer samples, 1000 threads at most, no CPU hotplug
    #[arg(long)]
    quick: bool,
    /// Only operations with this text in their names
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Write the figures to this file, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail if a ratio is more than 3 % worse than in this file, which --json or --docs has written, in two
    /// measurements: where the first finds something worse, it is measured again
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Measure nothing: take the figures of this file, which --json has written, and do the rest with them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "only"])]
    from: Option<PathBuf>,
    /// Bring the machine's table in docs/performance.md and docs/performance/MACHINE.json up to date
    #[arg(long, conflicts_with = "only")]
    docs: bool,
    #[command(flatten)]
    tools: ToolOptions,
}

impl Options {
    /// The command that does the same again.
    fn command(&self, machine: &str, kernel: &Kernel) -> String {
        let mut words = vec!["cargo xtask bench --machine".to_owned(), word(machine)];
        words.extend(self.kernel.is_some().then(|| format!("--kernel {}", kernel.name)));
        words.extend(self.quick.then(|| "--quick".to_owned()));
        words.extend(self.only.iter().map(|only| format!("--only {}", word(only))));
        words.join(" ")
    }

    /// What the guest's program is told.
    fn arguments(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.quick.then_some("quick"));
        if let Some(only) = &self.only {
            words.extend(["--only", only]);
        }
        words.join(" ")
    }

    fn check(&self) -> Result<()> {
        let plain = |only: &String| only.chars().all(|c| !c.is_whitespace() && !"'\"\\$`*?[".contains(c));
        match &self.only {
            Some(only) if only.is_empty() || !plain(only) => {
                bail!("--only: \"{only}\" is no part of an operation's name")
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    options.check()?;
    let measured = options.from.as_deref().map(guard::load).transpose()?;
    let asked = machine::load(measured.as_ref().map_or(&options.machine, |table| table.origin.argument()), KIND)?.name;
    ensure!(
        !(options.docs && asked.is_the_users()),
        "--docs: the documentation has tables of the project's own machines alone, and {asked} is none of them"
    );
    let machine = &asked.to_string();
    let before = options.against.as_deref().map(|file| guard::load_for(file, machine)).transpose()?;
    let table = match measured {
        Some(table) => Some(table),
        None => measure(options)?,
    };
    let Some(table) = table else { return Ok(interrupt::EXIT_CODE.into()) };
    println!("{}", table.text());
    for name in &table.only_one_has {
        println!("not compared, because only one of the two has it: {name}");
    }
    println!("{}", table.summary());
    write_files(&table, options)?;
    let Some(before) = before else { return Ok(ExitCode::SUCCESS) };
    let mut verdict = guard::compare(&before, &table);
    if verdict.is_doubtful() && options.from.is_none() {
        println!("{verdict}\nmeasuring again: what counts is what is worse both times");
        let Some(again) = measure(options)? else { return Ok(interrupt::EXIT_CODE.into()) };
        verdict = verdict.confirmed_by(&guard::compare(&before, &again));
    }
    println!("{verdict}");
    Ok(if verdict.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Boots both. Nothing comes of it if the user interrupts.
fn measure(options: &Options) -> Result<Option<Table>> {
    let platform = PlatformOptions::default();
    let machine::Chosen { name, hardware, text } = machine::load(&options.machine, platform.kind())?;
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
    let script = boot::script(&folder, &options.arguments())?;
    let spec = |implementation| -> Result<Spec> {
        Ok(Spec {
            machine: name.to_string(),
            hardware: hardware.clone(),
            machine_text: text.clone(),
            system: System::prepare(&tools, &kernel, implementation)?,
            plan: Plan::Script(script.clone()),
            settings: std::collections::BTreeMap::new(),
            append: String::new(),
            qemu_arguments: Vec::new(),
            platform: platform.find(arch)?,
            pace: Pace::Instructions,
            visit: Visit::default(),
        })
    };
    let (theirs, ours) = (spec(Implementation::Kernel)?, spec(Implementation::Rust)?);
    let command = options.command(name.argument(), &kernel);
    let commit = workspace::commit();
    let start = Instant::now();
    let sides = [(Implementation::Kernel.to_string(), theirs), (Implementation::Rust.to_string(), ours)];
    let both = pair::boots(&sides, &provisions, &folder);
    let both = both.map_err(|failure| anyhow!("{failure:#}\nto run it again: {command}"))?;
    let Some([theirs, ours]) = both else { return Ok(None) };
    let origin = Origin {
        command,
        commit,
        machine: name.to_string(),
        file: name.is_the_users().then(|| name.argument().to_owned()),
        kernel: theirs.release,
        description: hardware.description.clone(),
    };
    let table = Table::new(origin, &theirs.boots, &ours.boots);
    std::fs::write(folder.join("bench.json"), table.json()?)?;
    println!("guests {:.0} s; figures: {}", start.elapsed().as_secs_f64(), folder.join("bench.json").display());
    Ok(Some(table))
}

/// The machine of this table and others whose figures are committed, with their sizes.
fn machines(table: &Table) -> Result<Vec<OfSize>> {
    let mut tables = docs::of_other_machines(&table.origin)?;
    tables.push(table.clone());
    tables
        .into_iter()
        .map(|table| {
            let hardware = machine::load(table.origin.argument(), KIND)?.hardware;
            let of = &hardware.topology;
            let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            Ok(OfSize { counts: [("domains", count(of.l3_domains())), ("CPUs", count(of.cpus()))], table })
        })
        .collect()
}

fn write_files(table: &Table, options: &Options) -> Result<()> {
    if let Some(path) = &options.json {
        std::fs::write(path, table.json()?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let page = workspace::target().join("rig/bench.html");
    std::fs::create_dir_all(workspace::target().join("rig"))?;
    std::fs::write(&page, page::page(table, &machines(table)?)?)
        .with_context(|| format!("cannot write {}", page.display()))?;
    println!("page: {}", page.display());
    if options.docs { docs::update(table) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(only: &str) -> Options {
        Options {
            machine: "intel".to_owned(),
            kernel: None,
            quick: true,
            only: Some(only.to_owned()),
            json: None,
            against: None,
            docs: false,
            from: None,
            tools: ToolOptions::default(),
        }
    }

    #[test]
    fn the_command_to_try_again_is_the_one_that_was_given() {
        let kernel = Kernel::load("stock", Arch::Amd64).unwrap();
        assert_eq!(
            options("write/0(=self)").command("intel", &kernel),
            "cargo xtask bench --machine intel --quick --only 'write/0(=self)'"
        );
        let command = options("mkdir").command("/my files/a.toml", &kernel);
        assert_eq!(command, "cargo xtask bench --machine '/my files/a.toml' --quick --only mkdir");
        assert_eq!(options("mkdir").arguments(), "quick --only mkdir");
    }

    #[test]
    fn what_a_shell_would_change_is_no_name() {
        assert!(options("tasks-write/0(=self)").check().is_ok());
        for wrong in ["", "a b", "$x", "it's"] {
            assert!(options(wrong).check().is_err(), "{wrong}");
        }
    }
}
