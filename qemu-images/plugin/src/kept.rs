// SPDX-License-Identifier: GPL-2.0-only
//! A file that what the registers hold is written to: when a guest asks for it, and at the end.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The file.
#[derive(Debug)]
pub(crate) struct Kept(Mutex<File>);

impl Kept {
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        let file = File::create(path).map_err(|problem| format!("registers {}: {problem}", path.display()))?;
        Ok(Self(Mutex::new(file)))
    }

    /// Adds a section; `now` are nanoseconds since the start. A full disk must not end the guest: the section is lost.
    pub(crate) fn add(&self, why: &str, now: u64, shown: &str) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = now / 1_000_000_000;
        let millis = now / 1_000_000 % 1000;
        let _ = file.write_all(format!("# {why}, {seconds}.{millis:03} s after power-on\n{shown}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_follow_each_other_and_a_file_that_cannot_be_made_is_named() {
        let path = std::env::temp_dir().join(format!("kept-{}", std::process::id()));
        let kept = Kept::create(&path).expect("writable");
        kept.add("asked for", 1_234_567_890, "a: 1\n");
        kept.add("at the end", 2_000_000_000, "a: 2\n");
        let text = std::fs::read_to_string(&path).expect("there");
        std::fs::remove_file(&path).expect("there");
        assert_eq!(text, "# asked for, 1.234 s after power-on\na: 1\n\n# at the end, 2.000 s after power-on\na: 2\n\n");
        let problem = Kept::create(Path::new("no/such/dir")).expect_err("no such folder");
        assert!(problem.starts_with("registers no/such/dir: "), "{problem}");
    }
}
