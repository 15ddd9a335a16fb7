// SPDX-License-Identifier: GPL-2.0-only
//! Drives the traffic source of the emulated hardware below the guest.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

use guest_tools::channel::{mine, probe, send, write_at};
use guest_tools::{Arguments, Failure, Outcome, main as run_program, parse_number, steadiness, unknown_command};
use resctrl_hardware::control::{CounterId, Request, label_id};
use resctrl_hardware::telemetry::TelemetryEvent;
use resctrl_hardware::write_log::Kind;
use resctrl_hardware::{Caches, Event, Fault, Flow};
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
Makes the memory traffic that the emulated hardware counts, and asks what it saw.

Counters. DOMAIN is the number of an L3 cache, from 0; RMID may be \"mine\", the one this program
works under itself. On Arm RMID is PARTID/PMG; N alone is PMG N of PARTID 0. EVENT is
llc_occupancy, mbm_total_bytes or (not on Arm) mbm_local_bytes; amounts are in bytes (K, M, G, T
multiply by 1024).
  add DOMAIN RMID EVENT BYTES     add to the counter
  set DOMAIN RMID EVENT BYTES     set it
  occupancy DOMAIN RMID BYTES     the same as: set DOMAIN RMID llc_occupancy BYTES
  get DOMAIN RMID EVENT           print it in bytes, never wrapped; and its fault, if any
  rate DOMAIN RMID EVENT BYTES    let it grow by so much a second from now on; 0 stops it
  transactions DOMAIN RMID KINDS BYTES
                                  make BYTES of transactions, for every counter that counts one of
                                  these kinds; KINDS is a mask, its bits those of the kernel's
                                  mbm_total_bytes_config (not on Arm)
  telemetry PACKAGE RMID EVENT AMOUNT
                                  add to a counter of a package, in the unit that it counts in;
                                  PACKAGE/REGION where a package counts in several (not on Arm)
  fault DOMAIN RMID EVENT STATE   let it read as error (not on Arm) or unavailable (on Arm: its
                                  monitors are not ready), or (none) as usual

Traffic of programs, which follows them from group to group.
  flow CPU TOTAL LOCAL FOOTPRINT  let CPU move TOTAL bytes a second, LOCAL of them to its own
                                  package, and work on FOOTPRINT bytes of cache
  flow CPU off                    let it stop
  drain DOMAIN BYTES              let an RMID no CPU works for lose so much of the cache a
                                  second; 0, as at power-on, for none

Caches that follow what the guest does (docs/hardware-model.md).
  caches follow                   let them, beginning empty; llc_occupancy is theirs alone then
  caches still                    let them hold nothing, as at power-on of most machines
  memory-speed BYTES              let each CPU that misses move no more than BYTES a second, of which
                                  limits to its bandwidth leave it their part; 0 for any number
  cache-counts CPU                print what CPU has done since: accesses, those that got to the
                                  L3, and those that the L3 did not have

What the hardware saw.
  assoc CPU                       print RMID and CLOSID, or PMG and PARTID, the CPU works for
  writes [GROUP]                  print how often registers were written: config, l3, l2, mba,
                                  assoc, select, refused (answered with #GP, or an error), or
                                  control, the first four together; without GROUP all, one a line
  next                            print the position the next write will have
  log [POSITION]                  print the writes of the group control from there on: position,
                                  CPU, address, value, and \"same\" where it changed nothing. On Arm
                                  the address is that of the MSC times 0x10000 plus the offset, the
                                  value has the PARTID times 2^32 added, and the RIS times 2^48
  check SECONDS                   let the hardware answer the same questions over and over, fail if an
                                  answer changes; print how often
  probe                           print the number of CPUs and of L3 domains
  lose-power                      every register of the emulated hardware is as after reset
  keep                            write down what the registers hold, in the guest's folder on the host
  slow-read MILLISECONDS          the next read of a counter takes so much longer (not on Arm)

Numbers are decimal, or hexadecimal after 0x.
";

fn main() -> ExitCode {
    run_program("rdt-traffic", HELP, run)
}

fn run(command: &str, arguments: &mut Arguments) -> Outcome {
    let (cpus, domains) = probe()?;
    let request = match command {
        "add" => Request::Add(counter(arguments)?, arguments.number("BYTES")?),
        "set" => Request::Set(counter(arguments)?, arguments.number("BYTES")?),
        "occupancy" => {
            let (domain, rmid) = (arguments.number("DOMAIN")?, rmid(arguments)?);
            let id = CounterId { domain, rmid, event: Event::LlcOccupancy };
            Request::Set(id, arguments.number("BYTES")?)
        }
        "get" => return get(arguments),
        "rate" => Request::SetRate(counter(arguments)?, arguments.number("BYTES")?),
        "fault" => Request::SetFault(counter(arguments)?, fault(&arguments.text("STATE")?)?),
        "transactions" => Request::Transactions(
            arguments.number("DOMAIN")?,
            rmid(arguments)?,
            arguments.number("KINDS")?,
            arguments.number("BYTES")?,
        ),
        "telemetry" => telemetry(arguments)?,
        "flow" => flow(arguments)?,
        "drain" => Request::SetDrain(arguments.number("DOMAIN")?, arguments.number("BYTES")?),
        "caches" => {
            let state = arguments.text("STATE")?;
            let known = [("follow", Caches::Follow), ("still", Caches::Still)];
            let known = known.into_iter().find(|(name, _)| *name == state);
            Request::Caches(known.ok_or_else(|| Failure::Usage(format!("STATE: there is no \"{state}\"")))?.1)
        }
        "memory-speed" => Request::MemorySpeed(arguments.number("BYTES")?),
        "cache-counts" => {
            let cpu = arguments.number("CPU")?;
            arguments.end()?;
            let [accesses, references, misses] = send(Request::CacheCounts(cpu))?;
            println!("{accesses} {references} {misses}");
            return Ok(());
        }
        "assoc" => {
            let cpu = arguments.number("CPU")?;
            arguments.end()?;
            let [rmid, closid, _] = send(Request::Association(cpu))?;
            println!("{rmid} {closid}");
            return Ok(());
        }
        "writes" => return writes(arguments),
        "next" => {
            arguments.end()?;
            println!("{}", send(Request::NextWrite)?[0]);
            return Ok(());
        }
        "log" => return log(arguments),
        "lose-power" => Request::LosePower,
        "keep" => Request::Keep,
        "slow-read" => {
            let milliseconds = arguments.number("MILLISECONDS")?;
            let longest = Failure::Usage(format!("MILLISECONDS: {milliseconds} is too long"));
            Request::SlowRead(milliseconds.checked_mul(1_000_000).ok_or(longest)?)
        }
        "check" => {
            let seconds = arguments.number("SECONDS")?;
            arguments.end()?;
            println!("{}", steadiness::check(Duration::from_secs(seconds))?);
            return Ok(());
        }
        "probe" => {
            arguments.end()?;
            println!("{cpus} {domains}");
            return Ok(());
        }
        _ => return Err(unknown_command()),
    };
    arguments.end()?;
    send(request).map(|_| ())
}

/// What the management unit of a package counts.
fn telemetry(arguments: &mut Arguments) -> Result<Request, Failure> {
    let text = arguments.text("PACKAGE")?;
    let (package, region) = text.split_once('/').unwrap_or((&text, "0"));
    let number = |text| parse_number(text).and_then(|number| u32::try_from(number).ok()).map(u64::from);
    let (package, region) = number(package)
        .zip(number(region))
        .ok_or_else(|| Failure::Usage(format!("PACKAGE: \"{text}\" is neither a number nor PACKAGE/REGION")))?;
    let rmid = rmid(arguments)?;
    let name = arguments.text("EVENT")?;
    let event =
        TelemetryEvent::from_name(&name).ok_or_else(|| Failure::Usage(format!("EVENT: there is no \"{name}\"")))?;
    Ok(Request::Telemetry(package | region << 32, rmid, event, arguments.number("AMOUNT")?))
}

/// An RMID, or PARTID and PMG, as the protocol has it.
fn rmid(arguments: &mut Arguments) -> Result<u64, Failure> {
    let text = arguments.text("RMID")?;
    if text == "mine" {
        let (rmid, closid) = mine()?;
        return if cfg!(target_arch = "aarch64") { label(closid, rmid) } else { Ok(rmid) };
    }
    let parsed = match text.split_once('/') {
        None => parse_number(&text),
        Some((partid, pmg)) => match (parse_number(partid), parse_number(pmg)) {
            (Some(partid), Some(pmg)) => return label(partid, pmg),
            _ => None,
        },
    };
    parsed.ok_or_else(|| Failure::Usage(format!("RMID: \"{text}\" is neither a number nor PARTID/PMG nor mine")))
}

fn label(partid: u64, pmg: u64) -> Result<u64, Failure> {
    let ids = u16::try_from(partid).ok().zip(u8::try_from(pmg).ok());
    let (partid, pmg) = ids.ok_or_else(|| Failure::Usage(format!("RMID: there is no {partid}/{pmg}")))?;
    Ok(label_id(partid, pmg))
}

fn counter(arguments: &mut Arguments) -> Result<CounterId, Failure> {
    let (domain, rmid) = (arguments.number("DOMAIN")?, rmid(arguments)?);
    let name = arguments.text("EVENT")?;
    let event = Event::from_name(&name).ok_or_else(|| Failure::Usage(format!("EVENT: there is no \"{name}\"")))?;
    Ok(CounterId { domain, rmid, event })
}

const FAULTS: [(&str, Option<Fault>); 3] =
    [("none", None), ("error", Some(Fault::Error)), ("unavailable", Some(Fault::Unavailable))];

fn fault(name: &str) -> Result<Option<Fault>, Failure> {
    let named = FAULTS.into_iter().find(|(known, _)| *known == name);
    named.map(|(_, fault)| fault).ok_or_else(|| Failure::Usage(format!("STATE: there is no \"{name}\"")))
}

fn get(arguments: &mut Arguments) -> Outcome {
    let id = counter(arguments)?;
    arguments.end()?;
    let [bytes, fault, _] = send(Request::Get(id))?;
    match FAULTS.get(usize::try_from(fault).unwrap_or(usize::MAX)) {
        Some((_, None)) | None => println!("{bytes}"),
        Some((name, Some(_))) => println!("{bytes} {name}"),
    }
    Ok(())
}

fn flow(arguments: &mut Arguments) -> Result<Request, Failure> {
    let cpu = arguments.number("CPU")?;
    let total = arguments.text("TOTAL")?;
    let flow = if total == "off" {
        Flow { total: 0, local: 0, footprint: 0 }
    } else {
        let total = parse_number(&total)
            .ok_or_else(|| Failure::Usage(format!("TOTAL: \"{total}\" is neither a number nor off")))?;
        Flow { total, local: arguments.number("LOCAL")?, footprint: arguments.number("FOOTPRINT")? }
    };
    Ok(Request::SetFlow(cpu, flow))
}

fn total(kinds: &[Kind]) -> Result<u64, Failure> {
    kinds.iter().map(|kind| Ok(send(Request::Writes(*kind))?[0])).sum()
}

fn writes(arguments: &mut Arguments) -> Outcome {
    let group = arguments.optional();
    arguments.end()?;
    let Some(group) = group else {
        for kind in Kind::ALL {
            println!("{} {}", kind.name(), total(&[kind])?);
        }
        return Ok(());
    };
    let group = group.to_string_lossy();
    let sum = match (&*group, Kind::from_name(&group)) {
        ("control", _) => total(&Kind::CONTROL)?,
        (_, Some(kind)) => total(&[kind])?,
        _ => return Err(Failure::Usage(format!("GROUP: there is no \"{group}\""))),
    };
    println!("{sum}");
    Ok(())
}

fn log(arguments: &mut Arguments) -> Outcome {
    let start = arguments.optional().map(|text| text.to_string_lossy().into_owned());
    arguments.end()?;
    let mut position = match start {
        None => 0,
        Some(text) => {
            parse_number(&text).ok_or_else(|| Failure::Usage(format!("POSITION: \"{text}\" is not a number")))?
        }
    };
    // Positions count other groups too, so the first write at or after one may lie behind the last position.
    let end = send(Request::NextWrite)?[0];
    while position < end {
        let Some([value, sequence, place]) = write_at(position)? else { break };
        let (address, cpu) = (place & 0xffff_ffff, place >> 32 & 0x7fff_ffff);
        let same = if place >> 63 == 0 { " same" } else { "" };
        println!("{sequence} {cpu} {address:#x} {value:#x}{same}");
        position = sequence + 1;
    }
    Ok(())
}
