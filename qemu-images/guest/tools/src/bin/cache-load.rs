// SPDX-License-Identifier: GPL-2.0-only
//! Works on memory line by line, so that it is known what caches and memory have to do.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

use guest_tools::channel::send;
use guest_tools::perf::{Channels, Counter, Event};
use guest_tools::{Arguments, Failure, Outcome, main as run_program, parse_number, unknown_command};
use nix::sched::sched_getcpu;
use resctrl_hardware::control::Request;
use std::ffi::OsString;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

const HELP: &str = "\
Works on memory line by line.

SIZE is in bytes (K, M, G multiply by 1024). A round is one access to each line of 64 bytes, in
order. All memory is touched, and walked over once, before anything is counted. ACCESS is read or
write. The program has to stay on one CPU (taskset), whose accesses to caches it prints: those that
got to the L3, and those that the L3 did not have; both are 0 unless caches follow what the guest
does (rdt-traffic caches follow).
  walk SIZE ROUNDS ACCESS [FILE]  walk over SIZE bytes ROUNDS times; print the bytes, how much larger
                                  the number in FILE is then (0 without), references, misses and
                                  microseconds
  chase SIZE STEPS                go from line to line of SIZE bytes in no order, each of which says
                                  where the next one is; print bytes, 0, references, misses and
                                  microseconds
  return SIZE ACCESS COMMAND...   run COMMAND, then walk over SIZE bytes once; print bytes, 0,
                                  references, misses and microseconds of that walk
  counters SIZE ROUNDS ACCESS     walk as above; print what counters of the processor counted of it,
                                  in user mode: instructions, cycles, references and misses; and by
                                  how much the last read of them by RDPMC (x86) was more than one by
                                  the kernel before it, and one behind it more than that
  memory SIZE ROUNDS ACCESS FILE  walk as above; print the bytes that memory controllers of the first
                                  socket counted meanwhile, read and written, and how much larger the
                                  number in FILE is then
";

/// Bytes of a line.
const LINE: usize = 64;

fn main() -> ExitCode {
    run_program("cache-load", HELP, run)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Lines, and nothing else: each begins where a line of a cache does.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; LINE / 8]);

fn run(command: &str, arguments: &mut Arguments) -> Outcome {
    match command {
        "walk" => {
            let mut memory = memory(arguments)?;
            let rounds = arguments.number("ROUNDS")?;
            let access = access(arguments)?;
            let file = arguments.optional();
            arguments.end()?;
            let file = file.as_deref().map(Path::new);
            round(&mut memory, access);
            measure(memory.len() as u64 * LINE as u64 * rounds, file, || {
                (0..rounds).for_each(|_| round(&mut memory, access));
                Ok(())
            })
        }
        "chase" => {
            let mut memory = memory(arguments)?;
            let steps = arguments.number("STEPS")?;
            arguments.end()?;
            link(&mut memory);
            measure(steps * LINE as u64, None, || {
                let mut at = 0;
                (0..steps).for_each(|_| at = usize::try_from(black_box(&memory)[at].0[0]).unwrap_or(0));
                black_box(at);
                Ok(())
            })
        }
        "return" => {
            let mut memory = memory(arguments)?;
            let access = access(arguments)?;
            let words: Vec<OsString> = arguments.rest();
            let (program, rest) = words.split_first().ok_or_else(|| Failure::Usage("COMMAND is missing".to_owned()))?;
            round(&mut memory, access);
            let status = Command::new(program).args(rest).status()?;
            if !status.success() {
                return Err(Failure::Hardware(format!("COMMAND ended with {status}")));
            }
            measure((memory.len() * LINE) as u64, None, || {
                round(&mut memory, access);
                Ok(())
            })
        }
        "counters" => {
            let mut memory = memory(arguments)?;
            let rounds = arguments.number("ROUNDS")?;
            let access = access(arguments)?;
            arguments.end()?;
            round(&mut memory, access);
            count(|| (0..rounds).for_each(|_| round(&mut memory, access)))
        }
        "memory" => {
            let mut memory = memory(arguments)?;
            let rounds = arguments.number("ROUNDS")?;
            let access = access(arguments)?;
            let file = arguments.text("FILE")?;
            arguments.end()?;
            round(&mut memory, access);
            count_memory(Path::new(&file), || (0..rounds).for_each(|_| round(&mut memory, access)))
        }
        _ => Err(unknown_command()),
    }
}

/// Does something, and prints what memory controllers counted meanwhile, and what a file did.
fn count_memory(file: &Path, act: impl FnOnce()) -> Outcome {
    let mut channels = [Channels::begin("cas_count_read")?, Channels::begin("cas_count_write")?];
    let mut all = || -> Result<[u64; 3], Failure> {
        let [read, written] = &mut channels;
        Ok([read.read()? * LINE as u64, written.read()? * LINE as u64, number_in(file)?])
    };
    let before = all()?;
    act();
    let after = all()?;
    let [read, written, counted] = [0, 1, 2].map(|which| after[which] - before[which]);
    println!("{read} {written} {counted}");
    Ok(())
}

/// Does something, and prints what the processor counted meanwhile.
fn count(act: impl FnOnce()) -> Outcome {
    let events = [Event::Instructions, Event::Cycles, Event::References, Event::Misses];
    let mut counters = events.map(Counter::begin).into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut all = || counters.iter_mut().map(Counter::read).collect::<Result<Vec<_>, _>>();
    let before = all()?;
    act();
    let after = all()?;
    let counted = before.iter().zip(&after).map(|(before, after)| (after - before).to_string());
    println!("{}{}", counted.collect::<Vec<_>>().join(" "), directly(&mut counters[0])?);
    Ok(())
}

#[cfg(target_arch = "x86_64")]
fn directly(counter: &mut Counter) -> Result<String, Failure> {
    let first = counter.read()?;
    let Some(second) = counter.read_directly() else {
        return Err(Failure::Hardware("the kernel lets nobody read the counter".to_owned()));
    };
    let third = counter.read()?;
    let more = |later: u64, earlier: u64| later.wrapping_sub(earlier).cast_signed();
    Ok(format!(" {} {}", more(second, first), more(third, second)))
}

#[cfg(not(target_arch = "x86_64"))]
fn directly(_counter: &mut Counter) -> Result<String, Failure> {
    Ok(String::new())
}

/// Memory of so many bytes, all of it touched.
fn memory(arguments: &mut Arguments) -> Result<Vec<Line>, Failure> {
    let size = usize::try_from(arguments.number("SIZE")?).unwrap_or(usize::MAX);
    let mut memory = Vec::new();
    let problem = |_| Failure::Hardware(format!("there is no memory for {size} bytes"));
    memory.try_reserve_exact(size / LINE).map_err(problem)?;
    // One, so that no page is that of zeros.
    memory.resize(size / LINE, Line([1; LINE / 8]));
    Ok(memory)
}

fn access(arguments: &mut Arguments) -> Result<Access, Failure> {
    match arguments.text("ACCESS")?.as_str() {
        "read" => Ok(Access::Read),
        "write" => Ok(Access::Write),
        other => Err(Failure::Usage(format!("ACCESS: \"{other}\" is neither read nor write"))),
    }
}

/// Makes one circle of all lines, the same each time (Sattolo's algorithm).
fn link(memory: &mut [Line]) {
    let mut state = 1_u64;
    (0..).zip(memory.iter_mut()).for_each(|(number, line)| line.0[0] = number);
    for last in (1..memory.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        memory.swap(last, usize::try_from(state >> 33).unwrap_or(0) % last);
    }
}

/// Accesses one word of each line.
fn round(memory: &mut [Line], access: Access) {
    match access {
        Access::Read => memory.iter().for_each(|line| {
            black_box(line.0[0]);
        }),
        Access::Write => memory.iter_mut().for_each(|line| line.0[0] = black_box(2)),
    }
}

/// Does something with so many bytes, and prints what was counted meanwhile.
fn measure(bytes: u64, file: Option<&Path>, act: impl FnOnce() -> Outcome) -> Outcome {
    let cpu = sched_getcpu()? as u64;
    let counted = || file.map_or(Ok(0), number_in);
    let before = (counted()?, caches(cpu)?);
    let begin = Instant::now();
    act()?;
    let microseconds = begin.elapsed().as_micros();
    // First what the walk is followed by at once.
    let after = (caches(cpu)?, counted()?);
    let [references, misses] = [1, 2].map(|which| after.0[which] - before.1[which]);
    println!("{bytes} {} {references} {misses} {microseconds}", after.1.saturating_sub(before.0));
    Ok(())
}

fn caches(cpu: u64) -> Result<[u64; 3], Failure> {
    send(Request::CacheCounts(cpu))
}

fn number_in(file: &Path) -> Result<u64, Failure> {
    let text = std::fs::read_to_string(file)?;
    let number = parse_number(text.trim());
    number.ok_or_else(|| Failure::Hardware(format!("{}: \"{}\" is not a number", file.display(), text.trim())))
}
