// SPDX-License-Identifier: GPL-2.0-only
//! The version of the tree, and what was seen of it with which version.

use std::sync::Arc;

use loom::sync::{Mutex, RwLockReadGuard, RwLockWriteGuard};
use loom::thread;

use super::{Harmless, Subject, explore, models};
use crate::atomic::{AtomicU64, Ordering};
use crate::place::Change;
use crate::platform::RwLock;
use crate::version::{Seen, Versioned};

pub(super) const SUBJECT: Subject = Subject {
    name: "version",
    files: &["resctrl-fs/src/tree/version.rs"],
    models: models![
        one_version_is_one_content_and_no_copy_outlives_a_change_that_was_seen,
        an_inode_that_is_fresh_has_what_was_seen_before_or_later,
    ],
    wrong: models![a_version_that_is_raised_before_the_lock_is_taken, a_version_that_is_raised_after_it_is_given_back],
    harmless: &[Harmless {
        line: "self.version.fetch_add(1, Ordering::Relaxed);",
        change: Change::Torn,
        reason: "who raises it holds the lock for writing",
    }],
};

/// Loom's lock, for the file system.
struct Lock<T>(loom::sync::RwLock<T>);

impl<T: Send + Sync> RwLock<T> for Lock<T> {
    type ReadGuard<'a>
        = RwLockReadGuard<'a, T>
    where
        T: 'a;
    type WriteGuard<'a>
        = RwLockWriteGuard<'a, T>
    where
        T: 'a;

    fn read(&self) -> Self::ReadGuard<'_> {
        self.0.read().expect("no thread has panicked")
    }

    fn write(&self) -> Self::WriteGuard<'_> {
        self.0.write().expect("no thread has panicked")
    }
}

/// A number behind a lock, which is how often it was changed.
trait Tree: Send + Sync + 'static {
    fn new() -> Self;
    fn version(&self) -> u64;
    fn see(&self) -> Seen<u64>;
    fn change(&self);
}

type Shipped = Versioned<Lock<u64>>;

impl Tree for Shipped {
    fn new() -> Self {
        Versioned::new(Lock(loom::sync::RwLock::new(0)))
    }

    fn version(&self) -> u64 {
        Versioned::version(self)
    }

    fn see(&self) -> Seen<u64> {
        Versioned::see(self, |&number: &u64| number)
    }

    fn change(&self) {
        Versioned::change(self, |number: &mut u64| *number += 1);
    }
}

/// The same, with the version raised too early or too late.
struct Wrong<const EARLY: bool> {
    lock: Lock<u64>,
    version: AtomicU64,
}

impl<const EARLY: bool> Wrong<EARLY> {
    fn raise(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

impl<const EARLY: bool> Tree for Wrong<EARLY> {
    fn new() -> Self {
        Wrong { lock: Lock(loom::sync::RwLock::new(0)), version: AtomicU64::new(1) }
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    fn see(&self) -> Seen<u64> {
        let number = self.lock.read();
        Seen { version: self.version(), what: *number }
    }

    fn change(&self) {
        if EARLY {
            self.raise();
        }
        *self.lock.write() += 1;
        if !EARLY {
            self.raise();
        }
    }
}

/// Two look while one changes. Whoever has seen more than somebody's copy has, takes that for stale.
fn copies<T: Tree>() {
    explore(|| {
        let tree = Arc::new(T::new());
        let before = tree.see();
        let (changing, looking) = (tree.clone(), tree.clone());
        let changing = thread::spawn(move || changing.change());
        let looking = thread::spawn(move || looking.see());
        let mine = tree.see();
        let version = tree.version();
        changing.join().expect("it ends");
        let others = looking.join().expect("it ends");
        let after = tree.see();
        for copy in [before, others, mine, after] {
            assert!(copy.version != version || copy.what >= mine.what, "a stale copy is taken for fresh");
            assert!(copy.version != after.version || copy.what == after.what, "one version of two contents");
        }
    });
}

fn one_version_is_one_content_and_no_copy_outlives_a_change_that_was_seen() {
    copies::<Shipped>();
}

fn a_version_that_is_raised_before_the_lock_is_taken() {
    copies::<Wrong<true>>();
}

fn a_version_that_is_raised_after_it_is_given_back() {
    copies::<Wrong<false>>();
}

/// What the module's inodes remember: `shim_inode.c`.
struct Inode {
    lock: Mutex<()>,
    /// The version with which the attribute was copied.
    stamp: AtomicU64,
    attribute: AtomicU64,
}

impl Inode {
    fn refresh(&self, tree: &impl Tree) {
        let seen = tree.see();
        let _lock = self.lock.lock().expect("no thread has panicked");
        if self.stamp.load(Ordering::Acquire) < seen.version {
            self.attribute.store(seen.what, Ordering::Relaxed);
            self.stamp.store(seen.version, Ordering::Release);
        }
    }

    /// Its attribute, if it is fresh.
    fn fresh(&self, tree: &impl Tree) -> Option<u64> {
        let fresh = self.stamp.load(Ordering::Acquire) == tree.version();
        fresh.then(|| self.attribute.load(Ordering::Relaxed))
    }
}

fn an_inode_that_is_fresh_has_what_was_seen_before_or_later() {
    inodes::<Shipped>();
}

fn inodes<T: Tree>() {
    explore(|| {
        let tree = Arc::new(T::new());
        let inode = Arc::new(Inode { lock: Mutex::new(()), stamp: AtomicU64::new(0), attribute: AtomicU64::new(0) });
        inode.refresh(&*tree);
        let changing = tree.clone();
        let changing = thread::spawn(move || changing.change());
        let (copying, theirs) = (tree.clone(), inode.clone());
        let copying = thread::spawn(move || theirs.refresh(&*copying));
        let seen = tree.see().what;
        if let Some(attribute) = inode.fresh(&*tree) {
            assert!(attribute >= seen, "who has seen {seen} is told {attribute}");
        }
        changing.join().expect("it ends");
        copying.join().expect("it ends");
        inode.refresh(&*tree);
        assert_eq!(inode.fresh(&*tree), Some(1));
    });
}
