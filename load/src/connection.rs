//! One connection of a client: what it waits for, and what of its request and answer is on the way.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::class::{Class, Pool};

/// How long a first connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A request that has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) class: Class,
    pub(crate) phase: usize,
    /// When it should be sent. Times are counted from here, however long it waits for a connection.
    pub(crate) intended: Instant,
    pub(crate) gives_up_at: Instant,
}

/// What a connection does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    /// Nothing; with or without a socket.
    Free,
    /// It is being made for a request.
    Connecting(Request),
    /// The request is sent, or being sent, since this moment.
    Waiting(Request, Instant),
    /// An open live display.
    Live { until: Instant, phase: usize },
}

/// A connection, whose socket comes and goes.
pub(crate) struct Connection {
    pub(crate) pool: Pool,
    pub(crate) state: State,
    /// What came of an answer that is not whole.
    pub(crate) received: Vec<u8>,
    /// The request.
    pub(crate) request: Vec<u8>,
    /// As much of it is sent.
    sent: usize,
    /// Answers on this socket.
    pub(crate) served: u32,
    socket: Option<TcpStream>,
}

impl Connection {
    pub(crate) fn new(pool: Pool) -> Self {
        let (received, request) = (Vec::new(), Vec::new());
        Self { pool, state: State::Free, received, request, sent: 0, served: 0, socket: None }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// Connects before the run, and waits for it.
    pub(crate) fn connect_first(&mut self, to: SocketAddr, registry: &Registry, token: Token) -> io::Result<()> {
        let socket = std::net::TcpStream::connect_timeout(&to, CONNECT_WITHIN)?;
        socket.set_nonblocking(true)?;
        self.adopt(TcpStream::from_std(socket), registry, token)
    }

    /// Begins to connect. [`Self::finish_connecting`] when the socket can be written.
    pub(crate) fn connect(&mut self, to: SocketAddr, registry: &Registry, token: Token) -> io::Result<()> {
        self.adopt(TcpStream::connect(to)?, registry, token)
    }

    fn adopt(&mut self, mut socket: TcpStream, registry: &Registry, token: Token) -> io::Result<()> {
        socket.set_nodelay(true)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.socket = Some(socket);
        self.served = 0;
        self.received.clear();
        Ok(())
    }

    /// Whether the connection is made now.
    pub(crate) fn finish_connecting(&mut self) -> io::Result<bool> {
        let Some(socket) = &self.socket else { return Ok(false) };
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a part of the request is still to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.sent < self.request.len()
    }

    /// Begins to send the request.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        self.sent = 0;
        self.send_rest()
    }

    /// Sends as much of it as the socket takes.
    pub(crate) fn send_rest(&mut self) -> io::Result<()> {
        let Some(socket) = &mut self.socket else { return Err(ErrorKind::NotConnected.into()) };
        while self.sent < self.request.len() {
            match socket.write(&self.request[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads the bytes that have arrived; `None`: none so far, 0: the service has closed the connection.
    pub(crate) fn read(&mut self, to: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(socket) = &mut self.socket else { return Ok(None) };
        loop {
            match socket.read(to) {
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the socket, which also ends its registration.
    pub(crate) fn close(&mut self) {
        self.socket = None;
        self.received.clear();
    }
}
