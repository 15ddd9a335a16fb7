// SPDX-License-Identifier: GPL-2.0-only

use std::collections::BTreeSet;

use regex::Regex;

use super::*;

fn version() -> Version {
    Version {
        full: "0.1.0-1".to_owned(),
        epoch: 1_700_000_000,
        commit: "c0ffee".to_owned(),
        maintainer: "A B <a@b.org>".to_owned(),
    }
}

fn text(arch: Arch, name: &str) -> String {
    let kernel = Kernel::load("stock", arch).unwrap();
    Texts::new(arch, &kernel.resctrl_off, &version()).unwrap().read(name).unwrap()
}

fn source(name: &str) -> String {
    fs::read_to_string(workspace::root().join("qemu-images/module").join(name)).unwrap()
}

#[test]
fn the_manual_has_every_parameter_of_the_module_and_no_other() {
    let parameter = Regex::new(r"module_param\((\w+),").unwrap();
    let sources = source("shim_x86.c") + &source("shim_arm64.c") + &source("shim.c");
    let there: BTreeSet<_> = parameter.captures_iter(&sources).map(|found| found[1].to_owned()).collect();
    let page = text(Arch::Amd64, "resctrl-rust.4");
    let (_, parameters) = page.split_once(".SH PARAMETERS").unwrap();
    let described = Regex::new(r"(?m)^\.BI (\w+)=").unwrap();
    let described: BTreeSet<_> = described.captures_iter(parameters).map(|found| found[1].to_owned()).collect();
    assert_eq!(described, there);
    // What the kernel's description of rdt= lists, the manual lists.
    let (_, list) = sources.split_once("between commas: ").unwrap();
    for feature in list.split('"').next().unwrap().split(' ') {
        let name = feature.split('[').next().unwrap();
        assert!(parameters.contains(&format!("\n.BR {name} ")), "{name}");
    }
}

#[test]
fn pages_name_the_argument_that_the_module_asks_for() {
    let header = |name| {
        let text = source(name);
        text.split_once("#define SHIM_RESCTRL_OFF \"").unwrap().1.split('"').next().unwrap().to_owned()
    };
    for (arch, off) in [(Arch::Amd64, header("shim_x86.h")), (Arch::Arm64, header("shim_arm64.h"))] {
        for name in ["postinst", "examples/grub.cfg", "resctrl-rust.4"] {
            assert!(text(arch, name).contains(&off), "{name} without {off}");
        }
    }
}

#[test]
fn dkms_builds_both_modules_where_the_kernel_has_telemetry_and_for_its_own_machine_alone() {
    let ask = |arch, configuration: &str| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config"), configuration).unwrap();
        fs::write(folder.path().join("dkms.conf"), text(arch, "dkms.conf")).unwrap();
        let script = "kernel_config=config; . ./dkms.conf; \
                      echo \"${BUILT_MODULE_NAME[*]}|${DEST_MODULE_LOCATION[*]}|$BUILD_EXCLUSIVE_ARCH|$PACKAGE_VERSION\"";
        duct::cmd!("bash", "-c", script).dir(folder.path()).read().unwrap()
    };
    let plain = "resctrl|/updates/dkms|^x86_64$|0.1.0-1";
    assert_eq!(ask(Arch::Amd64, "CONFIG_X86=y\n"), plain);
    assert_eq!(ask(Arch::Arm64, ""), plain.replace("x86_64", "aarch64"));
    let both = ask(Arch::Amd64, "CONFIG_INTEL_PMT_TELEMETRY=m\n");
    assert_eq!(both, "resctrl resctrl_aet|/updates/dkms /updates/dkms|^x86_64$|0.1.0-1");
}

#[test]
fn every_place_of_a_file_is_filled() {
    for arch in Arch::ALL {
        for name in ["postinst", "prerm", "dkms.conf", "copyright", "examples/grub.cfg", "resctrl-rust.4"] {
            assert!(!text(arch, name).contains("@VERSION@"), "{name}");
        }
        assert!(text(arch, "control").contains("\nInstalled-Size: @SIZE@\n"));
    }
}

#[test]
fn what_is_required_of_a_kernel_is_what_the_rigs_kernels_have() {
    // The compiled code is for kernels with these mitigations; the sources of the others say what they lack.
    let needed = |arch| configuration(arch).split(' ').map(str::to_owned).collect::<Vec<_>>();
    let guest = |name: &str| fs::read_to_string(workspace::root().join("qemu-images/kernels").join(name)).unwrap();
    for (arch, name) in [(Arch::Amd64, "guest.config"), (Arch::Arm64, "guest.arm64.config")] {
        for option in needed(arch) {
            assert!(guest(name).contains(&format!("\n{option}=y\n")), "{option} in {name}");
        }
    }
}
