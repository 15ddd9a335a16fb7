// SPDX-License-Identifier: GPL-2.0-only
//! Runs programs of a newer distribution than the host's.
//!
//! A program names the dynamic loader it wants by an absolute path, which on the host is the host's
//! loader with the host's C library. Calling the loader that came with the program, with the program
//! as an argument, avoids that without root, namespaces or changes to the program.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::shell::word;

const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
/// Libraries to link programs for arm64 with.
const CROSS_LIBRARIES: &str = "usr/aarch64-linux-gnu/lib";

/// The command that runs `program` with loader and libraries of `tree`.
pub(super) fn command(tree: &Path, program: &Path) -> Vec<OsString> {
    vec![tree.join(LOADER).into(), "--library-path".into(), tree.join(LIBRARIES).into(), program.into()]
}

/// Replaces each dynamically linked program below `folders` of `tree` by a shell script that runs it with
/// loader and libraries of `libraries`; programs that start each other (make, gcc, cc1, objtool) then work
/// unchanged. `more` are folders of it with further libraries. `place` is the path `tree` will be renamed to.
///
/// # Errors
///
/// A file that cannot be read or written.
pub(super) fn wrap_programs(
    tree: &Path,
    place: &Path,
    folders: &[&str],
    libraries: &Path,
    more: &[&str],
) -> Result<()> {
    for folder in folders {
        for program in programs(&tree.join(folder))? {
            let within = program.strip_prefix(tree).context("a program outside its tree")?;
            let name = within.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let real = format!(".{name}.real");
            fs::rename(&program, program.with_file_name(&real))?;
            let text = script(libraries, more, &place.join(within.with_file_name(real)));
            fs::write(&program, text)
                .and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o755)))
                .with_context(|| format!("cannot write {}", program.display()))?;
        }
    }
    Ok(())
}

/// Programs find their data relative to the name they were called by, so that is passed on.
fn script(libraries: &Path, more: &[&str], program: &Path) -> String {
    let folders: Vec<String> = [LIBRARIES].iter().chain(more).map(|folder| quote(&libraries.join(folder))).collect();
    format!(
        "#!/bin/sh\nexec {} --library-path {} --argv0 \"$0\" {} \"$@\"\n",
        quote(&libraries.join(LOADER)),
        folders.join(":"),
        quote(program)
    )
}

fn quote(path: &Path) -> String {
    word(&path.to_string_lossy())
}

/// The executable files below `folder` that need a loader; shared libraries and links are left out.
fn programs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Ok(entries) = folder.read_dir() else { return Ok(found) };
    for entry in entries {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let is_library = entry.file_name().to_string_lossy().contains(".so");
        if kind.is_dir() {
            found.extend(programs(&path)?);
        } else if kind.is_file() && !is_library && entry.metadata()?.permissions().mode() & 0o111 != 0 {
            let data = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            if needs_loader(&data) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Whether this is a 64-bit ELF file that names a loader.
fn needs_loader(data: &[u8]) -> bool {
    let Ok(header) = elf::FileHeader64::<object::Endianness>::parse(data) else { return false };
    let Ok(endian) = header.endian() else { return false };
    header
        .program_headers(endian, data)
        .is_ok_and(|headers| headers.iter().any(|header| header.p_type(endian) == elf::PT_INTERP))
}

/// Corrects the absolute paths in the Makefiles of kernel headers, which assume `/usr/src`.
///
/// # Errors
///
/// A file that cannot be read or written.
pub(super) fn relocate_headers(tree: &Path, place: &Path) -> Result<()> {
    let Ok(entries) = tree.join("usr/src").read_dir() else { return Ok(()) };
    for entry in entries {
        let makefile = entry?.path().join("Makefile");
        let Ok(text) = fs::read_to_string(&makefile) else { continue };
        fs::write(&makefile, relocate(&text, place)).with_context(|| format!("cannot write {}", makefile.display()))?;
    }
    Ok(())
}

/// Corrects the absolute paths in those libraries of the cross compiler that are texts naming other libraries.
///
/// # Errors
///
/// A file that cannot be read or written.
pub(super) fn relocate_linker_scripts(tree: &Path, place: &Path) -> Result<()> {
    let Ok(entries) = tree.join(CROSS_LIBRARIES).read_dir() else { return Ok(()) };
    for entry in entries {
        let library = entry?.path();
        let Ok(text) = fs::read_to_string(&library) else { continue };
        if text.starts_with("/* GNU ld script") {
            let there = place.join(CROSS_LIBRARIES);
            let text = text.replace(&format!("/{CROSS_LIBRARIES}"), &there.to_string_lossy());
            fs::write(&library, text).with_context(|| format!("cannot write {}", library.display()))?;
        }
    }
    Ok(())
}

fn relocate(makefile: &str, place: &Path) -> String {
    let source = place.join("usr/src/linux-headers-");
    makefile.lines().map(|line| line.replace("/usr/src/linux-headers-", &source.to_string_lossy()) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_include_the_common_ones_from_the_tool_root() {
        let text = "KBUILD_OUTPUT=/usr/src/linux-headers-7-amd64\ninclude /usr/src/linux-headers-7-common/Makefile\n";
        assert_eq!(
            relocate(text, Path::new("/w/k")),
            "KBUILD_OUTPUT=/w/k/usr/src/linux-headers-7-amd64\ninclude /w/k/usr/src/linux-headers-7-common/Makefile\n"
        );
    }

    #[test]
    fn a_library_that_names_others_names_those_of_the_tool_root() {
        let tree = tempfile::tempdir().expect("a folder");
        let folder = tree.path().join(CROSS_LIBRARIES);
        fs::create_dir_all(&folder).expect("created");
        let script = "/* GNU ld script\n*/\nGROUP ( /usr/aarch64-linux-gnu/lib/libm-2.41.a )\n";
        fs::write(folder.join("libm.a"), script).expect("written");
        fs::write(folder.join("libc.a"), b"!<arch>\n\xff").expect("written");
        relocate_linker_scripts(tree.path(), Path::new("/w/c")).expect("writable");
        let text = fs::read_to_string(folder.join("libm.a")).expect("there");
        assert_eq!(text, script.replace("/usr/", "/w/c/usr/"));
    }

    #[test]
    fn only_programs_that_need_a_loader_are_wrapped() {
        let this = fs::read(std::env::current_exe().expect("a program")).expect("readable");
        assert!(needs_loader(&this));
        assert!(!needs_loader(b"#!/bin/sh\n"));
        assert!(!needs_loader(&this[..40]));
    }

    #[test]
    fn a_path_with_a_quote_stays_one_word_of_the_shell() {
        assert_eq!(quote(Path::new("/it's")), r"'/it'\''s'");
    }
}
