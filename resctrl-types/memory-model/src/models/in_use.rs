// SPDX-License-Identifier: GPL-2.0-only
//! Registers that one at a time may use.

use std::sync::Arc;

use loom::thread;

use super::{Registers, Subject, explore, models};
use crate::in_use::InUse;

pub(super) const SUBJECT: Subject = Subject {
    name: "in_use",
    files: &["resctrl-mpam/src/devices/in_use.rs"],
    models: models![what_one_did_is_over_before_another_begins],
    wrong: &[],
    harmless: &[],
};

fn what_one_did_is_over_before_another_begins() {
    explore(|| {
        let shared = Arc::new((InUse::default(), Registers::default()));
        let work = |(in_use, registers): &(InUse, Registers)| {
            if let Some(_using) = in_use.begin() {
                registers.use_them();
            }
        };
        let others = shared.clone();
        let other = thread::spawn(move || work(&others));
        work(&shared);
        other.join().expect("it ends");
        assert!(shared.0.begin().is_some(), "nobody uses them");
    });
}
