//! Monitor events: what libzmq's I/O threads say happened to a socket's connections.
//!
//! libzmq sends them over an inproc PAIR, from the I/O thread, with a blocking send. A reader that is too slow or
//! already gone would stall that thread, so the reading end here has no limit and closes after the writing end.

use std::ffi::{CString, c_int};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::check;
use super::{Error, Kind, Opt, Result, Socket, ffi};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[expect(missing_docs, reason = "the names are libzmq's, its manual documents them")]
pub enum EventKind {
    Connected = 0x0001,
    ConnectDelayed = 0x0002,
    ConnectRetried = 0x0004,
    Listening = 0x0008,
    BindFailed = 0x0010,
    Accepted = 0x0020,
    AcceptFailed = 0x0040,
    Closed = 0x0080,
    CloseFailed = 0x0100,
    Disconnected = 0x0200,
    MonitorStopped = 0x0400,
    HandshakeFailedNoDetail = 0x0800,
    HandshakeSucceeded = 0x1000,
    HandshakeFailedProtocol = 0x2000,
    HandshakeFailedAuth = 0x4000,
}

const KINDS: [EventKind; 15] = [
    EventKind::Connected,
    EventKind::ConnectDelayed,
    EventKind::ConnectRetried,
    EventKind::Listening,
    EventKind::BindFailed,
    EventKind::Accepted,
    EventKind::AcceptFailed,
    EventKind::Closed,
    EventKind::CloseFailed,
    EventKind::Disconnected,
    EventKind::MonitorStopped,
    EventKind::HandshakeFailedNoDetail,
    EventKind::HandshakeSucceeded,
    EventKind::HandshakeFailedProtocol,
    EventKind::HandshakeFailedAuth,
];

/// One monitor event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// A descriptor, an error number, a wait in milliseconds: by kind.
    pub value: u32,
    /// The local endpoint on the binding side, the remote one on the connecting side.
    pub endpoint: String,
}

const ALL_EVENTS: c_int = 0xFFFF;

/// The reading end for `watched`, whose events flow from now on.
pub(super) fn watch(watched: &Socket) -> Result<Socket> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let address = format!("inproc://monitor-{}", COUNTER.fetch_add(1, Ordering::Relaxed));
    let reader = watched.context().socket(Kind::Pair)?;
    reader.set(Opt::ReceiveHighWater, 0)?;
    let text = CString::new(&*address).expect("no NUL was put in");
    // SAFETY: a live socket and a NUL-terminated address.
    check(|| unsafe { ffi::zmq_socket_monitor(watched.raw(), text.as_ptr(), ALL_EVENTS) })?;
    reader.connect(&address)?;
    Ok(reader)
}

/// Closes the writing end. Must come before the reading end closes.
pub(super) fn unwatch(watched: &Socket) {
    // SAFETY: a live socket; a null address means "stop", also when nothing was started.
    unsafe { ffi::zmq_socket_monitor(watched.raw(), std::ptr::null(), 0) };
}

pub(super) fn next(reader: &Socket, limit: Duration) -> Result<Option<Event>> {
    let Some(frames) = reader.recv_timeout(limit)? else { return Ok(None) };
    parse(&frames).map(Some).ok_or(Error::INVALID)
}

/// Frame 1 is `u16 event, u32 value` in the machine's byte order, frame 2 the endpoint.
fn parse(frames: &[Vec<u8>]) -> Option<Event> {
    let [head, endpoint] = frames else { return None };
    let (number, value) = head.split_first_chunk()?;
    let number = u16::from_ne_bytes(*number);
    Some(Event {
        kind: KINDS.into_iter().find(|kind| *kind as u16 == number)?,
        value: u32::from_ne_bytes(value.try_into().ok()?),
        endpoint: String::from_utf8_lossy(endpoint).into_owned(),
    })
}
