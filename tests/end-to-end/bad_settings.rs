//! Every number among the settings, at the ends of what can be written: yima starts with it and stops, or refuses the
//! start and names the setting. It never panics.

use std::fs;
use std::path::Path;

use yima_harness::{Options, StartError, Yima};

/// The last is the largest integer of TOML.
const VALUES: [i64; 3] = [0, 1, i64::MAX];

/// Settings of the CQL store, which this process does not use, and of TLS, which need files beside them; addresses.
const OTHERS: [&str; 5] = ["store.cql.", "read_api.tls.", "writer.tls.", ".bind", ".listen"];

/// The keys of all numbers in the reference, `section.key`.
fn numbers() -> Vec<String> {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let reference = fs::read_to_string(reference).expect("the reference of settings");
    let (mut sections, mut keys) = (Vec::new(), Vec::new());
    for line in reference.lines() {
        if let Some(heading) = line.strip_prefix("### [") {
            sections = heading.trim_end_matches(']').split("] and [").map(str::to_owned).collect();
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", key, default, ..] = cells[..]
            && default.starts_with('`')
            && default[1..].starts_with(|first: char| first.is_ascii_digit())
        {
            keys.extend(sections.iter().map(|section| format!("{section}.{}", key.trim_matches('`'))));
        }
    }
    keys.retain(|key| !OTHERS.iter().any(|other| key.contains(other)));
    keys
}

fn variable(key: &str) -> String {
    format!("YIMA_{}", key.to_uppercase().replace('.', "__"))
}

/// What is wrong with how yima takes the value.
fn fault(options: &Options, key: &str, value: i64) -> Option<String> {
    let stderr = match Yima::try_start(options.clone().env(&variable(key), value)) {
        // It waits as long as it is told to before it stops.
        Ok(_) if key.starts_with("lifecycle.") => return None,
        Ok(mut yima) => {
            let exit = yima.stop();
            let stderr = yima.stderr();
            if exit.code() == Some(0) && !stderr.contains("panicked") {
                return None;
            }
            format!("stopped with {exit}:\n{stderr}")
        }
        Err(StartError { exit: Some(exit), stderr }) if exit.code() == Some(3) && stderr.contains(key) => {
            if !stderr.contains("panicked") {
                return None;
            }
            stderr
        }
        Err(StartError { exit, stderr }) => format!("{exit:?}:\n{stderr}"),
    };
    Some(format!("{key} = {value}: {stderr}"))
}

#[test]
fn the_least_and_the_most_of_each_number_start_or_are_named() {
    let keys = numbers();
    assert!(keys.len() > 60, "{keys:?}");
    // One data directory: nothing is made again.
    let options = Options::default().population(0);
    let mut faults = Vec::new();
    for key in keys {
        faults.extend(VALUES.iter().filter_map(|&value| fault(&options, &key, value)));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n\n"));
}
