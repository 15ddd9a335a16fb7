// SPDX-License-Identifier: GPL-2.0-only
//! Who has which monitor.

use std::sync::Arc;

use loom::thread;

use super::{Registers, Subject, explore, models};
use crate::Ref;
use crate::pool::{MonitorPool, TakenMonitor};

pub(super) const SUBJECT: Subject = Subject {
    name: "pool",
    files: &["resctrl-mpam/src/devices/pool.rs"],
    models: models![
        two_who_have_a_monitor_have_two,
        what_two_give_back_comes_back,
        what_one_did_with_a_monitor_is_over_before_another_has_it,
    ],
    wrong: &[],
    harmless: &[],
};

fn pool(monitors: u16) -> Ref<MonitorPool> {
    MonitorPool::new(monitors).expect("there is memory")
}

fn take(pool: &Ref<MonitorPool>) -> TakenMonitor {
    MonitorPool::take(pool).expect("there are two")
}

fn two_who_have_a_monitor_have_two() {
    explore(|| {
        let pool = pool(2);
        let other = pool.clone();
        let other = thread::spawn(move || take(&other));
        let mine = take(&pool);
        let others = other.join().expect("it ends");
        assert_ne!(mine.number(), others.number());
        assert!(MonitorPool::take(&pool).is_none(), "there is no third");
    });
}

fn what_two_give_back_comes_back() {
    explore(|| {
        let pool = pool(2);
        let [mine, others] = [take(&pool), take(&pool)];
        let other = thread::spawn(move || drop(others));
        drop(mine);
        other.join().expect("it ends");
        let _both = [take(&pool), take(&pool)];
    });
}

fn what_one_did_with_a_monitor_is_over_before_another_has_it() {
    explore(|| {
        let pool = pool(1);
        let registers = Arc::new(Registers::default());
        let work = |pool: &Ref<MonitorPool>, registers: &Registers| {
            if let Some(_taken) = MonitorPool::take(pool) {
                registers.use_them();
            }
        };
        let (others, theirs) = (pool.clone(), registers.clone());
        let other = thread::spawn(move || work(&others, &theirs));
        work(&pool, &registers);
        other.join().expect("it ends");
        assert!(MonitorPool::take(&pool).is_some(), "it has come back");
    });
}
