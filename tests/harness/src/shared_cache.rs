//! A shared cache in front of an instance: Debian's Varnish or nginx, with a careless configuration.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// From starting the process to listening; Varnish compiles its configuration with a C compiler.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// The user `nobody`, as which a test that is root runs the cache.
const NOBODY: u32 = 65_534;

/// The software of a cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Software {
    /// Caches every GET, also with an `Authorization`, which Varnish by default does not.
    Varnish,
    /// `proxy_cache` for everything: answers without a lifetime for ten minutes, and stale answers while the server is
    /// down.
    Nginx,
}

/// A running cache, killed when dropped. The header field `X-Cache` of an answer from the cache is `HIT`.
pub struct SharedCache {
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
            Software::Varnish => varnish(directory.path(), port, upstream),
            Software::Nginx => nginx(directory.path(), port, upstream),
        };
        if rustix::process::geteuid().is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).expect("root may give a directory away");
            command.uid(NOBODY).gid(NOBODY);
        }
        let log = File::create(directory.path().join("log")).expect("the temporary directory can be written");
        let log_too = log.try_clone().expect("a second handle");
        command.current_dir(directory.path()).stdin(Stdio::null()).stdout(log).stderr(log_too);
        let child = command.spawn().unwrap_or_else(|error| panic!("{software:?} cannot be run: {error}"));
        let mut started = Self { child, port, directory };
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

    /// The URL on which it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for SharedCache {
    fn drop(&mut self) {
        // Varnish's child ends with its parent. Either may have ended already.
        let _ = self.child.kill();
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

fn varnish(directory: &Path, port: u16, upstream: &str) -> Command {
    let (host, upstream_port) = upstream.trim_start_matches("http://").split_once(':').expect("an address with a port");
    let vcl = format!(
        "vcl 4.1;
        backend yima {{ .host = \"{host}\"; .port = \"{upstream_port}\"; }}
        sub vcl_recv {{ if (req.method == \"GET\") {{ return (hash); }} }}
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

fn nginx(directory: &Path, port: u16, upstream: &str) -> Command {
    let d = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {d}/{what};\n"))
        .concat();
    // With `proxy_cache` nginx does not pass on conditions, unless the configuration says so.
    let config = format!(
        "daemon off; master_process off; pid {d}/pid; error_log stderr;
        events {{}}
        http {{
            access_log off;
            {temporary}
            proxy_cache_path {d}/cache keys_zone=all:1m;
            proxy_cache all;
            proxy_cache_valid any 10m;
            proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            add_header X-Cache $upstream_cache_status always;
            server {{
                listen 127.0.0.1:{port};
                location / {{ proxy_pass {upstream}; }}
                location = /v1/display {{
                    proxy_pass {upstream};
                    proxy_set_header Connection '';
                    proxy_set_header If-None-Match $http_if_none_match;
                }}
            }}
        }}\n"
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, config).expect("the temporary directory can be written");
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-e", "stderr", "-p"]).arg(directory).arg("-c").arg(file);
    command
}
