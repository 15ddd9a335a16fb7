// SPDX-License-Identifier: GPL-2.0-only
//! A cache against one that is too simple to be wrong, which searches everything each time; and against closed forms.

use proptest::prelude::*;
use resctrl_hardware::caches::{Cache, Dirties, Fill, Flush, Held, Home, Label, Limit, Outcome, Victim};

const SETS: u64 = 3;
const WAYS: usize = 5;
const CLASSES: u16 = 3;
const MONITORS: u32 = 4;

#[derive(Clone, Copy)]
struct Line {
    line: u64,
    label: Label,
    home: Home,
    dirty: bool,
    used: usize,
}

/// By set, way by way.
struct Naive {
    sets: Vec<Vec<Option<Line>>>,
    limits: Vec<Option<Limit>>,
    time: usize,
}

impl Naive {
    fn new() -> Self {
        Self { sets: vec![vec![None; WAYS]; SETS as usize], limits: vec![None; CLASSES.into()], time: 0 }
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.sets.iter().flatten().flatten()
    }

    fn held_by(&self, monitor: u32) -> Held {
        let own: Vec<_> = self.lines().filter(|line| line.label.monitor == monitor).collect();
        Held { lines: own.len() as u64, dirty: own.iter().filter(|line| line.dirty).count() as u64 }
    }

    fn held_by_class(&self, class: u16) -> u64 {
        self.lines().filter(|line| line.label.class == class).count() as u64
    }

    fn access(&mut self, line: u64, fill: Fill, dirties: Dirties) -> Outcome {
        self.time += 1;
        let class = fill.label.class;
        let full = self.limits[usize::from(class)].filter(|limit| self.held_by_class(class) >= limit.lines);
        let dirty = dirties == Dirties::Yes;
        let set = &mut self.sets[(line % SETS) as usize];
        if let Some(found) = set.iter_mut().flatten().find(|held| held.line == line) {
            found.used = self.time;
            found.dirty |= dirty;
            return Outcome::Hit;
        }
        let may = |way: usize, held: &Option<Line>| {
            let of_mask = fill.ways >> way & 1 == 1;
            let of_limit = match (full, held) {
                (None, _) => true,
                (Some(limit), None) => limit.soft,
                (Some(_), Some(held)) => held.label.class == class,
            };
            of_mask && of_limit
        };
        let ways: Vec<usize> = (0..WAYS).filter(|way| may(*way, &set[*way])).collect();
        let empty = ways.iter().copied().find(|way| set[*way].is_none());
        let oldest = ways.iter().copied().min_by_key(|way| set[*way].map_or(0, |held| held.used));
        let Some(way) = empty.or(oldest) else { return Outcome::Passed };
        let new = Line { line, label: fill.label, home: fill.home, dirty, used: self.time };
        let left = set[way].replace(new);
        Outcome::Filled(left.map(victim))
    }

    fn flush(&mut self, line: u64, how: Flush) -> Option<Victim> {
        let set = &mut self.sets[(line % SETS) as usize];
        let place = set.iter_mut().find(|held| held.is_some_and(|held| held.line == line))?;
        let held = (*place)?;
        *place = if how == Flush::Clean { Some(Line { dirty: false, ..held }) } else { None };
        (held.dirty && how != Flush::Invalidate).then(|| victim(held))
    }
}

fn victim(line: Line) -> Victim {
    Victim { line: line.line, label: line.label, dirty: line.dirty, home: line.home }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Access(u64, u64, Label, Home, Dirties),
    Flush(u64, Flush),
    FlushAll(Flush),
    Limit(u16, Option<Limit>),
}

fn how() -> impl Strategy<Value = Flush> {
    prop_oneof![Just(Flush::Clean), Just(Flush::CleanAndInvalidate), Just(Flush::Invalidate)]
}

fn step() -> impl Strategy<Value = Step> {
    let label = (0..CLASSES, 0..MONITORS).prop_map(|(class, monitor)| Label { class, monitor });
    let home = prop_oneof![Just(Home::Own), Just(Home::Other)];
    let dirties = prop_oneof![Just(Dirties::Yes), Just(Dirties::No)];
    // Masks with holes, of no way, and with bits beyond the last way.
    let access = (0..40_u64, 0..64_u64, label, home, dirties);
    let limit = prop::option::of((0..12_u64, any::<bool>()).prop_map(|(lines, soft)| Limit { lines, soft }));
    prop_oneof![
        40 => access.prop_map(|(line, ways, label, home, dirties)| Step::Access(line, ways, label, home, dirties)),
        4 => (0..40_u64, how()).prop_map(|(line, how)| Step::Flush(line, how)),
        1 => how().prop_map(Step::FlushAll),
        2 => (0..CLASSES, limit).prop_map(|(class, limit)| Step::Limit(class, limit)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_step_comes_to_what_a_naive_cache_comes_to(steps in prop::collection::vec(step(), 0..400)) {
        let mut cache = Cache::new(SETS, WAYS, CLASSES.into(), MONITORS as usize);
        let mut naive = Naive::new();
        for step in steps {
            match step {
                Step::Access(line, ways, label, home, dirties) => {
                    let fill = Fill { label, ways, home };
                    prop_assert_eq!(cache.access(line, fill, dirties), naive.access(line, fill, dirties), "{:?}", step);
                }
                Step::Flush(line, how) => {
                    prop_assert_eq!(cache.flush(line, how), naive.flush(line, how), "{:?}", step);
                }
                Step::FlushAll(how) => {
                    let (mut got, mut expected) = (Vec::new(), Vec::new());
                    cache.flush_all(how, |victim| got.push(victim.line));
                    for line in 0..40 {
                        expected.extend(naive.flush(line, how).map(|victim| victim.line));
                    }
                    got.sort_unstable();
                    prop_assert_eq!(got, expected);
                }
                Step::Limit(class, limit) => {
                    cache.set_limit(class, limit);
                    naive.limits[usize::from(class)] = limit;
                }
            }
            for monitor in 0..MONITORS {
                prop_assert_eq!(cache.held_by(monitor), naive.held_by(monitor), "{:?}", step);
            }
            for class in 0..CLASSES {
                prop_assert_eq!(cache.held_by_class(class), naive.held_by_class(class), "{:?}", step);
            }
        }
        for line in 0..40 {
            prop_assert_eq!(cache.has(line), naive.lines().any(|held| held.line == line));
        }
    }
}

fn fill(monitor: u32, ways: u64) -> Fill {
    Fill { label: Label { class: 0, monitor }, ways, home: Home::Own }
}

/// Misses of so many rounds over the first `lines` lines of set 0.
fn misses(cache: &mut Cache, sets: u64, lines: u64, ways: u64, rounds: u64) -> u64 {
    let accesses = (0..rounds).flat_map(|_| (0..lines).map(|line| line * sets));
    accesses.filter(|line| cache.access(*line, fill(0, ways), Dirties::No) != Outcome::Hit).count() as u64
}

#[test]
fn a_loop_over_the_lines_of_a_set_misses_once_if_they_fit_and_always_if_they_do_not() {
    for ways in 1..=16 {
        for allowed in 1..=ways {
            let mask = u64::MAX >> (64 - allowed);
            let cache = || Cache::new(8, ways, 1, 1);
            for lines in 1..=allowed as u64 {
                assert_eq!(misses(&mut cache(), 8, lines, mask, 5), lines, "{lines} lines, {allowed} of {ways} ways");
            }
            let lines = allowed as u64 + 1;
            assert_eq!(misses(&mut cache(), 8, lines, mask, 5), 5 * lines, "{lines} lines, {allowed} of {ways} ways");
        }
    }
}

#[test]
fn whoever_walks_over_more_than_its_ways_holds_just_these() {
    for mask in [0b1, 0b11_0000, 0b1010_1010_1010, 0xfff] {
        let mut cache = Cache::new(64, 12, 1, 2);
        // Somebody has filled it all before.
        for line in 0..64 * 12 {
            cache.access(line, fill(1, u64::MAX), Dirties::Yes);
        }
        for line in 10_000..10_000 + 64 * 24 {
            cache.access(line, fill(0, mask), Dirties::No);
        }
        let share = 64 * u64::from(mask.count_ones());
        assert_eq!(cache.held_by(0), Held { lines: share, dirty: 0 }, "{mask:#x}");
        assert_eq!(cache.held_by(1), Held { lines: 64 * 12 - share, dirty: 64 * 12 - share }, "{mask:#x}");
        assert_eq!(cache.capacity(), 64 * 12);
    }
}

#[test]
fn parts_of_memory_have_their_parts_of_the_sets() {
    // Two parts of memory of 100 lines, then again the first one.
    let mut cache = Cache::in_parts(8, 1, (2, 100), 1, 2);
    for line in 0..100 {
        cache.access(line, fill(0, 1), Dirties::No);
    }
    assert_eq!(cache.held_by(0).lines, 4);
    for line in 100..200 {
        cache.access(line, fill(1, 1), Dirties::No);
    }
    assert_eq!((cache.held_by(0).lines, cache.held_by(1).lines), (4, 4));
    for line in 200..204 {
        cache.access(line, fill(1, 1), Dirties::No);
    }
    assert_eq!((cache.held_by(0).lines, cache.held_by(1).lines), (0, 8));
}
