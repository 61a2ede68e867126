//! Man pages and completions, made of the same command line as the help.
use crate::args;
use crate::exit::{Exit, Trouble};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::fs;
use std::io;
use std::path::Path;

/// The completions for a shell.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::reeve(), "reeve", &mut script);
    script
}

/// The man page of `reeve`.
pub(crate) fn page() -> Result<Vec<u8>, Trouble> {
    let (_, page) = render(built()).map_err(|error| Trouble::output(format!("the man page can't be made: {error}")))?;
    Ok(page)
}

/// Writes the man page of `reeve` and of each of its commands into `folder`, which is made if it is absent.
pub(crate) fn write_pages(folder: &Path) -> Result<(), Trouble> {
    fs::create_dir_all(folder)
        .and_then(|()| write_tree(built(), folder))
        .map_err(|error| Trouble::output(format!("can't write man pages into {folder:?}: {error}")))
}

fn built() -> Command {
    let mut reeve = args::reeve().long_about(args::DESCRIPTION);
    reeve.build();
    reeve
}

fn write_tree(command: Command, folder: &Path) -> io::Result<()> {
    for subcommand in command.get_subcommands() {
        write_tree(subcommand.clone(), folder)?;
    }
    let (name, page) = render(command)?;
    fs::write(folder.join(name), page)
}

/// A page and the name of its file.
fn render(command: Command) -> io::Result<(String, Vec<u8>)> {
    let (environment, examples) = (environment(&command), examples(&command));
    let (options, subcommands) = (command.get_arguments().next().is_some(), command.has_subcommands());
    let man = Man::new(command).manual("Reeve").source(concat!("reeve ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if options {
        man.render_options_section(&mut page)?;
    }
    if subcommands {
        man.render_subcommands_section(&mut page)?;
    }
    exit_statuses().to_writer(&mut page)?;
    environment.to_writer(&mut page)?;
    examples.to_writer(&mut page)?;
    Ok((man.get_filename(), page))
}

fn exit_statuses() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (exit, meaning) in Exit::ALL {
        roff.control("TP", []).text([bold(exit.status().to_string())]).text([roman(*meaning)]);
    }
    roff
}

/// The variables that stand in for an option.
fn environment(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for arg in command.get_arguments() {
        if let (Some(variable), Some(long)) = (arg.get_env(), arg.get_long()) {
            roff.control("TP", []).text([bold(variable.to_string_lossy())]);
            roff.text([roman(format!("What --{long} is, where that is not given"))]);
        }
    }
    roff
}

/// The lines that help shows behind `Example:`, each as it is.
fn examples(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if help.starts_with("Example") {
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in help.lines().skip(1) {
            roff.text([roman(line.trim())]);
        }
        roff.control("fi", []);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_of_every_shell_know_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let script = String::from_utf8(completions(shell)).unwrap();
            assert!(script.contains("write-template") && script.contains("no-recursive"), "{shell}");
        }
    }

    #[test]
    fn a_page_for_every_command_and_all_sections_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("man1");
        write_pages(&folder).unwrap();
        for name in ["reeve.1", "reeve-call.1", "reeve-file.1", "reeve-file-write-template.1", "reeve-completions.1"] {
            let page = fs::read_to_string(folder.join(name)).unwrap();
            for section in [".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH \"EXIT STATUS\"", ".SH ENVIRONMENT"] {
                assert!(page.contains(section), "{name} has no {section}");
            }
        }
        let page = fs::read_to_string(folder.join("reeve-file-mkdir.1")).unwrap();
        assert!(page.contains(".SH EXAMPLES") && page.contains("no\\-recursive"));
        assert_eq!(fs::read(folder.join("reeve.1")).unwrap(), super::page().unwrap());
    }
}
