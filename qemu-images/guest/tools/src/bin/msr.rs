// SPDX-License-Identifier: GPL-2.0-only
//! Reads and writes model specific registers of a CPU through `/dev/cpu/N/msr`.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

use guest_tools::{Arguments, Failure, Outcome, main as run_program, unknown_command};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

const HELP: &str = "\
Reads and writes model specific registers of one CPU.

  msr read CPU ADDRESS [COUNT]   print the register, or COUNT following ones, one a line
  msr write CPU ADDRESS VALUE    write it

Numbers are decimal, or hexadecimal after 0x. The kernel's msr module must be loaded.
Exit code 1 and the errno's name on standard error where the kernel refuses: EIO is a
general protection fault, ENXIO a CPU that is offline.
";

fn main() -> ExitCode {
    run_program("msr", HELP, run)
}

fn run(command: &str, arguments: &mut Arguments) -> Outcome {
    match command {
        "read" => {
            let (device, address) = target(arguments)?;
            let count = arguments.optional().map_or(Ok(1), |text| number(&text.to_string_lossy()))?;
            arguments.end()?;
            let file = OpenOptions::new().read(true).open(device)?;
            for register in address..address.saturating_add(count) {
                let mut value = [0; 8];
                file.read_exact_at(&mut value, register)?;
                println!("{:#x}", u64::from_le_bytes(value));
            }
            Ok(())
        }
        "write" => {
            let (device, address) = target(arguments)?;
            let value = arguments.number("VALUE")?;
            arguments.end()?;
            let file = OpenOptions::new().write(true).open(device)?;
            file.write_all_at(&value.to_le_bytes(), address)?;
            Ok(())
        }
        _ => Err(unknown_command()),
    }
}

fn target(arguments: &mut Arguments) -> Result<(String, u64), Failure> {
    let cpu = arguments.number("CPU")?;
    Ok((format!("/dev/cpu/{cpu}/msr"), arguments.number("ADDRESS")?))
}

fn number(text: &str) -> Result<u64, Failure> {
    guest_tools::parse_number(text).ok_or_else(|| Failure::Usage(format!("COUNT: \"{text}\" is not a number")))
}
