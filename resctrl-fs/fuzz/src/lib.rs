// SPDX-License-Identifier: GPL-2.0-only
//! Hostile users: whatever they write into whichever file, nothing panics, what is refused changes nothing (in files whose
//! commands are carried out step by step: but for the steps before the mistake), what a file shows it takes back, and the
//! state stays consistent.
//!
//! A target takes bytes and makes commands of them, for all files or for those of one parser, on a machine that has every kind of
//! file, with CDP or without it, as the first byte says. The unit tests run each on random bytes, on inputs that were good before
//! some bytes changed, and on what `cargo xtask fuzz`, which lets libFuzzer look for more, has found worth keeping.

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
mod corpus;
mod replay;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::{env, fs};

use machine::{CDP, PLAIN};

pub use command::Target;
pub use replay::Look;

/// Carries out the commands that bytes are for a target. Returns how many were accepted.
pub fn carry_out(target: Target, data: &[u8], look: Look) -> usize {
    replay::carry_out(target.session(data), look.is_due(data))
}

/// Good inputs of a target, each without CDP and with it.
#[must_use]
pub fn seeds(target: Target) -> Vec<Vec<u8>> {
    let both = |session: &&[command::Command]| [PLAIN, CDP].map(|options| target.to_bytes(options, session));
    command::GOOD.iter().flat_map(both).flatten().collect()
}

/// The target that the environment variable `FUZZ_TARGET` names.
///
/// # Panics
/// When there is none of this name.
#[must_use]
pub fn target() -> Target {
    let name = env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    Target::ALL.into_iter().find(|target| target.name() == name).expect("FUZZ_TARGET names a target")
}

/// Inputs that are kept because they reach what others do not, or once failed.
#[must_use]
pub fn kept(target: Target) -> Vec<Vec<u8>> {
    corpus::inputs(match target {
        Target::Commands => include_str!("../corpus/commands.txt"),
        Target::Schemata => include_str!("../corpus/schemata.txt"),
        Target::Tasks => include_str!("../corpus/tasks.txt"),
        Target::Cpus => include_str!("../corpus/cpus.txt"),
        Target::EventFilter => include_str!("../corpus/event-filter.txt"),
        Target::Assignments => include_str!("../corpus/assignments.txt"),
    })
}

/// Writes what a target begins with: its good inputs and those that are kept into the folder that the environment variable
/// `FUZZ_SEEDS` names, and the words of its commands into the file that `FUZZ_WORDS` names, as libFuzzer takes them.
///
/// # Panics
/// When that is impossible.
pub fn write_seeds(target: Target) {
    if let Some(folder) = env::var_os("FUZZ_SEEDS").map(PathBuf::from) {
        for (number, input) in seeds(target).iter().chain(&kept(target)).enumerate() {
            fs::write(folder.join(format!("seed-{number}")), input).expect("a folder that can be written to");
        }
    }
    if let Some(file) = env::var_os("FUZZ_WORDS") {
        let words = target.words().iter().map(|word| format!("\"{word}\"\n")).collect::<String>();
        fs::write(file, words).expect("a file that can be written to");
    }
}
