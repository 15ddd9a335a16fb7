// SPDX-License-Identifier: GPL-2.0-only
//! RDT, or AMD's QoS, under an x86 guest: what happens when it executes CPUID, RDMSR or WRMSR.
//!
//! QEMU knows nothing of RDT: it answers CPUID without it, reads its registers as zero and drops writes to them. The
//! few instructions below are watched and nothing else, so a guest runs at almost full speed:
//!
//! * CPUID and RDMSR execute as they are; before the *next* instruction the plugin puts the emulated results into the
//!   registers (`pending`). Skipping the instruction instead would lose the lazily computed flags.
//! * WRMSR is carried out before QEMU drops it.
//! * PAUSE is left to QEMU, and to [`crate::spin`].
//! * While caches follow what the guest does, loads, stores and fetches are watched too ([`crate::feed`]), and what `caching` has.
//! * The first instruction behind reset finds every register of RDT at its reset value: suspend to RAM takes the power away.
//! * A breakpoint of the kernel's is executed if it is still there (`breakpoint`).
//! * A general protection fault is raised by QEMU itself: the plugin swaps the arguments for ones QEMU refuses, and puts
//!   the guest's own back when the exception is on its way.
//!
//! A leaf of CPUID that no processor has is the way for guest programs to drive the traffic source, see
//! [`resctrl_hardware::control`].

mod breakpoint;
mod caching;
mod instruction;
mod pending;
mod pmu;

use crate::count::{Counted, Counts};
use crate::feed;
use crate::fit::{Fit, Told};
use crate::kept::Kept;
use crate::log::Log;
use crate::low;
use crate::nanoseconds_since;
use crate::qemu::{Api, Block, CpuCallback, Handles, INTERRUPT, PluginId, current, number};
use crate::spin::give_way_at;
use caching::Caching;
use instruction::{Instruction, MAX_LENGTH};
use pending::{Displaced, InFlight, Late, Place};
use resctrl_hardware::control::{Answer, Call, Request};
use resctrl_hardware::pmu::Pmu;
use resctrl_hardware::registers::{Msr, PqrAssoc, QmEvtsel};
use resctrl_hardware::write_log::Kind;
use resctrl_hardware::{Gp, Rdt, control};
use std::ffi::{CStr, c_uint, c_void};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The registers the plugin touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Rax,
    Rbx,
    Rcx,
    Rdx,
    Rsi,
    Rdi,
    Rbp,
    Rsp,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    Cs,
    Cr0,
    Cr3,
    Cr4,
    Rip,
}

/// QEMU's names for them.
const REGISTERS: [&CStr; 21] = [
    c"rax", c"rbx", c"rcx", c"rdx", c"rsi", c"rdi", c"rbp", c"rsp", c"r8", c"r9", c"r10", c"r11", c"r12", c"r13",
    c"r14", c"r15", c"cs", c"cr0", c"cr3", c"cr4", c"rip",
];

/// The one plugin of this process; callbacks carry an address in the only word QEMU hands them.
static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// Everything a callback needs.
#[derive(Debug)]
pub(crate) struct Plugin {
    id: PluginId,
    api: Api,
    handles: OnceLock<Handles>,
    rdt: Rdt,
    pmu: Option<Pmu>,
    fit: Fit,
    log: Option<Log>,
    kept: Option<Kept>,
    counts: Option<Counts>,
    started: Instant,
    cpus: Vec<Mutex<Cpu>>,
    displaced: Mutex<Displaced>,
    /// How many there are: the lock is only taken when there are some.
    displaced_count: AtomicUsize,
    /// How many nanoseconds longer the next read of a counter takes.
    slow_read: AtomicU64,
}

/// What one CPU has under way. Only its own thread looks at it.
#[derive(Debug, Default)]
struct Cpu {
    in_flight: InFlight,
    /// RCX and RDX of the guest, while QEMU is made to fault with others.
    faulting: Option<[u64; 2]>,
}

/// Where the first processor begins after reset. Secondary ones begin elsewhere, so whoever gets here has had no power before:
/// the machine has been switched on, or wakes up from suspend to RAM.
const RESET_VECTOR: u64 = 0xffff_fff0;

/// A write QEMU refuses whatever the processor model: the upper half of `IA32_PKRS` is reserved.
const REFUSED_WRITE: [u64; 2] = [0x6e1, 1];
/// A read QEMU refuses: the last x2APIC register, which is none.
const REFUSED_READ: u64 = 0x8ff;

impl Plugin {
    /// Sets the plugin up; QEMU calls the entry point once.
    pub(crate) fn start(
        id: PluginId,
        api: Api,
        (rdt, fit): (Rdt, Fit),
        (log, kept): (Option<Log>, Option<Kept>),
        counts: Option<Counts>,
        cpus: usize,
    ) -> &'static Self {
        let cpus = (0..cpus).map(|_| Mutex::default()).collect();
        let plugin = PLUGIN.get_or_init(|| Self {
            id,
            api,
            handles: OnceLock::new(),
            pmu: Pmu::of(rdt.machine()),
            rdt,
            fit,
            log,
            kept,
            counts,
            started: Instant::now(),
            cpus,
            displaced: Mutex::default(),
            displaced_count: AtomicUsize::new(0),
            slow_read: AtomicU64::new(0),
        });
        feed::begin(&plugin.api, plugin.rdt.caches());
        plugin
    }

    /// What it puts under the guest.
    pub(crate) fn rdt(&self) -> &Rdt {
        &self.rdt
    }

    /// Has the hooks called.
    pub(crate) fn register(&self) {
        self.api.register(self.id, on_init, on_translate, on_exit);
        self.api.register_interruption(self.id, on_interruption);
    }

    /// Nanoseconds since the plugin was set up.
    fn now(&self) -> u64 {
        nanoseconds_since(self.started)
    }

    fn cpu(&self, index: usize) -> MutexGuard<'_, Cpu> {
        self.cpus[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, register: Register) -> u64 {
        self.handles.get().map_or(0, |handles| self.api.read(handles, register as usize))
    }

    /// The low half of a register, all that RDMSR and CPUID look at.
    fn read_low(&self, register: Register) -> u32 {
        low(self.read(register))
    }

    fn write(&self, register: Register, value: u64) {
        if let Some(handles) = self.handles.get() {
            self.api.write(handles, register as usize, value);
        }
    }

    /// Whether the CPU may execute RDMSR and WRMSR; without protected mode everything may.
    fn privileged(&self) -> bool {
        self.read(Register::Cs) & 3 == 0 || self.read(Register::Cr0) & 1 == 0
    }

    fn later(&self, cpu: usize, next: u64, late: Late) {
        self.cpu(cpu).in_flight.put(next, late);
    }

    fn cpuid(&self, cpu: usize, next: u64) {
        let (leaf, subleaf) = (self.read_low(Register::Rax), self.read_low(Register::Rcx));
        if leaf == control::LEAF {
            let call = [Register::Rcx, Register::Rbx, Register::Rdx, Register::Rsi, Register::Rdi];
            let call = call.map(|register| self.read(register));
            let counted = self.counts.as_ref().and_then(|counts| counts.answer(call));
            let answer = counted.or_else(|| self.answer(call)).unwrap_or_else(|| self.rdt.control(call, self.now()));
            self.later(cpu, next, Late::Cpuid(answer));
        } else if let Some(answer) = self.pmu.as_ref().and_then(|pmu| pmu.cpuid(leaf)) {
            self.later(cpu, next, Late::Cpuid(answer.map(u64::from)));
        } else if let Some(answer) = self.rdt.cpuid(cpu, leaf, subleaf) {
            self.later(cpu, next, Late::Cpuid(answer.map(u64::from)));
        } else if self.rdt.patches_cpuid(leaf) {
            self.later(cpu, next, Late::Patch { leaf, subleaf });
        } else if Told::of_leaf(leaf, subleaf).is_some_and(|told| self.fit.waits_for(told)) {
            self.later(cpu, next, Late::Look { leaf, subleaf });
        }
    }

    /// The answer to a command that is about how the guest is executed.
    fn answer(&self, call: Call) -> Option<Answer> {
        match Request::decode(call) {
            Ok(Request::SlowRead(nanoseconds)) => self.slow_read.store(nanoseconds, Ordering::Relaxed),
            Ok(Request::Keep) => self.keep("asked for by the guest"),
            Ok(Request::Caches(_)) => {
                let answer = self.rdt.control(call, self.now());
                self.translate_anew();
                return Some(answer);
            }
            _ => return None,
        }
        Some(control::answer(Ok([0; 3])))
    }

    /// Has all that was translated thrown away.
    fn translate_anew(&self) {
        self.api.reset(self.id, on_registrable);
    }

    /// Writes down what the registers hold.
    fn keep(&self, why: &str) {
        if let Some(kept) = &self.kept {
            kept.add(why, self.now(), &self.rdt.shown(self.now()));
        }
    }

    fn rdmsr(&self, cpu: usize, next: u64) {
        let address = self.read_low(Register::Rcx);
        let pmu = self.pmu_with(address).filter(|_| self.privileged());
        if let Some(value) = pmu.and_then(|pmu| pmu.rdmsr(cpu, address, self.happened(cpu))) {
            self.later(cpu, next, Late::Rdmsr(value));
            return;
        }
        let Some(register) = Msr::at(address).filter(|_| self.privileged()) else { return };
        self.count(Counted::Read);
        if register == Msr::QmCtr {
            // On the thread that executes this CPU: the others go on.
            std::thread::sleep(Duration::from_nanos(self.slow_read.swap(0, Ordering::Relaxed)));
        }
        match self.rdt.rdmsr(cpu, address, self.now()) {
            Ok(Some(value)) => self.later(cpu, next, Late::Rdmsr(value)),
            Ok(None) => {}
            Err(fault) => {
                self.note_fault(cpu, "rdmsr", address, None, fault);
                self.fault(cpu, [REFUSED_READ, self.read(Register::Rdx)]);
            }
        }
    }

    fn wrmsr(&self, cpu: usize) {
        let address = self.read_low(Register::Rcx);
        let pmu = self.pmu_with(address);
        if pmu.is_none() && Msr::at(address).is_none() || !self.privileged() {
            return;
        }
        let value = u64::from(self.read_low(Register::Rax)) | self.read(Register::Rdx) << 32;
        let written = match pmu {
            Some(pmu) => pmu.wrmsr(cpu, address, value, self.happened(cpu)),
            None => {
                self.count(Counted::Write);
                self.rdt.wrmsr(cpu, address, value, self.now()).inspect(|_| self.note_write(cpu, address, value))
            }
        };
        if let Err(fault) = written {
            self.note_fault(cpu, "wrmsr", address, Some(value), fault);
            self.fault(cpu, REFUSED_WRITE);
        }
    }

    fn count(&self, what: Counted) {
        if let Some(counts) = &self.counts {
            counts.add(what);
        }
    }

    /// Makes the instruction about to execute fault, by arguments QEMU itself refuses.
    fn fault(&self, cpu: usize, [rcx, rdx]: [u64; 2]) {
        self.cpu(cpu).faulting = Some([self.read(Register::Rcx), self.read(Register::Rdx)]);
        self.write(Register::Rcx, rcx);
        self.write(Register::Rdx, rdx);
    }

    /// An interrupt or exception is taken, the handler has not begun.
    fn interrupted(&self, cpu: usize) {
        let (faulting, in_flight) = {
            let mut cpu = self.cpu(cpu);
            (cpu.faulting.take(), cpu.in_flight.interrupt())
        };
        if let Some([rcx, rdx]) = faulting {
            self.write(Register::Rcx, rcx);
            self.write(Register::Rdx, rdx);
        }
        if let Some((pc, late)) = in_flight {
            let place = Place::new(pc, self.read(Register::Cr3));
            self.with_displaced(|displaced| displaced.push(place, late));
        }
    }

    fn with_displaced<T>(&self, act: impl FnOnce(&mut Displaced) -> T) -> T {
        let mut displaced = self.displaced.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut displaced);
        self.displaced_count.store(displaced.len(), Ordering::Relaxed);
        result
    }

    /// The result due at this instruction, if there is one.
    fn due(&self, cpu: usize, pc: u64) -> Option<Late> {
        let in_flight = self.cpu(cpu).in_flight.take(pc);
        // A program that was displaced got here by way of the scheduler's locks, so the count is not behind for it.
        if in_flight.is_some() || self.displaced_count.load(Ordering::Relaxed) == 0 {
            return in_flight;
        }
        let place = Place::new(pc, self.read(Register::Cr3));
        self.with_displaced(|displaced| displaced.take(place))
    }

    fn deliver(&self, cpu: usize, pc: u64) {
        let late = self.due(cpu, pc);
        let general = [Register::Rax, Register::Rbx, Register::Rcx, Register::Rdx];
        match late {
            None => {}
            Some(Late::Cpuid(values)) => {
                for (register, value) in general.into_iter().zip(values) {
                    self.write(register, value);
                }
            }
            Some(Late::Look { leaf, subleaf }) => {
                let native = general.map(|register| self.read_low(register));
                if let Some(told) = Told::of_leaf(leaf, subleaf) {
                    self.fit.check(told, |machine| machine.check_cpuid(leaf, subleaf, native));
                }
            }
            Some(Late::Patch { leaf, subleaf }) => {
                let native = general.map(|register| self.read_low(register));
                for (register, value) in general.into_iter().zip(self.rdt.patch_cpuid(leaf, subleaf, native)) {
                    self.write(register, value.into());
                }
            }
            Some(Late::Rdmsr(value)) => {
                self.write(Register::Rax, value & u64::from(u32::MAX));
                self.write(Register::Rdx, value >> 32);
            }
        }
    }

    /// Tells a write that changes how resources are shared out; the others are part of every context switch or read.
    fn note_write(&self, cpu: usize, address: u32, value: u64) {
        if let (Some(log), false) = (&self.log, [PqrAssoc::ADDRESS, QmEvtsel::ADDRESS].contains(&address)) {
            log.line(self.now(), format_args!("cpu {cpu} wrmsr {address:#x} = {value:#x}"));
        }
    }

    fn note_fault(&self, cpu: usize, instruction: &str, address: u32, value: Option<u64>, fault: Gp) {
        let Some(log) = &self.log else { return };
        let value = value.map(|value| format!(" = {value:#x}")).unwrap_or_default();
        log.line(self.now(), format_args!("cpu {cpu} {instruction} {address:#x}{value}: #GP, {fault}"));
    }

    fn translate(&self, block: *mut Block) {
        let mut results_due = None;
        if self.counts.is_some() {
            // SAFETY: the block is the one this callback was called with.
            unsafe { Counts::watch(&self.api, block) };
        }
        let feed = feed::running();
        if let Some(feed) = feed {
            // SAFETY: the block is the one this callback was called with.
            unsafe { feed.watch_fetches(block, caching::mode) };
        }
        // SAFETY: the block is the one this callback was called with.
        for insn in unsafe { self.api.instructions(block) } {
            let address = insn.address();
            // A block may begin right behind an instruction whose results are still due.
            let due = results_due
                .unwrap_or_else(|| self.api.memory(address.wrapping_sub(2)).is_some_and(Instruction::may_precede));
            if due {
                insn.before(on_next, address);
            }
            if address == RESET_VECTOR {
                insn.before(on_reset, address);
            }
            let mut room = [0; MAX_LENGTH];
            let size = insn.size();
            // Shorter or longer than any that is watched, with the prefixes compilers and kernels use.
            let bytes = if (1..=8).contains(&size) { insn.bytes(&mut room) } else { &[] };
            if breakpoint::is_kernels(size, bytes, address) {
                breakpoint::watch(&insn, address);
            }
            let watched = Instruction::decode(bytes);
            let next = address.wrapping_add(size as u64);
            if let Some(feed) = feed {
                feed.watch_data(&insn, caching::mode(address));
                if let Some(caching) = Caching::decode(insn.bytes(&mut [0; MAX_LENGTH]), next) {
                    caching.watch(&insn);
                }
            }
            results_due = Some(matches!(watched, Some(Instruction::Cpuid | Instruction::Rdmsr)));
            let Some(watched) = watched else { continue };
            let hook: CpuCallback = match watched {
                Instruction::Pause => {
                    give_way_at(&insn);
                    continue;
                }
                Instruction::Rdpmc => {
                    if self.pmu.is_some() {
                        insn.instead(pmu::on_rdpmc, next);
                    }
                    continue;
                }
                Instruction::Cpuid => on_cpuid,
                Instruction::Rdmsr => on_rdmsr,
                Instruction::Wrmsr => on_wrmsr,
            };
            insn.before(hook, next);
        }
    }
}

/// QEMU has forgotten everything, and takes callbacks again.
extern "C" fn on_registrable(_data: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.register();
    }
}

extern "C" fn on_reset(_cpu: c_uint, _address: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    plugin.rdt.lose_power();
    plugin.pmu.iter().for_each(Pmu::lose_power);
    if let Some(log) = &plugin.log {
        log.line(plugin.now(), format_args!("power"));
    }
}

/// The plugin, in a callback: they are registered after it is set up.
fn plugin() -> Option<&'static Plugin> {
    PLUGIN.get()
}

extern "C" fn on_cpuid(cpu: c_uint, next: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.cpuid(current::cpu(cpu), number(next));
    }
}

extern "C" fn on_rdmsr(cpu: c_uint, next: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.rdmsr(current::cpu(cpu), number(next));
    }
}

extern "C" fn on_wrmsr(cpu: c_uint, _next: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.wrmsr(current::cpu(cpu));
    }
}

extern "C" fn on_next(cpu: c_uint, address: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.deliver(current::cpu(cpu), number(address));
    }
}

extern "C" fn on_interruption(cpu: c_uint, kind: c_uint, _from: u64, to: u64, _data: *mut c_void) {
    if let Some(plugin) = plugin() {
        if let (Some(counts), INTERRUPT) = (&plugin.counts, kind) {
            counts.interrupted(to);
        }
        plugin.interrupted(current::cpu(cpu));
    }
}

extern "C" fn on_translate(block: *mut Block, _data: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.translate(block);
    }
}

extern "C" fn on_init(cpu: c_uint, _data: *mut c_void) {
    if let Some(plugin) = plugin() {
        current::begin(cpu, plugin.cpus.len());
        plugin.api.find_handles(&REGISTERS, &plugin.handles);
    }
}

extern "C" fn on_exit(_data: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    plugin.keep("at the end");
    let Some(log) = &plugin.log else { return };
    for kind in Kind::ALL {
        log.line(plugin.now(), format_args!("exit: {} writes, {}", plugin.rdt.writes(kind), kind.name()));
    }
}
