// SPDX-License-Identifier: GPL-2.0-only
//! The border between the Rust of the module and its C is written down on both sides: in `shim*.h` for C, in the files
//! `ffi.rs` and in the entry points for Rust. Here both are read and compared: each function's arguments and
//! result, each structure field by field, each constant; what only one side has is a difference, too.

mod c;
mod model;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};

use model::Border;

/// What differs between the instruction sets.
struct Arch {
    /// As `cfg(target_arch)` has it.
    name: &'static str,
    header: &'static str,
    /// The folder of the module's sources that no other instruction set has.
    folder: &'static str,
}

const ARCHES: [Arch; 2] = [
    Arch { name: "x86_64", header: "shim_x86.h", folder: "x86" },
    Arch { name: "aarch64", header: "shim_arm64.h", folder: "mpam" },
];

fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../qemu-images/module")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The texts of all files below `folder` with this extension, but for those of another instruction set.
fn texts(folder: &Path, extension: &str, arch: Option<&Arch>, texts: &mut Vec<String>) {
    for entry in folder.read_dir().expect("a folder").flatten() {
        let path = entry.path();
        let of_another = |path: &Path| {
            let stem = path.file_stem().expect("a name");
            arch.is_some_and(|arch| ARCHES.iter().any(|other| other.name != arch.name && stem == other.folder))
        };
        if path.is_dir() && !of_another(&path) {
            self::texts(&path, extension, arch, texts);
        } else if path.extension().is_some_and(|own| own == extension) && !of_another(&path) {
            texts.push(read(&path));
        }
    }
}

/// What the headers and the sources of one instruction set say.
struct Sources {
    headers: Vec<String>,
    rust: Vec<String>,
    arch: &'static str,
}

impl Sources {
    fn of(arch: &Arch) -> Self {
        let headers = ["shim.h", arch.header].map(|name| read(&module().join(name))).into();
        let mut rust = Vec::new();
        texts(&module().join("src"), "rs", Some(arch), &mut rust);
        Sources { headers, rust, arch: arch.name }
    }

    fn borders(&self) -> (Border, Border) {
        let c = c::parse(&self.headers).unwrap_or_else(|error| panic!("the headers: {error}"));
        let rust = rust::parse(&self.rust, self.arch).unwrap_or_else(|error| panic!("the Rust sources: {error}"));
        (c, rust)
    }

    fn differences(&self) -> Vec<String> {
        let (c, rust) = self.borders();
        model::differences(&c, &rust)
    }

    /// Changes one place of one side's text.
    fn mutate(&mut self, from: &str, to: &str) {
        let mut places = self.headers.iter_mut().chain(&mut self.rust).filter(|text| text.contains(from));
        let text = places.next().unwrap_or_else(|| panic!("{from} is nowhere"));
        *text = text.replacen(from, to, 1);
    }
}

#[test]
fn both_sides_of_the_border_say_the_same() {
    for arch in &ARCHES {
        let sources = Sources::of(arch);
        let (c, rust) = sources.borders();
        // What is not read cannot differ.
        assert!(c.calls().count() > 40 && c.entries().count() > 25, "{}: {c:?}", arch.name);
        assert!(rust.structs.len() >= 3 && rust.constants.len() >= 10, "{}: {rust:?}", arch.name);
        assert_eq!(sources.differences(), <[String; 0]>::default(), "{}", arch.name);
    }
}

/// Clippy, which sees to that within Rust, does not look at the border.
#[test]
fn no_argument_is_one_that_a_call_cannot_explain() {
    for arch in &ARCHES {
        let (c, _) = Sources::of(arch).borders();
        for (name, signature) in &c.functions {
            let bools = signature.arguments.iter().filter(|(_, argument)| *argument == model::Type::Bool);
            assert_eq!(bools.collect::<Vec<_>>(), <[&model::Named; 0]>::default(), "{name}");
        }
    }
}

/// A function of the headers that Rust does not know is one that the C files have among themselves.
#[test]
fn what_rust_does_not_call_another_file_of_the_shim_does() {
    let mut files = Vec::new();
    texts(&module(), "c", None, &mut files);
    let parsed = ARCHES.map(|arch| Sources::of(&arch).borders());
    for (c, _) in &parsed {
        for name in c.calls().filter(|name| !parsed.iter().any(|(_, rust)| rust.functions.contains_key(*name))) {
            let call = format!("{name}(");
            assert!(files.iter().filter(|text| text.contains(&call)).count() >= 2, "nobody calls {name}");
        }
    }
}

#[test]
fn a_change_of_one_side_alone_is_a_difference() {
    for (from, to, difference) in [
        // Headers.
        ("void shim_sleep_ms(u32 ms)", "void shim_sleep_ms(u64 ms)", "shim_sleep_ms"),
        ("void shim_sleep_ms(u32 ms)", "u32 shim_sleep_ms(u32 ms)", "shim_sleep_ms"),
        ("shim_now(s64 *sec, u32 *nsec)", "shim_now(s64 *sec)", "shim_now"),
        ("shim_now(s64 *sec, u32 *nsec)", "shim_now(const s64 *sec, u32 *nsec)", "shim_now"),
        ("(u32 level, const char *text, size_t len)", "(u32 level, size_t len, const char *text)", "shim_log"),
        ("__noreturn shim_bug", "shim_bug", "shim_bug"),
        ("int rust_rmdir(u64 dir)", "int rust_rmdir(u32 dir)", "rust_rmdir"),
        ("int rust_rmdir(u64 dir);", "", "rust_rmdir"),
        ("void rust_stop(void);", "void rust_stop(void);\nvoid rust_more(void);", "rust_more"),
        ("int bound_cpu);", "unsigned int bound_cpu);", "shim_work_queue"),
        ("u32 atime_nsec, mtime_nsec", "u32 mtime_nsec, atime_nsec", "shim_attr"),
        ("u64 position;", "u32 position;", "shim_entry"),
        ("SHIM_SET_MTIME = 16", "SHIM_SET_MTIME = 32", "SHIM_SET_MTIME"),
        ("SHIM_SET_MTIME = 16", "SHIM_SET_MTIME = 16, SHIM_SET_MORE = 32", "SHIM_SET_MORE"),
        ("SHIM_LOCK_CLASSES 4", "SHIM_LOCK_CLASSES 5", "SHIM_LOCK_CLASSES"),
        // Rust.
        ("fn shim_sleep_ms(ms: u32)", "fn shim_sleep_ms(ms: i32)", "shim_sleep_ms"),
        ("fn shim_task_id(task: *mut TaskStruct)", "fn shim_task_id(task: *mut RwSem)", "shim_task_id"),
        ("fn shim_free(memory: *const c_void)", "fn shim_free(memory: *mut c_void)", "shim_free"),
        ("fn shim_jiffies(ms: u32)", "fn shim_ticks(ms: u32)", "shim_ticks"),
        ("fn rust_rmdir(dir: u64) -> c_int", "fn rust_rmdir(dir: u64) -> bool", "rust_rmdir"),
        ("fn rust_rmdir(", "fn rust_remove(", "rust_remove"),
        ("(crate) nlink: u32", "(crate) nlink: u16", "shim_attr"),
        ("pub(crate) is_dir: u32,\n}", "}", "shim_attr"),
        ("SET_GID: u32 = 4", "SET_GID: u32 = 3", "SHIM_SET_GID"),
        ("pub(crate) const SET_GID: u32 = 4;\n", "", "SHIM_SET_GID"),
    ] {
        let mut sources = Sources::of(&ARCHES[0]);
        sources.mutate(from, to);
        let differences = sources.differences();
        assert!(differences.iter().any(|text| text.contains(difference)), "{from} -> {to}: {differences:?}");
    }
}
