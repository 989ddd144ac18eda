//! The files that a node reads at its start.

use std::fmt::Write;
use std::fs;

use super::member::Member;
use super::options::ClusterOptions;

const TOKENS: usize = 8;

/// Settings of every node. They make starts quick, and the delivery of hints.
const COMMON: &[(&str, &str)] = &[
    ("cluster_name", "tests"),
    ("partitioner", "org.apache.cassandra.dht.Murmur3Partitioner"),
    ("endpoint_snitch", "GossipingPropertyFileSnitch"),
    ("storage_compatibility_mode", "NONE"),
    ("paxos_variant", "v2"),
    ("auto_bootstrap", "false"),
    ("auto_snapshot", "false"),
    ("commitlog_sync", "periodic"),
    ("memtable_allocation_type", "heap_buffers"),
    ("hints_flush_period", "1s"),
    ("hinted_handoff_throttle", "100MiB"),
    ("max_hints_delivery_threads", "4"),
];

/// Writes the files into the node's directory. At its first start a node asks only the first node for the others, and
/// waits for it; afterwards it asks all nodes and does not wait.
pub(super) fn write(member: &Member, options: &ClusterOptions, seeds: &str) {
    let directory = member.directory.display();
    let (address, tokens) = (member.address.to_string(), tokens(member, &options.nodes));
    let mut settings = options.settings.clone();
    let mut set = |key: &str, value: &str| {
        // The options come first.
        settings.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    };
    for (key, value) in COMMON {
        set(key, value);
    }
    set("num_tokens", &TOKENS.to_string());
    set("initial_token", &tokens);
    set("listen_address", &address);
    set("rpc_address", &address);
    set(
        "seed_provider",
        &format!(
            "[{{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{{seeds: '{seeds}'}}]}}]"
        ),
    );
    set("data_file_directories", &format!("[{directory}/data]"));
    for (key, folder) in [
        ("commitlog_directory", "commitlog"),
        ("saved_caches_directory", "saved_caches"),
        ("hints_directory", "hints"),
        ("cdc_raw_directory", "cdc"),
    ] {
        set(key, &format!("{directory}/{folder}"));
    }
    if options.passwords {
        set("authenticator", "PasswordAuthenticator");
        set("authorizer", "CassandraAuthorizer");
        set("role_manager", "CassandraRoleManager");
    }
    if options.tls {
        let pem = member.directory.with_file_name("server.pem");
        let factory = "{class_name: org.apache.cassandra.security.PEMBasedSslContextFactory}";
        let tls =
            format!("{{enabled: true, optional: false, ssl_context_factory: {factory}, keystore: {}}}", pem.display());
        set("client_encryption_options", &tls);
    }
    if settings["commitlog_sync"] == "periodic" {
        settings.entry("commitlog_sync_period".to_owned()).or_insert_with(|| "10000ms".to_owned());
    }
    let mut yaml = String::new();
    for (key, value) in &settings {
        writeln!(yaml, "{key}: {value}").expect("a String accepts every write");
    }
    let files = [
        ("cassandra.yaml", yaml),
        ("rackdc.properties", format!("dc={}\nrack=rack1\n", super::datacenter_name(member.datacenter))),
        ("logback.xml", include_str!("../../cassandra/logback.xml").to_owned()),
    ];
    for (name, text) in files {
        fs::write(member.directory.join(name), text).expect("the node's directory can be written");
    }
}

/// The node's tokens: spread evenly over its datacenter, and unique. Nodes that start at once could choose the same
/// tokens themselves.
fn tokens(member: &Member, nodes: &[usize]) -> String {
    let per_datacenter = TOKENS * nodes[member.datacenter - 1];
    let token = |k: usize| {
        let position = (k * nodes[member.datacenter - 1] + member.number - 1) as i128;
        i128::from(i64::MIN) + (position << 64) / per_datacenter as i128 + member.datacenter as i128
    };
    let tokens: Vec<String> = (0..TOKENS).map(|k| token(k).to_string()).collect();
    format!("'{}'", tokens.join(","))
}
