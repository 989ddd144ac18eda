//! `audit.sock` in the data directory: over it the process that has the embedded store sends samples to the auditor of
//! its own user or root, one at a time. The request is a line with the changes and people wanted a second; the answer,
//! for ever, a line for each sample and a dot five times a second.

use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use yima_auditor::{Rates, Sample, Sampler, Source};
use yima_schema::subject::SubjectId;
use yima_schema::time::Time;
use yima_schema::view::Version;
use yima_service::clock::now;
use yima_service::lifecycle::Lifecycle;
use yima_store::embedded::EmbeddedStore;

use super::SILENT_AFTER;
use crate::local_socket::{LocalSocket, connect};

const SOCKET: &str = "audit.sock";
/// Longest request in bytes: two numbers.
const MAX_REQUEST: u64 = 32;
/// Ends the samples of a tick.
const TICK: &str = ".";

/// Sends samples of the store to auditors until the soft stop.
pub fn serve_samples(store: &Arc<EmbeddedStore>, data_dir: &Path, lifecycle: &Lifecycle) {
    let socket = match LocalSocket::bind(data_dir, SOCKET) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "no auditor can learn of changes while this process runs");
            return;
        }
    };
    let store = Arc::clone(store);
    lifecycle.spawn_until_stop("samples", async move {
        loop {
            let client = socket.accept().await;
            // A client that is gone, silent or asks for something else needs no answer.
            let _ = send(client, &store).await;
        }
    });
}

async fn send(client: StdStream, store: &Arc<EmbeddedStore>) -> io::Result<()> {
    let (reader, mut writer) = asynchronous(client)?.into_split();
    let (mut reader, mut request) = (BufReader::new(reader).take(MAX_REQUEST), String::new());
    timeout(SILENT_AFTER, reader.read_line(&mut request)).await??;
    let rates = request.trim_end().split_once(' ').and_then(|(c, p)| Some((c.parse().ok()?, p.parse().ok()?)));
    let (changes, people) = rates.ok_or(io::ErrorKind::InvalidData)?;
    let mut sampler = Sampler::new(Arc::clone(store), Rates::new(changes, people), now);
    let (out, mut samples) = mpsc::channel::<Vec<Sample>>(1);
    let write = async {
        while let Some(samples) = samples.recv().await {
            let lines: String = samples.iter().map(|sample| line(sample) + "\n").collect();
            timeout(SILENT_AFTER, writer.write_all((lines + TICK + "\n").as_bytes())).await??;
        }
        Ok(())
    };
    tokio::select! {
        sampled = sampler.run(&out) => sampled.map_err(io::Error::other),
        written = write => written,
    }
}

/// Passes the samples of the process with that data directory on until it stops sending them.
///
/// # Errors
/// No process sends any, or not any more.
pub(super) async fn follow(data_dir: &Path, rates: Rates, out: &mpsc::Sender<Vec<Sample>>) -> io::Result<()> {
    let nobody =
        || io::Error::new(io::ErrorKind::NotFound, "no yima with an embedded store runs on this data directory");
    let (reader, mut writer) = asynchronous(connect(data_dir, SOCKET)?.ok_or_else(nobody)?)?.into_split();
    writer.write_all(format!("{} {}\n", rates.changes, rates.people).as_bytes()).await?;
    let (mut lines, mut samples) = (BufReader::new(reader).lines(), Vec::new());
    loop {
        let line = timeout(SILENT_AFTER, lines.next_line()).await??.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line != TICK {
            samples.push(parse(&line).ok_or(io::ErrorKind::InvalidData)?);
        } else if out.send(std::mem::take(&mut samples)).await.is_err() {
            return Ok(());
        }
    }
}

fn asynchronous(stream: StdStream) -> io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Source, subject in hex, version, moment in milliseconds.
fn line(Sample { source, subject, version, at }: &Sample) -> String {
    let subject = u128::from_be_bytes(*subject.as_bytes());
    format!("{} {subject:032x} {} {}", source.name(), version.0, at.as_millis())
}

fn parse(line: &str) -> Option<Sample> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let source = [Source::Change, Source::Person].into_iter().find(|source| source.name() == name)?;
    let subject = SubjectId::from_bytes(u128::from_str_radix(words.next()?, 16).ok()?.to_be_bytes());
    let (version, at) = (Version(words.next()?.parse().ok()?), Time::from_millis(words.next()?.parse().ok()?));
    words.next().is_none().then_some(Sample { source, subject, version, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_read_back_from_its_line() {
        let subject = SubjectId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        for source in [Source::Change, Source::Person] {
            let sample = Sample { source, subject, version: Version(u64::MAX), at: Time::from_millis(1_234) };
            assert!(parse(&line(&sample)) == Some(sample));
        }
        for wrong in ["", "canary 0 1 2", "change x 1 2", "change 0 1", "change 0 1 2 3", "change 0 -1 2"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
