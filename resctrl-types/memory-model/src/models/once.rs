// SPDX-License-Identifier: GPL-2.0-only
//! What is set once.

use std::sync::Arc;

use loom::thread;

use super::{Subject, explore, models};
use crate::once::SetOnce;

pub(super) const SUBJECT: Subject = Subject {
    name: "once",
    files: &["resctrl-types/src/once.rs"],
    models: models![one_of_two_sets_it_and_all_who_see_it_see_the_same],
    wrong: &[],
    harmless: &[],
};

fn one_of_two_sets_it_and_all_who_see_it_see_the_same() {
    explore(|| {
        let once = Arc::new(SetOnce::new());
        let setters = [1, 2].map(|number| {
            let once = once.clone();
            thread::spawn(move || once.set([number; 2]).is_ok())
        });
        let early = once.get().copied();
        let [first, second] = setters.map(|setter| setter.join().expect("it ends"));
        assert!(first != second, "one has set it");
        let set = if first { [1; 2] } else { [2; 2] };
        assert_eq!(once.get(), Some(&set));
        assert!(early.is_none_or(|early| early == set));
    });
}
