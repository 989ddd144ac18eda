//! The Helm chart, for both regions. The tests need helm and the CRDs of the Prometheus Operator, which `tests/run`
//! takes from their Go modules.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{assert_haproxy_accepts, multi_region, output};

const REGIONS: [&str; 2] = ["region-a", "region-b"];
/// Built from its module, helm takes an old release of Kubernetes for the cluster's.
const CLUSTER: [&str; 2] = ["--kube-version", "1.33.0"];

/// `helm ACTION …` on the chart with the values of a region.
fn helm(action: &[&str], region: &str) -> Command {
    let mut command = Command::new("helm");
    command.args(action).args(CLUSTER).arg(multi_region().join("chart"));
    command.arg("--values").arg(multi_region().join(format!("chart/values/{region}.yaml")));
    command
}

/// What `tests/run` installed, by the variable that names it.
fn installed(variable: &str) -> PathBuf {
    env::var_os(variable).unwrap_or_else(|| panic!("${variable}: tests/run installs it and sets this")).into()
}

fn python() -> Command {
    let mut command = Command::new(installed("MANIFESTS_PYTHON"));
    command.arg("-B");
    command
}

/// Renders a region's objects into a file. Helm reports on standard error which links it followed.
fn rendered(region: &str, more: &[&str], directory: &Path) -> PathBuf {
    let template = helm(&[&["template", "yima", "--namespace", "yima"][..], more].concat(), region).output();
    let template = template.expect("helm can be run");
    assert!(template.status.success(), "{}", String::from_utf8_lossy(&template.stderr));
    let file = directory.join(format!("{region}{}.yaml", more.len()));
    fs::write(&file, template.stdout).expect("a file");
    file
}

#[test]
fn helm_accepts_the_chart_with_the_values_of_each_region_and_of_no_other() {
    for region in REGIONS {
        let printed = output(&mut helm(&["lint", "--strict"], region));
        assert!(printed.contains("1 chart(s) linted, 0 chart(s) failed"), "{printed}");
    }
    let mut bare = Command::new("helm");
    let bare = bare.arg("template").args(CLUSTER).arg(multi_region().join("chart")).output().expect("helm can be run");
    let said = String::from_utf8_lossy(&bare.stderr);
    assert!(!bare.status.success() && said.contains("region.name is the name of this region"), "{said}");
}

#[test]
fn each_object_is_valid_and_fits_the_others() {
    let directory = TempDir::new().expect("a temporary directory");
    let mut files: Vec<PathBuf> = REGIONS.iter().map(|region| rendered(region, &[], directory.path())).collect();
    let fewer = ["--set", "auditor.enabled=false", "--set", "monitoring.labels.release=x"];
    files.push(rendered(REGIONS[0], &fewer, directory.path()));
    files.extend(["region-a", "region-b", "arbiter"].map(|name| multi_region().join(format!("scylla/{name}.yaml"))));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deployment/manifests.py");
    let printed = output(python().arg(script).arg(installed("PROMETHEUS_OPERATOR_CRDS")).args(&files));
    assert_eq!(printed.matches(" objects").count(), files.len(), "{printed}");
}

#[test]
fn the_charts_edge_is_the_one_of_the_inventory() {
    let directory = TempDir::new().expect("a temporary directory");
    let file = rendered(REGIONS[0], &["--show-only", "templates/edge.yaml"], directory.path());
    // Each entry of a ConfigMap as a file.
    let unpack = "import sys, yaml, pathlib\n\
        for found in yaml.safe_load_all(open(sys.argv[1])):\n    \
            for name, text in found.get('data', {}).items():\n        \
                pathlib.Path(sys.argv[2], name).write_text(text)\n";
    output(python().args(["-c", unpack]).arg(&file).arg(directory.path()));
    for name in ["haproxy.cfg", "unavailable.html"] {
        let [packed, source] =
            [directory.path().to_owned(), multi_region()].map(|from| fs::read_to_string(from.join(name)));
        assert_eq!(packed.expect("a file").trim_end(), source.expect("a file").trim_end(), "{name}");
    }
    let nodes = fs::read_to_string(directory.path().join("nodes.cfg")).expect("a file");
    assert_eq!(nodes.matches("check port 9090").count(), 50);
    assert!(nodes.contains("server read-49 yima-read-api-49.yima-read-api.yima.svc.cluster.local:8080 "), "{nodes}");
    assert_haproxy_accepts(directory.path());
}
