// SPDX-License-Identifier: GPL-2.0-only
//! Runs one guest from power-on to its end.
//!
//! QEMU writes its serial ports to files; a loop reads what is new in them and decides when the
//! guest is at its end. No thread can be left behind, nothing is lost when xtask dies, and every
//! byte a decision was made on can be read again afterwards.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use duct::Handle;

use super::event::{End, Event};
use super::protocol::{self, Message};
use super::qemu::{self, Folder};
use super::tail::Tail;
use super::visit::home;
use super::{Plan, Platform, Provisions, Spec, debugging, fvp, interrupt};
use crate::console::Scanner;
use crate::stages;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_millis(20);

/// How long a guest may go on after a splat, so that its whole trace is on the console.
const SPLAT_GRACE: Duration = Duration::from_millis(1500);

/// How long it may at most print its trace then.
const TRACE_GRACE: Duration = Duration::from_secs(30);

/// How long a guest may take between scenarios, and to reset at the end.
const IDLE: Duration = Duration::from_secs(30);

/// How long a guest that carries out sequences may be without a word.
pub(crate) const SILENCE: Duration = Duration::from_secs(180);

/// Time limits of a guest.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// From power-on to `init` being ready. A boot takes 6 s on an idle host.
    pub(crate) boot: Duration,
    /// Of each scenario, by name.
    pub(crate) scenarios: BTreeMap<String, Duration>,
    /// Of a script, if it has one.
    pub(crate) script: Option<Duration>,
}

impl Limits {
    /// The limits of a guest that runs no scenario.
    pub(crate) fn boot_only() -> Self {
        Self { boot: Duration::from_secs(90), scenarios: BTreeMap::new(), script: None }
    }

    /// The limits for a kernel that is so many times slower than a stock kernel.
    pub(crate) fn stretched(self, slowness: u32) -> Self {
        let scenarios = self.scenarios.into_iter().map(|(name, limit)| (name, limit * slowness)).collect();
        Self { boot: self.boot * slowness, scenarios, script: self.script }
    }
}

/// A QEMU that does not outlive this value.
struct Child(Handle);

impl Child {
    /// What it has taken so far, unless it is gone.
    fn processor_time(&self) -> Option<Duration> {
        self.0.pids().into_iter().map(stages::processor_time_of).sum()
    }
}

/// How long QEMU may take to end by itself when it is told to.
const FAREWELL: Duration = Duration::from_secs(5);

impl Child {
    /// Ends it so that what is left to be written is written; what then still runs is killed.
    fn end(self) {
        for process in self.0.pids() {
            let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(process) = process {
                // Only fails if it is gone already.
                let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
            }
        }
        let start = Instant::now();
        while start.elapsed() < FAREWELL && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(PERIOD);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Only fails if it is gone already.
        let _ = self.0.kill();
    }
}

/// Makes `folder` with the guest's root folder in it, and the description of its machine.
fn prepare(spec: &Spec, provisions: &Provisions, folder: &Folder) -> Result<()> {
    std::fs::create_dir_all(&folder.0).with_context(|| format!("cannot make {}", folder.0.display()))?;
    let machine = folder.machine();
    std::fs::write(&machine, &spec.machine_text).with_context(|| format!("cannot write {}", machine.display()))?;
    spec.initramfs(provisions)?.save(&folder.initramfs())?;
    if spec.visit.takes_home {
        home::prepare(folder)?;
    }
    debugging::announce(spec, folder)?;
    match spec.platform {
        Platform::Qemu => Ok(()),
        Platform::Fvp(_) => fvp::prepare(spec, folder),
    }
}

fn command_line(spec: &Spec, provisions: &Provisions, folder: &Folder) -> Result<Vec<std::ffi::OsString>> {
    match &spec.platform {
        Platform::Qemu => Ok(qemu::command_line(spec, provisions, folder)),
        Platform::Fvp(model) => fvp::command_line(spec, model, folder),
    }
}

/// What the watch loop remembers.
struct Watch<'a> {
    scanner: &'a Scanner,
    limits: &'a Limits,
    script: bool,
    /// It carries out sequences, and tells of each; within this time if it has not hung.
    talks: Option<Duration>,
    deadline: Option<(Instant, End)>,
    /// When the first splat was seen.
    splat_at: Option<Instant>,
    /// Decided on, but the guest may still write until then.
    ending: Option<(Instant, End)>,
    done: bool,
    /// The console has said nothing yet.
    silent: bool,
    /// What runs the guest.
    program: &'static str,
    /// Somebody looks at it in a debugger: nothing is late.
    debugged: bool,
    /// How long it may go on after a splat as long as its console has more to say.
    talkative: Duration,
}

/// Boots `spec` and watches it until it ends. Everything that happens goes to `events`, the last
/// one being [`Event::Ended`].
///
/// # Errors
///
/// QEMU cannot be started, files cannot be written or read, or the user interrupted.
pub(crate) fn run(
    spec: &Spec,
    provisions: &Provisions,
    folder: &Folder,
    scanner: &Scanner,
    limits: &Limits,
    events: &mut dyn FnMut(Event),
) -> Result<End> {
    prepare(spec, provisions, folder)?;
    let line = command_line(spec, provisions, folder)?;
    let handle = duct::cmd(&line[0], &line[1..])
        .stdin_null()
        .stderr_to_stdout()
        .stdout_path(folder.qemu())
        .unchecked()
        .start()
        .with_context(|| format!("cannot start {}", line[0].display()))?;
    let child = Child(handle);
    events(Event::Started { folder: folder.0.clone() });

    let mut console = Tail::new(&folder.console());
    let mut control = Tail::new(&folder.control());
    let mut streams = [(Tail::new(&folder.stdout()), false), (Tail::new(&folder.stderr()), true)];
    let mut watch = Watch {
        scanner,
        limits,
        script: matches!(spec.plan, Plan::Script(_) | Plan::Replay(_)),
        talks: matches!(spec.plan, Plan::Replay(_)).then_some(SILENCE * spec.slowness()),
        deadline: Some((Instant::now() + limits.boot, End::BootTimeout(limits.boot))),
        splat_at: None,
        ending: None,
        done: false,
        silent: true,
        program: spec.platform.name(),
        debugged: spec.visit.debugging.gdb,
        talkative: if spec.visit.debugging.trace { TRACE_GRACE } else { SPLAT_GRACE },
    };
    let mut processor = Duration::ZERO;
    let end = loop {
        if interrupt::requested() {
            bail!("interrupted");
        }
        // It is gone with the process.
        processor = child.processor_time().unwrap_or(processor);
        // Asked before reading: what QEMU wrote before it ended is read below.
        let status = child.0.try_wait()?.map(|output| output.status);
        for line in console.lines()? {
            watch.console(line, events);
        }
        for (tail, error) in &mut streams {
            let bytes = tail.bytes()?;
            if !bytes.is_empty() {
                watch.heard();
                events(Event::Bytes { error: *error, bytes });
            }
        }
        let lines = control.lines()?;
        if !lines.is_empty() {
            events(Event::Processor(processor));
        }
        for line in lines {
            watch.control(&line, events);
        }
        if let Some(end) = watch.due() {
            break end;
        }
        if let Some(status) = status {
            break watch.died(status, folder);
        }
        std::thread::sleep(PERIOD);
    };
    child.end();
    events(Event::Processor(processor));
    events(Event::Ended(end.clone()));
    Ok(end)
}

/// As [`run`], and once more in the folder `again` if the guest hangs or dies on its way up, as any does now and then on a loaded
/// host; that is told with `said` before it. Returns how it ended, and the folder of the guest that did.
pub(crate) fn run_again_if_not_up(
    spec: &Spec,
    provisions: &Provisions,
    [folder, again]: [Folder; 2],
    scanner: &Scanner,
    limits: &Limits,
    said: &str,
    events: &mut dyn FnMut(Event),
) -> (Result<End>, Folder) {
    let mut booted = false;
    let end = run(spec, provisions, &folder, scanner, limits, &mut |event| {
        booted |= matches!(event, Event::Booted(_));
        events(event);
    });
    match &end {
        Ok(end) if !booted && end.is_worth_a_retry() => eprintln!("{said}{}; trying once more", end.describe()),
        _ => return (end, folder),
    }
    (run(spec, provisions, &again, scanner, limits, events), again)
}

impl Watch<'_> {
    /// A guest that talks has said something.
    fn heard(&mut self) {
        self.deadline = self.talks.map(|limit| (Instant::now() + limit, End::Timeout(limit))).or(self.deadline.take());
    }

    fn console(&mut self, line: String, events: &mut dyn FnMut(Event)) {
        self.silent = false;
        let splat = self.scanner.scan(&line);
        events(Event::Console(line));
        if let Some(splat) = splat {
            events(Event::Splat(splat));
            if self.ending.is_none() {
                self.splat_at = Some(Instant::now());
                self.ending = Some((Instant::now() + SPLAT_GRACE, End::Splat));
            }
        }
        if let (Some(splat), Some((at, End::Splat))) = (self.splat_at, &mut self.ending) {
            *at = (Instant::now() + SPLAT_GRACE).min(splat + self.talkative);
        }
    }

    fn control(&mut self, line: &str, events: &mut dyn FnMut(Event)) {
        let Some(message) = protocol::parse(line) else { return };
        let idle = Some((Instant::now() + IDLE, End::Timeout(IDLE)));
        match message {
            Message::Boot(available) => {
                self.deadline = match (self.script, self.limits.script) {
                    (true, None) => None,
                    (true, Some(limit)) => Some((Instant::now() + limit, End::Timeout(limit))),
                    (false, _) => idle,
                };
                if self.talks.is_some() {
                    self.heard();
                }
                events(Event::Booted(available));
            }
            Message::Start(name, at) => {
                self.deadline =
                    self.limits.scenarios.get(&name).map(|&limit| (Instant::now() + limit, End::Timeout(limit)));
                events(Event::ScenarioStarted { name, at });
            }
            Message::Output(text) => events(Event::Output(text)),
            Message::Error(text) => events(Event::Error(text)),
            Message::Dirty(name, reason) => events(Event::Dirty { name, reason }),
            Message::Exit(name, code, at) => {
                self.deadline = idle;
                events(Event::Exited { name, code, at });
            }
            Message::Problem(reason) => {
                self.ending = Some((Instant::now() + IDLE, End::Problem(reason)));
            }
            Message::Done => {
                self.deadline = idle;
                self.done = true;
            }
            Message::Garbage(text) => events(Event::Garbage(text)),
        }
    }

    /// The end whose time has come.
    fn due(&mut self) -> Option<End> {
        let now = Instant::now();
        if self.debugged {
            self.deadline = None;
        }
        for place in [&mut self.ending, &mut self.deadline] {
            if place.as_ref().is_some_and(|(at, _)| *at <= now) {
                return place.take().map(|(_, end)| end);
            }
        }
        None
    }

    /// What it means that QEMU is gone.
    fn died(&mut self, status: std::process::ExitStatus, folder: &Folder) -> End {
        if let Some((_, end)) = self.ending.take() {
            return end;
        }
        if self.done && status.success() {
            return End::Done;
        }
        let message = std::fs::read_to_string(folder.qemu()).unwrap_or_default();
        let (program, status, message) = (self.program, status.to_string(), message.trim().to_owned());
        if self.silent { End::NotStarted { program, status, message } } else { End::Died { program, status, message } }
    }
}

/// Boots `spec` with a shell on this terminal; returns when the guest is gone.
///
/// # Errors
///
/// QEMU cannot be started or fails.
pub(crate) fn shell(spec: &Spec, provisions: &Provisions, folder: &Folder) -> Result<()> {
    prepare(spec, provisions, folder)?;
    let line = command_line(spec, provisions, folder)?;
    let _restored = super::terminal::Restore::new();
    let handle = duct::cmd(&line[0], &line[1..])
        .unchecked()
        .start()
        .with_context(|| format!("cannot start {}", line[0].display()))?;
    let child = Child(handle);
    let status = loop {
        if interrupt::requested() {
            bail!("interrupted");
        }
        if let Some(output) = child.0.try_wait()? {
            break output.status;
        }
        std::thread::sleep(PERIOD);
    };
    if !status.success() {
        bail!("{} ended with {status}; the console is in {}", spec.platform.name(), folder.console().display());
    }
    Ok(())
}
