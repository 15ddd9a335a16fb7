// SPDX-License-Identifier: GPL-2.0-only
//! Machine files: one that says everything, or what differs from another that it is like.
//!
//! ```toml
//! like = "intel"              # a machine of the library, or "DIR/FILE.toml", beginning at this file's folder
//! without = ["rdt.mba"]       # keys of that one that this one does not have
//! description = "Intel, 1 socket, without MBA"
//! [topology]
//! sockets = 1
//! ```
//!
//! Tables are merged, all else is replaced, arrays too. What is wrong is told with the place in the file that says it, whichever of
//! them that is.

use super::place::{Sources, Table};
use super::{Machine, MachineError};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A machine file, with all that it is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFile {
    /// The machine.
    pub machine: Machine,
    /// The same as the text of a file that is like no other.
    pub text: String,
    /// The files that it is like, the nearest one first.
    pub like: Vec<PathBuf>,
}

impl MachineFile {
    /// Reads and validates a machine file. Names in `like` are those of files in the folder `library`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, syntax, a file that is like itself, an unknown or missing key, or a value that no hardware can
    /// have; the message begins with file, line and column of what is wrong.
    pub fn load(path: &Path, library: &Path) -> Result<Self, MachineError> {
        let mut sources = Sources::default();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            sources.read(&path)?;
            next = sources.newest_is_like(library)?;
        }
        Self::of(&sources)
    }

    /// Reads and validates the text of a machine file that is like no other.
    ///
    /// # Errors
    ///
    /// As [`Self::load`], without the name of a file.
    pub(super) fn parse(text: &str) -> Result<Self, MachineError> {
        let sources = Sources::of_text(text);
        match sources.likeness(0)?.0.like {
            Some(_) => Err(MachineError("like: only a file can be like another".to_owned())),
            None => Self::of(&sources),
        }
    }

    fn of(sources: &Sources) -> Result<Self, MachineError> {
        let count = sources.count();
        let mut merged = sources.table(count - 1)?;
        sources.likeness(count - 1)?;
        for number in (0..count - 1).rev() {
            let (likeness, place) = sources.likeness(number)?;
            for key in &likeness.without {
                let gone = remove(merged.get_mut(), key);
                if !gone {
                    let problem = format!("without: {} has no `{key}`", sources.path(number + 1).display());
                    return Err(sources.error(place.clone(), &problem));
                }
            }
            let mut own = sources.table(number)?;
            for key in ["like", "without"] {
                own.get_mut().remove(key);
            }
            if !own.get_ref().contains_key("description") {
                let (text, span) = (sources.what_differs(number, &likeness)?, own.span());
                let description = Spanned::new(span.clone(), DeValue::String(text.into()));
                own.get_mut().insert(Spanned::new(span, "description".into()), description);
            }
            merge(merged.get_mut(), own.into_inner());
        }
        merged.get_mut().remove("without");
        let machine = Machine::deserialize(toml::Deserializer::from(merged.clone()))
            .map_err(|problem| sources.malformed(&problem, merged.get_ref()))?;
        machine.validate().map_err(|problem| sources.placed(&problem, merged.get_ref()))?;
        let text = toml::Table::deserialize(toml::Deserializer::from(merged))
            .ok()
            .and_then(|table| toml::to_string(&table).ok())
            .ok_or_else(|| MachineError("the machine cannot be written as one file".to_owned()))?;
        let like = (1..count).map(|number| sources.path(number).to_owned()).collect();
        Ok(Self { machine, text, like })
    }
}

/// Puts what `over` says into `base`.
fn merge<'i>(base: &mut Table<'i>, over: Table<'i>) {
    for (key, value) in over {
        let (span, old) = (value.span(), base.remove(&key));
        let value = match (old.map(Spanned::into_inner), value.into_inner()) {
            (Some(DeValue::Table(mut old)), DeValue::Table(new)) => {
                merge(&mut old, new);
                DeValue::Table(old)
            }
            (_, new) => new,
        };
        // With the place of the key that says it now.
        base.insert(key, Spanned::new(span, value));
    }
}

/// Takes the key with this path away; whether there was one.
fn remove(table: &mut DeTable<'_>, path: &str) -> bool {
    match path.split_once('.') {
        None => table.remove(path).is_some(),
        Some((key, rest)) => match table.get_mut(key).map(Spanned::get_mut) {
            Some(DeValue::Table(inner)) => remove(inner, rest),
            _ => false,
        },
    }
}
