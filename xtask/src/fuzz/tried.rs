// SPDX-License-Identifier: GPL-2.0-only
//! What libFuzzer says of a run.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::time::Duration;

/// What a run has tried and found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tried {
    pub(super) inputs: u64,
    pub(super) passed: Duration,
    pub(super) processor: Duration,
    /// Branches of the code that some input takes.
    pub(super) edges: u64,
    /// Those, and how often they are taken by one input: about once, twice, four times.
    pub(super) features: u64,
    /// There is an input that fails.
    pub(super) failed: bool,
    /// The file that it is in.
    pub(super) input: Option<String>,
}

impl Tried {
    /// Notes what a line says.
    fn note(&mut self, line: &str) {
        if let Some((_, file)) = line.split_once("Test unit written to ") {
            // What takes long fails nothing.
            self.input = Some(file.trim_end().to_owned()).filter(|file| !file.contains("-slow-unit-"));
        }
        let mut words = line.split_whitespace();
        let number = |word: Option<&str>| word.and_then(|word| word.parse().ok());
        while let Some(word) = words.next() {
            match word {
                "cov:" => self.edges = number(words.next()).unwrap_or(self.edges),
                "ft:" => self.features = number(words.next()).unwrap_or(self.features),
                "stat::number_of_executed_units:" => self.inputs = number(words.next()).unwrap_or(self.inputs),
                _ => {}
            }
        }
    }

    /// Passes on what libFuzzer says, each line with something in front, and notes what it says.
    pub(super) fn pass_on(&mut self, mut from: impl BufRead, before: &str, to: &mut impl Write) -> io::Result<()> {
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line)? > 0 {
            // In one piece: others may write, too.
            to.write_all(&[before.as_bytes(), &line].concat())?;
            self.note(&String::from_utf8_lossy(&line));
            line.clear();
        }
        Ok(())
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inputs, passed, processor, edges, .. } = self;
        let (passed, processor) = (passed.as_secs_f64(), processor.as_secs_f64());
        write!(
            f,
            "{inputs} inputs in {passed:.0} s, {:.0} a second; {:.0} in a second of processor time; {edges} branches",
            rate(*inputs, passed),
            rate(*inputs, processor)
        )
    }
}

/// So many of what took so many seconds.
pub(super) fn rate(count: u64, seconds: f64) -> f64 {
    // Nobody tries more inputs than a float can count.
    count as f64 / seconds.max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "#2\tINITED cov: 5 ft: 6 corp: 1/1b\n#9\tDONE   cov: 3434 ft: 10650 corp: 706/84Kb lim: 186\n\
                        stat::number_of_executed_units: 3664\nstat::average_exec_per_sec:     20\n";

    #[test]
    fn figures_are_read_from_what_libfuzzer_says_and_all_of_it_is_passed_on() {
        let (mut tried, mut passed_on) = (Tried::default(), Vec::new());
        tried.pass_on(SAID.as_bytes(), "tasks: ", &mut passed_on).unwrap();
        let lines: String = SAID.split_inclusive('\n').map(|line| format!("tasks: {line}")).collect();
        assert_eq!(String::from_utf8(passed_on).unwrap(), lines);
        assert_eq!(tried, Tried { inputs: 3664, edges: 3434, features: 10650, ..Tried::default() });
        let mut nothing = Tried::default();
        nothing.pass_on("==1== ERROR cov: many\n".as_bytes(), "", &mut io::sink()).unwrap();
        assert_eq!(nothing, Tried::default());
    }

    #[test]
    fn an_input_that_fails_is_in_a_file_and_one_that_takes_long_is_not_meant() {
        let file = |said: &str| {
            let mut tried = Tried::default();
            tried.pass_on(said.as_bytes(), "", &mut io::sink()).unwrap();
            tried.input
        };
        let written = "artifact_prefix='f/tasks-'; Test unit written to f/tasks-crash-9a68\nBase64: AA==\n";
        assert_eq!(file(written).as_deref(), Some("f/tasks-crash-9a68"));
        assert_eq!(file(&written.replace("crash", "slow-unit")), None);
    }

    #[test]
    fn inputs_a_second_are_shown_and_those_of_a_second_of_processor_time() {
        let (passed, processor) = (Duration::from_secs(180), Duration::from_secs(60));
        let tried = Tried { inputs: 3600, passed, processor, edges: 7, ..Tried::default() };
        let text = "3600 inputs in 180 s, 20 a second; 60 in a second of processor time; 7 branches";
        assert_eq!(tried.to_string(), text);
    }
}
