// SPDX-License-Identifier: GPL-2.0-only
//! Every way in which a write into a file of this kind can be refused: the error and the words, and that nothing changes.

use resctrl_fs::MountOptions;
use resctrl_types::Errno;
use resctrl_types::resource::{BandwidthControl, CacheControl};

use crate::arch::{ABMC, AMD, BMEC, FIXED, INTEL, LOCKING, MONITOR_ONLY, Parameters, SDCIAE};
use crate::machine::{CDP, DEBUG, MBPS, Machine, PLAIN, on};

/// A file, what is written to it, the error, and what the status then says.
type Row = (&'static str, &'static [u8], Errno, &'static str);

/// Everything that a refused write could have changed.
fn picture(machine: &Machine) -> Vec<Option<Vec<u8>>> {
    let groups = ["", "mon_groups/m/", "g/", "x/"];
    let files = ["schemata", "size", "mode", "cpus", "cpus_list", "tasks"];
    let of_groups = groups.iter().flat_map(|group| files.map(|file| machine.try_read(&format!("{group}{file}")).ok()));
    let threshold = machine.try_read("info/L3_MON/max_threshold_occupancy").ok();
    of_groups.chain([threshold]).collect()
}

fn refuse_all(parameters: Parameters, options: MountOptions, rows: &'static [Row]) {
    on(parameters, options, move |machine| {
        machine.mkdir("mon_groups/m");
        if machine.try_mkdir("x").is_ok() {
            machine.mkdir("g");
            // x has the upper half of the cache for itself.
            let schemata = machine.read("x/schemata");
            if schemata.contains("L3:") {
                machine.set("schemata", "L3:0=ff;1=ff\n");
                machine.set("g/schemata", "L3:0=ff;1=ff\n");
                machine.set("x/schemata", "L3:0=f00;1=f00\n");
                machine.set("x/mode", "exclusive\n");
            }
        }
        let before = picture(machine);
        machine.arch().take_applied();
        for &(path, written, errno, words) in rows {
            machine.refuses(path, written, errno, words);
            assert_eq!(picture(machine), before, "{} changed something", String::from_utf8_lossy(written));
        }
        assert_eq!(machine.arch().take_applied(), []);
    });
}

const EINVAL: Errno = Errno::EINVAL;

#[test]
fn schemata_and_mode() {
    refuse_all(
        INTEL,
        PLAIN,
        &[
            ("g/schemata", b"", EINVAL, "schemata: Invalid input\n"),
            ("g/schemata", b"L3:0=1", EINVAL, "schemata: Invalid input\n"),
            ("g/schemata", b"\n", EINVAL, "Missing ':'\n"),
            ("g/schemata", b"L3\n", EINVAL, "Missing ':'\n"),
            ("g/schemata", b"L3:\n", EINVAL, "Missing 'L3' value\n"),
            ("g/schemata", b"L9:0=1\n", EINVAL, "Unknown or unsupported resource name 'L9'\n"),
            ("g/schemata", b"L3DATA:0=1\n", EINVAL, "Unknown or unsupported resource name 'L3DATA'\n"),
            ("g/schemata", b"L3:0\n", EINVAL, "Missing '=' or non-numeric domain\n"),
            ("g/schemata", b"L3:zero=1\n", EINVAL, "Missing '=' or non-numeric domain\n"),
            ("g/schemata", b"L3:2=1\n", EINVAL, "Invalid domain 2\n"),
            ("g/schemata", b"L3:0=1;0=2\n", EINVAL, "Duplicate domain 0\n"),
            ("g/schemata", b"MB:1=10;1=20\n", EINVAL, "Duplicate domain 1\n"),
            ("g/schemata", b"L3:0=1;1=xyz\n", EINVAL, "Non-hex character in the mask xyz\n"),
            ("g/schemata", b"L3:0=1;1=0\n", EINVAL, "Mask out of range\n"),
            ("g/schemata", b"L3:0=1000\n", EINVAL, "Mask out of range\n"),
            ("g/schemata", b"L3:0=9\n", EINVAL, "The mask 9 has non-consecutive 1-bits\n"),
            ("g/schemata", b"L3:0=100\n", EINVAL, "Overlaps with exclusive group\n"),
            ("x/schemata", b"L3:0=f80\n", EINVAL, "Overlaps with other group\n"),
            ("g/schemata", b"MB:0=fast\n", EINVAL, "Invalid MB value fast\n"),
            ("g/schemata", b"MB:0=5\n", EINVAL, "MB value 5 out of range [10,100]\n"),
            ("g/schemata", b"L3:0=1;1=1\nMB:0=101\n", EINVAL, "MB value 101 out of range [10,100]\n"),
            ("g/mode", b"", EINVAL, "mode: Invalid input\n"),
            ("g/mode", b"exclusive", EINVAL, "mode: Invalid input\n"),
            ("g/mode", b"exclusive \n", EINVAL, "Unknown or unsupported mode\n"),
            ("g/mode", b"pseudo-locked\n", EINVAL, "Unknown or unsupported mode\n"),
            ("g/mode", b"exclusive\n", EINVAL, "Schemata overlaps\n"),
            ("mode", b"exclusive\n", EINVAL, "Schemata overlaps\n"),
            ("mode", b"pseudo-locksetup\n", EINVAL, "Cannot pseudo-lock default group\n"),
            ("g/mode", b"pseudo-locksetup\n", EINVAL, "Pseudo-locking not supported\n"),
        ],
    );
}

#[test]
fn cpus_and_tasks() {
    refuse_all(
        INTEL,
        PLAIN,
        &[
            ("g/cpus", b"x", EINVAL, "Bad CPU list/mask\n"),
            ("g/cpus", b"1,00000000", Errno::EOVERFLOW, "Bad CPU list/mask\n"),
            ("g/cpus", b"10", Errno::EOVERFLOW, "Bad CPU list/mask\n"),
            ("g/cpus_list", b"1-", EINVAL, "Bad CPU list/mask\n"),
            ("g/cpus_list", b"4", Errno::ERANGE, "Bad CPU list/mask\n"),
            ("g/cpus_list", b"4294967296", Errno::EOVERFLOW, "Bad CPU list/mask\n"),
            ("cpus", b"7\n", EINVAL, "Can't drop CPUs from default group\n"),
            ("cpus_list", b"\n", EINVAL, "Can't drop CPUs from default group\n"),
            ("g/tasks", b"one\n", EINVAL, "Task list parsing error pid one\n"),
            ("g/tasks", b" ,1\n", EINVAL, "Task list parsing error pid \n"),
            ("g/tasks", b"1\n2\n", EINVAL, "Task list parsing error pid 1\n2\n"),
            ("g/tasks", b"2147483648", EINVAL, "Task list parsing error pid 2147483648\n"),
            ("g/tasks", b"-1", EINVAL, "Invalid pid -1\n"),
            ("g/tasks", b"99", Errno::ESRCH, "No task 99\nError while processing task 99\n"),
        ],
    );
}

#[test]
fn info_files() {
    refuse_all(
        INTEL,
        PLAIN,
        &[
            ("info/L3_MON/max_threshold_occupancy", b"", EINVAL, "max_threshold_occupancy: Invalid input\n"),
            ("info/L3_MON/max_threshold_occupancy", b"-1\n", EINVAL, "max_threshold_occupancy: Invalid input\n"),
            (
                "info/L3_MON/max_threshold_occupancy",
                b"4294967296\n",
                Errno::ERANGE,
                "max_threshold_occupancy: Invalid input\n",
            ),
            (
                "info/L3_MON/max_threshold_occupancy",
                b"1048577\n",
                EINVAL,
                "max_threshold_occupancy: Exceeds limit (before adjustment) of 1048576 bytes\n",
            ),
            ("info/L3_MON/mbm_assign_mode", b"default", EINVAL, "mbm_assign_mode: Invalid input\n"),
            ("info/L3_MON/mbm_assign_mode", b"mbm_event\n", EINVAL, "mbm_event mode is not supported\n"),
            ("info/L3_MON/mbm_assign_mode", b"Default\n", EINVAL, "Unsupported assign mode\n"),
        ],
    );
}

#[test]
fn read_only_files_cannot_be_opened_for_writing() {
    on(INTEL, DEBUG, |machine| {
        let event = "mon_data/mon_L3_00/llc_occupancy";
        let files = ["size", "ctrl_hw_id", "mon_hw_id", "info/last_cmd_status", "info/L3/cbm_mask"];
        for path in files.into_iter().chain([event]) {
            assert_eq!(machine.write(path, "1\n"), Err(Errno::EACCES), "{path}");
            machine.chmod(path, 0o644);
        }
        // A mode gives no file commands; events have no way to be written at all.
        for path in files {
            machine.refuses(path, "1\n", EINVAL, "The file takes no commands\n");
        }
        assert_eq!(machine.write(event, "1\n"), Err(Errno::EACCES));
    });
}

#[test]
fn two_bits_at_least() {
    let l3 = Some(CacheControl { cbm_len: 12, min_cbm_bits: 2, shareable_bits: 0, sparse_masks: false });
    refuse_all(
        Parameters { l3, ..INTEL },
        PLAIN,
        &[("g/schemata", b"L3:0=1\n", EINVAL, "Need at least 2 bits in the mask\n")],
    );
}

#[test]
fn bandwidth_that_is_not_linear() {
    let mb = INTEL.mb.map(|mb| BandwidthControl { delay_linear: false, ..mb });
    refuse_all(
        Parameters { mb, ..INTEL },
        PLAIN,
        &[("g/schemata", b"MB:0=50\n", EINVAL, "No support for non-linear MB domains\n")],
    );
}

#[test]
fn code_and_data_apart() {
    refuse_all(
        INTEL,
        CDP,
        &[
            ("g/schemata", b"L3:0=1\n", EINVAL, "Unknown or unsupported resource name 'L3'\n"),
            ("g/schemata", b"L3CODE:0=1;0=1\n", EINVAL, "Duplicate domain 0\n"),
            ("g/mode", b"pseudo-locksetup\n", EINVAL, "CDP enabled\n"),
        ],
    );
}

#[test]
fn bandwidth_of_slow_memory() {
    refuse_all(AMD, PLAIN, &[("g/schemata", b"SMBA:0=2049\n", EINVAL, "MB value 2049 out of range [0,2048]\n")]);
}

#[test]
fn nothing_to_control() {
    refuse_all(
        MONITOR_ONLY,
        PLAIN,
        &[
            ("schemata", b"L3:0=1\n", EINVAL, "Unknown or unsupported resource name 'L3'\n"),
            ("mode", b"exclusive\n", EINVAL, "Cannot be exclusive without CAT/CDP\n"),
        ],
    );
}

#[test]
fn a_long_mistake_is_quoted_as_far_as_it_fits() {
    on(INTEL, PLAIN, |machine| {
        let long = [&b"L3:0="[..], &[b'q'; 600], b"\n"].concat();
        assert_eq!(machine.write("schemata", long), Err(EINVAL));
        let status = machine.status();
        assert!(status.starts_with("Non-hex character in the mask qqq"));
        assert!(status.ends_with("qqq[truncated]\n"));
        assert!(status.len() <= 512 + "[truncated]\n".len());
    });
}

#[test]
fn the_status_is_that_of_the_last_command() {
    on(INTEL, PLAIN, |machine| {
        machine.refuses("schemata", "x\n", EINVAL, "Missing ':'\n");
        machine.read("info/L3/cbm_mask");
        assert_eq!(machine.status(), "Missing ':'\n");
        machine.read("mode");
        assert_eq!(machine.status(), "ok\n");
    });
}

/// What people write, into files for which it is meant and into others.
const TEXTS: &[&str] = &[
    "",
    "\n",
    "x",
    "x\n",
    "0\n",
    "1\n",
    "3\n",
    "-1\n",
    "99999\n",
    "4294967296\n",
    "0-3\n",
    "1,00000000\n",
    "y\n",
    "shareable\n",
    "exclusive\n",
    "pseudo-locksetup\n",
    "pseudo-locked\n",
    "default\n",
    "mbm_event\n",
    "mbm_local_bytes\n",
    "local_reads\n",
    "local_reads,,\n",
    "L3:0=1\n",
    "L3:1=f00\n",
    "L3:9=1\n",
    "L3:0=9\n",
    "L3:0=0\n",
    "L2:0=1\n",
    "MB:0=50\n",
    "MB:9=50\n",
    "MB:0=5000\n",
    "SMBA:9=1\n",
    "0=1\n",
    "0=ffffffff\n",
    "9=1\n",
    "*=1\n",
    "*=1;0=1\n",
    "mbm_total_bytes:0=e\n",
    "mbm_total_bytes:0\n",
    "mbm_total_bytes:*\n",
    "mbm_total_bytes:9=e\n",
    "mbm_total_bytes:*=e\n",
    "mbm_local_bytes:*=e\n",
    "mbm_total_bytes:0=\n",
];

/// Sees that a command that was refused says why, and one that was not says nothing but which counters are missing. Gives
/// whether it was refused.
#[track_caller]
fn says_why(machine: &Machine, done: Result<(), Errno>, what: &str) -> bool {
    let status = machine.status();
    match done {
        Ok(()) => assert!(status == "ok\n" || status.starts_with("Failed to allocate counter"), "{what}: {status}"),
        Err(errno) => {
            assert!(status != "ok\n" && status.ends_with('\n'), "{what}: {errno}, {status:?}");
            assert!(!status.contains("(null)"), "{what}: {status:?}");
        }
    }
    machine.audit();
    done.is_err()
}

/// Gives a machine its groups back.
fn with_groups(machine: &Machine) {
    for (parent, path) in
        [("", "g"), ("", "x"), ("mon_groups", "mon_groups/m"), ("g", "g/mon_groups/m"), ("g", "g/mon_groups/n")]
    {
        if machine.has(parent) && !machine.has(path) {
            let _ = machine.try_mkdir(path);
        }
    }
    let _ = machine.write("mode", "shareable\n");
    let _ = machine.write("g/cpus_list", "1\n");
    let _ = machine.write("g/mon_groups/n/cpus_list", "1\n");
}

/// Every text into every file, and every directory made, removed and renamed where it cannot be: no refusal leaves the
/// status at `ok`.
fn no_refusal_is_silent(parameters: Parameters, options: MountOptions) {
    on(parameters, options, |machine| {
        let mut refused = 0;
        with_groups(machine);
        let (_, files) = machine.tree("");
        for path in &files {
            for text in TEXTS {
                // Commands that were not refused may have removed what there was.
                let written = match machine.write_anyway(path, text.as_bytes()) {
                    Err(Errno::ENOENT) if !machine.has(path) => continue,
                    written => written,
                };
                refused += u32::from(says_why(machine, written, &format!("{text:?} to {path}")));
            }
            with_groups(machine);
        }
        let (dirs, files) = machine.tree("");
        for dir in &dirs {
            for name in ["mon_groups", "a\nb"] {
                let path = format!("{dir}/{name}");
                if !dirs.contains(&path) {
                    refused += u32::from(says_why(machine, machine.try_mkdir(&path), &format!("mkdir {path:?}")));
                }
            }
        }
        for from in dirs.iter().chain(&files) {
            for to in [
                "y",
                "info/y",
                "mon_groups/y",
                "mon_groups/mon_groups",
                "g/mon_groups/n",
                "g/mon_groups/a\nb",
                "x/tasks",
            ] {
                for flags in [0, 1] {
                    if machine.has("g/mon_groups") && machine.has("x") && machine.has(from) {
                        let done = machine.rename_with(from, to, flags);
                        refused += u32::from(says_why(machine, done, &format!("rename {from} to {to:?}")));
                    }
                }
            }
            with_groups(machine);
        }
        for dir in machine.tree("").0 {
            if !["g", "x"].contains(&dir.as_str()) {
                refused += u32::from(says_why(machine, machine.try_rmdir(&dir), &format!("rmdir {dir}")));
            }
        }
        assert!(refused > 500, "{refused} refusals");
    });
}

#[test]
fn no_refusal_leaves_the_status_at_ok() {
    let assigned_alone = Parameters { counters: None, always_assigned: true, ..FIXED };
    for parameters in [INTEL, AMD, ABMC, BMEC, SDCIAE, LOCKING, FIXED, assigned_alone] {
        no_refusal_is_silent(parameters, DEBUG);
    }
    no_refusal_is_silent(INTEL, CDP);
    no_refusal_is_silent(INTEL, MBPS);
    no_refusal_is_silent(MONITOR_ONLY, DEBUG);
}
