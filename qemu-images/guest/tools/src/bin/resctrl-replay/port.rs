// SPDX-License-Identifier: GPL-2.0-only
//! The serial port that the host sends sequences to, and reads from.

use guest_tools::operation::digest;
use guest_tools::{Failure, Outcome};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};

/// A sequence that has arrived whole.
pub(super) struct Plan {
    pub(super) id: String,
    /// Its lines.
    pub(super) text: String,
}

pub(super) struct Port {
    lines: BufReader<File>,
    port: File,
}

impl Port {
    pub(super) fn new(port: File) -> Result<Self, Failure> {
        Ok(Self { lines: BufReader::new(port.try_clone()?), port })
    }

    /// A line without its newline, `None` at the end.
    fn line(&mut self) -> Result<Option<String>, Failure> {
        let mut bytes = Vec::new();
        if self.lines.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned()))
    }

    pub(super) fn say(&mut self, text: &str) -> Outcome {
        Ok(self.port.write_all(text.as_bytes())?)
    }

    /// Waits for a sequence that `is_good`; one that is not, or does not arrive whole, is asked for again. `None` when there are no
    /// more.
    pub(super) fn plan(&mut self, is_good: impl Fn(&str) -> bool) -> Result<Option<Plan>, Failure> {
        while let Some(line) = self.line()? {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["plan", id, count, sum] => {
                    let mut text = String::new();
                    for _ in 0..count.parse().unwrap_or(0) {
                        let Some(line) = self.line()? else { return Ok(None) };
                        text.push_str(&line);
                        text.push('\n');
                    }
                    if format!("{:x}", digest(text.as_bytes())) == sum && is_good(&text) {
                        return Ok(Some(Plan { id: id.to_owned(), text }));
                    }
                    self.say(&format!("again {id}\n"))?;
                }
                ["end"] => break,
                // What is left of a plan that did not arrive whole.
                _ => {}
            }
        }
        Ok(None)
    }
}
