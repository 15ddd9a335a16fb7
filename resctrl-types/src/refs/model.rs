// SPDX-License-Identifier: GPL-2.0-only
//! The reference count under the memory model: Loom runs every execution that C11 allows.
//!
//! ```console
//! $ RUSTFLAGS="--cfg loom" cargo test -p resctrl-types --lib refs
//! ```

use alloc::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use super::*;

/// A value that notices when it is used and freed at once, or freed twice.
struct Watched {
    value: UnsafeCell<u32>,
    drops: Arc<AtomicUsize>,
}

// SAFETY: the cell is Loom's, which reports any access that another thread's is not ordered with.
unsafe impl Sync for Watched {}

impl Drop for Watched {
    fn drop(&mut self) {
        // Loom compares this write with every read of the others.
        self.value.with_mut(|_| ());
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

fn watched(drops: &Arc<AtomicUsize>) -> Ref<Watched> {
    Ref::new(Watched { value: UnsafeCell::new(7), drops: drops.clone() }).unwrap()
}

fn use_it(reference: &Ref<Watched>) {
    reference.value.with(|_| ());
}

#[test]
fn every_use_happens_before_the_free_whoever_is_last() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
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
            worker.join().unwrap();
        }
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_reference_that_is_handed_on_keeps_the_value() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
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
        worker.join().unwrap();
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}
