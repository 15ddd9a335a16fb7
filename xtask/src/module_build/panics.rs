// SPDX-License-Identifier: GPL-2.0-only
//! Where the Rust of the module could panic: a panic ends the thread that it is in, with every lock that it holds.
//!
//! The compiler leaves the place of each possible panic in the object file, a file's name with line and column, for the message.
//! What is linked is therefore all that can happen. Every place is listed in `qemu-images/module/panics.toml`, by its file,
//! function and text, with the reason why it is not reached; so are the functions that panics begin with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind};
use serde::{Deserialize, Serialize};

use crate::kernels::Arch;
use crate::workspace;

/// The list under review.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Reviewed {
    /// What panics begin with.
    functions: Vec<String>,
    #[serde(default)]
    panics: Vec<Group>,
}

/// Places that are not reached for one reason.
#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Group {
    reason: String,
    /// Places in builds for both instruction sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    both: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    amd64: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    arm64: Vec<String>,
}

impl Group {
    fn own(&mut self, arch: Arch) -> &mut Vec<String> {
        match arch {
            Arch::Amd64 => &mut self.amd64,
            Arch::Arm64 => &mut self.arm64,
        }
    }

    fn others(&mut self, arch: Arch) -> &mut Vec<String> {
        match arch {
            Arch::Amd64 => &mut self.arm64,
            Arch::Arm64 => &mut self.amd64,
        }
    }
}

/// What an object file has in it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    functions: Vec<String>,
    places: Vec<String>,
}

fn list() -> PathBuf {
    workspace::root().join("qemu-images/module/panics.toml")
}

fn load() -> Result<Reviewed> {
    let path = list();
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not as it should be", path.display()))
}

fn read(object: &Path) -> Result<Found> {
    let data = fs::read(object).with_context(|| format!("cannot read {}", object.display()))?;
    find(&data, workspace::root()).with_context(|| format!("cannot find the panics in {}", object.display()))
}

/// Sees that an object file can panic nowhere but where the list says. A place that is gone is no reason to fail.
///
/// # Errors
///
/// It can elsewhere, or a reason is missing.
pub(crate) fn check(object: &Path, arch: Arch) -> Result<()> {
    let complaints = compare(&mut load()?, &read(object)?, arch);
    ensure!(
        complaints.is_empty(),
        "the Rust of the module could panic where {} does not say why it will not:\n{complaints}\
         (`cargo xtask build-module --arch {arch} --accept` brings it up to date, but for the reasons)",
        list().display()
    );
    Ok(())
}

/// Brings the list up to date.
///
/// # Errors
///
/// It cannot be read or written.
pub(crate) fn accept(object: &Path, arch: Arch) -> Result<()> {
    let mut reviewed = load()?;
    let found = read(object)?;
    compare(&mut reviewed, &found, arch);
    let path = list();
    let text = toml::to_string_pretty(&reviewed).context("cannot write a list")?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Says where the list is wrong, and makes it right, but for the reasons of what is new.
fn compare(reviewed: &mut Reviewed, found: &Found, arch: Arch) -> String {
    let mut complaints = String::new();
    let mut complain = |what: &str, place: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(complaints, "  {what}: {place}");
    };
    for function in found.functions.iter().filter(|function| !reviewed.functions.contains(function)) {
        complain("a new kind of panic", function);
    }
    reviewed.functions.extend(found.functions.iter().cloned());
    reviewed.functions.sort();
    reviewed.functions.dedup();
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for place in &found.places {
        *left.entry(place).or_default() += 1;
    }
    for group in &mut reviewed.panics {
        let mut keep = |place: &String| {
            let count = left.get_mut(place.as_str()).filter(|count| **count > 0);
            let kept = count.is_some();
            if let Some(count) = count {
                *count -= 1;
            }
            kept
        };
        group.own(arch).retain(&mut keep);
        let of_both = std::mem::take(&mut group.both);
        for place in of_both {
            let target = if keep(&place) { &mut group.both } else { group.others(arch) };
            target.push(place);
        }
    }
    for (place, count) in left {
        for _ in 0..count {
            complain("new", place);
            add(&mut reviewed.panics, place, arch);
        }
    }
    for group in &mut reviewed.panics {
        for places in [&mut group.both, &mut group.amd64, &mut group.arm64] {
            places.sort();
        }
        if group.reason.is_empty() {
            group
                .both
                .iter()
                .chain(&group.amd64)
                .chain(&group.arm64)
                .for_each(|place| complain("without a reason", place));
        }
    }
    reviewed.panics.retain(|group| !(group.both.is_empty() && group.amd64.is_empty() && group.arm64.is_empty()));
    complaints
}

/// Adds a place: where the other instruction set has it, there for both; else to those without a reason.
fn add(groups: &mut Vec<Group>, place: &str, arch: Arch) {
    for group in groups.iter_mut() {
        if let Some(at) = group.others(arch).iter().position(|other| other == place) {
            let place = group.others(arch).remove(at);
            group.both.push(place);
            return;
        }
    }
    if groups.last().is_none_or(|group| !group.reason.is_empty()) {
        groups.push(Group::default());
    }
    if let Some(group) = groups.last_mut() {
        group.own(arch).push(place.to_owned());
    }
}

/// The panics of an object file that was compiled in `root`.
fn find(object: &[u8], root: &Path) -> Result<Found> {
    let file = object::File::parse(object).context("no object file")?;
    let mut functions: Vec<String> = file
        .symbols()
        .filter_map(|symbol| Some(format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?))))
        .filter(|name| name.starts_with("core::panicking::"))
        // Instances of one generic function.
        .map(|name| name.split('<').next().unwrap_or_default().to_owned())
        .collect();
    functions.sort();
    functions.dedup();
    let mut sources = Sources { root, texts: BTreeMap::new() };
    let mut found = locations(&file)?;
    found.sort();
    found.dedup();
    let mut places = found.iter().map(|location| sources.place(location)).collect::<Result<Vec<_>>>()?;
    places.sort();
    Ok(Found { functions, places })
}

/// File, line and column.
type Location = (String, u32, u32);

/// Every `core::panic::Location` of a relocatable object file: the address and the length of a file's name, line, column.
fn locations(file: &object::File<'_>) -> Result<Vec<Location>> {
    let mut found = Vec::new();
    for section in file.sections().filter(|section| holds_data(section.kind())) {
        let data = section.data()?;
        for (offset, relocation) in section.relocations() {
            let number = |at: usize, size: usize| {
                let at = usize::try_from(offset).ok()?.checked_add(at)?;
                let bytes = data.get(at..at.checked_add(size)?)?;
                Some(bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
            };
            let (Some(length), Some(line), Some(column)) = (number(8, 8), number(16, 4), number(20, 4)) else {
                continue;
            };
            let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
            let symbol = file.symbol_by_index(symbol)?;
            let Some(target) = symbol.section_index() else { continue };
            let text = file.section_by_index(target)?.data()?;
            let begin = symbol.address().wrapping_add_signed(relocation.addend());
            let name = usize::try_from(begin).ok().zip(usize::try_from(length).ok());
            let name = name.and_then(|(begin, length)| text.get(begin..begin.checked_add(length)?));
            let Some(Ok(name)) = name.map(std::str::from_utf8) else { continue };
            if name.ends_with(".rs") {
                found.push((name.to_owned(), u32::try_from(line)?, u32::try_from(column)?));
            }
        }
    }
    Ok(found)
}

fn holds_data(kind: SectionKind) -> bool {
    matches!(
        kind,
        SectionKind::Data | SectionKind::ReadOnlyData | SectionKind::ReadOnlyDataWithRel | SectionKind::ReadOnlyString
    )
}

/// The texts that places are looked up in.
struct Sources<'a> {
    root: &'a Path,
    texts: BTreeMap<String, Vec<String>>,
}

impl Sources<'_> {
    /// How a place is listed: file, function and the text from there to the end of the line. Lines of a file move.
    fn place(&mut self, (file, line, column): &Location) -> Result<String> {
        if !self.texts.contains_key(file) {
            let path = self.root.join(file);
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            self.texts.insert(file.clone(), text.lines().map(str::to_owned).collect());
        }
        let lines = &self.texts[file];
        let at = usize::try_from(*line)?.checked_sub(1).context("lines count from 1")?;
        let text = lines.get(at).with_context(|| format!("{file} has no line {line}; was it changed meanwhile?"))?;
        let from = text.char_indices().nth(usize::try_from(*column)?.saturating_sub(1)).map_or(0, |(from, _)| from);
        // Of the standard library's sources only what comes after the folder that they are in.
        let name = file.split_once("/library/").map_or(file.as_str(), |(_, name)| name);
        Ok(format!("{name}: {}: {}", function(&lines[..=at]).unwrap_or("-"), text[from..].trim_end()))
    }
}

/// The function that the last of these lines is in: the nearest that begins further to the left, or there.
fn function(lines: &[String]) -> Option<&str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let last = indent(lines.last()?);
    lines.iter().rev().filter(|line| indent(line) <= last).find_map(|line| {
        let (before, after) = line.split_once("fn ")?;
        let name = after.split(['(', '<']).next()?;
        let is_item = before.split_whitespace().all(|word| word.starts_with("pub") || KEYWORDS.contains(&word));
        (is_item && !name.is_empty()).then_some(name)
    })
}

/// What may stand before a function's `fn`.
const KEYWORDS: [&str; 5] = ["const", "unsafe", "extern", "\"C\"", "async"];

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What the compiler makes of a library with this text.
    fn compiled(text: &str) -> Found {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("lib.rs"), text).expect("writable");
        let status = Command::new("rustc")
            .args([
                "--edition=2024",
                "--crate-type=lib",
                "--emit=obj",
                "-Cpanic=abort",
                "-Copt-level=2",
                "-Coverflow-checks=y",
            ])
            .args(["-o", "lib.o", "lib.rs"])
            .current_dir(folder.path())
            .status();
        assert!(status.expect("a compiler").success());
        find(&fs::read(folder.path().join("lib.o")).expect("compiled"), folder.path()).expect("an object file")
    }

    #[test]
    fn every_way_to_panic_is_found_with_its_place() {
        let found = compiled(
            "#![no_std]\n\
             #[inline(never)]\n\
             pub fn index(a: &[u8], i: usize) -> u8 {\n    a[i]\n}\n\
             #[inline(never)]\n\
             pub fn cut(a: &[u8], i: usize) -> &[u8] {\n    &a[i..]\n}\n\
             pub struct S;\n\
             impl S {\n    #[inline(never)]\n    pub const fn sum(a: u8, b: u8) -> u8 {\n        if a > 3 {\n            return 2 * (a + b);\n        }\n        b\n    }\n}\n\
             #[inline(never)]\n\
             pub fn divide(a: u8, b: u8) -> u8 {\n    a / b\n}\n\
             #[inline(never)]\n\
             pub fn shift(a: u8, b: u32) -> u8 {\n    a << b\n}\n\
             #[inline(never)]\n\
             pub fn unwrap(a: Option<u8>) -> u8 {\n    a.unwrap()\n}\n\
             #[inline(never)]\n\
             pub fn never() -> ! {\n    unreachable!(\"{}\", 1)\n}\n\
             #[inline(never)]\n\
             pub fn checked(a: &[u8], i: usize) -> Option<u8> {\n    a.get(i)?.checked_add(1)\n}\n",
        );
        let expected = [
            "lib.rs: cut: [i..]",
            "lib.rs: divide: a / b",
            "lib.rs: index: a[i]",
            "lib.rs: never: unreachable!(\"{}\", 1)",
            "lib.rs: shift: a << b",
            "lib.rs: sum: 2 * (a + b);",
            "lib.rs: sum: (a + b);",
            "lib.rs: unwrap: unwrap()",
        ];
        let mut expected = expected.map(str::to_owned);
        expected.sort();
        assert_eq!(found.places, expected);
        assert!(found.functions.contains(&"core::panicking::panic_bounds_check".to_owned()), "{:?}", found.functions);
        assert!(found.functions.contains(&"core::panicking::panic_const::panic_const_shl_overflow".to_owned()));
    }

    fn reviewed() -> Reviewed {
        toml::from_str(
            "functions = ['p']\n\
             [[panics]]\nreason = 'one'\nboth = ['a', 'b', 'b']\namd64 = ['c']\n\
             [[panics]]\nreason = 'two'\narm64 = ['d']\n",
        )
        .expect("a list")
    }

    fn found(functions: &[&str], places: &[&str]) -> Found {
        let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
        Found { functions: owned(functions), places: owned(places) }
    }

    #[test]
    fn what_is_new_is_noticed_and_what_is_gone_is_not() {
        for (arch, places) in [(Arch::Amd64, ["a", "b", "b", "c"]), (Arch::Arm64, ["a", "b", "b", "d"])] {
            let mut list = reviewed();
            assert_eq!(compare(&mut list, &found(&["p"], &places), arch), "");
            assert_eq!(list, reviewed());
        }
        for (functions, places, complaint) in [
            (&["p", "q"][..], &["a", "b", "b", "c"][..], "  a new kind of panic: q\n"),
            (&["p"], &["a", "b", "c"], ""),
            (&["p"], &["a", "b", "b"], ""),
            (&["p"], &["a", "a", "b", "b", "c"], "  new: a\n  without a reason: a\n"),
            (&["p"], &["a", "b", "b", "c", "d"], "  new: d\n"),
            (&["p"], &["a", "b", "b", "c", "e"], "  new: e\n  without a reason: e\n"),
        ] {
            assert_eq!(compare(&mut reviewed(), &found(functions, places), Arch::Amd64), complaint);
        }
    }

    #[test]
    fn what_is_accepted_is_accepted_but_for_missing_reasons() {
        let mut list = reviewed();
        let now = found(&["p", "q"], &["a", "b", "d", "e"]);
        compare(&mut list, &now, Arch::Amd64);
        assert_eq!(compare(&mut list, &now, Arch::Amd64), "  without a reason: e\n");
        // The other build has not changed.
        assert_eq!(list.panics[0].arm64, ["b"]);
        assert_eq!(list.panics[1].both, ["d"]);
    }

    #[test]
    fn every_place_under_review_has_a_reason() {
        for group in load().expect("a list").panics {
            assert!(!group.reason.is_empty(), "{group:?}");
        }
    }
}
