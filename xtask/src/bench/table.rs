// SPDX-License-Identifier: GPL-2.0-only
//! The figures of both implementations, side by side.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Boots of the same thing may differ by so much.
pub(super) const STEADY: f64 = 0.01;

/// What one boot has measured: operations in their order.
pub(super) type Measured = Vec<Sample>;

/// One operation in one boot.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Sample {
    pub(super) name: String,
    /// Instructions: from beginning to end, or of an operation that waits, what CPUs worked meanwhile.
    pub(super) cost: u64,
    /// Of an operation that waits: how long it took.
    pub(super) elapsed: Option<u64>,
    /// Interrupts between CPUs; reads and writes of the emulated hardware's registers.
    pub(super) accesses: [u64; 3],
}

/// What [`Sample::accesses`] are.
pub(super) const ACCESSES: [&str; 3] = [INTERRUPTS, "reads", "writes"];

/// What names begin with whose figures are bytes.
const MEMORY: &str = "memory:";

/// The first of them.
pub(super) const INTERRUPTS: &str = "IPIs";

/// Reads what `resctrl-bench` printed.
///
/// # Errors
///
/// A line is not of its kind.
pub(super) fn parse(text: &str) -> Result<Measured> {
    text.lines().map(|line| sample(line).with_context(|| format!("not a measurement: \"{line}\""))).collect()
}

fn sample(line: &str) -> Result<Sample> {
    let mut fields = line.split('\t');
    let name = fields.next().unwrap_or_default();
    let mut sample = Sample { name: name.to_owned(), ..Sample::default() };
    let mut cost = None;
    for field in fields {
        let (figure, number) = field.split_once('=').with_context(|| format!("no figure: \"{field}\""))?;
        let number = number.parse().with_context(|| format!("no number: \"{field}\""))?;
        match figure {
            "cost" => cost = Some(number),
            "elapsed" => sample.elapsed = Some(number),
            "interrupts" => sample.accesses[0] = number,
            "reads" => sample.accesses[1] = number,
            "writes" => sample.accesses[2] = number,
            "samples" => {}
            _ => bail!("no such figure: \"{field}\""),
        }
    }
    sample.cost = cost.context("no cost")?;
    Ok(sample)
}

/// A figure of both.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Pair {
    /// The kernel's own.
    pub(super) kernel: u64,
    pub(super) rust: u64,
}

/// One operation on both.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub(super) struct Row {
    pub(super) operation: String,
    /// Instructions: the mean of all boots. Of an operation that waits, what CPUs have worked.
    pub(super) instructions: Pair,
    /// Ours as a part of the kernel's own.
    pub(super) ratio: f64,
    /// From beginning to end with all waiting, where there is any.
    pub(super) elapsed: Option<Pair>,
    pub(super) interrupts: Pair,
    pub(super) reads: Pair,
    pub(super) writes: Pair,
    /// By how much two boots of the same differ, as a part of the larger one: the worse of both.
    pub(super) spread: f64,
}

impl Row {
    /// Nothing that resctrl has a part in.
    pub(super) fn is_control(&self) -> bool {
        self.operation.starts_with("control:")
    }

    /// Several threads at once: what it costs tells how their loops meet, and is another in a run with other operations before it.
    fn is_a_meeting(&self) -> bool {
        self.operation.contains("-beside-") || self.operation.starts_with("read-at-once/")
    }

    /// It says something of resctrl that can be better or worse than before.
    pub(super) fn is_judged(&self) -> bool {
        !self.is_control() && !self.is_a_meeting()
    }

    /// Boots agree.
    pub(super) fn is_steady(&self) -> bool {
        self.spread <= STEADY
    }

    /// Of [`ACCESSES`].
    pub(super) const fn accesses(&self) -> [Pair; 3] {
        [self.interrupts, self.reads, self.writes]
    }

    /// Those of [`ACCESSES`] that ours has more of.
    pub(super) fn more(&self) -> Vec<&'static str> {
        let all = self.accesses().into_iter().zip(ACCESSES);
        all.filter(|(pair, _)| !self.is_control() && pair.rust > pair.kernel).map(|(_, name)| name).collect()
    }
}

/// Where figures come from.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Origin {
    /// The command.
    pub(super) command: String,
    /// The commit, with a mark if more has changed.
    pub(super) commit: String,
    /// What the machine is called.
    pub(super) machine: String,
    /// Its file, if it is none of the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// What the machine is.
    pub(super) description: String,
    /// The kernel's release.
    pub(super) kernel: String,
}

impl Origin {
    /// What `--machine` takes for it.
    pub(super) fn argument(&self) -> &str {
        self.file.as_deref().unwrap_or(&self.machine)
    }
}

/// All operations: also what a file of figures is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) origin: Origin,
    pub(super) operations: Vec<Row>,
    /// What takes memory: the figures are bytes.
    #[serde(default)]
    pub(super) memory: Vec<Row>,
    /// Operations that were not measured on both.
    #[serde(default)]
    pub(super) only_one_has: Vec<String>,
}

impl Table {
    /// Compares the boots of the kernel's own with those of ours.
    pub(super) fn new(origin: Origin, kernel: &[Measured], rust: &[Measured]) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for sample in kernel.iter().chain(rust).flatten() {
            if !names.contains(&sample.name.as_str()) {
                names.push(&sample.name);
            }
        }
        let mut table = Self { origin, operations: Vec::new(), memory: Vec::new(), only_one_has: Vec::new() };
        for name in names {
            match (row(name, kernel, rust), name.strip_prefix(MEMORY)) {
                (Some(row), Some(what)) => table.memory.push(Row { operation: what.to_owned(), ..row }),
                (Some(row), None) => table.operations.push(row),
                (None, _) => table.only_one_has.push(name.to_owned()),
            }
        }
        table
    }
}

fn row(name: &str, kernel: &[Measured], rust: &[Measured]) -> Option<Row> {
    let of = |boots: &[Measured]| -> Option<Vec<Sample>> {
        boots.iter().map(|boot| boot.iter().find(|sample| sample.name == name).cloned()).collect()
    };
    let (kernel, rust) = (of(kernel)?, of(rust)?);
    let pair = |figure: fn(&Sample) -> u64, of: fn(&[u64]) -> Option<u64>| -> Option<Pair> {
        let figures = |samples: &[Sample]| of(&samples.iter().map(figure).collect::<Vec<_>>());
        Some(Pair { kernel: figures(&kernel)?, rust: figures(&rust)? })
    };
    // What else runs can only add accesses.
    let least = |values: &[u64]| values.iter().min().copied();
    let instructions = pair(|sample| sample.cost, mean)?;
    let waits = kernel.iter().chain(&rust).any(|sample| sample.elapsed.is_some());
    Some(Row {
        operation: name.to_owned(),
        instructions,
        ratio: round(instructions.rust as f64 / instructions.kernel.max(1) as f64),
        elapsed: if waits { pair(|sample| sample.elapsed.unwrap_or(sample.cost), mean) } else { None },
        interrupts: pair(|sample| sample.accesses[0], least)?,
        reads: pair(|sample| sample.accesses[1], least)?,
        writes: pair(|sample| sample.accesses[2], least)?,
        spread: round(spread(&kernel).max(spread(&rust))),
    })
}

fn mean(values: &[u64]) -> Option<u64> {
    values.iter().sum::<u64>().checked_div(values.len() as u64)
}

/// By how much costs differ, as a part of the largest.
fn spread(samples: &[Sample]) -> f64 {
    let costs = samples.iter().map(|sample| sample.cost);
    let (least, most) = (costs.clone().min().unwrap_or(0), costs.max().unwrap_or(0));
    (most - least) as f64 / most.max(1) as f64
}

/// To three digits after the point: more is noise.
fn round(ratio: f64) -> f64 {
    (ratio * 1000.0).round() / 1000.0
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn origin() -> Origin {
        Origin {
            command: "cargo xtask bench --machine intel".to_owned(),
            commit: "0123456789ab".to_owned(),
            machine: "intel".to_owned(),
            file: None,
            description: "two sockets".to_owned(),
            kernel: "7.3.4".to_owned(),
        }
    }

    /// A table of one boot each.
    pub(crate) fn table(kernel: &str, rust: &str) -> Table {
        Table::new(origin(), &[parse(kernel).unwrap()], &[parse(rust).unwrap()])
    }

    #[test]
    fn a_line_is_a_name_and_figures() {
        let measured = parse(
            "mkdir\tcost=100\tinterrupts=1\treads=2\twrites=3\tsamples=15\n\
             umount\tcost=300\telapsed=5000\tinterrupts=0\treads=0\twrites=0\tsamples=7\n",
        )
        .unwrap();
        let of = |name: &str, cost, elapsed, accesses| Sample { name: name.to_owned(), cost, elapsed, accesses };
        assert_eq!(measured, [of("mkdir", 100, None, [1, 2, 3]), of("umount", 300, Some(5000), [0; 3])]);
        for wrong in ["mkdir", "mkdir\tcost=x", "mkdir\tcost", "mkdir\treads=1", "mkdir\tcost=1\tcolour=1"] {
            let error = parse(wrong).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }

    #[test]
    fn work_is_compared_and_boots_that_differ_are_noticed() {
        let kernel = ["umount\tcost=100\telapsed=1000", "umount\tcost=100\telapsed=3000"].map(|t| parse(t).unwrap());
        let rust = ["umount\tcost=50\telapsed=9000", "umount\tcost=52\telapsed=9000"].map(|t| parse(t).unwrap());
        let table = Table::new(origin(), &kernel, &rust);
        let row = &table.operations[0];
        assert_eq!(row.instructions, Pair { kernel: 100, rust: 51 });
        assert_eq!((row.ratio, row.elapsed), (0.51, Some(Pair { kernel: 2000, rust: 9000 })));
        assert_eq!(row.spread, 0.038, "2 of 52");
        assert!(!row.is_steady());
    }

    #[test]
    fn boots_that_differ_by_a_hundredth_agree() {
        let boots = |costs: [u64; 2]| costs.map(|cost| parse(&format!("x\tcost={cost}")).unwrap());
        let steady = |costs| Table::new(origin(), &boots(costs), &boots([1, 1])).operations[0].is_steady();
        assert!(steady([1000, 990]));
        assert!(!steady([1000, 980]));
    }

    #[test]
    fn more_accesses_than_theirs_are_named_with_the_quieter_boot_of_each() {
        let line = |reads, writes| parse(&format!("x\tcost=1\treads={reads}\twrites={writes}")).unwrap();
        let both = Table::new(origin(), &[line(2, 2), line(3, 2)], &[line(9, 3), line(2, 4)]);
        assert_eq!(both.operations[0].reads, Pair { kernel: 2, rust: 2 });
        assert_eq!(both.operations[0].more(), ["writes"]);
        let control = table("control:x\tcost=1", "control:x\tcost=1\treads=1");
        assert!(control.operations[0].more().is_empty());
    }

    #[test]
    fn what_takes_memory_is_apart() {
        let table = table("mkdir\tcost=5\nmemory:group\tcost=8000", "mkdir\tcost=5\nmemory:group\tcost=2000");
        assert_eq!(table.operations.len(), 1);
        assert_eq!((table.memory[0].operation.as_str(), table.memory[0].ratio), ("group", 0.25));
    }

    #[test]
    fn what_only_one_has_is_told() {
        let table = table("a\tcost=1\nb\tcost=1", "b\tcost=2\nc\tcost=1");
        assert_eq!(table.only_one_has, ["a", "c"]);
        assert_eq!(table.operations.len(), 1);
        assert_eq!(table.operations[0].ratio, 2.0);
    }
}
