// SPDX-License-Identifier: GPL-2.0-only
//! What a guest wrote down of a sequence, and how two records are compared.

use crate::scenario::known::Random;

/// One operation: how it ended and what changed with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// `ok`, what was read, or the errno's name.
    pub(crate) outcome: String,
    /// `=NAME` tab `VALUE`, or `-NAME`, in order of their names.
    pub(crate) changes: Vec<String>,
}

/// A whole sequence. The first step is the state before the first operation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The plan's number.
    pub(crate) plan: u64,
    /// Each in its turn.
    pub(crate) steps: Vec<Step>,
}

/// Something that a guest said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It waits for a plan.
    Ready,
    /// A plan did not arrive whole.
    Again,
    /// A plan is done.
    Done(Record),
    /// A line that means nothing.
    Garbage(String),
}

/// Turns the bytes of a guest into what it said.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    rest: Vec<u8>,
    record: Record,
}

impl Reader {
    /// Takes more bytes; gives what is complete with them.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.rest.extend_from_slice(bytes);
        let mut said = Vec::new();
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line[..end]);
            said.extend(self.line(line.trim_end_matches('\r')));
        }
        said
    }

    fn line(&mut self, line: &str) -> Option<Said> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = |text: &str| text.parse().ok();
        match word {
            "ready" => return Some(Said::Ready),
            "again" => return Some(Said::Again),
            "plan" => self.record = Record { plan: number(rest)?, steps: Vec::new() },
            "step" => {
                let (step, outcome) = rest.split_once(' ')?;
                if number(step) != Some(self.record.steps.len() as u64) {
                    return Some(Said::Garbage(line.to_owned()));
                }
                self.record.steps.push(Step { outcome: outcome.to_owned(), changes: Vec::new() });
            }
            "done" => return Some(Said::Done(std::mem::take(&mut self.record))),
            _ if line.starts_with(['=', '-']) && !self.record.steps.is_empty() => {
                self.record.steps.last_mut()?.changes.push(line.to_owned());
            }
            "" => {}
            _ => return Some(Said::Garbage(line.to_owned())),
        }
        None
    }
}

/// How a line about the status begins.
const STATUS: &str = "=status\t";

/// What it is where nothing is said.
const SILENT: &str = "=status\tok\\n";

/// What the status of both is after each step: not only where it changes, because before two texts that differ there may have
/// been different ones. Where ours is known to be only ours, and the oracle's is what is known of it then, it is taken for
/// the oracle's.
fn statuses(oracle: &Record, ours: &Record, known: &[Random]) -> Vec<[String; 2]> {
    let mut texts = [String::new(), String::new()];
    let steps = oracle.steps.len().max(ours.steps.len());
    let step = |step: usize| {
        let mut silent = true;
        for (side, record) in [oracle, ours].into_iter().enumerate() {
            for line in record.steps.get(step).into_iter().flat_map(|step| &step.changes) {
                if line == "-status" {
                    texts[side].clear();
                } else if line.starts_with(STATUS) {
                    silent &= side == 1 || line == SILENT;
                    texts[side].clone_from(line);
                }
            }
        }
        let [theirs, own] = texts.clone();
        let text = |line: &str| line.strip_prefix(STATUS).unwrap_or_default().to_owned();
        let only_ours = |known: &Random| {
            let oracle = known.theirs.as_ref().map_or(silent, |known| known.is_match(&text(&theirs)));
            oracle && known.ours.as_ref().is_some_and(|ours| ours.is_match(&text(&own)))
        };
        if known.iter().any(only_ours) { [theirs.clone(), theirs] } else { [theirs, own] }
    };
    (0..steps).map(step).collect()
}

/// Where two records part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Number of the step; operations count from 1.
    pub(crate) step: usize,
    /// What only the oracle's record has.
    pub(crate) oracle: Vec<String>,
    /// What only ours has.
    pub(crate) ours: Vec<String>,
}

impl Difference {
    /// The first step that differs in lines that are compared.
    pub(crate) fn find(oracle: &Record, ours: &Record, known: &[Random]) -> Option<Self> {
        let steps = oracle.steps.len().max(ours.steps.len());
        let texts = statuses(oracle, ours, known);
        (0..steps).find_map(|step| {
            let status = texts.get(step);
            let lines = |record: &Record, status: Option<&String>| match record.steps.get(step) {
                None => vec!["(it ended before)".to_owned()],
                Some(Step { outcome, changes }) => {
                    let outcome = format!("-> {outcome}");
                    let ignored = |line: &&String| {
                        known.iter().filter_map(|known| known.ignore.as_ref()).any(|ignore| ignore.is_match(line))
                    };
                    let changes = changes.iter().filter(|line| !line.starts_with(STATUS));
                    let all = std::iter::once(&outcome).chain(changes).chain(status);
                    all.filter(|line| !ignored(line)).cloned().collect()
                }
            };
            let of = |side: usize| status.map(|texts| &texts[side]);
            let (oracle, ours) = (lines(oracle, of(0)), lines(ours, of(1)));
            let only = |these: &[String], those: &[String]| {
                these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>()
            };
            let difference = Self { step, oracle: only(&oracle, &ours), ours: only(&ours, &oracle) };
            (oracle != ours).then_some(difference)
        })
    }

    /// What tells one kind of difference from another: what is different, without the values and the groups.
    pub(crate) fn kind(&self, operation: &str) -> String {
        let mut words: Vec<&str> =
            operation.split('\t').take(2).map(|word| word.rsplit('/').next().unwrap_or(word)).collect();
        let names = self.oracle.iter().chain(&self.ours).take(2).map(|line| {
            let name = line.split('\t').next().unwrap_or(line);
            name.rsplit('/').next().unwrap_or(name).trim_start_matches(['=', '-'])
        });
        words.extend(names);
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record as a guest wrote it.
    const ORACLE: &str = "plan 7\nstep 0 ok\n=online\t0-3\\n\nstep 1 ok\n=mount\trw\n=status\tok\\n\n\
        step 2 EINVAL\n=status\tUnknown or unsupported mode\\n\ndone 7 812\n";

    fn record(text: &str) -> Record {
        match Reader::default().read(text.as_bytes()).pop() {
            Some(Said::Done(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    fn known(text: &str) -> Random {
        toml::from_str(&format!("{text}\nreason = \"so it is\"\nreport = \"x\"")).unwrap()
    }

    #[test]
    fn a_record_arrives_in_pieces_of_any_size() {
        let whole = record(ORACLE);
        assert_eq!((whole.plan, whole.steps.len()), (7, 3));
        assert_eq!(whole.steps[1].changes, ["=mount\trw", "=status\tok\\n"]);
        let mut reader = Reader::default();
        let said: Vec<Said> = ORACLE.as_bytes().chunks(3).flat_map(|piece| reader.read(piece)).collect();
        assert_eq!(said, [Said::Done(whole)]);
    }

    #[test]
    fn equal_records_do_not_differ() {
        assert_eq!(Difference::find(&record(ORACLE), &record(ORACLE), &[]), None);
    }

    #[test]
    fn another_errno_text_or_file_is_a_difference() {
        for (old, new) in [
            ("EINVAL", "ENODEV"),
            ("unsupported mode", "unsupported mood"),
            ("=mount\trw\n", ""),
            ("step 2 EINVAL\n", "step 2 EINVAL\n=p0/mode\tf644 0:0 shareable\\n\n"),
        ] {
            assert!(ORACLE.contains(old));
            let ours = record(&ORACLE.replace(old, new));
            assert!(Difference::find(&record(ORACLE), &ours, &[]).is_some(), "{old:?} became {new:?}");
        }
    }

    #[test]
    fn the_first_step_that_differs_is_named_with_what_differs() {
        let ours = record(&ORACLE.replace("=mount\trw", "=mount\tro").replace("EINVAL", "EPERM"));
        let found = Difference::find(&record(ORACLE), &ours, &[]).unwrap();
        let expected =
            Difference { step: 1, oracle: vec!["=mount\trw".to_owned()], ours: vec!["=mount\tro".to_owned()] };
        assert_eq!(found, expected);
        assert_eq!(found.kind("mount\tcdp"), "mount cdp mount mount");
    }

    #[test]
    fn a_record_that_ends_early_differs() {
        let short = ORACLE.replace("step 2 EINVAL\n=status\tUnknown or unsupported mode\\n\n", "");
        assert_eq!(Difference::find(&record(ORACLE), &record(&short), &[]).unwrap().step, 2);
    }

    #[test]
    fn what_is_known_to_differ_is_not_compared_and_all_else_is() {
        let ours = record(&ORACLE.replace("=mount\trw", "=mount\tro"));
        assert_eq!(Difference::find(&record(ORACLE), &ours, &[known("ignore = '^=mount\\t'")]), None);
        assert!(Difference::find(&record(ORACLE), &ours, &[known("ignore = '^=status\\t'")]).is_some());
    }

    #[test]
    fn a_text_that_is_only_ours_is_no_difference_then_and_later() {
        let text = "plan 7\nstep 0 ok\n=status\tok\\n\nstep 1 EPERM\n=a\tb\nstep 2 EINVAL\n=status\tMask out of range\\n\n\
            step 3 ok\n=status\tok\\n\ndone 7 812\n";
        let own = text.replace("step 1 EPERM\n", "step 1 EPERM\n=status\tOnly groups can be removed\\n\n");
        let known = [known("ours = '^Only groups can be removed'")];
        assert!(Difference::find(&record(text), &record(&own), &[]).is_some());
        assert_eq!(Difference::find(&record(text), &record(&own), &known), None);
        // Not where the oracle says something else.
        let other = text.replace("step 1 EPERM\n", "step 1 EPERM\n=status\tMissing ':'\\n\n");
        assert!(Difference::find(&record(&other), &record(&own), &known).is_some());
        let both = "ours = '^Only groups can be removed'\ntheirs = \"^Missing ':'\"".to_owned();
        assert_eq!(Difference::find(&record(&other), &record(&own), &[self::known(&both)]), None);
        // What comes after it is compared again, on both sides.
        for (old, new) in [("=status\tMask out of range\\n\n", ""), ("=a\tb\n", ""), ("EPERM", "ENODEV")] {
            let other = own.replace(old, new);
            assert_ne!(other, own);
            assert!(Difference::find(&record(text), &record(&other), &known).is_some(), "without {old:?}");
        }
        // A step of ours that goes back to ok, of which the oracle has no line.
        let back = "plan 7\nstep 0 ok\n=status\tok\\n\nstep 1 EPERM\nstep 2 ok\ndone 7 812\n";
        let own = back
            .replace("step 1 EPERM\n", "step 1 EPERM\n=status\tOnly groups can be removed\\n\n")
            .replace("step 2 ok\n", "step 2 ok\n=status\tok\\n\n");
        assert_eq!(Difference::find(&record(back), &record(&own), &known), None);
    }

    #[test]
    fn a_step_out_of_turn_is_no_record() {
        let said = Reader::default().read(b"plan 1\nstep 1 ok\n");
        assert_eq!(said, [Said::Garbage("step 1 ok".to_owned())]);
    }
}
