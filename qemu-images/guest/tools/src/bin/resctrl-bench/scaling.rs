// SPDX-License-Identifier: GPL-2.0-only
//! The same operation beside more and more groups.

use std::fs::{File, metadata, read_dir, remove_dir};
use std::thread::sleep;
use std::time::Duration;

use guest_tools::{Failure, Outcome};

use crate::files::OpenOften;
use crate::groups::make_up_to;
use crate::sample::Sampler;
use crate::{Machine, at};

/// Control groups beside the default one, as far as the machine has ids for them.
const GROUPS: [usize; 5] = [1, 4, 14, 60, 120];

/// Ids that were freed can be used again.
const LIMBO: Duration = Duration::from_millis(2200);

/// Mounted, and no group there before, nor after.
///
/// # Errors
///
/// What the kernel refuses.
pub(crate) fn measure(sampler: &mut Sampler, machine: &Machine) -> Outcome {
    let mut before = 0;
    for wanted in GROUPS {
        sleep(LIMBO);
        let names = make_up_to(wanted, |number| format!("s{number}"))?;
        let count = names.len();
        // There are no more.
        if count > before {
            beside(sampler, machine, &names)?;
        }
        before = count;
        names.iter().try_for_each(|name| remove_dir(at(name)))?;
    }
    sleep(LIMBO);
    Ok(())
}

fn beside(sampler: &mut Sampler, machine: &Machine, names: &[String]) -> Outcome {
    let count = names.len();
    let Some(last) = names.last() else { return Ok(()) };
    let schemata = OpenOften(File::options().write(true).open(at(format!("{last}/schemata")))?);
    let (domain, mut wide) = (machine.domains[0], false);
    sampler.often(&format!("schemata-write-changed/{count}-groups"), &mut || {
        wide = !wide;
        schemata.write(&format!("L3:{domain}={}\n", if wide { "f" } else { "3" }))
    })?;
    let found = at(last);
    sampler.often(&format!("stat-group/{count}-groups"), &mut || {
        std::hint::black_box(metadata(&found)?);
        Ok(())
    })?;
    let missing = at("nobody");
    sampler.often(&format!("stat-missing/{count}-groups"), &mut || match metadata(&missing) {
        Err(_) => Ok(()),
        Ok(_) => Err(Failure::Hardware("it is there".to_owned())),
    })?;
    sampler.often(&format!("readdir-root/{count}-groups"), &mut || {
        std::hint::black_box(read_dir(at(""))?.count());
        Ok(())
    })
}
