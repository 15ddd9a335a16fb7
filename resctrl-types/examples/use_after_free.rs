// SPDX-License-Identifier: GPL-2.0-only
//! A mistake on purpose, to see that it is noticed: a reference that is given up twice, as a `kref_put` too many does.
//!
//! `cargo xtask test --sanitizer address` runs this first and must get a report.

use resctrl_types::Ref;

fn main() {
    let domain = Ref::new([1_u64; 4]).expect("memory");
    let worker = Ref::into_raw(domain.clone());
    drop(domain);
    // SAFETY: none for the second of these, whose reference the first one has given up: that is the mistake.
    let [first, second] = [(); 2].map(|()| unsafe { Ref::<[u64; 4]>::from_raw(worker) });
    drop(first);
    println!("{}", second[0]);
}
