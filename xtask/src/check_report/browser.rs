// SPDX-License-Identifier: GPL-2.0-only
//! Chromium without a screen, from Debian's packages.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Where the package has the program and its data.
const PLACE: &str = "usr/lib/chromium";
/// Where the loader is that starts it, which the program takes for itself.
const LOADER_PLACE: &str = "usr/lib/x86_64-linux-gnu";

/// The browser.
#[derive(Debug)]
pub(super) struct Browser {
    program: PathBuf,
}

impl Browser {
    /// In the tool root's folder `tree`.
    ///
    /// # Errors
    ///
    /// The package is not as it is known.
    pub(super) fn find(tree: &Path) -> Result<Self> {
        let place = tree.join(PLACE);
        // It looks for its data beside what it was started by.
        for file in place.read_dir().with_context(|| format!("cannot read {}", place.display()))? {
            let file = file?.path();
            let link = tree.join(LOADER_PLACE).join(file.file_name().unwrap_or_default());
            if fs::symlink_metadata(&link).is_err() {
                symlink(&file, &link).with_context(|| format!("cannot link {}", link.display()))?;
            }
        }
        let program = place.join("chromium-headless-shell");
        ensure!(program.is_file(), "Debian's package of Chromium has no {}", program.display());
        Ok(Self { program })
    }

    /// What a page looks like to a program, a second after it was loaded, in a window of this width.
    ///
    /// # Errors
    ///
    /// The browser does not start, or fails.
    pub(super) fn dump(&self, page: &Path, width: u32) -> Result<String> {
        let output = self.show(page, width, &["--virtual-time-budget=5000".into(), "--dump-dom".into()])?;
        String::from_utf8(output).context("what it shows is no text")
    }

    /// Writes what the window shows into `file`.
    ///
    /// # Errors
    ///
    /// The browser does not start, or fails.
    pub(super) fn picture(&self, page: &Path, width: u32, file: &Path) -> Result<()> {
        let mut flag = OsString::from("--screenshot=");
        flag.push(std::path::absolute(file)?);
        self.show(page, width, &[flag])?;
        ensure!(file.is_file(), "Chromium has not written {}", file.display());
        Ok(())
    }

    /// Opens a page in a window of this width; gives what it prints.
    fn show(&self, page: &Path, width: u32, what: &[OsString]) -> Result<Vec<u8>> {
        let profile = tempfile::tempdir()?;
        let mut command = Command::new(&self.program);
        command
            // There is no second user to be kept apart from, and no privilege to do it with.
            .args(["--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--hide-scrollbars", "--no-first-run"])
            .args(["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND"])
            // What it starts is started as it is itself.
            .arg(format!("--browser-subprocess-path={}", self.program.display()))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--window-size={width},900"))
            .args(what)
            .arg(format!("file://{}", std::path::absolute(page)?.display()));
        let output = command.output().with_context(|| format!("cannot run {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "Chromium: {}\n{said}", output.status);
        Ok(output.stdout)
    }
}
