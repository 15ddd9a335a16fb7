// SPDX-License-Identifier: GPL-2.0-only
//! A mistake on purpose, to see that it is noticed: two threads write to what they share, and no lock is held.
//!
//! `cargo xtask test --sanitizer thread` runs this first and must get a report.

use std::cell::Cell;
use std::thread;

use resctrl_types::Ref;

struct Unprotected(Cell<u64>);

// SAFETY: none; that it can be shared although nothing protects it is the mistake.
unsafe impl Sync for Unprotected {}

fn main() {
    let shared = Ref::new(Unprotected(Cell::new(0))).expect("memory");
    let writers = [(); 2].map(|()| {
        let shared = shared.clone();
        thread::spawn(move || (0..1000).for_each(|_| shared.0.set(shared.0.get() + 1)))
    });
    for writer in writers {
        writer.join().expect("no panic");
    }
    println!("{}", shared.0.get());
}
