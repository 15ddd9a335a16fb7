// SPDX-License-Identifier: GPL-2.0-only
//! Escapes in arguments, for bytes a shell cannot pass or show: `\n`, `\t`, `\\`, `\0` and `\xHH`.

/// Resolves the escapes of an argument.
///
/// # Errors
///
/// What is wrong with the first broken one.
pub fn resolve(argument: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(argument.len());
    let mut rest = argument.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit(), digit());
                let value = high.zip(low).ok_or("\\x needs two hexadecimal digits")?;
                u8::try_from(value.0 * 16 + value.1).map_err(|e| e.to_string())?
            }
            Some(other) => return Err(format!("there is no escape \\{}", char::from(other))),
            None => return Err("ends with a lone backslash".to_owned()),
        });
    }
    Ok(bytes)
}

/// Writes bytes with escapes, as printable ASCII that [`resolve`] makes them of again.
#[must_use]
pub fn quote(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            0 => text.push_str("\\0"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_give_the_bytes_they_name() {
        assert_eq!(resolve(br"L3:0=f\n").unwrap(), b"L3:0=f\n");
        assert_eq!(resolve(br"a\0\t\\\x7f\xFF").unwrap(), b"a\0\t\\\x7f\xff");
        assert_eq!(resolve(b"").unwrap(), b"");
    }

    #[test]
    fn broken_escapes_are_refused() {
        for bad in [&br"\"[..], br"\q", br"\x", br"\x1", br"\xg0"] {
            assert!(resolve(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
