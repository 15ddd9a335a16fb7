// SPDX-License-Identifier: GPL-2.0-only
//! Proofs of where code is running.
//!
//! Much of resctrl is only legal in some place: a cross-call needs CPU hotplug held off, a register can only be read
//! on a CPU of its domain, a function that sleeps must not run with interrupts off. The kernel checks that at run time,
//! if at all; here it is an argument. A platform makes these proofs, everybody else can only pass them on.
//!
//! | Proof | Says |
//! |---|---|
//! | [`CpusHeld`] | no CPU comes or goes while this lives (`cpus_read_lock`, or a hotplug callback) |
//! | [`CpusStay`](crate::CpusStay) | certain CPUs do not go while this lives: all, or those that a held mutex keeps. See [`crate::stay`] |
//! | [`Pinned`] | running in a thread that stays on one CPU; may sleep |
//! | [`IrqOff`] | running on one CPU with interrupts off; must not sleep |
//! | [`Here`] | one of the two: on one CPU, ask before sleeping |
//! | [`HotplugCpu`] | in the hotplug callback of a CPU, on that CPU, with hotplug held off otherwise |
//! | [`WorkerContext`] | in a delayed worker, perhaps no longer on the CPU it was queued on |
//! | [`BoundTo`] | on a CPU for as long as that does not finish its hotplug callback: half of a [`Pinned`] |
//!
//! None of them is `Send`: a proof is about the thread that holds it.

use core::marker::PhantomData;

use crate::ids::CpuId;

type NotSend<'a> = PhantomData<(&'a (), *const ())>;

/// CPU hotplug is held off: the set of online CPUs does not change while this lives.
#[derive(Clone, Copy, Debug)]
#[must_use = "it proves something only to whoever asks for it"]
pub struct CpusHeld<'a>(NotSend<'a>);

impl CpusHeld<'_> {
    /// # Safety
    /// The caller holds the hotplug lock, for reading or writing, for all of the lifetime.
    pub const unsafe fn new() -> Self {
        CpusHeld(PhantomData)
    }
}

/// Running in a thread that stays on [`Pinned::cpu`]; may sleep.
#[derive(Clone, Copy, Debug)]
#[must_use = "it proves something only to whoever asks for it"]
pub struct Pinned<'a> {
    cpu: CpuId,
    scope: NotSend<'a>,
}

impl Pinned<'_> {
    /// # Safety
    /// For all of the lifetime the calling thread runs on `cpu` and nowhere else, and may sleep.
    pub const unsafe fn new(cpu: CpuId) -> Self {
        Pinned { cpu, scope: PhantomData }
    }

    /// The CPU this runs on.
    #[must_use]
    pub const fn cpu(self) -> CpuId {
        self.cpu
    }
}

/// Running on [`IrqOff::cpu`] with interrupts off; must not sleep.
#[derive(Clone, Copy, Debug)]
#[must_use = "it proves something only to whoever asks for it"]
pub struct IrqOff<'a> {
    cpu: CpuId,
    scope: NotSend<'a>,
}

impl IrqOff<'_> {
    /// # Safety
    /// For all of the lifetime the caller runs on `cpu` with interrupts off.
    pub const unsafe fn new(cpu: CpuId) -> Self {
        IrqOff { cpu, scope: PhantomData }
    }

    /// The CPU this runs on.
    #[must_use]
    pub const fn cpu(self) -> CpuId {
        self.cpu
    }
}

/// Running on one CPU. Whether it may sleep is for the match to say.
#[derive(Clone, Copy, Debug)]
#[must_use = "it proves something only to whoever asks for it"]
pub enum Here<'a> {
    /// In a thread; may sleep.
    Thread(Pinned<'a>),
    /// With interrupts off; must not sleep.
    Irq(IrqOff<'a>),
}

impl Here<'_> {
    /// The CPU this runs on.
    #[must_use]
    pub const fn cpu(self) -> CpuId {
        match self {
            Here::Thread(pinned) => pinned.cpu(),
            Here::Irq(irq) => irq.cpu(),
        }
    }
}

impl<'a> From<Pinned<'a>> for Here<'a> {
    fn from(pinned: Pinned<'a>) -> Self {
        Here::Thread(pinned)
    }
}

impl<'a> From<IrqOff<'a>> for Here<'a> {
    fn from(irq: IrqOff<'a>) -> Self {
        Here::Irq(irq)
    }
}

/// In the hotplug callback of one CPU: running on it, pinned, while the hotplug lock is held for writing.
#[derive(Clone, Copy, Debug)]
#[must_use = "it proves something only to whoever asks for it"]
pub struct HotplugCpu<'a> {
    here: Pinned<'a>,
    cpus: CpusHeld<'a>,
}

impl<'a> HotplugCpu<'a> {
    /// # Safety
    /// The caller is the hotplug callback of `cpu`, runs on it, and the hotplug lock is held for writing on its behalf.
    pub const unsafe fn new(cpu: CpuId) -> Self {
        // SAFETY: the callback runs on `cpu`, in a thread bound to it.
        let here = unsafe { Pinned::new(cpu) };
        // SAFETY: the hotplug lock is held for writing, which excludes every other CPU's coming and going.
        let cpus = unsafe { CpusHeld::new() };
        HotplugCpu { here, cpus }
    }

    /// Running on the CPU that comes or goes.
    pub const fn here(self) -> Pinned<'a> {
        self.here
    }

    /// No other CPU comes or goes meanwhile.
    pub const fn cpus(self) -> CpusHeld<'a> {
        self.cpus
    }

    /// The CPU that comes or goes.
    #[must_use]
    pub const fn cpu(self) -> CpuId {
        self.here.cpu
    }
}

/// On the worker thread of one CPU, which leaves it only when the CPU goes.
///
/// That is not yet [`Pinned`]: the CPU may go at any moment. Who holds the mutex which the CPU's offline callback takes, and
/// finds the CPU in the set from which that callback takes it, knows that it has not passed and cannot: see
/// [`BoundTo::pin`].
///
/// A worker's context by itself is no proof to read a register with:
///
/// ```compile_fail,E0308
/// use resctrl_types::{Pinned, WorkerContext};
///
/// fn read_counter(_: Pinned<'_>) {}
///
/// fn run(context: WorkerContext<'_>) {
///     if let WorkerContext::Bound(here) = context {
///         read_counter(here);
///     }
/// }
/// ```
///
/// Nor does the proof outlive the mutex, here the borrow of its key:
///
/// ```compile_fail,E0502
/// use resctrl_types::locked::{Key, LockedBy};
/// use resctrl_types::{BoundTo, OnlineCpus};
///
/// fn run(bound: BoundTo<'_>, key: &mut Key, online: &OnlineCpus, domain: &LockedBy<u64>) {
///     let (_, held) = domain.get_mut_held(key);
///     let here = bound.pin(online, held);
///     release(key);
///     drop(here);
/// }
/// # fn release(_: &mut Key) {}
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it proves something only to whoever asks for it"]
pub struct BoundTo<'a> {
    cpu: CpuId,
    scope: NotSend<'a>,
}

impl BoundTo<'_> {
    /// # Safety
    /// Until the offline callback of `cpu` has finished, or the lifetime ends, the calling thread runs on `cpu` and nowhere
    /// else, and may sleep.
    pub const unsafe fn new(cpu: CpuId) -> Self {
        BoundTo { cpu, scope: PhantomData }
    }

    /// The CPU this runs on, unless that has gone.
    #[must_use]
    pub const fn cpu(self) -> CpuId {
        self.cpu
    }
}

/// In the handler of a delayed work.
///
/// A work queued on a CPU runs there, unless the CPU went offline in between; then it runs on any CPU, unbound.
#[derive(Clone, Copy, Debug)]
#[must_use = "it proves something only to whoever asks for it"]
pub enum WorkerContext<'a> {
    /// On the worker thread of one CPU.
    Bound(BoundTo<'a>),
    /// The CPU it was queued on has gone.
    Displaced,
}
