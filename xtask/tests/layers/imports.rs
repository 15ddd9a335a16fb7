// SPDX-License-Identifier: GPL-2.0-only
//! What the files of a crate name of each other.
//!
//! A name counts for the file in which it is made, through whatever files pass it on. Tests do not count, and neither does
//! that a file declares another as its module or passes a name on. A file that is cut into several, which are its modules,
//! is one thing: they may name what is in it. The crate's root is no such file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, UseTree, Visibility};

use crate::graph::Graph;

/// The path of a module or of something in it, from the crate's root.
type Names = Vec<String>;

#[derive(Default)]
struct Module {
    file: String,
    /// What is made here.
    items: BTreeSet<String>,
    /// What is imported here, and passed on to whoever asks: by the name that it has here, as it was written.
    imports: BTreeMap<String, Names>,
    globs: Vec<Names>,
    /// All that is named here.
    named: Vec<Names>,
}

/// The graph of a crate.
///
/// # Errors
///
/// A file that is missing or no Rust.
pub(crate) fn graph(root: &Path) -> Result<Graph> {
    let folder = root.parent().context("no folder")?;
    let mut reader = Reader { root: folder.to_owned(), modules: BTreeMap::new() };
    reader.file(root, folder, Vec::new())?;
    let mut graph = Graph::default();
    for (path, module) in &reader.modules {
        for names in &module.named {
            for file in reader.files(path, names, 0) {
                if !reader.is_above(&file, path) {
                    graph.add(&module.file, &file);
                }
            }
        }
    }
    Ok(graph)
}

struct Reader {
    root: PathBuf,
    modules: BTreeMap<Names, Module>,
}

impl Reader {
    /// Reads a file; `folder` is where its modules are.
    fn file(&mut self, path: &Path, folder: &Path, names: Names) -> Result<()> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = syn::parse_file(&text).with_context(|| format!("{} is no Rust", path.display()))?;
        let name = path.strip_prefix(&self.root)?.to_string_lossy().into_owned();
        self.module(&name, &file.items, folder, names)
    }

    fn module(&mut self, file: &str, items: &[Item], folder: &Path, names: Names) -> Result<()> {
        let mut collector = Collector { module: Module { file: file.to_owned(), ..Module::default() }, depth: 0 };
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            if let Some(name) = name(item) {
                collector.module.items.insert(name);
            }
            if let Item::Mod(module) = item {
                let child = [names.as_slice(), &[module.ident.to_string()]].concat();
                self.child(file, module, folder, child)?;
            } else {
                collector.visit_item(item);
            }
        }
        self.modules.insert(names, collector.module);
        Ok(())
    }

    fn child(&mut self, file: &str, module: &ItemMod, folder: &Path, names: Names) -> Result<()> {
        let name = module.ident.to_string();
        let own = folder.join(&name);
        match &module.content {
            Some((_, items)) => self.module(file, items, &own, names),
            None => self.file(&folder.join(format!("{name}.rs")), &own, names),
        }
    }

    /// Whether a file is that of a module in which this one is, the crate's root excepted.
    fn is_above(&self, file: &str, path: &Names) -> bool {
        (1..path.len()).any(|depth| self.modules.get(&path[..depth]).is_some_and(|module| module.file == file))
    }

    /// The files in which what `names` means in the module `at` is made; none for what is not this crate's.
    fn files(&self, at: &Names, names: &[String], depth: usize) -> Vec<String> {
        let (mut place, mut rest) = match names {
            [first, rest @ ..] if first == "crate" => (Names::new(), rest),
            [first, ..] if first == "self" || first == "super" => (at.clone(), names),
            // A module of the module, or something that it imports.
            [first, ..] if self.modules.contains_key(&[at.as_slice(), std::slice::from_ref(first)].concat()) => {
                (at.clone(), names)
            }
            [first, ..] if self.modules[at].imports.contains_key(first) && depth == 0 => (at.clone(), names),
            _ => return Vec::new(),
        };
        loop {
            match rest {
                [first, more @ ..] if first == "self" => rest = more,
                [first, more @ ..] if first == "super" => {
                    place.pop();
                    rest = more;
                }
                [first, more @ ..] => {
                    let inner = [place.as_slice(), std::slice::from_ref(first)].concat();
                    if !self.modules.contains_key(&inner) {
                        break;
                    }
                    (place, rest) = (inner, more);
                }
                [] => break,
            }
        }
        let module = &self.modules[&place];
        let Some(first) = rest.first() else { return vec![module.file.clone()] };
        if depth > 8 || module.items.contains(first) {
            return vec![module.file.clone()];
        }
        if let Some(import) = module.imports.get(first) {
            // None if it is another crate's, which this file only passes on.
            return self.files(&place, &[import, &rest[1..]].concat(), depth + 1);
        }
        let globs = module.globs.iter().flat_map(|glob| self.files(&place, glob, depth + 1));
        let found: Vec<_> = globs.collect();
        if found.is_empty() { vec![module.file.clone()] } else { found }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether it is for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// What a path begins with that names another crate, whatever there is of that name in this one.
fn outside(leading_colon: Option<&syn::token::PathSep>) -> impl Iterator<Item = String> + use<> {
    leading_colon.map(|_| "::".to_owned()).into_iter()
}

/// For whom something is imported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// For what is in the file.
    Own,
    /// For others; what is in the file may name it, too.
    PassedOn,
}

/// Collects what a module names.
struct Collector {
    module: Module,
    /// Blocks around the place: what is imported in one is not there for others.
    depth: usize,
}

impl Collector {
    fn tree(&mut self, tree: &UseTree, mut names: Names, use_: Use) {
        match tree {
            UseTree::Path(path) => {
                names.push(path.ident.to_string());
                self.tree(&path.tree, names, use_);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, names.clone(), use_)),
            UseTree::Name(name) => {
                if name.ident != "self" {
                    names.push(name.ident.to_string());
                }
                self.import(names.last().cloned().unwrap_or_default(), names, use_);
            }
            UseTree::Rename(name) => {
                if name.ident != "self" {
                    names.push(name.ident.to_string());
                }
                self.import(name.rename.to_string(), names, use_);
            }
            UseTree::Glob(_) => {
                self.module.globs.push(names.clone());
                if use_ == Use::Own {
                    self.module.named.push(names);
                }
            }
        }
    }

    fn import(&mut self, name: String, names: Names, use_: Use) {
        if use_ == Use::Own {
            self.module.named.push(names.clone());
        }
        if self.depth == 0 {
            self.module.imports.insert(name, names);
        }
    }

    /// Paths in what a macro is given.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut names = Names::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                // `pub(crate)` names nothing.
                TokenTree::Group(_) if names.last().is_some_and(|name| name == "pub") => {}
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.name(std::mem::take(&mut names));
                    }
                    names.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.name(std::mem::take(&mut names));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.name(names);
    }

    fn name(&mut self, names: Names) {
        if !names.is_empty() {
            self.module.named.push(names);
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let use_ = if matches!(item.vis, Visibility::Inherited) { Use::Own } else { Use::PassedOn };
        self.tree(&item.tree, outside(item.leading_colon.as_ref()).collect(), use_);
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.depth += 1;
        visit::visit_block(self, block);
        self.depth -= 1;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string());
        self.name(outside(path.leading_colon.as_ref()).chain(segments).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    /// `pub(in path)` and `pub(super)` name nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
