//! The state of all nodes, as one of them or the command line sees it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use yima_service::admin::AdminConfig;
use yima_service::clock::now;
use yima_service::http::client::{Client, client, get};

use super::NodeStatus;
use super::findings::{Finding, Severity, span};
use crate::config::trusting;

/// For a node to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Between two clocks: what a sender and a node may differ by before tokens are refused or code times drift.
const CLOCKS_MAY_DIFFER_S: f64 = 2.0;

/// Asks nodes for their state.
#[derive(Clone)]
pub struct Nodes {
    client: Client,
    /// `host:port` of admin ports.
    addresses: Vec<String>,
    /// Base URL of a Prometheus with the alerts.
    prometheus: Option<String>,
}

/// All nodes, and what is wrong with each or between them, the worst first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Overview {
    nodes: Vec<Asked>,
    findings: Vec<OfNode>,
}

/// A node that was asked.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    address: String,
    /// `None`: it did not answer.
    status: Option<NodeStatus>,
}

/// A finding with the node that it is about; none: it is about several, or the alerts'.
#[derive(Debug, Serialize, Deserialize)]
struct OfNode {
    node: Option<String>,
    #[serde(flatten)]
    finding: Finding,
}

/// What is read of an answer of Prometheus' `GET /api/v1/alerts`.
#[derive(Deserialize)]
struct Alerts {
    data: AlertList,
}

#[derive(Deserialize)]
struct AlertList {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    state: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Nodes {
    /// The nodes at `addresses`, or else those of the settings, or else the one of the settings itself.
    pub fn new(config: &AdminConfig, addresses: &[String]) -> Self {
        let tls = trusting(None, "admin.nodes").expect("no file is read").with_no_client_auth();
        let mut own = config.listen;
        if own.ip().is_unspecified() {
            own.set_ip(if own.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
        }
        let addresses = match (addresses, &*config.nodes) {
            ([], []) => vec![own.to_string()],
            ([], nodes) => nodes.to_vec(),
            (addresses, _) => addresses.to_vec(),
        };
        Self { client: client(tls), addresses, prometheus: config.prometheus.clone() }
    }

    /// Asks all of them at once.
    pub async fn overview(&self) -> Overview {
        let asked = futures::future::join_all(self.addresses.iter().map(|address| self.ask(address)));
        let (asked, alerts) = tokio::join!(asked, self.alerts());
        let mut findings = alerts;
        let mut nodes = Vec::new();
        for (address, status) in self.addresses.iter().zip(asked) {
            let own = match &status {
                Ok(status) => status.findings.clone(),
                Err(why) => vec![Finding::new(Severity::Critical, why, Some("YimaNotReady"))],
            };
            findings.extend(own.into_iter().map(|finding| OfNode { node: Some(address.clone()), finding }));
            nodes.push(Asked { address: address.clone(), status: status.ok() });
        }
        findings.extend(between(&nodes, now().as_millis() as f64 / 1_000.0));
        findings.sort_by_key(|found| std::cmp::Reverse(found.finding.severity));
        Overview { nodes, findings }
    }

    async fn ask(&self, address: &str) -> Result<NodeStatus, String> {
        let body = get(&self.client, &format!("http://{address}/status"), TIMEOUT).await?;
        serde_json::from_slice(&body).map_err(|_| "answers something else than a node's status".to_owned())
    }

    /// The alerts that fire.
    async fn alerts(&self) -> Vec<OfNode> {
        let Some(prometheus) = &self.prometheus else { return Vec::new() };
        let url = format!("{}/api/v1/alerts", prometheus.trim_end_matches('/'));
        let read = get(&self.client, &url, TIMEOUT).await.and_then(|body| {
            serde_json::from_slice::<Alerts>(&body).map_err(|_| "answers something else than alerts".to_owned())
        });
        match read {
            Ok(Alerts { data: AlertList { alerts } }) => alerts.into_iter().filter_map(firing).collect(),
            Err(why) => {
                let finding = Finding::new(Severity::Warning, format!("Prometheus {why}"), None);
                vec![OfNode { node: None, finding }]
            }
        }
    }
}

fn firing(Alert { state, labels, annotations }: Alert) -> Option<OfNode> {
    let severity = match labels.get("severity").map(String::as_str) {
        Some("page" | "critical" | "disaster") => Severity::Critical,
        Some("ticket" | "warning") => Severity::Warning,
        // The watchdog, which always fires.
        _ => return None,
    };
    let name = labels.get("alertname")?;
    let text = format!("alert: {}", annotations.get("summary").unwrap_or(name));
    (state == "firing")
        .then(|| OfNode { node: labels.get("instance").cloned(), finding: Finding::new(severity, text, Some(name)) })
}

/// What only a comparison of nodes tells, with the clock of who asks at `now_s`.
fn between(nodes: &[Asked], now_s: f64) -> Vec<OfNode> {
    let known: Vec<_> = nodes.iter().filter_map(|node| Some((&node.address, node.status.as_ref()?))).collect();
    let mut found = Vec::new();
    for (address, status) in &known {
        let differs = (status.clock_s - now_s).abs();
        // The request takes its time too.
        if differs > CLOCKS_MAY_DIFFER_S + TIMEOUT.as_secs_f64() {
            let text = format!("its clock differs from this machine's by {}", span(differs));
            let finding = Finding::new(Severity::Critical, text, Some("YimaClockOff"));
            found.push(OfNode { node: Some((*address).clone()), finding });
        }
    }
    let mut several = |finding| found.push(OfNode { node: None, finding });
    let kinds: BTreeMap<_, Vec<_>> = known.iter().flat_map(|(_, status)| &status.keys).fold(
        BTreeMap::new(),
        |mut kinds: BTreeMap<_, Vec<_>>, (kind, number)| {
            kinds.entry(kind).or_default().push(*number);
            kinds
        },
    );
    for (kind, numbers) in kinds {
        // -1: a node without one, such as a node that signs no codes.
        let mut numbers = numbers.into_iter().filter(|number| *number >= 0.0);
        let first = numbers.next();
        if numbers.any(|number| Some(number) != first) {
            let text = format!("nodes have different active {kind} keys: what one makes, another refuses");
            several(Finding::new(Severity::Critical, text, Some("YimaKeysDiffer")));
        }
    }
    let mut versions: Vec<_> = known.iter().map(|(_, status)| &*status.version).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() > 1 {
        let text = format!("nodes run different versions: {}", versions.join(", "));
        several(Finding::new(Severity::Note, text, None));
    }
    found
}

impl Overview {
    /// 0 if nothing is worse than a note, 1 for warnings, 2 for what is critical.
    pub fn exit_code(&self) -> u8 {
        match self.findings.iter().map(|found| found.finding.severity).max() {
            None | Some(Severity::Note) => 0,
            Some(Severity::Warning) => 1,
            Some(Severity::Critical) => 2,
        }
    }
}

impl Overview {
    /// The active keys of all nodes, each with its kind.
    pub fn keys(&self) -> impl Iterator<Item = (&str, f64)> {
        let known = self.nodes.iter().filter_map(|node| node.status.as_ref());
        known.flat_map(|status| &status.keys).map(|(kind, number)| (&**kind, *number))
    }

    /// The findings, each with its severity: 0 (a note) to 2.
    pub fn lines(&self) -> Vec<(u8, String)> {
        let line = |OfNode { node, finding }: &OfNode| {
            (finding.severity as u8, format!("{}: {}", node.as_deref().unwrap_or("all"), finding.text))
        };
        self.findings.iter().map(line).collect()
    }
}

impl Display for Overview {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width = self.nodes.iter().map(|node| node.address.len()).max().unwrap_or(0).max(4);
        writeln!(
            f,
            "{:width$}  {:<10}  {:<12}  {:<5}  {:>5}  {:>5}  {:>7}  {:>7}  regions",
            "node", "role", "region", "ready", "level", "busy", "behind", "up"
        )?;
        for Asked { address, status } in &self.nodes {
            let Some(status) = status else {
                writeln!(f, "{address:width$}  {:<10}  {:<12}  no", "?", "?")?;
                continue;
            };
            let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            let behind = |lag: &Option<f64>| lag.map_or_else(|| "unknown".to_owned(), span);
            let regions: Vec<_> =
                status.regions_lag_s.iter().map(|(region, lag)| format!("{region} {}", behind(lag))).collect();
            writeln!(
                f,
                "{address:width$}  {:<10}  {:<12}  {:<5}  {:>5}  {:>4.0}%  {:>7}  {:>7}  {}",
                status.role,
                status.region,
                if status.ready { "yes" } else { "no" },
                or_none(status.level.map(|level| level.to_string())),
                status.utilization * 100.0,
                or_none(status.lag_s.map(span)),
                span(status.up_s),
                regions.join(", "),
            )?;
        }
        writeln!(f)?;
        for OfNode { node, finding: Finding { severity, text, alert } } in &self.findings {
            let severity = match severity {
                Severity::Note => "note",
                Severity::Warning => "warning",
                Severity::Critical => "CRITICAL",
            };
            let node = node.as_deref().unwrap_or("all");
            let runbook = alert.as_ref().map(|alert| format!("  (runbook: {alert})")).unwrap_or_default();
            writeln!(f, "{severity:<8}  {node:width$}  {text}{runbook}")?;
        }
        if self.findings.is_empty() { writeln!(f, "nothing is wrong") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(address: &str, change: impl FnOnce(&mut NodeStatus)) -> Asked {
        let mut status = NodeStatus {
            version: "1".into(),
            region: "a".into(),
            role: "read-api".into(),
            ready: true,
            level: Some(0),
            utilization: 0.0,
            clock_s: 1_000.0,
            up_s: 60.0,
            lag_s: Some(0.1),
            regions_lag_s: BTreeMap::new(),
            marks_waiting: 0.0,
            keys: BTreeMap::from([("seal".into(), 7.0), ("issuer".into(), -1.0)]),
            findings: Vec::new(),
        };
        change(&mut status);
        Asked { address: address.to_owned(), status: Some(status) }
    }

    fn texts(nodes: &[Asked]) -> Vec<String> {
        between(nodes, 1_001.0).into_iter().map(|found| found.finding.text).collect()
    }

    #[test]
    fn nodes_are_compared() {
        let equal = [node("a", |_| ()), node("b", |status| _ = status.keys.insert("issuer".into(), 3.0))];
        assert_eq!(texts(&equal), Vec::<String>::new());
        let others = [
            node("a", |_| ()),
            node("b", |status| _ = status.keys.insert("seal".into(), 8.0)),
            node("c", |status| status.version = "2".into()),
            node("d", |status| status.clock_s = 400.0),
            Asked { address: "e".into(), status: None },
        ];
        assert_eq!(
            texts(&others),
            [
                "its clock differs from this machine's by 10 min",
                "nodes have different active seal keys: what one makes, another refuses",
                "nodes run different versions: 1, 2",
            ]
        );
    }

    #[test]
    fn only_alerts_that_fire_are_findings() {
        let alert = |state: &str, severity: &str| Alert {
            state: state.into(),
            labels: BTreeMap::from([("alertname".into(), "YimaX".into()), ("severity".into(), severity.into())]),
            annotations: BTreeMap::from([("summary".into(), "it burns".into())]),
        };
        assert!(firing(alert("pending", "page")).is_none() && firing(alert("firing", "none")).is_none());
        let found = firing(alert("firing", "page")).unwrap();
        assert_eq!(found.finding, Finding::new(Severity::Critical, "alert: it burns", Some("YimaX")));
    }
}
