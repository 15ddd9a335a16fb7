// SPDX-License-Identifier: GPL-2.0-only
//! Where things are in this checkout, and which one it is for a rig that was installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, bail, ensure};

use crate::git;

/// The checkout, where it is another one than this xtask was built from.
static FOUND: OnceLock<PathBuf> = OnceLock::new();

/// Names the checkout to a rig that was installed.
pub(crate) const VARIABLE: &str = "RESCTRL_RIG";

/// The top folder of the checkout this xtask was built from.
fn built_from() -> &'static Path {
    // CARGO_MANIFEST_DIR is `<root>/xtask`, which always has a parent.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// The top folder of the checkout that everything is done with: the one this xtask was built from, unless [`locate`] found another.
pub(crate) fn root() -> &'static Path {
    FOUND.get().map_or_else(built_from, PathBuf::as_path)
}

/// Finds the checkout; to be called before anybody asks for it.
///
/// # Errors
///
/// There is none, or one of another version.
pub(crate) fn locate() -> Result<()> {
    let place = Surroundings {
        named: env::var_os(VARIABLE).filter(|named| !named.is_empty()).map(PathBuf::from),
        // cargo tells what it runs where that is from; a program that was installed is run by nobody.
        by_cargo: env::var_os("CARGO_MANIFEST_DIR")
            .is_some_and(|folder| Path::new(&folder) == built_from().join("xtask")),
        program: env::current_exe().ok(),
        current: env::current_dir().ok(),
        built_from: built_from().to_owned(),
    };
    let found = place.checkout()?;
    if found != built_from() {
        // Nobody else sets it.
        let _ = FOUND.set(found);
    }
    Ok(())
}

/// What says which checkout is meant.
struct Surroundings {
    /// By the user.
    named: Option<PathBuf>,
    /// Whether cargo runs it, in the checkout that it was built from.
    by_cargo: bool,
    program: Option<PathBuf>,
    current: Option<PathBuf>,
    built_from: PathBuf,
}

impl Surroundings {
    /// The checkout that the user names; that of a program that was not installed; the one around the current folder; the one that
    /// it was installed from.
    fn checkout(&self) -> Result<PathBuf> {
        if let Some(named) = &self.named {
            ensure!(is_checkout(named), "{VARIABLE}={}: this is no checkout of resctrl in Rust", named.display());
            let named = std::path::absolute(named)?;
            check_version(&named)?;
            return Ok(named);
        }
        let is_there = is_checkout(&self.built_from);
        let within = self.program.as_ref().is_some_and(|program| program.starts_with(&self.built_from));
        if is_there && (self.by_cargo || within) {
            return Ok(self.built_from.clone());
        }
        let around = self.current.iter().flat_map(|current| current.ancestors()).find(|folder| is_checkout(folder));
        if let Some(around) = around {
            check_version(around)?;
            return Ok(around.to_owned());
        }
        if is_there {
            check_version(&self.built_from)?;
            return Ok(self.built_from.clone());
        }
        bail!(
            "there is no checkout of resctrl in Rust here, and {} is gone: call it in one, or set {VARIABLE}=FOLDER",
            self.built_from.display()
        )
    }
}

fn is_checkout(folder: &Path) -> bool {
    ["Cargo.toml", "xtask/Cargo.toml", "qemu-images/guest/init"].iter().all(|file| folder.join(file).is_file())
}

/// Sees that a checkout is of this program's version: another's may have files that it does not know.
fn check_version(folder: &Path) -> Result<()> {
    let text = fs::read_to_string(folder.join("Cargo.toml"))?;
    let workspace: toml::Table = toml::from_str(&text)?;
    let version = workspace.get("workspace").and_then(|it| it.get("package")?.get("version")?.as_str());
    ensure!(
        version == Some(env!("CARGO_PKG_VERSION")),
        "this rig is of version {}, and {} of {}: install the one that is there (cargo install --path xtask), or use `cargo xtask`",
        env!("CARGO_PKG_VERSION"),
        folder.display(),
        version.unwrap_or("an unknown one")
    );
    Ok(())
}

/// Everything the rig writes, downloads excepted, is below this folder.
///
/// It does not follow CARGO_TARGET_DIR: that may be shared between checkouts, the tool root may not.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// What the kernel's Makefiles, QEMU's options and the shells that are called on the way cannot have in a path.
const HARMFUL: &str = "'\"`:#$%&*?;,<>|\\()[]{}~!";

/// Whether everything can be built and booted below `path`.
///
/// # Errors
///
/// There is a character in it that one of the programs takes for something else.
pub(crate) fn check_path(path: &Path) -> Result<()> {
    let text = path.to_string_lossy();
    let harmful = text.chars().find(|&c| c.is_whitespace() || c.is_control() || HARMFUL.contains(c));
    let Some(harmful) = harmful else { return Ok(()) };
    ensure!(
        harmful == ' ',
        "nothing can be built or booted in `{text}`: make or QEMU take the `{}` in it for something else; move the checkout",
        harmful.escape_default()
    );
    anyhow::bail!(
        "nothing can be built or booted in `{text}`: make takes a space for the end of a name; move the checkout"
    )
}

/// The commit that is checked out, and whether tracked files have changed since, other than the documentation, into which
/// measurements are written. Not all have their sources from a repository.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| git::text(root(), arguments);
    let Ok(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "an unknown commit".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no", "--", ":/", ":!docs"]).as_deref() {
        Ok("") => commit,
        _ => format!("{commit} with changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like a checkout of this version.
    fn checkout(place: &Path, version: &str) {
        for file in ["xtask/Cargo.toml", "qemu-images/guest/init"] {
            fs::create_dir_all(place.join(file).parent().unwrap()).unwrap();
            fs::write(place.join(file), "").unwrap();
        }
        fs::write(place.join("Cargo.toml"), format!("[workspace.package]\nversion = \"{version}\"\n")).unwrap();
    }

    #[test]
    fn a_rig_works_on_the_checkout_that_is_named_or_around_or_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let version = env!("CARGO_PKG_VERSION");
        for name in ["own", "here", "named"] {
            checkout(&place(name), version);
        }
        checkout(&place("old"), "0.0.1");
        fs::create_dir_all(place("here/docs/x")).unwrap();
        let around = |named: Option<&str>, by_cargo, program: &str, current: &str, built_from: &str| {
            Surroundings {
                named: named.map(place),
                by_cargo,
                program: Some(place(program)),
                current: Some(place(current)),
                built_from: place(built_from),
            }
            .checkout()
            .map_err(|error| error.to_string())
        };
        assert_eq!(around(Some("named"), false, "bin", "here", "own"), Ok(place("named")));
        assert_eq!(around(None, true, "elsewhere/xtask", "here", "own"), Ok(place("own")), "cargo runs it");
        assert_eq!(
            around(None, false, "own/target/debug/xtask", "here", "own"),
            Ok(place("own")),
            "it is not installed"
        );
        assert_eq!(around(None, false, "bin", "here/docs/x", "own"), Ok(place("here")));
        assert_eq!(around(None, false, "bin", "", "own"), Ok(place("own")));
        let gone = around(None, false, "bin", "", "gone").unwrap_err();
        assert!(gone.contains("/gone is gone") && gone.contains("RESCTRL_RIG=FOLDER"), "{gone}");
        let none = around(Some("none"), false, "bin", "here", "own").unwrap_err();
        assert!(none.ends_with("/none: this is no checkout of resctrl in Rust"), "{none}");
        let old = around(None, false, "bin", "old", "own").unwrap_err();
        assert!(old.contains("of version") && old.contains("of 0.0.1: install the one that is there"), "{old}");
    }

    #[test]
    fn a_path_that_programs_take_apart_is_refused_with_the_reason() {
        assert!(check_path(root()).is_ok());
        for (path, part) in
            [("/a b", "a space"), ("/it's", "`\\'`"), ("/a:b", "`:`"), ("/a,b", "`,`"), ("/a\tb", "`\\t`")]
        {
            let error = check_path(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("move the checkout"), "{error}");
        }
        assert!(check_path(Path::new("/häuser/a-b_c.d+e@f=g")).is_ok());
    }
}
