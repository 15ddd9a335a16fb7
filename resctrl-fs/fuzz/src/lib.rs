// SPDX-License-Identifier: GPL-2.0-only
//! Hostile users: whatever they write into whichever file, nothing panics, what is refused changes nothing (in files whose
//! commands are carried out step by step: but for the steps before the mistake), what a file shows it takes back, and the
//! state stays consistent.
//!
//! A target takes bytes and makes commands of them, for all files or for those of one parser, on a machine that has every kind of
//! file, with CDP or without it, as the first byte says. The unit tests run each on random bytes and on inputs that were good before some bytes changed; `cargo xtask fuzz`
//! lets libFuzzer look for more.

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

/// Writes a target's good inputs into the folder that the environment variable `FUZZ_SEEDS` names, if it is set.
///
/// # Panics
/// When that is impossible.
pub fn write_seeds(target: Target) {
    let Some(folder) = env::var_os("FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (number, seed) in seeds(target).iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("a folder that can be written to");
    }
}
