// SPDX-License-Identifier: GPL-2.0-only
//! The first access that was refused.

use std::sync::Arc;

use loom::thread;

use super::{Subject, explore, models};
use crate::CpuId;
use crate::fault::{Access, FirstFault};

pub(super) const SUBJECT: Subject = Subject {
    name: "fault",
    files: &["resctrl-x86/src/fault.rs"],
    models: models![one_refusal_is_told_once_and_it_is_a_first_one],
    wrong: &[],
    harmless: &[],
};

fn one_refusal_is_told_once_and_it_is_a_first_one() {
    explore(|| {
        let fault = Arc::new(FirstFault::default());
        let other = fault.clone();
        let other = thread::spawn(move || {
            other.note(CpuId(1), 0x11, Access::Read);
            other.take()
        });
        fault.note(CpuId(0), 0x22, Access::Write);
        fault.note(CpuId(0), 0x33, Access::Write);
        let mine = fault.take();
        let others = other.join().expect("it ends");
        let told: Vec<_> = [mine, others, fault.take()].into_iter().flatten().map(|told| told.to_string()).collect();
        let [told] = told.as_slice() else { panic!("told {told:?}") };
        let is = |begin| told.starts_with(begin);
        assert!(is("CPU 1 refused to read MSR 0x11;") || is("CPU 0 refused to write MSR 0x22;"), "{told}");
    });
}
