//! `deploy/multi-region/render`: from one inventory to the files of each machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use yima_harness::{Options, render, require_root, variables};

use super::{assert_haproxy_accepts, multi_region, output};
use crate::cql::make_keys;

/// The example that operators start from, rendered.
fn example() -> (TempDir, PathBuf) {
    let directory = TempDir::new().expect("a temporary directory");
    let machines = directory.path().join("machines");
    render(&multi_region().join("inventory.toml"), &machines).expect("an inventory without faults");
    (directory, machines)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Every file below a folder, with its content.
fn files(directory: &Path) -> BTreeMap<PathBuf, String> {
    let entries = fs::read_dir(directory).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { BTreeMap::from([(path.clone(), read(&path))]) })
        .collect()
}

#[test]
fn haproxy_and_prometheus_accept_what_is_rendered() {
    let (_directory, machines) = example();
    for edge in ["xian-edge-1", "chengdu-edge-2"] {
        assert_haproxy_accepts(&machines.join(edge).join("etc/haproxy"));
    }
    for region in ["xian", "chengdu"] {
        let prometheus = machines.join(format!("{region}-monitoring/etc/prometheus"));
        let printed = output(Command::new("promtool").args(["check", "config"]).arg(prometheus.join("prometheus.yml")));
        assert!(printed.contains("2 rule files found"), "{printed}");
        output(Command::new("amtool").arg("check-config").arg(prometheus.join("alertmanager.yml")));
        // Of a lost region the other one's Prometheus tells.
        let edges = read(&prometheus.join("prometheus.yml")).matches("-edge-").count();
        assert_eq!(edges, 4, "{region}");
    }
}

#[test]
fn as_root_the_kernel_accepts_the_rendered_firewall() {
    require_root(); // nft asks the kernel
    let (_directory, machines) = example();
    for machine in ["xian-edge-1", "xian-read-1", "xian-writer-2", "chengdu-database-1", "arbiter-database-1"] {
        output(
            Command::new("nft").args(["--check", "--file"]).arg(machines.join(machine).join("etc/nftables.d/yima.nft")),
        );
    }
    let reader = read(&machines.join("xian-read-1/etc/nftables.d/yima.nft"));
    let edges_and_auditor = "tcp dport 8080 ip saddr { 10.1.0.11, 10.1.0.12, 10.1.0.51 } accept";
    assert!(reader.contains(&format!("{edges_and_auditor}\n        tcp dport 8080 drop")), "{reader}");
}

#[test]
fn yima_knows_every_setting_that_is_rendered() {
    let (directory, machines) = example();
    // Keys are the operator's to copy.
    let options = Options::default();
    make_keys(&options);
    for (machine, service) in [("xian-read-1", "read-api"), ("xian-writer-1", "writer"), ("xian-monitoring", "audit")] {
        let etc = machines.join(machine).join("etc/yima");
        // The files that settings name are the operator's.
        let here = |text: &str| text.replace("/etc/yima", &directory.path().display().to_string());
        let file = directory.path().join("yima.toml");
        fs::write(&file, here(&read(&etc.join("yima.toml")))).expect("a file");
        for secret in ["cql-password", "client-secret"] {
            fs::write(directory.path().join(secret), "secret\n").expect("a file");
        }
        let variables = variables(&etc.join(format!("{service}.env")));
        let mut command = options.command();
        command.arg("--config").arg(&file).arg(service);
        command.envs(variables.into_iter().map(|(name, value)| (name, here(&value))));
        let refused = command.output().expect("yima can be run");
        let said = String::from_utf8_lossy(&refused.stderr);
        // It lacks a file of the operator's, and knows all settings: faults of those come first.
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains("cql-ca.pem: No such file") && !said.contains("the configuration has"), "{said}");
    }
}

#[test]
fn systemd_accepts_the_drop_ins() {
    let (directory, machines) = example();
    for (machine, unit) in [
        ("xian-read-1", "yima-read-api.service"),
        ("xian-writer-1", "yima-writer.service"),
        ("xian-monitoring", "yima-audit.service"),
        ("xian-edge-1", "haproxy.service"),
    ] {
        let units = directory.path().join(unit);
        output(Command::new("cp").arg("-r").arg(machines.join(machine).join("etc/systemd/system")).arg(&units));
        let source = if unit == "haproxy.service" {
            "/lib/systemd/system/haproxy.service".into()
        } else {
            multi_region().join("../systemd").join(unit)
        };
        let program = Options::default().command().get_program().to_str().expect("a path in UTF-8").to_owned();
        fs::write(units.join(unit), read(&source).replace("/usr/bin/yima", &program)).expect("a unit");
        let printed = output(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(units.join(unit)));
        assert_eq!(printed, "", "{unit}");
    }
}

#[test]
fn rendering_again_changes_nothing_and_machines_that_left_lose_their_files() {
    let (directory, machines) = example();
    let (inventory, before) = (directory.path().join("inventory.toml"), files(&machines));
    let example = read(&multi_region().join("inventory.toml"));
    fs::write(&inventory, &example).expect("a file");
    assert_eq!(render(&inventory, &machines).expect("no faults"), "");
    assert_eq!(files(&machines), before);

    // A node more in front of the others moves no server's id, and so none of the others' sessions.
    let ids = |text: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter(|line| line.contains("check port 9090"));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>()).map(|it| (it[1].into(), it[7].into())).collect()
    };
    let nodes = "xian-edge-1/etc/haproxy/nodes.cfg";
    let first = ids(&read(&machines.join(nodes)));
    let more =
        "[[machines]]\nname = \"xian-read-0\"\nregion = \"xian\"\naddress = \"10.1.0.20\"\nroles = [\"read-api\"]\n\n";
    fs::write(&inventory, example.replacen("[[machines]]", &format!("{more}[[machines]]"), 1)).expect("a file");
    let printed = render(&inventory, &machines).expect("no faults");
    assert!(printed.contains(nodes) && printed.contains("xian-read-0/etc/yima/read-api.env"), "{printed}");
    assert!(!printed.contains("chengdu-edge-1/etc/haproxy"), "{printed}");
    let second = ids(&read(&machines.join(nodes)));
    assert_eq!((first.len(), second.len()), (2, 3));
    assert!(first.iter().all(|(name, id)| second.get(name) == Some(id)), "{first:?} {second:?}");

    fs::write(&inventory, &example).expect("a file");
    let printed = render(&inventory, &machines).expect("no faults");
    assert!(printed.contains("removed xian-read-0/etc/yima/read-api.env"), "{printed}");
    assert_eq!(files(&machines), before);
    assert!(!machines.join("xian-read-0").exists());
}

#[test]
fn an_inventory_with_faults_changes_nothing_and_every_fault_is_named() {
    let (directory, machines) = example();
    let (inventory, before) = (directory.path().join("inventory.toml"), files(&machines));
    let broken = read(&multi_region().join("inventory.toml"))
        .replace("issuer =", "isuer =")
        .replace("region = \"chengdu\"\naddress = \"10.2.0.21\"", "region = \"chendu\"\naddress = \"10.2.0\"")
        .replace("[regions.arbiter]", "[regions.Arbiter]")
        .replace("roles = [\"monitoring\", \"collector\", \"auditor\"]", "roles = [\"monitor\"]")
        .replace("agencies = \"agencies.xian.example.org\"", "")
        .replace("people = \"code.xian.example.org\"", "")
        .replace("address = \"10.1.0.12\"", "address = \"10.1.0.11\"\nports = { https = 443 }\nport = 1");
    fs::write(&inventory, broken).expect("a file");
    let (code, said) = render(&inventory, &machines).expect_err("faults");
    assert_eq!(code, Some(3), "{said}");
    for fault in [
        "isuer: unknown",
        "issuer: expected",
        "machines.chengdu-read-1.region: no region of this name",
        "machines.chengdu-read-1.address: expected an IP address",
        "regions.Arbiter: expected",
        "machines.xian-monitoring.roles: expected",
        "regions.xian.agencies: expected",
        "regions.xian.people: expected",
        "machines.xian-edge-2.port: unknown",
    ] {
        assert!(said.contains(fault), "{fault} is not in:\n{said}");
    }
    assert_eq!(files(&machines), before);
}
