// SPDX-License-Identifier: GPL-2.0-only
//! What is counted by package.

use super::values::ReadError;
use crate::errno::Result;
use crate::event::{EventId, FractionBits};
use crate::ids::{DomainId, MonId};
use crate::platform::Platform;

/// Events of packages. An architecture that has none leaves everything as it is.
pub trait Telemetry<P: Platform>: Sized + Send + Sync + 'static {
    /// Looks for what is only found once devices have their drivers: package telemetry. Called once, before the file system
    /// is first mounted, with no lock held but that of [`LockClass::FirstMount`](crate::platform::LockClass); may wait for
    /// modules to load. CPUs come and go meanwhile. Should memory be short, for this or for what the file system makes of it,
    /// it is called again before the next mount.
    ///
    /// # Errors
    /// `ENOMEM`, which fails the mount.
    fn pre_mount(&self, _platform: &P) -> Result<()> {
        Ok(())
    }

    /// Reads an event of [`ResourceId::PerfPkg`](crate::ResourceId::PerfPkg) in one package, from any CPU. It is never rebased: an RMID that is used
    /// again goes on from where it was.
    ///
    /// # Errors
    /// See [`ReadError`].
    fn read_package(&self, _platform: &P, _package: DomainId, _id: MonId, _event: EventId) -> Result<u64, ReadError> {
        Err(ReadError::Unavailable)
    }

    /// How many of the low bits of an event's value are a fraction; `None` for an event that is a whole number.
    fn fraction_bits(&self, _event: EventId) -> Option<FractionBits> {
        None
    }
}
