// SPDX-License-Identifier: GPL-2.0-only
//! Whether a guest can run the user's program: looked at before anything is built or booted.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

use crate::guest::visit::root::Root;
use crate::kernels::Arch;

/// What interpreters are called and the Debian package that has them.
const PACKAGES: &[(&str, &str)] = &[
    ("python3", "python3"),
    ("bash", "bash"),
    ("perl", "perl-base"),
    ("node", "nodejs"),
    ("ruby", "ruby"),
    ("lua", "lua5.4"),
];

/// Folders in which the loader of Debian's programs looks for libraries; its own for the instruction set comes first.
const LIBRARIES: &[&str] = &["usr/lib", "lib", "usr/local/lib", "lib64", "usr/lib64"];

/// Where a program is to run.
pub(super) struct Place<'a> {
    /// Name of the machine, for messages.
    pub(super) machine: &'a str,
    pub(super) arch: Arch,
    /// The user's root file system.
    pub(super) root: Option<&'a Root>,
    /// The program of busybox, which has the names of all it can do in it.
    pub(super) busybox: &'a Path,
}

impl Place<'_> {
    /// Says why the program cannot run there, if it is known.
    ///
    /// # Errors
    ///
    /// It is for another instruction set, lacks its interpreter, loader or libraries there, or cannot be read.
    pub(super) fn check(&self, program: &Path) -> Result<()> {
        let flag = format!("--script {}", program.display());
        ensure!(program.exists(), "{flag}: no such file");
        ensure!(program.is_file(), "{flag}: it is no file");
        let data = fs::read(program).with_context(|| format!("{flag}: cannot read it"))?;
        ensure!(!data.is_empty(), "{flag}: it is empty");
        if data.starts_with(&elf::ELFMAG) {
            return self.check_elf(&flag, &data);
        }
        match data.strip_prefix(b"#!") {
            Some(rest) => self.check_interpreter(&flag, rest.split(|&byte| byte == b'\n').next().unwrap_or_default()),
            None => Ok(()),
        }
    }

    fn check_interpreter(&self, flag: &str, line: &[u8]) -> Result<()> {
        let line = String::from_utf8_lossy(line);
        ensure!(
            !line.ends_with('\r'),
            "{flag}: its first line ends with a carriage return, as in files from Windows, which becomes part of the \
             interpreter's name; remove them (sed -i 's/\\r$//')"
        );
        let mut words = line.split_ascii_whitespace();
        let interpreter = words.next().with_context(|| format!("{flag}: its first line names no interpreter"))?;
        self.check_program(flag, interpreter)?;
        // What `env` looks for, `env -S` too.
        if interpreter.ends_with("/env")
            && let Some(name) = words.find(|word| !word.starts_with('-') && !word.contains('='))
        {
            self.check_program(flag, name)?;
        }
        Ok(())
    }

    /// Looks for an interpreter by its path, or in the usual places if it is a name.
    fn check_program(&self, flag: &str, path: &str) -> Result<()> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let package = PACKAGES.iter().find(|(known, _)| name == *known).map_or("PACKAGE", |(_, package)| package);
        match self.root {
            None => {
                let in_place = !path.contains('/')
                    || ["/bin/", "/usr/bin/"].iter().any(|folder| path == format!("{folder}{name}"));
                ensure!(
                    in_place && self.has_applet(name)?,
                    "{flag}: its interpreter {path} is not in the guest, which has busybox (/bin/sh) alone; `--root debian \
                     --package {package}` puts one there, `--root DIR` a root file system of yours"
                );
            }
            Some(Root::Folder(root)) => {
                let usual = ["/usr/local/bin/", "/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"]
                    .map(|folder| format!("{folder}{name}"));
                let found = if path.contains('/') {
                    resolve(root, path)
                } else {
                    usual.iter().find_map(|path| resolve(root, path))
                };
                // What a root lacks of these, busybox stands in for.
                let everywhere = ["/bin/sh", "/usr/bin/sh", "/bin/env", "/usr/bin/env"].contains(&path);
                let stands_in = everywhere || !path.contains('/') && self.has_applet(name)?;
                ensure!(
                    found.is_some() || stands_in,
                    "{flag}: its interpreter {path} is not in the root file system {}; add it with --package {package} \
                     (--root debian), or to your folder",
                    root.display()
                );
            }
            // It is not looked into.
            Some(Root::Image { .. }) => {}
        }
        Ok(())
    }

    /// Whether busybox has an applet of this name: their names are in its program, one after the other.
    fn has_applet(&self, name: &str) -> Result<bool> {
        let program =
            fs::read(self.busybox).with_context(|| format!("cannot read busybox, {}", self.busybox.display()))?;
        let wanted = [b"\0", name.as_bytes(), b"\0"].concat();
        Ok(program.windows(wanted.len()).any(|window| window == wanted))
    }

    fn check_elf(&self, flag: &str, data: &[u8]) -> Result<()> {
        let needs = Needs::of(data).with_context(|| format!("{flag}: it is a damaged program"))?;
        let Some(arch) = needs.arch else {
            bail!(
                "{flag}: it is a program for another instruction set than {}, that of machine {}",
                self.arch,
                self.machine
            );
        };
        ensure!(arch == self.arch, "{flag}: it is a program for {arch}; machine {} is for {}", self.machine, self.arch);
        let Some(loader) = &needs.loader else { return Ok(()) };
        let libraries = needs.libraries.join(", ");
        match self.root {
            None => bail!(
                "{flag}: it is linked dynamically and needs the loader {loader} and {libraries}; the guest has no libraries. \
                 `--root debian` (with --package for what is not the C library's) or `--root DIR` brings them, or link it \
                 statically (musl, -static, -Ctarget-feature=+crt-static, CGO_ENABLED=0)"
            ),
            Some(Root::Image { .. }) => Ok(()),
            Some(Root::Folder(root)) => {
                let mut missing: Vec<&str> = Vec::new();
                if resolve(root, loader).is_none() {
                    missing.push(loader);
                }
                let own = format!("usr/lib/{}", triplet(self.arch));
                let has = |library: &str| {
                    [own.as_str()]
                        .iter()
                        .chain(LIBRARIES)
                        .any(|folder| resolve(root, &format!("/{folder}/{library}")).is_some())
                };
                // With a path of its own, a program may have them anywhere.
                let anywhere = needs.has_path;
                missing.extend(needs.libraries.iter().map(String::as_str).filter(|library| !anywhere && !has(library)));
                ensure!(
                    missing.is_empty(),
                    "{flag}: the root file system {} lacks what it is linked with: {}; add the packages that have them with \
                     --package (--root debian), or copy them to your folder",
                    root.display(),
                    missing.join(", ")
                );
                Ok(())
            }
        }
    }
}

/// Debian's name of an instruction set, in the names of folders.
pub(super) const fn triplet(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64-linux-gnu",
        Arch::Arm64 => "aarch64-linux-gnu",
    }
}

/// What a program says that it needs.
#[derive(Debug, Default)]
struct Needs {
    arch: Option<Arch>,
    loader: Option<String>,
    libraries: Vec<String>,
    has_path: bool,
}

impl Needs {
    fn of(data: &[u8]) -> Result<Self> {
        let Ok(header) = elf::FileHeader64::<object::Endianness>::parse(data) else { return Ok(Self::default()) };
        let endian = header.endian()?;
        let arch = match header.e_machine(endian) {
            elf::EM_X86_64 => Arch::Amd64,
            elf::EM_AARCH64 => Arch::Arm64,
            _ => return Ok(Self::default()),
        };
        let mut needs = Self { arch: Some(arch), ..Self::default() };
        let segments = header.program_headers(endian, data)?;
        for segment in segments {
            if let Ok(Some(loader)) = segment.interpreter(endian, data) {
                needs.loader = Some(String::from_utf8_lossy(loader).into_owned());
            }
        }
        for segment in segments {
            let Ok(Some(entries)) = segment.dynamic(endian, data) else { continue };
            let value =
                |tag| entries.iter().find(|entry| entry.tag32(endian) == Some(tag)).map(|entry| entry.d_val(endian));
            needs.has_path = value(elf::DT_RUNPATH).or(value(elf::DT_RPATH)).is_some();
            let Some(table) = value(elf::DT_STRTAB) else { continue };
            let needed = entries.iter().filter(|entry| entry.tag32(endian) == Some(elf::DT_NEEDED));
            needs.libraries.extend(
                needed.filter_map(|entry| text_at(data, segments, endian, table.checked_add(entry.d_val(endian))?)),
            );
        }
        Ok(needs)
    }
}

/// The text at an address, from what is loaded there.
fn text_at(
    data: &[u8],
    segments: &[elf::ProgramHeader64<object::Endianness>],
    endian: object::Endianness,
    address: u64,
) -> Option<String> {
    let offset = segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD).find_map(|segment| {
        let within = address.checked_sub(segment.p_vaddr(endian))?;
        (within < segment.p_filesz(endian)).then(|| segment.p_offset(endian).checked_add(within))?
    })?;
    let rest = data.get(usize::try_from(offset).ok()?..)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// The file that `path` is in the root file system `root`, with symbolic links taken as the guest takes them.
fn resolve(root: &Path, path: &str) -> Option<PathBuf> {
    let mut place = PathBuf::new();
    let mut rest: Vec<PathBuf> = vec![PathBuf::from(path)];
    let mut links = 0;
    while let Some(part) = rest.pop() {
        for (number, component) in part.components().enumerate() {
            match component {
                Component::RootDir | Component::Prefix(_) => place = PathBuf::new(),
                Component::CurDir => {}
                Component::ParentDir => {
                    place.pop();
                }
                Component::Normal(name) => {
                    let next = place.join(name);
                    if let Ok(target) = fs::read_link(root.join(&next)) {
                        links += 1;
                        if links > 40 {
                            return None;
                        }
                        let after: PathBuf = part.components().skip(number + 1).collect();
                        if !after.as_os_str().is_empty() {
                            rest.push(after);
                        }
                        rest.push(target);
                        break;
                    }
                    place = next;
                }
            }
        }
    }
    let file = root.join(place);
    file.exists().then_some(file)
}

#[cfg(test)]
mod tests;
