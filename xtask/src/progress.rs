// SPDX-License-Identifier: GPL-2.0-only
//! Progress on standard error: bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `size` bytes.
pub(crate) fn bytes(label: &str, size: u64) -> ProgressBar {
    bar(label, size, "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
}

/// A bar over `count` things.
pub(crate) fn count(label: &str, count: usize) -> ProgressBar {
    bar(label, u64::try_from(count).unwrap_or(u64::MAX), "{msg} {wide_bar} {pos}/{len}")
}

/// A sign of life where there is nothing to count.
pub(crate) fn spinner(label: &str) -> ProgressBar {
    announce(label);
    let spinner = ProgressBar::new_spinner().with_message(label.to_owned());
    if stderr().is_terminal() {
        spinner.enable_steady_tick(Duration::from_millis(100));
    }
    spinner
}

fn bar(label: &str, length: u64, template: &str) -> ProgressBar {
    announce(label);
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    ProgressBar::new(length).with_style(style).with_message(label.to_owned())
}

/// Without a terminal indicatif draws nothing, so the label becomes a line of the log.
fn announce(label: &str) {
    if !stderr().is_terminal() {
        eprintln!("{label}");
    }
}
