// SPDX-License-Identifier: GPL-2.0-only
//! Which source is tests, and so is not measured: it would always be reached.
//!
//! The source is as rustfmt leaves it, which the checks before a change see to: a module ends with the next brace that is as far
//! from the left as it began.

use std::ops::RangeInclusive;

/// A file for tests that is not called so. The audit says which rule of the file system's state does not hold: nobody but tests calls
/// it, and it has little to say.
const AUDIT: &str = "resctrl-fs/src/audit.rs";

/// Whether a file has nothing but tests.
pub(super) fn is_test_file(file: &str) -> bool {
    file == AUDIT || file.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// The lines of a file that are tests: items that only tests have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestCode(Vec<RangeInclusive<u32>>);

impl TestCode {
    /// Those of a file with this text.
    pub(crate) fn of(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let mut found: Vec<RangeInclusive<u32>> = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let inner = found.last().is_some_and(|range| range.contains(&number(at)));
            if !inner && line.trim_start().starts_with("#[cfg(") && is_for_tests(line) {
                found.push(number(at)..=number(item_end(&lines, at)));
            }
        }
        Self(found)
    }

    pub(crate) fn has(&self, line: u32) -> bool {
        self.0.iter().any(|range| range.contains(&line))
    }
}

fn is_for_tests(attribute: &str) -> bool {
    let attribute = attribute.trim();
    attribute == "#[cfg(test)]" || attribute.starts_with("#[cfg(all(test,")
}

/// Where the item ends that begins in this line, which may be an attribute of it: both counted from 0.
pub(crate) fn item_end(lines: &[&str], begin: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let left = indent(lines[begin]);
    let ends = |line: &&str| {
        let code = line.trim();
        indent(line) == left && code.ends_with([';', '}', ',']) && !code.starts_with(['#', '/'])
    };
    let after = lines.iter().skip(begin).position(ends);
    after.map_or(lines.len() - 1, |after| begin + after)
}

/// Of a line, counted from 0.
fn number(at: usize) -> u32 {
    u32::try_from(at + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_for_tests_ends_with_its_brace_or_its_semicolon() {
        let text = "fn a() {\n    b();\n}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn c() {\n    }\n}\nfn d() {}\n\
                    impl E {\n    #[cfg(test)]\n    #[must_use]\n    fn f(\n        g: u8,\n    ) -> bool {\n        true\n    }\n    fn h() {}\n}\n\
                    #[cfg(all(test, feature = \"sim\"))]\nmod sim;\nfn i() {}\n";
        let tests = TestCode::of(text);
        let of: Vec<&str> =
            (1..).zip(text.lines()).filter(|(line, _)| tests.has(*line)).map(|(_, text)| text.trim()).collect();
        assert_eq!(
            of,
            [
                "#[cfg(test)]",
                "mod tests {",
                "#[test]",
                "fn c() {",
                "}",
                "}",
                "#[cfg(test)]",
                "#[must_use]",
                "fn f(",
                "g: u8,",
                ") -> bool {",
                "true",
                "}",
                "#[cfg(all(test, feature = \"sim\"))]",
                "mod sim;"
            ]
        );
    }

    #[test]
    fn what_is_only_not_for_tests_is_measured() {
        assert_eq!(TestCode::of("#[cfg(not(test))]\nfn a() {\n}\n"), TestCode(Vec::new()));
    }
}
