// SPDX-License-Identifier: GPL-2.0-only
//! Which code of the kernel a task runs, as kcov tells it (Documentation/dev-tools/kcov.rst): of those parts of the kernel that
//! were built for it, and of this task alone. What workers do, or the threads that bring a CPU online, is not in it.

use crate::Failure;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a kernel that has kcov has it.
pub const FILE: &str = "/sys/kernel/debug/kcov";

/// `KCOV_INIT_TRACE`: makes room for so many words.
const INIT_TRACE: libc::c_ulong = 0x8008_6301;
/// `KCOV_ENABLE`, and what is asked for: `KCOV_TRACE_PC`.
const ENABLE: libc::c_ulong = 0x6364;
const TRACE_PC: libc::c_ulong = 0;

/// Words of room: the first counts the others.
const WORDS: usize = 256 << 10;

/// The trace of the task that has opened it.
#[derive(Debug)]
pub struct Kcov {
    _file: File,
    words: &'static [AtomicU64],
}

impl Kcov {
    /// Has the kernel write down what this task runs from now on.
    ///
    /// # Errors
    ///
    /// The kernel has no kcov, or no memory.
    pub fn of_this_task() -> Result<Self, Failure> {
        let file = OpenOptions::new().read(true).write(true).open(FILE).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::Hardware(format!("this kernel has no kcov ({FILE})")),
            _ => error.into(),
        })?;
        call(&file, INIT_TRACE, WORDS as libc::c_ulong)?;
        let length = NonZeroUsize::new(WORDS * size_of::<u64>()).ok_or(Errno::EINVAL)?;
        // SAFETY: the kernel chooses where, so nothing of this program's is replaced.
        let start = unsafe {
            mmap(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, &file, 0)?
        };
        // SAFETY: it is so many words of zeroes, aligned to a page, and never unmapped. Only the kernel writes to them beside this
        // program, and only as this task.
        let words = unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<AtomicU64>(), WORDS) };
        call(&file, ENABLE, TRACE_PC)?;
        Ok(Self { _file: file, words })
    }

    /// Forgets what has been written down.
    pub fn begin(&self) {
        self.words[0].store(0, Ordering::Relaxed);
    }

    /// The places that have run since [`begin`](Self::begin), in their order. What comes after there is no room left is not among
    /// them.
    pub fn places(&self) -> impl Iterator<Item = u64> {
        let count = usize::try_from(self.words[0].load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        self.words[1..].iter().take(count).map(|word| word.load(Ordering::Relaxed))
    }
}

fn call(file: &File, request: libc::c_ulong, argument: libc::c_ulong) -> Result<(), Failure> {
    // SAFETY: both requests take a number, and neither looks at memory of this program's. What a C library takes a request for
    // is its own affair.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), request as _, argument) };
    Errno::result(result)?;
    Ok(())
}

/// One place after another: the lower halves of their addresses, which tell them apart, since all of the kernel is in one such
/// half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step(u64);

impl Step {
    /// From a place to the next. None before the first is place 0.
    #[must_use]
    pub const fn new(from: u64, to: u64) -> Self {
        Self(from << 32 | to & 0xffff_ffff)
    }

    /// Where it comes from.
    #[must_use]
    pub const fn from(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Where it leads.
    #[must_use]
    pub const fn to(self) -> u32 {
        // The lower half, as `new` has put it there.
        (self.0 & 0xffff_ffff) as u32
    }

    /// As a number, which [`from_bits`](Self::from_bits) takes back.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// From its number.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Steps that were last seen, by a part of their number: nearly all that run have run a moment ago.
const RECENT: u32 = 1 << 14;

/// All steps that have been taken.
#[derive(Debug)]
pub struct Taken {
    recent: Vec<u64>,
    steps: HashSet<Step>,
    places: HashSet<u32>,
}

impl Default for Taken {
    fn default() -> Self {
        Self { recent: vec![0; RECENT as usize], steps: HashSet::new(), places: HashSet::new() }
    }
}

impl Taken {
    /// Adds a step; whether it is new.
    pub fn add(&mut self, step: Step) -> bool {
        // Addresses of neighbours differ in their lowest bits.
        let slot = (step.from() ^ step.to().wrapping_mul(0x9e37_79b9)) % RECENT;
        if std::mem::replace(&mut self.recent[slot as usize], step.0) == step.0 {
            return false;
        }
        let new = self.steps.insert(step);
        if new {
            self.places.insert(step.to());
        }
        new
    }

    /// Adds the steps between places; gives those that are new.
    pub fn add_all(&mut self, places: impl Iterator<Item = u64>) -> Vec<Step> {
        let mut from = 0;
        places
            .filter_map(|to| {
                let step = Step::new(from, to);
                from = to;
                self.add(step).then_some(step)
            })
            .collect()
    }

    /// How many steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// How many places.
    #[must_use]
    pub fn places(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_new_once_and_depends_on_where_it_comes_from() {
        let mut taken = Taken::default();
        let kernel = 0xffff_ffff_8100_0000;
        let run = |places: &[u64]| places.iter().map(|place| kernel + place).collect::<Vec<_>>().into_iter();
        assert_eq!(taken.add_all(run(&[1, 2, 1, 2])).len(), 3);
        assert_eq!((taken.steps(), taken.places()), (3, 2));
        assert_eq!(taken.add_all(run(&[1, 2, 1])), []);
        assert_eq!(taken.add_all(run(&[2, 3])).len(), 2);
        assert_eq!(taken.places(), 3);
    }

    #[test]
    fn what_is_not_recent_any_more_is_still_known() {
        let mut taken = Taken::default();
        let many = || (1..=100_000_u64).map(|place| place * 16);
        assert_eq!(taken.add_all(many()).len(), 100_000);
        assert_eq!(taken.add_all(many()), []);
    }

    #[test]
    fn a_step_is_its_number() {
        let step = Step::new(0xffff_ffff_8100_0010, 0xffff_ffff_c000_0020);
        assert_eq!(Step::from_bits(step.bits()), step);
        assert_eq!(step.to(), 0xc000_0020);
    }

    #[test]
    fn a_kernel_without_it_says_so() {
        if std::path::Path::new(FILE).exists() {
            return;
        }
        let Err(failure) = Kcov::of_this_task() else { panic!("there is none") };
        assert!(matches!(failure, Failure::Hardware(_) | Failure::Errno(Errno::EACCES)), "{failure}");
    }
}
