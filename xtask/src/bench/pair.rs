// SPDX-License-Identifier: GPL-2.0-only
//! Measures any two systems at once.

use std::path::Path;

use anyhow::{Result, anyhow};
use serde::Serialize;

use super::boot::{self, Implemented};
use super::guard::TOLERANCE;
use super::table::{Origin, Row, Table};
use crate::guest::{Pace, Plan, Provisions, Spec, interrupt};

/// Boots both as often as it takes, at the same time. Nothing comes of it if the user interrupts.
pub(super) fn boots(
    sides: &[(String, Spec); 2],
    provisions: &Provisions,
    folder: &Path,
) -> Result<Option<[Implemented; 2]>> {
    let boots = |(name, spec): &(String, Spec)| boot::boots(name, spec, provisions, folder);
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| boots(&sides[0]));
        let second = boots(&sides[1]);
        (first.join().unwrap_or_else(|_| Err(anyhow!("the thread of a guest has panicked"))), second)
    });
    if interrupt::requested() {
        return Ok(None);
    }
    Ok(Some([first?, second?]))
}

/// What an operation costs before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// Its name.
    pub(crate) operation: String,
    /// Instructions; of what takes memory, bytes.
    pub(crate) before: u64,
    /// The same, after.
    pub(crate) after: u64,
    /// After as a part of before.
    pub(crate) ratio: f64,
    /// What else is more: accesses to registers, which hardware makes dear.
    pub(crate) more: Vec<&'static str>,
    /// By how much it may differ for no reason.
    #[serde(skip)]
    tolerance: f64,
}

impl Cost {
    fn of(row: &Row) -> Self {
        Self {
            operation: row.operation.clone(),
            before: row.instructions.kernel,
            after: row.instructions.rust,
            ratio: row.ratio,
            more: row.more(),
            tolerance: TOLERANCE.max(2.0 * row.spread),
        }
    }

    /// Whether it costs more, beyond what boots differ by.
    pub(crate) fn is_worse(&self) -> bool {
        self.ratio > 1.0 + self.tolerance
    }

    /// Whether it costs less, beyond what boots differ by.
    pub(crate) fn is_better(&self) -> bool {
        self.ratio < 1.0 - self.tolerance
    }
}

/// Not what neither kernel lets be measured.
fn was_measured(row: &Row) -> bool {
    row.instructions.kernel != 0 || row.instructions.rust != 0
}

/// Measures two systems, which `sides` name, with the short form of `cargo xtask bench`. Nothing comes of it if the user
/// interrupts.
///
/// # Errors
///
/// A guest does not come to its end.
pub(crate) fn costs(sides: [(String, Spec); 2], provisions: &Provisions, folder: &Path) -> Result<Option<Vec<Cost>>> {
    std::fs::create_dir_all(folder)?;
    let script = boot::script(folder, "quick")?;
    let sides =
        sides.map(|(name, spec)| (name, Spec { plan: Plan::Script(script.clone()), pace: Pace::Instructions, ..spec }));
    let Some([before, after]) = boots(&sides, provisions, folder)? else { return Ok(None) };
    let spec = &sides[0].1;
    let origin = Origin {
        command: String::new(),
        commit: String::new(),
        machine: spec.machine.clone(),
        file: None,
        description: spec.hardware.description.clone(),
        kernel: before.release,
    };
    let table = Table::new(origin, &before.boots, &after.boots);
    let judged = table.operations.iter().filter(|row| row.is_judged() && was_measured(row));
    Ok(Some(judged.chain(&table.memory).map(Cost::of).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::table;
    use super::*;

    fn cost(before: u64, after: u64) -> Cost {
        let figure = |cost| format!("a\tcost={cost}");
        Cost::of(&table(&figure(before), &figure(after)).operations[0])
    }

    #[test]
    fn a_cost_is_worse_or_better_beyond_three_hundredths() {
        assert!(!cost(1000, 1030).is_worse() && cost(1000, 1031).is_worse());
        assert!(!cost(1000, 970).is_better() && cost(1000, 969).is_better());
    }

    #[test]
    fn what_differs_between_boots_anyway_is_neither() {
        let mut cost = cost(1000, 1080);
        assert!(cost.is_worse());
        cost.tolerance = 0.1;
        assert!(!cost.is_worse() && !cost.is_better());
    }

    #[test]
    fn what_neither_kernel_lets_be_measured_is_no_cost() {
        let measured = |before: u64, after: u64| {
            let figure = |cost| format!("a\tcost={cost}");
            was_measured(&table(&figure(before), &figure(after)).operations[0])
        };
        assert!(!measured(0, 0) && measured(0, 5) && measured(5, 0));
    }
}
