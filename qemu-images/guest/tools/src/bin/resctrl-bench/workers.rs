// SPDX-License-Identifier: GPL-2.0-only
//! What runs by itself once a second in each domain while resctrl is mounted: counters are read before they overflow, and
//! monitoring ids that were freed are looked at until nothing of theirs is in the cache.

use std::env::var;
use std::fs::remove_dir;
use std::thread::sleep;
use std::time::Duration;

use guest_tools::{Failure, Outcome, channel};
use resctrl_hardware::Event;
use resctrl_hardware::control::{CounterId, Request, label_id};

use crate::clock::Counts;
use crate::groups::make_up_to;
use crate::hotplug::{offline, online, switch};
use crate::sample::Sampler;
use crate::{Machine, at, mount_resctrl, umount_resctrl};

/// Numbers of monitoring groups.
const GROUPS: [usize; 3] = [1, 16, 256];

/// Numbers of domains, where the machine has more.
const DOMAINS: [usize; 2] = [4, 2];

/// More than any threshold: what freed ids still have in the cache.
const OCCUPANCY: u64 = 1 << 40;

/// How long freed ids may take until they can be used again: two periods of the kernel's looking, and one more.
const LIMBO: Duration = Duration::from_millis(3300);

/// Both workers with so many groups and domains. Nothing is mounted before, nor after; every CPU is online.
pub(crate) fn measure(sampler: &mut Sampler, machine: &Machine) -> Outcome {
    let idle = sampler.second("second/unmounted", Counts::default())?;
    mount_resctrl()?;
    sampler.second("second/mounted", idle)?;
    umount_resctrl()?;
    for count in GROUPS {
        seconds(sampler, idle, count, &format!("{count}-groups"))?;
    }
    let mut gone = Vec::new();
    for domains in DOMAINS {
        let Some(surplus) = machine.caches.get(domains..).filter(|surplus| !surplus.is_empty()) else { continue };
        for &cpu in surplus.iter().flat_map(|(_, cpus)| cpus) {
            if !gone.contains(&cpu) {
                offline(&switch(cpu)?)?;
                gone.push(cpu);
            }
        }
        // An idle CPU executes a little, too.
        let idle = sampler.second(&format!("second/unmounted/{domains}-domains"), Counts::default())?;
        let all = machine.caches.len();
        let names =
            if gone.is_empty() { format!("16-groups/{all}-domains") } else { format!("16-groups/{domains}-domains") };
        seconds(sampler, idle, 16, &names)?;
    }
    gone.iter().try_for_each(|&cpu| online(&switch(cpu)?))
}

/// A second of each worker with so many monitoring groups, if there are ids for so many.
fn seconds(sampler: &mut Sampler, idle: Counts, count: usize, name: &str) -> Outcome {
    sleep(LIMBO);
    mount_resctrl()?;
    let measured = with_groups(sampler, idle, count, name);
    umount_resctrl()?;
    measured
}

fn with_groups(sampler: &mut Sampler, idle: Counts, count: usize, name: &str) -> Outcome {
    // Where ids belong to a control group there are few for its monitoring groups.
    let mut groups = make_up_to(count, |number| format!("mon_groups/w{number}"))?;
    let missing = count - groups.len();
    groups.extend(make_up_to(missing, |number| format!("w{number}"))?);
    let remove = || groups.iter().try_for_each(|name| remove_dir(at(name)));
    if groups.len() < count {
        return Ok(remove()?);
    }
    sampler.second(&format!("overflow-second/{name}"), idle)?;
    fill(OCCUPANCY)?;
    remove()?;
    let measured = sampler.second(&format!("limbo-second/{name}"), idle);
    fill(0)?;
    sleep(LIMBO);
    measured.map(|_| ())
}

/// Gives all monitoring ids but the default group's so much of each cache.
fn fill(bytes: u64) -> Outcome {
    let (_, domains) = channel::probe()?;
    for id in ids()? {
        for domain in 0..domains {
            channel::send(Request::Set(CounterId { domain, rmid: id, event: Event::LlcOccupancy }, bytes))?;
        }
    }
    Ok(())
}

/// What the hardware calls them.
fn ids() -> Result<Vec<u64>, Failure> {
    let fact = |name: &str| var(name).ok().and_then(|value| value.parse::<u16>().ok());
    // With MPAM the number of both together is there, too, but it is no name.
    let ids: Vec<u64> = match (fact("PARTIDS"), fact("PMGS"), fact("RMIDS")) {
        (Some(partids), Some(pmgs), _) if partids > 0 => {
            let pmgs = u8::try_from(pmgs).unwrap_or(u8::MAX);
            (0..partids).flat_map(|partid| (0..pmgs).map(move |pmg| label_id(partid, pmg))).collect()
        }
        (.., Some(rmids)) => (0..rmids).map(u64::from).collect(),
        _ => {
            return Err(Failure::Hardware("the environment does not say how many monitoring ids there are".to_owned()));
        }
    };
    Ok(ids.into_iter().skip(1).collect())
}
