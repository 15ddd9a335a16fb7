// SPDX-License-Identifier: GPL-2.0-only
//! How much memory groups and domains take: what the kernel's allocator hands out while one is made, and does not get back
//! meanwhile.
//!
//! The allocator says so in its trace events, with what it has rounded sizes up to. Whole pages, which neither
//! implementation takes for a group, are not in them.

use std::collections::HashMap;
use std::fs::{create_dir, read_to_string, remove_dir, write};
use std::path::Path;
use std::process;
use std::thread::sleep;
use std::time::Duration;

use guest_tools::{Failure, Outcome};

use crate::groups::make;
use crate::hotplug::{offline, online, switch};
use crate::sample::Sampler;
use crate::{Machine, at, mount_resctrl, umount_resctrl};

/// What names of what is told here begin with.
pub(crate) const NAME: &str = "memory:";

/// A trace of our own.
const INSTANCE: &str = "/sys/kernel/tracing/instances/memory";

/// What is traced.
const EVENTS: [&str; 4] = ["kmalloc", "kmem_cache_alloc", "kfree", "kmem_cache_free"];

/// How much a trace can have in it, for each CPU.
const BUFFER_KIB: &str = "4096";

/// Whose allocations count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Those of this process: what it asks for is done by itself.
    Ours,
    /// Everybody's: CPUs come by threads of their own.
    All,
}

/// How often each thing is made; what is told is the median.
const TIMES: usize = 5;

/// Freed ids can be used again, and what is freed later is free.
const PAUSE: Duration = Duration::from_millis(2200);

/// Nothing is mounted before, nor after.
///
/// # Errors
///
/// What the kernel refuses; there are no such events.
pub(crate) fn measure(sampler: &mut Sampler, machine: &Machine) -> Outcome {
    create_dir(INSTANCE)?;
    let measured = groups(sampler).and_then(|()| domains(sampler, machine));
    remove_dir(INSTANCE)?;
    measured
}

fn groups(sampler: &mut Sampler) -> Outcome {
    for (what, path) in [("control-group", "x"), ("monitoring-group", "mon_groups/x")] {
        mount_resctrl()?;
        let mut taken = Vec::new();
        for _ in 0..TIMES {
            taken.push(kept_by(Whose::Ours, &mut || make(path))?);
            remove_dir(at(path))?;
            sleep(PAUSE);
        }
        umount_resctrl()?;
        sampler.bytes(&format!("{NAME}{what}"), middle(taken))?;
    }
    Ok(())
}

/// A domain with its files in the root's directory: what its first CPU takes more than its second.
fn domains(sampler: &mut Sampler, machine: &Machine) -> Outcome {
    let cpus = machine.remote.iter().map(|&cpu| switch(cpu)).collect::<Result<Vec<_>, _>>()?;
    let [first, second, ..] = &cpus[..] else { return Ok(()) };
    mount_resctrl()?;
    let mut taken = Vec::new();
    for _ in 0..TIMES {
        cpus.iter().try_for_each(|cpu| offline(cpu))?;
        sleep(PAUSE);
        let with_domain = kept_by(Whose::All, &mut || online(first))?;
        sleep(PAUSE);
        let without = kept_by(Whose::All, &mut || online(second))?;
        taken.push(with_domain.saturating_sub(without));
        cpus.iter().skip(2).try_for_each(|cpu| online(cpu))?;
    }
    umount_resctrl()?;
    sampler.bytes(&format!("{NAME}domain"), middle(taken))
}

fn middle(mut figures: Vec<u64>) -> u64 {
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Bytes that are allocated by an operation and not freed by it.
fn kept_by(whose: Whose, operation: &mut dyn FnMut() -> Outcome) -> Result<u64, Failure> {
    let file = |name: &str| Path::new(INSTANCE).join(name);
    let switch_events =
        |on: &str| EVENTS.iter().try_for_each(|event| write(file(&format!("events/kmem/{event}/enable")), on));
    write(file("buffer_size_kb"), BUFFER_KIB)?;
    write(file("set_event_pid"), if whose == Whose::Ours { process::id().to_string() } else { String::new() })?;
    write(file("trace"), "")?;
    switch_events("1")?;
    let outcome = operation();
    switch_events("0")?;
    outcome?;
    kept(&read_to_string(file("trace"))?).ok_or_else(|| Failure::Hardware("the trace is not complete".to_owned()))
}

/// Bytes that a trace has allocated and not freed; none if it is not complete.
fn kept(trace: &str) -> Option<u64> {
    let mut held = HashMap::new();
    for line in trace.lines() {
        if let Some(counts) = line.strip_prefix("# entries-in-buffer/entries-written: ") {
            let (there, written) = counts.split_whitespace().next()?.split_once('/')?;
            if there != written {
                return None;
            }
        }
        let Some((event, fields)) =
            EVENTS.into_iter().find_map(|event| Some((event, line.split_once(&format!(": {event}: "))?.1)))
        else {
            continue;
        };
        let field =
            |name: &str| fields.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let pointer = field("ptr")?;
        if event.ends_with("alloc") {
            held.insert(pointer, field("bytes_alloc")?.parse::<u64>().ok()?);
        } else {
            held.remove(pointer);
        }
    }
    Some(held.into_values().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "# tracer: nop\n#\n# entries-in-buffer/entries-written: 5/5   #P:4\n\
        resctrl-bench-61  [000] ..... 1.1: kmalloc: call_site=a+0x1/0x2 ptr=0001 bytes_req=60 bytes_alloc=64 node=-1\n\
        resctrl-bench-61  [000] ..... 1.2: kmem_cache_alloc: call_site=b ptr=0002 name=dentry bytes_req=192 bytes_alloc=192\n\
        resctrl-bench-61  [000] ..... 1.3: kfree: call_site=a ptr=0001\n\
        resctrl-bench-61  [000] ..... 1.4: kmalloc: call_site=a ptr=0001 bytes_req=9 bytes_alloc=16 node=-1\n\
        resctrl-bench-61  [000] ..... 1.5: kmem_cache_free: call_site=b ptr=0003 name=dentry\n";

    #[test]
    fn what_is_freed_again_does_not_count_and_the_same_place_counts_anew() {
        assert_eq!(kept(TRACE), Some(192 + 16));
        assert_eq!(kept(""), Some(0));
    }

    #[test]
    fn a_trace_that_lost_something_is_no_trace() {
        assert_eq!(kept(&TRACE.replace("5/5", "5/9")), None);
        assert_eq!(kept(&TRACE.replace("bytes_alloc", "bytes")), None);
    }

    #[test]
    fn of_several_figures_the_middle_one_is_told() {
        assert_eq!(middle(vec![9, 1, 5]), 5);
    }
}
