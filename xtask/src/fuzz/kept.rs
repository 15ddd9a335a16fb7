// SPDX-License-Identifier: GPL-2.0-only
//! Inputs that are committed: few, of which each reaches what no other does. One a line, as text where it is text.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::program;
use super::target::Target;

/// What such a file begins with.
const REMARK: &str =
    "# Written by `cargo xtask fuzz --keep`: inputs that together reach all that is known to be reachable.\n";

/// Puts the fewest of all inputs that were found into the file that is committed. Gives how many they are.
///
/// # Errors
///
/// One of them fails, or something cannot be read or written.
pub(super) fn keep(target: Target, folder: &Path, found: &Path) -> Result<usize> {
    let fewest = tempfile::tempdir_in(folder).context("cannot make a folder")?;
    let status = program::command(target, folder, found)
        // By branches alone: how often one is taken would keep five times as many.
        .args(["-set_cover_merge=1", "-use_counters=0", &format!("-max_len={}", target.longest())])
        .args([fewest.path(), found])
        .stderr(Stdio::null())
        .status()
        .context("cannot run the fuzzer")?;
    ensure!(status.success(), "{}: the inputs cannot be put together", target.name());
    let inputs = read(fewest.path())?;
    ensure!(!inputs.is_empty(), "{}: there are no inputs", target.name());
    let path = target.corpus();
    fs::write(&path, text(&inputs)).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(inputs.len())
}

/// The inputs in a folder, short ones first.
fn read(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let files = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut inputs = files
        .map(|file| file.and_then(|file| fs::read(file.path())))
        .collect::<Result<Vec<_>, _>>()
        .context("cannot read an input")?;
    inputs.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    Ok(inputs)
}

fn text(inputs: &[Vec<u8>]) -> String {
    let line = |input: &Vec<u8>| {
        let line = input.escape_ascii().to_string();
        // Not a remark.
        line.strip_prefix('#').map_or(format!("{line}\n"), |rest| format!("\\x23{rest}\n"))
    };
    REMARK.to_owned() + &inputs.iter().map(line).collect::<String>()
}

/// How many inputs are committed, and how long they are in all, as they are written.
pub(super) fn size(target: Target) -> Result<(usize, usize)> {
    let path = target.corpus();
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.fold((0, 0), |(count, bytes), line| (count + 1, bytes + line.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_inputs_are_first_and_each_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        for (name, input) in [("a", &b"\0L3:0=f\n"[..]), ("b", b"#1"), ("c", b"\xff"), ("d", b"")] {
            fs::write(folder.path().join(name), input).unwrap();
        }
        let inputs = read(folder.path()).unwrap();
        assert_eq!(text(&inputs), format!("{REMARK}\n\\xff\n\\x231\n\\x00L3:0=f\\n\n"));
    }
}
