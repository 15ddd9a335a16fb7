// SPDX-License-Identifier: GPL-2.0-only
//! The model as the explorer takes it.

use resctrl_fs_model::action::Action;
use resctrl_fs_model::bounds::Bounds;
use resctrl_fs_model::invariants::INVARIANTS;
use resctrl_fs_model::rules::{Hotplug, Rules, Time, Version};
use resctrl_fs_model::state::{Exit, Kind, Pending, Sleep, State};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// What is explored.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) rules: Rules,
    pub(crate) bounds: Bounds,
}

/// One cache with so many CPUs, beside a CPU that never goes.
pub(crate) fn one_cache(version: Version, time: Time, hotplug: Hotplug, cpus: usize) -> Rules {
    Rules { version, time, hotplug, packages: vec![0; cpus], isolated: vec![false; cpus], anchored: true }
}

/// Two domains in memory, one command at a time, two CPUs leaving between two readings; no limbo, no sleep, no exit.
pub(crate) const PLAIN: Bounds =
    Bounds { domains: 2, commands: 1, leaving: 2, limbo: false, sleep: false, exit: false };

/// Something about a state.
type Check = fn(&Life, &State) -> bool;

fn holds<const AT: usize>(life: &Life, state: &State) -> bool {
    (INVARIANTS[AT].holds)(&life.rules, state)
}

const STUCK: &str = "somebody can go on";

fn can_go_on(life: &Life, state: &State) -> bool {
    let mut choices = Vec::new();
    life.rules.choices(state, &life.bounds, &mut choices);
    state.exit == Exit::Gone || choices.into_iter().any(|action| life.rules.step(state, action).is_some())
}

/// What a search must have met, or it was none: by name.
const MET: [(&str, Check); 5] = [
    ("a worker runs displaced", |_, state| runs(state, |alive, told| alive && !told)),
    ("a worker runs in a domain that has gone", |_, state| runs(state, |alive, _| !alive)),
    ("a domain has come while another is remembered", |_, state| state.domains.iter().flatten().count() > 1),
    ("CPUs are asleep while a worker is due", |_, state| {
        let works = state.domains.iter().flatten().flat_map(|domain| Kind::BOTH.map(|kind| domain.work(kind)));
        state.sleep != Sleep::No && works.into_iter().any(|work| matches!(work.pending, Some(Pending::Queued(_))))
    }),
    ("the module has gone", |_, state| state.exit == Exit::Gone),
];

fn runs(state: &State, what: impl Fn(bool, bool) -> bool) -> bool {
    let mut domains = state.domains.iter().flatten();
    domains.any(|domain| {
        Kind::BOTH
            .into_iter()
            .filter_map(|kind| domain.work(kind).run)
            .any(|run| what(domain.alive, run.told.is_some()))
    })
}

impl Model for Life {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.rules.initial(self.bounds.domains)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.rules.choices(state, &self.bounds, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        self.rules.step(last, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let checks: [Check; INVARIANTS.len()] = [
            holds::<0>,
            holds::<1>,
            holds::<2>,
            holds::<3>,
            holds::<4>,
            holds::<5>,
            holds::<6>,
            holds::<7>,
            holds::<8>,
            holds::<9>,
            holds::<10>,
            holds::<11>,
        ];
        let mut properties: Vec<_> =
            INVARIANTS.iter().zip(checks).map(|(invariant, check)| Property::always(invariant.name, check)).collect();
        properties.push(Property::always(STUCK, can_go_on));
        properties.extend(MET.map(|(name, met)| Property::sometimes(name, met)));
        properties
    }
}

/// What a search through everything has seen.
pub(crate) struct Seen {
    pub(crate) states: usize,
    /// How many steps the farthest is from the beginning; the explorer counts states.
    pub(crate) steps: usize,
    /// What of [`MET`] it has met.
    pub(crate) met: Vec<&'static str>,
}

/// Goes through every state. Whatever breaks ends the test, with the shortest way there.
pub(crate) fn explore(life: Life) -> Seen {
    let checker = life.checker().threads(1).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let met = MET.iter().map(|&(name, _)| name).filter(|name| discoveries.contains_key(name)).collect();
    let broken = discoveries.into_iter().find(|(name, _)| !MET.iter().any(|(met, _)| met == name));
    if let Some((name, path)) = broken {
        panic!("not so: {name}\n{}", told(&path.into_actions()));
    }
    Seen { states: checker.unique_state_count(), steps: checker.max_depth() - 1, met }
}

/// The shortest way to a state in which something does not hold.
pub(crate) fn breaks(life: &Life, name: &'static str) -> String {
    let mut shortest = None;
    // The explorer goes on for a while after the first that it finds, and keeps the last: it is asked until there is none.
    loop {
        let searched = life.clone().checker().threads(1).finish_when(HasDiscoveries::AnyOf([name].into()));
        // States so many steps away have this depth, and one more; the explorer skips those of the depth that it is given.
        let limit = shortest.as_ref().map_or(usize::MAX, |actions: &Vec<Action>| actions.len() + 1);
        let checker = searched.target_max_depth(limit).spawn_bfs().join();
        match (checker.discovery(name), shortest) {
            (Some(path), _) => shortest = Some(path.into_actions()),
            (None, Some(actions)) => return format!("not so: {name}\n{}", told(&actions)),
            (None, None) => panic!("nothing breaks `{name}` in {} states", checker.unique_state_count()),
        }
    }
}

fn told(actions: &[Action]) -> String {
    let lines = actions.iter().map(ToString::to_string);
    lines.collect::<Vec<_>>().join("\n")
}
