//! A real identity provider: Keycloak, with its database in memory.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::maven::fetch_keycloak;
use crate::{Http, Reply, until};

/// A cold start on a busy machine: its first start also builds the server.
const START_WITHIN: Duration = Duration::from_secs(300);
const ADMIN: &str = "admin";

/// A running Keycloak. Ends when it is dropped.
pub struct Keycloak {
    child: Child,
    url: String,
    http: Http,
    directory: TempDir,
}

impl Keycloak {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When it cannot be fetched, or does not answer in time.
    pub fn start() -> Self {
        let fetched = fetch_keycloak();
        let entries = fs::read_dir(&fetched).expect("it was fetched").filter_map(Result::ok);
        let home = entries.map(|entry| entry.path()).find(|path| path.join("bin/kc.sh").is_file());
        let home = home.expect("the archive has one directory, with bin/kc.sh");
        // The first start builds the server in its own directory: one at a time.
        let lock = File::create(fetched.with_file_name("starting")).expect("the target directory can be written");
        lock.lock().expect("a file can be locked");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let url = format!("http://127.0.0.1:{}", port.expect("a free port").port());
        let directory = TempDir::new().expect("a temporary directory");
        let log = File::create(directory.path().join("log")).expect("the temporary directory can be written");
        let mut command = Command::new("sh");
        command.arg(home.join("bin/kc.sh")).args(["start-dev", "--db=dev-mem", "--cache=local"]);
        command.args(["--http-host=127.0.0.1", &format!("--http-port={}", url.rsplit(':').next().expect("a port"))]);
        command.env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN).env("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN);
        command.env("JAVA_OPTS_KC_HEAP", "-Xms64m -Xmx512m").process_group(0).stdin(Stdio::null());
        command.stderr(log.try_clone().expect("a file")).stdout(log);
        let child = command.spawn().expect("sh can be run");
        let mut keycloak = Self { child, url, http: Http::default(), directory };
        until("Keycloak answers", START_WITHIN, || {
            if let Some(exit) = keycloak.child.try_wait().expect("a child's status can be read") {
                panic!("Keycloak ended ({exit}):\n{}", keycloak.log());
            }
            let answer = keycloak.http.send("GET", &format!("{}/realms/master", keycloak.url), &[], None);
            answer.is_ok_and(|reply| reply.status == 200)
        });
        drop(lock);
        keycloak
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The issuer of a realm.
    pub fn issuer(&self, realm: &str) -> String {
        format!("{}/realms/{realm}", self.url)
    }

    /// Makes a realm, with its clients and users.
    ///
    /// # Panics
    /// When Keycloak refuses it.
    pub fn create_realm(&self, realm: &Value) {
        self.admin("", realm);
    }

    /// Lets a new key of another algorithm sign from now on, such as `rsa-generated` with `RS256`; the older ones stay
    /// published.
    ///
    /// # Panics
    /// When Keycloak refuses it.
    pub fn rotate_keys(&self, realm: &str, provider: &str, config: &Value) {
        let mut config = config.clone();
        config["priority"] = json!(["1000"]);
        let component = json!({
            "name": provider, "providerId": provider, "providerType": "org.keycloak.keys.KeyProvider", "config": config,
        });
        self.admin(&format!("/{realm}/components"), &component);
    }

    /// Changes settings of a realm.
    ///
    /// # Panics
    /// When Keycloak refuses it.
    pub fn change_realm(&self, realm: &str, changes: &Value) {
        let url = format!("{}/admin/realms/{realm}", self.url);
        let bearer = format!("Bearer {}", self.admin_token());
        let fields = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let reply = self.http.send("PUT", &url, &fields, Some(changes.to_string().as_bytes())).expect("an answer");
        assert_eq!(reply.status, 204, "{}", reply.text());
    }

    /// The answer to a request for tokens of a realm.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn tokens(&self, realm: &str, form: &str) -> Reply {
        let url = format!("{}/protocol/openid-connect/token", self.issuer(realm));
        let fields = [("content-type", "application/x-www-form-urlencoded")];
        self.http.send("POST", &url, &fields, Some(form.as_bytes())).expect("an answer of Keycloak")
    }

    /// Kills it, as a crash would (SIGKILL).
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill9(&mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    fn admin_token(&self) -> String {
        let form = format!("grant_type=password&client_id=admin-cli&username={ADMIN}&password={ADMIN}");
        let reply = self.tokens("master", &form);
        reply.json(200)["access_token"].as_str().expect("a token").to_owned()
    }

    fn admin(&self, path: &str, body: &Value) {
        let url = format!("{}/admin/realms{path}", self.url);
        let reply = self.http.post(&url, &self.admin_token(), "application/json", body.to_string().as_bytes());
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- output of Keycloak ---\n{}", self.log());
        }
    }
}
