// SPDX-License-Identifier: GPL-2.0-only
use regex::Regex;

use super::*;
use crate::differential::Asked;
use crate::kernels::Arch;
use crate::machine::Chosen;
use crate::machine::tests::of_a_user;
use crate::workspace;

fn scenario(name: &str, header: &str) -> Scenario {
    let made_for = if header.contains("# machines") || header.contains("# needs") { "" } else { "# machines: intel\n" };
    Scenario::parse(name, &format!("#!/bin/sh\n# Shows {name}.\n{made_for}{header}\necho\n")).unwrap()
}

fn kernel(name: &str) -> Kernel {
    Kernel::load(name, Arch::Amd64).unwrap()
}

fn machine(name: &str) -> Chosen {
    machine::load(name, Kind::Qemu).unwrap()
}

fn names(cases: &[Case]) -> Vec<String> {
    cases.iter().map(ToString::to_string).collect()
}

#[test]
fn the_oracle_only_answers_what_is_compared_unless_asked_for() {
    let stress = [scenario("stress", "# seconds: STRESS=60 unasked=20")];
    let seconds = stress[0].seconds.clone().unwrap();
    assert_eq!((seconds.default, seconds.unasked), (60, Some(20)));
    let both = [Implementation::Kernel, Implementation::Rust];
    let (machines, kernels, asked) = ([machine("intel")], [kernel("stock")], [Regex::new("stress").unwrap()]);
    let select = |implementations: &[Implementation], patterns: &[Regex]| {
        let selection = Selection { machines: &machines, kernels: &kernels, implementations, patterns, shard: None };
        names(&selection.cases(&stress).unwrap())
    };
    assert_eq!(select(&both, &[]), ["stress [intel stock rust]"]);
    assert_eq!(select(&both[..1], &[]), ["stress [intel stock kernel]"]);
    let patient = [scenario("patient", "# run: asked"), stress[0].clone()];
    let selection =
        Selection { machines: &machines, kernels: &kernels, implementations: &both, patterns: &[], shard: None };
    assert_eq!(names(&selection.cases(&patient).unwrap()), ["stress [intel stock rust]"]);
    assert_eq!(select(&both, &asked), ["stress [intel stock kernel]", "stress [intel stock rust]"]);
}

#[test]
fn a_scenario_runs_on_the_kernels_it_names() {
    let scenarios = [scenario("anywhere", ""), scenario("faults", "# kernels: debug rt")];
    let (machines, rust) = ([machine("intel")], [Implementation::Rust]);
    let select = |name: &str| {
        let kernels = [kernel(name)];
        let selection =
            Selection { machines: &machines, kernels: &kernels, implementations: &rust, patterns: &[], shard: None };
        names(&selection.cases(&scenarios).unwrap())
    };
    assert_eq!(select("stock"), ["anywhere [intel stock rust]"]);
    assert_eq!(select("debug"), ["anywhere [intel debug rust]", "faults [intel debug rust]"]);
}

/// A case of a scenario with this text, on machine `intel` and kernel `stock`.
pub(crate) fn case_of(name: &str, text: &str, implementation: Implementation) -> Case {
    Case {
        scenario: Scenario::parse(name, text).unwrap(),
        machine: machine("intel").name,
        arch: Arch::Amd64,
        kernel: "stock".to_owned(),
        like: "stock".to_owned(),
        implementation,
        known: Vec::new(),
    }
}

fn case(name: &str, header: &str) -> Case {
    Case { scenario: scenario(name, header), ..case_of(name, "# A.\n# machines: intel\n", Implementation::Rust) }
}

fn groups(boots: &[Boot]) -> Vec<Vec<&str>> {
    boots.iter().map(|boot| boot.cases.iter().map(|case| &*case.scenario.name).collect()).collect()
}

#[test]
fn scenarios_are_spread_evenly_over_as_few_guests_as_have_time_for_them() {
    let boots = Boot::group(["a", "b", "c"].map(|name| case(name, "")).to_vec());
    assert_eq!(groups(&boots), [["a", "b", "c"]]);
    let boots = Boot::group(vec![
        case("a", "# lasts: 50"),
        case("b", ""),
        case("c", "# lasts: 40"),
        case("d", "# lasts: 30"),
        case("e", "# lasts: 20"),
    ]);
    assert_eq!(groups(&boots), [vec!["a", "b", "e"], vec!["c", "d"]], "in each in their order");
    assert_ne!(boots[0].label(), boots[1].label());
    let boots = Boot::group(vec![case("a", "# lasts: 500")]);
    assert_eq!(groups(&boots), [["a"]], "no guest has nothing to do");
    let theirs = Case { implementation: Implementation::Kernel, ..case("a", "") };
    assert_eq!(groups(&Boot::group(vec![theirs, case("b", "")])), [["a"], ["b"]]);
}

#[test]
fn what_takes_long_is_begun_first() {
    let own = "# guest: own";
    let boots = Boot::group(vec![
        case("quick", own),
        case("a", ""),
        case("b", ""),
        case("long", &format!("{own}\n# timeout: 180")),
    ]);
    assert_eq!(groups(&boots), [vec!["long"], vec!["a", "b"], vec!["quick"]]);
}

#[test]
fn what_is_told_by_parameters_shares_a_guest_with_anybody_and_what_the_kernel_is_told_with_those_alone_that_agree() {
    let both = scenario("a", "# append: rdt=!mba\n# parameters: rdt=!mba");
    assert_eq!([Implementation::Kernel, Implementation::Rust].map(|it| both.arguments(it)), ["rdt=!mba", ""]);
    assert_eq!(scenario("a", "# append: nohz_full=2").arguments(Implementation::Rust), "nohz_full=2");
    let boots = Boot::group(vec![
        case("a", "# append: x\n# parameters: x"),
        case("b", ""),
        case("c", "# append: nohz_full=2"),
        case("d", ""),
        case("e", "# append: nohz_full=3"),
        case("f", "# append: quiet nohz_full=2"),
        case("g", "# append: y\n# guest: own"),
    ]);
    assert_eq!(groups(&boots), [vec!["b", "d", "a"], vec!["c", "f"], vec!["g"], vec!["e"]], "loaded anew once");
    let arguments: Vec<_> = boots.iter().map(Boot::arguments).collect();
    assert_eq!(arguments, ["", "nohz_full=2 quiet", "y", "nohz_full=3"]);
}

#[test]
fn a_header_sets_what_it_names_and_leaves_the_rest_at_its_default() {
    let parsed = Scenario::parse(
        "stress",
        "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0-only\n#\n# Stresses hotplug.\n\
         # machines: intel intel-big\n# impl: rust\n# timeout: 40\n# seconds: STRESS=60\n\
         # guest: own\n# snapshot: tree dmesg/impl\n# Prose: not a setting.\n\n# impl: both\n",
    )
    .unwrap();
    assert_eq!(parsed.about, "Stresses hotplug.");
    assert_eq!(parsed.machines, ["intel", "intel-big"]);
    assert_eq!(parsed.implementations, [Implementation::Rust]);
    assert!(parsed.own_guest);
    assert!(!parsed.compare);
    assert_eq!(parsed.snapshots[1].name, "dmesg");
    assert!(parsed.snapshots[1].per_implementation && !parsed.snapshots[0].per_implementation);
    assert_eq!(scenario("a", "").limit, DEFAULT_LIMIT);
}

#[test]
fn a_seconds_parameter_lengthens_the_time_limit() {
    let parsed = scenario("stress", "# timeout: 40\n# seconds: STRESS=60");
    let set = |value: &str| BTreeMap::from([("STRESS".to_owned(), value.to_owned())]);
    assert_eq!(parsed.limit(&BTreeMap::new()).unwrap(), Duration::from_secs(100));
    assert_eq!(parsed.limit(&set("3600")).unwrap(), Duration::from_secs(3640));
    assert!(parsed.limit(&set("long")).is_err());
}

#[test]
fn what_is_wrong_in_a_header_is_told_with_file_and_line() {
    for (header, message) in [
        ("# machine: intel", "4: machine: there is no such setting"),
        ("# impl: c", "4: impl: expected `rust`, `kernel` or `both`"),
        ("# refusal: perhaps", "4: refusal: expected `yes` or `no`"),
        ("# machines: amd\n# machines: amd", "5: machines: it is there twice"),
        ("# compare: yes\n# impl: rust\n# compare: no", "6: compare: it is there twice"),
        ("# machines: intel nosuch", "4: machines: there is no machine `nosuch`; there are: amd, amd-abmc"),
        ("# machines: amd intel amd", "4: machines: `amd` is there twice"),
        ("# kernels: stokc", "4: kernels: there is no kernel `stokc`; there are: debug, gcov, kcsan, oracle"),
        ("# fault: stokc kernel text", "4: fault: there is no kernel `stokc`"),
        ("# policy: nosuch", "4: policy: there is no policy "),
        ("# needs: l3.cta", "4: needs: there is no `l3.cta` to need, perhaps `l3.cat`"),
        ("# timeout: 0", "4: timeout: a time of 0 seconds"),
        ("# timeout: soon", "4: timeout: `soon` is no number of seconds"),
        ("# seconds: STRESS=0", "4: seconds: a time of 0 seconds"),
        ("# seconds: STRESS=60 unasked=0", "4: seconds: a time of 0 seconds"),
        ("# guest: mine", "4: guest: expected `own` or `shared`"),
    ] {
        let text = format!("#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0-only\n# Shows it.\n{header}\n\necho\n");
        let error = format!("{:#}", Scenario::parse("a", &text).unwrap_err());
        assert!(error.starts_with(&format!("qemu-images/guest/scenarios/a.sh:{message}")), "{header}: {error}");
    }
    let error = Scenario::parse("a", "# machines: intel\necho\n").unwrap_err().to_string();
    assert_eq!(error, "qemu-images/guest/scenarios/a.sh: it does not say what it shows");
    let error = Scenario::parse("a", "# Shows it.\n# impl: rust\n").unwrap_err().to_string();
    assert!(error.starts_with("qemu-images/guest/scenarios/a.sh: it says neither what it `needs` nor"), "{error}");
}

/// The selection of some scenarios on these machines and kernel `stock`, with ours.
fn selected(machines: &[Chosen], scenarios: &[Scenario]) -> Vec<String> {
    let kernels = Arch::ALL.map(|arch| Kernel::load("stock", arch).unwrap());
    let implementations = &[Implementation::Rust];
    names(
        &Selection { machines, kernels: &kernels, implementations, patterns: &[], shard: None }
            .cases(scenarios)
            .unwrap(),
    )
}

#[test]
fn a_scenario_runs_where_there_is_what_it_needs_and_on_the_projects_machines_only_where_it_says() {
    let scenarios = [
        scenario("l2", "# needs: l2.cat"),
        scenario("spared", "# needs: monitoring l3.domains>=2\n# machines: intel amd"),
        scenario("made-for", "# machines: intel"),
    ];
    let (_folder, mine) = of_a_user("mine.toml", "like = \"intel\"\n");
    let (_other, small) = of_a_user("small.toml", "like = \"intel-l2\"\n");
    let machines = [machine("intel"), machine("intel-l2"), machine("intel-aet"), machine("mpam-2l3"), mine, small];
    assert_eq!(
        selected(&machines, &scenarios),
        [
            "spared [intel stock rust]",
            "made-for [intel stock rust]",
            "l2 [intel-l2 stock rust]",
            "spared [mine.toml stock rust]",
            "l2 [small.toml stock rust]",
        ]
    );
}

#[test]
fn the_users_machines_are_told_what_does_not_fit_them_and_why() {
    let scenarios = [
        scenario("l2", "# needs: l2.cat"),
        scenario("pairs", "# needs: monitoring l3.domains>=2\n# machines: intel amd"),
        scenario("made-for", "# machines: intel amd"),
        scenario("fits", "# needs: mb"),
        scenario("later", "# needs: abmc\n# run: asked"),
    ];
    let (_folder, mine) = of_a_user("mine.toml", "like = \"intel\"\n[topology]\nsockets = 1\n");
    let selection = Selection {
        machines: &[machine("intel"), mine],
        kernels: &[kernel("stock")],
        implementations: &[Implementation::Rust],
        patterns: &[],
        shard: None,
    };
    assert_eq!(
        selection.misfits(&scenarios),
        ["1 of 4 scenarios fit mine.toml; these do not:\n  l2        needs l2.cat\n  \
          pairs     needs l3.domains>=2 (here: 1)\n  made-for  is made for machine intel amd"]
    );
}

#[test]
fn whatever_a_scenario_of_the_project_needs_its_machines_have() {
    let scenarios = load(&workspace::root().join("qemu-images/guest/scenarios")).unwrap();
    let machines: Vec<Chosen> =
        machine::names(Kind::Qemu).unwrap().iter().map(|name| machine::load(name, Kind::Qemu).unwrap()).collect();
    for scenario in &scenarios {
        let fit = |machine: &&Chosen| scenario.why_not(&machine.name, &Found::on(&machine.hardware)).is_none();
        let fitting: Vec<&Chosen> = machines.iter().filter(fit).collect();
        assert!(!fitting.is_empty(), "{} fits no machine", scenario.name);
        for name in &scenario.machines {
            assert!(fitting.iter().any(|it| it.name.to_string() == *name), "{} does not fit {name}", scenario.name);
        }
    }
}

#[test]
fn what_takes_the_power_away_has_a_guest_to_itself() {
    let sleeper = scenario("sleeper", "# suspends: yes");
    assert!(sleeper.suspends && sleeper.needs_a_guest());
    assert!(!scenario("other", "# suspends: no").suspends);
    let error = Scenario::parse("odd", "#!/bin/sh\n# Shows odd.\n# machines: intel\n# suspends: maybe\necho\n");
    assert!(format!("{:#}", error.unwrap_err()).contains("expected `yes` or `no`"));
}

#[test]
fn what_is_done_to_the_module_before_anything_runs_needs_a_guest_of_its_own() {
    let expert = scenario("cdp", "# parameters: expert=1");
    assert!(!expert.own_guest && expert.parameters == "expert=1" && !expert.refusal);
    let broken = scenario("broken", "# refusal: yes");
    assert!(broken.own_guest && broken.refusal);
    assert!(Scenario::parse("a", "# About.\n# refusal: perhaps\n").is_err());
}

#[test]
fn shards_cover_every_item_once() {
    let all: Vec<u32> = (0..10).collect();
    let mut seen: Vec<u32> =
        (1..=3).flat_map(|index| format!("{index}/3").parse::<Shard>().unwrap().select(all.clone())).collect();
    seen.sort_unstable();
    assert_eq!(seen, all);
    for wrong in ["0/3", "4/3", "1", "a/b", "1/0"] {
        assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
    }
}

#[test]
fn a_selection_of_nothing_is_an_error_that_names_the_patterns() {
    let selection = Selection {
        machines: &[machine("intel")],
        kernels: &[kernel("stock")],
        implementations: &[Implementation::Rust],
        patterns: &[Regex::new("nosuch").unwrap()],
        shard: None,
    };
    let error = selection.cases(&[scenario("mount", "")]).unwrap_err();
    assert!(error.to_string().contains("nosuch"), "{error}");
}

#[test]
fn the_module_is_no_case_on_a_kernel_it_does_not_support_and_the_reason_is_given() {
    let mut selection = Selection {
        machines: &[machine("intel")],
        kernels: &[kernel("stable"), kernel("stock")],
        implementations: &[Implementation::Kernel, Implementation::Rust],
        patterns: &[],
        shard: None,
    };
    // Nor does its absence spare the kernel's own.
    let scenarios = [scenario("a", "# compare: yes"), scenario("race", "# seconds: RACE=20 unasked=5")];
    let cases = names(&selection.cases(&scenarios).unwrap());
    assert_eq!(cases[..3], ["a [intel stable kernel]", "race [intel stable kernel]", "a [intel stock kernel]"]);
    assert_eq!(cases[3..], ["a [intel stock rust]", "race [intel stock rust]"]);
    assert_eq!(selection.left_out(), ["[stable amd64 rust]: 6.12 is older than the module supports"]);
    let stable = [kernel("stable")];
    selection.kernels = &stable;
    selection.implementations = &[Implementation::Rust];
    let error = selection.cases(&scenarios).unwrap_err();
    assert!(error.to_string().contains("6.12 is older than the module supports"), "{error}");
    selection.implementations = &[Implementation::Kernel];
    assert!(selection.left_out().is_empty());
}

#[test]
fn a_kernel_runs_on_machines_of_its_instruction_set_and_without_its_own_resctrl_ours_alone() {
    let kernels = Arch::ALL.map(|arch| Kernel::load("stock", arch).unwrap());
    let selection = Selection {
        machines: &[machine("intel"), machine("mpam")],
        kernels: &kernels,
        implementations: &[Implementation::Kernel, Implementation::Rust],
        patterns: &[],
        shard: None,
    };
    let cases = names(&selection.cases(&[scenario("mount", "# machines: intel mpam\n# compare: yes")]).unwrap());
    assert_eq!(cases, ["mount [intel stock kernel]", "mount [intel stock rust]", "mount [mpam stock rust]"]);
    let [left_out] = &selection.left_out()[..] else { panic!("one is left out") };
    assert!(left_out.starts_with("[stock arm64 kernel]: ") && left_out.contains("RESCTRL_FS"), "{left_out}");
}

#[test]
fn a_pattern_that_matches_on_other_machines_only_says_which() {
    let selection = Selection {
        machines: &[machine("intel")],
        kernels: &[kernel("stock")],
        implementations: &[Implementation::Rust],
        patterns: &[Regex::new("l2").unwrap()],
        shard: None,
    };
    let error = selection.cases(&[scenario("l2", "# machines: intel-l2")]).unwrap_err();
    assert!(error.to_string().contains("`l2` does not run on intel: it is made for machine intel-l2"), "{error}");
}

#[test]
fn a_selection_of_nothing_says_why_each_scenario_that_was_asked_for_does_not_run() {
    let (_folder, mine) = of_a_user("mine.toml", "like = \"intel\"\n");
    let scenarios = [
        scenario("l2", "# needs: l2.cat"),
        scenario("l3", "# needs: l3.cat\n# machines: amd\n# kernels: debug\n# impl: kernel"),
        scenario("other", "# machines: amd"),
    ];
    let selection = Selection {
        machines: &[machine("intel"), mine],
        kernels: &[kernel("stock")],
        implementations: &[Implementation::Rust],
        patterns: &[Regex::new("^l").unwrap()],
        shard: None,
    };
    let error = selection.cases(&scenarios).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(
        lines[1..lines.len() - 1],
        [
            "  `l2` does not run on intel: it needs l2.cat",
            "  `l2` does not run on mine.toml: it needs l2.cat",
            "  `l3` does not run on intel: it is spared all of the project's machines but amd",
            "  `l3` does not run on kernel stock: it is for kernel debug",
            "  `l3` does not run with that --impl: it is for --impl kernel",
        ]
    );
}

#[test]
fn scenarios_share_a_guest_unless_they_ask_for_their_own() {
    let scenarios = [
        scenario("mount", "# compare: yes"),
        scenario("off", "# append: rdt=!l3cat\n# compare: yes"),
        scenario("tasks", "# compare: yes"),
        scenario("l2", "# machines: intel-l2\n# compare: yes"),
    ];
    let cases = Selection {
        machines: &[machine("intel"), machine("intel-l2")],
        kernels: &[kernel("stock")],
        implementations: &[Implementation::Kernel, Implementation::Rust],
        patterns: &[],
        shard: None,
    }
    .cases(&scenarios)
    .unwrap();
    let boots = Boot::group(cases);
    let boots: Vec<_> = boots.iter().map(|boot| (boot.label(), names(&boot.cases))).collect();
    assert_eq!(boots.len(), 6);
    assert_eq!(boots[2].0, "intel-stock-kernel-off");
    assert_eq!(
        boots[0],
        (
            "intel-stock-kernel".to_owned(),
            vec!["mount [intel stock kernel]".to_owned(), "tasks [intel stock kernel]".to_owned()]
        )
    );
}

#[test]
fn a_case_prints_the_command_that_repeats_it() {
    let mut case = case("mount", "");
    let mut again = Again {
        settings: BTreeMap::from([("STRESS".to_owned(), "5 s".to_owned())]),
        both: true,
        sequences: Asked { seed: 7, operations: 900 },
        flags: Vec::new(),
        tree: false,
    };
    assert_eq!(
        case.command(&again),
        "cargo xtask test-qemu --machine intel --kernel stock --impl rust --scenario '^mount$' --set 'STRESS=5 s'"
    );
    let (_folder, mine) = of_a_user("it's mine.toml", "like = \"intel\"\n");
    let name = std::mem::replace(&mut case.machine, mine.name);
    let path = case.machine.argument().replace('\'', r"'\''");
    let command = format!("cargo xtask test-qemu --machine '{path}' --kernel stock --impl rust");
    assert!(case.command(&again).starts_with(&command) && path.starts_with('/'), "{}", case.command(&again));
    assert_eq!(case.to_string(), "mount [it's mine.toml stock rust]");
    case.machine = name;
    case.scenario = scenario("differential", "# lockstep: yes");
    again = Again { settings: BTreeMap::new(), flags: vec!["--tree".into(), "/it's".into()], tree: true, ..again };
    assert_eq!(
        case.command(&again),
        r"cargo xtask test-qemu --machine intel --impl both --scenario '^differential$' --seed 7 --ops 900 --tree '/it'\''s'"
    );
    let alone = Again { both: false, ..again };
    assert!(case.command(&alone).contains(&format!("--impl {} ", case.implementation)), "{}", case.command(&alone));
}

#[test]
fn packages_are_of_an_instruction_set_and_want_a_guest_of_their_own() {
    let peers = scenario("peers", "# packages: pqos/amd64 crun\n# programs: goresctrl");
    assert_eq!(peers.packages(Arch::Amd64), ["pqos", "crun"]);
    assert_eq!(peers.packages(Arch::Arm64), ["crun"]);
    assert!(peers.goresctrl && peers.needs_a_guest());
    let error = Scenario::parse("peers", "# About.\n# machines: intel\n# packages: crun/riscv64").unwrap_err();
    assert!(format!("{error:#}").contains("`crun/riscv64`: expected NAME or NAME/amd64|arm64"), "{error:#}");
}
