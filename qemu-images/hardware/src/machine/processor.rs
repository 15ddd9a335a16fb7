// SPDX-License-Identifier: GPL-2.0-only
//! Whether the processors that QEMU was started with are those of the machine, as far as processors tell.
//!
//! QEMU does not tell a plugin what it was started with, but for the number of CPUs. The guest is told: by CPUID or by
//! identification registers. What is compared is what the file says, in `[topology]` and in the properties of `qemu.cpu`.

use super::validate::Checked;
use super::{Machine, MachineError, Topology};
use crate::registers::{Midr, ProcessorFeatures, Signature, TopologyEbx, TopologyEcx};

/// Leaves of CPUID that [`Machine::check_cpuid`] takes something from.
pub const TELLING_LEAVES: [u32; 4] = [0, 1, 0xb, 0x8000_0000];

/// QEMU's processor that is none of anybody's, but what its emulation can do.
const MAX: &str = "max";

/// Family, model and stepping of that on x86, if it is given no family: QEMU then takes no notice of the others.
const MAX_SIGNATURE: [(&str, u32); 3] = [("family", 6), ("model", 6), ("stepping", 3)];

/// Implementer and part number of QEMU's 64-bit Arm processors. `MIDR_EL1` of each, as QEMU 11.1 has it.
const PARTS: [(&str, u32, u32); 12] = [
    (MAX, 0x00, 0x051),
    ("cortex-a35", 0x41, 0xd04),
    ("cortex-a53", 0x41, 0xd03),
    ("cortex-a55", 0x41, 0xd05),
    ("cortex-a57", 0x41, 0xd07),
    ("cortex-a72", 0x41, 0xd08),
    ("cortex-a76", 0x41, 0xd0b),
    ("cortex-a710", 0x41, 0xd47),
    ("neoverse-n1", 0x41, 0xd0c),
    ("neoverse-n2", 0x41, 0xd49),
    ("neoverse-v1", 0x41, 0xd40),
    ("a64fx", 0x46, 0x001),
];

/// What a processor (`-cpu`) is called, without its properties.
#[must_use]
pub fn processor_name(cpu: &str) -> &str {
    cpu.split(',').next().unwrap_or_default()
}

/// Whether it is QEMU's own and has the family, model and stepping of that.
fn is_plain(cpu: &str) -> bool {
    processor_name(cpu) == MAX && property(cpu, "family").is_none()
}

/// What a property of a processor (`-cpu`) is set to.
fn property<'a>(cpu: &'a str, name: &str) -> Option<&'a str> {
    cpu.split(',').find_map(|property| property.strip_prefix(name)?.strip_prefix('='))
}

/// The number that a property of a processor (`-cpu`) is set to.
#[must_use]
pub fn property_number(cpu: &str, name: &str) -> Option<u32> {
    let value = property(cpu, name)?;
    match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    }
}

impl Machine {
    /// Checks what QEMU's processor answers to a leaf of CPUID, in EAX, EBX, ECX and EDX, before anything is added to it.
    ///
    /// # Errors
    ///
    /// Vendor, family, model, stepping, the highest leaf, threads of a core or CPUs of a socket are others than the file
    /// says; the message ends with the option for QEMU.
    pub fn check_cpuid(&self, leaf: u32, subleaf: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> Checked {
        match leaf {
            0 => {
                self.check_vendor([ebx, edx, ecx])?;
                self.check_highest_leaf("level", eax)
            }
            0x8000_0000 => self.check_highest_leaf("xlevel", eax),
            1 => self.check_signature(Signature(eax.into())),
            0xb => self.check_level(TopologyEcx(ecx.into()), TopologyEbx(ebx.into()).get(TopologyEbx::CPUS), subleaf),
            _ => Ok(()),
        }
    }

    fn check_vendor(&self, said: [u32; 3]) -> Checked {
        let said: String = said.into_iter().flat_map(u32::to_le_bytes).map(char::from).collect();
        let wanted = property(&self.qemu.cpu, "vendor").or_else(|| {
            // Linux looks for RDT and QoS at their makers' processors only.
            self.rdt.as_ref().map(|_| "GenuineIntel").or_else(|| self.qos.as_ref().map(|_| "AuthenticAMD"))
        });
        match wanted {
            Some(wanted) if wanted != said => {
                Err(self.otherwise(&format!("QEMU's processor is by {said}, the machine's by {wanted}"), "-cpu"))
            }
            _ => Ok(()),
        }
    }

    fn check_highest_leaf(&self, property: &str, said: u32) -> Checked {
        match property_number(&self.qemu.cpu, property) {
            Some(wanted) if said < wanted => {
                let problem =
                    format!("QEMU's processor has leaves of CPUID up to {said:#x}, the machine's up to {wanted:#x}");
                Err(self.otherwise(&problem, "-cpu"))
            }
            _ => Ok(()),
        }
    }

    fn check_signature(&self, said: Signature) -> Checked {
        let (base, model) = (said.get(Signature::FAMILY), said.get(Signature::MODEL));
        let said = [
            if base == 15 { base + said.get(Signature::EXTENDED_FAMILY) } else { base },
            model | said.get(Signature::EXTENDED_MODEL) << 4,
            said.get(Signature::STEPPING),
        ];
        let cpu = &self.qemu.cpu;
        let is_plain = is_plain(cpu);
        for ((name, of_max), said) in MAX_SIGNATURE.into_iter().zip(said) {
            // What others of QEMU's are is not known here, but for what the file says.
            let wanted = property_number(cpu, name).or(is_plain.then_some(of_max));
            if let Some(wanted) = wanted.filter(|wanted| u64::from(*wanted) != said) {
                return Err(self.otherwise(
                    &format!("QEMU's processor is of {name} {said}, the machine's of {name} {wanted}"),
                    "-cpu",
                ));
            }
        }
        Ok(())
    }

    /// Checks that QEMU takes what the file says of the processor.
    pub(super) fn validate_processor(&self) -> Checked {
        let cpu = &self.qemu.cpu;
        let lost = ["model", "stepping"].into_iter().find(|name| property(cpu, name).is_some());
        match lost {
            Some(lost) if is_plain(cpu) => {
                Err(MachineError(format!("qemu.cpu: QEMU takes {lost} of `max` only if family is given, too")))
            }
            _ => Ok(()),
        }
    }

    /// Checks a level of the topology, where a processor tells it.
    fn check_level(&self, ecx: TopologyEcx, said: u64, subleaf: u32) -> Checked {
        let Topology { cores, threads, .. } = self.topology;
        let (wanted, counted) = match (subleaf, ecx.get(TopologyEcx::TYPE)) {
            (0, 1) => (threads, "threads to a core"),
            (1, 2) => (cores * threads, "CPUs to a socket"),
            _ => return Ok(()),
        };
        if said == wanted as u64 {
            return Ok(());
        }
        Err(self.otherwise(&format!("QEMU has {said} {counted}, the machine {wanted}"), "-smp"))
    }

    /// Checks what an Arm processor is called.
    ///
    /// # Errors
    ///
    /// `MIDR_EL1` is that of another processor than the file names. Processors that are not known here pass.
    pub fn check_midr(&self, midr: u64) -> Checked {
        let name = processor_name(&self.qemu.cpu);
        let Some((_, implementer, part)) = PARTS.into_iter().find(|(known, ..)| *known == name) else { return Ok(()) };
        let said = (Midr(midr).get(Midr::IMPLEMENTER), Midr(midr).get(Midr::PART));
        if said == (u64::from(implementer), u64::from(part)) {
            return Ok(());
        }
        let is = |(implementer, part): &(_, _)| said == (u64::from(*implementer), u64::from(*part));
        let known = PARTS.into_iter().find(|(_, implementer, part)| is(&(*implementer, *part)));
        let said = known
            .map_or_else(|| format!("implementer {:#x}, part {:#x}", said.0, said.1), |(name, ..)| format!("a {name}"));
        Err(self.otherwise(&format!("QEMU's processor is {said}, the machine's a {name}"), "-cpu"))
    }

    /// Checks what QEMU's `-machine` makes of an Arm processor: `ID_AA64PFR0_EL1` as QEMU has it.
    ///
    /// # Errors
    ///
    /// The interrupt controller is none of version 3, or there is EL2 where the machine has none, or the other way round.
    pub fn check_features(&self, features: u64) -> Checked {
        let features = ProcessorFeatures(features);
        let (has, wanted) =
            (features.get(ProcessorFeatures::EL2) != 0, self.mpam.as_ref().is_some_and(|mpam| mpam.el2));
        if features.get(ProcessorFeatures::GIC) == 0 {
            return Err(self.otherwise("QEMU's interrupt controller is older than version 3", "-machine"));
        }
        match (has, wanted) {
            (true, false) => Err(self.otherwise("QEMU's processors have EL2, the machine's have not", "-machine")),
            (false, true) => Err(self.otherwise("QEMU's processors have no EL2, the machine's have", "-machine")),
            _ => Ok(()),
        }
    }

    /// What is wrong where there is no memory for the pages of MSCs.
    #[must_use]
    pub fn no_memory_at(&self, address: u64) -> MachineError {
        let arguments = self.qemu_args();
        let of = |name: &str| {
            let places = arguments.iter().enumerate().filter(|(_, argument)| *argument == name);
            let values = places.filter_map(|(place, _)| arguments.get(place + 1));
            values.map(|value| format!(" {name} {value}")).collect::<String>()
        };
        MachineError(format!(
            "QEMU has no memory at {address:#x}, where the machine has registers of an MSC: use{}",
            ["-machine", "-m", "-object", "-device"].map(of).concat()
        ))
    }

    /// A problem, and the option that makes it good.
    fn otherwise(&self, problem: &str, option: &str) -> MachineError {
        let arguments = self.qemu_args();
        let value = arguments.iter().skip_while(|argument| *argument != option).nth(1);
        MachineError(format!("{problem}: use {option} {}", value.map_or("", String::as_str)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str) -> Machine {
        let path = format!("{}/../machines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        Machine::load(std::path::Path::new(&path)).unwrap()
    }

    /// EAX, EBX, ECX and EDX of leaf 0.
    fn leaf_0(vendor: &str, highest: u32) -> [u32; 4] {
        let words: Vec<u32> =
            vendor.as_bytes().chunks(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect();
        [highest, words[0], words[2], words[1]]
    }

    fn problem(checked: Checked) -> String {
        checked.unwrap_err().to_string()
    }

    #[test]
    fn a_processor_by_somebody_else_is_refused() {
        let (intel, amd) = (machine("intel"), machine("amd"));
        assert_eq!(intel.check_cpuid(0, 0, leaf_0("GenuineIntel", 0x10)), Ok(()));
        assert_eq!(amd.check_cpuid(0, 0, leaf_0("AuthenticAMD", 0x10)), Ok(()));
        assert_eq!(
            problem(intel.check_cpuid(0, 0, leaf_0("AuthenticAMD", 0x10))),
            "QEMU's processor is by AuthenticAMD, the machine's by GenuineIntel: use -cpu max,vendor=GenuineIntel,level=0x10"
        );
        let mut unsaid = amd;
        unsaid.qemu.cpu = "EPYC".to_owned();
        assert_eq!(unsaid.check_cpuid(0, 0, leaf_0("AuthenticAMD", 0xd)), Ok(()));
        assert!(problem(unsaid.check_cpuid(0, 0, leaf_0("GenuineIntel", 0xd))).contains("by AuthenticAMD"));
    }

    #[test]
    fn leaves_that_cannot_be_reached_are_refused() {
        let amd = machine("amd");
        let leaf = problem(amd.check_cpuid(0, 0, leaf_0("AuthenticAMD", 0xd)));
        assert!(leaf.contains("up to 0xd, the machine's up to 0x10: use -cpu max,"), "{leaf}");
        let leaf = problem(amd.check_cpuid(0x8000_0000, 0, leaf_0("AuthenticAMD", 0x8000_0008)));
        assert!(leaf.contains("up to 0x80000008, the machine's up to 0x80000022"), "{leaf}");
        assert_eq!(amd.check_cpuid(0x8000_0000, 0, leaf_0("AuthenticAMD", 0x8000_0022)), Ok(()));
    }

    #[test]
    fn another_family_model_or_stepping_is_refused() {
        let check = |name: &str, signature: u32| machine(name).check_cpuid(1, 0, [signature, 0, 0, 0]);
        assert_eq!(check("intel", 0x0663), Ok(()), "QEMU's max");
        assert_eq!(check("intel-skylake", 0x5_0654), Ok(()));
        assert_eq!(check("amd", 0x00a1_0f11), Ok(()));
        assert!(problem(check("intel", 0x5_0654)).contains("is of model 85, the machine's of model 6: use -cpu max,"));
        assert!(problem(check("intel-skylake", 0x5_0653)).contains("of stepping 3, the machine's of stepping 4"));
        assert!(problem(check("amd", 0x0080_0f11)).contains("of family 23, the machine's of family 25"));
        let mut named = machine("intel");
        named.qemu.cpu = "Skylake-Server,level=0x10".to_owned();
        assert_eq!(named.check_cpuid(1, 0, [0x5_0654, 0, 0, 0]), Ok(()));
    }

    #[test]
    fn a_model_that_qemu_takes_no_notice_of_is_refused() {
        let mut intel = machine("intel");
        for (cpu, why) in [("max,model=85", "takes model of"), ("max,stepping=4", "takes stepping of")] {
            intel.qemu.cpu = cpu.to_owned();
            assert!(problem(intel.validate()).starts_with(&format!("qemu.cpu: QEMU {why} `max`")), "{cpu}");
        }
        intel.qemu.cpu = "max,family=6,model=85".to_owned();
        assert_eq!(intel.validate(), Ok(()));
        assert_eq!(intel.check_cpuid(1, 0, [0x5_0650, 0, 0, 0]), Ok(()), "of the stepping nothing is said");
    }

    #[test]
    fn other_sockets_cores_or_threads_are_refused() {
        let intel = machine("intel");
        let threads = |threads| intel.check_cpuid(0xb, 0, [0, threads, 0x100, 0]);
        let cpus = |cpus| intel.check_cpuid(0xb, 1, [1, cpus, 0x201, 0]);
        assert_eq!((threads(1), cpus(2)), (Ok(()), Ok(())));
        assert_eq!(
            problem(threads(2)),
            "QEMU has 2 threads to a core, the machine 1: use -smp 4,sockets=2,cores=2,threads=1"
        );
        assert!(problem(cpus(4)).starts_with("QEMU has 4 CPUs to a socket, the machine 2: use -smp 4,"));
        let mut threaded = machine("intel");
        threaded.topology.threads = 2;
        assert_eq!(threaded.check_cpuid(0xb, 0, [1, 2, 0x100, 0]), Ok(()));
        assert_eq!(threaded.check_cpuid(0xb, 1, [2, 4, 0x201, 0]), Ok(()));
        assert!(problem(threaded.check_cpuid(0xb, 1, [2, 2, 0x201, 0])).contains("the machine 4"));
        assert_eq!(intel.check_cpuid(0xb, 1, [0; 4]), Ok(()), "a processor that does not tell");
        assert_eq!(intel.check_cpuid(0xb, 2, [0, 0, 2, 0]), Ok(()), "beyond the last level");
    }

    #[test]
    fn another_arm_processor_is_refused() {
        let mpam = machine("mpam");
        assert_eq!(mpam.check_midr(0x411f_d070), Ok(()));
        assert_eq!(mpam.check_midr(0x412f_d071), Ok(()), "another revision of the same");
        assert_eq!(
            problem(mpam.check_midr(0x410f_d034)),
            "QEMU's processor is a cortex-a53, the machine's a cortex-a57: use -cpu cortex-a57"
        );
        assert!(problem(mpam.check_midr(0x411f_d420)).contains("implementer 0x41, part 0xd42"));
        let mut other = mpam;
        other.qemu.cpu = "cortex-a78ae".to_owned();
        assert_eq!(other.check_midr(0x411f_d420), Ok(()), "not known");
    }

    #[test]
    fn what_machine_makes_of_an_arm_processor_is_compared() {
        let (mpam, vhe) = (machine("mpam"), machine("mpam-vhe"));
        assert_eq!(mpam.check_features(0x0100_0011), Ok(()));
        assert_eq!(vhe.check_features(0x0100_0111), Ok(()));
        assert_eq!(
            problem(mpam.check_features(0x0000_0011)),
            "QEMU's interrupt controller is older than version 3: use -machine virt,gic-version=3,nvdimm=on"
        );
        assert!(problem(mpam.check_features(0x0100_0111)).contains("have EL2, the machine's have not"));
        let problem = problem(vhe.check_features(0x0100_0011));
        assert!(problem.contains("have no EL2") && problem.ends_with("virtualization=on"), "{problem}");
    }

    #[test]
    fn the_memory_of_mscs_is_asked_for_with_all_that_makes_it() {
        let problem = machine("mpam").no_memory_at(0x1_0000_0000).to_string();
        assert_eq!(
            problem,
            "QEMU has no memory at 0x100000000, where the machine has registers of an MSC: use -machine \
             virt,gic-version=3,nvdimm=on -m 1G,slots=1,maxmem=4G -object memory-backend-ram,id=msc,size=2097152 \
             -device nvdimm,memdev=msc,addr=0x100000000"
        );
    }

    #[test]
    fn numbers_of_properties_are_read_as_qemu_reads_them() {
        assert_eq!(property_number("max,level=0x10,model=85", "level"), Some(16));
        assert_eq!(property_number("max,level=0x10,model=85", "model"), Some(85));
        assert_eq!(property_number("max,level=0x10,model=85", "mode"), None);
    }
}
