// SPDX-License-Identifier: GPL-2.0-only
//! `run-qemu` with real guests: what comes along gets there, and what is left comes back.
//!
//! Built with the feature `guests` only, for they need the rig's tools and a minute; `cargo xtask ci` runs them.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

/// Runs a script in a guest of the default machine.
fn run_qemu(script: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resctrl-rig"));
    let flags = env::var("RIG_TOOL_FLAGS").unwrap_or_default();
    command.args(["run-qemu", "--script"]).arg(script).args(flags.lines()).args(arguments).output().unwrap()
}

/// A file in a folder, and its path as text.
fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Answers the first line that comes with a page, and tells the line.
fn serve_once(page: &'static str) -> (u16, thread::JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = String::new();
        BufReader::new(&stream).read_line(&mut asked).unwrap();
        write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len()).unwrap();
        asked
    });
    (port, server)
}

#[test]
fn a_folder_as_root_files_arguments_a_network_an_account_and_what_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, "root/usr/share/words", "of the root\n");
    file(at, "brought/below/words", "brought along\n");
    let script = file(
        at,
        "script",
        "#!/bin/sh\n\
         cat /usr/share/words brought/below/words >/out/words\n\
         id -u >/out/account\n\
         printf '%s|' \"$@\" >/out/arguments\n\
         wget -q -O /out/page \"http://10.0.2.2:$PORT/page\"\n\
         echo said\n\
         exit 7\n",
    );
    let (port, server) = serve_once("from the host\n");
    let [root, brought, out] = ["root", "brought", "out"].map(|name| at.join(name).to_str().unwrap().to_owned());
    let port = format!("PORT={port}");
    let flags = ["--root", &root, "--file", &brought, "--net", "--user", "--out", &out, "--set", &port];
    let arguments = [&flags[..], &["--", "one", "two words"]].concat();
    let output = run_qemu(script.as_ref(), &arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "said\n", "{error}");
    let came_back = |name: &str| fs::read_to_string(at.join("out").join(name)).unwrap_or_default();
    assert_eq!(came_back("words"), "of the root\nbrought along\n");
    assert_eq!(came_back("account"), "1000\n");
    assert_eq!(came_back("arguments"), "one|two words|");
    assert_eq!(came_back("page"), "from the host\n");
    assert_eq!(server.join().unwrap().trim_end(), "GET /page HTTP/1.1");
}

#[test]
fn images_that_a_guest_makes_are_roots_of_others_and_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let make = file(
        at,
        "make",
        "#!/bin/sh\n\
         set -e\n\
         mkdir -p root/etc\n\
         echo 'of the image' >root/etc/words\n\
         mke2fs -q -t ext4 -d root /out/ext4 8M\n\
         mksquashfs root /out/squashfs -quiet -no-progress\n\
         mkfs.erofs --quiet /out/erofs root\n",
    );
    let out = at.join("out").to_str().unwrap().to_owned();
    let packages = ["e2fsprogs", "squashfs-tools", "erofs-utils"].map(|name| ["--package", name]);
    let arguments = [&["--root", "debian", "--out", &out][..], packages.as_flattened()].concat();
    let made = run_qemu(make.as_ref(), &arguments);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let look = file(
        at,
        "look",
        "#!/bin/sh\n\
         cat /etc/words\n\
         echo changed >/etc/words\n\
         cat /etc/words\n",
    );
    for kind in ["ext4", "squashfs", "erofs"] {
        let image = at.join("out").join(kind);
        let before = fs::read(&image).unwrap();
        let output = run_qemu(look.as_ref(), &["--root", image.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "of the image\nchanged\n", "{kind}: {error}");
        assert!(fs::read(&image).unwrap() == before, "{kind}: a guest's changes are forgotten");
    }
}
