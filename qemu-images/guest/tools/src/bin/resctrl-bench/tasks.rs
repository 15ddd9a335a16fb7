// SPDX-License-Identifier: GPL-2.0-only
//! Tasks: moving them, listing them, and what resctrl costs those that never heard of it.

use std::fs::{File, read, read_dir, remove_dir};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use guest_tools::{Failure, Outcome};
use nix::sys::uio::pread;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, getpid};

use crate::files::OpenOften;
use crate::groups::make;
use crate::readers::Reading;
use crate::sample::{Around, Prepared, Sampler};
use crate::{Machine, at, command, stay_on, umount_resctrl};

/// A thread on the measuring CPU that answers each byte, so that each byte is two context switches.
struct Partner {
    there: PipeWriter,
    back: PipeReader,
    id: i32,
}

impl Partner {
    fn start(machine: &Machine) -> Result<Partner, Failure> {
        let (mut hear, there) = pipe()?;
        let (back, mut say) = pipe()?;
        let (tell, told) = std::sync::mpsc::channel();
        let cpu = machine.here;
        // Ends with the pipes.
        std::thread::spawn(move || {
            let ready = stay_on(cpu).map(|()| nix::unistd::gettid().as_raw());
            let _ = tell.send(ready);
            let mut byte = [0];
            while hear.read_exact(&mut byte).is_ok() && say.write_all(&byte).is_ok() {}
        });
        let id = told.recv().map_err(|_| Failure::Hardware("the partner has died".to_owned()))??;
        Ok(Partner { there, back, id })
    }

    fn round(&mut self) -> Outcome {
        let mut byte = [0];
        self.there.write_all(&byte)?;
        self.back.read_exact(&mut byte)?;
        Ok(())
    }
}

fn fork_and_exit() -> Outcome {
    // SAFETY: the child does nothing but end, by a system call.
    match unsafe { fork() }? {
        // SAFETY: it ends the process at once and touches nothing of it.
        ForkResult::Child => unsafe { libc::_exit(0) },
        ForkResult::Parent { child } => waitpid(child, None).map(|_| ()).map_err(Failure::from),
    }
}

fn fork_exec_and_exit() -> Outcome {
    let status = Command::new("/bin/busybox").arg("true").status()?;
    if status.success() { Ok(()) } else { Err(Failure::Hardware("busybox true".to_owned())) }
}

fn bystanders(sampler: &mut Sampler, partner: &mut Partner, state: &str) -> Outcome {
    sampler.in_a_row(&format!("pingpong/{state}"), &mut || partner.round())
}

fn programs(sampler: &mut Sampler, state: &str) -> Outcome {
    sampler.in_a_row(&format!("fork+exit/{state}"), &mut fork_and_exit)?;
    sampler.often(&format!("fork+exec+exit/{state}"), &mut fork_exec_and_exit)
}

/// What context switches and programs cost while nothing is mounted.
pub(crate) fn unmounted(sampler: &mut Sampler, machine: &Machine, state: &str) -> Outcome {
    bystanders(sampler, &mut Partner::start(machine)?, state)?;
    programs(sampler, state)
}

/// Threads of a program of its own that sleep.
struct Sleepers {
    child: Child,
    ids: Vec<i32>,
}

/// As many threads as a small machine may be asked to have, and more than any measurement starts.
const MOST_THREADS: &str = "30000";

impl Sleepers {
    fn start(count: usize) -> Result<Sleepers, Failure> {
        for limit in ["threads-max", "pid_max"] {
            std::fs::write(format!("/proc/sys/kernel/{limit}"), MOST_THREADS)?;
        }
        let mut child = Command::new("/rig/bin/resctrl-sys")
            .args(["threads", &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ids = Vec::new();
        if let Some(output) = &mut child.stdout {
            let mut lines = std::io::BufRead::lines(std::io::BufReader::new(output));
            while ids.len() <= count {
                let line = lines.next().ok_or_else(|| Failure::Hardware("too few threads".to_owned()))??;
                ids.push(line.trim().parse().map_err(|_| Failure::Hardware(line.clone()))?);
            }
        }
        Ok(Sleepers { child, ids })
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends when its input does.
        let _ = self.child.wait();
    }
}

/// Moving tasks, and what it costs those that were moved. Mounted, and no group there.
pub(crate) fn measure(sampler: &mut Sampler, machine: &Machine) -> Outcome {
    let mut partner = Partner::start(machine)?;
    bystanders(sampler, &mut partner, "mounted-default")?;
    programs(sampler, "mounted-default")?;
    make("g")?;
    make("mon_groups/m")?;
    let (me, other) = (getpid().as_raw(), partner.id);
    let (group, monitor, default) = (at("g/tasks"), at("mon_groups/m/tasks"), at("tasks"));
    for id in [me, other] {
        command(&group, &format!("{id}\n"))?;
    }
    bystanders(sampler, &mut partner, "same-group")?;
    programs(sampler, "in-group")?;
    command(&default, &format!("{other}\n"))?;
    bystanders(sampler, &mut partner, "different-groups")?;
    command(&default, &format!("{me}\n"))?;
    command(&monitor, &format!("{other}\n"))?;
    bystanders(sampler, &mut partner, "default-vs-mon")?;
    command(&default, &format!("{other}\n"))?;
    let sleepers = Sleepers::start(100)?;
    let files = [group, default].map(|path| File::options().write(true).open(path));
    let [group, default] = files;
    let (group, default) = (OpenOften(group?), OpenOften(default?));
    let there_and_back = |sampler: &mut Sampler, name: &str, text: &str| {
        sampler.often(name, &mut Prepared(|| default.write(text), || group.write(text)))
    };
    let one = sleepers.ids.last().map_or(String::new(), |id| format!("{id}\n"));
    there_and_back(sampler, "tasks-write/1-sleeping", &one)?;
    there_and_back(sampler, "tasks-write/self", &format!("{me}\n"))?;
    there_and_back(sampler, "tasks-write/0(=self)", "0\n")?;
    let all: Vec<String> = sleepers.ids.iter().skip(1).map(ToString::to_string).collect();
    there_and_back(sampler, "tasks-write/100", &format!("{}\n", all.join(",")))?;
    default.write("0\n")?;
    drop(sleepers);
    remove_dir(at("mon_groups/m"))?;
    remove_dir(at("g"))?;
    first(sampler)
}

/// How long it takes until nobody watches context switches any more, at most.
const UNWATCHED: Duration = Duration::from_millis(300);

/// Moving the first task into a group other than the default one.
fn first(sampler: &mut Sampler) -> Outcome {
    let alone = || {
        sleep(UNWATCHED);
        make("first")
    };
    let leave = || {
        command(&at("tasks"), "0\n")?;
        Ok(remove_dir(at("first"))?)
    };
    sampler.seldom("tasks-write/first-member", &mut Around(alone, || command(&at("first/tasks"), "0\n"), leave))
}

/// Moving so many threads into a group takes a while: above this only groups without members are removed.
const MOST_REFILLED: usize = 5000;

/// What goes through all tasks, with so many more of them. Mounted, and unmounted at the end.
pub(crate) fn walks(sampler: &mut Sampler, machine: &Machine, count: usize) -> Outcome {
    let sleepers = Sleepers::start(count)?;
    let pid = i32::try_from(sleepers.child.id()).unwrap_or_default();
    make("empty")?;
    make("full")?;
    let full = at("full/tasks");
    let fill = || {
        for entry in read_dir(format!("/proc/{pid}/task"))? {
            command(&full, &format!("{}\n", entry?.file_name().display()))?;
        }
        Ok(())
    };
    fill()?;
    for (name, path) in [("tasks-read", full.clone()), ("tasks-read-empty-group", at("empty/tasks"))] {
        sampler.seldom(&format!("{name}/{count}-threads"), &mut || {
            std::hint::black_box(read(&path)?);
            Ok(())
        })?;
    }
    // Whoever is in the way of whom: somebody lists all of them, and another one asks for something small.
    let lister = Reading::start(full.clone(), machine.remote[0]);
    let mode = File::open(at("empty/mode"))?;
    let mut room = [0; 64];
    let mut meanwhile = || {
        // The other one is somewhere in between then.
        sleep(Duration::from_millis(3));
        Ok(())
    };
    let mut ask = || {
        pread(&mode, &mut room, 0)?;
        Ok(())
    };
    let measured =
        sampler.often(&format!("mode-read-beside-tasks-read/{count}-threads"), &mut Prepared(&mut meanwhile, &mut ask));
    lister.stop()?;
    measured?;
    drop(mode);
    remove_dir(at("full"))?;
    let gone = |name: &'static str| move || remove_dir(at(name)).map_err(Failure::from);
    sampler.seldom(&format!("rmdir-empty-ctrl/{count}-threads"), &mut Prepared(|| make("x"), gone("x")))?;
    let visited = || {
        make("x")?;
        command(&at("x/tasks"), "0\n")?;
        command(&at("tasks"), "0\n")
    };
    sampler.seldom(&format!("rmdir-left-ctrl/{count}-threads"), &mut Prepared(visited, gone("x")))?;
    if count <= MOST_REFILLED {
        let filled = || {
            make("full")?;
            fill()
        };
        sampler.seldom(&format!("rmdir-full-ctrl/{count}-threads"), &mut Prepared(filled, gone("full")))?;
    }
    let mut first = true;
    sampler.waiting(
        &format!("umount/{count}-threads"),
        &mut Prepared(|| if std::mem::take(&mut first) { Ok(()) } else { crate::mount_resctrl() }, umount_resctrl),
    )
}
