//! The certificate of a TLS port, and its replacement while connections go on.

use std::path::PathBuf;
use std::sync::Arc;

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
use crate::watched_file::{self, Contents, Fingerprint, WatchedFiles};

/// The certificate that new connections get, and the files that it is reloaded from.
#[derive(Debug)]
pub(super) struct Certificate {
    service: &'static str,
    /// Certificate and key.
    paths: [PathBuf; 2],
    /// Of the files at the start.
    loaded: Fingerprint<2>,
    pair: ArcSwap<Pair>,
}

#[derive(Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    /// The latest of the chain.
    begins: Time,
    /// The earliest of the chain.
    ends: Time,
}

/// The result of judging changed files.
enum Reload {
    /// They were taken, or can never be used.
    Done,
    /// They may be taken at a later poll: once they become valid, or the pair in use ends.
    NotYetValid,
}

/// Both files, as they were at one poll.
struct Files {
    cert: PemFile,
    key: PemFile,
}

impl Certificate {
    pub(super) fn load(service: &'static str, config: &TlsConfig) -> Result<Arc<Self>, TlsError> {
        let paths = [config.cert_file.clone(), config.key_file.clone()];
        let contents = watched_file::read(&paths);
        let loaded = Fingerprint::new(&contents);
        let pair = Files::new(&paths, contents).pair()?;
        pair.warn(service);
        Ok(Arc::new(Self { service, paths, loaded, pair: ArcSwap::from_pointee(pair) }))
    }

    /// Reloads the files whenever they change, for ever. A pair that cannot be used changes nothing. A pair that is not
    /// valid now does not replace one that is, and is judged again at each poll.
    pub(super) async fn watch(self: Arc<Self>) {
        let ends = metrics::gauge!("tls_certificate_expires_seconds", "service" => self.service);
        // Exported as 0 from the start, so that a rate shows the first of each.
        ["taken", "refused"].iter().for_each(|outcome| self.reloads(outcome).increment(0));
        let mut files = WatchedFiles::new(self.paths.clone(), self.loaded.clone());
        // The files whose pair was reported as not valid now.
        let mut reported = None;
        loop {
            self.report(&ends);
            let Some(contents) = files.poll().await else { continue };
            let fingerprint = Fingerprint::new(&contents);
            match self.reload(&Files::new(&self.paths, contents), reported.as_ref() == Some(&fingerprint)) {
                Reload::Done => files.accept(),
                Reload::NotYetValid => reported = Some(fingerprint),
            }
        }
    }

    fn reload(&self, files: &Files, is_reported: bool) -> Reload {
        match files.pair() {
            Ok(pair) if !pair.is_valid(now()) && self.pair.load().is_valid(now()) => {
                if !is_reported {
                    let (begins, ends) = (pair.begins, pair.ends);
                    let service = self.service;
                    tracing::error!(service, %begins, %ends, "the new certificate is not valid now; the old one stays");
                    self.reloads("refused").increment(1);
                }
                return Reload::NotYetValid;
            }
            Ok(pair) => {
                pair.warn(self.service);
                let (service, ends) = (self.service, pair.ends);
                tracing::info!(service, %ends, "a new certificate is shown to new connections");
                self.pair.store(Arc::new(pair));
                self.reloads("taken").increment(1);
            }
            Err(error) => {
                tracing::error!(service = self.service, %error, "the new certificate is refused; the old one stays");
                self.reloads("refused").increment(1);
            }
        }
        Reload::Done
    }

    fn reloads(&self, outcome: &'static str) -> Counter {
        metrics::counter!("tls_reloads_total", "service" => self.service, "outcome" => outcome)
    }

    pub(super) fn valid_until(&self) -> Time {
        self.pair.load().ends
    }

    fn report(&self, ends: &Gauge) {
        let ms = self.valid_until().as_millis() - now().as_millis();
        ends.set(ms as f64 / 1_000.0);
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair.load().key.clone())
    }
}

impl Files {
    fn new([cert_path, key_path]: &[PathBuf; 2], [cert, key]: Contents<2>) -> Self {
        Self { cert: PemFile::new(cert_path, cert), key: PemFile::new(key_path, key) }
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

    /// Warns of a pair that clients will refuse: it is used all the same, since a port without a certificate is no
    /// better.
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
