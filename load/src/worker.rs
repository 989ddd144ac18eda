//! A thread of the generator: sends what its schedule says when it says so, over connections of its own.
//!
//! The loop is open: an arrival that finds no free connection waits in line, and its time counts from the moment at
//! which it should have been sent. Nothing is skipped silently: what cannot be sent is counted as not sent.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::answer::{self, Answer, Malformed};
use crate::class::{Class, Pool};
use crate::connection::{Connection, Request, State};
use crate::figures::{Failure, Record};
use crate::mix::{Mix, Target};
use crate::requests::Requests;
use crate::schedule::{Next, Schedule};
use crate::timer::Timer;

/// Requests of a thread that wait for a connection at most; a hundred bytes each.
const MAX_WAITING: usize = 200_000;
/// Arrivals that are sent before answers are looked at again.
const SENT_AT_ONCE: usize = 64;
/// Time-outs and ends of live displays are as precise as this.
const SWEEP_EVERY: Duration = Duration::from_millis(20);
/// The timer's place among the connections.
const TIMER: Token = Token(usize::MAX);
/// Bytes of one read.
const READ_BYTES: usize = 65_536;

/// A thread's connections and figures.
pub(crate) struct Worker<'m> {
    mix: &'m Mix,
    schedule: Schedule,
    pub(crate) requests: Requests,
    poll: Poll,
    timer: Timer,
    connections: Vec<Connection>,
    /// Connections that wait for a request, the one that has waited longest first: all are used in turn.
    free: [VecDeque<usize>; Pool::ALL.len()],
    waiting: [VecDeque<Request>; Pool::ALL.len()],
    /// Requests that were begun and have neither an answer nor failed.
    begun: usize,
    buffer: Vec<u8>,
    pub(crate) record: Record,
}

impl<'m> Worker<'m> {
    /// Connects all kept connections.
    ///
    /// # Errors
    /// One of them is refused, or the system has too few files.
    pub(crate) fn new(mix: &'m Mix, schedule: Schedule, requests: Requests, threads: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        let share = |all: usize, is_used: bool| if is_used { all.div_ceil(threads) } else { 0 };
        let counts = [
            (Pool::Read, share(mix.connections, Class::ALL.iter().any(|c| c.pool() == Pool::Read && mix.has(*c)))),
            (Pool::Writer, share(mix.writer_connections, mix.has(Class::Upload))),
            (Pool::Live, share(mix.live_displays, mix.has(Class::LiveDisplay))),
        ];
        let (mut connections, mut free) = (Vec::new(), [const { VecDeque::new() }; Pool::ALL.len()]);
        for (pool, count) in counts {
            for _ in 0..count {
                let slot = connections.len();
                let mut connection = Connection::new(pool);
                if let (Some(target), true) = (target(mix, pool), pool != Pool::Live) {
                    connection.connect_first(target.address, poll.registry(), Token(slot))?;
                }
                connections.push(connection);
                free[pool as usize].push_back(slot);
            }
        }
        Ok(Self {
            mix,
            schedule,
            requests,
            poll,
            timer,
            connections,
            free,
            waiting: [const { VecDeque::new() }; Pool::ALL.len()],
            begun: 0,
            buffer: vec![0; READ_BYTES],
            record: Record::default(),
        })
    }

    /// Runs the schedule, from `start`, to the last answer or time-out.
    ///
    /// # Errors
    /// The system's, of epoll or the timer.
    pub(crate) fn run(&mut self, start: Instant) -> io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut sweep_at = start + SWEEP_EVERY;
        loop {
            let Some(timeout) = self.arrivals(start)? else { return Ok(()) };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            for event in events.iter().filter(|event| event.token() != TIMER) {
                self.handle(event.token().0, event.is_readable(), event.is_writable(), event.is_read_closed());
            }
            let now = Instant::now();
            if now >= sweep_at {
                self.sweep(now);
                sweep_at = now + SWEEP_EVERY;
            }
            Pool::ALL.into_iter().for_each(|pool| self.send_waiting(pool));
        }
    }

    /// Sends what is due. The longest time to wait for events; `None` at the end of the run.
    fn arrivals(&mut self, start: Instant) -> io::Result<Option<Duration>> {
        for _ in 0..SENT_AT_ONCE {
            let now = Instant::now();
            match self.schedule.next() {
                Next::At(at) if start + at <= now => self.arrive(start + at),
                Next::At(at) => {
                    self.timer.set((start + at).duration_since(now))?;
                    return Ok(Some(SWEEP_EVERY));
                }
                Next::WhenFree { until, .. } if start + until <= now => self.schedule.end_phase(),
                Next::WhenFree { from, .. } if start + from > now => {
                    self.timer.set((start + from).duration_since(now))?;
                    return Ok(Some(SWEEP_EVERY));
                }
                Next::WhenFree { .. } => {
                    if self.free.iter().all(VecDeque::is_empty) || self.waiting.iter().any(|line| !line.is_empty()) {
                        return Ok(Some(SWEEP_EVERY));
                    }
                    self.arrive(now);
                }
                Next::Over if self.begun == 0 && self.waiting.iter().all(VecDeque::is_empty) => return Ok(None),
                Next::Over => return Ok(Some(SWEEP_EVERY)),
            }
        }
        Ok(Some(Duration::ZERO))
    }

    /// A request arrives: it is sent, or waits.
    fn arrive(&mut self, intended: Instant) {
        let (phase, class) = self.schedule.take();
        let request = Request { class, phase, intended, gives_up_at: intended + self.mix.timeout };
        self.record.of(phase, class).wanted += 1;
        let pool = class.pool();
        if self.waiting[pool as usize].len() >= MAX_WAITING {
            return self.fail(request, Failure::Unsent);
        }
        self.waiting[pool as usize].push_back(request);
        self.send_waiting(pool);
    }

    /// Gives waiting requests to free connections. What nobody waits for any more is not sent: a generator that has
    /// fallen behind would ask in its own time, not in its clients'.
    fn send_waiting(&mut self, pool: Pool) {
        while !self.free[pool as usize].is_empty() {
            let Some(request) = self.waiting[pool as usize].pop_front() else { return };
            if request.gives_up_at <= Instant::now() {
                self.fail(request, Failure::Unsent);
            } else if let Some(slot) = self.free[pool as usize].pop_front() {
                self.begin(slot, request);
            }
        }
    }

    fn begin(&mut self, slot: usize, request: Request) {
        let connection = &mut self.connections[slot];
        if let Err(failure) = self.requests.write(request.class, Instant::now(), &mut connection.request) {
            self.free[connection.pool as usize].push_back(slot);
            return self.fail(request, failure);
        }
        self.begun += 1;
        if connection.is_open() {
            return self.send(slot, request);
        }
        connection.state = State::Connecting(request);
        let target = target(self.mix, connection.pool).expect("a mix with this class has its target");
        if connection.connect(target.address, self.poll.registry(), Token(slot)).is_err() {
            self.lose(slot);
        }
    }

    fn send(&mut self, slot: usize, request: Request) {
        let (now, connection) = (Instant::now(), &mut self.connections[slot]);
        connection.state = State::Waiting(request, now);
        let result = connection.send();
        let figures = self.record.of(request.phase, request.class);
        figures.sent += 1;
        figures.late.record(now.saturating_duration_since(request.intended));
        if result.is_err() {
            self.lose(slot);
        }
    }

    fn handle(&mut self, slot: usize, readable: bool, writable: bool, ends: bool) {
        let connection = &mut self.connections[slot];
        let is_whole = match connection.state {
            State::Connecting(request) if writable => match connection.finish_connecting() {
                Ok(true) => {
                    self.send(slot, request);
                    true
                }
                Ok(false) => true,
                Err(_) => false,
            },
            State::Waiting(..) if writable && connection.has_unsent() => connection.send_rest().is_ok(),
            State::Free | State::Connecting(_) | State::Waiting(..) | State::Live { .. } => true,
        };
        if !is_whole {
            return self.lose(slot);
        }
        if readable {
            self.receive(slot, ends);
        }
    }

    /// Reads until nothing is left. A read that does not fill the buffer has read all, but for the end.
    fn receive(&mut self, slot: usize, ends: bool) {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            match self.connections[slot].read(&mut buffer) {
                Ok(None) => break,
                Ok(Some(0)) | Err(_) => {
                    self.lose(slot);
                    break;
                }
                Ok(Some(read)) => {
                    if self.take(slot, &buffer[..read]).is_err() {
                        self.end(slot, Failure::Malformed);
                        break;
                    }
                    if read < buffer.len() && !ends {
                        break;
                    }
                }
            }
        }
        self.buffer = buffer;
    }

    /// Takes what was received.
    fn take(&mut self, slot: usize, bytes: &[u8]) -> Result<(), Malformed> {
        let connection = &mut self.connections[slot];
        let (request, sent) = match connection.state {
            State::Waiting(request, sent) => (request, sent),
            State::Live { phase, .. } => {
                self.record.of(phase, Class::LiveDisplay).bytes_received += bytes.len() as u64;
                return Ok(());
            }
            State::Free | State::Connecting(_) => return Err(Malformed),
        };
        self.record.of(request.phase, request.class).bytes_received += bytes.len() as u64;
        let mut kept = std::mem::take(&mut connection.received);
        let all = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            &kept[..]
        };
        if request.class == Class::LiveDisplay && answer::status(all)? == Some(200) {
            let now = Instant::now();
            self.record.of(request.phase, request.class).answered(200, now - request.intended, now - sent);
            connection.state = State::Live { until: now + self.mix.live_display_for, phase: request.phase };
            self.begun -= 1;
            return Ok(());
        }
        match answer::read(all)? {
            Some(answer) => {
                self.finish(slot, request, sent, &answer, &all[answer.body.clone()]);
                kept.clear();
            }
            None if kept.is_empty() => kept.extend_from_slice(bytes),
            None => {}
        }
        self.connections[slot].received = kept;
        Ok(())
    }

    /// A whole answer.
    fn finish(&mut self, slot: usize, request: Request, sent: Instant, answer: &Answer, body: &[u8]) {
        let now = Instant::now();
        let figures = self.record.of(request.phase, request.class);
        figures.answered(answer.status, now.saturating_duration_since(request.intended), now - sent);
        if let (Class::Code, Some(code)) = (request.class, answer::code(body)) {
            self.requests.keep_code(code, now);
        }
        let connection = &mut self.connections[slot];
        connection.served += 1;
        if answer.closes || connection.served >= self.mix.requests_per_connection || connection.pool == Pool::Live {
            connection.close();
        }
        self.begun -= 1;
        self.release(slot);
    }

    /// The socket is gone.
    fn lose(&mut self, slot: usize) {
        let failure = match self.connections[slot].state {
            State::Connecting(_) => Failure::Connect,
            State::Free | State::Waiting(..) | State::Live { .. } => Failure::Closed,
        };
        self.end(slot, failure);
    }

    /// Closes a connection. Its request, if it has one, has failed.
    fn end(&mut self, slot: usize, failure: Failure) {
        let connection = &mut self.connections[slot];
        connection.close();
        match connection.state {
            // It is in line, and will connect again.
            State::Free => {}
            State::Live { .. } => self.release(slot),
            State::Connecting(request) | State::Waiting(request, _) => {
                self.fail(request, failure);
                self.begun -= 1;
                self.release(slot);
            }
        }
    }

    fn release(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        connection.state = State::Free;
        self.free[connection.pool as usize].push_back(slot);
    }

    fn fail(&mut self, request: Request, failure: Failure) {
        let waited = Instant::now().saturating_duration_since(request.intended);
        self.record.of(request.phase, request.class).failed(failure, waited);
    }

    /// Gives up what has waited too long, and closes live displays whose time is over.
    fn sweep(&mut self, now: Instant) {
        for slot in 0..self.connections.len() {
            match self.connections[slot].state {
                State::Connecting(request) | State::Waiting(request, _) if request.gives_up_at <= now => {
                    self.end(slot, Failure::TimedOut);
                }
                State::Live { until, .. } if until <= now => self.end(slot, Failure::Closed),
                State::Free | State::Connecting(_) | State::Waiting(..) | State::Live { .. } => {}
            }
        }
        for pool in Pool::ALL {
            while self.waiting[pool as usize].front().is_some_and(|request| request.gives_up_at <= now) {
                if let Some(request) = self.waiting[pool as usize].pop_front() {
                    self.fail(request, Failure::Unsent);
                }
            }
        }
    }
}

/// Where the connections of a pool go.
fn target(mix: &Mix, pool: Pool) -> Option<&Target> {
    match pool {
        Pool::Read | Pool::Live => Some(&mix.read),
        Pool::Writer => mix.writer.as_ref(),
    }
}
