// SPDX-License-Identifier: GPL-2.0-only
//! What the module is made of, in bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind};

/// `SHF_ALLOC` of elf(5): the kernel keeps it in memory.
const ALLOCATED: u64 = 2;

/// Bytes of a module by what they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Sections that the kernel loads, the largest first.
    sections: Vec<(String, u64)>,
    /// What is in `.text`, the largest first: a function is whose name it has, with all that was inlined into it.
    text: Vec<(String, u64)>,
}

/// Looks at a module.
///
/// # Errors
///
/// It cannot be read, or is no object file.
pub(crate) fn of(module: &Path) -> Result<Sizes> {
    let data = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    measure(&data).with_context(|| format!("cannot tell what is in {}", module.display()))
}

fn measure(data: &[u8]) -> Result<Sizes> {
    let file = object::File::parse(data).context("no object file")?;
    let (mut sections, mut text) = (BTreeMap::new(), BTreeMap::new());
    let mut in_text = 0;
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        if sh_flags & ALLOCATED == 0 || section.size() == 0 {
            continue;
        }
        *sections.entry(kind_of_section(section.name()?)).or_default() += section.size();
        if section.name()? != ".text" {
            continue;
        }
        in_text = section.size();
        // Several names of one function count once.
        let mut functions = BTreeMap::new();
        for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            if symbol.section_index() == Some(section.index()) && symbol.size() > 0 {
                functions.insert(symbol.address(), (symbol.size(), symbol.name()?));
            }
        }
        for (size, name) in functions.into_values() {
            *text.entry(owner(name)).or_default() += size;
        }
    }
    let named: u64 = text.values().sum();
    text.insert("between functions, to align them", in_text.saturating_sub(named));
    let sorted = |sizes: BTreeMap<&str, u64>| {
        let mut sizes: Vec<_> = sizes.into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
        sizes.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        sizes
    };
    Ok(Sizes { sections: sorted(sections), text: sorted(text) })
}

/// Sections that are of one kind have one name here.
fn kind_of_section(name: &str) -> &'static str {
    match name {
        ".text" => "code (.text)",
        ".init.text" | ".exit.text" => "code that runs once",
        name if name.starts_with(".rodata") => "constants (.rodata)",
        name if name.starts_with(".data") || name.starts_with(".bss") => "variables",
        name if name.starts_with(".orc_") => "unwinding the stack (ORC)",
        ".call_sites"
        | ".return_sites"
        | ".retpoline_sites"
        | ".ibt_endbr_seal"
        | ".altinstructions"
        | ".altinstr_replacement"
        | "__jump_table"
        | ".static_call_sites" => "places where the kernel patches code",
        "__mcount_loc" | "__patchable_function_entries" => "places where functions can be traced",
        ".eh_frame" => "unwinding the stack (DWARF)",
        _ => "else",
    }
}

/// Whose function this is.
fn owner(name: &str) -> &'static str {
    let demangled = rustc_demangle::demangle(name);
    let plain = format!("{demangled:#}");
    if plain == name {
        return if name.starts_with("rust_") {
            "what C calls (`rust_…`), with what is inlined there"
        } else {
            "C of the module"
        };
    }
    // `<TYPE as TRAIT>::method` and `PATH::<impl TYPE>::method` are of whoever wrote that down; the first crate named is near it.
    let path =
        plain.trim_start_matches(['<', '&', '*', '(', '[']).trim_start_matches("mut ").trim_start_matches("const ");
    const OWNERS: [(&str, &str); 14] = [
        ("resctrl_fs::", "`resctrl-fs`"),
        ("resctrl_x86::", "`resctrl-x86`"),
        ("resctrl_mpam::", "`resctrl-mpam`"),
        ("resctrl_types::", "`resctrl-types`"),
        ("resctrl::", "Rust of the module"),
        ("resctrl_module::", "Rust of the module"),
        ("core::fmt::", "`core::fmt`"),
        ("core::panicking::", "panics (`core::panicking` and what shows a message)"),
        ("core::slice::index::", "panics (`core::panicking` and what shows a message)"),
        ("core::option::expect_failed", "panics (`core::panicking` and what shows a message)"),
        ("core::option::unwrap_failed", "panics (`core::panicking` and what shows a message)"),
        ("core::result::unwrap_failed", "panics (`core::panicking` and what shows a message)"),
        ("alloc::", "`alloc`"),
        ("core::", "the rest of `core`"),
    ];
    OWNERS.into_iter().find(|(start, _)| path.starts_with(start)).map_or("other Rust", |(_, owner)| owner)
}

impl Sizes {
    /// Two tables in Markdown: what is loaded, and what the code is.
    pub(crate) fn markdown(&self) -> String {
        let table = |heading: &str, rows: &[(String, u64)]| {
            let all: u64 = rows.iter().map(|(_, size)| size).sum();
            let mut text = format!("| {heading} | bytes | % |\n|---|--:|--:|\n");
            for (name, size) in rows.iter().filter(|(_, size)| *size > 0) {
                text += &format!("| {name} | {size} | {:.1} |\n", *size as f64 * 100.0 / all.max(1) as f64);
            }
            text + &format!("| all | {all} | 100.0 |\n")
        };
        table("what is loaded", &self.sections) + "\n" + &table("what the code is", &self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_of_the_crate_that_its_name_begins_with() {
        let owners = [
            ("_ZN10resctrl_fs4life6resume17h7573562605fc0a2eE", "`resctrl-fs`"),
            ("_ZN4core3fmt5write17h7573562605fc0a2eE", "`core::fmt`"),
            ("_ZN4core9panicking5panic17h7573562605fc0a2eE", "panics (`core::panicking` and what shows a message)"),
            ("_ZN4core3str6traits17h7573562605fc0a2eE", "the rest of `core`"),
            (
                "_ZN71_$LT$resctrl_types..cpumask..ListMask$u20$as$u20$core..fmt..Display$GT$3fmt17h7573562605fc0a2eE",
                "`resctrl-types`",
            ),
            ("rust_mkdir", "what C calls (`rust_…`), with what is inlined there"),
            ("resctrl_init_fs_context", "C of the module"),
        ];
        assert_eq!(owners.map(|(name, _)| owner(name)), owners.map(|(_, owner)| owner));
    }

    #[test]
    fn all_bytes_of_the_code_are_somewhere() {
        let folder = tempfile::tempdir().unwrap();
        let (source, object) = (folder.path().join("a.rs"), folder.path().join("a.o"));
        let code = "#![no_std]\n\
            #[unsafe(no_mangle)] #[inline(never)] pub extern \"C\" fn rust_a(x: u32) -> u32 { x * 7 + c(x) }\n\
            #[unsafe(no_mangle)] #[inline(never)] pub extern \"C\" fn c(x: u32) -> u32 { x / 3 }\n";
        fs::write(&source, code).unwrap();
        let line = ["--crate-type=lib", "--emit=obj", "-Copt-level=2", "-Zfunction-sections=no", "--edition=2024"];
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        duct::cmd(rustc, line)
            .before_spawn({
                let (source, object) = (source.clone(), object.clone());
                move |command| {
                    command.arg(&source).arg("-o").arg(&object).env("RUSTC_BOOTSTRAP", "1");
                    Ok(())
                }
            })
            .run()
            .unwrap();
        let sizes = of(&object).unwrap();
        let size = |rows: &[(String, u64)], of: &str| rows.iter().find(|(name, _)| name == of).map_or(0, |row| row.1);
        let (ours, c) = (
            size(&sizes.text, "what C calls (`rust_…`), with what is inlined there"),
            size(&sizes.text, "C of the module"),
        );
        assert!(ours > 0 && c > 0, "{sizes:?}");
        let all: u64 = sizes.text.iter().map(|(_, size)| size).sum();
        assert_eq!(all, size(&sizes.sections, "code (.text)"), "{sizes:?}");
        assert!(sizes.markdown().contains(&format!("| all | {all} | 100.0 |")), "{}", sizes.markdown());
    }
}
