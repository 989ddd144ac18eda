//! One request after another over a socket that may block: for what happens before and beside a run.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::answer;
use crate::class::Class;
use crate::mix::Target;
use crate::requests::Requests;

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(5);
/// Codes that a thread gets before its first scan.
const FIRST_CODES: u64 = 32;

fn connect(target: &Target) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&target.address, WITHIN)?;
    socket.set_read_timeout(Some(WITHIN))?;
    socket.set_write_timeout(Some(WITHIN))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Sends a request and returns status and body.
fn exchange(socket: &mut TcpStream, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
    socket.write_all(request)?;
    let (mut received, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        match answer::read(&received) {
            Ok(Some(answer)) => return Ok((answer.status, received[answer.body].to_vec())),
            Ok(None) => {}
            Err(_) => return Err(ErrorKind::InvalidData.into()),
        }
        match socket.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => received.extend_from_slice(&buffer[..read]),
        }
    }
}

/// Gets the first codes to scan. Their number, for those who compare counts with the service's.
///
/// # Errors
/// No answer comes.
pub(crate) fn first_codes(target: &Target, requests: &mut Requests) -> io::Result<u64> {
    let (mut socket, mut request) = (connect(target)?, Vec::new());
    for _ in 0..FIRST_CODES {
        // Only scans can have no code.
        if requests.write(Class::Code, Instant::now(), &mut request).is_ok()
            && let (200, body) = exchange(&mut socket, &request)?
            && let Some(code) = answer::code(&body)
        {
            requests.keep_code(code, Instant::now());
        }
    }
    Ok(FIRST_CODES)
}

/// The metrics of an admin port.
///
/// # Errors
/// It gives none.
pub(crate) fn metrics(target: &Target) -> io::Result<String> {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", target.host);
    match exchange(&mut connect(target)?, request.as_bytes())? {
        (200, body) => String::from_utf8(body).map_err(|_| ErrorKind::InvalidData.into()),
        (status, _) => Err(io::Error::other(format!("status {status}"))),
    }
}
