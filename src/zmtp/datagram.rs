//! The link over datagrams, sans-IO: best effort for messages, reliable for what is said about them.
//!
//! Every packet is `kind(1) link id(8) body`, all numbers big-endian. Whoever calls chooses the id, at random; it keeps
//! out those who cannot see the packets. [`hello`] is how a link begins. Then messages go out as `DATA number(8)
//! frames`, one a packet. Packets that come late, or again, are dropped, so a peer's order holds and nothing is delivered
//! twice; PING, PONG and BYE tell the last number, and [`ledger`] counts what did not come. Commands are one run of
//! bytes, sent in pieces as `COMMANDS place(8) bytes`, again and again until an ACK names the next place ([`commands`]).
//!
//! Invariant: whatever arrives, nothing here panics, and what is kept does not grow with it.

mod commands;
pub(crate) mod hello;
pub(crate) mod ledger;
pub(crate) mod publication;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};

use self::ledger::{Arrival, Ledger, Missed};
use super::command::Command;
use super::error::ProtocolError;
use super::frame::Header;
use super::heartbeat::{Heartbeat, HeartbeatConfig};
use super::{Config, PeerInfo};

/// The largest datagram of UDP over IPv4.
const MAX_PACKET: usize = 65_507;

/// The size of [`Kind::Data`] without its frames, and of [`Kind::Bye`] and its like: a kind, an id and a number.
const SHORT: usize = 17;

/// The most bytes that the frames of a message may have together with their headers. What is left is for the header of
/// the packet, and for the envelope that a request or its reply gets: some ten hops of 7 bytes.
pub(crate) const MAX_BYTES: usize = 65_400;

/// How often a peer is asked, and how long it may be silent then, unless the socket's heartbeat says: without, a peer
/// that is gone would be kept for ever, for nothing else tells over datagrams.
const IDLE: Duration = Duration::from_secs(60);
const SILENT: Duration = Duration::from_secs(120);

/// And at the most, for the same reason.
const LONGEST: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hello = 1,
    Cookie,
    Accept,
    Refuse,
    Data,
    Commands,
    Ack,
    Ping,
    Pong,
    Bye,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Hello,
        Self::Cookie,
        Self::Accept,
        Self::Refuse,
        Self::Data,
        Self::Commands,
        Self::Ack,
        Self::Ping,
        Self::Pong,
        Self::Bye,
    ];

    fn put(self, out: &mut BytesMut, id: u64) {
        out.put_u8(self as u8);
        out.put_u64(id);
    }
}

/// A packet's kind, link id and body.
fn split(mut packet: &[u8]) -> Option<(Kind, u64, &[u8])> {
    let code = packet.try_get_u8().ok()?;
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == code)?;
    let id = packet.try_get_u64().ok()?;
    Some((kind, id, packet))
}

/// Writes the answer to a packet of a link that is not there any more, unless it would be the larger of the two.
pub(crate) fn put_unknown(out: &mut BytesMut, packet: &[u8]) {
    if let Some((Kind::Data | Kind::Commands | Kind::Ping, id, _)) = split(packet)
        && packet.len() >= SHORT
    {
        Kind::Bye.put(out, id);
        out.put_u64(0);
    }
}

/// What a packet meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// Nothing for the socket.
    Nothing,
    /// The frames of a whole message.
    Message(&'a [u8]),
    Commands(Vec<Command>),
    /// The peer has ended the link.
    Bye,
}

/// One end of a link whose handshake is over.
#[derive(Debug)]
pub(crate) struct Link {
    config: Arc<Config>,
    id: u64,
    /// The number of the last message sent.
    sent: u64,
    /// Those that arrived.
    arrived: Ledger,
    outgoing: commands::Outgoing,
    incoming: commands::Incoming,
    heartbeat: Heartbeat,
    owes_accept: bool,
    owes_ack: bool,
    owes_ping: bool,
    owes_pong: bool,
}

impl Link {
    /// An end of a link that has just begun.
    fn new(config: &Arc<Config>, id: u64, peer: &PeerInfo, now: Instant) -> Self {
        let mut heartbeat = Heartbeat::default();
        heartbeat.start(&watched(&config.heartbeat), peer, now);
        Self {
            config: Arc::clone(config),
            id,
            sent: 0,
            arrived: Ledger::after(0),
            outgoing: commands::Outgoing::default(),
            incoming: commands::Incoming::default(),
            heartbeat,
            owes_accept: false,
            owes_ack: false,
            owes_ping: false,
            owes_pong: false,
        }
    }

    /// Writes the packet of a message, whose frames are written by `frames`. Returns their size; zero, and nothing is
    /// written, if there are none. An error is the size of those that fit into no packet.
    pub(crate) fn put_message(
        &mut self,
        out: &mut BytesMut,
        frames: impl FnOnce(&mut BytesMut),
    ) -> Result<usize, usize> {
        let number = self.sent.saturating_add(1);
        let put = put_frames(out, |out| self.put_number(out, Kind::Data, number), frames);
        if put.is_ok_and(|size| size > 0) {
            self.sent = number;
        }
        put
    }

    /// Sends a command until it is acknowledged.
    pub(crate) fn send_command(&mut self, command: &Command) {
        self.outgoing.push(command);
    }

    /// Writes the last packet.
    pub(crate) fn put_bye(&self, out: &mut BytesMut) {
        self.put_number(out, Kind::Bye, self.sent);
    }

    fn put_number(&self, out: &mut BytesMut, kind: Kind, number: u64) {
        kind.put(out, self.id);
        out.put_u64(number);
    }

    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// The peer called once more, so it does not know that it was accepted.
    pub(crate) const fn accept(&mut self) {
        self.owes_accept = true;
    }

    /// Has the peer show that it is there.
    pub(crate) const fn ask(&mut self) {
        self.owes_ping = true;
    }

    /// Takes a packet. What is no packet of this link, or of nobody, is nothing.
    pub(crate) fn handle<'a>(&mut self, packet: &'a [u8], now: Instant) -> Result<Heard<'a>, ProtocolError> {
        let Some((kind, id, mut body)) = split(packet) else { return Ok(Heard::Nothing) };
        if id != self.id {
            return Ok(Heard::Nothing);
        }
        self.heartbeat.alive();
        let Some(number) = body.try_get_u64().ok() else { return Ok(Heard::Nothing) };
        match kind {
            Kind::Data => match self.arrived.arrived(number, now) {
                Arrival::Next => {
                    check_message(&self.config, body)?;
                    return Ok(Heard::Message(body));
                }
                Arrival::Old => {}
                Arrival::Absurd => return Err(ProtocolError::MalformedCommand { name: "DATA".into() }),
            },
            Kind::Commands => {
                self.owes_ack = true;
                return Ok(Heard::Commands(self.incoming.take(number, body)?));
            }
            Kind::Ack => self.outgoing.acknowledged(number, now),
            Kind::Ping | Kind::Pong | Kind::Bye => {
                if !self.arrived.told(number, now) {
                    return Err(ProtocolError::MalformedCommand { name: "PING".into() });
                }
                self.owes_pong |= kind == Kind::Ping;
                if kind == Kind::Bye {
                    return Ok(Heard::Bye);
                }
            }
            Kind::Hello | Kind::Cookie | Kind::Accept | Kind::Refuse => {}
        }
        Ok(Heard::Nothing)
    }

    /// Whether there is a packet to write.
    pub(crate) fn is_owing(&self) -> bool {
        self.owes_accept || self.owes_ack || self.owes_pong || self.owes_ping || self.outgoing.is_owed()
    }

    /// Writes the next packet that is owed. False: there is none.
    pub(crate) fn poll_packet(&mut self, out: &mut BytesMut, now: Instant) -> bool {
        if std::mem::take(&mut self.owes_accept) {
            hello::put_accept(out, self.id, &self.config);
        } else if std::mem::take(&mut self.owes_ack) {
            self.put_number(out, Kind::Ack, self.incoming.heard());
        } else if std::mem::take(&mut self.owes_pong) {
            self.put_number(out, Kind::Pong, self.sent);
        } else if std::mem::take(&mut self.owes_ping) {
            self.put_number(out, Kind::Ping, self.sent);
        } else if self.outgoing.is_owed() {
            Kind::Commands.put(out, self.id);
            self.outgoing.put_piece(out, now);
        } else {
            return false;
        }
        true
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let times =
            [self.heartbeat.poll_timeout(), self.outgoing.poll_timeout(), self.arrived.poll_timeout()];
        times.into_iter().flatten().min()
    }

    /// Returns the messages that have not come since that was last told.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<Missed, ProtocolError> {
        self.outgoing.handle_timeout(now)?;
        self.owes_ping |= self.heartbeat.handle_timeout(now)?;
        Ok(self.arrived.handle_timeout(now))
    }

    /// At the end: the messages that have not come and have not been told.
    pub(crate) fn finish(&mut self) -> Missed {
        self.arrived.finish()
    }
}

/// Writes a packet with a message, or nothing; see [`Link::put_message`].
fn put_frames(
    out: &mut BytesMut,
    head: impl FnOnce(&mut BytesMut),
    frames: impl FnOnce(&mut BytesMut),
) -> Result<usize, usize> {
    let start = out.len();
    head(out);
    let head = out.len();
    frames(out);
    let size = out.len().saturating_sub(head);
    let fits = out.len().saturating_sub(start) <= MAX_PACKET;
    if size == 0 || !fits {
        out.truncate(start);
    }
    if fits { Ok(size) } else { Err(size) }
}

/// How a peer is watched.
fn watched(config: &HeartbeatConfig) -> HeartbeatConfig {
    let interval = config.interval.filter(|interval| !interval.is_zero());
    let timeout = if config.timeout.is_zero() { SILENT } else { config.timeout };
    HeartbeatConfig {
        interval: Some(interval.unwrap_or(IDLE).min(LONGEST)),
        timeout: timeout.min(LONGEST),
        ..config.clone()
    }
}

/// Whether these bytes are the frames of one message, within the limits.
fn check_message(config: &Config, frames: &[u8]) -> Result<(), ProtocolError> {
    let (mut rest, mut count, mut bytes) = (frames, 0_u32, 0_usize);
    loop {
        let header = Header::decode(rest).filter(|header| !header.command);
        let Some((header, left)) = header.and_then(|header| Some((header, rest.get(header.total()..)?)))
        else {
            return Err(ProtocolError::MalformedCommand { name: "DATA".into() });
        };
        (count, bytes) = (count.saturating_add(1), bytes.saturating_add(header.body));
        rest = left;
        if !header.more {
            break;
        }
    }
    match () {
        () if !rest.is_empty() => Err(ProtocolError::MalformedCommand { name: "DATA".into() }),
        () if count > config.max_frames => Err(ProtocolError::TooManyFrames { limit: config.max_frames }),
        () if bytes as u64 > config.max_message_bytes => {
            Err(ProtocolError::MessageTooLarge { limit: config.max_message_bytes })
        }
        () => Ok(()),
    }
}
