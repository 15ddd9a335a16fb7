// SPDX-License-Identifier: GPL-2.0-only
//! Reads by many at once.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;

use guest_tools::{Failure, Outcome};
use nix::sys::uio::pread;

use crate::sample::Sampler;
use crate::{Machine, at, stay_on};

/// Reads of each reader in one sample.
const READS: u64 = 50;

/// Threads that read a file when they are told to, each on a CPU of its own.
struct Readers {
    begin: Arc<Barrier>,
    end: Arc<Barrier>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Outcome>>,
}

impl Readers {
    fn start(path: &Path, count: usize) -> Result<Readers, Failure> {
        let barrier = || Arc::new(Barrier::new(count + 1));
        let (begin, end, over) = (barrier(), barrier(), Arc::new(AtomicBool::new(false)));
        let files = (0..count).map(|_| File::open(path)).collect::<Result<Vec<_>, _>>()?;
        let threads = files.into_iter().enumerate().map(|(cpu, file)| {
            let (begin, end, over) = (Arc::clone(&begin), Arc::clone(&end), Arc::clone(&over));
            std::thread::spawn(move || {
                let mut outcome = stay_on(cpu);
                let mut room = vec![0; 4096];
                loop {
                    begin.wait();
                    if over.load(Ordering::Relaxed) {
                        return outcome;
                    }
                    for _ in 0..READS {
                        outcome = outcome.and_then(|()| Ok(pread(&file, &mut room, 0).map(|_| ())?));
                    }
                    end.wait();
                }
            })
        });
        let threads = threads.collect();
        Ok(Readers { begin, end, over, threads })
    }

    fn round(&self) {
        self.begin.wait();
        self.end.wait();
    }

    fn stop(self) -> Outcome {
        self.over.store(true, Ordering::Relaxed);
        self.begin.wait();
        let ended = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(Failure::Hardware("a reader has died".to_owned()))));
        ended.collect()
    }
}

/// The same file read on more and more CPUs at once: what one read costs. Mounted, and no group there.
pub(crate) fn measure(sampler: &mut Sampler, machine: &Machine) -> Outcome {
    let event = at(format!("mon_data/mon_L3_{:02}/llc_occupancy", machine.domains[0]));
    for (name, path) in [("schemata", at("schemata")), ("llc_occupancy", event)] {
        if !path.exists() {
            continue;
        }
        for count in [1, 2, 4, 16, 64].into_iter().filter(|count| *count <= machine.cpus) {
            let readers = Readers::start(&path, count)?;
            let all = count as u64 * READS;
            let measured = sampler.part(&format!("read-at-once/{name}/{count}-readers"), all, &mut || {
                readers.round();
                Ok(())
            });
            readers.stop()?;
            measured?;
        }
    }
    Ok(())
}

/// Somebody on another CPU who reads a file again and again.
pub(crate) struct Reading {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Outcome>,
}

impl Reading {
    pub(crate) fn start(path: PathBuf, cpu: usize) -> Reading {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            stay_on(cpu)?;
            while !until.load(Ordering::Relaxed) {
                std::hint::black_box(std::fs::read(&path)?);
            }
            Ok(())
        });
        Reading { over, thread }
    }

    /// # Errors
    ///
    /// It could not read.
    pub(crate) fn stop(self) -> Outcome {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Err(Failure::Hardware("a reader has died".to_owned())))
    }
}
