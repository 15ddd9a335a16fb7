// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask doctor`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::disk::{self, Place};
use crate::toolroot::{ToolOptions, cache_folder};
use crate::workspace;

/// Looks whether this machine has what the rig needs, and says what to do where it has not
///
/// Changes nothing, fetches nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    tools: ToolOptions,
}

/// A program of the host's that is called by its name.
struct Program {
    name: &'static str,
    /// What for.
    purpose: &'static str,
    /// The package of Debian and Ubuntu that has it.
    package: &'static str,
    need: Need,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing works without.
    Always,
    /// Some subcommands do not work without.
    Sometimes,
}

const PROGRAMS: &[Program] = &[
    Program { name: "cargo", purpose: "builds everything", package: "rustup", need: Need::Always },
    Program { name: "cc", purpose: "links programs of this machine", package: "gcc", need: Need::Always },
    Program { name: "apt-get", purpose: "fetches packages", package: "apt", need: Need::Always },
    Program { name: "apt-cache", purpose: "finds packages", package: "apt", need: Need::Always },
    Program { name: "dpkg-deb", purpose: "unpacks packages", package: "dpkg", need: Need::Always },
    Program { name: "sha256sum", purpose: "checks packages", package: "coreutils", need: Need::Always },
    Program { name: "tar", purpose: "unpacks sources", package: "tar", need: Need::Always },
    Program {
        name: "xz",
        purpose: "unpacks sources: kernels that are built here",
        package: "xz-utils",
        need: Need::Sometimes,
    },
    Program { name: "gzip", purpose: "compresses what packages say", package: "gzip", need: Need::Sometimes },
    Program { name: "git", purpose: "knows commits: reports, --tree, judge", package: "git", need: Need::Sometimes },
    Program { name: "perl", purpose: "builds kernels", package: "perl", need: Need::Sometimes },
];

/// What was found.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    Good(String),
    /// Some things will not work.
    Doubtful(String),
    Bad(String),
}

/// Prints what there is.
///
/// # Errors
///
/// A folder of this checkout cannot be looked at.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut findings = vec![machine(), checkout(workspace::root())];
    findings.extend(PROGRAMS.iter().map(|program| found(program, find(program.name))));
    findings.extend(disk::places(workspace::target(), cache_folder(&options.tools)?).iter().map(space));
    findings.push(user_tools(&options.tools));
    println!("checkout {} at {}", workspace::root().display(), workspace::commit());
    for finding in &findings {
        let (sign, text) = match finding {
            Finding::Good(text) => ("ok ", text),
            Finding::Doubtful(text) => (" ? ", text),
            Finding::Bad(text) => ("NO ", text),
        };
        println!("{sign} {text}");
    }
    let bad = findings.iter().filter(|finding| matches!(finding, Finding::Bad(_))).count();
    if bad > 0 {
        println!("{bad} things are in the way");
        return Ok(ExitCode::FAILURE);
    }
    println!("nothing is in the way: cargo xtask test-qemu");
    Ok(ExitCode::SUCCESS)
}

fn machine() -> Finding {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let text = format!("{} {}, {processors} processors", std::env::consts::OS, std::env::consts::ARCH);
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        Finding::Good(text + "; guests are emulated, so no KVM is needed")
    } else {
        Finding::Bad(text + ": the rig runs on x86-64 Linux")
    }
}

fn checkout(root: &Path) -> Finding {
    match workspace::check_path(root) {
        Ok(()) => Finding::Good(format!("{}: a path that make and QEMU can take", root.display())),
        Err(error) => Finding::Bad(format!("{error:#}")),
    }
}

/// The program `name` in the search path.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|place| place.is_file())
}

fn found(program: &Program, place: Option<PathBuf>) -> Finding {
    let Program { name, purpose, package, need } = program;
    match (place, need) {
        (Some(place), _) => Finding::Good(format!("{name}: {}", place.display())),
        (None, Need::Always) => Finding::Bad(format!("{name}: not there. It {purpose}: apt-get install {package}")),
        (None, Need::Sometimes) => {
            Finding::Doubtful(format!("{name}: not there. It {purpose}: apt-get install {package}"))
        }
    }
}

/// Room where something goes.
fn space(place: &Place) -> Finding {
    let Place { what, folder, wanted, elsewhere } = place;
    let (there, free) = disk::free(folder);
    let Some(free) = free else {
        return Finding::Doubtful(format!("{what}: nothing is known of the disk of {}", there.display()));
    };
    let text = format!("{what}: {} free in {}", indicatif::HumanBytes(free), there.display());
    if free < *wanted {
        Finding::Doubtful(format!("{text}; up to {} may be needed: {elsewhere}", indicatif::HumanBytes(*wanted)))
    } else {
        Finding::Good(text)
    }
}

fn user_tools(tools: &ToolOptions) -> Finding {
    match tools.check() {
        Ok(()) => Finding::Good("--qemu and --kdir: as given".to_owned()),
        Err(error) => Finding::Bad(format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_the_package_that_has_it() {
        let program = &PROGRAMS[2];
        let Finding::Bad(text) = found(program, None) else { panic!("nothing works without apt") };
        assert!(text.contains("apt-get") && text.contains("apt-get install apt"), "{text}");
        assert_eq!(
            found(program, Some("/usr/bin/apt-get".into())),
            Finding::Good("apt-get: /usr/bin/apt-get".to_owned())
        );
        let git = PROGRAMS.iter().find(|program| program.name == "git").unwrap();
        assert!(matches!(found(git, None), Finding::Doubtful(_)));
    }

    #[test]
    fn a_disk_with_less_room_than_is_wanted_is_doubtful() {
        let folder = tempfile::tempdir().unwrap();
        let place =
            |wanted| Place { what: "x", folder: folder.path().join("not/there/yet"), wanted, elsewhere: "move it" };
        assert!(matches!(space(&place(1)), Finding::Good(_)));
        let Finding::Doubtful(text) = space(&place(u64::MAX)) else { panic!("no disk has that much") };
        assert!(text.ends_with("move it"), "{text}");
    }

    #[test]
    fn a_path_with_a_space_is_in_the_way() {
        assert!(matches!(checkout(Path::new("/a b")), Finding::Bad(_)));
        assert!(matches!(checkout(Path::new("/a-b")), Finding::Good(_)));
    }
}
