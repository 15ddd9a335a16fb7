// SPDX-License-Identifier: GPL-2.0-only
//! CPUs: how they come and go, sleep, and end.

use crate::context::{CpusHeld, Here, HotplugCpu};
use crate::errno::Result;
use crate::platform::Platform;

/// What happens to CPUs.
pub trait Cpus<P: Platform>: Sized + Send + Sync + 'static {
    /// A CPU comes: brings its own registers into a known state (ids 0). Called before its domains hear of it.
    ///
    /// # Errors
    /// Fails the hotplug of the CPU; nothing of this crate refers to it then.
    fn cpu_online(&self, platform: &P, cpu: HotplugCpu<'_>) -> Result<()>;

    /// A CPU goes: the opposite of [`Cpus::cpu_online`]. Called after its domains have forgotten it.
    fn cpu_offline(&self, platform: &P, cpu: HotplugCpu<'_>);

    /// The power of this CPU may go, and nothing may be written that its domains keep; called with interrupts off for the CPU
    /// that suspends the system. Called after [`Domains::mon_domain_suspend`](crate::arch::Domains::mon_domain_suspend).
    fn cpu_suspend(&self, here: Here<'_>);

    /// This CPU is back: writes its own registers from memory, whatever they hold. Called before the domains of which it is
    /// the first that is back are told.
    fn cpu_resume(&self, platform: &P, here: Here<'_>);

    /// The end after a failure: every CPU runs without labels, nothing restricts anything. Nothing is asked of this
    /// architecture afterwards but context switches.
    fn shut_down(&self, _platform: &P, _cpus: CpusHeld<'_>) {}
}
