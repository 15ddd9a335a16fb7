// SPDX-License-Identifier: GPL-2.0-only
//! Error numbers.
//!
//! What a system call returns when a command fails. The numbers are those of
//! `include/uapi/asm-generic/errno-base.h` and `errno.h`, kept positive here; the module negates them at its
//! edge.

use core::fmt;

/// An error number of the kernel's user interface, as a positive value.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

/// `Result` with an [`Errno`].
pub type Result<T, E = Errno> = core::result::Result<T, E>;

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $value:literal),* $(,)?) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Errno = Errno($value);)*

            /// The symbolic name (`"EINVAL"`), or `"E?"` for a number this project never returns.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($value => stringify!($name),)*
                    _ => "E?",
                }
            }
        }
    };
}

errnos! {
    /// Operation not permitted.
    EPERM = 1,
    /// No such file, group or event.
    ENOENT = 2,
    /// No such task.
    ESRCH = 3,
    /// Input or output error.
    EIO = 5,
    /// Too much in one write.
    E2BIG = 7,
    /// Bad file descriptor.
    EBADF = 9,
    /// Out of memory.
    ENOMEM = 12,
    /// Permission denied.
    EACCES = 13,
    /// In use.
    EBUSY = 16,
    /// Name exists.
    EEXIST = 17,
    /// The file, its group or the mount has gone.
    ENODEV = 19,
    /// Not a directory.
    ENOTDIR = 20,
    /// Is a directory.
    EISDIR = 21,
    /// Invalid argument.
    EINVAL = 22,
    /// No free CLOSID, RMID or counter.
    ENOSPC = 28,
    /// Number out of range.
    ERANGE = 34,
    /// Name too long.
    ENAMETOOLONG = 36,
    /// No such extended attribute.
    ENODATA = 61,
    /// Value too wide for the mask.
    EOVERFLOW = 75,
    /// Not supported.
    EOPNOTSUPP = 95,
    /// A signal came before anything had happened; never seen by users, who see `EINTR` or nothing.
    ERESTARTSYS = 512,
}

impl Errno {
    /// The error with this number, or `None` unless it is in 1..=4095 (the kernel's `MAX_ERRNO`).
    #[must_use]
    pub const fn new(value: i32) -> Option<Errno> {
        if value >= 1 && value <= 4095 { Some(Errno(value)) } else { None }
    }

    /// The positive number.
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }

    /// What a system call returns: the number negated.
    #[must_use]
    pub const fn to_ret(self) -> i32 {
        // Never the lowest number, which has no negative.
        self.0.wrapping_neg()
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "E?" => write!(f, "Errno({})", self.0),
            name => f.write_str(name),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for Errno {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn numbers_are_those_that_system_calls_can_return() {
        let known = |value: i32| Errno::new(value).map(Errno::get);
        assert_eq!([0, 1, 4095, 4096, -1, i32::MIN].map(known), [None, Some(1), Some(4095), None, None, None]);
        assert_eq!(Errno::EINVAL.to_ret(), -22);
    }

    #[test]
    fn an_error_is_called_as_the_header_calls_it_and_by_its_number_if_it_has_no_name_here() {
        let texts = |errno: Errno| (std::format!("{errno:?}"), std::format!("{errno}"));
        assert_eq!(texts(Errno::ENOMEM), ("ENOMEM".into(), "ENOMEM".into()));
        assert_eq!(texts(Errno::new(4).unwrap()), ("Errno(4)".into(), "Errno(4)".into()));
        assert_eq!(Errno::new(4).unwrap().name(), "E?");
    }
}
