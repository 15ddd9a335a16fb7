// SPDX-License-Identifier: GPL-2.0-only
//! Boots a guest by the command line that was printed, with nothing of the rig's in it: a kernel, and an initial RAM disk with busybox
//! and a script that mounts resctrl and shows what is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::parts::{self, Parts};
use crate::guest::{facts_of, interrupt};
use crate::initramfs::Initramfs;
use crate::kernels::{Arch, Kernel};
use crate::toolroot::ToolRoot;

/// From power-on to power-off. It takes ten seconds on an idle host.
const LIMIT: Duration = Duration::from_secs(300);

/// What begins the lines that the script says.
const SAID: &str = "resctrl-plugin: ";

/// First process of the guest.
const INIT: &str = r#"#!/bin/sh
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
dmesg | grep MPAM | sed 's/^/resctrl-plugin: kernel: /'
if mount -t resctrl resctrl /sys/fs/resctrl; then
	cd /sys/fs/resctrl
	for file in schemata info/*/*; do
		sed "s|^|resctrl-plugin: $file: |" "$file" 2>/dev/null
	done
fi
echo 'resctrl-plugin: end'
poweroff -f
"#;

/// What the guest has said.
#[derive(Debug, Default)]
struct Said {
    /// Lines of files, by their names.
    files: BTreeMap<String, Vec<String>>,
    /// It has come to its end.
    whole: bool,
}

impl Said {
    fn read(console: &str) -> Self {
        let mut said = Self::default();
        for line in console.lines().filter_map(|line| line.trim_end().split_once(SAID).map(|(_, rest)| rest)) {
            match line.split_once(": ") {
                Some((file, text)) => said.files.entry(file.to_owned()).or_default().push(text.to_owned()),
                None => said.whole |= line == "end",
            }
        }
        said
    }

    fn lines(&self, file: &str) -> &[String] {
        self.files.get(file).map_or(&[], Vec::as_slice)
    }
}

/// The contents that files must have on the machine with these facts, and how many domains each resource.
fn wanted(facts: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let fact = |name: &str| facts.get(name).cloned();
    let mut wanted = Vec::new();
    for resource in ["L3", "L2", "MB", "SMBA"] {
        for (file, name) in [("cbm_mask", "MASK"), ("num_closids", "CLOSIDS")] {
            wanted.extend(fact(&format!("{resource}_{name}")).map(|value| (format!("info/{resource}/{file}"), value)));
        }
    }
    if let Some(events) = fact("MON_EVENTS").filter(|events| !events.is_empty()) {
        wanted.extend(fact("RMIDS").map(|value| ("info/L3_MON/num_rmids".to_owned(), value)));
        wanted.push(("info/L3_MON/mon_features".to_owned(), events));
    }
    wanted
}

/// Compares what the guest's resctrl shows with the machine; tells what was compared.
fn compare(said: &Said, facts: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let mut compared = Vec::new();
    for (file, wanted) in wanted(facts) {
        // Of events there may be more files than are written here: those by which they are configured.
        let shown: Vec<&str> =
            said.lines(&file).iter().map(|line| line.trim()).filter(|line| !line.ends_with("_config")).collect();
        let shown = shown.join(" ");
        ensure!(shown == wanted, "the guest's {file} has `{shown}`, the machine `{wanted}`");
        compared.push(format!("{file} {wanted}"));
    }
    for resource in ["L3", "L2"] {
        let (mask, domains) = (facts.get(&format!("{resource}_MASK")), facts.get(&format!("{resource}_DOMAINS")));
        let (Some(mask), Some(domains)) = (mask, domains) else { continue };
        let line = said.lines("schemata").iter().find_map(|line| line.trim().strip_prefix(&format!("{resource}:")));
        let line = line.with_context(|| format!("the guest's schemata have no {resource}"))?;
        let free = line.split(';').filter(|domain| domain.ends_with(&format!("={mask}"))).count();
        ensure!(
            free.to_string() == *domains && line.split(';').count() == free,
            "the guest's schemata have `{resource}:{line}`, the machine {domains} domains with {mask}"
        );
        compared.push(format!("schemata {resource}:{line}"));
    }
    ensure!(!compared.is_empty(), "the machine has nothing that could be compared");
    Ok(compared)
}

/// The kernel's driver has found the hardware; it is all that can be seen where the kernel has no resctrl of its own.
fn compare_driver(said: &Said, facts: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let fact = |name: &str| facts.get(name).map_or("", String::as_str);
    let wanted = format!("MPAM enabled with {} PARTIDs and {} PMGs", fact("PARTIDS"), fact("PMGS"));
    ensure!(
        said.lines("kernel").iter().any(|line| line.contains(&wanted)),
        "the guest's kernel log has not `{wanted}`, but: {}",
        said.lines("kernel").join("; ")
    );
    Ok(vec![wanted])
}

/// The initial RAM disk of the guest, in `folder`.
pub(super) fn initrd(parts: &Parts, busybox: &Path, folder: &Path) -> Result<PathBuf> {
    let mut root = Initramfs::new();
    root.program("init", INIT);
    root.copy("bin/busybox", busybox)?;
    root.link("bin/sh", "busybox");
    let path = folder.join("initrd");
    root.save(&path)?;
    if let Some(tables) = parts.tables() {
        // As `cat` does.
        let all = [fs::read(tables)?, fs::read(&path)?].concat();
        fs::write(&path, all).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(path)
}

/// What is added to a command line to boot a kernel.
pub(super) fn to_boot(kernel: &Path, initrd: &Path, arch: Arch, more: &str) -> Vec<String> {
    let append = match arch {
        Arch::Amd64 => "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check",
        Arch::Arm64 => "console=ttyAMA0 quiet panic=-1",
    };
    let append = format!("{append} {more}");
    let (kernel, initrd) = (kernel.display().to_string(), initrd.display().to_string());
    ["-nographic", "-no-reboot", "-kernel", &kernel, "-initrd", &initrd, "-append", append.trim_end()]
        .map(str::to_owned)
        .to_vec()
}

/// How a QEMU has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit code; `None` if it was killed when its time was over.
    pub(super) code: Option<i32>,
    /// What it and the guest have said.
    pub(super) said: String,
}

/// Runs a line of a shell; what it says goes to the file `log` as well.
pub(super) fn run_line(line: &str, log: &Path, limit: Duration) -> Result<Ended> {
    let handle = duct::cmd("sh", ["-c", &format!("exec {line}")])
        .stdin_null()
        .stderr_to_stdout()
        .stdout_path(log)
        .unchecked()
        .start()
        .context("cannot start a shell")?;
    let start = Instant::now();
    let code = loop {
        if let Some(output) = handle.try_wait()? {
            break output.status.code();
        }
        if interrupt::requested() || start.elapsed() > limit {
            handle.kill()?;
            ensure!(!interrupt::requested(), "interrupted");
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    Ok(Ended { code, said })
}

/// Boots `kernel` by the command line and compares.
pub(super) fn run(parts: &Parts, kernel: &Kernel, tools: &ToolRoot) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let image = tools.kernel(kernel)?.image;
    let initrd = initrd(parts, &tools.busybox(kernel.arch), folder.path())?;
    let more = parts::line(&to_boot(&image, &initrd, kernel.arch, &kernel.arguments));
    let facts = facts_of(&parts.machine);
    let mut again = false;
    loop {
        let ended = run_line(&format!("{} {more}", parts.command_line()), &folder.path().join("console"), LIMIT)?;
        let said = Said::read(&ended.said);
        if !said.whole && !again && ended.code.is_none() {
            eprintln!("the guest has not come to its end in {} s; trying once more", LIMIT.as_secs());
            again = true;
            continue;
        }
        if !said.whole {
            let last: Vec<&str> = ended.said.lines().rev().take(20).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            bail!("the guest has not come to its end; last it said:\n{}", last.join("\n"));
        }
        let (whose, compared) = match kernel.no_kernel_impl {
            Some(_) => ("driver", compare_driver(&said, &facts)?),
            None => ("own resctrl", compare(&said, &facts)?),
        };
        eprintln!("booted by that command line, kernel {}: its {whose} shows {}", kernel.name, compared.join(", "));
        return Ok(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> BTreeMap<String, String> {
        facts_of(&crate::machine::load("intel", crate::guest::platform::Kind::Qemu).unwrap().hardware)
    }

    const CONSOLE: &str = "SeaBIOS\r\n[    1.0] x\r\nresctrl-plugin: schemata:     MB:0=100;1=100\r\n\
        resctrl-plugin: schemata:     L3:0=fff;1=fff\r\nresctrl-plugin: info/L3/cbm_mask: fff\r\n\
        resctrl-plugin: info/L3/num_closids: 16\r\nresctrl-plugin: info/MB/num_closids: 8\r\n\
        resctrl-plugin: info/L3_MON/num_rmids: 32\r\nresctrl-plugin: info/L3_MON/mon_features: llc_occupancy\r\n\
        resctrl-plugin: info/L3_MON/mon_features: mbm_total_bytes\r\n\
        resctrl-plugin: info/L3_MON/mon_features: mbm_local_bytes\r\nresctrl-plugin: end\r\n";

    #[test]
    fn a_guest_that_shows_the_machine_passes() {
        let said = Said::read(CONSOLE);
        assert!(said.whole);
        let compared = compare(&said, &facts()).unwrap();
        assert!(compared.contains(&"schemata L3:0=fff;1=fff".to_owned()), "{compared:?}");
    }

    #[test]
    fn a_guest_that_shows_something_else_or_nothing_does_not() {
        for (from, to, why) in [
            ("cbm_mask: fff", "cbm_mask: 7ff", "info/L3/cbm_mask has `7ff`, the machine `fff`"),
            ("L3:0=fff;1=fff", "L3:0=fff", "the machine 2 domains with fff"),
            ("L3:0=fff;1=fff", "L3:0=fff;1=ff", "the machine 2 domains with fff"),
            ("num_rmids: 32", "num_rmids: 64", "num_rmids has `64`"),
        ] {
            let error = compare(&Said::read(&CONSOLE.replace(from, to)), &facts()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(compare(&Said::read("resctrl-plugin: end\n"), &facts()).is_err());
        assert!(!Said::read("[    1.0] Kernel panic\n").whole);
    }
}
