// SPDX-License-Identifier: GPL-2.0-only
//! A guest that carries out sequences, from the host's side.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::Scope;
use std::time::Duration;

use anyhow::{Context, Result};
use guest_tools::operation::digest;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::record::{Reader, Record, Said};
use crate::console::Scanner;
use crate::guest::event::Event;
use crate::guest::qemu::Folder;
use crate::guest::run::{self, Limits, SILENCE};
use crate::guest::{Provisions, Spec};

/// How often a plan is sent that does not arrive whole.
const SENT: usize = 5;

/// What all guests of a pair have in common.
pub(super) struct Host<'a> {
    pub(super) provisions: &'a Provisions,
    pub(super) scanner: &'a Scanner,
    pub(super) limits: &'a Limits,
}

/// Why there will be no record.
#[derive(Debug, Clone)]
pub(super) struct Gone(pub(super) String);

enum Heard {
    Said(Said),
    Ended(String),
}

pub(super) struct Replayer {
    input: File,
    heard: Receiver<Heard>,
    /// Time without a word after which the guest is given up.
    patience: Duration,
    folder: Folder,
}

impl Replayer {
    /// Boots a guest.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        host: &'scope Host<'scope>,
        spec: &'scope Spec,
        folder: PathBuf,
    ) -> Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = Folder(folder);
        let pipe = folder.input();
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .with_context(|| format!("cannot make {}", pipe.display()))?;
        // For both directions, so that neither this nor QEMU waits for the other to open it.
        let input = OpenOptions::new().read(true).write(true).open(&pipe)?;
        let (sender, heard) = channel();
        let place = folder.clone();
        scope.spawn(move || {
            let mut reader = Reader::default();
            let mut splats = String::new();
            let end = run::run(spec, host.provisions, &place, host.scanner, host.limits, &mut |event| match event {
                Event::Bytes { error: false, bytes } => {
                    for said in reader.read(&bytes) {
                        // Nobody listens any more if the run is being given up.
                        let _ = sender.send(Heard::Said(said));
                    }
                }
                Event::Splat(splat) => splats.push_str(&format!("; {}: {}", splat.kind, splat.line)),
                _ => {}
            });
            let end = match end {
                Ok(end) => end.describe() + &splats,
                Err(error) => format!("{error:#}"),
            };
            let _ = sender.send(Heard::Ended(end));
        });
        let patience = host.limits.boot + SILENCE * spec.slowness() + Duration::from_secs(30);
        Ok(Self { input, heard, patience, folder })
    }

    /// Its logs.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Waits until it can take a plan.
    pub(super) fn wait_until_ready(&mut self) -> Result<(), Gone> {
        loop {
            if self.hear()? == Said::Ready {
                return Ok(());
            }
        }
    }

    fn hear(&mut self) -> Result<Said, Gone> {
        match self.heard.recv_timeout(self.patience) {
            Ok(Heard::Said(Said::Garbage(line))) => Err(Gone(format!("the guest wrote `{line}`"))),
            Ok(Heard::Said(said)) => Ok(said),
            Ok(Heard::Ended(why)) => Err(Gone(why)),
            Err(RecvTimeoutError::Timeout) => Err(Gone("the guest said nothing for too long".to_owned())),
            Err(RecvTimeoutError::Disconnected) => Err(Gone("the guest is gone".to_owned())),
        }
    }

    /// Sends a plan: operations, one a line.
    pub(super) fn send(&mut self, id: u64, text: &str) -> Result<(), Gone> {
        let head = format!("plan {id} {} {:x}\n", text.lines().count(), digest(text.as_bytes()));
        self.input.write_all((head + text).as_bytes()).map_err(|error| Gone(error.to_string()))
    }

    /// The record of the plan that was sent.
    pub(super) fn receive(&mut self, id: u64, text: &str) -> Result<Record, Gone> {
        for _ in 0..SENT {
            match self.hear()? {
                Said::Done(record) if record.plan == id => return Ok(record),
                Said::Again => self.send(id, text)?,
                other => return Err(Gone(format!("the guest said {other:?}"))),
            }
        }
        Err(Gone("no plan arrives whole".to_owned()))
    }
}

impl Drop for Replayer {
    fn drop(&mut self) {
        // A guest that is gone does not need to be told.
        let _ = self.input.write_all(b"end\n");
    }
}
