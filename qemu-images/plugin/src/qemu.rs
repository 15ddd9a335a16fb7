// SPDX-License-Identifier: GPL-2.0-only
//! QEMU's plugin interface, version 7 (QEMU 11), and the few functions of GLib it needs, which live in QEMU's process.
//!
//! The functions are looked up at run time rather than linked: a QEMU that lacks one then gives a message a user can
//! act on instead of a dynamic linker's, and the unit tests run without QEMU.

use std::cell::OnceCell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::transmute;
use std::ptr::{NonNull, null_mut};

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
/// A handle for a register, good for every CPU.
#[repr(C)]
pub(crate) struct Handle([u8; 0]);

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

/// `QEMU_PLUGIN_CB_RW_REGS`: the callback reads and writes registers.
const RW_REGS: c_uint = 2;
/// `QEMU_PLUGIN_DISCON_INTERRUPT` and `QEMU_PLUGIN_DISCON_EXCEPTION`.
const DISCON_INTERRUPTION: c_uint = 1 | 2;

/// Called for a CPU.
pub(crate) type CpuCallback = extern "C" fn(c_uint, *mut c_void);
/// Called for a block.
pub(crate) type BlockCallback = extern "C" fn(*mut Block, *mut c_void);
/// Called for an interrupt or exception, with its kind and the addresses it leads from and to.
pub(crate) type DisconCallback = extern "C" fn(c_uint, c_uint, u64, u64, *mut c_void);
/// Called with nothing but the user's data.
pub(crate) type PlainCallback = extern "C" fn(*mut c_void);

macro_rules! api {
    ($(fn $name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions, found.
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
    fn qemu_plugin_register_vcpu_init_cb(PluginId, CpuCallback, *mut c_void);
    fn qemu_plugin_register_vcpu_tb_trans_cb(PluginId, BlockCallback, *mut c_void);
    fn qemu_plugin_register_vcpu_discon_cb(PluginId, c_uint, DisconCallback, *mut c_void);
    fn qemu_plugin_register_atexit_cb(PluginId, PlainCallback, *mut c_void);
    fn qemu_plugin_register_vcpu_insn_exec_cb(*mut Insn, CpuCallback, c_uint, *mut c_void);
    fn qemu_plugin_tb_n_insns(*const Block) -> usize;
    fn qemu_plugin_tb_get_insn(*const Block, usize) -> *mut Insn;
    fn qemu_plugin_insn_data(*const Insn, *mut c_void, usize) -> usize;
    fn qemu_plugin_insn_size(*const Insn) -> usize;
    fn qemu_plugin_insn_vaddr(*const Insn) -> u64;
    fn qemu_plugin_read_memory_vaddr(u64, *mut GArray, usize) -> bool;
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

/// What QEMU says of itself and the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    name: String,
    oldest_version: c_int,
    current_version: c_int,
    system_emulation: bool,
    /// CPUs of the guest.
    pub(crate) cpus: usize,
}

impl Target {
    /// Reads what QEMU passes to the entry point.
    ///
    /// # Safety
    ///
    /// `info` is valid, as is the string in it.
    pub(crate) unsafe fn read(info: *const Info) -> Self {
        // SAFETY: `info` is valid, says the caller.
        let info = unsafe { &*info };
        // SAFETY: QEMU's target name is a terminated string.
        let name = unsafe { CStr::from_ptr(info.target_name) };
        Self {
            name: name.to_string_lossy().into_owned(),
            oldest_version: info.oldest_version,
            current_version: info.current_version,
            system_emulation: info.system_emulation,
            cpus: usize::try_from(info.smp_vcpus).unwrap_or(0),
        }
    }

    /// Checks that this is a QEMU the plugin can work with.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { name, oldest_version, current_version, system_emulation, .. } = self;
        if !(*oldest_version..=*current_version).contains(&API_VERSION) {
            return Err(format!(
                "built for version {API_VERSION} of QEMU's plugin interface (QEMU 11), this QEMU has {oldest_version} to \
                 {current_version}"
            ));
        }
        if !system_emulation {
            return Err("there is no RDT in user-mode emulation; use qemu-system-x86_64".to_owned());
        }
        if name != "x86_64" {
            return Err(format!("RDT belongs to an x86_64 guest, this QEMU emulates {name}"));
        }
        Ok(())
    }
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

/// The registers the plugin touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Register {
    Rax,
    Rbx,
    Rcx,
    Rdx,
    Rsi,
    Rdi,
    Cs,
    Cr0,
    Cr3,
}

const NAMES: [&CStr; 9] = [c"rax", c"rbx", c"rcx", c"rdx", c"rsi", c"rdi", c"cs", c"cr0", c"cr3"];

/// QEMU's handles for [`Register`]s.
#[derive(Debug)]
pub(crate) struct Handles([NonNull<Handle>; NAMES.len()]);

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
    pub(crate) fn register(
        &self,
        id: PluginId,
        init: CpuCallback,
        translate: BlockCallback,
        interruption: DisconCallback,
        exit: PlainCallback,
    ) {
        // SAFETY: `id` is this plugin's; the callback lives as long as the plugin, which is never unloaded.
        unsafe { (self.qemu_plugin_register_vcpu_init_cb)(id, init, null_mut()) };
        // SAFETY: as above.
        unsafe { (self.qemu_plugin_register_vcpu_tb_trans_cb)(id, translate, null_mut()) };
        // SAFETY: as above.
        unsafe { (self.qemu_plugin_register_vcpu_discon_cb)(id, DISCON_INTERRUPTION, interruption, null_mut()) };
        // SAFETY: as above.
        unsafe { (self.qemu_plugin_register_atexit_cb)(id, exit, null_mut()) };
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

    /// Asks QEMU for the registers, on the thread of a CPU that is set up.
    pub(crate) fn handles(&self) -> Result<Handles, String> {
        // SAFETY: called from the initialisation callback of a CPU.
        let list = unsafe { (self.qemu_plugin_get_registers)() };
        let list = NonNull::new(list).ok_or("QEMU lists no registers")?;
        // SAFETY: the array is ours until it is given back below.
        let array = unsafe { list.as_ref() };
        // SAFETY: QEMU's array holds descriptors, and it is aligned as GLib's allocations are.
        let descriptors =
            unsafe { std::slice::from_raw_parts(array.data.cast::<RegisterDescriptor>(), array.len as usize) };
        let mut found = [None; NAMES.len()];
        for descriptor in descriptors {
            // SAFETY: names are terminated strings that live as long as QEMU.
            let name = unsafe { CStr::from_ptr(descriptor.name) };
            if let Some(i) = NAMES.iter().position(|wanted| *wanted == name) {
                found[i] = NonNull::new(descriptor.handle);
            }
        }
        // SAFETY: the list was made for this call.
        unsafe { (self.g_array_unref)(list.as_ptr()) };
        let missing = |i: usize| format!("QEMU does not show the register {}", NAMES[i].to_string_lossy());
        let mut handles = [NonNull::dangling(); NAMES.len()];
        for (i, handle) in found.into_iter().enumerate() {
            handles[i] = handle.ok_or_else(|| missing(i))?;
        }
        Ok(Handles(handles))
    }

    /// Reads a register of the CPU whose callback is running. Segment registers are shorter than 64 bits.
    pub(crate) fn read(&self, handles: &Handles, register: Register) -> u64 {
        self.with_buffer(|buffer| {
            let handle = handles.0[register as usize];
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
    pub(crate) fn write(&self, handles: &Handles, register: Register, value: u64) {
        self.with_buffer(|buffer| {
            // SAFETY: the buffer is this thread's byte array.
            unsafe { (self.g_byte_array_set_size)(buffer.as_ptr(), 8) };
            // SAFETY: the array is valid and nobody else uses it.
            let data = unsafe { buffer.as_ref() }.data;
            // SAFETY: it is 8 bytes long now.
            unsafe { data.copy_from_nonoverlapping(value.to_le_bytes().as_ptr(), 8) };
            let handle = handles.0[register as usize];
            // SAFETY: the handle is QEMU's, the buffer this thread's, and the callback asked for register access.
            unsafe { (self.qemu_plugin_write_register)(handle.as_ptr(), buffer.as_ptr()) };
        });
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
        let data = std::ptr::without_provenance_mut(usize::try_from(number).expect("this host has 64-bit addresses"));
        // SAFETY: as above; the callback treats its data as a number.
        unsafe { (self.api.qemu_plugin_register_vcpu_insn_exec_cb)(self.insn, callback, RW_REGS, data) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qemu_11() -> Target {
        Target { name: "x86_64".into(), oldest_version: 2, current_version: 7, system_emulation: true, cpus: 4 }
    }

    #[test]
    fn a_qemu_of_another_interface_is_refused_with_both_versions() {
        let old = Target { current_version: 5, ..qemu_11() };
        let problem = old.check().unwrap_err();
        assert!(problem.contains("version 7") && problem.contains("2 to 5"), "{problem}");
        assert_eq!(qemu_11().check(), Ok(()));
    }

    #[test]
    fn other_guests_are_refused() {
        assert!(Target { name: "aarch64".into(), ..qemu_11() }.check().unwrap_err().contains("aarch64"));
        assert!(Target { system_emulation: false, ..qemu_11() }.check().unwrap_err().contains("user-mode"));
    }

    #[test]
    fn outside_qemu_the_missing_function_is_named() {
        let problem = Api::resolve().unwrap_err();
        assert!(problem.contains("qemu_plugin_register_vcpu_init_cb"), "{problem}");
    }
}
