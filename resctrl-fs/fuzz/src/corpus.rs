// SPDX-License-Identifier: GPL-2.0-only
//! Inputs that are committed: one a line, as `cargo xtask fuzz --keep` writes them, with what is not ASCII text escaped as in Rust.

/// The inputs in such a file. Lines that begin with `#` are remarks.
///
/// # Panics
/// When a line is none.
#[must_use]
pub(crate) fn inputs(file: &str) -> Vec<Vec<u8>> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| unescape(line).unwrap_or_else(|| panic!("no input: {line}"))).collect()
}

fn unescape(line: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::new(), line.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'x' => {
                    let mut digit = || char::from(rest.next()?).to_digit(16);
                    u8::try_from(digit()? << 4 | digit()?).ok()?
                }
                same @ (b'\\' | b'\'' | b'"') => same,
                _ => return None,
            },
            _ => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_input_that_it_was_written_from() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        // Of a remark's first character there is another form.
        let file = format!("# every byte\n{}\n\n\\x23\n", all.escape_ascii());
        assert_eq!(inputs(&file), [all, vec![], b"#".to_vec()]);
    }

    #[test]
    fn what_is_no_line_is_no_input() {
        for line in ["\\", "\\q", "\\x", "\\x1", "\\xg0"] {
            assert_eq!(unescape(line), None, "{line}");
        }
    }
}
