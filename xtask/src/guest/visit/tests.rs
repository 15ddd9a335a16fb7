// SPDX-License-Identifier: GPL-2.0-only
use std::fs;

use super::root::FileSystem;
use super::*;

#[test]
fn a_file_goes_where_it_is_told_or_to_where_scripts_begin() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("mine.py"), "").unwrap();
    fs::write(path("a:b"), "").unwrap();
    let to = |text: &str| Brought::parse(text).unwrap().to;
    assert_eq!(to(&path("mine.py")), "/in/mine.py");
    assert_eq!(to(&format!("{}:data/x.py", path("mine.py"))), "/in/data/x.py");
    assert_eq!(to(&format!("{}:/usr/lib/", path("mine.py"))), "/usr/lib/mine.py");
    assert_eq!(to(&format!("{}:/etc/x", path("mine.py"))), "/etc/x");
    assert_eq!(to(&path("a:b")), "/in/a:b");
    assert_eq!(to(&format!("{}:c", path("a:b"))), "/in/c");
}

#[test]
fn a_file_that_is_not_there_or_a_place_that_does_not_stay_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    for (text, said) in [
        (format!("{here}/none"), "there is no"),
        (format!("{here}:/tmp/x"), "the guest makes /tmp anew"),
        (format!("{here}:/rig"), "the guest makes /rig anew"),
        (format!("{here}:../x"), "`..`"),
        ("/dev/null".to_owned(), "neither a file nor a folder"),
    ] {
        let error = Brought::parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("--file {text}")) && error.contains(said), "{error}");
    }
    assert!(Brought::parse(&format!("{here}:/tmpx")).is_ok());
}

#[test]
fn arguments_reach_the_script_as_they_are() {
    let visit = Visit { arguments: vec!["a b".to_owned(), "it's".to_owned(), String::new()], ..Visit::default() };
    let mut root = Initramfs::new();
    visit.pack(&mut root).unwrap();
    let mut archive = Vec::new();
    root.write(&mut archive).unwrap();
    let archive = String::from_utf8_lossy(&archive);
    let written =
        archive.split("'a b'").nth(1).map(|rest| format!("'a b'{}", rest.split('\0').next().unwrap())).unwrap();
    let script = "eval \"set -- $1\"; printf '[%s]' \"$@\"";
    assert_eq!(duct::cmd!("sh", "-c", script, "sh", written).read().unwrap(), "[a b][it's][]");
}

#[test]
fn a_driver_is_loaded_after_what_it_depends_on_unless_the_kernel_has_it_and_is_missed_by_name() {
    let kernel = tempfile::tempdir().unwrap();
    let (modules, build) = (kernel.path().join("modules"), kernel.path().join("build"));
    fs::create_dir_all(build.join("include/config")).unwrap();
    fs::create_dir(&modules).unwrap();
    fs::write(build.join("include/config/auto.conf"), "CONFIG_EXT4_FS=y\nCONFIG_VIRTIO_BLK=m\n").unwrap();
    let kernel = GuestKernel {
        arch: crate::kernels::Arch::Amd64,
        release: "7.3.4".to_owned(),
        image: PathBuf::new(),
        modules: modules.clone(),
        build,
        compiler: None,
        cc: None,
    };
    let image = Root::Image { path: PathBuf::from("i"), kind: FileSystem::Ext4 };
    let visit = Visit { root: Some(image), network: true, takes_home: true, ..Visit::default() };
    let error = visit.modules(&kernel).unwrap_err().to_string();
    assert!(error.starts_with("--out: kernel 7.3.4 has no virtio_blk"), "{error}");
    for name in ["virtio_blk.ko.xz", "virtio_net.ko", "net_failover.ko", "failover.ko"] {
        fs::write(modules.join(name), "").unwrap();
    }
    let names: Vec<_> =
        visit.modules(&kernel).unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["virtio_blk.ko.xz", "failover.ko", "net_failover.ko", "virtio_net.ko"]);
}
