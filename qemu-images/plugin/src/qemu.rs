// SPDX-License-Identifier: GPL-2.0-only
//! QEMU's plugin interface, version 7 (QEMU 11), and the few functions of GLib it needs, which live in QEMU's process.
//!
//! The functions are looked up at run time rather than linked: a QEMU that lacks one then gives a message a user can
//! act on instead of a dynamic linker's, and the unit tests run without QEMU.

pub(crate) mod current;
mod target;

use std::cell::OnceCell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::transmute;
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;

use crate::fit::refuse;
pub(crate) use target::{Guest, Target};

/// The version of the interface declared here.
pub(crate) const API_VERSION: c_int = 7;

/// QEMU's name for this plugin.
pub(crate) type PluginId = u64;

/// `qemu_info_t`, of a system emulator.
#[repr(C)]
#[derive(Debug)]
pub struct Info {
    target_name: *const c_char,
    oldest_version: c_int,
    current_version: c_int,
    system_emulation: bool,
    smp_vcpus: c_int,
    max_vcpus: c_int,
}

/// A translation block, while it is translated.
#[repr(C)]
pub(crate) struct Block([u8; 0]);
/// An instruction of a block, while it is translated.
#[repr(C)]
pub(crate) struct Insn([u8; 0]);
/// Where an access ends up, while its callback runs.
#[repr(C)]
pub(crate) struct HardwareAddress([u8; 0]);
/// A handle for a register, good for every CPU.
#[repr(C)]
pub(crate) struct Handle([u8; 0]);

/// A physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Physical {
    /// Of memory.
    Memory(u64),
    /// Of a device of QEMU's, or of nothing.
    Device(u64),
}

/// `GArray` and `GByteArray` alike.
#[repr(C)]
pub(crate) struct GArray {
    data: *mut u8,
    len: c_uint,
}

#[repr(C)]
struct RegisterDescriptor {
    handle: *mut Handle,
    name: *const c_char,
    feature: *const c_char,
    is_readonly: bool,
}

/// `qemu_plugin_mem_value`: what was loaded or stored, in the lowest bytes.
#[repr(C)]
struct AccessValue {
    kind: c_int,
    low: u64,
    high: u64,
}

/// `QEMU_PLUGIN_DISCON_INTERRUPT`: what a [`DisconCallback`] is told of an interrupt.
pub(crate) const INTERRUPT: c_uint = 1;
/// `QEMU_PLUGIN_CB_NO_REGS`: the callback leaves registers alone.
const NO_REGS: c_uint = 0;
/// `QEMU_PLUGIN_CB_RW_REGS`: the callback reads and writes registers.
const RW_REGS: c_uint = 2;
/// `QEMU_PLUGIN_CB_RW_REGS_PC`: the program counter too.
const RW_REGS_PC: c_uint = 3;
/// `QEMU_PLUGIN_MEM_R` and `QEMU_PLUGIN_MEM_W`.
const LOADS: c_uint = 1;
const STORES: c_uint = 2;
/// `QEMU_PLUGIN_DISCON_INTERRUPT` and `QEMU_PLUGIN_DISCON_EXCEPTION`.
const DISCON_INTERRUPTION: c_uint = INTERRUPT | 2;

/// `QEMU_PLUGIN_HWADDR_OPERATION_OK`.
const HWADDR_OK: c_int = 0;

/// Called for a CPU.
pub(crate) type CpuCallback = extern "C" fn(c_uint, *mut c_void);
/// Called for a block.
pub(crate) type BlockCallback = extern "C" fn(*mut Block, *mut c_void);
/// Called for an interrupt or exception, with its kind and the addresses it leads from and to.
pub(crate) type DisconCallback = extern "C" fn(c_uint, c_uint, u64, u64, *mut c_void);
/// Called for an access to memory, with a description and the virtual address.
pub(crate) type AccessCallback = extern "C" fn(c_uint, c_uint, u64, *mut c_void);
/// Called with nothing but the user's data.
pub(crate) type PlainCallback = extern "C" fn(*mut c_void);

macro_rules! api {
    ($(fn $name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions, found.
        ///
        /// # Safety
        ///
        /// Of calls: what qemu-plugin.h and glib.h ask of who calls them.
        #[derive(Debug)]
        pub(crate) struct Api { $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)* }

        impl Api {
            /// Finds the functions in the running process.
            pub(crate) fn resolve() -> Result<Self, String> {
                Ok(Self { $($name: {
                    let symbol = find(concat!(stringify!($name), "\0"))?;
                    // SAFETY: the symbol is QEMU's or GLib's function of this name, whose declaration in version 7 of
                    // qemu-plugin.h and in glib.h is the one in the list below.
                    unsafe {
                        transmute::<NonNull<c_void>, unsafe extern "C" fn($($argument),*) $(-> $result)?>(symbol)
                    }
                },)* })
            }
        }
    };
}

api! {
    fn qemu_plugin_reset(PluginId, PlainCallback, *mut c_void);
    fn qemu_plugin_register_vcpu_init_cb(PluginId, CpuCallback, *mut c_void);
    fn qemu_plugin_register_vcpu_tb_trans_cb(PluginId, BlockCallback, *mut c_void);
    fn qemu_plugin_register_vcpu_discon_cb(PluginId, c_uint, DisconCallback, *mut c_void);
    fn qemu_plugin_register_atexit_cb(PluginId, PlainCallback, *mut c_void);
    fn qemu_plugin_register_vcpu_insn_exec_cb(*mut Insn, CpuCallback, c_uint, *mut c_void);
    fn qemu_plugin_register_vcpu_mem_cb(*mut Insn, AccessCallback, c_uint, c_uint, *mut c_void);
    fn qemu_plugin_get_hwaddr(c_uint, u64) -> *const HardwareAddress;
    fn qemu_plugin_hwaddr_is_io(*const HardwareAddress) -> bool;
    fn qemu_plugin_hwaddr_phys_addr(*const HardwareAddress) -> u64;
    fn qemu_plugin_mem_get_value(c_uint) -> AccessValue;
    fn qemu_plugin_mem_size_shift(c_uint) -> c_uint;
    fn qemu_plugin_translate_vaddr(u64, *mut u64) -> bool;
    fn qemu_plugin_write_memory_hwaddr(u64, *mut GArray) -> c_int;
    fn qemu_plugin_set_pc(u64);
    fn qemu_plugin_tb_n_insns(*const Block) -> usize;
    fn qemu_plugin_tb_get_insn(*const Block, usize) -> *mut Insn;
    fn qemu_plugin_insn_data(*const Insn, *mut c_void, usize) -> usize;
    fn qemu_plugin_insn_size(*const Insn) -> usize;
    fn qemu_plugin_insn_vaddr(*const Insn) -> u64;
    fn qemu_plugin_read_memory_vaddr(u64, *mut GArray, usize) -> bool;
    fn qemu_plugin_register_vcpu_tb_exec_cb(*mut Block, CpuCallback, c_uint, *mut c_void);
    fn qemu_plugin_get_registers() -> *mut GArray;
    fn qemu_plugin_read_register(*mut Handle, *mut GArray) -> bool;
    fn qemu_plugin_write_register(*mut Handle, *mut GArray) -> bool;
    fn g_byte_array_new() -> *mut GArray;
    fn g_byte_array_set_size(*mut GArray, c_uint) -> *mut GArray;
    fn g_array_unref(*mut GArray);
}

fn find(name: &str) -> Result<NonNull<c_void>, String> {
    let terminated = CStr::from_bytes_with_nul(name.as_bytes()).map_err(|e| e.to_string())?;
    // SAFETY: the name is a terminated string; RTLD_DEFAULT is always a valid handle.
    let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, terminated.as_ptr()) };
    NonNull::new(symbol).ok_or_else(|| {
        let name = terminated.to_string_lossy();
        format!("this QEMU has no function {name}: its plugin interface is not version {API_VERSION} (QEMU 11)")
    })
}

/// Reads the plugin's arguments.
///
/// # Safety
///
/// `argv` is an array of `argc` terminated strings.
pub(crate) unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<String> {
    (0..usize::try_from(argc).unwrap_or(0))
        .map(|i| {
            // SAFETY: `i` is below `argc`.
            let argument = unsafe { argv.add(i) };
            // SAFETY: as above, so there is an element.
            let argument = unsafe { *argument };
            // SAFETY: each argument is a terminated string.
            unsafe { CStr::from_ptr(argument) }.to_string_lossy().into_owned()
        })
        .collect()
}

/// QEMU's handles for the registers that were asked for, in that order.
#[derive(Debug)]
pub(crate) struct Handles(Vec<NonNull<Handle>>);

// SAFETY: a handle is an opaque number in the guise of a pointer, nothing is behind it.
unsafe impl Send for Handles {}
// SAFETY: as above.
unsafe impl Sync for Handles {}

/// A byte array of GLib's, one a thread, through which register contents travel.
struct Buffer(NonNull<GArray>);

thread_local! {
    // Never freed: the threads that have one are QEMU's CPUs, and last as long as the process.
    static BUFFER: OnceCell<Buffer> = const { OnceCell::new() };
}

impl Api {
    /// Has the callbacks of a whole guest called.
    pub(crate) fn register(&self, id: PluginId, init: CpuCallback, translate: BlockCallback, exit: PlainCallback) {
        // SAFETY: `id` is this plugin's; the callback lives as long as the plugin, which is never unloaded.
        unsafe { (self.qemu_plugin_register_vcpu_init_cb)(id, init, null_mut()) };
        // SAFETY: as above.
        unsafe { (self.qemu_plugin_register_vcpu_tb_trans_cb)(id, translate, null_mut()) };
        // SAFETY: as above.
        unsafe { (self.qemu_plugin_register_atexit_cb)(id, exit, null_mut()) };
    }

    /// Has a callback called for each interrupt and exception.
    pub(crate) fn register_interruption(&self, id: PluginId, interruption: DisconCallback) {
        // SAFETY: `id` is this plugin's; the callback lives as long as the plugin, which is never unloaded.
        unsafe { (self.qemu_plugin_register_vcpu_discon_cb)(id, DISCON_INTERRUPTION, interruption, null_mut()) };
    }

    /// Has QEMU forget all callbacks and all that it has translated. It does so soon, while no CPU executes anything, and
    /// then calls `done`, which registers what is to be called from then on. Asking again before that does nothing.
    pub(crate) fn reset(&self, id: PluginId, done: PlainCallback) {
        // SAFETY: `id` is this plugin's; the callback lives as long as the plugin, which is never unloaded.
        unsafe { (self.qemu_plugin_reset)(id, done, null_mut()) };
    }

    /// The instructions of a block.
    ///
    /// # Safety
    ///
    /// `block` is the one the running translation callback was called with; the instructions are not kept beyond it.
    pub(crate) unsafe fn instructions(&self, block: *mut Block) -> impl Iterator<Item = Translated<'_>> {
        // SAFETY: the block is valid, says the caller.
        let count = unsafe { (self.qemu_plugin_tb_n_insns)(block) };
        (0..count).map(move |i| {
            // SAFETY: as above, and `i` is below the count.
            let insn = unsafe { (self.qemu_plugin_tb_get_insn)(block, i) };
            Translated { api: self, insn }
        })
    }

    /// Has a callback called with the number of a block's instructions, each time a CPU begins to execute it.
    ///
    /// QEMU could add them up itself (`qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu`), but where one thread executes all
    /// CPUs it then changes a constant that the rest of the block uses, the guest's instructions included.
    ///
    /// # Safety
    ///
    /// `block` is the one the running translation callback was called with.
    pub(crate) unsafe fn before_block(&self, block: *mut Block, callback: CpuCallback) {
        // SAFETY: the block is valid, says the caller.
        let count = unsafe { (self.qemu_plugin_tb_n_insns)(block) };
        // SAFETY: as this function requires of its caller.
        unsafe { self.before_block_with(block, callback, count as u64) };
    }

    /// Has a callback called with a number of the caller's choice, each time a CPU begins to execute a block.
    ///
    /// # Safety
    ///
    /// `block` is the one the running translation callback was called with.
    pub(crate) unsafe fn before_block_with(&self, block: *mut Block, callback: CpuCallback, number: u64) {
        // SAFETY: the block is valid, says the caller; the callback treats its data as a number.
        unsafe { (self.qemu_plugin_register_vcpu_tb_exec_cb)(block, callback, NO_REGS, data(number)) };
    }

    /// The physical address of a virtual one, as the CPU whose callback is running translates it now; `None` where nothing is
    /// mapped.
    pub(crate) fn translate(&self, address: u64) -> Option<u64> {
        let mut physical = 0;
        // SAFETY: a callback of a CPU is running, and there is room for the answer.
        unsafe { (self.qemu_plugin_translate_vaddr)(address, &raw mut physical) }.then_some(physical)
    }

    /// How many bytes are accessed, in the callback for it.
    pub(crate) fn access_size(&self, access: c_uint) -> u64 {
        // SAFETY: it is what the callback was called with.
        1 << unsafe { (self.qemu_plugin_mem_size_shift)(access) }
    }

    /// Reads guest memory at a virtual address; `None` where nothing is mapped.
    pub(crate) fn memory<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        self.with_buffer(|buffer| {
            // SAFETY: the buffer is a byte array of this thread; a callback of a CPU is running.
            if !unsafe { (self.qemu_plugin_read_memory_vaddr)(address, buffer.as_ptr(), N) } {
                return None;
            }
            // SAFETY: the array is valid.
            let array = unsafe { buffer.as_ref() };
            // SAFETY: QEMU has filled it, and nobody else uses it.
            let bytes = unsafe { contents(array) };
            bytes.try_into().ok()
        })
    }

    /// Writes to the guest's physical memory, devices included, from the callback of a CPU. Tells whether there is something
    /// at this address.
    pub(crate) fn write_physical(&self, address: u64, value: u32) -> bool {
        self.with_bytes(&value.to_le_bytes(), |buffer| {
            // SAFETY: the buffer is a byte array of this thread; a callback of a CPU is running.
            unsafe { (self.qemu_plugin_write_memory_hwaddr)(address, buffer.as_ptr()) == HWADDR_OK }
        })
    }

    /// The physical address of an access, in the callback for it; `None` where QEMU does not know.
    pub(crate) fn physical(&self, access: c_uint, address: u64) -> Option<Physical> {
        // SAFETY: both are what the callback was called with.
        let place = unsafe { (self.qemu_plugin_get_hwaddr)(access, address) };
        if place.is_null() {
            return None;
        }
        // SAFETY: the place is QEMU's, valid while the callback runs.
        let physical = unsafe { (self.qemu_plugin_hwaddr_phys_addr)(place) };
        // SAFETY: as above.
        let device = unsafe { (self.qemu_plugin_hwaddr_is_io)(place) };
        Some(if device { Physical::Device(physical) } else { Physical::Memory(physical) })
    }

    /// What was loaded or stored, in the callback for it.
    pub(crate) fn value(&self, access: c_uint) -> u64 {
        // SAFETY: it is what the callback was called with.
        unsafe { (self.qemu_plugin_mem_get_value)(access) }.low
    }

    /// Ends a callback that was registered by [`Translated::instead`]: the CPU goes on at an address.
    ///
    /// # Safety
    ///
    /// QEMU leaves the callback without unwinding, so nothing in the caller's frames waits to be dropped.
    pub(crate) unsafe fn go_on_at(&self, address: u64) {
        // SAFETY: as this function requires of its caller.
        unsafe { (self.qemu_plugin_set_pc)(address) };
    }

    /// Finds the handles of the registers of these names, for a CPU's initialisation callback. They are the same for all
    /// CPUs: the first one finds them. A register that QEMU does not show ends it.
    pub(crate) fn find_handles(&self, names: &[&CStr], handles: &OnceLock<Handles>) {
        if handles.get().is_some() {
            return;
        }
        match self.handles(names) {
            Ok(found) => {
                handles.get_or_init(|| found);
            }
            Err(problem) => refuse(&problem),
        }
    }

    /// Asks QEMU for the registers of these names, on the thread of a CPU that is set up.
    fn handles(&self, names: &[&CStr]) -> Result<Handles, String> {
        // SAFETY: called from the initialisation callback of a CPU.
        let list = unsafe { (self.qemu_plugin_get_registers)() };
        let list = NonNull::new(list).ok_or("QEMU lists no registers")?;
        // SAFETY: the array is ours until it is given back below.
        let array = unsafe { list.as_ref() };
        // SAFETY: QEMU's array holds descriptors, and it is aligned as GLib's allocations are.
        let descriptors =
            unsafe { std::slice::from_raw_parts(array.data.cast::<RegisterDescriptor>(), array.len as usize) };
        let mut found = vec![None; names.len()];
        for descriptor in descriptors {
            // SAFETY: names are terminated strings that live as long as QEMU.
            let name = unsafe { CStr::from_ptr(descriptor.name) };
            if let Some(i) = names.iter().position(|wanted| *wanted == name) {
                found[i] = NonNull::new(descriptor.handle);
            }
        }
        // SAFETY: the list was made for this call.
        unsafe { (self.g_array_unref)(list.as_ptr()) };
        let missing = |name: &CStr| format!("QEMU does not show the register {}", name.to_string_lossy());
        let handles = found.into_iter().zip(names).map(|(handle, name)| handle.ok_or_else(|| missing(name)));
        handles.collect::<Result<_, _>>().map(Handles)
    }

    /// Reads a register, by its place among the handles, of the CPU whose callback is running. Some are shorter than 64 bits.
    pub(crate) fn read(&self, handles: &Handles, register: usize) -> u64 {
        self.with_buffer(|buffer| {
            let handle = handles.0[register];
            // SAFETY: the handle is QEMU's, the buffer this thread's, and the callback asked for register access.
            if !unsafe { (self.qemu_plugin_read_register)(handle.as_ptr(), buffer.as_ptr()) } {
                return 0;
            }
            // SAFETY: the array is valid.
            let array = unsafe { buffer.as_ref() };
            // SAFETY: QEMU has filled it, and nobody else uses it.
            let bytes = unsafe { contents(array) };
            bytes.iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
        })
    }

    /// Writes a 64-bit register of the CPU whose callback is running.
    pub(crate) fn write(&self, handles: &Handles, register: usize, value: u64) {
        self.with_bytes(&value.to_le_bytes(), |buffer| {
            let handle = handles.0[register];
            // SAFETY: the handle is QEMU's, the buffer this thread's, and the callback asked for register access.
            unsafe { (self.qemu_plugin_write_register)(handle.as_ptr(), buffer.as_ptr()) };
        });
    }

    /// Calls with this thread's buffer, filled.
    fn with_bytes<T>(&self, bytes: &[u8], act: impl FnOnce(NonNull<GArray>) -> T) -> T {
        let length = c_uint::try_from(bytes.len()).expect("a few bytes");
        self.with_buffer(|buffer| {
            // SAFETY: the buffer is this thread's byte array.
            unsafe { (self.g_byte_array_set_size)(buffer.as_ptr(), length) };
            // SAFETY: the array is valid and nobody else uses it.
            let data = unsafe { buffer.as_ref() }.data;
            // SAFETY: it is as long as the bytes now.
            unsafe { data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
            act(buffer)
        })
    }

    /// Calls with this thread's buffer, empty.
    fn with_buffer<T>(&self, act: impl FnOnce(NonNull<GArray>) -> T) -> T {
        let buffer = BUFFER.with(|cell| {
            cell.get_or_init(|| {
                // SAFETY: no precondition.
                let array = unsafe { (self.g_byte_array_new)() };
                Buffer(NonNull::new(array).expect("GLib ends the process rather than return nothing"))
            })
            .0
        });
        // SAFETY: the buffer is this thread's byte array.
        unsafe { (self.g_byte_array_set_size)(buffer.as_ptr(), 0) };
        act(buffer)
    }
}

/// # Safety
///
/// The array is a byte array nobody changes while the slice lives.
unsafe fn contents(array: &GArray) -> &[u8] {
    if array.len == 0 {
        return &[];
    }
    // SAFETY: GLib keeps `len` bytes at `data`.
    unsafe { std::slice::from_raw_parts(array.data, array.len as usize) }
}

/// An instruction being translated.
pub(crate) struct Translated<'a> {
    api: &'a Api,
    insn: *mut Insn,
}

impl Translated<'_> {
    /// Virtual address.
    pub(crate) fn address(&self) -> u64 {
        // SAFETY: the instruction is valid while its block is translated.
        unsafe { (self.api.qemu_plugin_insn_vaddr)(self.insn) }
    }

    /// Length in bytes.
    pub(crate) fn size(&self) -> usize {
        // SAFETY: as above.
        unsafe { (self.api.qemu_plugin_insn_size)(self.insn) }
    }

    /// Encoding, as much as fits.
    pub(crate) fn bytes<'b>(&self, room: &'b mut [u8]) -> &'b [u8] {
        // SAFETY: as above; QEMU writes at most the length of the room.
        let length = unsafe { (self.api.qemu_plugin_insn_data)(self.insn, room.as_mut_ptr().cast(), room.len()) };
        &room[..length.min(room.len())]
    }

    /// Calls before each execution, with a number of the caller's choice.
    pub(crate) fn before(&self, callback: CpuCallback, number: u64) {
        self.before_with(callback, RW_REGS, number);
    }

    /// Calls before each execution; the callback may end in [`Api::go_on_at`].
    pub(crate) fn instead(&self, callback: CpuCallback, number: u64) {
        self.before_with(callback, RW_REGS_PC, number);
    }

    /// Calls before each execution; the callback leaves registers alone.
    pub(crate) fn before_without_registers(&self, callback: CpuCallback, number: u64) {
        self.before_with(callback, NO_REGS, number);
    }

    fn before_with(&self, callback: CpuCallback, flags: c_uint, number: u64) {
        // SAFETY: as above; the callback treats its data as a number.
        unsafe { (self.api.qemu_plugin_register_vcpu_insn_exec_cb)(self.insn, callback, flags, data(number)) };
    }

    /// Calls after each load it makes; the callback may change registers, what was loaded among them.
    pub(crate) fn after_loads(&self, callback: AccessCallback, number: u64) {
        // SAFETY: as above.
        unsafe { (self.api.qemu_plugin_register_vcpu_mem_cb)(self.insn, callback, RW_REGS, LOADS, data(number)) };
    }

    /// Calls after each load it makes; the callback leaves registers alone.
    pub(crate) fn after_loads_without_registers(&self, callback: AccessCallback, number: u64) {
        // SAFETY: as above.
        unsafe { (self.api.qemu_plugin_register_vcpu_mem_cb)(self.insn, callback, NO_REGS, LOADS, data(number)) };
    }

    /// Calls after each store it makes.
    pub(crate) fn after_stores(&self, callback: AccessCallback, number: u64) {
        // SAFETY: as above.
        unsafe { (self.api.qemu_plugin_register_vcpu_mem_cb)(self.insn, callback, NO_REGS, STORES, data(number)) };
    }
}

/// A number in the guise of the pointer that QEMU hands to callbacks.
fn data(number: u64) -> *mut c_void {
    std::ptr::without_provenance_mut(usize::try_from(number).expect("this host has 64-bit addresses"))
}

/// The number that a callback was registered with.
pub(crate) fn number(data: *mut c_void) -> u64 {
    data.addr() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_qemu_the_missing_function_is_named() {
        let problem = Api::resolve().unwrap_err();
        assert!(problem.contains("qemu_plugin_reset"), "{problem}");
    }
}
