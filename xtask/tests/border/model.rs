// SPDX-License-Identifier: GPL-2.0-only
//! What both languages are translated to.

use std::collections::BTreeMap;

/// A type, as far as it crosses the border.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Nothing: no result, or memory that the other side does not look into.
    Void,
    /// The result of a function that does not return.
    Never,
    Bool,
    /// A byte of a text.
    Char,
    /// A number, by its name in Rust; `ulong` is C's `unsigned long`.
    Number(&'static str),
    /// A structure, by its name in C.
    Struct(String),
    Pointer {
        to: Box<Type>,
        writable: bool,
    },
    /// A pointer to a function.
    Function(Box<Signature>),
}

impl Type {
    /// A pointer to this, which for C is what a function points to as well.
    pub(crate) fn pointer(self, writable: bool) -> Type {
        match self {
            Type::Function(_) => self,
            to => Type::Pointer { to: Box::new(to), writable },
        }
    }
}

/// A field or an argument.
pub(crate) type Named = (String, Type);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) arguments: Vec<Named>,
    pub(crate) result: Type,
}

/// One side of the border.
#[derive(Debug, Default)]
pub(crate) struct Border {
    pub(crate) functions: BTreeMap<String, Signature>,
    /// Structures that both sides look into, by their names in C.
    pub(crate) structs: BTreeMap<String, Vec<Named>>,
    /// Structures that only C looks into.
    pub(crate) opaque: Vec<String>,
    /// By their names in C.
    pub(crate) constants: BTreeMap<String, u64>,
    /// Those that are macros: Rust need not know them.
    pub(crate) defines: Vec<String>,
}

impl Border {
    /// What Rust calls.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &String> {
        self.functions.keys().filter(|name| name.starts_with("shim_"))
    }

    /// What C calls.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &String> {
        self.functions.keys().filter(|name| name.starts_with("rust_"))
    }
}

/// Where the two sides differ. What Rust does not call, and macros that it does not know, are no difference.
pub(crate) fn differences(c: &Border, rust: &Border) -> Vec<String> {
    let mut found = Vec::new();
    let entries = c.entries().chain(rust.functions.keys());
    compare("function", entries, &c.functions, &rust.functions, &mut found);
    compare("structure", c.structs.keys().chain(rust.structs.keys()), &c.structs, &rust.structs, &mut found);
    let enumerators = c.constants.keys().filter(|name| !c.defines.contains(name));
    let constants = enumerators.chain(rust.constants.keys());
    compare("constant", constants, &c.constants, &rust.constants, &mut found);
    let unknown = rust.opaque.iter().filter(|name| !c.opaque.contains(name));
    found.extend(unknown.map(|name| format!("structure {name}: no header declares it")));
    found
}

fn compare<'a, T: PartialEq + std::fmt::Debug>(
    kind: &str,
    names: impl Iterator<Item = &'a String>,
    c: &BTreeMap<String, T>,
    rust: &BTreeMap<String, T>,
    found: &mut Vec<String>,
) {
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        match (c.get(name), rust.get(name)) {
            (Some(c), Some(rust)) if c == rust => {}
            (Some(c), Some(rust)) => found.push(format!("{kind} {name}: C has {c:?}, Rust has {rust:?}")),
            (Some(_), None) => found.push(format!("{kind} {name}: Rust has none")),
            (None, _) => found.push(format!("{kind} {name}: C has none")),
        }
    }
}
