// SPDX-License-Identifier: GPL-2.0-only
//! A script in a guest: what it says is passed on, how it ends is the end.

use std::io::{Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::console::Scanner;
use crate::guest::event::{End, Event};
use crate::guest::qemu::Folder;
use crate::guest::run::{self, Limits};
use crate::guest::visit::home::{self, Arrived};
use crate::guest::{Provisions, Spec, interrupt};
use crate::test_qemu::NO_VERDICT;

/// Exit code when the guest, not the script, failed.
const RIG_FAILED: u8 = NO_VERDICT;

/// Exit code when the script's time was over, as that of timeout(1). The guest says the same.
const OVERDUE: u8 = 124;

/// How much longer than the script a guest may take, to end it and to hand over what it left.
const GRACE: Duration = Duration::from_secs(120);

/// Boots `spec`, which has a script, passes on what it says and ends as it ends. What it left goes to `home`.
///
/// # Errors
///
/// The guest cannot be started, or files cannot be written.
pub(super) fn run(spec: &Spec, provisions: &Provisions, folder: &Path, home: Option<&Path>) -> Result<ExitCode> {
    let scanner = Scanner::new()?;
    let limit = spec.visit.limit.map(|limit| limit + GRACE * spec.slowness());
    let limits = Limits { script: limit, ..Limits::boot_only().stretched(spec.slowness()) };
    let folders = ["guest", "guest-2"].map(|name| Folder(folder.join(name)));
    let mut watcher = ScriptWatcher::default();
    let (end, folder) =
        run::run_again_if_not_up(spec, provisions, folders, &scanner, &limits, "", &mut |event| watcher.event(&event));
    finish(watcher, end, &folder, home)
}

fn finish(watcher: ScriptWatcher, end: Result<End>, folder: &Folder, home: Option<&Path>) -> Result<ExitCode> {
    let code = watcher.result(end, folder)?;
    match home.map(|home| home::take(folder, home)).transpose()? {
        Some(Arrived::Nothing) => {
            eprintln!("warning: nothing came back to --out: the guest was gone before it handed anything over");
        }
        Some(Arrived::Everything) | None => {}
    }
    Ok(code)
}

/// Passes a script's output through and remembers how it ended.
#[derive(Default)]
struct ScriptWatcher {
    booted: bool,
    code: Option<i32>,
    splats: Vec<String>,
    error: Option<std::io::Error>,
}

impl ScriptWatcher {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Booted(_) => self.booted = true,
            Event::Bytes { error, bytes } => {
                let written = if *error {
                    stderr().write_all(bytes)
                } else {
                    stdout().write_all(bytes).and_then(|()| stdout().flush())
                };
                if let Err(error) = written {
                    self.error.get_or_insert(error);
                }
            }
            Event::Exited { code, .. } => self.code = Some(*code),
            Event::Splat(splat) => self.splats.push(format!("{}: {}", splat.kind, splat.line)),
            _ => {}
        }
    }

    /// The exit code for a guest that came to this end.
    fn result(self, end: Result<End>, folder: &Folder) -> Result<ExitCode> {
        let end = match end {
            Err(_) if interrupt::requested() => return Ok(interrupt::EXIT_CODE.into()),
            end => end?,
        };
        if let Some(error) = self.error {
            return Err(error).context("cannot write the script's output");
        }
        let code = match (self.code, &end) {
            (Some(code), End::Done) => u8::try_from(code).unwrap_or(RIG_FAILED),
            (None, End::Timeout(_)) if self.booted => {
                eprintln!("error: the script's time (--timeout) is over, and the guest did not end it: it hangs");
                OVERDUE
            }
            _ => {
                eprintln!("error: {}", end.describe());
                for splat in self.splats {
                    eprintln!("  {splat}");
                }
                RIG_FAILED
            }
        };
        eprintln!("console log: {}", folder.console().display());
        Ok(code.into())
    }
}
