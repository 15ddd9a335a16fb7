// SPDX-License-Identifier: GPL-2.0-only
//! How long it will take: what is left of the guests that run, and of those that wait for their turn.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::history::History;
use crate::scenario::{Boot, Case};

/// A thing that a guest does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Comes up.
    Boot,
    /// Runs a scenario.
    Scenario(String),
}

/// A guest, and what it has yet to do.
#[derive(Debug, Clone)]
struct Guest {
    label: String,
    cases: usize,
    steps: VecDeque<(Step, Duration)>,
    /// When it began with the first of them.
    began: Instant,
}

impl Guest {
    fn left(&self, now: Instant) -> Duration {
        let whole: Duration = self.steps.iter().map(|(_, expected)| *expected).sum();
        // What takes longer than expected is as good as done at any moment.
        let first = self.steps.front().map_or(Duration::ZERO, |(_, expected)| *expected);
        whole - first.min(now.saturating_duration_since(self.began))
    }
}

/// What is left of a run.
#[derive(Debug)]
pub(super) struct Estimate {
    waiting: VecDeque<Guest>,
    running: Vec<Option<Guest>>,
}

impl Estimate {
    /// Of a run of these boots, in this order, on so many guests at once. `None` if nothing is known of any of its cases; one of
    /// which nothing is known takes as long as the others do.
    pub(super) fn new(
        boots: &[Boot],
        jobs: usize,
        history: &History,
        settings: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let cases = || boots.iter().flat_map(|boot| &boot.cases);
        let average = |known: Vec<Duration>| {
            let number = u32::try_from(known.len()).ok().filter(|number| *number > 0)?;
            Some(known.iter().sum::<Duration>() / number)
        };
        let scenario = average(cases().filter_map(|case| history.case(case, settings)).collect())?;
        let boot_of = |boot: &Boot| history.boot(boot.first());
        let start = average(boots.iter().filter_map(boot_of).collect()).unwrap_or_default();
        let step = |case: &Case| {
            (Step::Scenario(case.scenario.name.clone()), history.case(case, settings).unwrap_or(scenario))
        };
        let guest = |boot: &Boot| Guest {
            label: boot.label(),
            cases: boot.cases.len(),
            steps: std::iter::once((Step::Boot, boot_of(boot).unwrap_or(start)))
                .chain(boot.cases.iter().map(step))
                .collect(),
            began: Instant::now(),
        };
        Some(Self { waiting: boots.iter().map(guest).collect(), running: vec![None; jobs] })
    }

    /// How long a guest takes for what it is doing.
    pub(super) fn expected(&self, worker: usize) -> Option<Duration> {
        Some(self.running.get(worker)?.as_ref()?.steps.front()?.1)
    }

    /// Which of its scenarios a guest is doing, and how many it has.
    pub(super) fn progress(&self, worker: usize) -> Option<(usize, usize)> {
        let guest = self.running.get(worker)?.as_ref()?;
        let left = guest.steps.iter().filter(|(step, _)| *step != Step::Boot).count();
        Some((guest.cases + 1 - left, guest.cases))
    }

    /// A guest is started, perhaps once more.
    pub(super) fn started(&mut self, worker: usize, label: &str, now: Instant) {
        let Some(place) = self.running.get_mut(worker) else { return };
        if let Some(index) = self.waiting.iter().position(|guest| guest.label == label) {
            *place = self.waiting.remove(index);
        }
        if let Some(guest) = place {
            guest.began = now;
        }
    }

    /// A guest does this from now on; what it had to do before is done.
    pub(super) fn begins(&mut self, worker: usize, step: &Step, now: Instant) {
        let Some(Some(guest)) = self.running.get_mut(worker) else { return };
        if let Some(index) = guest.steps.iter().position(|(other, _)| other == step) {
            guest.steps.drain(..index);
            guest.began = now;
        }
    }

    /// A guest is gone. What it has not done, another one like it does, which is still this one here.
    pub(super) fn ended(&mut self, worker: usize, now: Instant) {
        if let Some(Some(guest)) = self.running.get_mut(worker) {
            guest.steps.pop_front();
            guest.began = now;
        }
    }

    /// The time until the last guest is gone, if each takes as long as it is expected to.
    pub(super) fn left(&self, now: Instant) -> Duration {
        let mut workers: Vec<Duration> =
            self.running.iter().map(|guest| guest.as_ref().map_or(Duration::ZERO, |guest| guest.left(now))).collect();
        for guest in &self.waiting {
            // Whoever is done first takes the next.
            if let Some(first) = workers.iter_mut().min() {
                *first += guest.steps.iter().map(|(_, expected)| *expected).sum::<Duration>();
            }
        }
        workers.into_iter().max().unwrap_or_default()
    }
}

/// A time that is not known to the second.
pub(super) fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..100 => format!("about {seconds} s"),
        seconds => format!("about {} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Implementation;
    use crate::scenario::tests::case_of;
    use crate::test_qemu::outcome::tests::finished;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn case(name: &str, setting: &str) -> Case {
        case_of(name, &format!("# A.\n# machines: intel\n{setting}\n"), Implementation::Rust)
    }

    /// Two scenarios that share a guest, 10 and 20 s, and one with a guest of its own, 40 s; a boot takes 5.
    fn run(jobs: usize) -> Estimate {
        let cases = vec![case("a", ""), case("b", ""), case("own", "# guest: own")];
        let (mut history, settings) = (History::default(), BTreeMap::new());
        for (case, took) in cases.iter().zip([10, 20, 40]) {
            let mut outcome = finished(case.clone(), &["ok 1 - x"]);
            outcome.took = seconds(took);
            history.learn_case(&outcome, &settings);
            history.learn_boot(case, seconds(5));
        }
        Estimate::new(&Boot::group(cases), jobs, &history, &settings).expect("all is known")
    }

    #[test]
    fn guests_take_their_turns_and_the_longest_says_when_it_is_over() {
        let now = Instant::now();
        assert_eq!(run(1).left(now), seconds(5 + 30 + 5 + 40));
        assert_eq!(run(2).left(now), seconds(45));
        assert_eq!(run(3).left(now), seconds(45));
    }

    #[test]
    fn what_is_done_is_no_longer_left_and_what_takes_too_long_is_about_to_end() {
        let mut run = run(1);
        let start = Instant::now();
        run.started(0, "intel-stock-rust", start);
        assert_eq!(run.left(start + seconds(3)), seconds(80 - 3));
        assert_eq!(run.left(start + seconds(60)), seconds(80 - 5), "a boot that takes long");
        run.begins(0, &Step::Scenario("a".to_owned()), start);
        assert_eq!((run.expected(0), run.progress(0)), (Some(seconds(10)), Some((1, 2))));
        assert_eq!(run.left(start + seconds(4)), seconds(75 - 4));
        run.begins(0, &Step::Scenario("b".to_owned()), start);
        assert_eq!((run.expected(0), run.progress(0)), (Some(seconds(20)), Some((2, 2))));
        assert_eq!(run.left(start), seconds(65));
        run.ended(0, start);
        assert_eq!(run.left(start), seconds(45));
        run.started(0, "intel-stock-rust-own", start);
        run.begins(0, &Step::Scenario("own".to_owned()), start);
        assert_eq!(run.left(start + seconds(100)), Duration::ZERO);
    }

    #[test]
    fn of_what_was_never_seen_nothing_is_expected_and_of_some_of_it_the_average() {
        let boots = Boot::group(vec![case("a", ""), case("new", "")]);
        let (mut history, settings) = (History::default(), BTreeMap::new());
        assert!(Estimate::new(&boots, 1, &history, &settings).is_none());
        let mut outcome = finished(case("a", ""), &["ok 1 - x"]);
        outcome.took = seconds(10);
        history.learn_case(&outcome, &settings);
        let run = Estimate::new(&boots, 1, &history, &settings).expect("something is known");
        assert_eq!(run.left(Instant::now()), seconds(20));
    }

    #[test]
    fn times_are_told_as_exactly_as_they_are_known() {
        assert_eq!(
            [0, 99, 100, 1000].map(|number| about(seconds(number))),
            ["about 0 s", "about 99 s", "about 2 min", "about 17 min"]
        );
    }
}
