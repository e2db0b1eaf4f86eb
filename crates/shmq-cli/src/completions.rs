//! `shmq completions` and `shmq man`: made from the same description as `--help`.

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::stat::print;
use clap::{Command, CommandFactory};
use shmq_tool::failure::Failure;
use std::io;

pub fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut visible(), "shmq", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let Some(folder) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(visible())
            .render(&mut page)
            .map_err(|e| Failure::io("write a man page", &e))?;
        return print(&String::from_utf8_lossy(&page));
    };
    let failed = |e: io::Error| {
        Failure::io(format_args!("write man pages to {}", shmq_tool::units::shown(folder)), &e)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(visible(), folder).map_err(failed)
}

/// The commands that are for people; the hidden ones are parts of others.
fn visible() -> Command {
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect::<Vec<_>>();
    let bare = Command::new("shmq")
        .about(whole.get_about().cloned().unwrap_or_default())
        .long_about(whole.get_long_about().cloned().unwrap_or_default())
        .after_help(whole.get_after_help().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .disable_help_subcommand(true);
    bare.subcommands(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command and long option that `--help` shows.
    fn words(command: &Command) -> Vec<String> {
        let options =
            command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long());
        let options = options.map(|long| format!("--{long}"));
        let inner = command.get_subcommands().flat_map(|inner| {
            std::iter::once(inner.get_name().to_owned()).chain(words(inner)).collect::<Vec<_>>()
        });
        options.chain(inner).collect()
    }

    #[test]
    fn every_shell_completes_every_command_and_option() {
        let words = words(&visible());
        assert!(words.len() > 30 && words.contains(&"top".into()), "{words:?}");
        for &shell in <clap_complete::Shell as clap::ValueEnum>::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut visible(), "shmq", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in &words {
                // Fish writes options without their dashes.
                let bare = word.trim_start_matches("--");
                assert!(script.contains(bare), "{shell} does not complete {word}");
            }
            assert!(!script.contains("demo-part"), "{shell} completes what is hidden");
        }
    }

    #[test]
    fn every_command_has_a_man_page_with_its_examples() {
        for command in visible().get_subcommands() {
            let mut page = Vec::new();
            clap_mangen::Man::new(command.clone()).render(&mut page).unwrap();
            let page = String::from_utf8(page).unwrap();
            assert!(page.contains(".SH DESCRIPTION"), "{page}");
            assert!(page.contains("Examples"), "{} has no examples", command.get_name());
        }
    }
}
