//! The command line is described as it is.

use std::fs;

use yima_harness::Options;

/// Those of every command, and what clap adds.
const EVERYWHERE: [&str; 5] = ["--data-dir", "--config", "--store", "--help", "--version"];

fn help(path: &[&str]) -> Vec<String> {
    Options::default().print(&[path, &["--help"]].concat())
}

/// The commands that a help lists.
fn commands(help: &[String]) -> Vec<String> {
    let listed = help.iter().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The options that a help lists.
fn flags(help: &[String]) -> Vec<&str> {
    let words = help.iter().filter_map(|line| line.trim_start().trim_start_matches("-h, ").split(' ').next());
    words.filter(|word| word.starts_with("--")).collect()
}

#[test]
fn every_command_and_option_stands_in_its_table() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md")).expect("a file");
    let row = |begin: &str| {
        let begins = |line: &&str| line.strip_prefix(begin).is_some_and(|rest| rest.starts_with(['`', ' ']));
        text.lines().find(begins).unwrap_or_else(|| panic!("no row {begin}"))
    };
    let root = help(&[]);
    for flag in flags(&root).into_iter().filter(|flag| !["--help", "--version"].contains(flag)) {
        row(&format!("| `{flag}"));
    }
    let named = commands(&root);
    assert!(named.len() >= 9, "{named:?}");
    for name in &named {
        let own = help(&[name]);
        let below = commands(&own);
        let paths = if below.is_empty() { vec![vec![name]] } else { below.iter().map(|sub| vec![name, sub]).collect() };
        for path in paths {
            let path: Vec<&str> = path.into_iter().map(String::as_str).collect();
            let (row, help) = (row(&format!("| `{}", path.join(" "))), help(&path));
            for flag in flags(&help).into_iter().filter(|flag| !EVERYWHERE.contains(flag)) {
                assert!(row.contains(flag), "{path:?}: {flag} is not in its row");
            }
        }
    }
}
