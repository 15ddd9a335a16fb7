// SPDX-License-Identifier: GPL-2.0-only
//! The machines: the project's own, one TOML file each in `qemu-images/machines/`, and files of users.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use resctrl_hardware::machine::{self, Machine, MachineFile};

use crate::guest::platform::{Kind, Platform};
use crate::kernels::Arch;
use crate::workspace;

/// What a machine is called, and what it is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// In tables, reports and folders: the name of its file, which of the project's own is without `.toml`.
    name: String,
    /// What `--machine` takes, wherever it is called.
    argument: String,
    /// Those of the project's machines that it is like, the nearest first.
    like: Vec<String>,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl Name {
    /// What `--machine` takes.
    pub(crate) fn argument(&self) -> &str {
        &self.argument
    }

    /// It is none of the project's own.
    pub(crate) fn is_the_users(&self) -> bool {
        self.name != self.argument
    }

    /// A list has it, or, if it is a user's, one that it is like.
    pub(crate) fn is_in(&self, list: &[String]) -> bool {
        let like: &[String] = if self.is_the_users() { &self.like } else { &[] };
        list.iter().any(|listed| *listed == self.name || like.contains(listed))
    }
}

/// A machine to boot.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// What it is called.
    pub(crate) name: Name,
    /// What it is.
    pub(crate) hardware: Machine,
    /// The same as the text of one file.
    pub(crate) text: String,
}

impl Chosen {
    /// Its instruction set.
    pub(crate) fn arch(&self) -> Arch {
        self.hardware.arch.into()
    }
}

fn library(platform: Kind) -> PathBuf {
    workspace::root().join(Platform::machines(platform))
}

/// Names of all of the project's machines of a platform, sorted.
///
/// # Errors
///
/// The folder cannot be read.
pub(crate) fn names(platform: Kind) -> Result<Vec<String>> {
    let folder = library(platform);
    machine::names(&folder).with_context(|| format!("cannot read {}", folder.display()))
}

/// The name of the project's machine that has this file, if it is one.
fn name_of(path: &Path, library: &Path) -> Option<String> {
    let same = path.canonicalize().ok()?.parent()? == library.canonicalize().ok()?;
    same.then(|| machine::name_in_library(path)).flatten()
}

/// The machine that `argument` asks for: one of the project's by its name, or a file by its path, which has a `/` or ends with
/// `.toml`.
///
/// # Errors
///
/// There is none of that name, no such file, or it does not parse.
pub(crate) fn load(argument: &str, platform: Kind) -> Result<Chosen> {
    let library = library(platform);
    let is_path = machine::is_path(argument);
    let path = if is_path { PathBuf::from(argument) } else { library.join(format!("{argument}.toml")) };
    if !path.is_file() {
        let names = names(platform)?.join(", ");
        match platform {
            _ if is_path => bail!("--machine: there is no file {}", path.display()),
            Kind::Qemu => bail!("unknown machine `{argument}`; there are: {names}, or the path of a file of your own"),
            Kind::Fvp => bail!("the FVP has no machine `{argument}`; in {} there are: {names}", library.display()),
        }
    }
    let MachineFile { machine, text, like } = MachineFile::load(&path, &library)?;
    let like = like.iter().filter_map(|path| name_of(path, &library)).collect();
    let name = match name_of(&path, &library) {
        Some(name) => Name { argument: name.clone(), name, like },
        None => {
            let file = path.file_name().and_then(|name| name.to_str());
            let name = file.with_context(|| format!("{}: the file's name is no text", path.display()))?.to_owned();
            let path = std::path::absolute(&path)?;
            let argument =
                path.to_str().with_context(|| format!("{}: the path is no text", path.display()))?.to_owned();
            Name { name, argument, like }
        }
    };
    Ok(Chosen { name, hardware: machine, text })
}

/// The machines that these arguments ask for, each once; `all` stands for all of the project's own.
///
/// # Errors
///
/// As [`load`]; two files have the same name.
pub(crate) fn load_all(arguments: &[String], platform: Kind) -> Result<Vec<Chosen>> {
    let mut machines: Vec<Chosen> = Vec::new();
    for argument in arguments {
        let asked = if argument == "all" { names(platform)? } else { vec![argument.clone()] };
        for argument in asked {
            let machine = load(&argument, platform)?;
            match machines.iter().find(|other| other.name.name == machine.name.name) {
                None => machines.push(machine),
                Some(other) => ensure!(
                    other.name == machine.name,
                    "--machine: {} and {} have the same name, which tables and folders could not tell apart: rename one",
                    other.name.argument,
                    machine.name.argument
                ),
            }
        }
    }
    Ok(machines)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a machine of the project is called.
    pub(crate) fn named(name: &str) -> Name {
        load(name, Kind::Qemu).unwrap().name
    }

    /// A file of a user's with this text, and its folder.
    pub(crate) fn of_a_user(file: &str, text: &str) -> (tempfile::TempDir, Chosen) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        let machine = load(path.to_str().unwrap(), Kind::Qemu).unwrap();
        (folder, machine)
    }

    #[test]
    fn every_machine_file_parses() {
        for platform in [Kind::Qemu, Kind::Fvp] {
            let names = names(platform).unwrap();
            assert!(names.iter().any(|name| name == "mpam"));
            for name in names {
                let machine = load(&name, platform).unwrap();
                assert_eq!((machine.name.argument(), machine.name.is_the_users()), (name.as_str(), false));
            }
        }
    }

    #[test]
    fn an_unknown_machine_is_told_which_there_are() {
        let error = load("nosuch", Kind::Qemu).unwrap_err().to_string();
        assert!(error.contains("nosuch") && error.contains("intel-l2") && error.contains("path of a file"), "{error}");
        let error = load("intel", Kind::Fvp).unwrap_err().to_string();
        assert!(error.contains("the FVP has no machine `intel`") && error.contains("mpam"), "{error}");
        for path in ["./nosuch", "nosuch.toml"] {
            assert_eq!(load(path, Kind::Qemu).unwrap_err().to_string(), format!("--machine: there is no file {path}"));
        }
    }

    #[test]
    fn a_file_of_a_users_is_called_by_its_name_and_asked_for_by_its_path() {
        let (folder, machine) = of_a_user("my box.toml", "like = \"intel-big\"\n[topology]\nsockets = 2\n");
        assert_eq!(machine.name.to_string(), "my box.toml");
        assert_eq!(machine.name.argument(), folder.path().join("my box.toml").to_str().unwrap());
        assert!(machine.name.is_the_users());
        assert_eq!(machine.hardware.topology.cpus(), 8);
        assert_eq!(machine.hardware.description, "like intel-big, but topology.sockets = 2");
        assert_eq!(Machine::parse(&machine.text).unwrap(), machine.hardware);
        let list = |name: &str| vec!["amd".to_owned(), name.to_owned()];
        assert!(machine.name.is_in(&list("intel-big")) && machine.name.is_in(&list("my box.toml")));
        assert!(!machine.name.is_in(&list("intel")));
        // The project's own are what their files are called, whatever those are like.
        assert!(!named("intel").is_in(&list("intel-big")) && named("intel").is_in(&list("intel")));
    }

    #[test]
    fn the_path_of_one_of_the_projects_machines_is_its_name() {
        let path = library(Kind::Qemu).join("../machines/amd.toml");
        let machine = load(path.to_str().unwrap(), Kind::Qemu).unwrap();
        assert_eq!(machine.name, named("amd"));
    }

    #[test]
    fn two_files_of_one_name_are_refused_and_one_file_twice_is_one_machine() {
        let text = "like = \"intel\"\ndescription = \"mine\"\n";
        let ((_one, one), (_other, other)) = (of_a_user("my.toml", text), of_a_user("my.toml", text));
        let arguments = |machines: &[&Chosen]| machines.iter().map(|it| it.name.argument.clone()).collect::<Vec<_>>();
        assert_eq!(load_all(&arguments(&[&one, &one]), Kind::Qemu).unwrap().len(), 1);
        let error = load_all(&arguments(&[&one, &other]), Kind::Qemu).unwrap_err().to_string();
        assert!(error.contains("have the same name") && error.contains(one.name.argument()), "{error}");
        let all = load_all(&["intel".to_owned(), "all".to_owned()], Kind::Qemu).unwrap();
        assert_eq!(all.len(), names(Kind::Qemu).unwrap().len());
    }
}
