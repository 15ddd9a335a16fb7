// SPDX-License-Identifier: GPL-2.0-only
//! What is written to files: right for the machine, until it is [mutated](mutate).

use std::collections::BTreeMap;
use std::fmt::Write;

use fastrand::Rng;

use super::one;
use crate::differential::script::PROCESSES;

/// Events of bandwidth.
pub(super) const EVENTS: [&str; 2] = ["mbm_total_bytes", "mbm_local_bytes"];

/// Files of groups.
pub(super) const FILES: [&str; 10] = [
    "tasks",
    "cpus",
    "cpus_list",
    "schemata",
    "mode",
    "size",
    "mon_hw_id",
    "ctrl_hw_id",
    "mbm_L3_assignments",
    "mba_MBps_event",
];

/// Makes texts for a machine.
pub(super) struct Texts<'a> {
    pub(super) facts: &'a BTreeMap<String, String>,
    /// Of L3 and L2: code and data have masks of their own.
    pub(super) cdp: [bool; 2],
}

impl Texts<'_> {
    fn fact(&self, name: &str) -> u32 {
        self.facts.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// A text for the file of this name.
    pub(super) fn of(&self, rng: &mut Rng, name: &str) -> Vec<u8> {
        let line = match name {
            "schemata" => return self.schemata(rng),
            "tasks" => return self.tasks(rng),
            "cpus" => format!("{:x}", rng.u32(..1 << self.fact("CPUS").clamp(1, 16)) << rng.u32(..2)),
            "cpus_list" => self.cpus(rng),
            "mode" => {
                let modes = ["shareable", "exclusive", "exclusive", "pseudo-locksetup", "pseudo-locked", "bogus"];
                one(rng, &modes).to_owned()
            }
            "mba_MBps_event" => one(rng, &["mbm_total_bytes", "mbm_local_bytes", "llc_occupancy", "bogus"]).to_owned(),
            "max_threshold_occupancy" => {
                let numbers =
                    ["0", "65536", "100000", "0x20000", "0200000", "1", "4294967295", "99999999999", "abc", "-1"];
                one(rng, &numbers).to_owned()
            }
            "mbm_assign_mode" => one(rng, &["default", "mbm_event", "mbm_event", "bogus"]).to_owned(),
            "mbm_assign_on_mkdir" | "io_alloc" => one(rng, &["0", "1", "on", "off", "y", "n", "x"]).to_owned(),
            "event_filter" => {
                let types = [
                    "local_reads",
                    "remote_reads",
                    "local_non_temporal_writes",
                    "remote_non_temporal_writes",
                    "local_reads_slow_memory",
                    "remote_reads_slow_memory",
                    "dirty_victim_writes_all",
                    "bogus",
                    "",
                ];
                (0..rng.usize(1..4)).map(|_| one(rng, &types)).collect::<Vec<_>>().join(one(rng, &[",", ", "]))
            }
            "mbm_L3_assignments" => {
                let event = one(rng, &["mbm_total_bytes", "mbm_total_bytes", "mbm_local_bytes", "foo"]);
                let operation =
                    |rng: &mut Rng| format!("{}={}", self.domain(rng, "L3"), one(rng, &["e", "_", "e", "_", "q"]));
                let operations: Vec<String> = (0..rng.usize(1..4)).map(|_| operation(rng)).collect();
                format!("{event}:{}", operations.join(";"))
            }
            "mbm_total_bytes_config" | "mbm_local_bytes_config" => {
                let entry = |rng: &mut Rng| format!("{}=0x{:x}", self.domain(rng, "L3"), rng.u32(..0x88));
                (0..rng.usize(1..3)).map(|_| entry(rng)).collect::<Vec<_>>().join(";")
            }
            "io_alloc_cbm" => format!("{}={}", self.domain(rng, "L3"), self.mask(rng, "L3")),
            _ => one(rng, &["", "0", "1", "x", "shareable"]).to_owned(),
        };
        let mut line = line.into_bytes();
        line.push(b'\n');
        line
    }

    /// A text for whatever file.
    pub(super) fn any(&self, rng: &mut Rng) -> Vec<u8> {
        let names = ["schemata", "tasks", "cpus_list", "cpus", "mode", "mbm_L3_assignments", "event_filter"];
        let name = one(rng, &names);
        self.of(rng, name)
    }

    /// Ids of processes, mostly of those that sequences are about.
    pub(super) fn tasks(&self, rng: &mut Rng) -> Vec<u8> {
        let id = |rng: &mut Rng| match rng.u32(..16) {
            0 => "0".to_owned(),
            1 => "29999".to_owned(),
            2 => "-5".to_owned(),
            3 => "0x7531".to_owned(),
            4 => "".to_owned(),
            _ => one(rng, &PROCESSES).to_owned(),
        };
        let mut ids = vec![id(rng)];
        while rng.u32(..3) == 0 {
            ids.push(id(rng));
        }
        let mut text = ids.join(",").into_bytes();
        if rng.u32(..4) > 0 {
            text.push(b'\n');
        }
        text
    }

    fn cpus(&self, rng: &mut Rng) -> String {
        let cpus = self.fact("CPUS").max(1);
        let cpu = |rng: &mut Rng| {
            let one_more = u32::from(rng.u32(..8) == 0);
            rng.u32(..cpus + one_more)
        };
        match rng.u32(..10) {
            0 => String::new(),
            1 => "all".to_owned(),
            2 => "N".to_owned(),
            3 => "0-3:1/2".to_owned(),
            4 => {
                let (first, last) = (cpu(rng), cpu(rng));
                format!("{}-{}", first.min(last), first.max(last))
            }
            5 | 6 => format!("{},{}", cpu(rng), cpu(rng)),
            _ => cpu(rng).to_string(),
        }
    }

    /// Id of a domain; now and then one that there is not, or all of them.
    fn domain(&self, rng: &mut Rng, cache: &str) -> String {
        let domains = self.fact(&format!("{cache}_DOMAINS")).max(1);
        let first = self.fact(&format!("{cache}_FIRST_ID"));
        match rng.u32(..12) {
            0 => (first + domains).to_string(),
            1 if rng.bool() => "*".to_owned(),
            _ => (first + rng.u32(..domains)).to_string(),
        }
    }

    fn mask(&self, rng: &mut Rng, cache: &str) -> String {
        let full =
            self.facts.get(&format!("{cache}_MASK")).and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0xf);
        let bits = u64::BITS - full.leading_zeros();
        match rng.u32(..12) {
            0 => format!("{:x}", rng.u64(..=full)),
            1 => format!("0x{full:x}"),
            2 => format!("{:x}", full + 1),
            3 => "0".to_owned(),
            _ => {
                let length = rng.u32(1..=bits.min(6));
                format!("{:x}", ((1_u64 << length) - 1) << rng.u32(..=bits - length))
            }
        }
    }

    /// A cache and a domain with a part that a region could have, and what to write to the root group's schemata so that
    /// nobody else uses it there.
    pub(super) fn room_for_a_region(&self, rng: &mut Rng) -> (&'static str, u32, String) {
        let cache = if self.fact("L3_CLOSIDS") > 0 { "L3" } else { "L2" };
        let (domains, first) = (self.fact(&format!("{cache}_DOMAINS")).max(1), self.fact(&format!("{cache}_FIRST_ID")));
        let mask = self.facts.get(&format!("{cache}_MASK")).and_then(|mask| u64::from_str_radix(mask, 16).ok());
        let rest: Vec<String> =
            (first..first + domains).map(|domain| format!("{domain}={:x}", mask.unwrap_or(0xff) & !7)).collect();
        (cache, first + rng.u32(..domains), format!("{cache}:{}\n", rest.join(";")))
    }

    fn bandwidth(&self, rng: &mut Rng) -> String {
        match rng.u32(..8) {
            0 => rng.u32(..120).to_string(),
            1 => one(rng, &["0", "4294967295", "4294967296", "0x10", "100"]).to_owned(),
            2 => rng.u32(..=self.fact("MB_MAX")).to_string(),
            _ => (rng.u32(1..=10) * 10).to_string(),
        }
    }

    fn schemata(&self, rng: &mut Rng) -> Vec<u8> {
        let mut schemas = Vec::new();
        for (cache, cdp) in ["L3", "L2"].into_iter().zip(self.cdp) {
            if self.fact(&format!("{cache}_CLOSIDS")) > 0 {
                let names: &[(&str, &str)] = match (cache, cdp) {
                    ("L3", true) => &[("L3CODE", "L3"), ("L3DATA", "L3")],
                    ("L3", false) => &[("L3", "L3")],
                    (_, true) => &[("L2CODE", "L2"), ("L2DATA", "L2")],
                    (_, false) => &[("L2", "L2")],
                };
                schemas.extend(names);
            }
        }
        for name in ["MB", "SMBA"] {
            if self.fact(&format!("{name}_CLOSIDS")) > 0 {
                schemas.push((name, ""));
            }
        }
        if schemas.is_empty() || rng.u32(..30) == 0 {
            schemas.push(("L4", "L3"));
        }
        let mut text = String::new();
        for _ in 0..=rng.u32(..5) / 3 {
            let (name, cache) = schemas[rng.usize(..schemas.len())];
            let place = if cache.is_empty() { "L3" } else { cache };
            let entry = |rng: &mut Rng| {
                let value = if cache.is_empty() { self.bandwidth(rng) } else { self.mask(rng, cache) };
                format!("{}={value}", self.domain(rng, place))
            };
            let entries: Vec<String> = (0..rng.usize(1..3)).map(|_| entry(rng)).collect();
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name}:{}", entries.join(";"));
        }
        text.into_bytes()
    }
}

/// The most that a task's number can be (`PID_MAX_LIMIT` in the kernel's `include/linux/threads.h`, 64 bits).
const LAST_TASK: i64 = 4 << 20;

/// Whether a list of tasks names one that no sequence is about, such as a thread of the kernel: it may be there in one guest and not in
/// the other. 29999 is there in none.
pub(super) fn names_a_stranger(list: &[u8]) -> bool {
    let ours = |task: i64| task == 29999 || PROCESSES.iter().any(|ours| ours.parse() == Ok(task));
    let tasks = list.split(|&byte| byte == b',').filter_map(|word| std::str::from_utf8(word).ok().and_then(number));
    tasks.into_iter().any(|task| (1..=LAST_TASK).contains(&task) && !ours(task))
}

/// A number as the kernel reads one without being told the base (`kstrtoint`).
fn number(word: &str) -> Option<i64> {
    let word = word.trim();
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let (digits, base) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    digits.starts_with(|digit: char| digit.is_digit(base)).then_some(())?;
    i64::from_str_radix(digits, base).ok().map(|number| sign * number)
}

/// One or two mistakes of the kind that people and programs make.
pub(in crate::differential) fn mutate(rng: &mut Rng, mut text: Vec<u8>) -> Vec<u8> {
    const BYTES: &[u8] = b"0123456789abcdefxXL3MBCODE:;=,\n -_*/\t\0\x7f\xff";
    for _ in 0..rng.usize(1..3) {
        let place = rng.usize(..=text.len());
        match rng.u32(..9) {
            0 if text.last() == Some(&b'\n') => {
                text.pop();
            }
            1 | 2 => text.insert(place, BYTES[rng.usize(..BYTES.len())]),
            3 if place < text.len() => {
                text.remove(place);
            }
            4 if place < text.len() => text[place] = BYTES[rng.usize(..BYTES.len())],
            5 => {
                // Something twice.
                let copy = text[place..].to_vec();
                text.extend(copy);
            }
            6 => text.truncate(place),
            7 => text.make_ascii_uppercase(),
            _ => text.extend(std::iter::repeat_n(b'x', [1, 40, 600, 4096][rng.usize(..4)])),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tasks_of_sequences_are_named() {
        for list in [
            "30001\n",
            "0x7531,30008",
            "072461",
            "0",
            "29999",
            "-5",
            "",
            "x",
            "99999999",
            "3000 1",
            "30001x,0x",
            "+30002",
            "--117",
        ] {
            assert!(!names_a_stranger(list.as_bytes()), "{list}");
        }
        // As found: a mistake made 0x75 of 0x7531, and one of the guests had a task 117.
        for list in ["0x7531,0x75", "1", " 2 ,30001", "0165\n", "0X75", "+117", "3000"] {
            assert!(names_a_stranger(list.as_bytes()), "{list}");
        }
    }
}
