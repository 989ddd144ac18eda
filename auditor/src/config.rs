//! Section `audit`.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use yima_schema::agency::is_agency_name;
use yima_service::config::{self, Checks};

/// Most changes, and most people, that are sampled in a second.
pub const MAX_PER_SECOND: u32 = 10;
/// Most read nodes.
const MAX_NODES: usize = 200;
/// Shortest time between two canaries: 720 events an hour about one subject, of which an agency may send 1,000.
const MIN_CANARY_EVERY: Duration = Duration::from_secs(5);

/// The auditor, `yima audit`: [what it does](slo.md). No other process reads this section.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct AuditConfig {
    /// The read nodes to ask, up to 200, each `{ url = "http://10.0.0.5:8080", region = "xian", name = "read-1" }`.
    /// Name the nodes themselves, not their balancer. `region` is this one's by default; nodes of other regions are
    /// asked about canaries only. `name` is the label `node` of metrics, by default host and port. Default: the read
    /// service of these settings, at `read_api.bind`.
    pub nodes: Vec<NodeConfig>,
    /// Changes of the feed to ask about, a second; at most 10. 0: none. Each costs every node of the region 4 to 8
    /// displays in 5 minutes.
    pub changes_per_s: u32,
    /// People picked at random to ask about, a second; at most 10. 0: none.
    pub people_per_s: u32,
    /// Time for a display to arrive completely; later ones count as unanswered. 10 to 5,000.
    #[serde(rename = "answer_timeout_ms", with = "config::Ms")]
    pub answer_timeout: Duration,
    /// How far the clocks of auditor and read nodes may be apart. An answer contradicts a change only if its
    /// `Yima-As-Of` is later than the acknowledgement by more than this.
    #[serde(rename = "clock_margin_ms", with = "config::Ms")]
    pub clock_margin: Duration,
    /// Whether the nodes expect the PROXY protocol from this machine, since it is one of their `trusted_proxies`.
    pub proxy_protocol: bool,
    /// Certificates of the authorities that sign those of nodes and writer, for `https` URLs. PEM, read at start.
    pub ca_file: Option<PathBuf>,
    /// Canaries.
    pub canary: CanaryConfig,
}

/// A read node.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Address of its public port.
    pub url: String,
    /// Its region; this process' own by default.
    pub region: Option<String>,
    /// In metrics; host and port by default.
    pub name: Option<String>,
}

/// Canaries: events about subjects that nobody is, sent as an agency sends its own, and looked for at every node of
/// every region. They measure from the writer's answer to the display, with nothing but public ports.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = config::in_order::<Self>)]
pub struct CanaryConfig {
    /// The writer's public port, such as `http://10.0.0.6:8081`. Default: none, so there are no canaries.
    pub writer: Option<String>,
    /// The agency's name, as the token has it. Its subjects have document numbers of type `local` in this name.
    pub agency: String,
    /// File with the agency's identity token, read before each event. Required where `identity_provider.keys_file` is
    /// set; else the demo's identity provider issues one.
    pub token_file: Option<PathBuf>,
    /// Time between two canaries. 5 to 3,600.
    #[serde(rename = "every_s", with = "config::S")]
    pub every: Duration,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            changes_per_s: 1,
            people_per_s: 1,
            answer_timeout: Duration::from_secs(1),
            clock_margin: Duration::from_secs(1),
            proxy_protocol: false,
            ca_file: None,
            canary: CanaryConfig::default(),
        }
    }
}

impl Default for CanaryConfig {
    fn default() -> Self {
        let agency = "yima-audit".to_owned();
        Self { writer: None, agency, token_file: None, every: Duration::from_secs(10) }
    }
}

impl AuditConfig {
    /// Checks the values and their relations to each other.
    pub fn check(&self, checks: &mut Checks<'_>) {
        const NODES: &str = "audit.nodes";
        const WRITER: &str = "audit.canary.writer";
        let urls = self.nodes.iter().map(|node| (NODES, &node.url));
        let urls: Vec<_> = urls.chain(self.canary.writer.iter().map(|url| (WRITER, url))).collect();
        for (key, url) in &urls {
            checks.expect(is_origin(url), key, &[], "expected URLs such as http://10.0.0.5:8080, without a path");
        }
        checks.expect(self.nodes.len() <= MAX_NODES, NODES, &[], format!("expected at most {MAX_NODES}"));
        let has_https = urls.iter().any(|(_, url)| url.starts_with("https:"));
        checks.expect(self.ca_file.is_some() || !has_https, "audit.ca_file", &[NODES, WRITER], "expected with https");
        for (key, rate) in [("audit.changes_per_s", self.changes_per_s), ("audit.people_per_s", self.people_per_s)] {
            checks.expect(rate <= MAX_PER_SECOND, key, &[], format!("expected 0 to {MAX_PER_SECOND}"));
        }
        let timeouts = Duration::from_millis(10)..=Duration::from_secs(5);
        let timeout_fits = timeouts.contains(&self.answer_timeout);
        checks.expect(timeout_fits, "audit.answer_timeout_ms", &[], "expected 10 to 5,000");
        let every_fits = (MIN_CANARY_EVERY..=Duration::from_secs(3_600)).contains(&self.canary.every);
        checks.expect(every_fits, "audit.canary.every_s", &[], "expected 5 to 3,600");
        let expected = "expected 1 to 32 lower-case letters, digits and dashes";
        checks.expect(is_agency_name(&self.canary.agency), "audit.canary.agency", &[], expected);
    }
}

/// Whether a URL has a scheme and an authority and nothing else.
fn is_origin(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|uri| {
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        known && uri.authority().is_some() && uri.query().is_none() && uri.path() == "/" && !url.ends_with('/')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_by_scheme_and_authority_alone() {
        for url in ["http://10.0.0.5:8080", "https://read-1.example", "http://[::1]:8080"] {
            assert!(is_origin(url), "{url}");
        }
        for url in ["10.0.0.5:8080", "ftp://a", "http://", "http://a/", "http://a/v1", "http://a?b", ""] {
            assert!(!is_origin(url), "{url}");
        }
    }
}
