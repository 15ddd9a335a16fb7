// SPDX-License-Identifier: GPL-2.0-only
//! Where machine files say what they say: the texts of several files, in which places are numbered on from one to the next.

use super::MachineError;
use super::library::{is_path, names};
use super::likeness::Likeness;
use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A table of a file, with the places of all keys and values.
pub(super) type Table<'i> = DeTable<'i>;

/// A file.
#[derive(Debug)]
struct Source {
    /// Empty for a text that is in no file.
    path: PathBuf,
    text: String,
    /// Number of the place where it begins.
    base: usize,
}

/// Files, each of which is like the next.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<Source>);

impl Sources {
    /// A text that is in no file.
    pub(super) fn of_text(text: &str) -> Self {
        Self(vec![Source { path: PathBuf::new(), text: text.to_owned(), base: 0 }])
    }

    /// Reads one more.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), MachineError> {
        let text = std::fs::read_to_string(path).map_err(|e| MachineError(format!("{}: {e}", path.display())))?;
        let base = self.0.last().map_or(0, |last| last.base + last.text.len());
        self.0.push(Source { path: path.to_owned(), text, base });
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn path(&self, number: usize) -> &Path {
        &self.0[number].path
    }

    /// What a file says.
    pub(super) fn table(&self, number: usize) -> Result<Spanned<Table<'_>>, MachineError> {
        let Source { text, base, .. } = &self.0[number];
        let table = DeTable::parse(text).map_err(|problem| {
            let span = problem.span().unwrap_or_default();
            self.error(behind(span, *base), problem.message())
        })?;
        let span = table.span();
        Ok(Spanned::new(behind(span, *base), moved(table.into_inner(), *base)))
    }

    /// What a file says of others, and where.
    pub(super) fn likeness(&self, number: usize) -> Result<(Likeness, Range<usize>), MachineError> {
        let table = self.table(number)?;
        let place = ["without", "like"].iter().find_map(|key| table.get_ref().get(*key)).map(Spanned::span);
        let problem = |problem: toml::de::Error| self.malformed(&problem, table.get_ref());
        let likeness = Likeness::deserialize(toml::Deserializer::from(table.clone())).map_err(problem)?;
        let place = place.unwrap_or_else(|| table.span());
        if likeness.like.is_none() && !likeness.without.is_empty() {
            return Err(self.error(place, "without: has no meaning without `like`"));
        }
        Ok((likeness, place))
    }

    /// The file that the newest one is like.
    pub(super) fn newest_is_like(&self, library: &Path) -> Result<Option<PathBuf>, MachineError> {
        let number = self.count() - 1;
        let Some(like) = self.likeness(number)?.0.like else { return Ok(None) };
        let place = self.table(number)?.get_ref().get("like").map(Spanned::span).unwrap_or_default();
        let asks_for_path = is_path(&like);
        let path = match asks_for_path {
            true => self.path(number).parent().unwrap_or(Path::new("")).join(&like),
            false => library.join(format!("{like}.toml")),
        };
        if !path.is_file() {
            let problem = match asks_for_path {
                true => format!("like: there is no file {}", path.display()),
                false => format!(
                    "like: there is no machine `{like}`; there are: {}",
                    names(library).unwrap_or_default().join(", ")
                ),
            };
            return Err(self.error(place, &problem));
        }
        let same = |source: &Source| {
            source.path.canonicalize().is_ok_and(|one| path.canonicalize().is_ok_and(|other| one == other))
        };
        if let Some(first) = self.0.iter().position(same) {
            let round: Vec<_> = self.0[first..].iter().map(|source| source.path.display().to_string()).collect();
            let problem = format!("like: a machine that is like itself: {}, {}", round.join(", "), path.display());
            return Err(self.error(place, &problem));
        }
        Ok(Some(path))
    }

    /// A description of a file that has none: the machine it is like, and in what it differs.
    pub(super) fn what_differs(&self, number: usize, likeness: &Likeness) -> Result<String, MachineError> {
        let other = self.path(number + 1).file_stem().unwrap_or_default().to_string_lossy();
        let mut differences: Vec<String> = likeness.without.iter().map(|key| format!("no {key}")).collect();
        let mut table = toml::Table::deserialize(toml::Deserializer::from(self.table(number)?))
            .map_err(|problem| self.malformed(&problem, &Table::new()))?;
        table.remove("like");
        table.remove("without");
        leaves("", &table, &mut differences);
        Ok(match differences.is_empty() {
            true => format!("like {other}"),
            false => format!("like {other}, but {}", differences.join(", ")),
        })
    }

    /// A problem at a place.
    pub(super) fn error(&self, place: Range<usize>, problem: &str) -> MachineError {
        let source = self.0.iter().rev().find(|source| source.base <= place.start);
        let Some(Source { path, text, base }) = source else { return MachineError(problem.to_owned()) };
        let before = text.get(..place.start - base).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let file = if path.as_os_str().is_empty() { "line ".to_owned() } else { format!("{}:", path.display()) };
        let mut message = format!("{file}{line}:{column}: {problem}");
        if let Some(first) = self.0.first().filter(|first| first.base != *base) {
            message.push_str(&format!(" ({} is like that file)", first.path.display()));
        }
        MachineError(message)
    }

    /// A problem that the parser has found in what the files say together.
    pub(super) fn malformed(&self, problem: &toml::de::Error, merged: &Table<'_>) -> MachineError {
        let Some(span) = problem.span() else { return self.in_first(problem.message()) };
        let message = match key_at(merged, &span) {
            Some(key) => format!("{key}: {}", problem.message()),
            None => problem.message().to_owned(),
        };
        self.error(span, &message)
    }

    /// A problem whose text begins with the key that has it.
    pub(super) fn placed(&self, problem: &MachineError, merged: &Table<'_>) -> MachineError {
        let key = problem.0.split_once(": ").map_or("", |(key, _)| key);
        match span_of(merged, key) {
            Some(span) => self.error(span, &problem.0),
            None => self.in_first(&problem.0),
        }
    }

    /// A problem of something that no file says.
    fn in_first(&self, problem: &str) -> MachineError {
        match self.0.first().map(|first| &first.path).filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => MachineError(format!("{}: {problem}", path.display())),
            None => MachineError(problem.to_owned()),
        }
    }
}

/// The keys below `prefix` that a table sets, each with its value; arrays without.
fn leaves(prefix: &str, table: &toml::Table, into: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => leaves(&format!("{prefix}{key}."), inner, into),
            toml::Value::Array(_) => into.push(format!("other {prefix}{key}")),
            value => into.push(format!("{prefix}{key} = {value}")),
        }
    }
}

/// Places of a text that begins at `base`.
fn behind(span: Range<usize>, base: usize) -> Range<usize> {
    span.start + base..span.end + base
}

/// A table whose places are numbered from `base` on.
fn moved(table: DeTable<'_>, base: usize) -> DeTable<'_> {
    let mut result = DeTable::new();
    for (key, value) in table {
        let key_span = behind(key.span(), base);
        result.insert(Spanned::new(key_span, key.into_inner()), moved_value(value, base));
    }
    result
}

fn moved_value(value: Spanned<DeValue<'_>>, base: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved(table, base)),
        DeValue::Array(array) => {
            DeValue::Array(array.into_iter().map(|value| moved_value(value, base)).collect::<DeArray<'_>>())
        }
        other => other,
    };
    Spanned::new(behind(span, base), value)
}

/// The path of the key that has this place, or whose value has.
fn key_at(table: &DeTable<'_>, place: &Range<usize>) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        let inner = match value.get_ref() {
            DeValue::Table(inner) => key_at(inner, place).map(|rest| format!("{name}.{rest}")),
            DeValue::Array(array) => array.iter().enumerate().find_map(|(number, value)| match value.get_ref() {
                DeValue::Table(inner) => key_at(inner, place).map(|rest| format!("{name}[{number}].{rest}")),
                _ => (value.span() == *place).then(|| format!("{name}[{number}]")),
            }),
            _ => None,
        };
        inner.or_else(|| (key.span() == *place || value.span() == *place).then(|| name.to_string()))
    })
}

/// Where the value of the key with this path is, or what of the path there is.
fn span_of(table: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, indices) = first.split_once('[').unwrap_or((first, ""));
    let mut value = table.get(name)?;
    for index in indices.split(['[', ']']).filter(|index| !index.is_empty()) {
        let Some(element) = value.get_ref().as_array().and_then(|array| array.get(index.parse::<usize>().ok()?)) else {
            return Some(value.span());
        };
        value = element;
    }
    let inner = match value.get_ref() {
        DeValue::Table(inner) => span_of(inner, rest),
        _ => None,
    };
    Some(inner.unwrap_or_else(|| value.span()))
}
