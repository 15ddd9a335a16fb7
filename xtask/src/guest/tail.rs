// SPDX-License-Identifier: GPL-2.0-only
//! Reads a file that somebody else is still writing.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Bytes looked at in one go; a guest that floods a port must not starve the others.
const CHUNK: usize = 1 << 20;

/// The place up to which a growing file has been read.
#[derive(Debug)]
pub(crate) struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// Bytes after the last newline.
    partial: Vec<u8>,
}

impl Tail {
    /// Starts at the beginning of `path`, which need not exist yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, partial: Vec::new() }
    }

    /// The bytes that are new since the last call.
    ///
    /// # Errors
    ///
    /// The file exists and cannot be read.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>> {
        let context = || format!("cannot read {}", self.path.display());
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error).with_context(context),
            }
        }
        let mut bytes = Vec::new();
        if let Some(file) = &self.file {
            file.take(CHUNK as u64).read_to_end(&mut bytes).with_context(context)?;
        }
        Ok(bytes)
    }

    /// The lines that were completed since the last call, without their ends. Bytes that are no
    /// UTF-8 are replaced: a serial line may carry anything.
    ///
    /// # Errors
    ///
    /// As [`Self::bytes`].
    pub(crate) fn lines(&mut self) -> Result<Vec<String>> {
        let bytes = self.bytes()?;
        self.partial.extend(bytes);
        let Some(end) = self.partial.iter().rposition(|&byte| byte == b'\n') else {
            return Ok(Vec::new());
        };
        let rest = self.partial.split_off(end + 1);
        let complete = std::mem::replace(&mut self.partial, rest);
        Ok(complete[..end]
            .split(|&byte| byte == b'\n')
            .map(|line| String::from_utf8_lossy(line).trim_end_matches('\r').to_owned())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_line_is_given_once_and_only_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut tail = Tail::new(&path);
        assert!(tail.lines().unwrap().is_empty(), "no file yet");
        let mut file = File::create(&path).unwrap();
        write!(file, "one\r\ntw").unwrap();
        assert_eq!(tail.lines().unwrap(), ["one"]);
        write!(file, "o\n\nthree").unwrap();
        assert_eq!(tail.lines().unwrap(), ["two", ""]);
        assert!(tail.lines().unwrap().is_empty());
    }
}
