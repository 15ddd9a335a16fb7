// SPDX-License-Identifier: GPL-2.0-only
//! Operators side by side: with another operator in its place, `a + b * c` may be another tree.
//!
//! cargo-mutants changes text: of `a && b && c` it makes `a || b && c`, which is `a || (b && c)`, and no longer `(a && b) && c` with one
//! operator changed. So what is woven is the smallest of the nested expressions that can be replaced as a whole.

use std::ops::Range;

use syn::Expr;
use syn::spanned::Spanned;

/// The smallest of the nested expressions `chain`, from the inside out, that has `operator` in it, and that in parentheses and with
/// `new` for it is what the text without parentheses would be. There is none if that is no expression at all.
pub(super) fn smallest(text: &str, chain: &[Range<usize>], operator: &Range<usize>, new: &str) -> Option<Range<usize>> {
    let root = chain.last()?;
    let wanted = shape(&replaced(text, root, operator, new))?;
    if chain.len() == 1 {
        return Some(root.clone());
    }
    let is_it = |node: &&Range<usize>| {
        let node = (*node).clone();
        let inner = replaced(text, &node, operator, new);
        let whole = format!("{}({inner}){}", &text[root.start..node.start], &text[node.end..root.end]);
        shape(&whole).as_ref() == Some(&wanted)
    };
    chain.iter().find(is_it).cloned()
}

/// The text of a node with something else in the place of an operator.
pub(super) fn replaced(text: &str, node: &Range<usize>, operator: &Range<usize>, new: &str) -> String {
    format!("{}{new}{}", &text[node.start..operator.start], &text[operator.end..node.end])
}

/// The tree of operators, with every parenthesis that may be.
fn shape(text: &str) -> Option<String> {
    let expression = syn::parse_str(text).ok()?;
    let mut shape = String::new();
    write(&expression, text, &mut shape);
    Some(shape)
}

fn write(expression: &Expr, text: &str, shape: &mut String) {
    match expression {
        Expr::Binary(binary) => {
            shape.push('(');
            write(&binary.left, text, shape);
            shape.push_str(&text[binary.op.span().byte_range()]);
            write(&binary.right, text, shape);
            shape.push(')');
        }
        Expr::Paren(inner) => write(&inner.expr, text, shape),
        other => shape.push_str(&text[other.span().byte_range()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is replaced in `text`, whose operators are all in one chain from the left to the right or the other way round.
    fn replaced_in(text: &str, nodes: &[&str], operator: &str, new: &str) -> Option<String> {
        let place = |part: &str| {
            let start = text.find(part).unwrap();
            start..start + part.len()
        };
        let chain: Vec<Range<usize>> = nodes.iter().map(|node| place(node)).collect();
        smallest(text, &chain, &place(operator), new).map(|node| text[node].to_owned())
    }

    #[test]
    fn what_binds_as_before_is_replaced_by_itself() {
        assert_eq!(replaced_in("a + b < c", &["a + b", "a + b < c"], "+", "-").unwrap(), "a + b");
        assert_eq!(replaced_in("a - b + c", &["a - b", "a - b + c"], "-", "*").unwrap(), "a - b");
        assert_eq!(replaced_in("a && b || c", &["a && b", "a && b || c"], "&&", "||").unwrap(), "a && b");
        assert_eq!(
            replaced_in("x == (a + b) * c", &["(a + b) * c", "x == (a + b) * c"], "*", "+").unwrap(),
            "(a + b) * c"
        );
    }

    #[test]
    fn what_would_be_another_tree_is_replaced_with_what_is_around_it() {
        assert_eq!(replaced_in("a && b && c", &["a && b", "a && b && c"], "&&", "||").unwrap(), "a && b && c");
        assert_eq!(
            replaced_in("a + b * c < d", &["b * c", "a + b * c", "a + b * c < d"], "*", "+").unwrap(),
            "a + b * c"
        );
        assert_eq!(
            replaced_in("x == a + b - c", &["a + b - c", "x == a + b - c"], "-", "/").unwrap(),
            "a + b - c",
            "which is a + (b / c)"
        );
    }

    #[test]
    fn what_is_no_expression_any_more_is_not_replaced() {
        assert_eq!(replaced_in("a & b == c", &["b == c", "a & b == c"], "&", "<"), None);
        assert_eq!(replaced_in("a as u32 >> b", &["a as u32 >> b"], ">>", "<<"), None);
    }
}
