// SPDX-License-Identifier: GPL-2.0-only
//! The figures of the claims, taken out of what their commands print: shortened, with what is near to what is looked for.

use super::Claim;

/// The name of a claim, what its command prints, and the figure.
const SAMPLES: [(&str, &str, &str); 17] = [
    (
        "tests",
        "    Starting 1680 tests across 34 binaries
        PASS [   0.006s] (   1/1680) resctrl-fs cpus::tests::all_7_passed
     Summary [ 172.351s] 1680 tests run: 1678 passed (3 slow), 2 skipped

running 4 tests
....
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.51s
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
",
        "1682 passed",
    ),
    (
        "schedules",
        "     Summary [1093.900s] 926 tests run: 926 passed (31 slow), 0 skipped
2088284 schedules of the file system in 1650 s
      322740  PCT
     1528940  random
      902170  displaced runs
     2414662  late runs on dead domains
     3635710  limbo runs
",
        "2088284 schedules, 902170 displaced runs, 2414662 late ones on dead domains; 926 tests passed",
    ),
    (
        "model",
        "running 14 tests
TargetsKept: not so: the target says where the worker is
unmount
TargetsKept: not so: the target says where the worker is
ExitNotCounting: not so: no worker is left after the end
test altered::each_mistake_breaks_what_it_should ... ok
test wrong::before_the_patch_a_worker_uses_a_freed_domain ... ok
test wrong::upstream_loses_a_worker_that_picks_the_leaving_cpu ... ok
both workers, exit: 745991 states, the farthest after 104 steps
test states::both_workers_of_one_domain_and_the_exit_in_every_order ... ok
test states::two ... two domains, exit: 928584 states, the farthest after 148 steps
test result: ok. 14 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 25.11s
",
        "1674575 states in 2 searches, 148 steps deep; 2 versions and 2 mistakes break",
    ),
    (
        "model-long",
        "running 1 test
three CPUs, both workers, sleep, exit: 20 states, the farthest after 9 steps
two domains, sleep, exit: 10 states, the farthest after 11 steps
test states::a_longer_run_goes_through_more ... ok
",
        "30 states in 2 searches, 11 steps deep",
    ),
    (
        "memory-order",
        "running 5 tests
test refs::a_reference_that_is_handed_on_keeps_the_value                             ... ok
refs: 5 changes of the source tried, 0 known not to matter
test refs::every_change_of_the_source_is_noticed                                     ... ok
test switch::a_default_that_begins_no_epoch_is_found                                 ... ok
switch: 7 changes of the source tried, 1 known not to matter
test switch::every_change_of_the_source_is_noticed                                   ... ok
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 14.97s
",
        "4 pass, 1 of them on what is wrong; 12 changes of the source tried, 1 of them known not to matter",
    ),
    (
        "address",
        "the address sanitizer reports the heap-use-after-free of the example use_after_free
     Summary [ 341.012s] 1678 tests run: 1678 passed (9 slow), 0 skipped
",
        "1678 passed",
    ),
    (
        "thread",
        "the thread sanitizer reports the data race of the example data_race
     Summary [ 341.012s] 912 tests run: 912 passed, 66 skipped
",
        "912 passed",
    ),
    (
        "guests",
        "pass mount [intel stock rust]: 24 checks, 1.3 s
checks: 219 of the 299 in the catalogue were tried; oracle: 150 passed, 0 failed, 6 differ as known; ours: 216 passed, 0 failed
54 passed, 0 failed, 0 skipped; builds 89.7 s, guests 62.6 s
",
        "54 cases passed, 0 skipped; 219 of 299 checks tried",
    ),
    (
        "differential",
        "counted by differential [intel stock kernel]:
           0  differences
        5013  operations
        6210  operations_a_minute

counted by differential [intel stock rust]:
           0  differences
        5013  operations
        6210  operations_a_minute
2 passed, 0 failed, 0 skipped; builds 0.3 s, guests 61.0 s
",
        "5013 operations, 0 differences",
    ),
    (
        "hotplug",
        "counted by hotplug-stress [intel-big debug rust]:
        2058  dead_domain_runs
         589  displaced
        1770  domains_created
        1768  domains_destroyed
        1180  hotplug_cycles_domain_0
        1186  hotplug_cycles_domain_1
",
        "2366 cycles, 1768 domains destroyed, 589 runs displaced, 2058 that found their domain gone",
    ),
    (
        "guided",
        "counted by guided [intel debug kernel]:
         100  corpus
           0  guests_gone
       20031  operations
       10731  operations_a_minute

counted by guided [intel debug rust]:
           0  guests_gone
       20007  operations
2 passed, 0 failed, 0 skipped; builds 0.3 s, guests 61.0 s
",
        "40038 operations, 0 guests gone",
    ),
    (
        "debug",
        "44 passed, 0 failed, 1 skipped, 1 on a second boot; builds 0.3 s, guests 61.0 s\n",
        "44 cases passed, 1 skipped",
    ),
    ("kcsan", "4 passed, 0 failed, 0 skipped; builds 0.3 s, guests 61.0 s\n", "4 passed, 0 skipped"),
    ("selftests", "11 passed, 0 failed, 0 skipped; builds 0.3 s, guests 61.0 s\n", "11 passed, 0 skipped"),
    ("clients", "7 passed, 0 failed, 0 skipped; builds 0.3 s, guests 61.0 s\n", "7 passed, 0 skipped"),
    (
        "kernel-lines",
        "| **fs/resctrl** | 90.1 % (2757/3059) |
page: target/rig/kernel-coverage.html
fs/resctrl: 2757 of 3059 lines, 90.1 %, in 41 guests; 0 lines that nothing reaches are without a reason; 0 cases failed
",
        "90.1 % (2757 of 3059); 0 that nothing reaches have no reason",
    ),
    (
        "bench",
        "133 operations: 105 cost less than in C, 8 more; 8 reach the hardware or interrupt CPUs more often; boots differ in 30
worse than at deae94ef0950 with changes: mkdir: 0.541, was 0.512 (ours 9, was 8)
133 operations compared with those at deae94ef0950 with changes, 30 of them loosely because boots differ: 1 are worse
measuring again: what counts is what is worse both times
133 operations compared with those at deae94ef0950 with changes, 30 of them loosely because boots differ: 0 are worse
",
        "of 133 operations 105 cost less, 8 more; 0 are worse than in the table",
    ),
];

#[test]
fn every_claim_has_a_sample_from_which_its_figure_is_taken() {
    for claim in Claim::load().unwrap() {
        // What is the same on Arm, or on another kernel, has the same patterns.
        let name = match claim.name.strip_suffix("-arm").unwrap_or(&claim.name) {
            "selinux" | "apparmor" | "rt" => "kcsan",
            name => name,
        };
        let sample = SAMPLES.iter().find(|(sample, ..)| *sample == name);
        let (_, printed, figure) = sample.unwrap_or_else(|| panic!("{name} has no sample"));
        let mut taking = claim.taking().unwrap();
        printed.lines().for_each(|line| taking.line(line));
        assert_eq!(taking.figure().unwrap_or_else(|error| panic!("{name}: {error:#}")), *figure, "{name}");
        let mut nothing = claim.taking().unwrap();
        printed.lines().filter(|line| !line.chars().any(char::is_numeric)).for_each(|line| nothing.line(line));
        assert!(nothing.figure().is_err(), "{name}: a figure without a number");
    }
}

#[test]
fn every_sample_is_of_a_claim() {
    let claims = Claim::load().unwrap();
    for (name, ..) in SAMPLES {
        assert!(claims.iter().any(|claim| claim.name == name), "{name}");
    }
}
