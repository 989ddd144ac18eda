//! Edges as `deploy/multi-region/render` makes them, in front of three nodes with the same keys and people. Each node is
//! a process of its own with an embedded store: its ports, and how it stops, are those of a service apart.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;
use yima_harness::{Edge, Options, Yima, free_ports, new_person, render, until, variables};
use yima_schema::time::HOUR;

const NODES: usize = 3;
const PEOPLE: u64 = 24;
/// Above the edge's check interval times its threshold.
const DRAIN_WAIT_MS: &str = "3000";
/// Requests of one session in ten seconds that the second edge takes.
const SESSION_REQUESTS: u32 = 60;
const SOON: Duration = Duration::from_secs(20);

/// Between the edges and a node: passes all bytes on, and keeps the clients that the edges name before them.
struct Tap {
    port: u16,
    named: Arc<Mutex<BTreeSet<Ipv4Addr>>>,
}

impl Tap {
    fn new(node: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let named: Arc<Mutex<BTreeSet<Ipv4Addr>>> = Arc::default();
        let kept = Arc::clone(&named);
        thread::spawn(move || {
            for edge in listener.incoming() {
                let (edge, kept) = (edge.expect("a connection"), Arc::clone(&kept));
                thread::spawn(move || pass_on(edge, node, &kept));
            }
        });
        Self { port, named }
    }
}

/// A connection that ends on one side ends on the other. Without a node it ends at once, as if it were refused.
fn pass_on(mut edge: TcpStream, node: SocketAddr, named: &Mutex<BTreeSet<Ipv4Addr>>) -> Option<()> {
    let mut to_node = TcpStream::connect(node).ok()?;
    // PROXY protocol, version 2: 12 bytes of signature, command, family, length; then the client's IPv4 address.
    let mut header = [0; 20];
    edge.read_exact(&mut header).ok()?;
    assert_eq!(header[..14], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11", "a client over TCP on IPv4");
    let client: [u8; 4] = header[16..].try_into().expect("four bytes");
    named.lock().expect("no panic").insert(client.into());
    to_node.write_all(&header).ok()?;
    let (mut edge_too, mut from_node) = (edge.try_clone().ok()?, to_node.try_clone().ok()?);
    thread::spawn(move || {
        let _ended_either_way = io::copy(&mut from_node, &mut edge_too);
        let _may_be_gone = edge_too.shutdown(Shutdown::Both);
    });
    let _ended_either_way = io::copy(&mut edge, &mut to_node);
    let _may_be_gone = to_node.shutdown(Shutdown::Both);
    Some(())
}

/// The machines of a region: two edges, and nodes by their ports: of the read service, the writer, administration.
fn inventory(edges: &[[u16; 3]; 2], nodes: &[[u16; 3]]) -> String {
    let mut text = "issuer = \"yima-demo\"\n[regions.xian]\nagencies = \"agencies.test\"\n".to_owned();
    let mut machine = |name: String, roles: &str, ports: String| {
        write!(
            text,
            "[[machines]]\nname = \"{name}\"\nregion = \"xian\"\naddress = \"127.0.0.1\"\nroles = {roles}\n\
             ports = {{ {ports} }}\n"
        )
        .expect("a text grows");
    };
    for (n, [http, https, admin]) in edges.iter().enumerate() {
        let ports = format!("http = {http}, https = {https}, edge_admin = {admin}");
        machine(format!("edge-{n}"), "[\"edge\"]", ports);
    }
    for (n, [read, writer, admin]) in nodes.iter().enumerate() {
        let ports = format!("read = {read}, read_admin = {admin}, writer = {writer}, writer_admin = {admin}");
        machine(format!("read-{n}"), "[\"read-api\", \"writer\"]", ports);
    }
    text
}

fn port(url: &str) -> u16 {
    url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port")
}

struct Site {
    directory: TempDir,
    edges: [Edge; 2],
    taps: Vec<Tap>,
    nodes: Vec<Yima>,
}

impl Site {
    fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let (file, rendered) = (directory.path().join("inventory.toml"), directory.path().join("machines"));
        let edges = [free_ports(), free_ports()];
        let render_with = |nodes: &[[u16; 3]]| {
            fs::write(&file, inventory(&edges, nodes)).expect("a file");
            render(&file, &rendered).expect("an inventory without faults");
        };
        // Nodes choose their ports themselves; what they know of the edges does not depend on them.
        render_with(&[[1, 2, 3]]);
        let mut options = Options::default().population(PEOPLE).unlimited();
        for file in ["read-api.env", "writer.env"] {
            for (name, value) in variables(&rendered.join("read-0/etc/yima").join(file)) {
                options = if name.contains("__HTTP__") { options.env(&name, value) } else { options };
            }
        }
        options = options.env("YIMA_LIFECYCLE__DRAIN_WAIT_MS", DRAIN_WAIT_MS);
        let nodes: Vec<Yima> = (0..NODES).map(|n| start_node(&options, n)).collect();
        let taps: Vec<Tap> =
            nodes.iter().map(|node| Tap::new((Ipv4Addr::LOCALHOST, port(&node.read_url())).into())).collect();
        let ports: Vec<_> = taps
            .iter()
            .zip(&nodes)
            .map(|(tap, node)| [tap.port, port(&node.writer_url()), port(&node.admin_url())])
            .collect();
        render_with(&ports);
        // A few sessions make the whole load of the first.
        let limits = ["1000000".to_owned(), SESSION_REQUESTS.to_string()];
        let edges = [0, 1].map(|n: usize| {
            Edge::start(&rendered.join(format!("edge-{n}")), &[("EDGE_SESSION_REQUESTS", limits[n].as_str())])
        });
        let site = Self { directory, edges, taps, nodes };
        (0..2).for_each(|edge| site.wait_for_nodes(edge, NODES));
        site
    }

    fn wait_for_nodes(&self, edge: usize, expected: usize) {
        until("the edge's view of the nodes", SOON, || {
            self.edges[edge].metric("haproxy_backend_active_servers", &["proxy=\"read\""]) as usize == expected
        });
    }

    /// Requests that the edge has sent to each node.
    fn sent_to_nodes(&self, edge: usize) -> [u32; NODES] {
        let labels = |n: usize| format!("server=\"read-{n}\"");
        std::array::from_fn(|n| {
            let name = "haproxy_server_http_responses_total";
            self.edges[edge].metric(name, &["proxy=\"read\"", labels(n).as_str()]) as u32
        })
    }

    /// The one node that answers a session's displays.
    fn node_of(&self, edge: usize, session: &str) -> usize {
        const ASKED: u32 = 3;
        let before = self.sent_to_nodes(edge);
        // Each on a connection of its own.
        for _ in 0..ASKED {
            let reply = self.edges[edge].connect().request("GET", "/v1/display", session, "");
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        let mut sent = [0; NODES];
        until("the edge's count", SOON, || {
            let after = self.sent_to_nodes(edge);
            sent = std::array::from_fn(|n| after[n] - before[n]);
            sent.iter().sum::<u32>() >= ASKED
        });
        let found = sent.iter().position(|count| *count == ASKED);
        found.unwrap_or_else(|| panic!("a session met several nodes: {sent:?}"))
    }

    /// Sends displays of all sessions over kept connections while something happens. Every one has to be answered.
    fn under_load(&self, sessions: &[String], happens: impl FnOnce()) -> usize {
        let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for worker in 0..4 {
                let (is_over, answered) = (&is_over, &answered);
                scope.spawn(move || {
                    let mut connection = self.edges[0].connect();
                    for session in sessions.iter().cycle().skip(worker) {
                        if is_over.load(Ordering::Relaxed) {
                            break;
                        }
                        let reply = connection.request("GET", "/v1/display", session, "");
                        assert_eq!(reply.status, 200, "{}\n{}", reply.text(), self.edges[0].log());
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            until("load", SOON, || answered.load(Ordering::Relaxed) > 100);
            happens();
            let so_far = answered.load(Ordering::Relaxed);
            until("load afterwards", SOON, || answered.load(Ordering::Relaxed) > so_far + 100);
            is_over.store(true, Ordering::Relaxed);
        });
        answered.into_inner()
    }

    /// Status, HTTP version and body of an answer to curl, which comes from 127.0.0.2.
    fn curl(&self, arguments: &[&str], path: &str) -> (String, String, String) {
        let (edge, body) = (&self.edges[0], self.directory.path().join("body"));
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--interface", "127.0.0.2", "--max-time", "20", "--http2", "--cacert"])
            .arg(&edge.certificate().cert)
            .args(["--write-out", "%{http_code} %{http_version}", "--output"])
            .arg(&body)
            .args(arguments)
            .arg(format!("{}{path}", edge.url()))
            .output()
            .expect("curl can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let written = String::from_utf8(output.stdout).expect("curl writes ASCII");
        let (status, version) = written.split_once(' ').expect("two words");
        (status.into(), version.into(), fs::read_to_string(body).unwrap_or_default())
    }
}

/// Starts a node with the keys and the people of the first.
fn start_node(options: &Options, n: usize) -> Yima {
    let options = options.clone().data_dir_name(format!("data-{n}"));
    let (first, own) = (options.directory().join("data-0"), options.data_dir());
    if n > 0 {
        fs::create_dir_all(own.join("keys")).expect("a directory");
        let keys = fs::read_dir(first.join("keys")).expect("keys").map(|key| key.expect("a key").path());
        for file in keys.chain([first.join("demo.toml")]) {
            fs::copy(&file, own.join(file.strip_prefix(&first).expect("below it"))).expect("a file");
        }
    }
    Yima::start(options)
}

#[test]
fn an_edge_keeps_sessions_at_warm_nodes_and_no_request_fails_when_one_leaves() {
    let mut site = Site::start();

    // Agencies, by their host name: HTTP/2 and TLS end at the edge.
    let rows: Vec<String> =
        (0..10).map(|n| new_person().test(&format!("t-{n}"), "negative", HOUR).to_string()).collect();
    let upload: PathBuf = site.directory.path().join("rows");
    fs::write(&upload, rows.join("\n")).expect("a file");
    let bearer = format!("Authorization: Bearer {}", site.nodes[0].agency_token("lab-7"));
    let (host, content, data) =
        ("Host: agencies.test", "Content-Type: application/x-ndjson", format!("@{}", upload.display()));
    let sent = site.curl(&["-H", host, "-H", &bearer, "-H", content, "--data-binary", &data], "/v1/events");
    assert_eq!((sent.0.as_str(), sent.1.as_str()), ("200", "2"), "{}", sent.2);
    assert_eq!(sent.2.matches("\"accepted\"").count(), rows.len(), "{}", sent.2);

    // People always meet the same node, through either edge.
    let sessions = site.nodes[0].command(&["sessions", "--count", &PEOPLE.to_string()]);
    let at_first: Vec<usize> = sessions.iter().map(|session| site.node_of(0, session)).collect();
    assert_eq!(BTreeSet::from_iter(&at_first).len(), NODES, "{at_first:?}");
    let at_the_other: Vec<usize> = sessions.iter().map(|session| site.node_of(1, session)).collect();
    assert_eq!(at_the_other, at_first);
    let bearer = format!("Authorization: Bearer {}", sessions[0]);
    let shown = site.curl(&["-H", &bearer], "/v1/display");
    assert_eq!((shown.0.as_str(), shown.1.as_str()), ("200", "2"), "{}", shown.2);
    let named = site.taps[at_first[0]].named.lock().expect("no panic").clone();
    assert_eq!(named, BTreeSet::from([Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)]));

    // A node is killed: no look fails, and only its own sessions move.
    let mut killed = site.nodes.remove(0);
    let answered = site.under_load(&sessions, || {
        killed.kill9();
        site.wait_for_nodes(0, NODES - 1);
    });
    let without: Vec<usize> = sessions.iter().map(|session| site.node_of(0, session)).collect();
    assert!(
        without.iter().zip(&at_first).all(|(now, before)| *now != 0 && (now == before || *before == 0)),
        "{without:?}"
    );
    killed.start_again();
    site.wait_for_nodes(0, NODES);
    site.nodes.insert(0, killed);
    assert_eq!(sessions.iter().map(|session| site.node_of(0, session)).collect::<Vec<_>>(), at_first);

    // A node is stopped: it reports that it is not ready, and gets no more requests before it stops to accept them.
    let mut stopped = site.nodes.remove(1);
    let answered_too = site.under_load(&sessions, || {
        stopped.terminate();
        assert_eq!(stopped.wait().code(), Some(0));
    });
    eprintln!("{answered} and {answered_too} displays were answered, all of them");
    let log = site.edges[0].log();
    assert!(
        sessions.iter().chain(&rows).all(|private| !log.contains(private.as_str())) && !log.contains("/v1/"),
        "{log}"
    );

    assert_too_many_requests_of_one_session_are_refused(&site, &sessions);
    assert_without_nodes_the_edge_answers_itself(&mut site, &sessions[0]);
}

fn assert_too_many_requests_of_one_session_are_refused(site: &Site, sessions: &[String]) {
    let mut connection = site.edges[1].connect();
    let mut reply = connection.request("GET", "/v1/display", &sessions[1], "");
    for _ in 0..2 * SESSION_REQUESTS {
        assert!([200, 429].contains(&reply.status), "{}", reply.text());
        reply = connection.request("GET", "/v1/display", &sessions[1], "");
    }
    assert_eq!((reply.header("retry-after"), reply.header("content-type")), ("10", "application/problem+json"));
    assert!(reply.json(429)["type"].as_str().expect("a type").ends_with("/too-many-requests"));
    assert_eq!(connection.request("GET", "/v1/display", &sessions[2], "").status, 200, "another session");
    assert!(site.edges[1].metric("haproxy_frontend_requests_denied_total", &["proxy=\"people\""]) > 0.0);
}

fn assert_without_nodes_the_edge_answers_itself(site: &mut Site, session: &str) {
    assert_eq!(site.edges[0].admin("/serving").status, 200);
    site.nodes.iter_mut().for_each(Yima::kill9);
    site.wait_for_nodes(0, 0);
    assert_eq!(site.edges[0].admin("/serving").status, 503);
    let mut connection = site.edges[0].connect();
    let reply = connection.request("GET", "/v1/display", session, "");
    assert!(reply.json(503)["type"].as_str().expect("a type").ends_with("/unavailable"));
    assert_eq!((reply.header("retry-after"), reply.header("cache-control")), ("5", "no-store"));
    let page = connection.request("GET", "/", session, "");
    assert_eq!((page.status, page.header("content-type")), (503, "text/html; charset=utf-8"));
    assert!(page.text().contains("暂时无法使用") && page.text().contains("Not available now"), "{}", page.text());
}
