// SPDX-License-Identifier: GPL-2.0-only
//! What the guest's programs have in common: arguments, numbers, and how they fail.
//!
//! All behave alike for a script's sake: results on standard output, nothing else there; exit code 0 for done, 1 for
//! refused by the kernel or the hardware, 2 for a command that makes no sense. A failure is one line on standard error,
//! `program: command: REASON`, where REASON is the errno's name (`EINVAL`) if it came from the kernel.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

pub mod channel;
pub mod escape;
pub mod hibernation;
pub mod kcov;
pub mod operation;
pub mod perf;
pub mod steadiness;
pub mod xattr;

use nix::errno::Errno;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

/// Why a program ends without having done its job.
#[derive(Debug)]
pub enum Failure {
    /// The command line makes no sense; exit code 2.
    Usage(String),
    /// The kernel refused; exit code 1.
    Errno(Errno),
    /// The emulated hardware refused or is not there; exit code 1.
    Hardware(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problem) => write!(f, "{problem} (see --help)"),
            Self::Errno(errno) => write!(f, "{errno:?}"),
            Self::Hardware(problem) => f.write_str(problem),
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Self::Errno(Errno::from_raw(number)),
            None => Self::Hardware(error.to_string()),
        }
    }
}

/// What a command comes to.
pub type Outcome = Result<(), Failure>;

/// Arguments, taken from the front one by one.
#[derive(Debug)]
pub struct Arguments(VecDeque<OsString>);

impl Arguments {
    /// Arguments from a list, the program's name not among them.
    pub fn new(list: impl IntoIterator<Item = OsString>) -> Self {
        Self(list.into_iter().collect())
    }

    /// Takes one that may be missing.
    pub fn optional(&mut self) -> Option<OsString> {
        self.0.pop_front()
    }

    /// Takes one; `name` is what messages call it.
    ///
    /// # Errors
    ///
    /// There is none left.
    pub fn next(&mut self, name: &str) -> Result<OsString, Failure> {
        self.optional().ok_or_else(|| Failure::Usage(format!("{name} is missing")))
    }

    /// Takes one that is plain text.
    ///
    /// # Errors
    ///
    /// There is none left, or it is not UTF-8.
    pub fn text(&mut self, name: &str) -> Result<String, Failure> {
        self.next(name)?.into_string().map_err(|_| Failure::Usage(format!("{name} is not text")))
    }

    /// Takes one with [escapes](escape) and resolves them.
    ///
    /// # Errors
    ///
    /// There is none left, or it has a broken escape.
    pub fn bytes(&mut self, name: &str) -> Result<Vec<u8>, Failure> {
        escape::resolve(&self.next(name)?.into_vec()).map_err(|problem| Failure::Usage(format!("{name}: {problem}")))
    }

    /// Takes a path, with escapes.
    ///
    /// # Errors
    ///
    /// As [`Arguments::bytes`].
    pub fn path(&mut self, name: &str) -> Result<std::path::PathBuf, Failure> {
        Ok(OsString::from_vec(self.bytes(name)?).into())
    }

    /// Takes a number, see [`parse_number`].
    ///
    /// # Errors
    ///
    /// There is none left, or it is no number.
    pub fn number(&mut self, name: &str) -> Result<u64, Failure> {
        let text = self.text(name)?;
        parse_number(&text).ok_or_else(|| Failure::Usage(format!("{name}: \"{text}\" is not a number")))
    }

    /// Takes `--name VALUE` if that is what comes next, and gives the value's number.
    ///
    /// # Errors
    ///
    /// The option is there without a number.
    pub fn option_number(&mut self, option: &str) -> Result<Option<u64>, Failure> {
        if self.0.front().is_none_or(|argument| argument != option) {
            return Ok(None);
        }
        self.0.pop_front();
        self.number(option).map(Some)
    }

    /// Takes all that are left.
    pub fn rest(&mut self) -> Vec<OsString> {
        self.0.drain(..).collect()
    }

    /// Checks that none is left.
    ///
    /// # Errors
    ///
    /// The first that is.
    pub fn end(&self) -> Outcome {
        match self.0.front() {
            None => Ok(()),
            Some(extra) => Err(Failure::Usage(format!("\"{}\" is too many", extra.display()))),
        }
    }
}

/// Reads a number: decimal, or hexadecimal after `0x`; `K`, `M`, `G` and `T` multiply by powers of 1024.
pub fn parse_number(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    }
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let (digits, shift) =
        units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift))).unwrap_or((text, 0));
    let number: u64 = digits.parse().ok().filter(|_| !digits.starts_with('+'))?;
    number.checked_mul(1 << shift)
}

/// Runs a program: the first argument is its command.
pub fn main(program: &str, help: &str, run: impl FnOnce(&str, &mut Arguments) -> Outcome) -> ExitCode {
    let mut arguments = Arguments::new(std::env::args_os().skip(1));
    let Some(command) = arguments.optional() else {
        eprint!("{help}");
        return ExitCode::from(2);
    };
    let command = command.to_string_lossy().into_owned();
    if matches!(command.as_str(), "--help" | "-h" | "help") {
        print!("{help}");
        return ExitCode::SUCCESS;
    }
    match run(&command, &mut arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{program}: {command}: {failure}");
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
        }
    }
}

/// The failure of a command that does not exist.
pub fn unknown_command() -> Failure {
    Failure::Usage("there is no such command".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(list: &[&str]) -> Arguments {
        Arguments::new(list.iter().map(OsString::from))
    }

    #[test]
    fn numbers_are_decimal_hexadecimal_or_have_a_unit() {
        assert_eq!(parse_number("42"), Some(42));
        assert_eq!(parse_number("0xC90"), Some(0xc90));
        assert_eq!(parse_number("0xffffffffffffffff"), Some(u64::MAX));
        assert_eq!(parse_number("3M"), Some(3 << 20));
        for bad in ["", "0x", "x", "-1", "+1", "0x+1", "1.5", "M", "99999999999T", "0x10M"] {
            assert_eq!(parse_number(bad), None, "{bad}");
        }
    }

    #[test]
    fn missing_and_superfluous_arguments_are_named() {
        let problem = arguments(&[]).number("CPU").unwrap_err().to_string();
        assert!(problem.contains("CPU is missing"), "{problem}");
        let problem = arguments(&["x"]).number("CPU").unwrap_err().to_string();
        assert!(problem.contains("\"x\" is not a number"), "{problem}");
        assert!(arguments(&["x"]).end().unwrap_err().to_string().contains("\"x\" is too many"));
    }

    #[test]
    fn an_option_is_only_taken_where_it_stands() {
        let mut list = arguments(&["--at", "7", "file"]);
        assert_eq!(list.option_number("--at").unwrap(), Some(7));
        assert_eq!(list.option_number("--at").unwrap(), None);
        assert_eq!(list.text("FILE").unwrap(), "file");
    }

    #[test]
    fn an_error_of_the_kernel_is_told_by_its_name() {
        let failure = Failure::from(std::io::Error::from_raw_os_error(22));
        assert_eq!(failure.to_string(), "EINVAL");
    }
}
