//! The documented command line is the program's.

use std::fs;

use yima_harness::Options;

/// The options of every command, and those that clap adds.
const COMMON: [&str; 5] = ["--data-dir", "--config", "--store", "--help", "--version"];

fn help(path: &[&str]) -> Vec<String> {
    Options::default().print(&[path, &["--help"]].concat())
}

/// The commands that a help text lists.
fn commands(help: &[String]) -> Vec<String> {
    let listed = help.iter().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The options that a help text lists.
fn flags(help: &[String]) -> Vec<&str> {
    let words = help.iter().filter_map(|line| line.trim_start().trim_start_matches("-h, ").split(' ').next());
    words.filter(|word| word.starts_with("--")).collect()
}

#[test]
fn every_command_and_option_is_in_the_documented_tables() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md")).expect("a file");
    let row = |start: &str| {
        let is_row = |line: &&str| line.strip_prefix(start).is_some_and(|rest| rest.starts_with(['`', ' ']));
        text.lines().find(is_row).unwrap_or_else(|| panic!("no row {start}"))
    };
    let root = help(&[]);
    for flag in flags(&root).into_iter().filter(|flag| !["--help", "--version"].contains(flag)) {
        row(&format!("| `{flag}"));
    }
    let named = commands(&root);
    assert!(named.len() >= 9, "{named:?}");
    for name in &named {
        let subcommands = commands(&help(&[name]));
        let paths = if subcommands.is_empty() {
            vec![vec![name]]
        } else {
            subcommands.iter().map(|subcommand| vec![name, subcommand]).collect()
        };
        for path in paths {
            let path: Vec<&str> = path.into_iter().map(String::as_str).collect();
            let (row, help) = (row(&format!("| `{}", path.join(" "))), help(&path));
            for flag in flags(&help).into_iter().filter(|flag| !COMMON.contains(flag)) {
                assert!(row.contains(flag), "{path:?}: {flag} is not in its row");
            }
        }
    }
}
