// SPDX-License-Identifier: GPL-2.0-only
//! Where things are in this checkout.

use std::path::{Path, PathBuf};

/// The top folder of the checkout this xtask was built from.
pub(crate) fn root() -> &'static Path {
    // CARGO_MANIFEST_DIR is `<root>/xtask`, which always has a parent.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// Everything the rig writes, downloads excepted, is below this folder.
///
/// It does not follow CARGO_TARGET_DIR: that may be shared between checkouts, the tool root may not.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}
