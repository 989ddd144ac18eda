//! The sending side of a socket: a client that does not read its answer, or reads it too slowly, is cut off.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::HttpLimits;
use super::activity::Activity;

/// How slowly an answer may be read.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Longest time without progress; also the time after which the rate counts.
    stall: Duration,
    /// Least bytes per second, of the time in which the socket takes none.
    bytes_per_s: f64,
}

impl Pace {
    pub(super) fn of(limits: &HttpLimits) -> Self {
        Self { stall: limits.send_stall, bytes_per_s: f64::from(limits.min_send_bytes_per_s.get()) }
    }
}

/// A socket whose client has to read at a pace. It is below TLS, so that it sees what the client reads. An answer that
/// the socket takes at once, as nearly all, costs one comparison.
pub(super) struct Paced {
    stream: TcpStream,
    pace: Pace,
    activity: Arc<Activity>,
    /// Made when the socket takes no more bytes for the first time.
    slow: Option<Pin<Box<Slow>>>,
}

pin_project! {
    /// The sending of an answer that the socket does not take at once.
    struct Slow {
        // The number of its request.
        request: u64,
        // Bytes that the socket took since.
        sent: u64,
        // How long it took none before `since`.
        blocked: Duration,
        // Since when it takes none.
        since: Option<Instant>,
        #[pin]
        timer: Sleep,
    }
}

impl Paced {
    pub(super) fn new(stream: TcpStream, pace: Pace, activity: Arc<Activity>) -> Self {
        Self { stream, pace, activity, slow: None }
    }

    /// The socket, for what is not answers.
    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Judges the outcome of a write.
    fn judge(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                if let Some(slow) = &mut self.slow {
                    slow.as_mut().progressed(bytes);
                    self.activity.set_blocked(false);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.activity.set_blocked(true);
                let request = self.activity.request();
                let slow = match &mut self.slow {
                    Some(slow) if slow.request == request => slow,
                    other => other.insert(Box::pin(Slow::new(request))),
                };
                if slow.as_mut().poll_cut(self.pace, cx).is_ready() {
                    metrics::counter!("http_answers_cut_total").increment(1);
                    // What is left would stay in the system's memory until the client reads it.
                    let _only_later = self.stream.set_zero_linger();
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        written
    }
}

impl Slow {
    fn new(request: u64) -> Self {
        let timer = tokio::time::sleep(Duration::ZERO);
        Self { request, sent: 0, blocked: Duration::ZERO, since: None, timer }
    }

    fn progressed(self: Pin<&mut Self>, bytes: usize) {
        let this = self.project();
        *this.sent += bytes as u64;
        if let Some(since) = this.since.take() {
            *this.blocked += since.elapsed();
        }
    }

    /// Ready when the answer is to be cut.
    fn poll_cut(self: Pin<&mut Self>, pace: Pace, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.since.is_none() {
            let now = Instant::now();
            *this.since = Some(now);
            // The time at which what was sent becomes too little.
            let enough_for = Duration::try_from_secs_f64(*this.sent as f64 / pace.bytes_per_s).unwrap_or(pace.stall);
            let until_too_slow = enough_for.max(pace.stall).saturating_sub(*this.blocked);
            this.timer.as_mut().reset(now + until_too_slow.min(pace.stall));
        }
        this.timer.poll(cx)
    }
}

impl AsyncRead for Paced {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
