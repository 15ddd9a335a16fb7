// SPDX-License-Identifier: GPL-2.0-only
//! The control channel: lines that the guest's `init` writes to its second serial port.
//!
//! | Line | Meaning |
//! |---|---|
//! | `@boot UPTIME resctrl=yes cpus=4 kernel=REL` | the guest is up; uptimes are in seconds |
//! | `@start NAME UPTIME` | a scenario begins |
//! | `> TEXT` | a line of its standard output |
//! | `! TEXT` | a line of its standard error |
//! | `@dirty NAME REASON` | the guest could not be cleaned up after it |
//! | `@exit NAME CODE UPTIME` | it ended |
//! | `@problem REASON` | the guest cannot go on |
//! | `@done` | nothing is left to do |
//!
//! Empty lines mean nothing. Everything else is an error of the protocol and is kept as such.

use std::time::Duration;

/// What a guest has, said once after boot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Available {
    /// Time from power-on to `init`.
    pub(crate) uptime: Duration,
    /// There is a resctrl to mount.
    pub(crate) resctrl: bool,
    /// CPUs online.
    pub(crate) cpus: u32,
    /// The kernel's release.
    pub(crate) kernel: String,
}

/// A line of the control channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// The guest is up.
    Boot(Available),
    /// A scenario begins, at this uptime.
    Start(String, Duration),
    /// A line of standard output.
    Output(String),
    /// A line of standard error.
    Error(String),
    /// A scenario left something behind: name and reason.
    Dirty(String, String),
    /// A scenario ended: name, exit code, uptime.
    Exit(String, i32, Duration),
    /// The guest cannot go on.
    Problem(String),
    /// Nothing is left to do.
    Done,
    /// A line that is none of the protocol's.
    Garbage(String),
}

/// Parses one line without its newline; `None` for an empty one.
pub(crate) fn parse(line: &str) -> Option<Message> {
    if line.is_empty() {
        return None;
    }
    if let Some(text) = line.strip_prefix("> ").or_else(|| line.strip_prefix('>')) {
        return Some(Message::Output(text.to_owned()));
    }
    if let Some(text) = line.strip_prefix("! ").or_else(|| line.strip_prefix('!')) {
        return Some(Message::Error(text.to_owned()));
    }
    let message = line.strip_prefix('@').and_then(control);
    Some(message.unwrap_or_else(|| Message::Garbage(line.to_owned())))
}

fn control(line: &str) -> Option<Message> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "boot" => boot(rest).map(Message::Boot),
        "start" => {
            let (name, at) = rest.split_once(' ')?;
            Some(Message::Start(name.to_owned(), uptime(at)?))
        }
        "dirty" => {
            let (name, reason) = rest.split_once(' ')?;
            Some(Message::Dirty(name.to_owned(), reason.to_owned()))
        }
        "exit" => {
            let mut words = rest.split(' ');
            let (name, code, at) = (words.next()?, words.next()?, words.next()?);
            Some(Message::Exit(name.to_owned(), code.parse().ok()?, uptime(at)?))
        }
        "problem" => Some(Message::Problem(rest.to_owned())),
        "done" => Some(Message::Done),
        _ => None,
    }
}

fn boot(rest: &str) -> Option<Available> {
    let mut words = rest.split(' ');
    let mut available = Available { uptime: uptime(words.next()?)?, resctrl: false, cpus: 0, kernel: String::new() };
    for word in words {
        match word.split_once('=')? {
            ("resctrl", value) => available.resctrl = value == "yes",
            ("cpus", value) => available.cpus = value.parse().ok()?,
            ("kernel", value) => value.clone_into(&mut available.kernel),
            _ => return None,
        }
    }
    Some(available)
}

/// Seconds with a fraction, as /proc/uptime has them.
fn uptime(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_recorded_session_parses() {
        let recorded = "\n@boot 5.00 resctrl=yes cpus=4 kernel=7.3.4+deb13-cloud-amd64\n\
                        \n@start mount 6.00\n> ok 1 - abi-2 mounts\n>\n! sh: odd\n\
                        \n@exit mount 1 8.00\n@dirty mount cannot unmount /sys/fs/resctrl: busy\n@done\n";
        let messages: Vec<_> = recorded.lines().filter_map(parse).collect();
        let available =
            Available { uptime: seconds(5), resctrl: true, cpus: 4, kernel: "7.3.4+deb13-cloud-amd64".to_owned() };
        assert_eq!(
            messages,
            [
                Message::Boot(available),
                Message::Start("mount".to_owned(), seconds(6)),
                Message::Output("ok 1 - abi-2 mounts".to_owned()),
                Message::Output(String::new()),
                Message::Error("sh: odd".to_owned()),
                Message::Exit("mount".to_owned(), 1, seconds(8)),
                Message::Dirty("mount".to_owned(), "cannot unmount /sys/fs/resctrl: busy".to_owned()),
                Message::Done,
            ]
        );
    }

    #[test]
    fn a_scenario_cannot_forge_a_verdict() {
        assert_eq!(parse("> @exit mount 0 1.0"), Some(Message::Output("@exit mount 0 1.0".to_owned())));
    }

    #[test]
    fn a_line_cut_short_is_garbage_and_no_verdict() {
        for line in ["@exit mount", "@exit mount x 1.0", "@boot", "@boot 1.0 cpus", "hello", "@"] {
            assert_eq!(parse(line), Some(Message::Garbage(line.to_owned())), "{line}");
        }
    }
}
