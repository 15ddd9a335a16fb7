// SPDX-License-Identifier: GPL-2.0-only
//! Reads what a guest's kernel has counted, with the program `gcov` of the compiler that built it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::counts::{Counts, Function};
use crate::files;

/// What the program says of one object; there is more than this in it.
#[derive(Debug, Deserialize)]
struct Object {
    files: Vec<SourceFile>,
}

#[derive(Debug, Deserialize)]
struct SourceFile {
    file: String,
    functions: Vec<NamedFunction>,
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct NamedFunction {
    name: String,
    start_line: u32,
}

#[derive(Debug, Deserialize)]
struct Line {
    line_number: u32,
    /// Outside of functions there is none.
    function_name: Option<String>,
    count: u64,
    branches: Vec<Way>,
}

#[derive(Debug, Deserialize)]
struct Way {
    count: u64,
    source_block_id: u32,
    destination_block_id: u32,
}

/// Where counts of a kernel can be read.
#[derive(Debug)]
pub(super) struct Reader {
    /// The program.
    pub(super) gcov: PathBuf,
    /// What the compiler wrote down of the kernel's code.
    pub(super) notes: PathBuf,
    /// Folders of the source that count.
    pub(super) folders: Vec<String>,
}

impl Reader {
    /// The counts below `folder`, which has them as the guest's debugfs has.
    ///
    /// # Errors
    ///
    /// There are none, or they are another kernel's.
    pub(super) fn read(&self, folder: &Path) -> Result<Counts> {
        let place = tempfile::tempdir()?;
        let counted = files::below(folder)?;
        let mut data = Vec::new();
        for note in files::below(&self.notes)? {
            let name = note.with_extension("gcda");
            // Above it are the folders that the kernel was built in.
            let Some(found) = counted.iter().find(|path| path.ends_with(&name)) else { continue };
            let parent = place.path().join(note.parent().unwrap_or(Path::new("")));
            fs::create_dir_all(&parent)?;
            fs::copy(self.notes.join(&note), place.path().join(&note))?;
            fs::copy(folder.join(found), place.path().join(&name))?;
            data.push(name);
        }
        ensure!(!data.is_empty(), "{} has no counts of {}", folder.display(), self.folders.join(", "));
        let words = ["--json-format", "--stdout", "--branch-probabilities"].map(PathBuf::from);
        let output = duct::cmd(&self.gcov, words.into_iter().chain(data))
            .dir(place.path())
            .env("LC_ALL", "C")
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .run()
            .with_context(|| format!("cannot run {}", self.gcov.display()))?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        // It goes on without the counts.
        if !output.status.success() || complaints.contains("mismatch") {
            bail!("{} are not counts of this kernel: {}", folder.display(), complaints.trim());
        }
        self.parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// A line is an object.
    fn parse(&self, text: &str) -> Result<Counts> {
        let mut sum = Counts::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let object: Object = serde_json::from_str(line).context("gcov's output is not as expected")?;
            for file in object.files.into_iter().filter(|file| self.counts(&file.file)) {
                sum.add(&Counts(BTreeMap::from([(file.file.clone(), functions(file))])));
            }
        }
        Ok(sum)
    }

    /// Whether a file is code of the folders. What describes tracepoints is made by macros that are not.
    fn counts(&self, file: &str) -> bool {
        self.folders.iter().any(|folder| Path::new(file).starts_with(folder)) && !file.ends_with("_trace.h")
    }
}

fn functions(file: SourceFile) -> BTreeMap<String, Function> {
    let mut functions: BTreeMap<String, Function> = file
        .functions
        .into_iter()
        .map(|function| (function.name, Function { first: function.start_line, ..Function::default() }))
        .collect();
    for line in file.lines {
        let Some(function) = line.function_name.and_then(|name| functions.get_mut(&name)) else { continue };
        *function.lines.entry(line.line_number).or_default() += line.count;
        for way in line.branches {
            let branch = (line.line_number, way.source_block_id, way.destination_block_id);
            *function.branches.entry(branch).or_default() += way.count;
        }
    }
    // Some are only declared.
    functions.retain(|_, function| !function.lines.is_empty());
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = r#"{"format_version":"2","data_file":"fs/resctrl/a.gcda","files":[
        {"file":"fs/resctrl/a.c",
         "functions":[{"name":"f","demangled_name":"f","start_line":3,"end_line":6,"blocks":4,"execution_count":2}],
         "lines":[{"line_number":3,"function_name":"f","count":2,"unexecuted_block":false,"branches":[]},
                  {"line_number":4,"function_name":"f","count":2,"unexecuted_block":true,"branches":[
                    {"count":2,"throw":false,"fallthrough":true,"source_block_id":2,"destination_block_id":3},
                    {"count":0,"throw":false,"fallthrough":false,"source_block_id":2,"destination_block_id":4}]}]},
        {"file":"fs/resctrl/monitor_trace.h","functions":[],"lines":[]},
        {"file":"include/linux/list.h","functions":[],"lines":[]}]}"#;

    fn reader(folder: &Path) -> Reader {
        Reader { gcov: "gcov".into(), notes: folder.to_owned(), folders: vec!["fs/resctrl".to_owned()] }
    }

    #[test]
    fn what_gcov_says_is_read_and_only_of_the_folders_that_count() {
        let text = OBJECT.replace('\n', " ");
        let counts = reader(Path::new("/")).parse(&format!("{text}\n{text}\n")).unwrap();
        assert_eq!(counts.0.keys().collect::<Vec<_>>(), ["fs/resctrl/a.c"]);
        let function = &counts.0["fs/resctrl/a.c"]["f"];
        assert_eq!((function.first, function.lines[&4]), (3, 4));
        assert_eq!((function.branches[&(4, 2, 3)], function.branches[&(4, 2, 4)]), (4, 0));
    }

    #[test]
    fn a_guest_without_counts_is_no_guest_that_ran_nothing() {
        let (notes, counted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(notes.path().join("a.gcno"), "").unwrap();
        let error = reader(notes.path()).read(counted.path()).unwrap_err().to_string();
        assert!(error.contains("has no counts of fs/resctrl"), "{error}");
    }
}
