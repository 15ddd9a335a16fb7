// SPDX-License-Identifier: GPL-2.0-only
use std::collections::BTreeSet;
use std::format;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::String;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use super::super::explore::explore_up_to;
use super::super::explore_all;
use super::super::thread::preemption_point;
use super::in_one_order;

/// The orders in which three threads did their steps, `a` before `b` within each.
type Orders = Arc<Mutex<BTreeSet<String>>>;

fn two_threads(orders: &Orders) -> impl Fn() + Send + Sync + 'static {
    let orders = Arc::clone(orders);
    move || {
        let order = Arc::new(Mutex::new(String::new()));
        let threads = ["x", "y"].map(|name| {
            let order = Arc::clone(&order);
            shuttle::thread::spawn(move || {
                for step in ["a", "b", "c"] {
                    order.lock().unwrap().push_str(&format!("{name}{step} "));
                    preemption_point();
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        let order = order.lock().unwrap().clone();
        orders.lock().unwrap().insert(order);
    }
}

fn orders_with(bound: usize) -> BTreeSet<String> {
    let orders = Orders::default();
    explore_up_to(bound, two_threads(&orders));
    orders.lock().unwrap().clone()
}

#[test]
fn without_preemptions_each_thread_runs_until_it_ends() {
    let orders: Vec<String> = orders_with(0).into_iter().collect();
    assert_eq!(orders, ["xa xb xc ya yb yc ", "ya yb yc xa xb xc "]);
}

#[test]
fn each_preemption_more_gives_the_orders_that_need_it() {
    let [none, one, two] = [0, 1, 2].map(orders_with);
    assert!(none.is_subset(&one) && one.is_subset(&two));
    assert!(one.contains("xa ya yb yc xb xc ") && !none.contains("xa ya yb yc xb xc "));
    assert!(two.contains("xa ya xb xc yb yc ") && !one.contains("xa ya xb xc yb yc "));
}

#[test]
fn with_enough_preemptions_every_order_there_is_is_tried() {
    let all = Orders::default();
    let schedules = explore_all(None, two_threads(&all));
    // Three of six steps are one thread's.
    assert_eq!(all.lock().unwrap().len(), 20);
    assert_eq!(orders_with(100), *all.lock().unwrap());
    assert_eq!(explore_up_to(100, two_threads(&Orders::default())), schedules);
}

#[test]
fn what_is_done_in_one_order_is_not_multiplied() {
    let body = two_threads(&Orders::default());
    assert_eq!(explore_up_to(2, move || in_one_order(&body)), 1);
}

#[test]
fn an_update_that_is_lost_by_one_preemption_is_found_with_one_and_not_without() {
    let lost = |bound| {
        let search = || {
            explore_up_to(bound, || {
                let count = Arc::new(Mutex::new(0));
                let threads = [(); 2].map(|()| {
                    let count = Arc::clone(&count);
                    shuttle::thread::spawn(move || {
                        let read = *count.lock().unwrap();
                        preemption_point();
                        *count.lock().unwrap() = read + 1;
                    })
                });
                for thread in threads {
                    thread.join().unwrap();
                }
                assert_eq!(*count.lock().unwrap(), 2);
            })
        };
        catch_unwind(AssertUnwindSafe(search)).is_err()
    };
    assert!(!lost(0));
    assert!(lost(1));
}
