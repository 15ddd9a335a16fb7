// SPDX-License-Identifier: GPL-2.0-only
//! Where a file has what cargo-mutants changes.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;

use anyhow::{Context, Result};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, Block, Expr, Pat, Signature};

use super::Genre;

/// What is changed at a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) what: What,
    /// The innermost function around it, of [`Places::functions`].
    pub(super) function: Option<usize>,
    /// It has its value when it is compiled.
    pub(super) constant: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A function's body, of which this is the first statement's place.
    Body(usize),
    /// An arm, whose pattern ends here.
    Arm(usize),
    /// An arm of a `match` that has no `_` without a guard: another with a guard may leave values to none.
    NeededArm,
    /// An operator with two sides, in these expressions, from the inside out.
    Operator { sides: [Range<usize>; 2], nodes: Vec<Node> },
    /// Part of this expression.
    Part(Node),
}

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) range: Range<usize>,
    /// It binds names, so it can be nowhere else.
    pub(super) binds: bool,
}

/// A function.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// The type that it is of, and its own name.
    pub(super) name: (String, String),
    /// `const ` before it.
    pub(super) constant: Option<Range<usize>>,
}

/// All of a file.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By what is changed, and the first byte of what cargo-mutants says it replaces.
    pub(super) places: BTreeMap<(Genre, usize), Place>,
    pub(super) functions: Vec<Function>,
}

impl Places {
    /// # Errors
    ///
    /// The text is no Rust.
    pub(super) fn of(text: &str) -> Result<Self> {
        let file = syn::parse_file(text).context("this does not parse")?;
        let mut visitor = Visitor::default();
        visitor.visit_file(&file);
        Ok(visitor.found)
    }
}

#[derive(Default)]
struct Visitor {
    found: Places,
    /// The types around, by name.
    owners: Vec<String>,
    /// The functions around.
    functions: Vec<usize>,
    constant: bool,
    /// The `match` around has `_` without a guard.
    has_catchall: bool,
    /// Operators around, with nothing in between, from the outside in.
    chain: Vec<Node>,
}

impl Visitor {
    fn record(&mut self, genre: Genre, at: usize, what: What) {
        let place = Place { what, function: self.functions.last().copied(), constant: self.constant };
        self.found.places.insert((genre, at), place);
    }

    fn in_constant(&mut self, constant: bool, visit: impl FnOnce(&mut Self)) {
        let outer = mem::replace(&mut self.constant, constant);
        visit(self);
        self.constant = outer;
    }

    fn in_owner(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.owners.push(name);
        visit(self);
        self.owners.pop();
    }

    fn in_function(&mut self, signature: &Signature, body: Option<&Block>, visit: impl FnOnce(&mut Self)) {
        let constant = signature.constness.as_ref().map(|keyword| {
            let next = signature.fn_token.span.byte_range().start;
            // `unsafe` and `extern` may come in between.
            let keyword = keyword.span.byte_range();
            keyword.start..next.min(keyword.end + 1)
        });
        let name = (self.owners.last().cloned().unwrap_or_default(), signature.ident.to_string());
        self.functions.push(self.found.functions.len());
        self.found.functions.push(Function { name, constant });
        self.in_constant(false, |visitor| {
            if let Some(first) = body.and_then(|body| body.stmts.first()) {
                let at = start(first);
                visitor.record(Genre::FnValue, at, What::Body(at));
            }
            visit(visitor);
        });
        self.functions.pop();
    }
}

fn start(what: &impl Spanned) -> usize {
    what.span().byte_range().start
}

/// An expression; whether it binds names.
fn node(expression: &Expr) -> Node {
    fn binds(expression: &Expr) -> bool {
        match expression {
            Expr::Let(_) => true,
            Expr::Binary(binary) => binds(&binary.left) || binds(&binary.right),
            _ => false,
        }
    }
    Node { range: expression.span().byte_range(), binds: binds(expression) }
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.in_function(&item.sig, Some(&item.block), |visitor| visit::visit_item_fn(visitor, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.in_function(&item.sig, Some(&item.block), |visitor| visit::visit_impl_item_fn(visitor, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.in_function(&item.sig, item.default.as_ref(), |visitor| visit::visit_trait_item_fn(visitor, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        self.in_owner(name.unwrap_or_default(), |visitor| visit::visit_item_impl(visitor, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.in_owner(item.ident.to_string(), |visitor| visit::visit_item_trait(visitor, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.in_owner(String::new(), |visitor| visit::visit_item_mod(visitor, item));
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.in_constant(true, |visitor| visit::visit_item_const(visitor, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.in_constant(true, |visitor| visit::visit_item_static(visitor, item));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.in_constant(true, |visitor| visit::visit_impl_item_const(visitor, item));
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.in_constant(true, |visitor| visit::visit_trait_item_const(visitor, item));
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.in_constant(true, |visitor| visit::visit_variant(visitor, variant));
    }

    fn visit_generic_argument(&mut self, argument: &'ast syn::GenericArgument) {
        self.in_constant(true, |visitor| visit::visit_generic_argument(visitor, argument));
    }

    fn visit_const_param(&mut self, parameter: &'ast syn::ConstParam) {
        self.in_constant(true, |visitor| visit::visit_const_param(visitor, parameter));
    }

    fn visit_type_array(&mut self, array: &'ast syn::TypeArray) {
        self.in_constant(true, |visitor| visit::visit_type_array(visitor, array));
    }

    fn visit_expr_const(&mut self, block: &'ast syn::ExprConst) {
        self.in_constant(true, |visitor| visit::visit_expr_const(visitor, block));
    }

    fn visit_expr_repeat(&mut self, array: &'ast syn::ExprRepeat) {
        self.visit_expr(&array.expr);
        self.in_constant(true, |visitor| visitor.visit_expr(&array.len));
    }

    fn visit_pat(&mut self, pattern: &'ast Pat) {
        self.in_constant(true, |visitor| visit::visit_pat(visitor, pattern));
    }

    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        self.visit_expr(&expression.expr);
        for arm in &expression.arms {
            // Others may be in this one.
            self.has_catchall = expression.arms.iter().any(|arm| matches!(arm.pat, Pat::Wild(_)));
            self.visit_arm(arm);
        }
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        if let Pat::Guard(guarded) = &arm.pat {
            let guard = node(&guarded.guard);
            self.record(Genre::MatchArmGuard, guard.range.start, What::Part(guard));
            self.visit_pat(&guarded.pat);
            self.visit_expr(&guarded.guard);
        } else {
            let end = arm.pat.span().byte_range().end;
            let what = if self.has_catchall { What::Arm(end) } else { What::NeededArm };
            self.record(Genre::MatchArm, start(arm), what);
            self.visit_pat(&arm.pat);
        }
        self.visit_expr(&arm.body);
    }

    fn visit_expr(&mut self, expression: &'ast Expr) {
        if let Expr::Binary(binary) = expression {
            self.chain.push(node(expression));
            let nodes = self.chain.iter().rev().cloned().collect();
            let sides = [&binary.left, &binary.right].map(|side| side.span().byte_range());
            self.record(Genre::BinaryOperator, start(&binary.op), What::Operator { sides, nodes });
            visit::visit_expr(self, expression);
            self.chain.pop();
        } else {
            let outer = mem::take(&mut self.chain);
            match expression {
                Expr::Unary(unary) => {
                    self.record(Genre::UnaryOperator, start(&unary.op), What::Part(node(expression)));
                }
                Expr::Struct(literal) if literal.rest.is_some() => {
                    for field in &literal.fields {
                        self.record(Genre::StructField, start(field), What::Part(node(expression)));
                    }
                }
                _ => {}
            }
            visit::visit_expr(self, expression);
            self.chain = outer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_its_value_when_it_is_compiled_is_known() {
        let text = "const A: u8 = 1 + 2; static B: [u8; 3 - 1] = [4 * 5; 6 / 2];\n\
                    fn f(x: [u8; 7 % 2]) -> u8 { const { 1 << 3 }; g::<{ 2 | 1 }>(); [x[0] ^ 1; 8 & 9][0] }\n\
                    enum E { F = 5 >> 1 }\n";
        let places = Places::of(text).unwrap().places;
        let operators: Vec<(&str, bool)> = places
            .iter()
            .filter(|((genre, _), _)| *genre == Genre::BinaryOperator)
            .map(|((_, at), place)| (&text[*at..=*at], place.constant))
            .collect();
        let constant: String =
            operators.iter().filter(|(_, constant)| *constant).map(|(operator, _)| *operator).collect();
        assert_eq!((constant.as_str(), operators.len()), ("+-*/%<|&>", 10));
    }

    #[test]
    fn functions_have_the_name_of_their_type_and_perhaps_a_word_too_many() {
        let text = "impl<T> A<T> { pub const fn f(&self) -> u8 { const fn g() {} 1 } } pub const unsafe fn h() { -1; }";
        let places = Places::of(text).unwrap();
        let functions: Vec<_> = places
            .functions
            .iter()
            .map(|function| {
                (
                    function.name.0.as_str(),
                    function.name.1.as_str(),
                    function.constant.clone().map(|range| &text[range]),
                )
            })
            .collect();
        assert_eq!(functions, [("A", "f", Some("const ")), ("A", "g", Some("const ")), ("", "h", Some("const "))]);
        assert_eq!(places.places[&(Genre::UnaryOperator, text.find("-1").unwrap())].function, Some(2));
    }

    #[test]
    fn conditions_that_bind_names_are_known() {
        let text = "fn f() { if a == 1 && let Some(b) = c && d {} }";
        let places = Places::of(text).unwrap().places;
        let chain = |operator: &str| match &places[&(Genre::BinaryOperator, text.find(operator).unwrap())].what {
            What::Operator { nodes, .. } => {
                nodes.iter().map(|node| (&text[node.range.clone()], node.binds)).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        let whole = ("a == 1 && let Some(b) = c && d", true);
        assert_eq!(chain("=="), [("a == 1", false), ("a == 1 && let Some(b) = c", true), whole]);
        assert_eq!(chain("&& d"), [whole]);
    }
}
