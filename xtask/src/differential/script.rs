// SPDX-License-Identifier: GPL-2.0-only
//! A sequence as a shell script, for `run-qemu --script` and for reading.

use std::fmt::Write;

use guest_tools::escape;
use guest_tools::operation::Operation;

use super::record::Difference;

/// Processes of sequences: the one that carries them out, three of root's, a stranger's, and the threads of another of
/// root's. The same as the guest's.
pub(crate) const PROCESSES: [&str; 8] = ["30001", "30002", "30003", "30004", "30005", "30006", "30007", "30008"];

/// What a script calls them.
const VARIABLES: [&str; 8] = ["$$", "$P2", "$P3", "$P4", "$P5", "$T1", "$T2", "$T3"];

/// How a script gets its threads: they live while their program's standard input is open.
const THREADS: &str = "mkfifo /tmp/open\nresctrl-sys threads 2 </tmp/open >/tmp/threads & exec 9>/tmp/open\n\
    sleep 1; T1=$(sed -n 1p /tmp/threads) T2=$(sed -n 2p /tmp/threads) T3=$(sed -n 3p /tmp/threads)\n";

/// The number that a script has the first of the files under that are kept open.
const FIRST_HELD: usize = 5;

/// Text in double quotes of a shell.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        if "\"$`\\".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    for (process, variable) in PROCESSES.iter().zip(VARIABLES) {
        quoted = quoted.replace(process, variable);
    }
    quoted + "\""
}

fn place(path: &str) -> String {
    format!("$M/{}", quoted(&escape::quote(path.as_bytes())))
}

/// One operation as a command. What it says and the status are shown after each.
fn command(operation: &Operation) -> String {
    match operation {
        Operation::Mount(options) if options.is_empty() => "resctrl-sys mount resctrl $M resctrl".to_owned(),
        Operation::Mount(options) => format!("mount -t resctrl -o {} resctrl $M", quoted(options)),
        Operation::Remount(options) => format!("resctrl-sys remount $M {}", quoted(options)),
        // Locked regions are given up first, see resctrl-replay.
        Operation::Unmount => {
            "(cd /dev/pseudo_lock 2>/dev/null && for g in *; do rmdir $M/$g; done)\nresctrl-sys umount $M".to_owned()
        }
        Operation::Mkdir(path, mode) => format!("resctrl-sys mkdir {} {mode:o}", place(path)),
        Operation::Rmdir(path) => format!("rmdir {}", place(path)),
        Operation::Rename(old, new, flags) => {
            let flags = [" noreplace", " exchange"].iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1);
            let flags: String = flags.map(|(_, word)| *word).collect();
            format!("resctrl-sys rename {} {}{flags}", place(old), place(new))
        }
        Operation::Write(path, bytes) => {
            format!("resctrl-sys write {} {}", place(path), quoted(&escape::quote(bytes)))
        }
        Operation::WriteAsUser(path, bytes) => {
            let text = quoted(&escape::quote(bytes));
            format!("(exec 5>{}; resctrl-sys as 65534 sh -c 'printf \"$0\" >&5' {text})", place(path))
        }
        Operation::Read(path) => format!("resctrl-sys read {}", place(path)),
        Operation::Open(path, flags) => {
            let words =
                [("rw", "rdwr"), ("w", "wronly"), ("create", "creat"), ("append", "append"), ("truncate", "trunc")];
            let known = |word: &str| words.iter().find(|(short, _)| *short == word).map_or("rdonly", |(_, long)| *long);
            let flags: Vec<&str> = flags.split(',').map(known).collect();
            format!("resctrl-sys open {} {}", flags.join(","), place(path))
        }
        Operation::Unlink(path) => format!("rm -f {}", place(path)),
        Operation::Symlink(path) => format!("ln -s /tmp {}", place(path)),
        Operation::Chmod(path, mode) => format!("chmod {mode:o} {}", place(path)),
        Operation::SetXattr(path, name, value, flags) => {
            let how = ["", " create", " replace", " create,replace"][(*flags & 3) as usize];
            let (name, value) = (quoted(&escape::quote(name.as_bytes())), quoted(&escape::quote(value)));
            format!("resctrl-sys setxattr {} {name} {value}{how}", place(path))
        }
        Operation::GetXattr(path, name) => format!("resctrl-sys getxattr {} {}", place(path), quoted(name)),
        Operation::ListXattr(path) => format!("resctrl-sys listxattr {}", place(path)),
        Operation::RemoveXattr(path, name) => format!("resctrl-sys removexattr {} {}", place(path), quoted(name)),
        Operation::Map(path, offset, length) => format!("resctrl-sys map 0 {} shared {offset} {length}", place(path)),
        Operation::Cpu(cpu, online) => format!("echo {} >/sys/devices/system/cpu/cpu{cpu}/online", u8::from(*online)),
        Operation::List(path) => format!("ls {}", place(path)),
        Operation::Hold(slot, path, flags) => {
            let how = if flags.starts_with("rw") { "<>" } else { ["<", ">"][usize::from(flags.starts_with('w'))] };
            // What cannot be opened shall not end the script.
            format!("command exec {}{how}{}", FIRST_HELD + slot, place(path))
        }
        Operation::ReadHeld(slot, offset, length) => {
            format!("resctrl-sys pread {} {offset} {length}", FIRST_HELD + slot)
        }
        Operation::WriteHeld(slot, bytes) => {
            format!("printf {} >&{}", quoted(&escape::quote(bytes)), FIRST_HELD + slot)
        }
        Operation::Release(slot) => format!("exec {}>&-", FIRST_HELD + slot),
    }
}

/// What comes before the commands: everybody whom they are about.
fn head(title: &str, commands: &[String]) -> String {
    let mut text = format!("#!/bin/sh\n# {title}\nM=/sys/fs/resctrl\n");
    for variable in ["P2", "P3", "P4", "P5"] {
        if commands.iter().any(|command| command.contains(&format!("${variable}"))) {
            let user = if variable == "P5" { "resctrl-sys as 65534 " } else { "" };
            let _ = writeln!(text, "{user}sleep 1000 & {variable}=$!");
        }
    }
    if commands.iter().any(|command| ["$T1", "$T2", "$T3"].iter().any(|thread| command.contains(thread))) {
        text.push_str(THREADS);
    }
    text
}

/// The script for parts of which the first is carried out alone, and the others then at once.
pub(crate) fn at_once(title: &str, parts: &[Vec<Operation>]) -> String {
    let parts: Vec<Vec<String>> = parts.iter().map(|part| part.iter().map(command).collect()).collect();
    let mut text = head(title, &parts.concat());
    for (number, part) in parts.iter().enumerate() {
        let (open, close) = if number == 0 { ("", "") } else { ("(\n", ") &\n") };
        let commands: String = part.iter().map(|command| format!("{command}\n")).collect();
        text.push_str(&format!("{open}{commands}{close}"));
    }
    if parts.len() > 1 {
        text.push_str("wait\n");
    }
    text
}

/// The script for `operations`, the last of which shows `difference`.
///
/// `sides` are the names of the two that differ.
pub(crate) fn script(title: &str, sides: &[String; 2], operations: &[Operation], difference: &Difference) -> String {
    let commands: Vec<String> = operations.iter().map(command).collect();
    let mut text = head(title, &commands);
    for (number, command) in commands.iter().enumerate() {
        let _ = writeln!(text, "{command}");
        if number + 1 == difference.step {
            let _ = writeln!(text, "cat $M/info/last_cmd_status");
        }
    }
    for (who, lines) in sides.iter().zip([&difference.oracle, &difference.ours]) {
        if lines.is_empty() {
            let _ = writeln!(text, "# {who}: (nothing of the other's)");
        }
        for line in lines {
            let _ = writeln!(text, "# {who}: {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides() -> [String; 2] {
        ["the kernel's own", "ours"].map(str::to_owned)
    }

    #[test]
    fn a_script_has_the_operations_and_both_results() {
        let operations = [
            Operation::Mount(String::new()),
            Operation::Mkdir("a".to_owned(), 0o755),
            Operation::Write("a/tasks".to_owned(), b"30002,30001\n".to_vec()),
        ];
        let difference = Difference { step: 3, oracle: vec!["-> ok".to_owned()], ours: vec!["-> EINVAL".to_owned()] };
        let expected = "#!/bin/sh\n# seed 1\nM=/sys/fs/resctrl\nsleep 1000 & P2=$!\n\
            resctrl-sys mount resctrl $M resctrl\nresctrl-sys mkdir $M/\"a\" 755\n\
            resctrl-sys write $M/\"a/tasks\" \"$P2,$$\\\\n\"\ncat $M/info/last_cmd_status\n\
            # the kernel's own: -> ok\n# ours: -> EINVAL\n";
        assert_eq!(script("seed 1", &sides(), &operations, &difference), expected);
    }

    #[test]
    fn a_script_makes_the_threads_that_it_moves() {
        let difference = Difference { step: 1, oracle: Vec::new(), ours: vec!["-> EINVAL".to_owned()] };
        let script =
            script("seed 1", &sides(), &[Operation::Write("tasks".to_owned(), b"30007".to_vec())], &difference);
        assert!(script.contains(THREADS) && script.contains("write $M/\"tasks\" \"$T2\""), "{script}");
    }

    #[test]
    fn parts_are_carried_out_at_once_after_the_first() {
        let parts =
            [vec![Operation::Mount(String::new())], vec![Operation::Release(0)], vec![Operation::Cpu(1, false)]];
        let expected = "#!/bin/sh\n# seed 1\nM=/sys/fs/resctrl\nresctrl-sys mount resctrl $M resctrl\n(\nexec 5>&-\n) &\n(\n\
            echo 0 >/sys/devices/system/cpu/cpu1/online\n) &\nwait\n";
        assert_eq!(at_once("seed 1", &parts), expected);
        assert!(!at_once("seed 1", &parts[..1]).contains('('));
    }

    #[test]
    fn a_file_that_is_kept_open_is_written_and_closed_in_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        std::fs::write(&file, "0123456789").unwrap();
        let operations = [
            Operation::Hold(0, "f".to_owned(), "rw".to_owned()),
            Operation::Hold(1, "none".to_owned(), "r".to_owned()),
            Operation::WriteHeld(0, b"ab\n".to_vec()),
            Operation::Release(0),
            Operation::List(String::new()),
        ];
        let script = at_once("x", &[operations.to_vec()])
            .replace("M=/sys/fs/resctrl", &format!("M={}", folder.path().display()));
        assert_eq!(duct::cmd("sh", ["-c", &script]).stderr_null().read().unwrap(), "f");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "ab\n3456789");
    }

    #[test]
    fn a_shell_gives_the_text_to_the_program_as_it_is() {
        let text = "a\\n$HOME `x` \"\\\\";
        let printed = duct::cmd("sh", ["-c", &format!("printf %s {}", quoted(text))]).read().unwrap();
        assert_eq!(printed, text);
    }
}
