// SPDX-License-Identifier: GPL-2.0-only
//! A machine with the file system on it: two packages of two CPUs, an L3 each, and an L2 for each CPU.

use std::fmt;

use resctrl_fs::{Bytes, DirEntry, MountOptions, NodeId, NodeKind, OpenFor, Resctrl, SetAttr, TextOut};
use resctrl_types::sim::{self, SimPlatform, TaskSpec, Topology};
use resctrl_types::{CpuId, Errno, Ref, Result};

use crate::arch::{Parameters, Parametric};

pub(crate) type Fs = Resctrl<Parametric, SimPlatform>;

/// No option.
pub(crate) const PLAIN: MountOptions = MountOptions { cdp: false, cdpl2: false, mba_mbps: false, debug: false };
/// Code and data apart in the L3.
pub(crate) const CDP: MountOptions = MountOptions { cdp: true, ..PLAIN };
/// Bandwidth in MB/s.
pub(crate) const MBPS: MountOptions = MountOptions { mba_mbps: true, ..PLAIN };
/// Hardware ids shown.
pub(crate) const DEBUG: MountOptions = MountOptions { debug: true, ..PLAIN };

/// A mounted machine.
pub(crate) struct Machine {
    pub(crate) sim: SimPlatform,
    pub(crate) fs: Ref<Fs>,
}

/// Runs `test` on a mounted machine, which is taken down again afterwards.
pub(crate) fn on(parameters: Parameters, options: MountOptions, test: impl Fn(&Machine) + Send + Sync + 'static) {
    sim::run(move || mounted(parameters, options, &test));
}

/// The same in a run that is under way; gives what `test` does.
pub(crate) fn mounted<R>(parameters: Parameters, options: MountOptions, test: impl FnOnce(&Machine) -> R) -> R {
    let sim = SimPlatform::new(Topology::packages(2, 2));
    let fs = Resctrl::new(sim.clone(), Parametric::new(parameters, 4)).unwrap();
    let (online, offline) = (fs.clone(), fs.clone());
    sim.register_hotplug(move |cpu| Fs::cpu_online(&online, cpu), move |cpu| Fs::cpu_offline(&offline, cpu)).unwrap();
    let switched = fs.clone();
    sim.set_sched_in(move |here, word| switched.sched_in(here, word));
    Fs::mount(&fs, &options).unwrap();
    fs.arch().take_switches();
    fs.arch().take_applied();
    let machine = Machine { sim, fs };
    let result = test(&machine);
    let Machine { sim, fs } = machine;
    Fs::unmount(&fs);
    sim.unregister_hotplug();
    sim.clear_sched_in();
    sim.advance(3000);
    assert!(Fs::is_idle(&fs), "something still refers to the file system");
    result
}

/// What a file shows.
#[derive(Default)]
pub(crate) struct Text(pub(crate) Vec<u8>);

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

impl Machine {
    pub(crate) fn arch(&self) -> &Parametric {
        self.fs.arch()
    }

    fn node(&self, path: &str) -> Result<NodeId> {
        let root = self.fs.root().ok_or(Errno::ENOENT)?;
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(root, |dir, name| self.fs.lookup(dir, name.as_bytes()).ok_or(Errno::ENOENT))
    }

    fn split<'a>(&self, path: &'a str) -> (NodeId, &'a [u8]) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.node(parent).unwrap(), name.as_bytes())
    }

    /// Opens a file for writing: what a file descriptor is.
    pub(crate) fn open(&self, path: &str) -> Result<NodeId> {
        let node = self.node(path)?;
        self.fs.open(node, OpenFor::WRITING)?;
        Ok(node)
    }

    pub(crate) fn try_read(&self, path: &str) -> Result<Vec<u8>> {
        let node = self.node(path)?;
        self.fs.open(node, OpenFor::READING)?;
        let mut text = Text::default();
        Fs::read(&self.fs, node, &mut text)?;
        Ok(text.0)
    }

    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> String {
        let text = self.try_read(path).unwrap_or_else(|errno| panic!("reading {path}: {errno}"));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// What the last command had to say.
    pub(crate) fn status(&self) -> String {
        self.read("info/last_cmd_status")
    }

    pub(crate) fn write(&self, path: &str, data: impl AsRef<[u8]>) -> Result<()> {
        let node = self.node(path)?;
        self.fs.open(node, OpenFor::WRITING)?;
        Fs::write(&self.fs, node, data.as_ref())
    }

    /// Writes what must succeed, and leaves nothing in the status.
    #[track_caller]
    pub(crate) fn set(&self, path: &str, data: impl AsRef<[u8]>) {
        let written = self.write(path, data);
        assert_eq!((written, self.status().as_str()), (Ok(()), "ok\n"), "writing {path}");
    }

    /// Writes what must fail with these words.
    #[track_caller]
    pub(crate) fn refuses(&self, path: &str, data: impl AsRef<[u8]>, errno: Errno, words: &str) {
        let data = data.as_ref();
        let written = self.write(path, data);
        let shown = String::from_utf8_lossy(data);
        assert_eq!((written, self.status().as_str()), (Err(errno), words), "writing {shown:?} to {path}");
    }

    pub(crate) fn try_mkdir(&self, path: &str) -> Result<()> {
        let (parent, name) = self.split(path);
        Fs::mkdir(&self.fs, parent, name, 0o755)
    }

    /// Makes a group in the root; its name need not be UTF-8.
    pub(crate) fn try_mkdir_named(&self, name: &[u8]) -> Result<()> {
        Fs::mkdir(&self.fs, self.node("").unwrap(), name, 0o755)
    }

    /// Removes such a group.
    pub(crate) fn rmdir_named(&self, name: &[u8]) {
        let group = self.fs.lookup(self.node("").unwrap(), name).expect("a group of this name");
        Fs::rmdir(&self.fs, group).unwrap();
    }

    #[track_caller]
    pub(crate) fn mkdir(&self, path: &str) {
        self.try_mkdir(path).unwrap_or_else(|errno| panic!("mkdir {path}: {errno}: {}", self.status()));
    }

    pub(crate) fn try_rmdir(&self, path: &str) -> Result<()> {
        Fs::rmdir(&self.fs, self.node(path)?)
    }

    #[track_caller]
    pub(crate) fn rmdir(&self, path: &str) {
        Fs::rmdir(&self.fs, self.node(path).unwrap()).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.rename_with(from, to, 0)
    }

    /// With flags of `renameat2`.
    pub(crate) fn rename_with(&self, from: &str, to: &str, flags: u32) -> Result<()> {
        let (parent, name) = self.split(to);
        Fs::rename(&self.fs, self.node(from)?, parent, name, flags)
    }

    /// Whether there is something of this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.node(path).is_ok()
    }

    /// Writes to a file whatever its mode says.
    pub(crate) fn write_anyway(&self, path: &str, data: &[u8]) -> Result<()> {
        Fs::write(&self.fs, self.node(path)?, data)
    }

    /// The paths of everything below a directory: of directories, and of files.
    pub(crate) fn tree(&self, dir: &str) -> (Vec<String>, Vec<String>) {
        let (mut dirs, mut files) = (Vec::new(), Vec::new());
        for (name, _) in self.list(dir) {
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            if self.fs.attr(self.node(&path).unwrap()).unwrap().kind == NodeKind::Dir {
                let (more_dirs, more_files) = self.tree(&path);
                dirs.extend(more_dirs);
                files.extend(more_files);
                dirs.push(path);
            } else {
                files.push(path);
            }
        }
        (dirs, files)
    }

    /// Changes the mode of a file.
    pub(crate) fn chmod(&self, path: &str, mode: u16) {
        let change = SetAttr { mode: Some(mode), ..SetAttr::default() };
        self.fs.set_attr(self.node(path).unwrap(), &change).unwrap();
    }

    /// Reads what must fail with these words.
    #[track_caller]
    pub(crate) fn cannot_read(&self, path: &str, errno: Errno, words: &str) {
        let read = self.try_read(path).map(|_| ());
        assert_eq!((read, self.status().as_str()), (Err(errno), words), "reading {path}");
    }

    /// Sees that nothing that files do not show is wrong.
    #[track_caller]
    pub(crate) fn audit(&self) {
        let mut text = Text::default();
        Fs::audit(&self.fs, &mut text).unwrap();
        assert_eq!(String::from_utf8_lossy(&text.0), "");
    }

    /// The entries of a directory with their modes, sorted.
    pub(crate) fn list(&self, path: &str) -> Vec<(String, u16)> {
        let dir = self.node(path).unwrap();
        let mut nodes = Vec::new();
        let mut note = |entry: DirEntry<'_>| {
            nodes.push((String::from_utf8_lossy(entry.name).into_owned(), entry.id));
            true
        };
        self.fs.entries(dir, 0, &mut note).unwrap();
        nodes.sort();
        nodes.into_iter().map(|(name, id)| (name, self.fs.attr(id).unwrap().mode)).collect()
    }

    /// Lets `cpu` switch to a new task; returns its id.
    pub(crate) fn spawn_on(&self, cpu: u32) -> i32 {
        let task = self.sim.spawn_task(TaskSpec::default());
        self.sim.switch_to(CpuId(cpu), Some(&task)).unwrap();
        task.pid()
    }
}
