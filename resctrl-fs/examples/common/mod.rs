// SPDX-License-Identifier: GPL-2.0-only
//! Files by their paths, as `cat` and `echo` have them, for the examples.

use std::fmt;

use resctrl_fs::{Bytes, NodeId, OpenFor, Resctrl, TextOut};
use resctrl_types::{Arch, Errno, Platform, Ref, Result};

/// What a file shows.
#[derive(Default)]
struct Text(Vec<u8>);

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(Bytes(text.as_bytes()))
    }
}

impl TextOut for Text {
    fn bytes(&mut self, bytes: Bytes<'_>) -> fmt::Result {
        self.0.extend_from_slice(bytes.0);
        Ok(())
    }
}

fn node<A: Arch<P>, P: Platform>(fs: &Resctrl<A, P>, path: &str) -> Result<NodeId> {
    let root = fs.root().ok_or(Errno::ENOENT)?;
    path.split('/').try_fold(root, |dir, name| fs.lookup(dir, name.as_bytes()).ok_or(Errno::ENOENT))
}

/// `cat PATH`.
pub(crate) fn read<A: Arch<P>, P: Platform>(fs: &Ref<Resctrl<A, P>>, path: &str) -> Result<String> {
    let node = node(fs, path)?;
    fs.open(node, OpenFor::READING)?;
    let mut text = Text::default();
    Resctrl::read(fs, node, &mut text)?;
    Ok(String::from_utf8_lossy(&text.0).into_owned())
}

/// `echo TEXT > PATH`.
pub(crate) fn write<A: Arch<P>, P: Platform>(fs: &Ref<Resctrl<A, P>>, path: &str, text: &str) -> Result<()> {
    let node = node(fs, path)?;
    fs.open(node, OpenFor::WRITING)?;
    Resctrl::write(fs, node, format!("{text}\n").as_bytes())
}
