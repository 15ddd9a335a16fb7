// SPDX-License-Identifier: GPL-2.0-only
//! Commands of the shell, for people and for scripts.

/// `text` as one word of the shell: between quotes, unless it has nothing in it that the shell takes for something else.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_quote_stays_one_word() {
        assert_eq!(word("/it's"), r"'/it'\''s'");
        assert_eq!(word("a b"), "'a b'");
        assert_eq!(word(""), "''");
        assert_eq!(word("/plain-1.2_x=3"), "/plain-1.2_x=3");
    }
}
