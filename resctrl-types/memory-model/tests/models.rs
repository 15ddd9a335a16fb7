// SPDX-License-Identifier: GPL-2.0-only
//! Runs the models: what must hold does, what is done the wrong way is found, and whatever is changed in a file that is modelled is
//! noticed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use resctrl_memory_model::models::{Harmless, Model, SUBJECTS, Subject};
use resctrl_memory_model::place::{self, Change, Place};
use resctrl_memory_model::source::{orders, shipped, top};

/// Gives no memory back while something is changed: a value may be freed too early then, which is for Loom to find.
struct Keeping;

// SAFETY: what is given is the system's, and goes back to it at most once.
unsafe impl GlobalAlloc for Keeping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if !place::is_any_changed() {
            // SAFETY: as the caller promises.
            unsafe { System.dealloc(memory, layout) };
        }
    }
}

#[global_allocator]
static MEMORY: Keeping = Keeping;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    say_nothing_of_what_is_meant_to_break();
    libtest_mimic::run(&arguments, SUBJECTS.iter().flat_map(trials).collect()).exit_code()
}

fn trials(subject: &'static Subject) -> Vec<Trial> {
    let Subject { name, models, wrong, .. } = *subject;
    let holds = models.iter().map(|model| {
        Trial::test(format!("{name}::{}", model.name), || {
            (model.run)();
            Ok(())
        })
    });
    let breaks = wrong.iter().map(|model| {
        Trial::test(format!("{name}::{}_is_found", model.name), || {
            if breaks(model.run) { Ok(()) } else { Err("no execution is wrong".into()) }
        })
    });
    let changes = Trial::test(format!("{name}::every_change_of_the_source_is_noticed"), || changes(subject));
    holds.chain(breaks).chain([changes]).collect()
}

thread_local! {
    static MEANT: Cell<bool> = const { Cell::new(false) };
}

fn say_nothing_of_what_is_meant_to_break() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        if !MEANT.get() {
            usual(panicked);
        }
    }));
}

fn breaks(run: impl FnOnce() + panic::UnwindSafe) -> bool {
    MEANT.set(true);
    let broken = panic::catch_unwind(run).is_err();
    MEANT.set(false);
    broken
}

/// Every change in the files of a subject breaks one of its models, unless it is known not to matter; and the models come to
/// every place that orders something.
fn changes(subject: &Subject) -> Result<(), Failed> {
    let files = Files::of(subject);
    let mut places: BTreeMap<Place, Vec<&Model>> = BTreeMap::new();
    for model in subject.models {
        for place in place::found_by(model.run).into_iter().filter(|place| files.line(place).is_some()) {
            places.entry(place).or_default().push(model);
        }
    }
    let mut wrong = Vec::new();
    let mut harmless: BTreeSet<&str> = BTreeSet::new();
    for (&place, models) in &places {
        let line = files.line(&place).unwrap_or_default();
        let known = subject.harmless.iter().find(|known| is(known, line, place.change));
        harmless.extend(known.map(|known| known.line));
        let noticed = models.iter().any(|model| breaks(|| place::changed(place, model.run)));
        match (noticed, known) {
            (false, None) => wrong.push(format!("nobody notices {place}: {line}")),
            (true, Some(known)) => wrong.push(format!("{place} is noticed, so this is wrong: {}", known.reason)),
            (true, None) | (false, Some(_)) => {}
        }
    }
    let unknown = subject.harmless.iter().filter(|known| !harmless.contains(known.line));
    wrong.extend(unknown.map(|known| format!("there is no such line: {}", known.line)));
    wrong.extend(files.missed(&places));
    println!("{}: {} changes of the source tried, {} known not to matter", subject.name, places.len(), harmless.len());
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn is(known: &Harmless, line: &str, change: Change) -> bool {
    known.change == change && known.line == line
}

/// The text of files.
struct Files(BTreeMap<PathBuf, String>);

impl Files {
    fn of(subject: &Subject) -> Self {
        let read = |name: &&str| {
            let path = top().join(name).canonicalize().expect("a file that is there");
            let text = fs::read_to_string(&path).expect("a text");
            (path, text)
        };
        Files(subject.files.iter().map(read).collect())
    }

    /// The line of a place, if that is in one of these.
    fn line(&self, place: &Place) -> Option<&str> {
        self.0.get(&path(place))?.lines().nth(place.line as usize - 1).map(str::trim)
    }

    /// The lines that order something and to which no model comes.
    fn missed(&self, places: &BTreeMap<Place, Vec<&Model>>) -> Vec<String> {
        let reached: BTreeSet<(PathBuf, u32)> = places.keys().map(|place| (path(place), place.line)).collect();
        let mut missed = Vec::new();
        for (path, text) in &self.0 {
            for (number, line) in shipped(text).filter(|(_, line)| orders(line)) {
                if !reached.contains(&(path.clone(), number)) {
                    missed.push(format!("no model comes to {}:{number}: {}", path.display(), line.trim()));
                }
            }
        }
        missed
    }
}

/// The compiler is told of files as this crate names them, from the top of the checkout.
fn path(place: &Place) -> PathBuf {
    top().join(place.file).canonicalize().unwrap_or_default()
}
