// SPDX-License-Identifier: GPL-2.0-only
//! Reads what the emulated MSCs of an Arm machine hold, below any driver, and sets what no driver does.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

use guest_tools::channel::send;
use guest_tools::{Arguments, Failure, Outcome, main as run_program, parse_number, unknown_command};
use resctrl_hardware::control::{Request, Status};
use resctrl_hardware::mpam::registers as hw;
use std::process::ExitCode;

const HELP: &str = "\
Reads the emulated memory system components (MSCs) of an Arm machine, without touching their
registers. MSC and RIS count from 0; numbers are decimal, or hexadecimal after 0x.

  msc list                            one line for each MSC: number, physical address, resource
                                      instances, accesses from CPUs that cannot reach it
  msc control MSC RIS PARTID CONTROL  print what a control holds for a PARTID, after narrowing.
                                      CONTROL: cpbm cmax cmin cassoc mbw_max mbw_min mbw_pbm
                                      mbw_prop pri, or the register's offset
  msc set MSC RIS PARTID CONTROL VALUE
                                      give a control a value; nobody's selection of a PARTID changes
  msc error MSC                       print the error status and the error control register, and
                                      how many accesses to any MSC were errors
  msc monitor MSC RIS KIND MONITOR    print filter, control and value of a monitor; KIND is usage
                                      or traffic, the value of one that is not ready is \"busy\"
  msc request MSC RIS PARTID PMG BYTES
                                      send a memory request through, right or wrong: a PARTID or
                                      PMG the MSC does not have is an error, with its interrupt
  msc labels CPU                      print the labels of a CPU's data requests at EL0, EL1 and EL2, each as
                                      PARTID/PMG
  msc guest-move CPU BYTES            a CPU moves bytes as the kernel of a virtual machine would on
                                      it, with the label of EL1
  msc power-cycle CPU                 a CPU forgets what is in its registers of MPAM, as if it had
                                      been without power
";

const CONTROLS: [(&str, u32); 9] = [
    ("cpbm", hw::Cpbm::OFFSET),
    ("cmax", hw::Cmax::OFFSET),
    ("cmin", hw::Cmin::OFFSET),
    ("cassoc", hw::Cassoc::OFFSET),
    ("mbw_max", hw::MbwMax::OFFSET),
    ("mbw_min", hw::MbwMin::OFFSET),
    ("mbw_pbm", hw::MbwPbm::OFFSET),
    ("mbw_prop", hw::MbwProp::OFFSET),
    ("pri", hw::Pri::OFFSET),
];

/// Not ready, in the answer about a monitor.
const BUSY: u64 = 1 << 63;

fn main() -> ExitCode {
    run_program("msc", HELP, run)
}

fn run(command: &str, arguments: &mut Arguments) -> Outcome {
    if command == "list" {
        arguments.end()?;
        return list();
    }
    if command == "power-cycle" {
        let cpu = arguments.number("CPU")?;
        arguments.end()?;
        send(Request::PowerCycle(cpu))?;
        return Ok(());
    }
    if command == "labels" {
        let cpu = arguments.number("CPU")?;
        arguments.end()?;
        let labels = send(Request::Labels(cpu))?.map(|label| format!("{}/{}", label >> 8, label & 0xff));
        println!("{}", labels.join(" "));
        return Ok(());
    }
    if command == "guest-move" {
        let (cpu, bytes) = (arguments.number("CPU")?, arguments.number("BYTES")?);
        arguments.end()?;
        send(Request::MoveAtEl1(cpu, bytes))?;
        return Ok(());
    }
    if !["control", "set", "error", "monitor", "request"].contains(&command) {
        return Err(unknown_command());
    }
    let msc = arguments.number("MSC")?;
    match command {
        "control" => {
            let (ris, partid) = (arguments.number("RIS")?, arguments.number("PARTID")?);
            let offset = offset(&arguments.text("CONTROL")?)?;
            arguments.end()?;
            let [value, ..] = send(Request::MscControl(msc, ris, partid, offset))?;
            println!("{value:#x}");
        }
        "set" => {
            let (ris, partid) = (arguments.number("RIS")?, arguments.number("PARTID")?);
            let offset = offset(&arguments.text("CONTROL")?)?;
            let value = arguments.number("VALUE")?;
            arguments.end()?;
            if ris.max(partid) > u64::from(u32::MAX) {
                return Err(Failure::Usage(format!("there is neither RIS {ris} nor PARTID {partid}")));
            }
            send(Request::SetMscControl(msc, partid << 32 | ris, offset, value))?;
        }
        "error" => {
            arguments.end()?;
            let [status, control, count] = send(Request::MscError(msc))?;
            println!("{status:#x} {control:#x} {count}");
        }
        "monitor" => {
            let (ris, kind) = (arguments.number("RIS")?, kind(&arguments.text("KIND")?)?);
            let monitor = arguments.number("MONITOR")?;
            arguments.end()?;
            let [filter, control, value] = send(Request::MscMonitor(msc, ris, monitor, kind))?;
            if value & BUSY == 0 {
                println!("{filter:#x} {control:#x} {value}");
            } else {
                println!("{filter:#x} {control:#x} busy");
            }
        }
        _ => {
            let ris = arguments.number("RIS")?;
            let (partid, pmg) = (arguments.number("PARTID")?, arguments.number("PMG")?);
            let bytes = arguments.number("BYTES")?;
            arguments.end()?;
            if partid > 0xffff || pmg > 0xff {
                return Err(Failure::Usage(format!("no request has room for PARTID {partid} and PMG {pmg}")));
            }
            send(Request::MscRequest(msc, ris, partid | pmg << 16, bytes))?;
        }
    }
    Ok(())
}

fn list() -> Outcome {
    let end = Status::NoSuchMsc.to_string();
    for msc in 0.. {
        match send(Request::Msc(msc)) {
            Ok([address, instances, strays]) => println!("{msc} {address:#x} {instances} {strays}"),
            Err(Failure::Hardware(problem)) if msc > 0 && problem == end => break,
            Err(problem) => return Err(problem),
        }
    }
    Ok(())
}

fn offset(name: &str) -> Result<u64, Failure> {
    let known = CONTROLS.into_iter().find(|(known, _)| *known == name).map(|(_, offset)| offset.into());
    known.or_else(|| parse_number(name)).ok_or_else(|| Failure::Usage(format!("CONTROL: there is no \"{name}\"")))
}

fn kind(name: &str) -> Result<u64, Failure> {
    match name {
        "usage" => Ok(0),
        "traffic" => Ok(1),
        _ => Err(Failure::Usage(format!("KIND: there is no \"{name}\""))),
    }
}
