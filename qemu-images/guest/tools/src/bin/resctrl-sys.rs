// SPDX-License-Identifier: GPL-2.0-only
//! One system call a command, for what a shell cannot say exactly.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

use guest_tools::{Arguments, Failure, Outcome, hibernation, main as run_program, unknown_command, xattr};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, open, renameat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MRemapFlags, MapFlags, ProtFlags, mmap, mmap_anonymous, mremap};
use nix::sys::stat::Mode;
use nix::sys::statfs::statfs;
use nix::sys::uio::{pread, pwrite};
use nix::unistd::{Gid, Pid, Uid, Whence, lseek, mkdir, read, setgroups, setresgid, setresuid, write};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsmount, fsopen, move_mount,
};
use std::fs::{File, TryLockError};
use std::io::{BufRead, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const HELP: &str = "\
Makes one system call exactly as told, for what a shell cannot say. TEXT and paths know the
escapes \\n \\t \\0 \\\\ \\xHH; nothing is added to them, no newline either.

Files. FLAGS are joined by commas: rdonly wronly rdwr append creat excl trunc directory nofollow.
  write [--at OFFSET] FILE TEXT     one write(2) (pwrite(2) with --at); TEXT may be empty
  fill FILE TEXT COUNT              one write(2) of COUNT times TEXT
  read [--at OFFSET] FILE [SIZE]    one read(2) (pread(2)) of at most SIZE bytes (64K)
  pread FD OFFSET SIZE              one pread(2) of a file that the shell has open
  open FLAGS FILE                   open(2) and close(2)
  hold FLAGS FILE                   open(2), then one command a line of standard input, each
                                    answered with one line, \"ok\" or the errno's name:
                                      read [SIZE]   what was read follows on lines of its own
                                      write TEXT    one write(2)
                                      seek OFFSET   lseek(2) from the beginning
                                      lock, share   flock(2), exclusive or shared, without waiting
                                      unlock
                                      ! COMMAND     not with the file: COMMAND in a shell
Directories.
  mkdir PATH [MODE [LABEL]]         MODE in octal, 755 if not given; LABEL: the context of SELinux
                                    that it asks for
  rename OLD NEW [FLAGS]            renameat2(2); FLAGS: noreplace exchange whiteout
  statfs PATH                       print the type of the file system, in hexadecimal
  mount SOURCE TARGET TYPE [DATA]   mount(2)
  mount-later TARGET TYPE           fsopen(2) and \"ready\"; after a line of standard input fsconfig(2) to create
                                    what is to be mounted, fsmount(2) and move_mount(2)
  remount TARGET [DATA]             mount(2) with MS_REMOUNT
  umount TARGET [detach]            umount2(2)
Extended attributes. NAME with its namespace: trusted.a
  setxattr PATH NAME TEXT [FLAGS]   setxattr(2); FLAGS: create replace
  setxattrs PATH NAME COUNT         so many: NAME1 is 1, NAME2 is 2
  getxattr PATH NAME                getxattr(2); prints the value with a newline
  listxattr PATH                    listxattr(2); one name a line
  removexattr PATH NAME             removexattr(2)
Memory.
  map CPUS FILE HOW OFFSET LEN [remap]
                                    stay on CPUS (a list), mmap(2) so much of FILE, HOW is shared or
                                    private, see zeros in it and write to it; then mremap(2) it to somewhere
                                    else
Tasks.
  spin CPUS [SECONDS]               compute on CPUS (a list, 0,2-3; - for any) until killed
  threads COUNT                     start COUNT threads, print the thread ids, the first thread's
                                    first, one a line; end when standard input ends
  as UID[:GID] COMMAND [ARG...]     drop to that user, then run COMMAND; UID may be three, the
                                    real, the effective and the saved one: REAL/EFFECTIVE/SAVED

Power.
  image                             freeze all tasks, let the kernel make an image of the memory as for
                                    hibernation (all CPUs but one go offline, that one's power
                                    management is asked to save and to restore), throw it away, go on
  hibernate COMMAND [ARGUMENT...]   freeze all tasks, let the kernel make an image of the memory and read it,
                                    run a command, and give the memory back to the image as a machine
                                    does that was off meanwhile: the time goes on from the image

Exit code 1 and the errno's name on standard error where the kernel refuses.
";

fn main() -> ExitCode {
    run_program("resctrl-sys", HELP, run)
}

fn run(command: &str, arguments: &mut Arguments) -> Outcome {
    match command {
        "write" => {
            let at = arguments.option_number("--at")?;
            let (path, bytes) = (arguments.path("FILE")?, arguments.bytes("TEXT")?);
            arguments.end()?;
            write_once(&path, &bytes, at)
        }
        "fill" => {
            let (path, bytes) = (arguments.path("FILE")?, arguments.bytes("TEXT")?);
            let count = arguments.number("COUNT")?;
            arguments.end()?;
            let count = usize::try_from(count).ok().filter(|n| n.saturating_mul(bytes.len()) <= 1 << 30);
            let count = count.ok_or_else(|| Failure::Usage("COUNT: this makes more than 1G".to_owned()))?;
            write_once(&path, &bytes.repeat(count), None)
        }
        "read" => {
            let at = arguments.option_number("--at")?;
            let path = arguments.path("FILE")?;
            let size = arguments.optional().map(|text| size(&text.to_string_lossy())).transpose()?;
            arguments.end()?;
            let file = open(&path, OFlag::O_RDONLY, Mode::empty())?;
            let mut room = vec![0; size.unwrap_or(DEFAULT_READ)];
            let length = match at {
                Some(offset) => pread(&file, &mut room, file_offset(offset)?)?,
                None => read(&file, &mut room)?,
            };
            std::io::stdout().write_all(&room[..length])?;
            Ok(())
        }
        "pread" => {
            let (number, offset) = (arguments.number("FD")?, file_offset(arguments.number("OFFSET")?)?);
            let size = size(&arguments.text("SIZE")?)?;
            arguments.end()?;
            let number = i32::try_from(number).map_err(|_| Errno::EBADF)?;
            // SAFETY: the shell keeps it open for as long as this program runs.
            let file = unsafe { BorrowedFd::borrow_raw(number) };
            let mut room = vec![0; size];
            let length = pread(file, &mut room, offset)?;
            std::io::stdout().write_all(&room[..length])?;
            Ok(())
        }
        "open" => {
            let (flags, path) = (open_flags(&arguments.text("FLAGS")?)?, arguments.path("FILE")?);
            arguments.end()?;
            open(&path, flags, Mode::from_bits_truncate(0o644))?;
            Ok(())
        }
        "hold" => {
            let (flags, path) = (open_flags(&arguments.text("FLAGS")?)?, arguments.path("FILE")?);
            arguments.end()?;
            hold(&File::from(open(&path, flags, Mode::from_bits_truncate(0o644))?))
        }
        "mkdir" => {
            let path = arguments.path("PATH")?;
            let mode = arguments.optional().unwrap_or_else(|| "755".into());
            let label = arguments.optional();
            arguments.end()?;
            let bits = u32::from_str_radix(&mode.to_string_lossy(), 8).ok().and_then(Mode::from_bits);
            let bits = bits.ok_or_else(|| Failure::Usage(format!("MODE: \"{}\" is not octal", mode.display())))?;
            if let Some(label) = label {
                // Of this thread, until it executes another program.
                std::fs::write("/proc/thread-self/attr/fscreate", label.as_encoded_bytes())?;
            }
            mkdir(&path, bits)?;
            Ok(())
        }
        "rename" => {
            let (old, new) = (arguments.path("OLD")?, arguments.path("NEW")?);
            let flags = arguments.optional().map(|text| rename_flags(&text.to_string_lossy())).transpose()?;
            arguments.end()?;
            renameat2(AT_FDCWD, &old, AT_FDCWD, &new, flags.unwrap_or(RenameFlags::empty()))?;
            Ok(())
        }
        "statfs" => {
            let path = arguments.path("PATH")?;
            arguments.end()?;
            println!("{:#x}", statfs(&path)?.filesystem_type().0);
            Ok(())
        }
        "mount" | "remount" => mount_command(command, arguments),
        "mount-later" => {
            let (target, kind) = (arguments.path("TARGET")?, arguments.text("TYPE")?);
            arguments.end()?;
            mount_later(&target, &kind)
        }
        "umount" => {
            let target = arguments.path("TARGET")?;
            let flags = match arguments.optional() {
                None => MntFlags::empty(),
                Some(word) if word == "detach" => MntFlags::MNT_DETACH,
                Some(word) => return Err(Failure::Usage(format!("\"{}\" is not detach", word.display()))),
            };
            arguments.end()?;
            umount2(&target, flags)?;
            Ok(())
        }
        "setxattr" => {
            let (path, name) = (arguments.path("PATH")?, arguments.text("NAME")?);
            let value = arguments.bytes("TEXT")?;
            let how = arguments.optional().map(|text| xattr_flags(&text.to_string_lossy())).transpose()?;
            arguments.end()?;
            xattr::set(&path, &name, &value, how.unwrap_or(xattr::Flags::empty()))
        }
        "setxattrs" => {
            let (path, name) = (arguments.path("PATH")?, arguments.text("NAME")?);
            let count = arguments.number("COUNT")?;
            arguments.end()?;
            let set =
                |n: u64| xattr::set(&path, &format!("{name}{n}"), n.to_string().as_bytes(), xattr::Flags::empty());
            (1..=count).try_for_each(set)
        }
        "getxattr" => {
            let (path, name) = (arguments.path("PATH")?, arguments.text("NAME")?);
            arguments.end()?;
            let mut value = xattr::get(&path, &name)?;
            value.push(b'\n');
            Ok(std::io::stdout().write_all(&value)?)
        }
        "listxattr" => {
            let path = arguments.path("PATH")?;
            arguments.end()?;
            xattr::list(&path)?.iter().for_each(|name| println!("{name}"));
            Ok(())
        }
        "removexattr" => {
            let (path, name) = (arguments.path("PATH")?, arguments.text("NAME")?);
            arguments.end()?;
            xattr::remove(&path, &name)
        }
        "map" => map(arguments),
        "spin" => spin(arguments),
        "threads" => threads(arguments),
        "as" => run_as(arguments),
        "image" => {
            arguments.end()?;
            hibernation::image()
        }
        "hibernate" => hibernation::hibernate(&arguments.rest()),
        _ => Err(unknown_command()),
    }
}

/// Mounts by the calls that have a context, which waits for a line in between.
fn mount_later(target: &Path, kind: &str) -> Outcome {
    let context = fsopen(kind, FsOpenFlags::empty())?;
    println!("ready");
    std::io::stdin().lock().read_line(&mut String::new())?;
    fsconfig_create(&context)?;
    let mount = fsmount(&context, FsMountFlags::empty(), MountAttrFlags::empty())?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(move_mount(&mount, "", rustix::fs::CWD, target, flags)?)
}

/// Bytes a read asks for when not told.
const DEFAULT_READ: usize = 64 << 10;

fn size(text: &str) -> Result<usize, Failure> {
    let number = guest_tools::parse_number(text).filter(|n| *n <= 1 << 30);
    let size = number.and_then(|n| usize::try_from(n).ok());
    size.ok_or_else(|| Failure::Usage(format!("SIZE: \"{text}\" is not a number up to 1G")))
}

fn file_offset(offset: u64) -> Result<i64, Failure> {
    i64::try_from(offset).map_err(|_| Failure::Usage("OFFSET: is too large".to_owned()))
}

/// Resolves words joined by commas.
fn flags<F: Copy>(name: &str, text: &str, known: &[(&str, F)]) -> Result<Vec<F>, Failure> {
    text.split(',')
        .map(|word| {
            let flag = known.iter().find(|(known, _)| *known == word);
            flag.map(|(_, flag)| *flag).ok_or_else(|| Failure::Usage(format!("{name}: there is no \"{word}\"")))
        })
        .collect()
}

fn open_flags(text: &str) -> Result<OFlag, Failure> {
    let known = [
        ("rdonly", OFlag::O_RDONLY),
        ("wronly", OFlag::O_WRONLY),
        ("rdwr", OFlag::O_RDWR),
        ("append", OFlag::O_APPEND),
        ("creat", OFlag::O_CREAT),
        ("excl", OFlag::O_EXCL),
        ("trunc", OFlag::O_TRUNC),
        ("directory", OFlag::O_DIRECTORY),
        ("nofollow", OFlag::O_NOFOLLOW),
    ];
    Ok(flags("FLAGS", text, &known)?.into_iter().collect())
}

fn rename_flags(text: &str) -> Result<RenameFlags, Failure> {
    let known = [
        ("noreplace", RenameFlags::RENAME_NOREPLACE),
        ("exchange", RenameFlags::RENAME_EXCHANGE),
        ("whiteout", RenameFlags::RENAME_WHITEOUT),
    ];
    Ok(flags("FLAGS", text, &known)?.into_iter().collect())
}

fn xattr_flags(text: &str) -> Result<xattr::Flags, Failure> {
    let known = [("create", xattr::Flags::CREATE), ("replace", xattr::Flags::REPLACE)];
    Ok(flags("FLAGS", text, &known)?.into_iter().collect())
}

/// Tells whether the kernel took all of it: a part would be a bug of the file.
fn whole(written: usize, bytes: &[u8]) -> Outcome {
    if written == bytes.len() {
        return Ok(());
    }
    Err(Failure::Hardware(format!("short write, {written} of {} bytes", bytes.len())))
}

fn write_once(path: &Path, bytes: &[u8], at: Option<u64>) -> Outcome {
    let file = open(path, OFlag::O_WRONLY, Mode::empty())?;
    let written = match at {
        Some(offset) => pwrite(&file, bytes, file_offset(offset)?)?,
        None => write(&file, bytes)?,
    };
    whole(written, bytes)
}

fn hold(file: &File) -> Outcome {
    for line in std::io::stdin().lock().lines() {
        match hold_command(file, &line?) {
            Ok(read) => {
                let mut out = std::io::stdout();
                out.write_all(b"ok\n")?;
                out.write_all(&read)?;
                out.flush()?;
            }
            Err(Failure::Errno(errno)) => println!("{errno:?}"),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

fn hold_command(file: &File, line: &str) -> Result<Vec<u8>, Failure> {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    match command {
        "read" => {
            let mut room = vec![0; if rest.is_empty() { DEFAULT_READ } else { size(rest)? }];
            let length = read(file.as_fd(), &mut room)?;
            room.truncate(length);
            Ok(room)
        }
        "write" => {
            let bytes = guest_tools::escape::resolve(rest.as_bytes()).map_err(Failure::Usage)?;
            whole(write(file.as_fd(), &bytes)?, &bytes)?;
            Ok(Vec::new())
        }
        "seek" => {
            let offset = guest_tools::parse_number(rest)
                .ok_or_else(|| Failure::Usage(format!("OFFSET: \"{rest}\" is not a number")))?;
            lseek(file.as_fd(), file_offset(offset)?, Whence::SeekSet)?;
            Ok(Vec::new())
        }
        "lock" | "share" => {
            let locked = if command == "lock" { file.try_lock() } else { file.try_lock_shared() };
            match locked {
                Ok(()) => Ok(Vec::new()),
                Err(TryLockError::WouldBlock) => Err(Failure::Errno(Errno::EAGAIN)),
                Err(TryLockError::Error(error)) => Err(error.into()),
            }
        }
        "unlock" => {
            file.unlock()?;
            Ok(Vec::new())
        }
        "!" => {
            let status = Command::new("sh").arg("-c").arg(rest).status()?;
            if status.success() { Ok(Vec::new()) } else { Err(Failure::Hardware(format!("{rest}: {status}"))) }
        }
        _ => Err(Failure::Usage(format!("hold knows no \"{command}\""))),
    }
}

fn mount_command(command: &str, arguments: &mut Arguments) -> Outcome {
    let none = None::<&Path>;
    if command == "remount" {
        let target = arguments.path("TARGET")?;
        let data = arguments.optional();
        arguments.end()?;
        mount(none, &target, none, MsFlags::MS_REMOUNT, data.as_deref())?;
        return Ok(());
    }
    let (source, target) = (arguments.path("SOURCE")?, arguments.path("TARGET")?);
    let (kind, data) = (arguments.next("TYPE")?, arguments.optional());
    arguments.end()?;
    mount(Some(&source), &target, Some(kind.as_os_str()), MsFlags::empty(), data.as_deref())?;
    Ok(())
}

/// Reads a CPU list: `0,2-3`.
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= CpuSet::count() {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// Binds the calling thread to a list of CPUs.
fn stay_on(cpus: &str) -> Outcome {
    let list = cpu_list(cpus).ok_or_else(|| Failure::Usage(format!("CPUS: \"{cpus}\" is not a list of CPUs")))?;
    let mut set = CpuSet::new();
    for cpu in list {
        set.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set)?;
    Ok(())
}

fn map(arguments: &mut Arguments) -> Outcome {
    let (cpus, path) = (arguments.text("CPUS")?, arguments.path("FILE")?);
    let how = match &*arguments.text("HOW")? {
        "shared" => MapFlags::MAP_SHARED,
        "private" => MapFlags::MAP_PRIVATE,
        other => return Err(Failure::Usage(format!("HOW: \"{other}\" is not shared or private"))),
    };
    let (offset, len) = (arguments.number("OFFSET")?, arguments.number("LEN")?);
    let remap = arguments.optional().is_some();
    arguments.end()?;
    let len = usize::try_from(len).ok().and_then(NonZeroUsize::new);
    let len = len.ok_or_else(|| Failure::Usage("LEN: is nothing, or too much".to_owned()))?;
    stay_on(&cpus)?;
    let file = open(&path, OFlag::O_RDWR, Mode::empty())?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses where, so nothing of this program's is replaced.
    let start = unsafe { mmap(None, len, access, how, &file, file_offset(offset)?)? };
    let last = start.cast::<u8>().as_ptr().wrapping_add(len.get() - 1);
    for byte in [start.cast::<u8>().as_ptr(), last] {
        // SAFETY: both bytes are in the mapping, which this program does not refer to in any other way.
        let was = unsafe { byte.replace(1) };
        if was != 0 {
            return Err(Failure::Hardware(format!("{was} in the memory, not 0")));
        }
    }
    if remap {
        // SAFETY: the kernel chooses where.
        let elsewhere = unsafe { mmap_anonymous(None, len, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE)? };
        let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
        // SAFETY: what is replaced was reserved for it, and nobody has a pointer to the mapping after this.
        unsafe { mremap(start, len.get(), len.get(), flags, Some(elsewhere))? };
    }
    Ok(())
}

fn spin(arguments: &mut Arguments) -> Outcome {
    let cpus = arguments.text("CPUS")?;
    let seconds = arguments.optional().map(|text| text.to_string_lossy().parse::<f64>());
    arguments.end()?;
    let duration = match seconds {
        None => None,
        Some(Ok(seconds)) if (0.0..=1e9).contains(&seconds) => Some(Duration::from_secs_f64(seconds)),
        Some(_) => return Err(Failure::Usage("SECONDS: is not a number".to_owned())),
    };
    if cpus != "-" {
        stay_on(&cpus)?;
    }
    let start = Instant::now();
    while duration.is_none_or(|duration| start.elapsed() < duration) {
        for _ in 0..1000 {
            std::hint::spin_loop();
        }
    }
    Ok(())
}

fn threads(arguments: &mut Arguments) -> Outcome {
    let count = arguments.number("COUNT")?;
    arguments.end()?;
    let (sender, ids) = std::sync::mpsc::channel();
    println!("{}", nix::unistd::gettid());
    for _ in 0..count {
        let sender = sender.clone();
        std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
            // Fails only if the first thread has ended, and the process with it.
            let _ = sender.send(nix::unistd::gettid());
            loop {
                std::thread::park();
            }
        })?;
        println!("{}", ids.recv().map_err(|_| Failure::Errno(Errno::ESRCH))?);
    }
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

fn run_as(arguments: &mut Arguments) -> Outcome {
    let user = arguments.text("UID")?;
    let id = |text: &str| text.parse().map_err(|_| Failure::Usage(format!("\"{text}\" is not a number")));
    let (uids, gid) = user.split_once(':').map_or((&*user, None), |(uids, gid)| (uids, Some(gid)));
    let mut uids = uids.split('/').map(id);
    let real = uids.next().unwrap_or_else(|| id(""))?;
    let (effective, saved) = (uids.next().unwrap_or(Ok(real))?, uids.next().unwrap_or(Ok(real))?);
    if uids.next().is_some() {
        return Err(Failure::Usage(format!("\"{user}\" has more than three users")));
    }
    let gid = Gid::from_raw(gid.map_or(Ok(real), id)?);
    let program = arguments.next("COMMAND")?;
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(Uid::from_raw(real), Uid::from_raw(effective), Uid::from_raw(saved))?;
    // Only returns where the program cannot be run.
    Err(Command::new(program).args(arguments.rest()).exec().into())
}
