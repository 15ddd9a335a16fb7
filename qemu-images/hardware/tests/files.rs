// SPDX-License-Identifier: GPL-2.0-only
//! Machine files that are like others, and what is said of those that are no good.

use resctrl_hardware::Machine;
use resctrl_hardware::machine::MachineFile;
use std::path::{Path, PathBuf};

/// The project's machines.
fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../machines")
}

/// A folder with files, each a name and a text.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// What is wrong with `mine.toml` of these files, without the folder's name.
fn problem(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let problem = MachineFile::load(&folder.path().join("mine.toml"), &library()).unwrap_err().to_string();
    problem.replace(&format!("{}/", folder.path().display()), "").replace(&library().display().to_string(), "LIBRARY")
}

#[test]
fn a_machine_is_like_another_but_for_what_its_file_says() {
    let text = "like = \"intel\"\nwithout = [\"rdt.mba\"]\n[topology]\nsockets = 1\n[rdt]\nl3 = { closids = 8 }\n\
                [rdt.monitoring]\nevents = [\"llc_occupancy\"]\n[cache.l2]\nsize_kib = 512\nways = 8\n";
    let files = folder(&[("mine.toml", text)]);
    let file = MachineFile::load(&files.path().join("mine.toml"), &library()).unwrap();
    let mut expected = Machine::load(&library().join("intel.toml")).unwrap();
    expected.topology.sockets = 1;
    let rdt = expected.rdt.as_mut().unwrap();
    rdt.mba = None;
    rdt.l3.as_mut().unwrap().closids = 8;
    rdt.monitoring.as_mut().unwrap().events.truncate(1);
    expected.cache.l2 = Some(resctrl_hardware::machine::Cache { size_kib: 512, ways: 8, first_id: None });
    expected.description =
        "like intel, but no rdt.mba, cache.l2.size_kib = 512, cache.l2.ways = 8, rdt.l3.closids = 8, \
                            other rdt.monitoring.events, topology.sockets = 1"
            .to_owned();
    assert_eq!(file.machine, expected);
    assert_eq!(file.like, [library().join("intel.toml")]);
    assert_eq!(Machine::parse(&file.text).unwrap(), expected, "alone it says the same: {}", file.text);
}

#[test]
fn files_are_found_from_where_they_are_named_and_may_be_like_further_ones() {
    let files = folder(&[
        ("mine.toml", "like = \"others/small.toml\"\ndescription = \"mine\"\n[mpam]\npmg_max = 1\n"),
        ("others/small.toml", "like = \"../base.toml\"\n[mpam]\npartid_max = 7\n"),
        ("base.toml", "like = \"mpam\"\nmemory = \"768M\"\n"),
    ]);
    let file = MachineFile::load(&files.path().join("mine.toml"), &library()).unwrap();
    let mpam = file.machine.mpam.as_ref().unwrap();
    assert_eq!((mpam.pmg_max, mpam.partid_max, file.machine.memory.as_str()), (1, 7, "768M"));
    assert_eq!((mpam.msc.len(), file.machine.description.as_str()), (2, "mine"));
    let names: Vec<_> = file.like.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["small.toml", "base.toml", "mpam.toml"]);
    assert_eq!(Machine::parse(&file.text).unwrap(), file.machine, "{}", file.text);
}

#[test]
fn every_machine_of_this_repository_is_the_same_as_one_file() {
    for entry in library().read_dir().unwrap() {
        let path = entry.unwrap().path();
        let file = MachineFile::load(&path, &library()).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(Machine::parse(&file.text).unwrap(), file.machine, "{}", path.display());
    }
}

#[test]
fn what_is_wrong_is_told_with_file_line_column_and_key() {
    let like = "like = \"intel\"\n";
    let cases = [
        ("like = 7\n", "mine.toml:1:8: like: invalid type: integer `7`, expected a string"),
        ("like = \"intle\"\n", "mine.toml:1:8: like: there is no machine `intle`; there are: amd, amd-abmc"),
        ("like = \"no/such.toml\"\n", "mine.toml:1:8: like: there is no file no/such.toml"),
        ("without = [\"rdt\"]\n", "mine.toml:1:11: without: has no meaning without `like`"),
        (&format!("{like}without = [\"rdt.l2\"]\n"), "mine.toml:2:11: without: LIBRARY/intel.toml has no `rdt.l2`"),
        (&format!("{like}memory = 1G\n"), "mine.toml:2:10: string values must be quoted"),
        (
            &format!("{like}[rdt.l3]\ncbm_len = 12\nspeed = 9\n"),
            "mine.toml:4:1: rdt.l3.speed: unknown field `speed`, expected one of `cbm_len`",
        ),
        (&format!("{like}[rdt.l3]\n  cdp = 1\n"), "mine.toml:3:9: rdt.l3.cdp: invalid type: integer `1`"),
        (&format!("{like}[rdt.l3]\ncbm_len = 33\n"), "mine.toml:3:11: rdt.l3.cbm_len: 33 is not within 1 to 32"),
        (
            // What does not fit is what the other file says: there is its place, and here is who is like it.
            &format!("{like}[rdt.l3]\ncbm_len = 8\n"),
            "LIBRARY/intel.toml:23:13: rdt.l3.shareable: 0xc00 has bits beyond cbm_len = 8 (mine.toml is like that file)",
        ),
        ("description = \"x\"\n", "mine.toml:1:1: missing field `arch`"),
        // What is at the very end of a text is still of that text.
        ("like = \"intel\"\nmemory = 1", "mine.toml:2:10: memory: invalid type: integer `1`"),
        (
            &format!("{like}[rdt.monitoring]\nevents = [\"llc_occupancy\", \"stalls\"]\n"),
            "mine.toml:3:28: rdt.monitoring.events[1]: unknown variant `stalls`",
        ),
        (
            "like = \"mpam\"\n[[mpam.msc]]\n[[mpam.msc.ris]]\ncpor_bits = 4\n[[mpam.msc.ris]]\nerrors = 1\n",
            "mine.toml:6:1: mpam.msc[0].ris[1].errors: unknown field `errors`",
        ),
        // Nobody says that there is no L3, but the file as a whole.
        ("like = \"intel\"\nwithout = [\"cache\"]\n", "mine.toml: cache.l3: is needed, because [rdt]"),
        (
            "like = \"mpam\"\n[[mpam.msc]]\n[[mpam.msc.ris]]\nusage = { count = 0 }\n",
            "mine.toml:4:19: mpam.msc[0].ris[0].usage.count: is 0; leave the table out",
        ),
    ];
    for (text, message) in cases {
        let problem = problem(&[("mine.toml", text)]);
        assert!(problem.starts_with(message), "{text}: {problem}");
    }
    let syntax = problem(&[("mine.toml", "like = \"other.toml\"\n"), ("other.toml", "memory = \"1G\"\narch = x86\n")]);
    assert!(syntax.starts_with("other.toml:2:8: "), "{syntax}");
    assert!(syntax.ends_with(" (mine.toml is like that file)"), "{syntax}");
    let other = problem(&[("mine.toml", "like = \"other.toml\"\n"), ("other.toml", "like = \"intel\"\nmemory = 1\n")]);
    assert_eq!(
        other,
        "other.toml:2:10: memory: invalid type: integer `1`, expected a string (mine.toml is like that file)"
    );
}

#[test]
fn a_machine_that_is_like_itself_is_refused() {
    let rounds = [
        &[("mine.toml", "like = \"./mine.toml\"\n")][..],
        &[("mine.toml", "like = \"b.toml\"\n"), ("b.toml", "description = \"b\"\nlike = \"./mine.toml\"\n")],
    ];
    // By another name.
    let by_way_of = [("mine.toml", "like = \"a/../mine.toml\"\n"), ("a/b.toml", "")];
    assert_eq!(problem(&by_way_of), "mine.toml:1:8: like: a machine that is like itself: mine.toml, a/../mine.toml");
    assert_eq!(problem(rounds[0]), "mine.toml:1:8: like: a machine that is like itself: mine.toml, ./mine.toml");
    assert_eq!(
        problem(rounds[1]),
        "b.toml:2:8: like: a machine that is like itself: mine.toml, b.toml, ./mine.toml (mine.toml is like that file)"
    );
}

#[test]
fn a_text_that_is_in_no_file_is_like_no_other() {
    assert_eq!(Machine::parse("like = \"intel\"\n").unwrap_err().to_string(), "like: only a file can be like another");
    let problem = Machine::parse("description = \"x\"\narch = \"x\"\n").unwrap_err().to_string();
    assert!(problem.starts_with("line 2:8: arch: unknown variant `x`"), "{problem}");
    let intel = std::fs::read_to_string(library().join("intel.toml")).unwrap();
    let without = |line: &str| {
        let text: String = intel.split_inclusive('\n').filter(|other| !other.starts_with(line)).collect();
        Machine::parse(&text).unwrap_err().to_string()
    };
    assert_eq!(without("description"), "line 1:1: missing field `description`");
    let (first, rest) = intel.split_once("[cache.l3]\nsize_kib = 24576\nways = 12\n").unwrap();
    let problem = Machine::parse(&format!("{first}{rest}")).unwrap_err().to_string();
    assert!(problem.starts_with("cache.l3: is needed"), "{problem}");
}
