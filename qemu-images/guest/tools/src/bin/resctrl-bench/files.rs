// SPDX-License-Identifier: GPL-2.0-only
//! Reading and writing the files of groups.

use std::fs::{File, metadata, read, remove_dir};
use std::path::Path;

use guest_tools::{Failure, Outcome};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::uio::{pread, pwrite};

use crate::sample::Sampler;
use crate::{Machine, at, groups};

pub(crate) fn measure(sampler: &mut Sampler, machine: &Machine) -> Outcome {
    groups::make("g")?;
    let [local, remote] = machine.domains;
    let schemata = at("g/schemata");
    let line = |first: &str, second: &str| format!("L3:{local}={first};{remote}={second}\n");
    let mut turns = [false; 6];
    let mut turn = |slot: usize| {
        turns[slot] = !turns[slot];
        turns[slot]
    };
    let file = OpenOften(File::options().write(true).open(&schemata)?);
    let mask = |wide: bool| if wide { "f" } else { "3" };
    sampler.often("schemata-write/1-domain-changed", &mut || file.write(&format!("L3:{local}={}\n", mask(turn(0)))))?;
    sampler
        .often("schemata-write/1-remote-changed", &mut || file.write(&format!("L3:{remote}={}\n", mask(turn(1)))))?;
    sampler.often("schemata-write/1-domain-same", &mut || file.write(&format!("L3:{local}=f\n")))?;
    sampler.often("schemata-write/all-domains-changed", &mut || {
        let mask = mask(turn(2));
        file.write(&line(mask, mask))
    })?;
    if std::fs::read_to_string(&schemata)?.contains("MB:") {
        sampler.often("schemata-write/2-lines-changed", &mut || {
            let wide = turn(3);
            let bandwidth = if wide { 50 } else { 100 };
            file.write(&format!("{}MB:{local}={bandwidth};{remote}={bandwidth}\n", line(mask(wide), mask(wide))))
        })?;
    }
    reads(sampler, "schemata-read", &schemata)?;
    for (place, domain) in [("local", local), ("remote", remote)] {
        for (name, event) in [("llc_occupancy", "llc_occupancy"), ("mbm_total", "mbm_total_bytes")] {
            let path = at(format!("g/mon_data/mon_L3_{domain:02}/{event}"));
            if path.exists() {
                reads(sampler, &format!("{name}/{place}"), &path)?;
            }
        }
    }
    for (name, path) in [
        ("last_cmd_status", "info/last_cmd_status"),
        ("info/L3/cbm_mask", "info/L3/cbm_mask"),
        ("info/L3/num_closids", "info/L3/num_closids"),
        ("size", "g/size"),
        ("mode", "g/mode"),
        ("cpus_list-read", "g/cpus_list"),
    ] {
        reads(sampler, name, &at(path))?;
    }
    reads(sampler, "control:/proc/sys/kernel/ostype", Path::new("/proc/sys/kernel/ostype"))?;
    let cpus = OpenOften(File::options().write(true).open(at("g/cpus_list"))?);
    let idle = machine.remote.last().copied().unwrap_or_default();
    sampler.often("cpus_list-write/local-idle", &mut || {
        let text = if turn(4) { format!("{idle}\n") } else { "\n".to_owned() };
        cpus.write(&text)
    })?;
    cpus.write("\n")?;
    let all = format!("0-{}\n", machine.cpus - 1);
    sampler.often("cpus_list-write/all", &mut || cpus.write(if turn(5) { &all } else { "\n" }))?;
    cpus.write("\n")?;
    let event = at(format!("g/mon_data/mon_L3_{local:02}/llc_occupancy"));
    sampler.often("stat/mon-file", &mut || {
        std::hint::black_box(metadata(&event)?);
        Ok(())
    })?;
    let missing = at("g/no-such-file");
    sampler.often("stat/no-such-file", &mut || match metadata(&missing) {
        Err(_) => Ok(()),
        Ok(_) => Err(Failure::Hardware("it is there".to_owned())),
    })?;
    remove_dir(at("g"))?;
    Ok(())
}

/// A file that is opened once and written to often, each time one command.
pub(crate) struct OpenOften(pub(crate) File);

impl OpenOften {
    pub(crate) fn write(&self, text: &str) -> Outcome {
        pwrite(&self.0, text.as_bytes(), 0)?;
        Ok(())
    }
}

/// Reading a file that is open already, and opening, reading and closing it.
pub(crate) fn reads(sampler: &mut Sampler, name: &str, path: &Path) -> Outcome {
    sampler.often(&format!("{name}/open-read-close"), &mut || {
        std::hint::black_box(read(path)?);
        Ok(())
    })?;
    let file = open(path, OFlag::O_RDONLY, Mode::empty())?;
    let mut room = vec![0; 4096];
    sampler.often(&format!("{name}/pread"), &mut || {
        pread(&file, &mut room, 0)?;
        Ok(())
    })
}
