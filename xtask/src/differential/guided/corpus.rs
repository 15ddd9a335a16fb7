// SPDX-License-Identifier: GPL-2.0-only
//! The sequences that have run what none before had.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;

use super::sequence::Sequence;
use crate::workspace;

/// Of what was found last, half of all new sequences are made.
const LATEST: usize = 32;

/// Sequences, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    found: Vec<Sequence>,
}

impl Corpus {
    /// Adds a sequence, once.
    pub(super) fn add(&mut self, sequence: Sequence) {
        if !self.has(&sequence) {
            self.found.push(sequence);
        }
    }

    pub(super) fn has(&self, sequence: &Sequence) -> bool {
        self.found.contains(sequence)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Sequence> {
        self.found.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// One of them; more often one of the latest.
    pub(super) fn any(&self, rng: &mut Rng) -> Option<&Sequence> {
        let latest = &self.found[self.found.len().saturating_sub(LATEST)..];
        if rng.bool() { rng.choice(latest) } else { rng.choice(&self.found) }
    }
}

/// As a file: a sequence after the other, with an empty line between them.
fn text(sequences: &[Sequence]) -> String {
    let sequences: Vec<String> = sequences.iter().map(Sequence::to_string).collect();
    sequences.join("\n")
}

/// Reads a file with sequences.
fn parse(text: &str) -> Option<Vec<Sequence>> {
    text.split("\n\n").filter(|part| !part.trim().is_empty()).map(Sequence::parse).collect()
}

/// The sequences that come with the project.
fn committed(machine: &str) -> PathBuf {
    workspace::root().join("qemu-images/guest/sequences").join(machine).with_extension("txt")
}

/// Where earlier runs have left theirs.
pub(super) fn kept(machine: &str) -> PathBuf {
    workspace::target().join("guided").join(machine).with_extension("txt")
}

/// What is known for a machine, short ones first: those that come with the project, and those of earlier runs.
///
/// # Errors
///
/// A file that cannot be read, or with something in it that is no sequence.
pub(super) fn load(machine: &str) -> Result<VecDeque<Sequence>> {
    let mut all = Vec::new();
    for path in [committed(machine), kept(machine)] {
        if path.exists() {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let sequences = parse(&text);
            ensure!(sequences.is_some(), "{} has a line that is no operation", path.display());
            all.extend(sequences.unwrap_or_default());
        }
    }
    all.sort_by_key(Sequence::len);
    all.dedup();
    Ok(all.into())
}

/// Keeps what was found for the next run, and what is `waiting` to be tried.
///
/// # Errors
///
/// The file cannot be written.
pub(super) fn save(path: &Path, corpus: &Corpus, waiting: impl Iterator<Item = Sequence>) -> Result<()> {
    let mut all = Corpus { found: corpus.found.clone() };
    waiting.for_each(|sequence| all.add(sequence));
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(path, text(&all.found)).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corpus_is_read_back_as_it_was_written() {
        let sequences = ["mount\t\n", "umount\nlane\nrmdir\ta\n"].map(|text| Sequence::parse(text).unwrap());
        let [first, second] = sequences.clone();
        let (folder, mut corpus) = (tempfile::tempdir().unwrap(), Corpus::default());
        corpus.add(first.clone());
        corpus.add(first.clone());
        assert_eq!((corpus.len(), corpus.has(&second)), (1, false));
        let path = folder.path().join("guided/intel.txt");
        save(&path, &corpus, [first, second].into_iter()).unwrap();
        assert_eq!(parse(&fs::read_to_string(path).unwrap()).unwrap(), sequences);
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("mount\t\n\nspin\n"), None);
    }

    #[test]
    fn what_comes_with_the_project_are_sequences() {
        let folder = workspace::root().join("qemu-images/guest/sequences");
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let sequences = parse(&text);
            assert!(sequences.is_some_and(|sequences| sequences.len() > 9), "{}", path.display());
            assert!(text.len() < 100_000, "{}: small is quick", path.display());
        }
    }
}
