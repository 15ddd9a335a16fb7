// SPDX-License-Identifier: GPL-2.0-only
//! The keys of a machine file that are about other files.

use serde::Deserialize;

/// What a machine file can say of other files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Likeness {
    /// The machine that this one is like but for what the file says: the name of one of the project's, or the path of a file, with
    /// a `/` or `.toml`, from the folder of this one. Tables are merged, everything else is replaced, arrays too.
    pub like: Option<String>,
    /// Keys of that machine that this one does not have, for example `["rdt.mba", "cache.l2"]`.
    #[serde(default)]
    pub without: Vec<String>,
}
