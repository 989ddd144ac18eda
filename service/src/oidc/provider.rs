//! The identity provider as this process knows it: its metadata and keys, fetched now and then and kept on disk, so
//! that its death stops nobody who has signed in, and no restart.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{Mutex, Semaphore};
use url::form_urlencoded::{Serializer, byte_serialize};
use yima_schema::time::Time;

use super::Metadata;
use crate::config::Secret;
use crate::http::client::{Client, Reply, send};
use crate::jwt::{CurrentKeys, JwtConfig, KeySet};

/// In the data directory.
const FILE: &str = "identity-provider.json";
/// Time for one answer of the provider.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Longest pause after a fetch that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Codes that are redeemed at once. More wait, each no longer than for an answer.
const REDEEMED_AT_ONCE: usize = 64;

/// The provider, and what it last said.
pub struct Provider {
    config: JwtConfig,
    client: Client,
    path: PathBuf,
    keys: Arc<CurrentKeys>,
    metadata: ArcSwapOption<Metadata>,
    /// The last fetch; held during one, so that there is one at a time.
    last: Mutex<Option<Attempt>>,
    redeeming: Semaphore,
    clock: fn() -> Time,
}

#[derive(Clone, Copy)]
struct Attempt {
    at: Time,
    has_answered: bool,
}

/// What is kept on disk: both documents as they came.
#[derive(Serialize, Deserialize)]
struct Kept<'d> {
    #[serde(borrow)]
    metadata: &'d RawValue,
    #[serde(borrow)]
    jwks: &'d RawValue,
}

/// Why a fetch brought nothing.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no whole answer in time")]
    NoAnswer,
    #[error("the status {0}")]
    Status(StatusCode),
    #[error("expected JSON")]
    NotJson(#[source] serde_json::Error),
    #[error(transparent)]
    Metadata(#[from] super::MetadataError),
    #[error(transparent)]
    Keys(#[from] crate::jwt::JwksError),
}

/// Why a code was not redeemed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RedeemError {
    /// The provider does not answer.
    Down,
    /// It does not take the code: it was used, is too old, or is none of its own.
    Refused,
}

impl Provider {
    /// The provider of these settings, with what `data_dir` has of it; [`Self::follow`] fetches the rest.
    pub fn open(config: &JwtConfig, data_dir: &Path, client: Client, clock: fn() -> Time) -> Arc<Self> {
        let path = data_dir.join(FILE);
        let kept = std::fs::read(&path).ok().map(|document| read(&document, &config.issuer));
        let (metadata, keys) = match kept {
            Some(Ok((metadata, keys))) => (Some(Arc::new(metadata)), keys),
            Some(Err(error)) => {
                let path = path.display();
                tracing::warn!(%error, %path, "what was kept of the identity provider cannot be used");
                (None, KeySet::default())
            }
            None => (None, KeySet::default()),
        };
        Arc::new(Self {
            config: config.clone(),
            client,
            path,
            keys: CurrentKeys::followed(keys),
            metadata: ArcSwapOption::from(metadata),
            last: Mutex::default(),
            redeeming: Semaphore::new(REDEEMED_AT_ONCE),
            clock,
        })
    }

    /// Its keys, as they are replaced.
    pub fn keys(&self) -> Arc<CurrentKeys> {
        self.keys.clone()
    }

    pub(super) fn config(&self) -> &JwtConfig {
        &self.config
    }

    pub(super) fn metadata(&self) -> Option<Arc<Metadata>> {
        self.metadata.load_full()
    }

    /// Fetches again and again: each `refresh`, sooner after a failure, and for a key that is not known.
    pub async fn follow(self: Arc<Self>) {
        let (mut pause, mut failed_before) = (Duration::from_secs(1), false);
        loop {
            let has_answered = self.refresh(self.config.refetch_after).await.is_some();
            if failed_before && has_answered {
                tracing::info!("the identity provider answers again");
            }
            failed_before = !has_answered;
            let wait = if has_answered { self.config.refresh } else { pause.max(self.config.refetch_after) };
            pause = if has_answered { Duration::from_secs(1) } else { (pause * 2).min(LONGEST_PAUSE) };
            // So that not all nodes ask in the same second.
            let wait = wait.mul_f64(rand::random_range(0.9..=1.0));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.keys.wanted.notified() => {}
            }
        }
    }

    /// The metadata, fetched anew with the keys unless that was tried within `unless_within`; `None` if the provider
    /// did not answer then, whatever is kept of it. Callers at one time share one fetch.
    pub(super) async fn refresh(&self, unless_within: Duration) -> Option<Arc<Metadata>> {
        let mut last = self.last.lock().await;
        let now = (self.clock)();
        if let Some(attempt) = last.filter(|attempt| now.since(attempt.at) < unless_within && attempt.at <= now) {
            return self.metadata().filter(|_| attempt.has_answered);
        }
        let fetched = self.fetch().await;
        let at = (self.clock)();
        self.keys.asked(at, self.config.refetch_after);
        let was_up = last.is_none_or(|attempt| attempt.has_answered);
        *last = Some(Attempt { at, has_answered: fetched.is_ok() });
        metrics::gauge!("identity_provider_up").set(u8::from(fetched.is_ok()));
        match fetched {
            Ok((document, metadata, keys)) => {
                self.keys.replace(keys);
                let metadata = Arc::new(metadata);
                self.metadata.store(Some(metadata.clone()));
                self.keep(document).await;
                Some(metadata)
            }
            Err(error) => {
                // Once for each time that it is away.
                if was_up {
                    tracing::warn!(%error, "the identity provider cannot be used; what is kept of it goes on");
                }
                None
            }
        }
    }

    async fn fetch(&self) -> Result<(Vec<u8>, Metadata, KeySet), FetchError> {
        let issuer = &self.config.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document = self.get(&address).await?;
        let metadata = Metadata::parse(&document, issuer)?;
        let jwks = self.get(&metadata.jwks_uri).await?;
        let kept = Kept { metadata: raw(&document)?, jwks: raw(&jwks)? };
        let keys = KeySet::from_jwks(kept.jwks.get())?;
        Ok((serde_json::to_vec(&kept).map_err(FetchError::NotJson)?, metadata, keys))
    }

    async fn get(&self, address: &str) -> Result<Bytes, FetchError> {
        let request = Request::get(address).header(ACCEPT, "application/json").body(Full::default());
        // An address that was checked is one.
        let request = request.map_err(|_| FetchError::NoAnswer)?;
        let Reply { status, body, .. } =
            send(&self.client, request, ANSWER_WITHIN).await.ok_or(FetchError::NoAnswer)?;
        if status == StatusCode::OK { Ok(body) } else { Err(FetchError::Status(status)) }
    }

    /// Replaces the file, if it is another document. An error is one for the next start only.
    async fn keep(&self, document: Vec<u8>) {
        let path = self.path.clone();
        let kept = tokio::task::spawn_blocking(move || replace(&path, &document)).await;
        if let Ok(Err(error)) = kept {
            let path = self.path.display();
            tracing::warn!(%error, %path, "what the identity provider said cannot be kept for the next start");
        }
    }

    /// The ID token for a code (RFC 6749 section 4.1.3).
    pub(super) async fn redeem(&self, code: &str, verifier: &str, redirect: &str) -> Result<String, RedeemError> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
        }

        let request = self.token_request(code, verifier, redirect).ok_or(RedeemError::Down)?;
        let permit = tokio::time::timeout(ANSWER_WITHIN, self.redeeming.acquire()).await;
        let _permit = permit.map_err(|_| RedeemError::Down)?;
        let reply = send(&self.client, request, ANSWER_WITHIN).await.ok_or(RedeemError::Down)?;
        match reply.status {
            StatusCode::OK => {
                let tokens: Tokens = serde_json::from_slice(&reply.body).map_err(|_| RedeemError::Refused)?;
                Ok(tokens.id_token)
            }
            status if status.is_client_error() => {
                // It names no person; a wrong secret and a used code look alike to people.
                tracing::warn!(%status, "the identity provider has refused a code");
                Err(RedeemError::Refused)
            }
            _ => Err(RedeemError::Down),
        }
    }

    /// `None`: no metadata is known yet.
    fn token_request(&self, code: &str, verifier: &str, redirect: &str) -> Option<Request<Full<Bytes>>> {
        let metadata = self.metadata()?;
        let client_id = self.config.client_id.as_deref().unwrap_or_default();
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code").append_pair("code", code);
        form.append_pair("redirect_uri", redirect).append_pair("code_verifier", verifier);
        let mut request = Request::post(&metadata.token_endpoint)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match &self.config.client_secret {
            Some(secret) => request = request.header(AUTHORIZATION, basic(client_id, secret)),
            None => _ = form.append_pair("client_id", client_id),
        }
        request.body(Full::from(form.finish())).ok()
    }
}

/// `client_secret_basic` (RFC 6749 section 2.3.1): both are encoded as in a form.
fn basic(client_id: &str, secret: &Secret) -> HeaderValue {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret.expose())));
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).expect("base64 is visible ASCII");
    value.set_sensitive(true);
    value
}

fn raw(document: &[u8]) -> Result<&RawValue, FetchError> {
    serde_json::from_slice(document).map_err(FetchError::NotJson)
}

fn read(document: &[u8], issuer: &str) -> Result<(Metadata, KeySet), FetchError> {
    let Kept { metadata, jwks } = serde_json::from_slice(document).map_err(FetchError::NotJson)?;
    Ok((Metadata::parse(metadata.get().as_bytes(), issuer)?, KeySet::from_jwks(jwks.get())?))
}

/// Whole or not at all, also when the machine stops meanwhile.
fn replace(path: &Path, document: &[u8]) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|kept| kept == document) {
        return Ok(());
    }
    let unfinished = path.with_extension(format!("json.{}", std::process::id()));
    let mut file = File::create(&unfinished)?;
    file.write_all(document)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}
