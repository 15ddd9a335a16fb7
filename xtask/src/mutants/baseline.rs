// SPDX-License-Identifier: GPL-2.0-only
//! All tests without a mutant: how long each takes, and which mutants it comes by.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::build::{Build, Program};
use crate::{measured, progress};

/// Without a mutant, a test may take that long.
const PATIENCE: Duration = Duration::from_secs(600);

/// A test, as it is without a mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) millis: u64,
    /// The numbers of the mutants that it comes by: one, and how many there are from it on, and so on.
    reached: Vec<(u32, u32)>,
    /// Of them, those that make a difference where it comes by, as far as is known.
    differing: Vec<(u32, u32)>,
}

/// All tests of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tests {
    /// When it was written, and how long it is.
    version: (u128, u64),
    tests: Vec<Test>,
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Passed,
    Failed,
    /// It was killed.
    Late,
}

/// A test, by its program and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) program: usize,
    test: usize,
}

/// Of all programs.
pub(super) struct Baseline {
    programs: Vec<Program>,
    tests: Vec<Vec<Test>>,
    /// How many tests come by each mutant.
    reaching: BTreeMap<u32, usize>,
    /// Those to which it makes a difference.
    concerned: BTreeMap<u32, Vec<Place>>,
}

impl Baseline {
    /// Runs the tests, those of programs excepted that have not changed since the last time.
    ///
    /// # Errors
    ///
    /// One fails.
    pub(super) fn of(build: &Build, folder: &Path) -> Result<Self> {
        let place = folder.join("baseline.json");
        let mut known: BTreeMap<String, Tests> =
            if place.exists() { measured::load(&place).unwrap_or_default() } else { BTreeMap::new() };
        let mut all = BTreeMap::new();
        for program in &build.programs {
            let version = version(&program.path)?;
            let key = program.path.display().to_string();
            let tests = match known.remove(&key).filter(|tests| tests.version == version) {
                Some(tests) => tests,
                None => Tests { version, tests: record(program, build.end(), folder)? },
            };
            all.insert(key, tests);
            measured::save(&place, &all)?;
        }
        let tests = |program: &Program| all[&program.path.display().to_string()].tests.clone();
        let tests: Vec<Vec<Test>> = build.programs.iter().map(tests).collect();
        Ok(Self::new(build.programs.clone(), tests))
    }

    pub(super) fn new(programs: Vec<Program>, tests: Vec<Vec<Test>>) -> Self {
        let mut reaching = BTreeMap::<u32, usize>::new();
        let mut concerned = BTreeMap::<u32, Vec<Place>>::new();
        for (program, of_program) in tests.iter().enumerate() {
            for (test, of_test) in of_program.iter().enumerate() {
                numbers(&of_test.reached).for_each(|number| *reaching.entry(number).or_default() += 1);
                for number in numbers(&of_test.differing) {
                    concerned.entry(number).or_default().push(Place { program, test });
                }
            }
        }
        Self { programs, tests, reaching, concerned }
    }

    /// How many tests come by a mutant.
    pub(super) fn reaching(&self, number: u32) -> usize {
        self.reaching.get(&number).copied().unwrap_or_default()
    }

    /// The tests to which a mutant makes a difference, the quickest first; of those that take about as long those of `package`.
    pub(super) fn concerned(&self, number: u32, package: &str) -> Vec<Place> {
        let mut places = self.concerned.get(&number).cloned().unwrap_or_default();
        places.sort_by_key(|place| {
            let millis = self.test(*place).millis;
            (millis.max(4).ilog2(), self.programs[place.program].package != package, millis, *place)
        });
        places
    }

    pub(super) fn test(&self, place: Place) -> &Test {
        &self.tests[place.program][place.test]
    }

    pub(super) fn program(&self, place: Place) -> &Program {
        &self.programs[place.program]
    }

    /// `resctrl-fs::abi cpus::offline`.
    pub(super) fn name(&self, place: Place) -> String {
        let program = self.program(place);
        let own = program.package.replace('-', "_") == program.name.replace('-', "_");
        let name = if own { program.package.clone() } else { format!("{}::{}", program.package, program.name) };
        format!("{name} {}", self.test(place).name)
    }

    pub(super) fn len(&self) -> usize {
        self.tests.iter().map(Vec::len).sum()
    }

    /// What all tests take, one after the other.
    pub(super) fn total(&self) -> Duration {
        Duration::from_millis(self.tests.iter().flatten().map(|test| test.millis).sum())
    }

    /// Runs a test with a mutant in it, and kills it if it takes much longer than without.
    pub(super) fn run(&self, place: Place, number: u32, output: Stdio) -> Result<Ended> {
        let test = self.test(place);
        let limit = Duration::from_millis(test.millis) * 10 + Duration::from_secs(10);
        let mut command = command(self.program(place));
        command.arg("--exact").arg(&test.name).env("RESCTRL_MUTANT", number.to_string());
        // Both go to the same place.
        command.arg("--nocapture").stderr(output).stdout(Stdio::null());
        end(&mut command, limit)
    }
}

fn version(path: &Path) -> Result<(u128, u64)> {
    let file = path.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    Ok((file.modified()?.duration_since(UNIX_EPOCH)?.as_nanos(), file.len()))
}

/// A test program, as cargo would run it, with nothing that changes what tests do.
fn command(program: &Program) -> Command {
    let mut command = Command::new(&program.path);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["SIM_", "MODEL_", "PROPTEST_", "INSTA_", "RESCTRL_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
        .current_dir(&program.folder)
        .env("CARGO_MANIFEST_DIR", &program.folder)
        .env("CARGO_PKG_NAME", &program.package)
        .env("RUST_BACKTRACE", "0")
        // The same inputs with a mutant and without; a mutant's failures are not kept for the next.
        .env("PROPTEST_RNG_SEED", "20077")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
        .env("INSTA_UPDATE", "no")
        .stdin(Stdio::null());
    command
}

/// Runs it; it is killed if it does not end in time.
fn end(command: &mut Command, limit: Duration) -> Result<Ended> {
    let began = Instant::now();
    let mut child = command.spawn().context("cannot run a test")?;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() { Ended::Passed } else { Ended::Failed });
        }
        if began.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(Ended::Late);
        }
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(5));
    }
}

/// The names of tests in what `--list --format terse` prints.
fn names(list: &str) -> Vec<String> {
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

fn list(program: &Program) -> Result<Vec<String>> {
    let list = |arguments: &[&str]| -> Result<Vec<String>> {
        let output = command(program).args(["--list", "--format", "terse"]).args(arguments).output();
        let output = output.with_context(|| format!("cannot run {}", program.path.display()))?;
        ensure!(output.status.success(), "{}: {}", program.path.display(), output.status);
        Ok(names(&String::from_utf8_lossy(&output.stdout)))
    };
    let ignored = list(&["--ignored"])?;
    Ok(list(&[])?.into_iter().filter(|name| !ignored.contains(name)).collect())
}

/// How many at once.
pub(super) fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs the tests of a program, each in a process of its own.
fn record(program: &Program, numbers: u32, folder: &Path) -> Result<Vec<Test>> {
    let names = list(program)?;
    let bar = progress::count(&format!("{} {}: tests without a mutant", program.package, program.name), names.len());
    let next = AtomicUsize::new(0);
    let tests = Mutex::new(BTreeMap::new());
    thread::scope(|scope| -> Result<()> {
        let worker = |worker: usize| -> Result<()> {
            let table = folder.join(format!("reached-{worker}"));
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(name) = names.get(at) else { return Ok(()) };
                fs::write(&table, vec![0; numbers as usize])
                    .with_context(|| format!("cannot write {}", table.display()))?;
                let mut command = command(program);
                command.arg("--exact").arg(name).env("RESCTRL_MUTANT", "record").env("RESCTRL_MUTANT_FILE", &table);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                let began = Instant::now();
                let ended = end(&mut command, PATIENCE)?;
                if ended != Ended::Passed {
                    bail!("{} fails in {} without any mutant", name, program.path.display());
                }
                let millis = u64::try_from(began.elapsed().as_millis())?;
                let table = fs::read(&table)?;
                let (reached, differing) = (ranges(&table, |byte| byte != 0), ranges(&table, |byte| byte > 1));
                let test = Test { name: name.clone(), millis, reached, differing };
                tests.lock().expect("nobody panics").insert(at, test);
                bar.inc(1);
            }
        };
        let workers: Vec<_> = (0..workers()).map(|nth| scope.spawn(move || worker(nth))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker panics"))
    })?;
    bar.finish_and_clear();
    Ok(tests.into_inner().expect("nobody panics").into_values().collect())
}

fn numbers(ranges: &[(u32, u32)]) -> impl Iterator<Item = u32> {
    ranges.iter().flat_map(|(first, count)| *first..first + count)
}

/// Where a table has such bytes: the first of each row, and how many.
fn ranges(table: &[u8], is_one: impl Fn(u8) -> bool) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for (number, _) in (0..).zip(table).filter(|(_, byte)| is_one(**byte)) {
        match ranges.last_mut() {
            Some((first, count)) if *first + *count == number => *count += 1,
            _ => ranges.push((number, 1)),
        }
    }
    ranges
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::mutants) fn program(package: &str, name: &str) -> Program {
        Program { package: package.to_owned(), name: name.to_owned(), path: "/bin/sh".into(), folder: "/".into() }
    }

    pub(in crate::mutants) fn test(name: &str, millis: u64, differing: &[(u32, u32)]) -> Test {
        Test { name: name.to_owned(), millis, reached: vec![(0, 100)], differing: differing.to_vec() }
    }

    #[test]
    fn the_quickest_tests_come_first_and_those_of_the_crate_itself() {
        let programs =
            vec![program("resctrl-fs", "resctrl_fs"), program("resctrl-fs", "abi"), program("resctrl-x86", "rdt")];
        let tests = vec![
            vec![test("slow", 900, &[(1, 9)]), test("other", 1, &[(20, 1)])],
            vec![test("quick", 5, &[(0, 2), (5, 1)])],
            vec![test("quicker", 4, &[(1, 1)])],
        ];
        let baseline = Baseline::new(programs, tests);
        let names = |number, package| {
            baseline.concerned(number, package).into_iter().map(|place| baseline.name(place)).collect::<Vec<_>>()
        };
        assert_eq!(names(1, "resctrl-fs"), ["resctrl-fs::abi quick", "resctrl-x86::rdt quicker", "resctrl-fs slow"]);
        assert_eq!(names(1, "resctrl-x86"), ["resctrl-x86::rdt quicker", "resctrl-fs::abi quick", "resctrl-fs slow"]);
        assert_eq!(names(9, "resctrl-fs"), ["resctrl-fs slow"]);
        assert_eq!(names(10, "resctrl-fs"), [""; 0]);
        assert_eq!((baseline.reaching(10), baseline.reaching(100)), (4, 0));
        assert_eq!((baseline.len(), baseline.total()), (4, Duration::from_millis(910)));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let sh = |script: &str| end(Command::new("sh").args(["-c", script]), Duration::from_millis(300)).unwrap();
        assert_eq!(sh("exit 0"), Ended::Passed);
        assert_eq!(sh("exit 101"), Ended::Failed);
        assert_eq!(sh("kill -SEGV $$"), Ended::Failed);
        let began = Instant::now();
        assert_eq!(sh("exec sleep 60"), Ended::Late);
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_is_listed_and_what_is_reached_is_read() {
        assert_eq!(names("a::b: test\nc: benchmark\n\nd: test\n"), ["a::b", "d"]);
        assert_eq!(ranges(&[0, 1, 3, 0, 0, 1], |byte| byte != 0), [(1, 2), (5, 1)]);
        assert_eq!(ranges(&[0, 1, 3, 0, 0, 1], |byte| byte > 1), [(2, 1)]);
        assert_eq!(numbers(&[(1, 2), (5, 1)]).collect::<Vec<_>>(), [1, 2, 5]);
    }
}
