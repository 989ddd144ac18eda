//! The certificate that new connections are shown, and its change while others go on.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};
use yima_schema::time::Time;

use super::{TlsConfig, TlsError};
use crate::clock::now;
use crate::pem::PemFile;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(2);

/// What is shown now, and where it came from.
#[derive(Debug)]
pub(super) struct Certificate {
    service: &'static str,
    config: TlsConfig,
    /// The files of the start.
    loaded: Seen,
    pair: ArcSwap<Pair>,
}

#[derive(Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    begins: Time,
    /// The earliest of the chain.
    ends: Time,
}

/// What became of files that changed.
enum Taken {
    /// They are shown, or never will be.
    Judged,
    /// They may be at a later look: their time comes, or that of the shown ones ends.
    Waits,
}

/// Both files, as they were at one look.
struct Files {
    cert: PemFile,
    key: PemFile,
}

/// Equal for equal texts; of a file that cannot be read there is none.
type Seen = [Option<Vec<u8>>; 2];

impl Certificate {
    pub(super) fn load(service: &'static str, config: &TlsConfig) -> Result<Arc<Self>, TlsError> {
        let files = Files::read(config);
        let pair = files.pair()?;
        pair.warn(service);
        Ok(Arc::new(Self { service, config: config.clone(), loaded: files.seen(), pair: ArcSwap::from_pointee(pair) }))
    }

    /// Looks at the files again and again. What has changed is taken once it is the same at two looks, since two files are not replaced at
    /// once. A pair that cannot be used changes nothing. One that is not valid now waits as long as the shown one is.
    pub(super) async fn watch(self: Arc<Self>) {
        let ends = metrics::gauge!("tls_certificate_expires_seconds", "service" => self.service);
        // From the start, so that the first of each is seen to be one more.
        ["taken", "refused"].iter().for_each(|outcome| self.reloads(outcome).increment(0));
        let (mut judged, mut changed, mut waiting) = (self.loaded.clone(), None, None);
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            self.report(&ends);
            let config = self.config.clone();
            // A file system may keep us waiting.
            let Ok(files) = tokio::task::spawn_blocking(move || Files::read(&config)).await else { return };
            let seen = files.seen();
            if seen != judged && changed.as_ref() == Some(&seen) {
                match self.take(&files, waiting.as_ref() == Some(&seen)) {
                    Taken::Judged => judged = seen.clone(),
                    Taken::Waits => waiting = Some(seen.clone()),
                }
            }
            changed = Some(seen);
        }
    }

    fn take(&self, files: &Files, is_known: bool) -> Taken {
        match files.pair() {
            Ok(pair) if !pair.is_valid(now()) && self.pair.load().is_valid(now()) => {
                if !is_known {
                    let (begins, ends) = (pair.begins, pair.ends);
                    tracing::error!(service = self.service, %begins, %ends, "the new certificate is not valid now; the old one stays");
                    self.reloads("refused").increment(1);
                }
                return Taken::Waits;
            }
            Ok(pair) => {
                pair.warn(self.service);
                tracing::info!(service = self.service, ends = %pair.ends, "a new certificate is shown to new connections");
                self.pair.store(Arc::new(pair));
                self.reloads("taken").increment(1);
            }
            Err(fault) => {
                tracing::error!(service = self.service, %fault, "the new certificate is refused; the old one stays");
                self.reloads("refused").increment(1);
            }
        }
        Taken::Judged
    }

    fn reloads(&self, outcome: &'static str) -> Counter {
        metrics::counter!("tls_reloads_total", "service" => self.service, "outcome" => outcome)
    }

    fn report(&self, ends: &Gauge) {
        let ms = self.pair.load().ends.as_millis() - now().as_millis();
        ends.set(ms as f64 / 1_000.0);
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair.load().key.clone())
    }
}

impl Files {
    fn read(config: &TlsConfig) -> Self {
        Self { cert: PemFile::read(&config.cert_file), key: PemFile::read(&config.key_file) }
    }

    fn seen(&self) -> Seen {
        [self.cert.digest(), self.key.digest()]
    }

    fn pair(&self) -> Result<Pair, TlsError> {
        let chain = self.cert.certificates().map_err(TlsError::Certificate)?;
        let mut times = Vec::new();
        for certificate in &chain {
            let (_, parsed) = X509Certificate::from_der(certificate)
                .map_err(|_| TlsError::Certificate(self.cert.fault("expected X.509 certificates")))?;
            let valid = parsed.validity();
            times.push((Time::from_secs(valid.not_before.timestamp()), Time::from_secs(valid.not_after.timestamp())));
        }
        let begins = times.iter().map(|(begins, _)| *begins).max().unwrap_or(Time::MIN);
        let ends = times.iter().map(|(_, ends)| *ends).min().unwrap_or(Time::MAX);
        let key = self.key.private_key().map_err(TlsError::Key)?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|_| {
            TlsError::Key(self.key.fault("expected the private key of the first certificate in cert_file"))
        })?;
        Ok(Pair { key: Arc::new(key), begins, ends })
    }
}

impl Pair {
    fn is_valid(&self, at: Time) -> bool {
        self.begins <= at && at < self.ends
    }

    /// Clients will not believe it, but no certificate is no better.
    fn warn(&self, service: &'static str) {
        let (begins, ends) = (self.begins, self.ends);
        if ends <= now() {
            tracing::warn!(service, %ends, "the certificate has expired");
        } else if begins > now() {
            tracing::warn!(service, %begins, "the certificate is not valid yet");
        }
    }
}

pub(super) fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}
