//! The link over datagrams, sans-IO: best effort for messages, reliable for what is said about them.
//!
//! Every packet is `kind(1) link id(8) body`, all numbers big-endian. Whoever calls chooses the id, at random; it keeps
//! out those who cannot see the packets. [`hello`] is how a link begins. Then messages go out as `DATA sequence(8)
//! frames`, one a packet. Packets that come late, or again, are dropped, so a peer's order holds and nothing is delivered
//! twice; gaps in the numbers are counted, at the latest when a PING, PONG or BYE tells the last number. Commands go out
//! in `COMMANDS number(4) frames`, some at a time, again and again until an ACK names the next number.
//!
//! Invariant: whatever arrives, nothing here panics, and what is kept does not grow with it.

pub(crate) mod hello;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};

use super::command::{Command, MAX_PREFIX, Received};
use super::error::ProtocolError;
use super::frame::Header;
use super::heartbeat::Heartbeat;
use super::{Config, PeerInfo, Version};
use crate::message::{Frame, Group};

/// The largest datagram of UDP over IPv4.
const MAX_PACKET: usize = 65_507;

/// The most bytes that the frames of a message may have together: what is left has room for their headers, 9 bytes each
/// at most, and for the envelope of a request.
pub(crate) const MAX_BYTES: usize = 65_000;

/// So many bytes of commands go into a packet, unless one alone has more: they pass every network whole.
const COMMANDS_SIZE: usize = 1_200;

/// Waits for an acknowledgement, doubling.
const RESEND_FIRST: Duration = Duration::from_millis(100);
const RESEND_LONGEST: Duration = Duration::from_secs(2);

/// The size of [`Kind::Bye`] and its like: a kind, an id and a number.
const SHORT: usize = 17;

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
    /// The number of the last message sent, and of the last that arrived.
    sent: u64,
    arrived: u64,
    /// Numbers passed over, and not yet told to anybody.
    missed: u64,
    outgoing: Unacknowledged,
    /// The number of the command that comes next from the peer.
    expected: u32,
    heartbeat: Heartbeat,
    owes_accept: bool,
    owes_ack: bool,
    owes_ping: bool,
    owes_pong: bool,
}

/// Commands that the peer has not acknowledged, as frames.
#[derive(Debug)]
struct Unacknowledged {
    commands: VecDeque<BytesMut>,
    /// The number of the first of them.
    first: u32,
    /// When they are sent again; none while nothing is under way.
    due: Option<Instant>,
    pause: Duration,
}

impl Link {
    /// An end of a link that has just begun.
    fn new(config: &Arc<Config>, id: u64, peer: &PeerInfo, now: Instant) -> Self {
        let mut heartbeat = Heartbeat::default();
        heartbeat.start(&config.heartbeat, peer, now);
        Self {
            config: Arc::clone(config),
            id,
            sent: 0,
            arrived: 0,
            missed: 0,
            outgoing: Unacknowledged { commands: VecDeque::new(), first: 0, due: None, pause: RESEND_FIRST },
            expected: 0,
            heartbeat,
            owes_accept: false,
            owes_ack: false,
            owes_ping: false,
            owes_pong: false,
        }
    }

    /// Writes the packet of a message, which is given as its frames. False: it fits into none.
    pub(crate) fn put_message(&mut self, out: &mut BytesMut, frames: &[u8]) -> bool {
        if frames.len() > MAX_PACKET.saturating_sub(SHORT) {
            return false;
        }
        self.sent = self.sent.saturating_add(1);
        Kind::Data.put(out, self.id);
        out.put_u64(self.sent);
        out.put_slice(frames);
        true
    }

    /// Sends a command until it is acknowledged. One that fits into no packet, a prefix of nearly 64 KiB, is dropped:
    /// nothing that is sent here could match it.
    pub(crate) fn send_command(&mut self, command: &Command) {
        let mut frame = BytesMut::new();
        command.put(&mut frame, Version::V3_1);
        if frame.len() <= MAX_BYTES {
            self.outgoing.commands.push_back(frame);
        }
    }

    /// Writes the last packet.
    pub(crate) fn put_bye(&self, out: &mut BytesMut) {
        self.put_number(out, Kind::Bye);
    }

    fn put_number(&self, out: &mut BytesMut, kind: Kind) {
        kind.put(out, self.id);
        out.put_u64(self.sent);
    }

    /// Whether the link has this id.
    pub(crate) const fn is(&self, id: u64) -> bool {
        self.id == id
    }

    /// The peer called once more, so it does not know that it was accepted.
    pub(crate) const fn accept(&mut self) {
        self.owes_accept = true;
    }

    /// Messages that were lost on the way, or overtaken there and dropped here, since this was asked last.
    pub(crate) const fn take_missed(&mut self) -> u64 {
        std::mem::replace(&mut self.missed, 0)
    }

    /// Takes a packet. What is no packet of this link, or of nobody, is nothing.
    pub(crate) fn handle<'a>(&mut self, packet: &'a [u8]) -> Result<Heard<'a>, ProtocolError> {
        let Some((kind, id, mut body)) = split(packet) else { return Ok(Heard::Nothing) };
        if id != self.id {
            return Ok(Heard::Nothing);
        }
        self.heartbeat.alive();
        match kind {
            Kind::Data => {
                let Ok(sequence) = body.try_get_u64() else { return Ok(Heard::Nothing) };
                if sequence <= self.arrived {
                    return Ok(Heard::Nothing);
                }
                self.passed(sequence.saturating_sub(1));
                self.arrived = sequence;
                check_message(&self.config, body)?;
                return Ok(Heard::Message(body));
            }
            Kind::Commands => return Ok(Heard::Commands(self.commands(body)?)),
            Kind::Ack => {
                if let Ok(next) = body.try_get_u32() {
                    self.outgoing.acknowledged(next);
                }
            }
            Kind::Ping | Kind::Pong | Kind::Bye => {
                let Ok(last) = body.try_get_u64() else { return Ok(Heard::Nothing) };
                self.passed(last);
                self.owes_pong |= kind == Kind::Ping;
                if kind == Kind::Bye {
                    return Ok(Heard::Bye);
                }
            }
            Kind::Hello | Kind::Cookie | Kind::Accept | Kind::Refuse => {}
        }
        Ok(Heard::Nothing)
    }

    /// No message up to this number comes any more that would be delivered.
    const fn passed(&mut self, last: u64) {
        let gap = last.saturating_sub(self.arrived);
        self.missed = self.missed.saturating_add(gap);
        self.arrived = self.arrived.saturating_add(gap);
    }

    /// Those commands of a packet that have not been heard yet.
    fn commands(&mut self, mut body: &[u8]) -> Result<Vec<Command>, ProtocolError> {
        let mut commands = Vec::new();
        let Ok(mut number) = body.try_get_u32() else { return Ok(commands) };
        self.owes_ack = true;
        while let Some(header) = Header::decode(body).filter(|header| header.command) {
            let Some((frame, rest)) = body.split_at_checked(header.total()) else { break };
            if number == self.expected {
                self.expected = self.expected.wrapping_add(1);
                commands.extend(command(frame.get(header.head..).unwrap_or_default())?);
            }
            number = number.wrapping_add(1);
            body = rest;
        }
        Ok(commands)
    }

    /// Writes the next packet that is owed. False: there is none.
    pub(crate) fn poll_packet(&mut self, out: &mut BytesMut, now: Instant) -> bool {
        if std::mem::take(&mut self.owes_accept) {
            hello::put_accept(out, self.id, &self.config);
        } else if std::mem::take(&mut self.owes_ack) {
            Kind::Ack.put(out, self.id);
            out.put_u32(self.expected);
        } else if std::mem::take(&mut self.owes_pong) {
            self.put_number(out, Kind::Pong);
        } else if std::mem::take(&mut self.owes_ping) {
            self.put_number(out, Kind::Ping);
        } else {
            return self.outgoing.poll_packet(out, self.id, now);
        }
        true
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.heartbeat.poll_timeout().into_iter().chain(self.outgoing.due).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.outgoing.handle_timeout(now);
        self.owes_ping |= self.heartbeat.handle_timeout(now)?;
        Ok(())
    }
}

impl Unacknowledged {
    /// The peer waits for the command of this number.
    fn acknowledged(&mut self, next: u32) {
        let count = usize::try_from(next.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        if count == 0 || count > self.commands.len() {
            return;
        }
        self.commands.drain(..count);
        self.first = next;
        // What is left goes out at once.
        (self.due, self.pause) = (None, RESEND_FIRST);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.pause = self.pause.saturating_mul(2).min(RESEND_LONGEST);
        }
    }

    fn poll_packet(&mut self, out: &mut BytesMut, id: u64, now: Instant) -> bool {
        if self.due.is_some() || self.commands.is_empty() {
            return false;
        }
        Kind::Commands.put(out, id);
        out.put_u32(self.first);
        for (index, command) in self.commands.iter().enumerate() {
            if index > 0 && out.len().saturating_add(command.len()) > COMMANDS_SIZE {
                break;
            }
            out.put_slice(command);
        }
        self.due = now.checked_add(self.pause);
        true
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

/// A command that the socket hears of.
fn command(body: &[u8]) -> Result<Option<Command>, ProtocolError> {
    let copied = |prefix: &[u8]| match prefix.len() {
        len if len > MAX_PREFIX => Err(ProtocolError::PrefixTooLong { limit: MAX_PREFIX, len }),
        _ => Ok(Frame::copy_from_slice(prefix)),
    };
    Ok(match Received::parse(body)? {
        Received::Subscribe(prefix) => Some(Command::Subscribe(copied(prefix)?)),
        Received::Cancel(prefix) => Some(Command::Cancel(copied(prefix)?)),
        Received::Join(group) => Some(Command::Join(Group::new(group)?)),
        Received::Leave(group) => Some(Command::Leave(Group::new(group)?)),
        Received::Ping { .. } | Received::Other => None,
    })
}
