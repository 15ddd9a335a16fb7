// SPDX-License-Identifier: GPL-2.0-only
//! The guests that measure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::table::{self, Measured};
use crate::console::Scanner;
use crate::guest::event::{End, Event};
use crate::guest::qemu::Folder;
use crate::guest::run::Limits;
use crate::guest::{Provisions, Spec, run};
use crate::progress;

/// How often each implementation is booted.
const BOOTS: usize = 2;

/// One thread executes all CPUs in turn, and the guest's clock is no clock: on a quiet host a boot takes a tenth of this.
const BOOT_LIMIT: Duration = Duration::from_secs(240);

/// What one implementation has come to.
pub(super) struct Implemented {
    /// The kernel's release.
    pub(super) release: String,
    pub(super) boots: Vec<Measured>,
}

/// Writes what the guests run.
pub(super) fn script(folder: &Path, arguments: &str) -> Result<PathBuf> {
    let script = folder.join("bench.sh");
    std::fs::write(&script, format!("#!/bin/sh\nexec /rig/bin/resctrl-bench run {arguments}\n"))
        .with_context(|| format!("cannot write {}", script.display()))?;
    Ok(script)
}

/// Boots one implementation, called `name`, as often as it takes.
pub(super) fn boots(name: &str, spec: &Spec, provisions: &Provisions, folder: &Path) -> Result<Implemented> {
    let boots = (1..=BOOTS).map(|number| boot(name, spec, provisions, folder, number));
    let (mut releases, boots): (Vec<_>, Vec<_>) = boots.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    Ok(Implemented { release: releases.pop().unwrap_or_default(), boots })
}

fn boot(name: &str, spec: &Spec, provisions: &Provisions, folder: &Path, number: usize) -> Result<(String, Measured)> {
    let label = format!("{name}, boot {number} of {BOOTS}");
    let folders = ["", "-again"].map(|again| Folder(folder.join(format!("{name}.{number}{again}"))));
    let spinner = progress::spinner(&label);
    let (mut output, mut said, mut code) = (Vec::new(), Vec::new(), None);
    let mut release = None;
    let limits = Limits { boot: BOOT_LIMIT, scenarios: BTreeMap::new(), script: None }.stretched(spec.slowness());
    let (scanner, again) = (Scanner::new()?, format!("{label}: "));
    let (end, folder) =
        run::run_again_if_not_up(spec, provisions, folders, &scanner, &limits, &again, &mut |event| match event {
            Event::Booted(available) => release = Some(available.kernel),
            Event::Bytes { error: false, bytes } => {
                output.extend(bytes);
                let done = output.iter().filter(|byte| **byte == b'\n').count();
                spinner.set_message(format!("{label}: {done} operations, {}", last(&output)));
            }
            Event::Bytes { error: true, bytes } => said.extend(bytes),
            Event::Exited { code: exited, .. } => code = Some(exited),
            _ => {}
        });
    spinner.finish_and_clear();
    let (end, place) = (end?, || format!("{label}; console log: {}", folder.console().display()));
    let after = || match last(&output).as_str() {
        "" => String::new(),
        last => format!("after {last}: "),
    };
    ensure!(matches!(end, End::Done), "{}{}; {}", after(), end.describe(), place());
    ensure!(code == Some(0), "{}{}; {}", after(), String::from_utf8_lossy(&said).trim(), place());
    let measured = table::parse(&String::from_utf8_lossy(&output)).with_context(place)?;
    Ok((release.with_context(place)?, measured))
}

/// The operation that was measured last.
fn last(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    text.lines().last().and_then(|line| line.split('\t').next()).unwrap_or_default().to_owned()
}
