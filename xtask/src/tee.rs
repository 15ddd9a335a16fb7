// SPDX-License-Identifier: GPL-2.0-only
//! What a command prints goes to whoever looks, and is read on the way.

use std::io::{self, BufRead, BufReader, Write};

/// Runs a command, passes on what it prints line by line, and hands each line to `read`. Whether the command ended well.
///
/// # Errors
///
/// It cannot be run, or nothing can be passed on.
pub(crate) fn run(command: &duct::Expression, to: &mut impl Write, mut read: impl FnMut(&str)) -> io::Result<bool> {
    let reader = command.unchecked().reader()?;
    let mut lines = BufReader::new(&reader);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        read(&String::from_utf8_lossy(line.trim_ascii_end()));
        line.clear();
    }
    Ok(reader.try_wait()?.is_some_and(|output| output.status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_passed_on_as_they_are() {
        let (mut passed_on, mut lines) = (Vec::new(), Vec::new());
        let command = duct::cmd("sh", ["-c", "printf 'one \\n\\ntwo'"]);
        assert!(run(&command, &mut passed_on, |line| lines.push(line.to_owned())).unwrap());
        assert_eq!(passed_on, b"one \n\ntwo");
        assert_eq!(lines, ["one", "", "two"]);
    }

    #[test]
    fn a_command_that_fails_says_so_and_what_it_printed_is_there() {
        let mut passed_on = Vec::new();
        let command = duct::cmd("sh", ["-c", "echo fault; exit 3"]);
        assert!(!run(&command, &mut passed_on, |_| ()).unwrap());
        assert_eq!(passed_on, b"fault\n");
        assert!(run(&duct::cmd!("/nonexistent"), &mut passed_on, |_| ()).is_err());
    }
}
