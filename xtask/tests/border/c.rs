// SPDX-License-Identifier: GPL-2.0-only
//! The side of C: declarations of headers.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail, ensure};
use lang_c::ast::{
    ArraySize, BinaryOperator, Constant, Declaration, DeclarationSpecifier, Declarator, DeclaratorKind,
    DerivedDeclarator, EnumType, Expression, ExternalDeclaration, FunctionDeclarator, Integer, IntegerBase,
    PointerQualifier, SpecifierQualifier, StorageClassSpecifier, StructDeclaration, StructType, TypeQualifier,
    TypeSpecifier,
};
use lang_c::driver::{Config, parse_preprocessed};
use lang_c::span::Node;
use regex::Regex;

use crate::model::{Border, Named, Signature, Type};

/// What `linux/types.h` gives the headers.
const TYPES: [(&str, Type); 9] = [
    ("u8", Type::Number("u8")),
    ("u16", Type::Number("u16")),
    ("u32", Type::Number("u32")),
    ("u64", Type::Number("u64")),
    ("s32", Type::Number("i32")),
    ("s64", Type::Number("i64")),
    ("size_t", Type::Number("usize")),
    ("ssize_t", Type::Number("isize")),
    ("bool", Type::Bool),
];

/// Reads headers.
///
/// # Errors
///
/// Something that this does not understand.
pub(crate) fn parse(headers: &[String]) -> Result<Border> {
    let mut parser = Parser { typedefs: TYPES.map(|(name, ty)| (name.to_owned(), ty)).into(), ..Parser::default() };
    // The parser of C has to be told which words are types.
    let mut text: String = TYPES.iter().map(|(name, _)| format!("typedef int {name};\n")).collect();
    // It wants a text without comments and directives.
    let comments = Regex::new(r"(?s)/\*.*?\*/")?;
    for header in headers {
        for line in comments.replace_all(header, " ").lines() {
            match line.strip_prefix('#') {
                Some(directive) => parser.directive(directive)?,
                None => text.push_str(&line.replace("__noreturn", "__attribute__((noreturn))")),
            }
            text.push('\n');
        }
    }
    let unit = parse_preprocessed(&Config::with_gcc(), text).map_err(|error| anyhow!("{error}"))?.unit.0;
    for declaration in unit.into_iter().skip(TYPES.len()) {
        match declaration.node {
            ExternalDeclaration::Declaration(declaration) => parser.declaration(&declaration.node)?,
            // An inline function is C's own.
            ExternalDeclaration::StaticAssert(_) | ExternalDeclaration::FunctionDefinition(_) => {}
        }
    }
    Ok(parser.border)
}

#[derive(Default)]
struct Parser {
    border: Border,
    typedefs: BTreeMap<String, Type>,
}

/// A type, and whether what it is the type of is constant.
type Qualified = (Type, bool);

impl Parser {
    /// Conditions are for the guard of a header and for what an instruction set includes.
    fn directive(&mut self, directive: &str) -> Result<()> {
        let mut words = directive.split_whitespace();
        let (word, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let value = words.collect::<Vec<_>>().join(" ");
        match word {
            "include" | "endif" => {}
            "ifndef" => ensure!(name.ends_with("_H"), "a condition: {directive}"),
            "if" | "elif" => {
                ensure!(["defined(CONFIG_X86)", "defined(CONFIG_ARM64)"].contains(&name), "a condition: {directive}");
            }
            "define" if value.is_empty() || value.starts_with('"') => {}
            "define" => {
                let value = value.parse().with_context(|| format!("not a number: {directive}"))?;
                self.border.constants.insert(name.to_owned(), value);
                self.border.defines.push(name.to_owned());
            }
            _ => bail!("#{directive}"),
        }
        Ok(())
    }

    fn declaration(&mut self, declaration: &Declaration) -> Result<()> {
        let is_typedef = declaration.specifiers.iter().any(|specifier| {
            matches!(&specifier.node, DeclarationSpecifier::StorageClass(class) if class.node == StorageClassSpecifier::Typedef)
        });
        let base = self.base(&declaration.specifiers)?;
        for declarator in &declaration.declarators {
            let (name, ty) = self.declarator(base.clone(), &declarator.node.declarator.node)?;
            let name = name.context("a declaration without a name")?;
            match ty.0 {
                ty if is_typedef => {
                    self.typedefs.insert(name, ty);
                }
                Type::Function(signature) => {
                    self.border.functions.insert(name, *signature);
                }
                // A variable.
                _ => {}
            }
        }
        Ok(())
    }

    /// The type that the words in front of a declarator name.
    fn base(&mut self, specifiers: &[Node<DeclarationSpecifier>]) -> Result<Qualified> {
        let (mut types, mut constant, mut never) = (Vec::new(), false, false);
        for specifier in specifiers {
            match &specifier.node {
                DeclarationSpecifier::TypeSpecifier(ty) => types.push(&ty.node),
                DeclarationSpecifier::TypeQualifier(qualifier) => constant |= qualifier.node == TypeQualifier::Const,
                // The one attribute that the text has.
                DeclarationSpecifier::Extension(_) => never = true,
                DeclarationSpecifier::StorageClass(_) | DeclarationSpecifier::Function(_) => {}
                DeclarationSpecifier::Alignment(_) => bail!("an alignment"),
            }
        }
        let ty = self.specified(&types)?;
        Ok((if never && ty == Type::Void { Type::Never } else { ty }, constant))
    }

    fn specified(&mut self, types: &[&TypeSpecifier]) -> Result<Type> {
        Ok(match types {
            [TypeSpecifier::Void] => Type::Void,
            [TypeSpecifier::Char] => Type::Char,
            [TypeSpecifier::Int] => Type::Number("i32"),
            [TypeSpecifier::Unsigned] | [TypeSpecifier::Unsigned, TypeSpecifier::Int] => Type::Number("u32"),
            [TypeSpecifier::Unsigned, TypeSpecifier::Long] => Type::Number("ulong"),
            [TypeSpecifier::Struct(ty)] => Type::Struct(self.structure(&ty.node)?),
            [TypeSpecifier::Enum(ty)] => {
                self.enumeration(&ty.node)?;
                Type::Number("u32")
            }
            [TypeSpecifier::TypedefName(name)] => {
                self.typedefs.get(&name.node.name).with_context(|| format!("what is {}?", name.node.name))?.clone()
            }
            other => bail!("a type: {other:?}"),
        })
    }

    fn structure(&mut self, ty: &StructType) -> Result<String> {
        let name = ty.identifier.as_ref().context("a structure without a name")?.node.name.clone();
        let Some(declarations) = &ty.declarations else {
            self.border.opaque.push(name.clone());
            return Ok(name);
        };
        let mut fields = Vec::new();
        for declaration in declarations {
            let StructDeclaration::Field(field) = &declaration.node else { continue };
            let (mut types, mut constant) = (Vec::new(), false);
            for specifier in &field.node.specifiers {
                match &specifier.node {
                    SpecifierQualifier::TypeSpecifier(ty) => types.push(&ty.node),
                    SpecifierQualifier::TypeQualifier(qualifier) => constant |= qualifier.node == TypeQualifier::Const,
                    SpecifierQualifier::Extension(_) => bail!("an attribute in {name}"),
                }
            }
            let base = (self.specified(&types)?, constant);
            for declarator in &field.node.declarators {
                ensure!(declarator.node.bit_width.is_none(), "a bit field in {name}");
                let declarator = declarator.node.declarator.as_ref().context("a field without a name")?;
                let array = declarator.node.derived.iter().find_map(|derived| match &derived.node {
                    DerivedDeclarator::Array(array) => Some(&array.node.size),
                    _ => None,
                });
                match array {
                    None => {}
                    // What follows the structure is none of its fields.
                    Some(ArraySize::Unknown) => continue,
                    Some(_) => bail!("an array in {name}"),
                }
                let (field, (ty, _)) = self.declarator(base.clone(), &declarator.node)?;
                fields.push((field.context("a field without a name")?, ty));
            }
        }
        self.border.structs.insert(name.clone(), fields);
        Ok(name)
    }

    fn enumeration(&mut self, ty: &EnumType) -> Result<()> {
        let mut next = 0;
        for enumerator in &ty.enumerators {
            let value = match &enumerator.node.expression {
                Some(value) => number(&value.node)?,
                None => next,
            };
            next = value.wrapping_add(1);
            self.border.constants.insert(enumerator.node.identifier.node.name.clone(), value);
        }
        Ok(())
    }

    /// What a declarator makes of the type in front of it.
    fn declarator(&mut self, base: Qualified, declarator: &Declarator) -> Result<(Option<String>, Qualified)> {
        let mut ty = base;
        for derived in &declarator.derived {
            ty = match &derived.node {
                DerivedDeclarator::Pointer(qualifiers) => {
                    let is_const = |qualifier: &Node<PointerQualifier>| matches!(&qualifier.node, PointerQualifier::TypeQualifier(own) if own.node == TypeQualifier::Const);
                    (ty.0.pointer(!ty.1), qualifiers.iter().any(is_const))
                }
                DerivedDeclarator::Function(function) => {
                    let arguments = self.arguments(&function.node)?;
                    (Type::Function(Box::new(Signature { arguments, result: ty.0 })), false)
                }
                // An argument that is an array is a pointer.
                DerivedDeclarator::Array(array) => {
                    ensure!(!matches!(array.node.size, ArraySize::VariableUnknown), "an array of unknown size");
                    (ty.0.pointer(!ty.1), false)
                }
                other => bail!("a declarator: {other:?}"),
            };
        }
        match &declarator.kind.node {
            DeclaratorKind::Abstract => Ok((None, ty)),
            DeclaratorKind::Identifier(name) => Ok((Some(name.node.name.clone()), ty)),
            DeclaratorKind::Declarator(inner) => self.declarator(ty, &inner.node),
        }
    }

    fn arguments(&mut self, function: &FunctionDeclarator) -> Result<Vec<Named>> {
        let mut arguments = Vec::new();
        for parameter in &function.parameters {
            let base = self.base(&parameter.node.specifiers)?;
            match &parameter.node.declarator {
                None => ensure!(base.0 == Type::Void && function.parameters.len() == 1, "an argument without a name"),
                Some(declarator) => {
                    let (name, (ty, _)) = self.declarator(base, &declarator.node)?;
                    arguments.push((name.context("an argument without a name")?, ty));
                }
            }
        }
        Ok(arguments)
    }
}

fn number(expression: &Expression) -> Result<u64> {
    match expression {
        Expression::Constant(constant) => match &constant.node {
            Constant::Integer(Integer { base, number, .. }) => {
                let radix = match base {
                    IntegerBase::Decimal => 10,
                    IntegerBase::Octal => 8,
                    IntegerBase::Hexadecimal => 16,
                    IntegerBase::Binary => 2,
                };
                Ok(u64::from_str_radix(number, radix)?)
            }
            other => bail!("not a number: {other:?}"),
        },
        Expression::BinaryOperator(shift) if shift.node.operator.node == BinaryOperator::ShiftLeft => {
            let bits = u32::try_from(number(&shift.node.rhs.node)?)?;
            number(&shift.node.lhs.node)?.checked_shl(bits).context("a shift that is too wide")
        }
        other => bail!("not a number: {other:?}"),
    }
}
