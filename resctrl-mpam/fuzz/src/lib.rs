// SPDX-License-Identifier: GPL-2.0-only
//! Hostile firmware and hostile hardware: whatever they say, the driver neither panics nor touches a register that is not
//! there, and everything it took it gives back.
//!
//! Each target takes bytes and does everything with them that a machine's life has: boot, mount, a group, values, counters,
//! CPUs that go and come, an error interrupt, unmount. The unit tests run the targets on random bytes and on inputs that
//! were good before some bytes changed; `cargo xtask fuzz` lets libFuzzer look for more.

#[path = "../../../resctrl-fs/fuzz/src/corpus.rs"]
mod corpus;
mod life;
mod msc;
mod table;

use std::path::PathBuf;
use std::{env, fs};

use msc::Identity;
use table::Tables;

/// Firmware tables out of bytes, with an MSC behind each node that they describe.
/// Returns how often something could be mounted.
pub fn tables(data: &[u8]) -> u32 {
    life::live(&Tables::from_bytes(data), &[Identity::good()])
}

/// MSCs whose identification registers, and all registers that hardware changes, are bytes: one that the firmware says is
/// a level 3 cache, and one that it says is memory.
/// Returns how often something could be mounted.
pub fn registers(data: &[u8]) -> u32 {
    let (cache, memory) = data.split_at(data.len() / 2);
    life::live(&Tables::good(), &[Identity::new(cache), Identity::new(memory)])
}

/// Good inputs of the target with this name.
#[must_use]
pub fn seeds(target: &str) -> Option<Vec<Vec<u8>>> {
    let twice = |identity: Identity| [identity.bytes(), identity.bytes()].concat();
    match target {
        "tables" => Some(vec![Tables::good().to_bytes()]),
        "registers" => Some(vec![twice(Identity::good()), twice(Identity::narrowing())]),
        _ => None,
    }
}

/// Inputs of the target with this name that are kept because they reach what others do not, or once failed.
#[must_use]
pub fn kept(target: &str) -> Option<Vec<Vec<u8>>> {
    match target {
        "tables" => Some(corpus::inputs(include_str!("../corpus/tables.txt"))),
        "registers" => Some(corpus::inputs(include_str!("../corpus/registers.txt"))),
        _ => None,
    }
}

/// Writes both into the folder that the environment variable `FUZZ_SEEDS` names, if it is set.
///
/// # Panics
/// When that is impossible, and for a target that there is not.
pub fn write_seeds(target: &str) {
    let Some(folder) = env::var_os("FUZZ_SEEDS").map(PathBuf::from) else { return };
    let inputs = seeds(target).into_iter().chain(kept(target)).flatten();
    for (number, input) in inputs.enumerate() {
        fs::write(folder.join(format!("seed-{number}")), input).expect("a folder that can be written to");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::Index;

    fn mutated(seeds: &[Vec<u8>], which: &Index, changes: &[(Index, u8)], cut: &Index) -> Vec<u8> {
        let mut bytes = which.get(seeds).clone();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = *value;
        }
        // Mostly whole.
        let keep = bytes.len() - cut.index(bytes.len() * 4).saturating_sub(bytes.len() * 3);
        bytes.truncate(keep);
        bytes
    }

    fn changes() -> impl Strategy<Value = Vec<(Index, u8)>> {
        prop::collection::vec((any::<Index>(), any::<u8>()), 0..12)
    }

    #[test]
    fn good_inputs_make_machines_that_can_be_mounted() {
        // With CDP and without it.
        assert_eq!(seeds("tables").expect("a target").iter().map(|seed| tables(seed)).collect::<Vec<_>>(), [2]);
        let mounts: Vec<_> = seeds("registers").expect("a target").iter().map(|seed| registers(seed)).collect();
        assert_eq!(mounts, [2, 2]);
        assert_eq!(seeds("nonsense"), None);
    }

    #[test]
    fn the_largest_numbers_that_registers_can_say_do_no_harm() {
        // No mask can be shown that is as wide as these, so there is nothing to tell code and data apart in.
        assert_eq!(life::live(&Tables::good(), &[Identity::largest()]), 1);
    }

    #[test]
    fn no_tables_that_are_kept_do_harm() {
        let kept = kept("tables").expect("a target");
        assert!(kept.len() > 10);
        for input in kept {
            tables(&input);
        }
    }

    #[test]
    fn no_registers_that_are_kept_do_harm() {
        let kept = kept("registers").expect("a target");
        assert!(kept.len() > 10);
        for input in kept {
            registers(&input);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_as_tables_do_harm(data in prop::collection::vec(any::<u8>(), 0..600)) {
            tables(&data);
        }

        #[test]
        fn no_change_of_good_tables_does_harm(which: Index, changes in changes(), cut: Index) {
            tables(&mutated(&seeds("tables").expect("a target"), &which, &changes, &cut));
        }

        #[test]
        fn no_bytes_as_registers_do_harm(data in prop::collection::vec(any::<u8>(), 0..600)) {
            registers(&data);
        }

        #[test]
        fn no_change_of_good_registers_does_harm(which: Index, changes in changes(), cut: Index) {
            registers(&mutated(&seeds("registers").expect("a target"), &which, &changes, &cut));
        }
    }
}
