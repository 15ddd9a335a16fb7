// SPDX-License-Identifier: GPL-2.0-only
//! A folder of the tool root, unpacked from packages.
//!
//! A component is complete or absent: it is unpacked beside its place and renamed into it last,
//! with a stamp inside that says what it was made from. Whatever else is found there, after Ctrl-C
//! or a full disk, is removed by the next run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::{database, loader};
use crate::apt::{Apt, Cache, Package, Wanted};
use crate::kernels::{Arch, Kernel};
use crate::{files, progress};

/// Raise when the way components are made changes, so that they are made anew.
const LAYOUT: u32 = 1;

const PARTIAL: &str = ".partial-";

/// What is to be in a folder of the tool root.
#[derive(Debug)]
pub(crate) struct Component {
    name: String,
    content: Content,
    /// Instruction set of the packages.
    arch: Arch,
    /// Unpack only files below this folder of the package.
    only: Option<String>,
    /// Folders whose programs are to run through the loader of a component, and that component.
    loader: Option<(&'static [&'static str], &'static str)>,
    /// Folders of that component with more libraries than those that all of its programs have.
    libraries: &'static [&'static str],
    /// dpkg's database comes with the packages.
    database: bool,
}

#[derive(Debug)]
enum Content {
    /// These packages and all they depend on.
    Closure(Vec<String>),
    /// The newest version in any suite of the one package whose version has this prefix, alone; `otherwise` says
    /// what a user can do if there is none.
    Version { package: String, prefix: String, otherwise: &'static str },
    /// The newest release of a kernel, its packages alone: their dependencies are no part of a guest and of no use on
    /// the host.
    Kernel(Box<Kernel>),
}

/// What a component was made from; the file `stamp.toml` in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    layout: u32,
    /// Where the component was made for: programs in it know the path.
    place: PathBuf,
    request: String,
    /// Release, for a kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) release: Option<String>,
    packages: Vec<String>,
}

impl Stamp {
    /// The file name of `package` with its version.
    pub(crate) fn package(&self, package: &str) -> Option<&str> {
        let prefix = format!("{package}_");
        self.packages.iter().map(String::as_str).find(|file| file.starts_with(&prefix))
    }
}

/// The packages that a component is made from.
#[derive(Debug)]
pub(crate) struct Resolved<'a> {
    parts: Vec<(&'a Apt, Wanted, Vec<Package>)>,
    /// Of a kernel.
    release: Option<String>,
}

impl<'a> Resolved<'a> {
    /// All of them, with where they are.
    pub(crate) fn packages(&self) -> impl Iterator<Item = (&'a Apt, &Package)> {
        self.parts.iter().flat_map(|&(apt, _, ref packages)| packages.iter().map(move |package| (apt, package)))
    }
}

impl Component {
    /// A folder `name` with `packages` and what they depend on.
    pub(crate) fn packages(name: &str, packages: &[&str]) -> Self {
        let packages = packages.iter().map(|&package| package.to_owned()).collect();
        Self::new(name, Content::Closure(packages))
    }

    /// A folder `name` with the files below `only` of the newest `package` of version `prefix`.
    /// If no mirror has such a version, `otherwise` is what the user is told to do.
    pub(crate) fn version(name: &str, package: &str, prefix: &str, only: &str, otherwise: &'static str) -> Self {
        let content = Content::Version { package: package.to_owned(), prefix: prefix.to_owned(), otherwise };
        Self { only: Some(only.to_owned()), ..Self::new(name, content) }
    }

    /// The same with packages of another instruction set than the host's.
    pub(crate) fn of_arch(self, arch: Arch) -> Self {
        Self { arch, ..self }
    }

    /// A folder `name` with the newest release of `kernel`.
    pub(crate) fn kernel(name: &str, kernel: &Kernel) -> Self {
        Self::new(name, Content::Kernel(Box::new(kernel.clone()))).of_arch(kernel.arch)
    }

    /// Has dpkg's database of the packages in the folder.
    pub(crate) fn with_database(self) -> Self {
        Self { database: true, ..self }
    }

    fn new(name: &str, content: Content) -> Self {
        let (arch, name) = (Arch::Amd64, name.to_owned());
        Self { name, content, arch, only: None, loader: None, libraries: &[], database: false }
    }

    /// Has the programs below `folders` run through the loader and libraries of the component `from`.
    pub(crate) fn with_loader(self, folders: &'static [&'static str], from: &'static str) -> Self {
        Self { loader: Some((folders, from)), ..self }
    }

    /// Has those programs find libraries in these folders, too: packages that have some for themselves name them by absolute paths.
    pub(crate) fn with_libraries(self, libraries: &'static [&'static str]) -> Self {
        Self { libraries, ..self }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The suite that is needed beyond those of the tools.
    pub(crate) fn suite(&self) -> Option<&str> {
        match &self.content {
            Content::Kernel(kernel) => Some(&kernel.suite),
            _ => None,
        }
    }

    fn place(&self) -> PathBuf {
        super::folder(&self.name)
    }

    /// The stamp of the installed component, if it is there and made from what is asked for now.
    pub(crate) fn installed(&self) -> Option<Stamp> {
        let text = fs::read_to_string(self.place().join("stamp.toml")).ok()?;
        let stamp: Stamp = toml::from_str(&text).ok()?;
        self.matches(&stamp, &self.place()).then_some(stamp)
    }

    fn matches(&self, stamp: &Stamp, place: &Path) -> bool {
        stamp.layout == LAYOUT && stamp.place == place && stamp.request == self.request()
    }

    /// All that decides on the content, as text.
    fn request(&self) -> String {
        let content = match &self.content {
            Content::Closure(packages) => packages.join(" "),
            Content::Version { package, prefix, .. } => format!("{package}={prefix}*"),
            Content::Kernel(kernel) => {
                let packages = [&kernel.packages[..], &kernel.host_packages].concat();
                format!("{}/{} {}", kernel.suite, kernel.release, packages.join(" "))
            }
        };
        let arch = if self.arch == Arch::Amd64 { "" } else { "arm64: " };
        let database = if self.database { " database" } else { "" };
        let libraries =
            if self.libraries.is_empty() { String::new() } else { format!(" libraries={:?}", self.libraries) };
        format!("{arch}{content} only={:?} loader={:?}{libraries}{database}", self.only, self.loader)
    }

    /// What it would be made from now.
    ///
    /// # Errors
    ///
    /// No such package, release or version; package lists that cannot be had.
    pub(crate) fn resolve<'a>(&self, cache: &'a Cache) -> Result<Resolved<'a>> {
        let own = cache.packages(self.arch)?;
        let (wanted, release) = self.wanted(own)?;
        let mut wanted = vec![(own, wanted)];
        if let (Content::Kernel(kernel), Some(release)) = (&self.content, &release) {
            let tools = Wanted { packages: kernel.host_packages_of(release), closure: false };
            if !tools.packages.is_empty() {
                wanted.push((cache.packages(Arch::Amd64)?, tools));
            }
        }
        let parts =
            wanted.into_iter().map(|(apt, wanted)| apt.resolve(&wanted).map(|packages| (apt, wanted, packages)));
        Ok(Resolved { parts: parts.collect::<Result<_>>()?, release })
    }

    /// Fetches and unpacks the component; keeps the installed one if that is what would come out.
    pub(crate) fn install(&self, resolved: &Resolved<'_>) -> Result<()> {
        let stamp = Stamp {
            layout: LAYOUT,
            place: self.place(),
            request: self.request(),
            release: resolved.release.clone(),
            packages: resolved.packages().map(|(_, package)| package.file.clone()).collect(),
        };
        if self.installed().as_ref() == Some(&stamp) {
            return Ok(());
        }
        for (apt, wanted, packages) in &resolved.parts {
            apt.fetch(&self.name, wanted, packages)?;
        }
        let archives: Vec<PathBuf> = resolved.packages().map(|(apt, package)| apt.archive(package)).collect();
        let result = self.unpack(&archives, &stamp);
        if result.is_err() {
            // What is half unpacked may be what fills the disk; the first error is the one to report.
            let _ = files::remove(&self.partial());
        }
        result
    }

    fn partial(&self) -> PathBuf {
        super::folder(&format!("{PARTIAL}{}", self.name))
    }

    /// What to fetch from the component's own packages, and the release if this is a kernel.
    fn wanted(&self, apt: &Apt) -> Result<(Wanted, Option<String>)> {
        let alone = |packages| Wanted { packages, closure: false };
        match &self.content {
            Content::Closure(packages) => Ok((Wanted { packages: packages.clone(), closure: true }, None)),
            Content::Version { package, prefix, otherwise } => {
                let available = apt.available(package)?;
                let newest = available
                    .iter()
                    .filter(|found| found.name == *package && found.version.starts_with(prefix.as_str()))
                    .max_by(|a, b| crate::apt::compare_versions(&a.version, &b.version))
                    .with_context(|| format!("the mirror has no {package} {prefix}; {otherwise}"))?;
                Ok((alone(vec![format!("{package}={}", newest.version)]), None))
            }
            Content::Kernel(kernel) => {
                let available = apt.available(kernel.package_prefix())?;
                let Some(release) = kernel.newest_release(&available)? else {
                    bail!("{} has no kernel release that matches {}", kernel.suite, kernel.release);
                };
                Ok((alone(kernel.packages_of(&release)), Some(release)))
            }
        }
    }

    fn unpack(&self, archives: &[PathBuf], stamp: &Stamp) -> Result<()> {
        let place = self.place();
        let partial = self.partial();
        files::remove(&partial)?;
        fs::create_dir_all(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
        let bar = progress::count(&format!("{}: unpacking", self.name), archives.len());
        for archive in archives {
            unpack_package(archive, &partial, self.only.as_deref())?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        if let Some((folders, from)) = self.loader {
            loader::wrap_programs(&partial, &place, folders, &super::folder(from), self.libraries)?;
            loader::relocate_headers(&partial, &place)?;
            loader::relocate_linker_scripts(&partial, &place)?;
        }
        if self.database {
            database::record(&partial, archives)?;
        }
        let text = toml::to_string(stamp).context("cannot write the stamp")?;
        fs::write(partial.join("stamp.toml"), text).context("cannot write the stamp")?;
        if place.exists() {
            // A rename cannot replace a folder that has files; programs that still run from the old
            // one keep their open files.
            let old = super::folder(&format!("{PARTIAL}old-{}", self.name));
            files::remove(&old)?;
            fs::rename(&place, &old).with_context(|| format!("cannot move {} away", place.display()))?;
            files::remove(&old)?;
        }
        fs::rename(&partial, &place).with_context(|| format!("cannot move {} into place", partial.display()))
    }
}

/// Removes what runs that were interrupted left in `root`. The tool root's lock must be held.
pub(crate) fn remove_leftovers(root: &Path) -> Result<()> {
    for entry in root.read_dir().with_context(|| format!("cannot read {}", root.display()))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            files::remove(&entry.path())?;
        }
    }
    Ok(())
}

fn unpack_package(archive: &Path, into: &Path, only: Option<&str>) -> Result<()> {
    let command = match only {
        None => duct::cmd!("dpkg-deb", "--extract", archive, into),
        Some(folder) => duct::cmd!("dpkg-deb", "--fsys-tarfile", archive).pipe(duct::cmd!(
            "tar",
            "--extract",
            "--no-same-owner",
            "--directory",
            into,
            format!("./{folder}")
        )),
    };
    let output = command.env("LC_ALL", "C").stderr_capture().unchecked().run()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if stderr.contains("No space left on device") || stderr.contains("Disk quota exceeded") {
        bail!("the disk of {} is full", into.display());
    }
    bail!("cannot unpack {}: {}", archive.display(), stderr.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(component: &Component, place: &str) -> Stamp {
        Stamp {
            layout: LAYOUT,
            place: place.into(),
            request: component.request(),
            release: None,
            packages: vec!["make_4.4_amd64.deb".into()],
        }
    }

    #[test]
    fn a_stamp_survives_being_written_and_read() {
        let component = Component::packages("compiler", &["make"]);
        let stamp = stamp(&component, "/a");
        let text = toml::to_string(&stamp).expect("it is plain data");
        assert_eq!(toml::from_str::<Stamp>(&text).expect("just written"), stamp);
    }

    #[test]
    fn a_component_made_from_another_request_or_for_another_place_is_stale() {
        let component = Component::packages("compiler", &["make"]);
        let good = stamp(&component, "/a");
        assert!(component.matches(&good, Path::new("/a")));
        assert!(!component.matches(&good, Path::new("/b")));
        let more = Component::packages("compiler", &["make", "gcc-14"]);
        assert!(!more.matches(&good, Path::new("/a")));
        let wrapped = Component::packages("compiler", &["make"]).with_loader(&["usr/bin"], "compiler");
        assert!(!wrapped.matches(&good, Path::new("/a")));
        let more = Component::packages("compiler", &["make"]).with_libraries(&["usr/lib/x"]);
        assert!(!more.matches(&good, Path::new("/a")));
        assert!(!component.matches(&Stamp { layout: LAYOUT + 1, ..good }, Path::new("/a")));
    }

    #[test]
    fn leftovers_of_interrupted_runs_go_and_nothing_else() {
        let root = tempfile::tempdir().expect("a folder");
        for name in [".partial-qemu/usr", ".partial-old-qemu/usr", "qemu/usr"] {
            fs::create_dir_all(root.path().join(name)).expect("created");
        }
        remove_leftovers(root.path()).expect("removable");
        let left: Vec<_> = root.path().read_dir().expect("readable").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["qemu"]);
    }

    #[test]
    fn a_file_that_is_no_package_is_named_in_the_error() {
        let root = tempfile::tempdir().expect("a folder");
        let archive = root.path().join("broken.deb");
        fs::write(&archive, "no package").expect("written");
        let error = unpack_package(&archive, root.path(), None).expect_err("broken").to_string();
        assert!(error.contains("broken.deb"), "{error}");
    }
}
