//! Against a provider of their own over HTTP: what it may say wrong, and what is kept of it. Keycloak is in the
//! end-to-end tests.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::Ed25519KeyPair;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::form_urlencoded::parse;
use yima_schema::problem::ProblemType;
use yima_schema::seal::SealKeys;
use yima_schema::time::Time;

use super::{Finished, Page, Provider, SignIn, Trouble, is_secure};
use crate::clock::now;
use crate::http::client::client;
use crate::jwt::{Issuer, JwtConfig, Scope, Verifier};
use crate::rate_limit::{RateConfig, RateLimiter};

thread_local! {
    static LATER: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A clock that a test can put forward.
fn clock() -> Time {
    now().plus(LATER.get())
}

/// What the provider says.
#[derive(Default)]
struct Says {
    metadata: Value,
    jwks: String,
    id_token: String,
    /// The form of the last request for tokens.
    asked: Vec<(String, String)>,
    fetches: usize,
}

struct Idp {
    address: SocketAddr,
    says: Arc<Mutex<Says>>,
    server: tokio::task::JoinHandle<()>,
}

impl Idp {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let says = Arc::new(Mutex::new(Says::default()));
        let metadata = async |State(says): State<Arc<Mutex<Says>>>| {
            says.lock().fetches += 1;
            says.lock().metadata.to_string()
        };
        let jwks = async |State(says): State<Arc<Mutex<Says>>>| says.lock().jwks.clone();
        let token = async |State(says): State<Arc<Mutex<Says>>>, form: String| {
            says.lock().asked = parse(form.as_bytes()).into_owned().collect();
            let id_token = says.lock().id_token.clone();
            if id_token.is_empty() {
                return (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}).to_string()).into_response();
            }
            json!({"id_token": id_token, "access_token": "opaque"}).to_string().into_response()
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(jwks))
            .route("/token", post(token))
            .with_state(says.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let idp = Self { address, says, server };
        let url = |path: &str| format!("{}/{path}", idp.issuer());
        idp.says.lock().metadata = json!({
            "issuer": idp.issuer(), "authorization_endpoint": url("authorize?realm=city"),
            "token_endpoint": url("token"),
            "jwks_uri": url("keys"), "end_session_endpoint": url("end"), "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        idp
    }

    fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    fn config(&self) -> JwtConfig {
        JwtConfig {
            issuer: self.issuer(),
            discovery: true,
            client_id: Some("pages".to_owned()),
            ..JwtConfig::default()
        }
    }

    fn provider(&self, data_dir: &Path) -> Arc<Provider> {
        let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
        let tls = tls.with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        Provider::open(&self.config(), data_dir, client(tls), clock)
    }

    fn publish(&self, keys: &[&Key]) {
        let keys = keys.iter().map(|key| key.public.clone()).collect();
        self.says.lock().jwks = serde_json::to_string(&JwkSet { keys }).unwrap();
    }
}

/// A key of the provider.
struct Key {
    private: EncodingKey,
    algorithm: Algorithm,
    public: Jwk,
}

impl Key {
    fn new(algorithm: Algorithm, id: &str) -> Self {
        let private = if algorithm == Algorithm::ES256 {
            EncodingKey::from_ec_der(&Issuer::generate().unwrap().0)
        } else if algorithm == Algorithm::EdDSA {
            EncodingKey::from_ed_der(Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref())
        } else {
            assert_eq!(algorithm, Algorithm::RS256);
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
            // Behind the head of PKCS #8, of 26 bytes for this size, is the key as PKCS #1 has it.
            EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..])
        };
        let mut public = Jwk::from_encoding_key(&private, algorithm).unwrap();
        public.common.key_id = Some(id.to_owned());
        Self { private, algorithm, public }
    }

    fn sign(&self, issuer: &str, changes: &Value) -> String {
        let mut claims = json!({
            "iss": issuer, "aud": "yima", "exp": now().as_secs() + 60, "scope": "display", "sub": "u-1",
            "document_type": "passport", "document_number": "E12345678",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = Header { kid: self.public.common.key_id.clone(), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, &claims, &self.private).unwrap()
    }
}

fn kind(verifier: &Verifier, token: &str) -> Option<ProblemType> {
    let checks = RateLimiter::new("sign-in", &RateConfig::default());
    verifier.verify(token, &checks).err().map(|refused| refused.problem().kind)
}

#[test]
fn only_tls_and_this_machine_are_secure() {
    for secure in ["https://idp.example/realms/city", "http://127.0.0.1:8080/x", "http://[::1]/", "http://localhost:1"]
    {
        assert!(is_secure(secure), "{secure}");
    }
    for other in
        ["http://idp.example", "http://localhost.example", "https://u:p@idp.example", "ftp://127.0.0.1", "idp", ""]
    {
        assert!(!is_secure(other), "{other}");
    }
}

#[tokio::test]
async fn keys_of_three_algorithms_are_followed_and_kept_for_a_dead_provider() {
    let (idp, directory) = (Idp::start().await, TempDir::new().unwrap());
    let [ec, rsa, ed] = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA]
        .map(|algorithm| Key::new(algorithm, &format!("{algorithm:?}")));
    idp.publish(&[&ec, &rsa]);
    let provider = idp.provider(directory.path());
    let verifier = Verifier::new(provider.keys(), &idp.config());
    let token = |key: &Key| key.sign(&idp.issuer(), &json!({}));
    assert_eq!(kind(&verifier, &token(&ec)), Some(ProblemType::Unavailable), "no key is known yet");
    assert!(provider.refresh(Duration::ZERO).await.is_some());
    for (key, refused) in [(&ec, None), (&rsa, None), (&ed, Some(ProblemType::Unauthenticated))] {
        assert_eq!(kind(&verifier, &token(key)), refused, "{:?}: the provider was asked just now", key.algorithm);
    }
    // A key of one algorithm checks no signature that says to be of another.
    let (private, algorithm) = (EncodingKey::from_secret(b"public key"), Algorithm::HS256);
    let confused = Key { private, algorithm, ..Key::new(Algorithm::ES256, "ES256") };
    assert_eq!(kind(&verifier, &token(&confused)), Some(ProblemType::Unauthenticated));

    idp.publish(&[&ed]);
    assert!(provider.refresh(Duration::ZERO).await.is_some());
    assert_eq!(kind(&verifier, &token(&ed)), None);
    assert_eq!(kind(&verifier, &token(&rsa)), Some(ProblemType::Unauthenticated), "it was withdrawn");

    idp.server.abort();
    let _aborted = idp.server.await;
    let issuer = format!("http://{}", idp.address);
    let config = JwtConfig { issuer: issuer.clone(), discovery: true, ..JwtConfig::default() };
    let idp = Idp { address: idp.address, says: idp.says, server: tokio::spawn(async {}) };
    let after_restart = idp.provider(directory.path());
    assert!(after_restart.refresh(Duration::ZERO).await.is_none());
    assert_eq!(kind(&Verifier::new(after_restart.keys(), &config), &ed.sign(&issuer, &json!({}))), None);
    // A file that cannot be used is as none.
    std::fs::write(directory.path().join("identity-provider.json"), "{\"metadata\":{}").unwrap();
    let without = Verifier::new(idp.provider(directory.path()).keys(), &config);
    assert_eq!(kind(&without, &ed.sign(&issuer, &json!({}))), Some(ProblemType::Unavailable));
}

#[tokio::test]
async fn what_the_provider_says_wrong_changes_nothing() {
    let (idp, directory) = (Idp::start().await, TempDir::new().unwrap());
    let key = Key::new(Algorithm::ES256, "one");
    idp.publish(&[&key]);
    let provider = idp.provider(directory.path());
    assert!(provider.refresh(Duration::ZERO).await.is_some());
    let right = idp.says.lock().metadata.clone();
    let jwks = idp.says.lock().jwks.clone();
    for (name, wrong) in [
        ("issuer", json!("https://other.example")),
        ("issuer", json!(format!("{}/", idp.issuer()))),
        ("token_endpoint", json!("http://other.example/token")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("authorization_endpoint", Value::Null),
        ("code_challenge_methods_supported", json!(["plain"])),
        ("end_session_endpoint", json!("javascript:alert(1)")),
        ("jwks_uri", json!(format!("{}/nowhere", idp.issuer()))),
        ("padding", json!("x".repeat(1 << 18))),
    ] {
        idp.says.lock().metadata[name] = wrong;
        assert!(provider.refresh(Duration::ZERO).await.is_none(), "{name}");
        idp.says.lock().metadata = right.clone();
    }
    for wrong in ["", "{}", "{\"keys\":[]}", &jwks.replacen("\"kty\"", "\"kid\":\"x\",\"kty\"", 1)] {
        idp.says.lock().jwks = wrong.to_owned();
        assert!(provider.refresh(Duration::ZERO).await.is_none(), "{wrong}");
    }
    let verifier = Verifier::new(idp.provider(directory.path()).keys(), &idp.config());
    assert_eq!(kind(&verifier, &key.sign(&idp.issuer(), &json!({}))), None, "what was right is kept");
}

#[tokio::test]
async fn unknown_keys_cause_one_fetch_in_each_pause_however_many_come() {
    let (idp, directory) = (Idp::start().await, TempDir::new().unwrap());
    let [known, other] = ["known", "other"].map(|id| Key::new(Algorithm::ES256, id));
    idp.publish(&[&known]);
    let provider = idp.provider(directory.path());
    let verifier = Verifier::new(provider.keys(), &idp.config());
    let follower = tokio::spawn(provider.clone().follow());
    let fetched = async |count| {
        while idp.says.lock().fetches < count {
            tokio::task::yield_now().await;
        }
    };
    fetched(1).await;
    while kind(&verifier, &known.sign(&idp.issuer(), &json!({}))).is_some() {
        tokio::task::yield_now().await;
    }
    let token = other.sign(&idp.issuer(), &json!({}));
    for _ in 0..100 {
        assert_eq!(kind(&verifier, &token), Some(ProblemType::Unauthenticated));
        tokio::task::yield_now().await;
    }
    assert_eq!(idp.says.lock().fetches, 1);
    // The verifier's own clock stands for the pause: it was asked long ago.
    provider.keys().asked(now().minus(Duration::from_secs(60)), Duration::from_secs(10));
    LATER.set(Duration::from_secs(60));
    idp.publish(&[&known, &other]);
    assert_eq!(kind(&verifier, &token), Some(ProblemType::Unavailable), "it is asked now");
    fetched(2).await;
    while kind(&verifier, &token).is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(idp.says.lock().fetches, 2);
    follower.abort();
}

/// A sign-in that was begun: what the browser keeps of it, and what the provider was asked.
struct Begun {
    browser: HeaderMap,
    asked: Vec<(String, String)>,
}

impl Begun {
    async fn new(sign_in: &SignIn) -> Self {
        let response = sign_in.begin(Some("page=checkpoint")).await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let address = url::Url::parse(response.headers()["location"].to_str().unwrap()).unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        for attribute in ["__Host-yima-sign-in-checkpoint=", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        let pair = cookie.split(';').next().unwrap();
        let browser = HeaderMap::from_iter([(axum::http::header::COOKIE, HeaderValue::try_from(pair).unwrap())]);
        Self { browser, asked: address.query_pairs().into_owned().collect() }
    }

    fn asked(&self, name: &str) -> &str {
        &self.asked.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no {name}")).1
    }
}

#[tokio::test]
async fn a_sign_in_ends_only_as_it_was_begun() {
    let (idp, directory) = (Idp::start().await, TempDir::new().unwrap());
    let key = Key::new(Algorithm::RS256, "one");
    idp.publish(&[&key]);
    let provider = idp.provider(directory.path());
    let verifier = Verifier::new(provider.keys(), &idp.config());
    let at_node = |secret| {
        let keys = SealKeys::new(&[secret], "sign-in");
        SignIn::new(provider.clone(), keys, "https://code.example/", Page::READING, clock)
    };
    let (sign_in, stranger) = (at_node([1; 32]), at_node([2; 32]));
    let begun = Begun::new(&sign_in).await;
    assert_eq!(begun.asked("redirect_uri"), "https://code.example/sign-in/callback");
    assert_eq!(begun.asked("realm"), "city", "the address's own query stays");
    let (state, iss) = (begun.asked("state").to_owned(), idp.issuer());
    let guard = json!({"aud": "pages", "nonce": begun.asked("nonce"), "scope": "scan", "checkpoint": "gate"});
    let answer = |changes: Value| {
        let mut claims = guard.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        key.sign(&iss, &claims)
    };
    let finish = async |sign_in: &SignIn, query: &str, id_token: String| {
        idp.says.lock().id_token = id_token;
        sign_in.finish(&verifier, &begun.browser, Some(query)).await.map_err(|(_, trouble)| trouble)
    };
    let query = format!("state={state}&code=c&iss={iss}&session_state=x");
    let Finished { page, claims } = finish(&at_node([1; 32]), &query, answer(json!({}))).await.unwrap();
    assert!(page == Page::Checkpoint && claims.allows(Scope::Scan) && claims.operator.as_deref() == Some("u-1"));
    let asked = idp.says.lock().asked.clone();
    let sent = |name: &str| asked.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    assert_eq!((sent("code"), sent("client_id")), (Some("c"), Some("pages")));
    let challenge = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, sent("code_verifier").unwrap().as_bytes());
    use base64::Engine;
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(challenge);
    assert_eq!(begun.asked("code_challenge"), challenge);

    for (query, trouble) in [
        (String::new(), Trouble::Unknown),
        (format!("code=c&iss={iss}"), Trouble::Unknown),
        (format!("state={}&code=c&iss={iss}", state.replace(|c: char| c.is_ascii_digit(), "A")), Trouble::Unknown),
        (format!("state={state}&state={state}&code=c&iss={iss}"), Trouble::Unknown),
        (format!("state={state}&code=c"), Trouble::Refused),
        (format!("state={state}&code=c&iss=https://other.example"), Trouble::Refused),
        (format!("state={state}&iss={iss}"), Trouble::Refused),
        (format!("state={state}&error=access_denied&iss={iss}"), Trouble::Denied),
        (format!("state={state}&error=server_error&iss={iss}"), Trouble::Refused),
    ] {
        assert_eq!(finish(&sign_in, &query, answer(json!({}))).await.err(), Some(trouble), "{query}");
    }
    for wrong in [
        json!({"nonce": "other"}),
        json!({"nonce": null}),
        json!({"aud": "yima"}),
        json!({"aud": ["pages", "other"]}),
        json!({"aud": ["pages", "other"], "azp": "other"}),
        json!({"iss": "https://other.example"}),
        json!({"exp": 1}),
    ] {
        assert_eq!(finish(&sign_in, &query, answer(wrong.clone())).await.err(), Some(Trouble::Refused), "{wrong}");
    }
    assert!(finish(&sign_in, &query, answer(json!({"aud": ["pages", "other"], "azp": "pages"}))).await.is_ok());
    assert_eq!(finish(&sign_in, &query, String::new()).await.err(), Some(Trouble::Refused), "the code was used");
    assert_eq!(finish(&stranger, &query, answer(json!({}))).await.err(), Some(Trouble::Unknown));

    // The provider signs with a new key since the last fetch.
    let newer = Key::new(Algorithm::EdDSA, "newer");
    idp.publish(&[&key, &newer]);
    assert!(finish(&sign_in, &query, newer.sign(&iss, &guard)).await.is_ok());
    LATER.set(Duration::from_secs(601));
    assert_eq!(finish(&sign_in, &query, answer(json!({}))).await.err(), Some(Trouble::Expired));
    LATER.set(Duration::ZERO);
    idp.server.abort();
    assert!(matches!(sign_in.begin(Some("page=agency")).await, Err(Trouble::Unknown)));
    LATER.set(Duration::from_secs(60));
    assert!(matches!(sign_in.begin(None).await, Err(Trouble::ProviderDown { retry_after_s: 10 })));
}
