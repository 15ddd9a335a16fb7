// SPDX-License-Identifier: GPL-2.0-only
//! The side of Rust: foreign functions, entry points, structures and constants of the module's sources.
//!
//! A structure's name in C is what its documentation begins with, `struct NAME`; a constant's is its own after `SHIM_`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Expr, ExprLit, Fields, File, FnArg, ForeignItem, Ident, Item, ItemConst, ItemStruct, Lit, Meta, Pat,
    PointerMutability, ReturnType, Token,
};

use crate::model::{Border, Signature, Type};

/// Reads sources of one instruction set.
///
/// # Errors
///
/// Something that this does not understand.
pub(crate) fn parse(sources: &[String], arch: &str) -> Result<Border> {
    let files = sources.iter().map(|text| Ok(syn::parse_file(text)?)).collect::<Result<Vec<File>>>()?;
    // Only files of a border have constants of it.
    let borders: Vec<&File> = files.iter().filter(|file| is_border(file)).collect();
    let mut names = Names::default();
    for item in borders.iter().flat_map(|file| &file.items) {
        names.collect(item)?;
    }
    let mut border = Border::default();
    border.opaque.clone_from(&names.opaque);
    for item in files.iter().flat_map(|file| &file.items) {
        match item {
            Item::ForeignMod(block) => {
                for item in &block.items {
                    let ForeignItem::Fn(function) = item else { bail!("a foreign item that is no function") };
                    if is_built(&function.attrs, arch)? {
                        border.functions.insert(function.sig.ident.to_string(), names.signature(&function.sig)?);
                    }
                }
            }
            Item::Fn(function) if is_exported(&function.attrs) => {
                let name = function.sig.ident.to_string();
                ensure!(function.sig.abi.is_some(), "{name} is not C's");
                border.functions.insert(name, names.signature(&function.sig)?);
            }
            _ => {}
        }
    }
    for item in borders.iter().flat_map(|file| &file.items) {
        match item {
            Item::Const(constant) => {
                border.constants.insert(format!("SHIM_{}", constant.ident), number(constant)?);
            }
            Item::Struct(structure) => {
                border.structs.insert(names.structure(&structure.ident)?, names.fields(structure)?);
            }
            _ => {}
        }
    }
    Ok(border)
}

fn is_border(file: &File) -> bool {
    file.items.iter().any(|item| matches!(item, Item::ForeignMod(_)))
}

fn is_exported(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        Meta::List(list) if list.path.is_ident("unsafe") => list.tokens.to_string() == "no_mangle",
        _ => false,
    })
}

/// Whether what has these attributes is built for an instruction set.
fn is_built(attrs: &[Attribute], arch: &str) -> Result<bool> {
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("cfg")) {
        let mut own = false;
        attr.parse_nested_meta(|meta| {
            if !meta.path.is_ident("target_arch") {
                return Err(meta.error("what is that?"));
            }
            own = meta.value()?.parse::<syn::LitStr>()?.value() == arch;
            Ok(())
        })?;
        if !own {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What `opaque!` is called with.
struct Opaque(Vec<(Vec<Attribute>, Ident)>);

impl Parse for Opaque {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut all = Vec::new();
        while !input.is_empty() {
            all.push((input.call(Attribute::parse_outer)?, input.parse()?));
            input.parse::<Token![;]>()?;
        }
        Ok(Opaque(all))
    }
}

/// What the names of the sources stand for.
#[derive(Default)]
struct Names {
    structs: BTreeMap<String, String>,
    opaque: Vec<String>,
    functions: BTreeMap<String, Signature>,
}

impl Names {
    fn collect(&mut self, item: &Item) -> Result<()> {
        match item {
            Item::Struct(structure) => {
                let is_c = |attr: &Attribute| matches!(&attr.meta, Meta::List(list) if list.path.is_ident("repr") && list.tokens.to_string() == "C");
                ensure!(structure.attrs.iter().any(is_c), "{} is not laid out as C's", structure.ident);
                self.structs.insert(structure.ident.to_string(), name_in_c(&structure.attrs, &structure.ident)?);
            }
            Item::Macro(call) if call.mac.path.is_ident("opaque") => {
                for (attrs, ident) in call.mac.parse_body::<Opaque>()?.0 {
                    let name = name_in_c(&attrs, &ident)?;
                    self.structs.insert(ident.to_string(), name.clone());
                    self.opaque.push(name);
                }
            }
            Item::Type(alias) => {
                let Type::Function(signature) = self.ty(&alias.ty)? else { bail!("{} is no function", alias.ident) };
                self.functions.insert(alias.ident.to_string(), *signature);
            }
            _ => {}
        }
        Ok(())
    }

    fn structure(&self, ident: &Ident) -> Result<String> {
        Ok(self.structs.get(&ident.to_string()).with_context(|| format!("what is {ident}?"))?.clone())
    }

    fn fields(&self, structure: &ItemStruct) -> Result<Vec<(String, Type)>> {
        let Fields::Named(fields) = &structure.fields else { bail!("{} has fields without names", structure.ident) };
        let field = |field: &syn::Field| {
            Ok((field.ident.as_ref().context("a field without a name")?.to_string(), self.ty(&field.ty)?))
        };
        fields.named.iter().map(field).collect()
    }

    fn signature(&self, sig: &syn::Signature) -> Result<Signature> {
        let argument = |argument: &FnArg| {
            let FnArg::Typed(argument) = argument else { bail!("{} has a receiver", sig.ident) };
            let Pat::Ident(name) = &*argument.pat else { bail!("{} has an argument without a name", sig.ident) };
            Ok((name.ident.to_string(), self.ty(&argument.ty)?))
        };
        Ok(Signature {
            arguments: sig.inputs.iter().map(argument).collect::<Result<_>>()?,
            result: self.result(&sig.output)?,
        })
    }

    fn result(&self, output: &ReturnType) -> Result<Type> {
        match output {
            ReturnType::Default => Ok(Type::Void),
            ReturnType::Type(_, ty) => self.ty(ty),
        }
    }

    fn ty(&self, ty: &syn::Type) -> Result<Type> {
        Ok(match ty {
            syn::Type::Never(_) => Type::Never,
            syn::Type::Ptr(pointer) => {
                self.ty(&pointer.elem)?.pointer(matches!(pointer.mutability, PointerMutability::Mut(_)))
            }
            syn::Type::FnPtr(function) => {
                let argument = |argument: &syn::NamedArg| {
                    let (name, _) = argument.name.as_ref().context("an argument without a name")?;
                    Ok((name.to_string(), self.ty(&argument.ty)?))
                };
                let arguments = function.inputs.iter().map(argument).collect::<Result<_>>()?;
                Type::Function(Box::new(Signature { arguments, result: self.result(&function.output)? }))
            }
            syn::Type::Path(path) => {
                let name = &path.path.segments.last().context("a path")?.ident;
                self.named(name)?
            }
            _ => bail!("a type that does not cross"),
        })
    }

    fn named(&self, ident: &Ident) -> Result<Type> {
        let name = ident.to_string();
        Ok(match name.as_str() {
            "bool" => Type::Bool,
            "c_char" => Type::Char,
            "c_void" => Type::Void,
            "c_int" | "i32" => Type::Number("i32"),
            "c_uint" | "u32" => Type::Number("u32"),
            "c_ulong" => Type::Number("ulong"),
            "u8" => Type::Number("u8"),
            "u16" => Type::Number("u16"),
            "u64" => Type::Number("u64"),
            "i64" => Type::Number("i64"),
            "usize" => Type::Number("usize"),
            "isize" => Type::Number("isize"),
            _ => match self.functions.get(&name) {
                Some(signature) => Type::Function(Box::new(signature.clone())),
                None => Type::Struct(self.structure(ident)?),
            },
        })
    }
}

/// The name that the documentation begins with.
fn name_in_c(attrs: &[Attribute], ident: &Ident) -> Result<String> {
    let docs = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let name = docs.filter_map(|text| Some(text.split_once("`struct ")?.1.split_once('`')?.0.to_owned())).next();
    name.with_context(|| format!("the documentation of {ident} does not say what it is in C"))
}

fn number(constant: &ItemConst) -> Result<u64> {
    match &*constant.expr {
        Expr::Lit(ExprLit { lit: Lit::Int(value), .. }) => Ok(value.base10_parse()?),
        _ => bail!("{} is no number", constant.ident),
    }
}
