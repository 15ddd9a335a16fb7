// SPDX-License-Identifier: GPL-2.0-only
//! Debian packages without a Debian system: apt with a state of its own.
//!
//! apt resolves dependencies, resumes downloads, checks hashes and signatures; all of that is used
//! as it is, only pointed away from the host: own sources, own package lists, an empty list of
//! installed packages. Nothing on the host is read but its proxy settings, nothing is changed.
//!
//! The state and the downloads live in a cache folder shared between checkouts, under one lock. Each
//! instruction set has a state of its own: its package lists are only fetched when they are needed.

mod listing;

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::kernels::Arch;
use crate::progress;
pub(crate) use listing::{Available, Package, compare_versions};

/// Where packages come from unless the user says otherwise.
pub(crate) const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// The release whose libraries and compiler are used, and its backports: QEMU and guest kernels.
const SUITES: [&str; 2] = ["trixie", "trixie-backports"];

/// Packages taken from backports although the release has them.
const FROM_BACKPORTS: &str = "qemu-* seabios ipxe-qemu";

/// The key that signs both suites: "Debian Archive Automatic Signing Key (13/trixie)", fingerprint
/// 04B5 4C3C DCA7 9751 B16B C6B5 2256 29DF 75B1 88BD (https://ftp-master.debian.org/keys.html).
///
/// It is part of this repository because a host that is not Debian has no keyring to check Debian's
/// signatures with, and a key fetched over the network would have to be trusted blindly.
const ARCHIVE_KEY: &str = include_str!("apt/debian-archive-trixie-automatic.asc");

/// A cache folder, held under its lock: downloads, and apt's state for each instruction set.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    mirror: String,
    /// Read in addition to the ones the tools come from.
    suites: Vec<String>,
    offline: bool,
    amd64: OnceCell<Apt>,
    arm64: OnceCell<Apt>,
    // Released, with the file closed, when this value goes.
    _lock: File,
}

impl Cache {
    /// Takes the cache folder, waiting while another process holds it; makes it if need be.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or locked.
    pub(crate) fn open(folder: &Path, mirror: &str, suites: &[&str], offline: bool) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create the cache folder {}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            mirror: mirror.trim_end_matches('/').to_owned(),
            suites: suites.iter().map(|&suite| suite.to_owned()).collect(),
            offline,
            amd64: OnceCell::new(),
            arm64: OnceCell::new(),
            _lock: lock(&folder.join("lock"))?,
        })
    }

    /// The packages of `arch`. The first call fetches the current package lists, unless offline.
    ///
    /// # Errors
    ///
    /// No apt on this host, an unusable cache folder, or no package lists: offline and never fetched,
    /// or not reachable.
    pub(crate) fn packages(&self, arch: Arch) -> Result<&Apt> {
        let place = match arch {
            Arch::Amd64 => &self.amd64,
            Arch::Arm64 => &self.arm64,
        };
        if let Some(apt) = place.get() {
            return Ok(apt);
        }
        let apt = Apt::open(self, arch)?;
        Ok(place.get_or_init(|| apt))
    }
}

/// Private apt state for the packages of one instruction set.
#[derive(Debug)]
pub(crate) struct Apt {
    state: PathBuf,
    archives: PathBuf,
    arch: Arch,
    mirror: String,
    offline: bool,
}

/// Packages to fetch.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Each is `name` or `name=version`.
    pub(crate) packages: Vec<String>,
    /// What they depend on comes along.
    pub(crate) closure: bool,
}

impl Wanted {
    /// The command of apt-get that fetches them, with its arguments.
    fn command(&self) -> Vec<&str> {
        let command: &[&str] =
            if self.closure { &["--download-only", "--no-install-recommends", "install"] } else { &["download"] };
        command.iter().copied().chain(self.packages.iter().map(String::as_str)).collect()
    }
}

impl Apt {
    fn open(cache: &Cache, arch: Arch) -> Result<Self> {
        let state = cache.folder.join(match arch {
            Arch::Amd64 => "apt",
            Arch::Arm64 => "apt-arm64",
        });
        let archives = cache.folder.join("archives");
        for folder in [
            state.join("lists/partial"),
            state.join("etc/apt.conf.d"),
            state.join("etc/preferences.d"),
            state.join("etc/sources.list.d"),
            state.join("none/partial"),
            archives.join("partial"),
        ] {
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create the cache folder {}", folder.display()))?;
        }
        let apt = Self { state, archives, arch, mirror: cache.mirror.clone(), offline: cache.offline };
        let suites: Vec<&str> = cache.suites.iter().map(String::as_str).collect();
        apt.configure(&suites)?;
        apt.update()?;
        Ok(apt)
    }

    fn configure(&self, extra_suites: &[&str]) -> Result<()> {
        let mut suites = SUITES.to_vec();
        suites.extend(extra_suites.iter().filter(|suite| !SUITES.contains(suite)));
        let state = self.state.display();
        let files = [
            ("apt.conf", format!("{}{}", configuration(&state.to_string(), &self.archives, self.arch), host_proxies())),
            ("status", String::new()),
            ("etc/sources.list.d/debian.sources", sources(&self.mirror, &suites, self.arch)),
            ("etc/preferences", preferences(extra_suites)),
        ];
        for (name, text) in files {
            let path = self.state.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn update(&self) -> Result<()> {
        let have_lists = self.lists_present();
        if self.offline {
            if have_lists {
                return Ok(());
            }
            bail!(
                "offline, and no package lists of {} for {} are in {}; run `cargo xtask setup --arch {}` once with a \
                 network",
                self.mirror,
                self.arch,
                self.state.display(),
                self.arch
            );
        }
        let spinner = progress::spinner(&format!("fetching package lists ({})", self.arch));
        let result = self.get(&["-qq", "-oAPT::Update::Error-Mode=any", "update"]);
        spinner.finish_and_clear();
        match result {
            Ok(_) if self.lists_present() => Ok(()),
            Ok(_) => bail!("{} has no package lists for {}", self.mirror, SUITES.join(", ")),
            Err(error) if have_lists => {
                eprintln!("warning: using the package lists of an earlier run: {error:#}");
                Ok(())
            }
            Err(error) => Err(error.context(format!(
                "cannot fetch the package lists from {} (--mirror URL takes another mirror)",
                self.mirror
            ))),
        }
    }

    fn lists_present(&self) -> bool {
        // apt names a list after its address: host, then path with `_` for `/`.
        let prefix = self.mirror.split("://").last().unwrap_or_default().replace('/', "_");
        let Ok(entries) = fs::read_dir(self.state.join("lists")) else { return false };
        let names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        SUITES.iter().all(|suite| {
            let list = format!("{prefix}_dists_{suite}_main_");
            names.iter().any(|name| name.starts_with(&list) && name.contains("_Packages"))
        })
    }

    /// All versions of all packages whose name starts with `prefix`.
    pub(crate) fn available(&self, prefix: &str) -> Result<Vec<Available>> {
        let names = self.cache_tool(&["pkgnames", prefix])?;
        let mut arguments = vec!["madison"];
        arguments.extend(names.lines());
        if arguments.len() == 1 {
            return Ok(Vec::new());
        }
        Ok(listing::parse_madison(&self.cache_tool(&arguments)?))
    }

    /// The packages to unpack for `wanted`.
    ///
    /// # Errors
    ///
    /// A package that does not exist, or dependencies that cannot be met.
    pub(crate) fn resolve(&self, wanted: &Wanted) -> Result<Vec<Package>> {
        // With an empty archive folder (for `download`, the one it runs in) apt prints all packages, not only those
        // yet to be fetched.
        let none = self.state.join("none");
        let archives = format!("-oDir::Cache::archives={}", none.display());
        let mut arguments = vec!["-qq", "--print-uris", &archives];
        arguments.extend(wanted.command());
        let packages = listing::parse_uris(&self.run("apt-get", &arguments, &none, || ())?)?;
        match wanted.packages.iter().find(|wanted| !packages.iter().any(|package| package.is(wanted))) {
            Some(missing) => bail!("apt-get names no file for {missing}"),
            None => Ok(packages),
        }
    }

    /// Fetches what [`Apt::resolve`] returned for `wanted`, as far as it is not in the cache already.
    ///
    /// # Errors
    ///
    /// Offline and something is missing (the message lists it), a failed download, a full disk.
    pub(crate) fn fetch(&self, what: &str, wanted: &Wanted, packages: &[Package]) -> Result<()> {
        let cached: Vec<&Package> = packages.iter().filter(|package| self.is_cached(package)).collect();
        let damaged = self.remove_damaged(&cached)?;
        if !damaged.is_empty() {
            eprintln!("warning: removed damaged packages from {}: {}", self.archives.display(), damaged.join(", "));
        }
        let missing: Vec<&Package> = packages.iter().filter(|package| !self.is_cached(package)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let size: u64 = missing.iter().map(|package| package.size).sum();
        if self.offline {
            let list: Vec<String> = missing.iter().map(ToString::to_string).collect();
            bail!("offline, and what {what} needs is not in {}: {}", self.archives.display(), list.join(", "));
        }
        let label = format!(
            "{what}: fetching {} package{}, {}",
            missing.len(),
            if missing.len() == 1 { "" } else { "s" },
            indicatif::HumanBytes(size)
        );
        let bar = progress::bytes(&label, size);
        let arrived = || missing.iter().map(|package| self.arrived(package)).sum();
        let mut arguments = vec!["-qq", "-y"];
        arguments.extend(wanted.command());
        let result = self.get_while(&arguments, || bar.set_position(arrived()));
        bar.finish_and_clear();
        result.with_context(|| format!("cannot fetch the packages for {what} from {}", self.mirror))?;
        let damaged = self.remove_damaged(&missing)?;
        if damaged.is_empty() {
            return Ok(());
        }
        bail!("{} sent packages that differ from its signed list: {}", self.mirror, damaged.join(", "))
    }

    /// Path of a fetched package.
    pub(crate) fn archive(&self, package: &Package) -> PathBuf {
        self.archives.join(&package.file)
    }

    /// Whether it was fetched before.
    pub(crate) fn is_cached(&self, package: &Package) -> bool {
        fs::metadata(self.archive(package)).is_ok_and(|file| file.len() == package.size)
    }

    fn arrived(&self, package: &Package) -> u64 {
        [self.archive(package), self.archives.join("partial").join(&package.file)]
            .iter()
            .find_map(|path| fs::metadata(path).ok())
            .map_or(0, |file| file.len())
    }

    /// Checks each package against the hash in the signed list, so that damage to the cache folder is noticed
    /// before anything is unpacked, and removes those that differ; returns their names.
    fn remove_damaged(&self, packages: &[&Package]) -> Result<Vec<String>> {
        let list: String = packages.iter().map(|package| format!("{}  {}\n", package.sha256, package.file)).collect();
        if list.is_empty() {
            return Ok(Vec::new());
        }
        let output = duct::cmd!("sha256sum", "--check", "--quiet", "--strict", "-")
            .dir(&self.archives)
            .env("LC_ALL", "C")
            .stdin_bytes(list)
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .run()
            .context("cannot run sha256sum")?;
        if output.status.success() {
            return Ok(Vec::new());
        }
        let damaged = listing::failed_checksums(&String::from_utf8_lossy(&output.stdout));
        if damaged.is_empty() {
            bail!("sha256sum: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        for file in &damaged {
            match fs::remove_file(self.archives.join(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove the damaged {file}"));
                }
                _ => {}
            }
        }
        Ok(damaged)
    }

    fn get(&self, arguments: &[&str]) -> Result<String> {
        self.get_while(arguments, || ())
    }

    /// Runs apt-get, calling `tick` a few times a second until it ends.
    fn get_while(&self, arguments: &[&str], tick: impl Fn()) -> Result<String> {
        self.run("apt-get", arguments, &self.archives, tick)
    }

    fn cache_tool(&self, arguments: &[&str]) -> Result<String> {
        self.run("apt-cache", arguments, &self.archives, || ())
    }

    /// Runs an apt tool in `folder`, which is where `apt-get download` leaves the packages.
    fn run(&self, program: &str, arguments: &[&str], folder: &Path, tick: impl Fn()) -> Result<String> {
        let handle = duct::cmd(program, arguments)
            .dir(folder)
            .env("APT_CONFIG", self.state.join("apt.conf"))
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin_null()
            .stdout_capture()
            .stderr_capture()
            .unchecked()
            .start()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => anyhow::anyhow!(
                    "`{program}` is not on this machine; the tools come from Debian packages and need apt"
                ),
                _ => anyhow::Error::new(error).context(format!("cannot run {program}")),
            })?;
        while handle.wait_timeout(Duration::from_millis(100))?.is_none() {
            tick();
        }
        let output = handle.wait()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{}", listing::explain(program, &stderr, &self.archives))
    }
}

/// Takes the lock at `path`, waiting for whoever holds it; it is released when the file is closed.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another run that holds {}", path.display());
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

/// apt's configuration: everything below `state`, nothing of the host's (`APT_CONFIG` is read first
/// and names the folder the rest is read from, so hooks of the host do not run).
fn configuration(state: &str, archives: &Path, arch: Arch) -> String {
    format!(
        r#"Dir "{state}";
Dir::State "{state}";
Dir::State::lists "lists";
Dir::State::status "{state}/status";
Dir::State::extended_states "{state}/extended_states";
Dir::Cache "{state}";
Dir::Cache::archives "{archives}";
Dir::Etc "{state}/etc";
Dir::Etc::main "apt.conf";
Dir::Etc::parts "apt.conf.d";
Dir::Etc::sourcelist "sources.list";
Dir::Etc::sourceparts "sources.list.d";
Dir::Etc::preferences "preferences";
Dir::Etc::preferencesparts "preferences.d";
Dir::Etc::trusted "none";
Dir::Etc::trustedparts "none";
Dir::Log "{state}";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "root";
APT::Get::List-Cleanup "false";
Acquire::Languages "none";
Acquire::ForceHash "sha256";
Acquire::Retries "3";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
"#,
        archives = archives.display(),
    )
}

/// The host's proxy settings, in apt's own syntax.
fn host_proxies() -> String {
    duct::cmd!("apt-config", "dump").stderr_null().read().map(|dump| listing::proxy_lines(&dump)).unwrap_or_default()
}

fn sources(mirror: &str, suites: &[&str], arch: Arch) -> String {
    let key: String = ARCHIVE_KEY
        .lines()
        .map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") })
        .collect();
    format!(
        "Types: deb\nURIs: {mirror}\nSuites: {}\nComponents: main\nArchitectures: {arch}\nTargets: Packages\nSigned-By:\n{key}",
        suites.join(" ")
    )
}

/// Which suite wins: what the tools need from backports, and nothing by itself from a suite that was
/// only added for a kernel.
fn preferences(extra_suites: &[&str]) -> String {
    let mut text = format!("Package: {FROM_BACKPORTS}\nPin: release n=trixie-backports\nPin-Priority: 900\n");
    for suite in extra_suites.iter().filter(|suite| !SUITES.contains(suite)) {
        text += &format!("\nPackage: *\nPin: release n={suite}\nPin-Priority: 50\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_embedded_so_that_no_line_of_it_ends_the_field() {
        let text = sources("http://example.org/debian", &SUITES, Arch::Amd64);
        let (_, key) = text.split_once("Signed-By:\n").expect("the field is there");
        assert!(key.starts_with(" -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n"));
        assert!(key.ends_with(" -----END PGP PUBLIC KEY BLOCK-----\n"));
        assert!(key.lines().all(|line| line.len() > 1 && line.starts_with(' ')));
    }

    #[test]
    fn a_suite_added_for_a_kernel_never_wins_by_itself() {
        let text = preferences(&["sid", "trixie"]);
        assert!(text.contains("Pin: release n=sid\nPin-Priority: 50\n"));
        assert!(!text.contains("n=trixie\n"));
    }

    #[test]
    fn a_second_taker_waits_until_the_lock_is_released() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let first = lock(&path).expect("free");
        let second = File::options().append(true).open(&path).expect("exists");
        assert!(second.try_lock().is_err());
        drop(first);
        assert!(second.try_lock().is_ok());
    }
}
