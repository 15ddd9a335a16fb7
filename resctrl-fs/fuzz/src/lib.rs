// SPDX-License-Identifier: GPL-2.0-only
//! Hostile users: whatever they write into whichever file, nothing panics, what is refused changes nothing (in files whose
//! commands are carried out step by step: but for the steps before the mistake), what a file shows it takes back, and the
//! state stays consistent.
//!
//! The target takes bytes and makes commands of them, on a machine that has every kind of file. The unit tests run it on
//! random bytes and on inputs that were good before some bytes changed; `cargo xtask fuzz commands` lets libFuzzer look for
//! more.

#[path = "../../tests/abi/amd.rs"]
#[expect(dead_code, reason = "the tests of single files ask for more")]
mod amd;
#[path = "../../tests/abi/arch.rs"]
#[expect(dead_code, reason = "the tests of single files ask for more")]
mod arch;
#[path = "../../tests/abi/machine.rs"]
#[expect(dead_code, reason = "the tests of single files ask for more")]
mod machine;

mod command;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::{env, fs};

use command::Command;

/// Commands out of bytes. Returns how many were carried out.
pub fn commands(data: &[u8]) -> usize {
    command::carry_out(command::from_bytes(data))
}

/// Good inputs.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    command::GOOD.iter().map(|session| session.iter().flat_map(Command::to_bytes).collect()).collect()
}

/// Writes them into the folder that the environment variable `FUZZ_SEEDS` names, if it is set.
///
/// # Panics
/// When that is impossible.
pub fn write_seeds() {
    let Some(folder) = env::var_os("FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (number, seed) in seeds().iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("a folder that can be written to");
    }
}
