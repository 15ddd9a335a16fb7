// SPDX-License-Identifier: GPL-2.0-only
use std::io::Write;
use std::path::Path;

use super::*;
use crate::console::{Scanner, Splat};
use crate::guest::platform::Kind;
use crate::guest::protocol::{self, Message};
use crate::guest::tail::Tail;
use crate::guest::{Platform, tests::spec_of};
use crate::kernels::Arch;
use crate::machine;

/// What the model writes to the file of its first serial port, from power-on to power-off. Written by hand after public
/// logs: firmware, UEFI with its escape sequences, and the kernel, every line ended by carriage return and line feed.
const CONSOLE: &str = include_str!("console.log");
/// The same of the third port, the control channel.
const CONTROL: &str = include_str!("control.log");

fn model() -> Model {
    Model { program: "/arm/FVP_Base_RevC-2xAEMvA".into(), boot_rom: "/fw/bl1.bin".into(), flash: "/fw/fip.bin".into() }
}

fn fvp() -> Spec {
    let mut spec = spec_of("mpam", Arch::Arm64, Some(PathBuf::from("resctrl.ko")));
    spec.hardware = machine::load("mpam", Kind::Fvp).unwrap().hardware;
    Spec { platform: Platform::Fvp(model()), ..spec }
}

fn parameters(spec: &Spec) -> Vec<String> {
    let line = command_line(spec, &model(), &Folder("/run/guest".into())).unwrap();
    assert_eq!(line[0], "/arm/FVP_Base_RevC-2xAEMvA");
    let words: Vec<String> = line[1..].iter().map(|word| word.to_str().unwrap().to_owned()).collect();
    assert!(words.chunks(2).all(|pair| pair[0] == "-C" && pair[1].contains('=')), "{words:?}");
    words.chunks(2).map(|pair| pair[1].clone()).collect()
}

/// Lines as the rig reads them from the file of a port.
fn lines(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("port");
    let mut file = fs::File::create(&path).unwrap();
    // A checkout may have changed the ends of lines; the model's are these.
    file.write_all(text.replace("\r\n", "\n").replace('\n', "\r\n").as_bytes()).unwrap();
    Tail::new(&path).lines().unwrap()
}

fn splats(text: &str) -> Vec<Splat> {
    let scanner = Scanner::new().unwrap();
    lines(text).iter().filter_map(|line| scanner.scan(line)).collect()
}

#[test]
fn the_command_line_turns_mpam_on_boots_firmware_and_has_four_ports_in_files() {
    let parameters = parameters(&fvp());
    for wanted in [
        "cluster0.has_mpam=2",
        "cluster1.has_mpam=2",
        "cluster0.NUM_CORES=4",
        "cluster1.NUM_CORES=4",
        "bp.secureflashloader.fname=/fw/bl1.bin",
        "bp.flashloader0.fname=/fw/fip.bin",
        "bp.ve_sysregs.exit_on_shutdown=1",
        "cluster0.cpu0.semihosting-cwd=/run/guest",
        "bp.pl011_uart0.out_file=/run/guest/console.log",
        "bp.pl011_uart2.out_file=/run/guest/control.log",
        "bp.pl011_uart3.out_file=/run/guest/stdout",
        "bp.pl011_uart1.out_file=/run/guest/stderr",
    ] {
        assert!(parameters.iter().any(|parameter| parameter == wanted), "{wanted} is not in {parameters:?}");
    }
    assert!(parameters.iter().any(|parameter| parameter.ends_with("MPAM_SP")), "PARTID and PMG are on the bus");
}

#[test]
fn the_guest_is_told_the_ports_of_the_model_and_ends_by_power_off() {
    let spec = fvp();
    assert!(spec.kernel_command_line().starts_with("console=ttyAMA0,115200 "));
    let environment = spec.environment();
    for wanted in ["PORT_CONTROL='ttyAMA2'", "PORT_OUTPUT='ttyAMA3'", "END='poweroff'", "PLATFORM='fvp'"] {
        assert!(environment.contains(wanted), "{wanted}");
    }
}

#[test]
fn the_start_up_script_boots_the_kernel_of_whichever_file_system_has_it() {
    let script = script("initramfs.cpio", "console=ttyAMA0 arm64.nompam");
    assert!(script.contains("if exist %d:\\kernel.efi then\r\n"));
    assert!(script.contains("kernel.efi initrd=\\initramfs.cpio console=ttyAMA0 arm64.nompam\r\n"));
}

#[test]
fn tables_get_the_maker_of_the_models_firmware_and_a_checksum_that_fits() {
    let hardware = machine::load("mpam", Kind::Fvp).unwrap().hardware;
    let tables = adopt(hardware.acpi_tables()).unwrap();
    assert_eq!(tables.len(), 2);
    for (name, table) in tables {
        assert_eq!(&table[10..16], b"ARMLTD", "{name}");
        assert_eq!(table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0, "{name}");
    }
}

#[test]
fn the_addresses_of_the_machine_file_are_in_the_table() {
    let mut hardware = machine::load("mpam", Kind::Fvp).unwrap().hardware;
    hardware.mpam.as_mut().unwrap().base = 0x2_1000_0000;
    let tables = hardware.acpi_tables();
    let (_, table) = tables.iter().find(|(name, _)| name == "mpam.aml").unwrap();
    for address in [0x2_1000_0000_u64, 0x2_1001_0000] {
        assert!(table.windows(8).any(|bytes| bytes == address.to_le_bytes()), "{address:#x}");
    }
}

#[test]
fn a_recorded_boot_has_no_fault_and_the_kernels_lines_are_found_among_the_firmwares() {
    assert_eq!(splats(CONSOLE), []);
    let lines = lines(CONSOLE);
    let kernel: Vec<&str> = lines.iter().map(|line| crate::console::without_time_stamp(line)).collect();
    assert!(kernel.contains(&"resctrl: MPAM enabled with 32 PARTIDs and 4 PMGs"));
    assert!(kernel.contains(&"ACPI: Table Upgrade: override [PPTT-ARMLTD-ARMHPPTT]"));
    assert_eq!(kernel.last(), Some(&"reboot: Power down"));
}

#[test]
fn a_fault_among_the_firmwares_lines_is_found() {
    let oops = "[   21.118824] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010\n";
    let console = CONSOLE.replace("[   14.640512]", &format!("{oops}[   14.640512]"));
    let found = splats(&console);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, "BUG");
}

#[test]
fn a_recorded_control_channel_gives_the_verdicts_it_has() {
    let messages: Vec<Message> = lines(CONTROL).iter().filter_map(|line| protocol::parse(line)).collect();
    assert!(matches!(&messages[0], Message::Boot(available) if available.resctrl && available.cpus == 8));
    let exits: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Exit(name, code, _) => Some((name.as_str(), *code)),
            _ => None,
        })
        .collect();
    assert_eq!(exits, [("mount", 0), ("mpam-controls", 4)]);
    assert_eq!(messages.last(), Some(&Message::Done));
    assert!(!messages.iter().any(|message| matches!(message, Message::Garbage(_))), "{messages:?}");
}

#[test]
fn a_machine_with_more_cores_than_the_model_is_refused() {
    let mut spec = fvp();
    spec.hardware.topology.cores = 9;
    let error = command_line(&spec, &model(), &Folder(Path::new("/run").into())).unwrap_err().to_string();
    assert!(error.contains("1 to 8 cores"), "{error}");
}

/// A model that does nothing but write what it is known to write, to the files it is given.
const STAND_IN: &str = "#!/bin/sh
while [ $# -gt 0 ]; do
	case $2 in
	bp.pl011_uart0.out_file=*) cat CONSOLE >\"${2#*=}\" ;;
	bp.pl011_uart2.out_file=*) cat CONTROL >\"${2#*=}\" ;;
	esac
	shift 2
done
";

#[test]
fn a_model_that_writes_what_was_recorded_gives_the_events_of_a_guest() {
    use crate::guest::event::{End, Event};
    use crate::guest::run::{self, Limits};
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (console, control) = (file("console", CONSOLE), file("control", CONTROL));
    let script =
        STAND_IN.replace("CONSOLE", &console.display().to_string()).replace("CONTROL", &control.display().to_string());
    let program = file("FVP_Base_RevC-2xAEMvA", &script);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (kernel, module, busybox) = (file("vmlinuz", "kernel"), file("resctrl.ko", "module"), file("busybox", "box"));

    let mut spec = Spec { platform: Platform::Fvp(Model { program, ..model() }), ..fvp() };
    spec.system.installed.image = kernel;
    spec.system.module = Some(module);
    spec.plan = crate::guest::Plan::Scenarios(vec![crate::guest::Turn {
        scenario: "mount".to_owned(),
        parameters: String::new(),
    }]);
    let provisions = crate::guest::Provisions {
        qemu: Vec::new(),
        firmware: None,
        busybox,
        tools: Vec::new(),
        plugin: PathBuf::new(),
    };
    let guest = Folder(folder.path().join("guest"));
    let mut exits = Vec::new();
    let end = run::run(&spec, &provisions, &guest, &Scanner::new().unwrap(), &Limits::boot_only(), &mut |event| {
        if let Event::Exited { name, code, .. } = event {
            exits.push((name, code));
        }
    });
    assert_eq!(end.unwrap(), End::Done);
    assert_eq!(exits, [("mount".to_owned(), 0), ("mpam-controls".to_owned(), 4)]);
    assert_eq!(fs::read_to_string(guest.0.join("kernel.efi")).unwrap(), "kernel");
}
