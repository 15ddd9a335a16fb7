// SPDX-License-Identifier: GPL-2.0-only
//! The reference count.

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use super::{Subject, explore, models};
use crate::atomic::{AtomicU32, Ordering};
use crate::refs::Ref;

pub(super) const SUBJECT: Subject = Subject {
    name: "refs",
    files: &["resctrl-types/src/refs.rs"],
    models: models![
        every_use_happens_before_the_free_whoever_is_last,
        a_reference_that_is_handed_on_keeps_the_value,
        whoever_sees_that_nobody_else_has_it_has_it_alone,
    ],
    wrong: &[],
    harmless: &[],
};

/// A value that notices when it is used and freed at once, or freed twice.
struct Watched {
    value: UnsafeCell<u32>,
    drops: Arc<AtomicU32>,
}

// SAFETY: the cell is Loom's, which reports any access that another thread's is not ordered with.
unsafe impl Sync for Watched {}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // Loom compares this write with every read of the others.
        self.value.with_mut(|_| ());
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

fn watched(drops: &Arc<AtomicU32>) -> Ref<Watched> {
    Ref::new(Watched { value: UnsafeCell::new(7), drops: drops.clone() }).expect("there is memory")
}

fn use_it(reference: &Ref<Watched>) {
    reference.value.with(|_| ());
}

fn every_use_happens_before_the_free_whoever_is_last() {
    explore(|| {
        let drops = Arc::new(AtomicU32::new(0));
        let list = watched(&drops);
        let workers = [list.clone(), list.clone()].map(|worker| {
            thread::spawn(move || {
                use_it(&worker);
                drop(worker);
            })
        });
        use_it(&list);
        drop(list);
        for worker in workers {
            worker.join().expect("it ends");
        }
        assert_eq!(drops.load(Ordering::Relaxed), 1, "freed once");
    });
}

fn a_reference_that_is_handed_on_keeps_the_value() {
    explore(|| {
        let drops = Arc::new(AtomicU32::new(0));
        let list = watched(&drops);
        let raw = Ref::into_raw(list.clone()).expose_provenance();
        let worker = thread::spawn(move || {
            // SAFETY: the pointer is from `into_raw` above and comes back once.
            let reference = unsafe { Ref::<Watched>::from_raw(core::ptr::with_exposed_provenance(raw)) };
            let again = reference.clone();
            drop(reference);
            use_it(&again);
        });
        drop(list);
        worker.join().expect("it ends");
        assert_eq!(drops.load(Ordering::Relaxed), 1, "freed once");
    });
}

fn whoever_sees_that_nobody_else_has_it_has_it_alone() {
    explore(|| {
        let list = watched(&Arc::new(AtomicU32::new(0)));
        let worker = list.clone();
        let worker = thread::spawn(move || {
            if Ref::count(&worker) == 1 {
                worker.value.with_mut(|_| ());
            }
        });
        use_it(&list);
        drop(list);
        worker.join().expect("it ends");
    });
}
