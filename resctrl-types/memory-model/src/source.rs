// SPDX-License-Identifier: GPL-2.0-only
//! The source of what is shipped, as text.

use std::path::Path;

/// The top of the checkout.
#[must_use]
pub fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The lines of a file in front of its tests, counted from 1, without comments.
pub fn shipped(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    (1..).zip(lines.map(|line| line.split("//").next().unwrap_or_default()))
}

/// Whether a line of code orders something.
#[must_use]
pub fn orders(code: &str) -> bool {
    ["Acquire", "Release", "AcqRel", "SeqCst"].iter().any(|order| code.contains(order))
}
