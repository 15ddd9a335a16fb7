// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask book`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::cargo_tool::cargo;
use crate::toolroot::{ToolOptions, ToolRoot};
use crate::{files, workspace};

/// Makes the book out of docs/, with a page for each item of the crates beside it
///
/// mdBook comes from Debian's packages. The book is in target/book: index.html, and rust/ with what rustdoc makes, which must
/// have no warning. It needs no network to be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Folder for it [default: target/book]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave out what rustdoc makes
    #[arg(long)]
    no_items: bool,
    #[command(flatten)]
    tools: ToolOptions,
}

/// The crates whose items people look up.
const CRATES: [&str; 5] = ["resctrl-types", "resctrl-fs", "resctrl-x86", "resctrl-mpam", "resctrl-hardware"];

/// Makes the book and prints where it is.
///
/// # Errors
///
/// mdBook cannot be had, a page is missing, or rustdoc warns.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let out = match &options.out {
        Some(folder) => std::path::absolute(folder)?,
        None => workspace::target().join("book"),
    };
    let mdbook = ToolRoot::mdbook(&options.tools)?;
    let mut book = Command::new(mdbook);
    book.arg("build").arg(workspace::root().join("docs")).arg("--dest-dir").arg(&out);
    succeed(&mut book, "mdbook")?;
    if !options.no_items {
        // rustdoc's own folder stays as it is: the next time it makes again only what has changed.
        let items = workspace::target().join("book-items");
        let mut rustdoc = cargo();
        rustdoc.args(["doc", "--quiet", "--locked", "--no-deps", "--target-dir"]).arg(&items);
        rustdoc.args(CRATES.iter().flat_map(|name| ["--package", name]));
        rustdoc.env("RUSTDOCFLAGS", "-D warnings");
        succeed(&mut rustdoc, "cargo doc")?;
        files::copy(&items.join("doc"), &out.join("rust"), |_| true)?;
    }
    println!("{}", out.join("index.html").display());
    Ok(ExitCode::SUCCESS)
}

fn succeed(command: &mut Command, name: &str) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    ensure!(status.success(), "{name} failed ({status})");
    Ok(())
}
