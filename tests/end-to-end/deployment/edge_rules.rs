//! Rules and routes of alerts about the edge: valid, fired when they should, described, and sent to the right people.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::{multi_region, output};

/// The parts of each section that describes an alert, in this order.
const PARTS: [&str; 4] = ["\n**Means.** ", "\n**Look at.** ", "\n**Do.** ", "\n**Over when.** "];

/// The values of a key in a file of rules, each on a line of its own.
fn values(file: &str, key: &str) -> Vec<String> {
    let rules = fs::read_to_string(multi_region().join(file)).expect("rules");
    let lines = rules.lines().map(|line| line.trim_start_matches([' ', '-']));
    lines.filter_map(|line| line.strip_prefix(&format!("{key}: "))).map(str::to_owned).collect()
}

#[test]
fn promtool_accepts_the_edges_rules_and_their_tests() {
    output(Command::new("promtool").args(["check", "rules"]).arg(multi_region().join("edge-alerts.yml")));
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/edge-alerts.yml");
    output(Command::new("promtool").args(["test", "rules", fixture]));
}

#[test]
fn each_alert_of_the_edge_is_described() {
    let (alerts, links) = (values("edge-alerts.yml", "alert"), values("edge-alerts.yml", "runbook_url"));
    let expected: Vec<_> =
        alerts.iter().map(|name| format!("docs/operations/haproxy.md#{}", name.to_lowercase())).collect();
    assert!(!alerts.is_empty());
    assert_eq!(links, expected);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations/haproxy.md");
    let page = fs::read_to_string(page).expect("the page about the edge");
    let sections: Vec<(&str, &str)> =
        page.split("\n### ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    assert_eq!(sections.iter().map(|(title, _)| *title).collect::<Vec<_>>(), alerts);
    for (title, section) in sections {
        let places: Vec<_> = PARTS.iter().map(|part| section.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{title}: {places:?}");
    }
}

/// Severities as the rules write them.
fn severities(file: &str) -> BTreeSet<String> {
    // Recorded series have none.
    let severity = |labels: String| {
        let rest = labels.split_once("severity: ")?.1.to_owned();
        rest.split([',', ' ', '}']).next().map(str::to_owned)
    };
    values(file, "labels").into_iter().filter_map(severity).collect()
}

#[test]
fn alerts_reach_the_people_of_their_severity() {
    let used = &severities("alerts.yml") | &severities("edge-alerts.yml");
    let routes = [("disaster", "disaster"), ("none", "watchdog"), ("page", "critical"), ("ticket", "warning")];
    assert_eq!(used, BTreeSet::from(routes.map(|(severity, _)| severity.to_owned())));
    let file = multi_region().join("alertmanager.yml");
    output(Command::new("amtool").arg("check-config").arg(&file));
    for (severity, receiver) in routes.into_iter().chain([("of-another-kind", "critical")]) {
        let labels = [format!("severity={severity}"), "region=xian".into()];
        let route = format!("--verify.receivers={receiver}");
        output(
            Command::new("amtool")
                .args(["config", "routes", "test", "--config.file"])
                .arg(&file)
                .arg(route)
                .args(labels),
        );
    }
}
