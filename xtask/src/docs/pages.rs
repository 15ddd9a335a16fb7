// SPDX-License-Identifier: GPL-2.0-only
//! What pages say can be followed: every link leads somewhere, and every command with `cargo xtask` is one that there is, for
//! machines, kernels and scenarios that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use regex::Regex;

use crate::cli;
use crate::guest::platform::Kind;
use crate::kernels::{Arch, Kernel};
use crate::{machine, scenario, workspace};

/// A page with what matters of it here.
struct Page {
    /// Relative to the workspace.
    path: PathBuf,
    /// Anchors of its headings.
    anchors: BTreeSet<String>,
    links: Vec<String>,
    /// Commands in blocks, each in one line.
    commands: Vec<String>,
    /// Commands within sentences, which may have placeholders.
    mentions: Vec<String>,
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(workspace::root().join(path)).unwrap();
        let mut page = Self {
            path: path.to_owned(),
            anchors: BTreeSet::new(),
            links: Vec::new(),
            commands: Vec::new(),
            mentions: Vec::new(),
        };
        let (mut heading, mut block): (Option<String>, Option<String>) = (None, None);
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading {
                    level: HeadingLevel::H1 | HeadingLevel::H2 | HeadingLevel::H3, ..
                }) => {
                    heading = Some(String::new());
                }
                Event::End(TagEnd::Heading(_)) => {
                    page.anchors.extend(heading.take().map(|heading| anchor(&heading)));
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) if &*language == "console" => {
                    block = Some(String::new());
                }
                Event::End(TagEnd::CodeBlock) => {
                    page.commands.extend(block.take().iter().flat_map(|block| commands(block)));
                }
                Event::Text(text) => {
                    if let Some(block) = &mut block {
                        block.push_str(&text);
                    }
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    if code.starts_with("cargo xtask ") {
                        page.mentions.push(code.replace('\n', " "));
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// A heading as the end of a link (as GitHub and mdBook make it).
fn anchor(heading: &str) -> String {
    let letters = heading.to_lowercase();
    let kept = letters.chars().filter(|&letter| letter.is_alphanumeric() || " -_".contains(letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

/// The commands of a block: what follows a prompt, with the lines that it goes on in.
fn commands(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.trim_start().strip_prefix("$ "));
    lines.filter(|line| line.starts_with("cargo xtask ")).map(str::to_owned).collect()
}

/// All pages that are committed, or will be.
fn pages() -> Vec<Page> {
    let listed = duct::cmd!("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md")
        .dir(workspace::root())
        .read()
        .unwrap();
    let paths: Vec<&Path> =
        listed.lines().map(Path::new).filter(|path| workspace::root().join(path).exists()).collect();
    assert!(paths.len() > 10, "{paths:?}");
    paths.into_iter().map(Page::read).collect()
}

/// `path` without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let mut broken = Vec::new();
    for page in &pages {
        for link in page.links.iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let folder = page.path.parent().unwrap();
            let target = if file.is_empty() { page.path.clone() } else { plain(&folder.join(file)) };
            let there = workspace::root().join(&target).exists();
            let other = pages.iter().find(|other| other.path == target);
            // Of other files than pages the rest is a line, which nobody here writes.
            let found = place.is_empty() || other.is_some_and(|other| other.anchors.contains(place));
            if !(there && found) {
                broken.push(format!("{}: {link}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The words of a command without what the shell makes of it: comments, pipes, redirections.
fn words(command: &str) -> Vec<String> {
    let words = shlex::split(command).unwrap_or_else(|| panic!("no words: {command}"));
    words.into_iter().take_while(|word| !["|", ">", "&&", "||", ";", "2>&1"].contains(&word.as_str())).collect()
}

/// Whether a sentence may have it so: it names a subcommand or a flag, or has a word in capitals where a value is to be.
fn is_mention(error: &clap::Error) -> bool {
    match (error.kind(), error.get(ContextKind::InvalidValue)) {
        (ErrorKind::MissingRequiredArgument, _) => true,
        (ErrorKind::InvalidValue, Some(ContextValue::String(value))) => !value.chars().any(char::is_lowercase),
        _ => false,
    }
}

/// What is wrong with a command; `forgiven` says which errors are none.
fn fault(command: &str, forgiven: fn(&clap::Error) -> bool) -> Option<String> {
    let words = words(command);
    let matches = match cli::command().try_get_matches_from(&words[1..]) {
        Ok(matches) => matches,
        Err(error) if forgiven(&error) => return None,
        Err(error) => return Some(error.to_string().lines().next().unwrap_or_default().to_owned()),
    };
    let (subcommand, matches) = matches.subcommand()?;
    let strings = |name: &str| -> Vec<String> {
        let values = matches.try_get_many::<String>(name).ok().flatten();
        values.map(|values| values.cloned().collect()).unwrap_or_default()
    };
    // What stands for a name is in capitals; what is a file is the reader's.
    let names_one =
        |name: &&String| !(name.chars().any(char::is_uppercase) || name.contains(['/', '.']) || *name == "all");
    for name in strings("machines").iter().chain(&strings("machine")).filter(names_one) {
        if machine::load(name, Kind::Qemu).is_err() {
            return Some(format!("there is no machine {name}"));
        }
    }
    for name in strings("kernels").iter().chain(&strings("kernel")).filter(names_one) {
        if !Arch::ALL.iter().any(|&arch| Kernel::load(name, arch).is_ok()) {
            return Some(format!("there is no kernel {name}"));
        }
    }
    if subcommand == "test-qemu" {
        let scenarios = scenario::load(&workspace::root().join("qemu-images/guest/scenarios")).unwrap();
        let patterns: Vec<Regex> =
            matches.try_get_many::<Regex>("patterns").ok().flatten().into_iter().flatten().cloned().collect();
        for pattern in patterns {
            if !scenarios.iter().any(|scenario| pattern.is_match(&scenario.name)) && pattern.as_str() != "NAME" {
                return Some(format!("no scenario is called {pattern}"));
            }
        }
    }
    None
}

#[test]
fn every_command_of_the_pages_is_one() {
    let pages = pages();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for page in &pages {
        let commands = page.commands.iter().map(|command| (command, fault(command, |_| false)));
        let optional = |mention: &String| mention.replace(['[', ']'], "").replace("...", "");
        let mentions = page.mentions.iter().map(|mention| (mention, fault(&optional(mention), is_mention)));
        for (command, fault) in commands.chain(mentions) {
            seen += 1;
            if let Some(why) = fault {
                wrong.push(format!("{}: {command}: {why}", page.path.display()));
            }
        }
    }
    assert!(seen > 100, "only {seen} commands were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_no_command_is_seen() {
    for (command, why) in [
        ("cargo xtask test-qemu --machines intel", "unexpected argument '--machines'"),
        ("cargo xtask test-qem", "unrecognized subcommand"),
        ("cargo xtask test-qemu --machine inetl", "there is no machine inetl"),
        ("cargo xtask test-qemu --kernel ten", "there is no kernel ten"),
        ("cargo xtask test-qemu --scenario '^mouunt$'  # mounts", "no scenario is called ^mouunt$"),
    ] {
        let found = fault(command, is_mention).unwrap_or_else(|| panic!("{command}: nothing was found"));
        assert!(found.contains(why), "{command}: {found}");
    }
    assert_eq!(
        fault("cargo xtask test-qemu --machine ./box.toml --scenario '^mount$' | tee log  # yours", |_| false),
        None
    );
    assert_eq!(fault("cargo xtask fuzz TARGET --seconds 180", is_mention), None);
    assert!(fault("cargo xtask fuzz TARGET --seconds 180", |_| false).is_some());
}
