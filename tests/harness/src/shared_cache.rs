//! A shared cache in front of an instance: Debian's Varnish or nginx, with a careless configuration.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// From starting the process to listening; Varnish compiles its configuration with a C compiler.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// The user `nobody`, as which a test that is root runs the cache.
const NOBODY: u32 = 65_534;
const NGINX_CONF: &str = "nginx.conf";

/// The software of a cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Software {
    /// Caches every GET, also with an `Authorization`, which Varnish by default does not.
    Varnish,
    /// `proxy_cache` for everything: answers without a lifetime for ten minutes, and stale answers while the server is
    /// down.
    Nginx,
    /// Varnish as `deploy/edge/yima.vcl` configures it. `X-Lifetime` says for how many seconds more it has an answer,
    /// `X-Revalidated` that the server has confirmed it.
    VarnishEdge,
    /// nginx as `deploy/edge/yima-nginx.conf` configures it.
    NginxEdge,
}

/// A running cache, killed when dropped. The header field `X-Cache` of an answer from the cache is `HIT`.
pub struct SharedCache {
    software: Software,
    child: Child,
    port: u16,
    directory: TempDir,
}

impl SharedCache {
    /// Starts a cache in front of the HTTP server at the URL `upstream` and waits until it listens.
    ///
    /// # Panics
    /// When it ends, or does not listen in time.
    pub fn start(software: Software, upstream: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let port = free_port();
        let mut command = match software {
            Software::Varnish => varnish(directory.path(), port, &careless(upstream)),
            Software::VarnishEdge => varnish(directory.path(), port, &(shipped("yima.vcl", upstream) + SHOWN)),
            Software::Nginx => nginx(directory.path(), "off", &careless_server(directory.path(), port, upstream)),
            Software::NginxEdge => nginx(directory.path(), "on", &shipped_server(directory.path(), port, upstream)),
        };
        if rustix::process::geteuid().is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).expect("root may give a directory away");
            command.uid(NOBODY).gid(NOBODY);
        }
        let log = File::create(directory.path().join("log")).expect("the temporary directory can be written");
        let log_too = log.try_clone().expect("a second handle");
        command.current_dir(directory.path()).stdin(Stdio::null()).stdout(log).stderr(log_too);
        let child = command.spawn().unwrap_or_else(|error| panic!("{software:?} cannot be run: {error}"));
        let mut started = Self { software, child, port, directory };
        started.wait_until_listening();
        started
    }

    fn wait_until_listening(&mut self) {
        let start = Instant::now();
        // Connections are refused until it listens.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.child.try_wait().expect("a child's status can be read");
            assert!(ended.is_none() && start.elapsed() < START_DEADLINE, "{ended:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Makes it forget every document of a tag, as its configuration says.
    ///
    /// # Panics
    /// When it refuses.
    pub fn purge(&self, tag: &str) {
        match self.software {
            Software::NginxEdge => {
                let file = self.directory.path().join(NGINX_CONF);
                let config = fs::read_to_string(&file).expect("its configuration");
                let raised = config.replace(&format!("\"{tag} 1\""), &format!("\"{tag} 2\""));
                assert_ne!(raised, config, "no such tag");
                fs::write(&file, raised).expect("the temporary directory can be written");
                kill_process(Pid::from_child(&self.child), Signal::HUP).expect("a child can be signalled");
            }
            Software::VarnishEdge => self.ask("PURGE", tag),
            Software::Varnish | Software::Nginx => panic!("a careless cache forgets nothing"),
        }
    }

    /// Makes Varnish ask for every document of a tag again, which it has meanwhile.
    ///
    /// # Panics
    /// When it refuses.
    pub fn refresh(&self, tag: &str) {
        self.ask("REFRESH", tag);
    }

    fn ask(&self, method: &str, tag: &str) {
        // HTTP clients send no such methods.
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("a connection");
        let request =
            format!("{method} / HTTP/1.1\r\nHost: localhost\r\nSurrogate-Key: {tag}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{method} {tag}: {answer}");
    }

    /// What it is.
    pub fn name(&self) -> String {
        format!("{:?}", self.software)
    }

    /// The URL on which it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for SharedCache {
    fn drop(&mut self) {
        // Varnish's child ends with its parent, nginx's does when that is asked to end. Any may have ended already.
        if self.software == Software::NginxEdge {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        } else {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of the shared cache ---\n{}", self.log());
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound port").port()
}

/// What tests see besides. Subroutines of the same name run one behind the other.
const SHOWN: &str = r#"
    sub vcl_backend_response {
        unset beresp.http.X-Revalidated;
        if (beresp.was_304) { set beresp.http.X-Revalidated = "yes"; }
    }
    sub vcl_deliver { set resp.http.X-Lifetime = std.integer(duration=obj.ttl, fallback=0); }
"#;

/// A configuration for operators, with another address of the node.
fn shipped(name: &str, upstream: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/edge").join(name);
    let text = fs::read_to_string(path).expect("a configuration");
    let port = upstream.rsplit(':').next().expect("an address with a port");
    assert!(text.contains("8080"), "{name} names no port of a node");
    text.replace("8080", port)
}

/// Looks every GET up, also with an `Authorization`.
fn careless(upstream: &str) -> String {
    let (host, port) = upstream.trim_start_matches("http://").split_once(':').expect("an address with a port");
    format!(
        "vcl 4.1;
        backend yima {{ .host = \"{host}\"; .port = \"{port}\"; }}
        sub vcl_recv {{ if (req.method == \"GET\") {{ return (hash); }} }}"
    )
}

fn varnish(directory: &Path, port: u16, vcl: &str) -> Command {
    let vcl = format!(
        "{vcl}
        sub vcl_deliver {{
            if (obj.hits > 0) {{ set resp.http.X-Cache = \"HIT\"; }} else {{ set resp.http.X-Cache = \"MISS\"; }}
        }}\n"
    );
    let file = directory.join("yima.vcl");
    fs::write(&file, vcl).expect("the temporary directory can be written");
    let mut command = Command::new("/usr/sbin/varnishd");
    command.args(["-F", "-j", "none", "-T", "none", "-s", "malloc,16m", "-p", "vsl_space=4M"]);
    command.arg("-a").arg(format!("127.0.0.1:{port}")).arg("-f").arg(file).arg("-n").arg(directory.join("varnish"));
    command
}

/// The shipped `http` part, as it listens here.
fn shipped_server(directory: &Path, port: u16, upstream: &str) -> String {
    let listen = format!("listen 127.0.0.1:{port}");
    shipped("yima-nginx.conf", upstream)
        .replace("listen 80", &listen)
        .replace("/var/cache/nginx/yima", &directory.join("cache").display().to_string())
}

fn careless_server(directory: &Path, port: u16, upstream: &str) -> String {
    // With `proxy_cache` nginx does not pass on conditions, unless the configuration says so.
    format!(
        "proxy_cache_path {}/cache keys_zone=all:1m;
        proxy_cache all;
        proxy_cache_valid any 10m;
        proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        server {{
            listen 127.0.0.1:{port};
            location / {{ proxy_pass {upstream}; }}
            location = /v1/display {{
                proxy_pass {upstream};
                proxy_set_header Connection '';
                proxy_set_header If-None-Match $http_if_none_match;
            }}
        }}",
        directory.display()
    )
}

/// Only with a master process, `"on"`, it takes another configuration while it runs.
fn nginx(directory: &Path, master_process: &str, servers: &str) -> Command {
    let d = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {d}/{what};\n"))
        .concat();
    let config = format!(
        "daemon off; master_process {master_process}; pid {d}/pid; error_log stderr;
        events {{}}
        http {{
            access_log off;
            {temporary}
            add_header X-Cache $upstream_cache_status always;
            {servers}
        }}\n"
    );
    let file = directory.join(NGINX_CONF);
    fs::write(&file, config).expect("the temporary directory can be written");
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-e", "stderr", "-p"]).arg(directory).arg("-c").arg(file);
    command
}
