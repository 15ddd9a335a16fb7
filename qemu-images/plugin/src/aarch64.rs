// SPDX-License-Identifier: GPL-2.0-only
//! MPAM under an Arm guest.
//!
//! QEMU knows nothing of MPAM. Processors get it so:
//!
//! * MRS and MSR of its registers are skipped at EL1 and EL2, where QEMU would raise an exception, and the result is put
//!   into the general register. At EL0 nothing is done, as on hardware: the kernel gets the exception.
//! * `ID_AA64PFR0_EL1`, which tells of MPAM, is not among the registers that QEMU shows a plugin. MRS of it executes as it
//!   is, and before the *next* instruction the field is put into the general register.
//!
//! * A CPU that was off has lost what was in them. Software that sets a processor up writes `MAIR_EL1` before it turns
//!   address translation on, that is at an address as low as memory is; nobody else does, so there the CPU came from reset.
//!
//! The page of an MSC is plain memory that the guest does not use as memory:
//!
//! * After a load from it, what was loaded is replaced by what the register reads as at this time.
//! * After a store to it, the register is written, and all the memory that would read otherwise now is changed, so that
//!   loads which are not watched (of bytes, by an unusual instruction) read the registers as well.
//!
//! Only loads and stores of the kernel, of the kinds in `instruction`, are watched, and most of these end at a look at the
//! address: devices are mapped into the upper half of the kernel's addresses, most memory into the lower.
//!
//! Where the machine has counters of the processor, MRS and MSR of the registers of QEMU's PMU are watched (`pmu`).
//!
//! YIELD and WFE are left to QEMU, and to [`crate::spin`].
//!
//! While caches follow what the guest does, all loads, stores and fetches are watched too ([`crate::feed`]), and what `caching`
//! has.
//!
//! An interrupt is raised as another device's would be, only by a register of the interrupt controller that software uses.
//!
//! On a machine that is a chip of its own, HVC and SMC of the calls that ask for it are skipped as well, and its registers
//! are where QEMU has nothing: loads from there are replaced and stores taken as those of an MSC's page are.
//!
//! A hint that means nothing to any processor is the way for guest programs to the emulated hardware, see
//! [`resctrl_hardware::control`].

mod caching;
mod firmware;
mod instruction;
mod pmu;

use crate::count::{Counted, Counts};
use crate::feed;
use crate::fit::{Fit, Told};
use crate::kept::Kept;
use crate::log::Log;
use crate::low;
use crate::nanoseconds_since;
use crate::qemu::{Api, Block, Handles, Physical, PluginId, current, number};
use crate::spin::give_way_at;
use caching::Caching;
use instruction::Instruction;
use resctrl_hardware::caches::Mode;
use resctrl_hardware::control;
use resctrl_hardware::mpam::{Access, Effects, FIRST_SHARED_INTERRUPT, Level, System, SystemRegister};
use resctrl_hardware::pmu::arm::ArmPmu;
use resctrl_hardware::write_log::Kind;
use std::ffi::{CStr, c_uint, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// The one plugin of this process.
static PLUGIN: OnceLock<Plugin> = OnceLock::new();

/// QEMU's names for the general registers, and last for the state of the processor.
const REGISTERS: [&CStr; 32] = [
    c"x0", c"x1", c"x2", c"x3", c"x4", c"x5", c"x6", c"x7", c"x8", c"x9", c"x10", c"x11", c"x12", c"x13", c"x14",
    c"x15", c"x16", c"x17", c"x18", c"x19", c"x20", c"x21", c"x22", c"x23", c"x24", c"x25", c"x26", c"x27", c"x28",
    c"x29", c"x30", c"cpsr",
];
const CPSR: usize = 31;

/// The register that always reads as zero.
const ZERO: u8 = 31;

/// Bits of a virtual address of the kernel, and the one that is set in the half which devices are mapped into.
const KERNEL: u64 = 0xffff << 48;
const UPPER_HALF: u64 = 1 << 47;

/// `ID_AA64PFR0_EL1.MPAM`: version 1.0 (`ID_AA64PFR1_EL1.MPAM_frac`, which QEMU has as 0, adds nothing to it).
const MPAM_FIELD: u64 = 0xf << 40;
const MPAM_VERSION_1: u64 = 1 << 40;

/// `GICD_ISPENDR0` of QEMU's `virt`: a bit for each interrupt, 32 a register.
const SET_PENDING: u64 = 0x0800_0200;

/// `GICR_ISPENDR0` of the first processor of QEMU's `virt`, and how far it is to the next one's: the same for the private
/// interrupts, which are in one register.
const SET_PENDING_PRIVATE: u64 = 0x080b_0200;
const REDISTRIBUTOR_SIZE: u64 = 0x2_0000;

/// What a load or store of a register is to.
enum Target {
    /// A page of an MSC.
    Msc(Access),
    /// A register of the chip, at this offset.
    Chip(u64),
}

/// Everything a callback needs.
#[derive(Debug)]
pub(crate) struct Plugin {
    id: PluginId,
    api: Api,
    handles: OnceLock<Handles>,
    system: System,
    fit: Fit,
    /// [`System::words_to_watch`], for loads.
    words: [u64; 16],
    log: Option<Log>,
    kept: Option<Kept>,
    counts: Option<Counts>,
    /// Events in the counters of the processor, on a machine that has them.
    pmu: Option<ArmPmu>,
    started: Instant,
    /// The pages have got what registers read as after reset.
    filled: AtomicBool,
    /// For each CPU the address behind the MRS of an identification register it is executing, or 0.
    awaited: Vec<AtomicU64>,
    /// Changes of memory happen in the order of what caused them.
    order: Mutex<()>,
}

/// Whose code is at an address: Linux has the upper half.
fn mode(address: u64) -> Mode {
    if address & KERNEL == KERNEL { Mode::Kernel } else { Mode::User }
}

/// What an instruction is about, packed into the number a callback gets.
fn pack(register: SystemRegister, general: u8, address: u64) -> u64 {
    // Of an address the uppermost bits are all alike.
    (address << 8) | (register as u64) << 5 | u64::from(general)
}

fn unpack(data: u64) -> (SystemRegister, u8, u64) {
    let register = SystemRegister::ALL[(data >> 5 & 7) as usize % SystemRegister::ALL.len()];
    (register, (data & 0x1f) as u8, (data.cast_signed() >> 8).cast_unsigned())
}

impl Plugin {
    /// Sets the plugin up; QEMU calls the entry point once.
    pub(crate) fn start(
        id: PluginId,
        api: Api,
        (system, fit): (System, Fit),
        (log, kept): (Option<Log>, Option<Kept>),
        counts: Option<Counts>,
        cpus: usize,
    ) -> &'static Self {
        let plugin = PLUGIN.get_or_init(|| Self {
            id,
            api,
            handles: OnceLock::new(),
            words: system.words_to_watch(),
            pmu: ArmPmu::of(system.machine()),
            system,
            fit,
            log,
            kept,
            counts,
            started: Instant::now(),
            filled: AtomicBool::new(false),
            awaited: (0..cpus).map(|_| AtomicU64::new(0)).collect(),
            order: Mutex::new(()),
        });
        feed::begin(&plugin.api, plugin.system.caches());
        plugin
    }

    /// Has the hooks called.
    pub(crate) fn register(&self) {
        self.api.register(self.id, on_init, on_translate, on_exit);
    }

    /// Nanoseconds since the plugin was set up.
    fn now(&self) -> u64 {
        nanoseconds_since(self.started)
    }

    fn read(&self, register: usize) -> u64 {
        self.handles.get().map_or(0, |handles| self.api.read(handles, register))
    }

    fn read_general(&self, register: u8) -> u64 {
        if register == ZERO { 0 } else { self.read(register.into()) }
    }

    fn write_general(&self, register: u8, value: u64) {
        if let (Some(handles), false) = (self.handles.get(), register == ZERO) {
            self.api.write(handles, register.into(), value);
        }
    }

    /// Exception level of the CPU.
    fn level(&self) -> Level {
        Level::from_number(self.read(CPSR) >> 2 & 3)
    }

    /// Does something to the hardware, and what follows from it outside.
    fn with_system<T>(&self, act: impl FnOnce(&System, u64) -> (T, Effects)) -> T {
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let (result, effects) = act(&self.system, self.now());
        for (address, value) in effects.memory {
            self.api.write_physical(address, value);
        }
        // QEMU takes a lock of its own for a device, which a CPU may hold that waits for ours.
        drop(order);
        for interrupt in effects.interrupts {
            self.note(format_args!("interrupt {interrupt}"));
            let bit = 1 << (interrupt % 32);
            if interrupt < FIRST_SHARED_INTERRUPT {
                for cpu in 0..self.awaited.len() as u64 {
                    self.api.write_physical(SET_PENDING_PRIVATE + cpu * REDISTRIBUTOR_SIZE, bit);
                }
            } else {
                self.api.write_physical(SET_PENDING + u64::from(interrupt / 32 * 4), bit);
            }
        }
        result
    }

    fn count(&self, what: Counted, many: u64) {
        if let Some(counts) = &self.counts {
            counts.add_several(what, many);
        }
    }

    /// Counts the interrupts that a CPU sends by a write to the register for that.
    fn interrupts(&self, value: u64) {
        self.count(Counted::Interrupt, instruction::receivers(value, self.awaited.len()));
    }

    fn note(&self, text: std::fmt::Arguments<'_>) {
        if let Some(log) = &self.log {
            log.line(self.now(), text);
        }
    }

    /// Fills the pages, once. Every kernel reads the features of its processor long before it looks for MSCs, but not
    /// before there is memory.
    fn fill(&self) {
        if self.filled.swap(true, Ordering::Relaxed) {
            return;
        }
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = self.system.power_on(self.now()).memory;
        let missing = pages.into_iter().find(|&(address, value)| !self.api.write_physical(address, value));
        drop(order);
        if let Some((address, _)) = missing {
            self.fit.refuse_without_memory_at(address);
        }
    }

    /// Whether a CPU is behind the MRS that it was executing, now that it gets to this address.
    fn arrived(&self, cpu: usize, address: u64) -> bool {
        self.awaited[cpu].compare_exchange(address, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Carries an MRS out. Tells whether it is done; else it is QEMU's to refuse.
    fn mrs(&self, cpu: usize, register: SystemRegister, general: u8) -> bool {
        let Some(value) = self.system.mrs(cpu, self.level(), register) else { return false };
        self.count(Counted::Read, 1);
        self.write_general(general, value);
        true
    }

    fn msr(&self, cpu: usize, register: SystemRegister, general: u8) -> bool {
        let (level, value) = (self.level(), self.read_general(general));
        self.count(Counted::Write, 1);
        self.with_system(|system, now| match system.msr(cpu, level, register, value, now) {
            Some(effects) => (true, effects),
            None => (false, Effects::default()),
        })
    }

    /// Carries out a call of firmware that is not for QEMU's.
    fn firmware(&self) -> bool {
        if !self.system.shows_mpam(self.level()) {
            return false;
        }
        let Some(soc_id) = self.system.soc_id() else { return false };
        let Some(answer) = firmware::answer(low(self.read(0)), low(self.read(1)), soc_id) else { return false };
        self.write_general(0, answer);
        true
    }

    /// The answer to a command that is not the hardware's.
    fn answer(&self, call: control::Call) -> Option<control::Answer> {
        let Ok(control::Request::Keep) = control::Request::decode(call) else { return None };
        self.keep("asked for by the guest");
        Some(control::answer(Ok([0; 3])))
    }

    /// Writes down what processors and MSCs hold.
    fn keep(&self, why: &str) {
        if let Some(kept) = &self.kept {
            kept.add(why, self.now(), &self.system.shown());
        }
    }

    fn channel(&self, cpu: usize) {
        if self.read(0) != u64::from(control::LEAF) {
            return;
        }
        let call = [1, 2, 3, 4, 5].map(|register| self.read(register));
        let counted = self.counts.as_ref().and_then(|counts| counts.answer(call)).or_else(|| self.answer(call));
        let caller = (cpu, self.level());
        let [status, first, third, second] =
            counted.unwrap_or_else(|| self.with_system(|system, now| system.control(call, caller, now)));
        for (register, value) in (0..).zip([status, first, second, third]) {
            self.write_general(register, value);
        }
        if let Ok(control::Request::Caches(_)) = control::Request::decode(call) {
            self.api.reset(self.id, on_registrable);
        }
    }

    /// What an access of the kernel is to, if it is to a register.
    fn target(&self, access: c_uint, address: u64, size: u32) -> Option<Target> {
        if address & UPPER_HALF == 0 {
            return None;
        }
        match self.api.physical(access, address)? {
            Physical::Memory(physical) => {
                let (msc, offset) = self.system.at(physical)?;
                Some(Target::Msc(Access { msc, offset, size }))
            }
            // Of the chip only whole registers are emulated.
            Physical::Device(physical) => self.system.at_chip(physical).filter(|_| size == 8).map(Target::Chip),
        }
    }

    fn loaded(&self, cpu: usize, at: &Target, general: u8) {
        self.count(Counted::Read, 1);
        let value = match *at {
            Target::Msc(at) => self.with_system(|system, now| system.load(cpu, at, now)),
            Target::Chip(offset) => self.system.chip_load(offset),
        };
        self.write_general(general, value);
    }

    fn stored(&self, cpu: usize, at: &Target, value: u64) {
        self.count(Counted::Write, 1);
        match *at {
            Target::Msc(at) => {
                self.note(format_args!("cpu {cpu} msc {} {:#x} = {value:#x}", at.msc, at.offset));
                self.with_system(|system, now| ((), system.store(cpu, at, value, now)));
            }
            Target::Chip(offset) => {
                self.note(format_args!("cpu {cpu} chip {offset:#x} = {value:#x}"));
                self.with_system(|system, now| ((), system.chip_store(offset, value, now)));
            }
        }
    }

    fn translate(&self, block: *mut Block) {
        let mut features_before = None;
        if self.counts.is_some() {
            // SAFETY: the block is the one this callback was called with.
            unsafe { Counts::watch(&self.api, block) };
        }
        let feed = feed::running();
        if let Some(feed) = feed {
            // SAFETY: the block is the one this callback was called with.
            unsafe { feed.watch_fetches(block, mode) };
        }
        // SAFETY: the block is the one this callback was called with.
        for insn in unsafe { self.api.instructions(block) } {
            let address = insn.address();
            // A block may begin right behind the instruction whose result is to be changed.
            let before = features_before.unwrap_or_else(|| {
                let word = self.api.memory(address.wrapping_sub(4)).map(u32::from_le_bytes);
                word.and_then(Instruction::decode)
            });
            match before {
                Some(Instruction::MrsFeatures(general)) => {
                    insn.before(on_features, pack(SystemRegister::Mpamidr, general, address));
                }
                Some(Instruction::MrsProcessor(general)) if self.fit.waits_for(Told::Processor) => {
                    insn.before(on_processor, pack(SystemRegister::Mpamidr, general, address));
                }
                _ => {}
            }
            let mut room = [0; 4];
            let word = insn.bytes(&mut room).try_into().ok().map(u32::from_le_bytes);
            let watched = word.and_then(Instruction::decode);
            features_before = Some(watched);
            if let Some(feed) = feed {
                feed.watch_data(&insn, mode(address));
                if let Some(caching) = word.and_then(Caching::decode) {
                    caching.watch(&insn, mode(address));
                }
            }
            if let (Some(_), Some(word)) = (&self.pmu, word) {
                pmu::watch(&insn, word, address);
            }
            let kernel = address & KERNEL == KERNEL;
            match watched {
                Some(Instruction::Mrs(register, general)) => insn.instead(on_mrs, pack(register, general, address)),
                Some(Instruction::Msr(register, general)) => insn.instead(on_msr, pack(register, general, address)),
                Some(Instruction::MrsFeatures(_)) => insn.before(on_mrs_features, address.wrapping_add(4)),
                Some(Instruction::MrsProcessor(_)) if self.fit.waits_for(Told::Processor) => {
                    insn.before(on_mrs_processor, address.wrapping_add(4));
                }
                Some(Instruction::Firmware) if self.system.soc_id().is_some() => insn.instead(on_firmware, address),
                Some(Instruction::SetUp) if !kernel => insn.before(on_set_up, 0),
                Some(Instruction::Channel) => insn.before(on_channel, 0),
                Some(Instruction::Spin) => give_way_at(&insn),
                Some(Instruction::Interrupt(general)) if self.counts.is_some() => {
                    insn.before(on_interrupt, general.into());
                }
                Some(Instruction::Load(general, size)) if kernel => {
                    insn.after_loads(on_load, u64::from(general) | u64::from(size) << 8);
                }
                Some(Instruction::Store(size)) if kernel => insn.after_stores(on_store, size.into()),
                None
                | Some(
                    Instruction::Firmware
                    | Instruction::MrsProcessor(_)
                    | Instruction::SetUp
                    | Instruction::Interrupt(_)
                    | Instruction::Load(..)
                    | Instruction::Store(_),
                ) => {}
            }
        }
    }
}

/// The plugin, in a callback: they are registered after it is set up.
fn plugin() -> Option<&'static Plugin> {
    PLUGIN.get()
}

/// QEMU has forgotten everything, and takes callbacks again.
extern "C" fn on_registrable(_data: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.register();
    }
}

extern "C" fn on_mrs(cpu: c_uint, data: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    let (register, general, address) = unpack(number(data));
    if plugin.mrs(current::cpu(cpu), register, general) {
        // SAFETY: nothing here or in a caller is dropped.
        unsafe { plugin.api.go_on_at(address.wrapping_add(4)) };
    }
}

extern "C" fn on_msr(cpu: c_uint, data: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    let (register, general, address) = unpack(number(data));
    if plugin.msr(current::cpu(cpu), register, general) {
        // SAFETY: nothing here or in a caller is dropped.
        unsafe { plugin.api.go_on_at(address.wrapping_add(4)) };
    }
}

extern "C" fn on_mrs_features(cpu: c_uint, next: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    let level = plugin.level();
    let shown = plugin.system.shows_mpam(level);
    // At EL0 it is the kernel that answers.
    if shown || level != Level::El0 && plugin.fit.waits_for(Told::Features) {
        plugin.awaited[current::cpu(cpu)].store(number(next), Ordering::Relaxed);
    }
    if shown {
        plugin.fill();
    }
}

extern "C" fn on_features(cpu: c_uint, data: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    let (_, general, address) = unpack(number(data));
    if plugin.arrived(current::cpu(cpu), address) {
        let native = plugin.read_general(general);
        plugin.fit.check(Told::Features, |machine| machine.check_features(native));
        if plugin.system.shows_mpam(plugin.level()) {
            plugin.write_general(general, (native & !MPAM_FIELD) | MPAM_VERSION_1);
        }
    }
}

extern "C" fn on_mrs_processor(cpu: c_uint, next: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    // At EL0 it is the kernel that answers.
    if plugin.level() != Level::El0 {
        plugin.awaited[current::cpu(cpu)].store(number(next), Ordering::Relaxed);
    }
}

extern "C" fn on_processor(cpu: c_uint, data: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    let (_, general, address) = unpack(number(data));
    if plugin.arrived(current::cpu(cpu), address) {
        plugin.fit.check(Told::Processor, |machine| machine.check_midr(plugin.read_general(general)));
    }
}

extern "C" fn on_firmware(_cpu: c_uint, address: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    if plugin.firmware() {
        // SAFETY: nothing here or in a caller is dropped.
        unsafe { plugin.api.go_on_at(number(address).wrapping_add(4)) };
    }
}

extern "C" fn on_set_up(cpu: c_uint, _data: *mut c_void) {
    if let Some(plugin) = plugin()
        && plugin.system.shows_mpam(plugin.level())
    {
        plugin.pmu.iter().for_each(|pmu| pmu.lose_power(current::cpu(cpu)));
        plugin.with_system(|system, now| ((), system.power_cycle(current::cpu(cpu), now)));
    }
}

extern "C" fn on_channel(cpu: c_uint, _data: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.channel(current::cpu(cpu));
    }
}

extern "C" fn on_interrupt(_cpu: c_uint, general: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.interrupts(plugin.read_general((number(general) & 0x1f) as u8));
    }
}

extern "C" fn on_load(cpu: c_uint, access: c_uint, address: u64, data: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    // Loads are many: whatever is no register at its place in the page ends here.
    let word = address % 4096 / 4;
    if plugin.words[(word / 64) as usize] >> (word % 64) & 1 == 0 {
        return;
    }
    let data = number(data);
    if let Some(at) = plugin.target(access, address, low(data >> 8)) {
        plugin.loaded(current::cpu(cpu), &at, (data & 0x1f) as u8);
    }
}

extern "C" fn on_store(cpu: c_uint, access: c_uint, address: u64, data: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    if let Some(at) = plugin.target(access, address, low(number(data))) {
        plugin.stored(current::cpu(cpu), &at, plugin.api.value(access));
    }
}

extern "C" fn on_translate(block: *mut Block, _data: *mut c_void) {
    if let Some(plugin) = plugin() {
        plugin.translate(block);
    }
}

extern "C" fn on_init(cpu: c_uint, _data: *mut c_void) {
    if let Some(plugin) = plugin() {
        current::begin(cpu, plugin.awaited.len());
        plugin.api.find_handles(&REGISTERS, &plugin.handles);
    }
}

extern "C" fn on_exit(_data: *mut c_void) {
    let Some(plugin) = plugin() else { return };
    plugin.keep("at the end");
    for kind in Kind::ALL {
        plugin.note(format_args!("exit: {} writes, {}", plugin.system.writes(kind), kind.name()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_callback_needs_survives_in_one_number() {
        for address in [0, 0x4000_1234, 0xffff_8000_1234_5678, 0xfff0_0000_1234_5678] {
            let data = pack(SystemRegister::Mpam2, 30, address);
            assert_eq!(unpack(data), (SystemRegister::Mpam2, 30, address));
        }
    }
}
