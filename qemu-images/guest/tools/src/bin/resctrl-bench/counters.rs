// SPDX-License-Identifier: GPL-2.0-only
//! What some machines have: counters that are assigned to groups (ABMC, MPAM's), events that are configured (BMEC), and
//! a class for devices (`io_alloc`).

use std::fs::{File, read_to_string, remove_dir};
use std::path::Path;

use guest_tools::Outcome;

use crate::files::{OpenOften, reads};
use crate::groups::make;
use crate::sample::Sampler;
use crate::{Machine, at, command};

/// Files of counters and events that are read, where there are such.
const READ: [&str; 10] = [
    "info/L3_MON/mbm_assign_mode",
    "info/L3_MON/num_mbm_cntrs",
    "info/L3_MON/available_mbm_cntrs",
    "info/L3_MON/mbm_assign_on_mkdir",
    "info/L3_MON/event_configs/mbm_total_bytes/event_filter",
    "info/L3_MON/mbm_total_bytes_config",
    "info/L3/io_alloc",
    "info/L3/bit_usage",
    "g/mbm_L3_assignments",
    "info/L3_MON/mon_features",
];

/// Two texts, written in turn.
struct InTurn<'a> {
    path: &'a str,
    name: &'a str,
    texts: [String; 2],
}

/// Reads and writes them. Mounted, and no group there.
pub(crate) fn measure(sampler: &mut Sampler, machine: &Machine) -> Outcome {
    make("g")?;
    for path in READ {
        if is_file(path) {
            let name = path.rsplit('/').next().unwrap_or(path);
            reads(sampler, name, &at(path))?;
        }
    }
    let [first, _] = machine.domains;
    let texts = |first: &str, second: &str| [first, second].map(|text| format!("{text}\n"));
    let writes = [
        InTurn {
            path: "g/mbm_L3_assignments",
            name: "mbm_L3_assignments-write/1-domain",
            texts: texts(&format!("mbm_total_bytes:{first}=_"), &format!("mbm_total_bytes:{first}=e")),
        },
        InTurn {
            path: "g/mbm_L3_assignments",
            name: "mbm_L3_assignments-write/all-domains",
            texts: texts("mbm_total_bytes:*=_", "mbm_total_bytes:*=e"),
        },
        InTurn { path: "info/L3_MON/mbm_assign_on_mkdir", name: "mbm_assign_on_mkdir-write", texts: texts("0", "1") },
        InTurn {
            path: "info/L3_MON/event_configs/mbm_total_bytes/event_filter",
            name: "event_filter-write",
            texts: texts("local_reads", "local_reads,remote_reads"),
        },
        InTurn {
            path: "info/L3_MON/mbm_total_bytes_config",
            name: "mbm_total_bytes_config-write",
            texts: texts(&format!("{first}=0x30"), &format!("{first}=0x7f")),
        },
    ];
    for write in &writes {
        in_turn(sampler, write)?;
    }
    // For devices there must be a class that no group has.
    remove_dir(at("g"))?;
    let alloc = InTurn { path: "info/L3/io_alloc", name: "io_alloc-write", texts: texts("1", "0") };
    if is_file(alloc.path) && read_to_string(at(alloc.path))?.trim() != "not supported" {
        in_turn(sampler, &alloc)?;
        command(&at(alloc.path), "1\n")?;
        reads(sampler, "io_alloc_cbm", &at("info/L3/io_alloc_cbm"))?;
        in_turn(
            sampler,
            &InTurn {
                path: "info/L3/io_alloc_cbm",
                name: "io_alloc_cbm-write/1-domain",
                texts: texts(&format!("{first}=3"), &format!("{first}=f")),
            },
        )?;
        command(&at(alloc.path), "0\n")?;
    }
    Ok(())
}

fn in_turn(sampler: &mut Sampler, InTurn { path, name, texts }: &InTurn<'_>) -> Outcome {
    if !is_file(path) {
        return Ok(());
    }
    // Nobody may write to some of them on some machines: then there is nothing to measure.
    let Ok(file) = File::options().write(true).open(at(path)) else { return Ok(()) };
    let file = OpenOften(file);
    if texts.iter().try_for_each(|text| file.write(text)).is_err() {
        return Ok(());
    }
    let mut turn = 0;
    sampler.often(name, &mut || {
        turn = 1 - turn;
        file.write(&texts[1 - turn])
    })?;
    file.write(&texts[1])
}

fn is_file(path: &str) -> bool {
    Path::new(&at(path)).is_file()
}
