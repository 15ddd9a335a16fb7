// SPDX-License-Identifier: GPL-2.0-only
//! A virtual machine of a few instructions, for machines whose kernel has KVM: what a guest's kernel is labelled as.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

use guest_tools::{Arguments, Failure, Outcome, main as run_program, unknown_command};
use std::process::ExitCode;

const HELP: &str = "\
Runs a few instructions as the kernel of a virtual machine (KVM, Arm only).

  kvm-guest move BYTES     it moves bytes; print the label that they had as PARTID/PMG, and the
                           exception level
  kvm-guest choose VALUE   it writes VALUE to MPAM1_EL1, the register with its label; print
                           \"undefined\" if there is no such register for it, \"written\" if there is
";

fn main() -> ExitCode {
    run_program("kvm-guest", HELP, run)
}

fn run(command: &str, arguments: &mut Arguments) -> Outcome {
    match command {
        "move" => {
            let bytes = arguments.number("BYTES")?;
            arguments.end()?;
            let [pmg, partid, level] = guest::moves(bytes)?;
            println!("{partid}/{pmg} EL{level}");
        }
        "choose" => {
            let value = arguments.number("VALUE")?;
            arguments.end()?;
            println!("{}", if guest::chooses(value)? { "written" } else { "undefined" });
        }
        _ => return Err(unknown_command()),
    }
    Ok(())
}

#[cfg(not(target_arch = "aarch64"))]
mod guest {
    use super::Failure;

    const ARM_ONLY: &str = "there are only virtual machines for Arm";

    pub(super) fn moves(_: u64) -> Result<[u64; 3], Failure> {
        Err(Failure::Hardware(ARM_ONLY.to_owned()))
    }

    pub(super) fn chooses(_: u64) -> Result<bool, Failure> {
        Err(Failure::Hardware(ARM_ONLY.to_owned()))
    }
}

#[cfg(target_arch = "aarch64")]
mod guest {
    use super::Failure;
    use kvm_bindings::{kvm_userspace_memory_region, kvm_vcpu_init};
    use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
    use nix::errno::Errno;
    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
    use resctrl_hardware::control::{HINT, LEAF, Request};
    use std::num::NonZeroUsize;

    /// Where the guest has memory, its vectors in there, and a device that hears what it stores.
    const MEMORY: u64 = 0x1000_0000;
    const SIZE: NonZeroUsize = NonZeroUsize::new(0x1_0000).expect("it is not zero");
    const VECTORS: u64 = 0x1000;
    const DEVICE: u64 = 0x2000_0000;

    /// Synchronous exceptions of the level that runs, on its own stack.
    const VECTOR: u64 = 0x200;

    /// The first register and the program counter (`KVM_REG_ARM_CORE`); registers are two apart.
    const X0: u64 = 0x6030_0000_0010_0000;
    const PC: u64 = X0 + 0x40;

    /// Registers with a use of their own in the programs below.
    const TO_DEVICE: u64 = 9;
    const MARK: u64 = 10;
    const VECTOR_BASE: u64 = 11;

    const REFUSED: u64 = 0xdead;

    /// `str X<n>, [X9]`.
    const fn tell(register: u32) -> u32 {
        0xf900_0120 | register
    }
    /// `b .`
    const STAY: u32 = 0x1400_0000;
    /// `msr VBAR_EL1, X11`, `isb`, `msr MPAM1_EL1, X5`.
    const SET_VECTORS: u32 = 0xd518_c00b;
    const ISB: u32 = 0xd503_3fdf;
    const CHOOSE: u32 = 0xd518_a505;

    /// A virtual machine with one processor. Its memory is never given back: the program ends with it.
    struct Guest {
        vcpu: VcpuFd,
        _vm: VmFd,
    }

    fn failure(error: kvm_ioctls::Error) -> Failure {
        Failure::Errno(Errno::from_raw(error.errno()))
    }

    impl Guest {
        /// With this program, and what it does at an exception.
        fn new(program: &[u32], at_exception: &[u32]) -> Result<Self, Failure> {
            let vm = Kvm::new().and_then(|kvm| kvm.create_vm()).map_err(failure)?;
            let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            // SAFETY: the kernel chooses where, so nothing of this program's is replaced.
            let memory = unsafe { mmap_anonymous(None, SIZE, access, MapFlags::MAP_PRIVATE) }?;
            for (start, words) in [(0, program), (VECTORS + VECTOR, at_exception)] {
                for (place, word) in (start / 4..).zip(words) {
                    // SAFETY: both lists are short and end within the memory, which nobody else uses yet.
                    unsafe { memory.cast::<u32>().add(place as usize).write(word.to_le()) };
                }
            }
            let region = kvm_userspace_memory_region {
                slot: 0,
                flags: 0,
                guest_phys_addr: MEMORY,
                memory_size: SIZE.get() as u64,
                userspace_addr: memory.as_ptr() as u64,
            };
            // SAFETY: that is the memory just mapped, which stays.
            unsafe { vm.set_user_memory_region(region) }.map_err(failure)?;
            let vcpu = vm.create_vcpu(0).map_err(failure)?;
            let mut kind = kvm_vcpu_init::default();
            vm.get_preferred_target(&mut kind).map_err(failure)?;
            vcpu.vcpu_init(&kind).map_err(failure)?;
            let guest = Guest { vcpu, _vm: vm };
            guest.set(PC, MEMORY)?;
            guest.set_general(TO_DEVICE, DEVICE)?;
            guest.set_general(MARK, REFUSED)?;
            guest.set_general(VECTOR_BASE, MEMORY + VECTORS)?;
            Ok(guest)
        }

        fn set(&self, register: u64, value: u64) -> Result<(), Failure> {
            self.vcpu.set_one_reg(register, &value.to_le_bytes()).map(|_| ()).map_err(failure)
        }

        fn set_general(&self, register: u64, value: u64) -> Result<(), Failure> {
            self.set(X0 + 2 * register, value)
        }

        /// Runs until it tells something.
        fn told(&mut self) -> Result<u64, Failure> {
            loop {
                match self.vcpu.run() {
                    Ok(VcpuExit::MmioWrite(DEVICE, data)) => {
                        let bytes =
                            data.try_into().map_err(|_| Failure::Hardware("a store of another size".to_owned()))?;
                        return Ok(u64::from_le_bytes(bytes));
                    }
                    Ok(exit) => return Err(Failure::Hardware(format!("the guest has ended: {exit:?}"))),
                    Err(error) if error.errno() == Errno::EINTR as i32 => {}
                    Err(error) => return Err(failure(error)),
                }
            }
        }
    }

    /// Moves bytes; PMG, PARTID and exception level.
    pub(super) fn moves(bytes: u64) -> Result<[u64; 3], Failure> {
        let mut guest = Guest::new(&[HINT, tell(1), tell(2), tell(3), STAY], &[tell(10), STAY])?;
        let call = Request::Move(bytes).encode();
        for (register, value) in (0..).zip([u64::from(LEAF), call[0], call[1], call[2], call[3], call[4]]) {
            guest.set_general(register, value)?;
        }
        Ok([guest.told()?, guest.told()?, guest.told()?])
    }

    /// Writes its label; whether it can.
    pub(super) fn chooses(value: u64) -> Result<bool, Failure> {
        let mut guest = Guest::new(&[SET_VECTORS, ISB, CHOOSE, tell(5), STAY], &[tell(10), STAY])?;
        guest.set_general(5, value)?;
        Ok(guest.told()? != REFUSED)
    }
}
