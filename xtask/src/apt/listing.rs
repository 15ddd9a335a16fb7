// SPDX-License-Identifier: GPL-2.0-only
//! What apt prints.

use std::fmt;

use std::cmp::Ordering;
use std::path::Path;

use anyhow::{Context, Result};

/// A package to fetch, one line of `apt-get --print-uris`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Name of the file in the archive folder, `NAME_VERSION_ARCH.deb`.
    pub(crate) file: String,
    /// Bytes to download.
    pub(crate) size: u64,
    /// Hash of the file, in hexadecimal, from the signed list.
    pub(crate) sha256: String,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.file, indicatif::HumanBytes(self.size))
    }
}

impl Package {
    /// Whether this is the package `name` or `name=version`.
    pub(super) fn is(&self, wanted: &str) -> bool {
        self.file.split('_').next() == wanted.split('=').next()
    }
}

/// A version of a package in a suite, one line of `apt-cache madison`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Available {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) suite: String,
}

/// Parses lines such as `'URI' FILE SIZE SHA256:HASH`.
///
/// # Errors
///
/// A line of another form: without the hash nothing may be unpacked.
pub(super) fn parse_uris(text: &str) -> Result<Vec<Package>> {
    let mut packages = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('\'')) {
        let package = (|| {
            let mut fields = line.rsplit_once("' ")?.1.split_ascii_whitespace();
            let file = fields.next()?;
            let size = fields.next()?.parse().ok()?;
            let sha256 = fields.next()?.strip_prefix("SHA256:")?;
            // apt writes the name as it stores it; a name with a folder in it is not apt's.
            let plain = !file.contains('/') && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            (plain && sha256.len() == 64).then(|| Package { file: file.to_owned(), size, sha256: sha256.to_owned() })
        })();
        packages.push(package.with_context(|| format!("cannot understand apt's line `{line}`"))?);
    }
    Ok(packages)
}

/// Parses lines such as `NAME | VERSION | MIRROR SUITE/main amd64 Packages`; other lines are skipped.
pub(super) fn parse_madison(text: &str) -> Vec<Available> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(" | ").map(str::trim);
            let (name, version, origin) = (fields.next()?, fields.next()?, fields.next()?);
            let place = origin.split_ascii_whitespace().nth(1)?;
            let suite = place.split('/').next()?;
            origin.ends_with("Packages").then(|| Available {
                name: name.to_owned(),
                version: version.to_owned(),
                suite: suite.to_owned(),
            })
        })
        .collect()
}

/// The lines of `apt-config dump` that say how to reach the network.
pub(super) fn proxy_lines(dump: &str) -> String {
    let is_proxy = |line: &&str| {
        let key = line.split_ascii_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        (key.starts_with("acquire::http") || key.starts_with("acquire::proxy")) && key.contains("proxy")
    };
    dump.lines().filter(is_proxy).flat_map(|line| [line, "\n"]).collect()
}

/// The files that `sha256sum --check` found to differ, or could not read.
pub(super) fn failed_checksums(report: &str) -> Vec<String> {
    report.lines().filter_map(|line| line.split_once(": FAILED")).map(|(file, _)| file.to_owned()).collect()
}

/// What went wrong, in a sentence a user can act on, from the standard error of an apt tool
/// that writes to `folder`.
pub(super) fn explain(program: &str, stderr: &str, folder: &Path) -> String {
    let reasons: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("E: ") || line.starts_with("W: ") || line.starts_with("Err:"))
        .map(|line| line.trim_start_matches("E: ").trim_start_matches("W: "))
        .collect();
    let text = if reasons.is_empty() { stderr.trim().to_owned() } else { reasons.join("; ") };
    if stderr.contains("No space left on device") || stderr.contains("don't have enough free space") {
        format!("the disk of {} is full ({text})", folder.display())
    } else if text.is_empty() {
        format!("{program} failed without a message")
    } else {
        format!("{program}: {text}")
    }
}

/// Compares two package versions or kernel releases as Debian Policy 5.6.12 does, epoch and revision
/// included: digit runs by value, `~` before everything, letters before other characters.
pub(crate) fn compare_versions(a: &str, b: &str) -> Ordering {
    let split = |version: &str| {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        (epoch.parse::<u64>().unwrap_or(0), upstream.to_owned(), revision.to_owned())
    };
    let (a, b) = (split(a), split(b));
    a.0.cmp(&b.0).then_with(|| compare_part(&a.1, &b.1)).then_with(|| compare_part(&a.2, &b.2))
}

fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while starts_with_text(a) || starts_with_text(b) {
            let order = weight(a).cmp(&weight(b));
            if order.is_ne() {
                return order;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let (number_a, rest_a) = take_number(a);
        let (number_b, rest_b) = take_number(b);
        // Without leading zeros, the longer run of digits is the larger number.
        let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn starts_with_text(text: &[u8]) -> bool {
    text.first().is_some_and(|byte| !byte.is_ascii_digit())
}

/// Sort key of the first character: `~`, then the end of the text or a digit, letters, the rest.
fn weight(text: &[u8]) -> i32 {
    match text.first() {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

fn take_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let zeros = number.iter().position(|byte| *byte != b'0').unwrap_or(number.len());
    (&number[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "5b6825de4263824b78c4c51f6476414f3b4e89c2ab63e81dc8b9b5501e867cf6";

    #[test]
    fn a_line_of_print_uris_gives_file_size_and_hash() {
        let text = format!(
            "Reading...\n'http://m/debian/pool/q/qemu_11%3a1.deb' qemu_1%3a11.1_amd64.deb 49432 SHA256:{HASH}\n"
        );
        let packages = parse_uris(&text).expect("well formed");
        assert!(packages[0].is("qemu") && packages[0].is("qemu=1:11.1") && !packages[0].is("qemu-user"));
        assert_eq!(packages, [Package { file: "qemu_1%3a11.1_amd64.deb".into(), size: 49432, sha256: HASH.into() }]);
    }

    #[test]
    fn a_package_without_a_sha256_is_refused() {
        let md5 = "'http://m/a.deb' a_1_all.deb 10 MD5Sum:d41d8cd98f00b204e9800998ecf8427e";
        assert!(parse_uris(md5).is_err());
        assert!(parse_uris("'http://m/a.deb' a_1_all.deb 10").is_err());
        assert!(parse_uris(&format!("'http://m/a.deb' ../a.deb 10 SHA256:{HASH}")).is_err());
    }

    #[test]
    fn madison_lines_name_the_suite_and_source_lines_are_skipped() {
        let text = "  rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages\n\
                      rustc | 1.85.1+dfsg1-1 | http://deb.debian.org/debian trixie/main Sources\nN: note\n";
        assert_eq!(
            parse_madison(text),
            [Available {
                name: "rust-src".into(),
                version: "1.95.0+dfsg1-2~bpo13+1".into(),
                suite: "trixie-backports".into(),
            }]
        );
    }

    #[test]
    fn only_proxy_settings_of_the_host_are_taken_over() {
        let dump = "Acquire::http::Proxy \"http://p:3128\";\nAcquire::GzipIndexes \"true\";\n\
                    DPkg::Post-Invoke:: \"rm -f x\";\nAcquire::http::Proxy-Auto-Detect \"/usr/bin/a\";\n";
        assert_eq!(
            proxy_lines(dump),
            "Acquire::http::Proxy \"http://p:3128\";\nAcquire::http::Proxy-Auto-Detect \"/usr/bin/a\";\n"
        );
    }

    #[test]
    fn a_full_disk_is_called_a_full_disk() {
        let stderr = "E: Failed to fetch x  Error writing to file - write (28: No space left on device)\n";
        assert!(explain("apt-get", stderr, Path::new("/c")).starts_with("the disk of /c is full"));
        assert_eq!(explain("apt-get", "", Path::new("/c")), "apt-get failed without a message");
    }

    #[test]
    fn a_package_that_differs_or_cannot_be_read_is_damaged() {
        let report = "a_1%3a2_all.deb: FAILED\nb_1_all.deb: FAILED open or read\n";
        assert_eq!(failed_checksums(report), ["a_1%3a2_all.deb", "b_1_all.deb"]);
        assert!(failed_checksums("").is_empty());
    }

    #[test]
    fn versions_compare_as_debian_compares_them() {
        let ascending =
            ["1.0~rc1", "1.0", "1.0-1~bpo13+1", "1.0-1", "1.0-1+b1", "1.0a", "1.0+1", "1.2", "1.10", "1:0.5"];
        for (i, low) in ascending.iter().enumerate() {
            assert_eq!(compare_versions(low, low), Ordering::Equal, "{low}");
            for high in &ascending[i + 1..] {
                assert_eq!(compare_versions(low, high), Ordering::Less, "{low} < {high}");
                assert_eq!(compare_versions(high, low), Ordering::Greater, "{high} > {low}");
            }
        }
    }
}
