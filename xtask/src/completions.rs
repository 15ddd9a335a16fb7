// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask completions`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Command;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

use crate::guest::platform::Kind;
use crate::kernels::{Arch, Kernel};
use crate::{list, machine};

/// Prints a script that lets a shell complete subcommands, flags, and names of machines and kernels.
///
/// The script defines a function `xtask`, short for `cargo xtask`, and completes what follows it; in bash it
/// also completes what follows `cargo xtask`. To have it in every shell:
///
///   bash: echo 'source <(cd CHECKOUT && cargo xtask completions bash)' >>~/.bashrc
///   zsh:  cargo xtask completions zsh >DIR/_xtask, where DIR is in $fpath
///   fish: cargo xtask completions fish >~/.config/fish/completions/xtask.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Name of the function.
const NAME: &str = "xtask";

/// For what follows `cargo xtask` in bash: its words without the first are those of the function. All else is left to whoever has
/// completed it before.
const BASH: &str = r#"
xtask() { cargo xtask "$@"; }
_xtask_before=$(complete -p cargo 2>/dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
_cargo_xtask() {
    if [ "${COMP_WORDS[1]}" = xtask ] && [ "$COMP_CWORD" -gt 1 ]; then
        COMP_WORDS=("${COMP_WORDS[@]:1}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _xtask xtask "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    elif [ -n "$_xtask_before" ]; then
        "$_xtask_before" "$@"
    fi
}
complete -F _cargo_xtask -o bashdefault -o default cargo
"#;

pub(crate) fn run(options: &Options, command: Command) -> Result<ExitCode> {
    list::print(&script(options.shell, command)?)
}

fn script(shell: Shell, command: Command) -> Result<String> {
    let mut command = with_names(command)?.name(NAME).bin_name(NAME);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, NAME, &mut script);
    let script = String::from_utf8(script).context("the script is no text")?;
    Ok(match shell {
        Shell::Bash => script + BASH,
        Shell::Zsh => script + "\nxtask() { cargo xtask \"$@\" }\n",
        Shell::Fish => script + "function xtask; cargo xtask $argv; end\n",
        _ => script,
    })
}

/// Names of machines and kernels as values of the flags that take them.
fn with_names(mut command: Command) -> Result<Command> {
    let mut machines = machine::names(Kind::Qemu)?;
    machines.push("all".to_owned());
    let mut kernels: Vec<String> = Vec::new();
    for arch in Arch::ALL {
        kernels.extend(Kernel::names(arch)?);
    }
    kernels.sort();
    kernels.dedup();
    let subcommands: Vec<String> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
    for subcommand in subcommands {
        command = command.mut_subcommand(&subcommand, |subcommand| {
            subcommand.mut_args(|argument| {
                let names = match argument.get_long() {
                    Some("machine") => &machines,
                    Some("kernel") => &kernels,
                    _ => return argument,
                };
                argument.value_parser(PossibleValuesParser::new(names))
            })
        });
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        crate::cli::command()
    }

    /// What bash would offer for a line that ends here, after those words.
    fn offers(words: &[&str]) -> String {
        let script = script(Shell::Bash, command()).unwrap();
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let asks = format!(
            "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\nfunction=$(complete -p {} | sed 's/.* -F \\([^ ]*\\) .*/\\1/')\n\
             $function {0} \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\necho \"${{COMPREPLY[*]}}\"",
            quoted.join(" "),
            words.len() - 1,
            quoted[0],
        );
        duct::cmd("bash", ["--norc", "-c", &asks]).read().unwrap()
    }

    #[test]
    fn bash_completes_what_follows_cargo_xtask_and_its_short_form() {
        assert_eq!(offers(&["cargo", "xtask", "test-q"]), "test-qemu");
        assert_eq!(offers(&["xtask", "test-q"]), "test-qemu");
        assert_eq!(offers(&["cargo", "xtask", "test-qemu", "--boot"]), "--boot-timeout");
        assert_eq!(offers(&["cargo", "xtask", "run-qemu", "--machine", "intel-pe"]), "intel-perf");
        assert_eq!(offers(&["cargo", "xtask", "test-qemu", "--kernel", "orac"]), "oracle");
        assert_eq!(offers(&["cargo", "xtask", "list", "mach"]), "machines");
        assert_eq!(offers(&["cargo", "bui"]), "", "that is not ours to complete");
    }

    #[test]
    fn each_shell_gets_a_script_with_every_subcommand() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell, command()).unwrap();
            for subcommand in command().get_subcommands().filter(|it| !it.is_hide_set()) {
                assert!(script.contains(subcommand.get_name()), "{shell} lacks {}", subcommand.get_name());
            }
        }
    }
}
