//! The engine: the protocol state of one connection, sans-IO. Bytes and the time go in, events come out.
//!
//! The driver owns the input buffer and calls [`Engine::poll`] until it returns nothing, then reads more. The
//! engine takes handshakes and commands off the front of the buffer; messages stay there, and the driver moves
//! them on as whole runs of bytes. What the engine itself has to say waits in [`Engine::control`].
//!
//! Invariant: after an error the connection is over; the control bytes may still be sent, and say why.
//!
//! Source: RFC 37.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};

use super::Version;
use super::command::{Command, MAX_PREFIX, Received, put_ping, put_pong};
use super::error::ProtocolError;
use super::frame::Header;
use super::handshake::Handshake;
use super::heartbeat::{Heartbeat, HeartbeatConfig};
use super::kind::SocketKind;
use super::metadata::{Extras, PeerInfo};
use super::scan::{Found, Scanner};
use crate::message::{Frame, Group};

/// What all connections of a socket have in common.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) kind: SocketKind,
    /// Our own, at most 255 bytes; empty if peers are to choose one.
    pub(crate) routing_id: Frame,
    /// From the first byte to Ready; none is for ever.
    pub(crate) handshake_timeout: Option<Duration>,
    pub(crate) heartbeat: HeartbeatConfig,
    /// The most payload bytes of a message, and of a command.
    pub(crate) max_message_bytes: u64,
    /// The most frames of a message; 0 is taken for 1.
    pub(crate) max_frames: u32,
    /// What we want besides, where a transport has it.
    pub(crate) extras: Extras,
}

/// Something the driver has to know.
#[derive(Debug)]
pub(crate) enum Event {
    /// The handshake is over.
    Ready(PeerInfo),
    /// The peer subscribed or cancelled, joined or left. Only sockets that send by it hear of it.
    Command(Command),
    /// The first `bytes` of the input are whole frames in which `messages` messages end, the last one at the very
    /// end. With no message they are the start of one: to be held until a later `Traffic` ends it, and dropped
    /// if the connection ends first. They must be split off before the next `poll`.
    Traffic { bytes: usize, messages: u32 },
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Engine {
    config: Arc<Config>,
    /// None once it is over.
    handshake: Option<Box<Handshake>>,
    handshake_due: Option<Instant>,
    /// As agreed in the handshake.
    version: Version,
    scanner: Scanner,
    heartbeat: Heartbeat,
    control: BytesMut,
    /// A PING and the last PONG wait here until the control bytes before them are gone: a peer that sends PINGs
    /// and never reads costs one context.
    owed_ping: bool,
    owed_pong: Option<Frame>,
    /// Bytes of the input that were there at the last look.
    seen: usize,
    /// It is a lane: commands go over the connection itself.
    messages_only: bool,
}

impl Engine {
    /// A connection that was just made. The start of our greeting is in `control` already.
    pub(crate) fn new(config: Arc<Config>, now: Instant) -> Self {
        let mut control = BytesMut::new();
        let handshake = Some(Box::new(Handshake::new(&config, &mut control)));
        let scanner = Scanner::new(config.max_message_bytes, config.max_frames, config.kind);
        Self {
            handshake,
            handshake_due: config.handshake_timeout.and_then(|timeout| now.checked_add(timeout)),
            version: Version::V3_1,
            scanner,
            heartbeat: Heartbeat::default(),
            control,
            owed_ping: false,
            owed_pong: None,
            seen: 0,
            messages_only: false,
            config,
        }
    }

    /// A further lane of a connection: it begins with messages, and nothing else comes.
    pub(crate) fn for_lane(config: Arc<Config>) -> Self {
        Self {
            handshake: None,
            handshake_due: None,
            version: Version::V3_1,
            scanner: Scanner::new(config.max_message_bytes, config.max_frames, config.kind),
            heartbeat: Heartbeat::default(),
            control: BytesMut::new(),
            owed_ping: false,
            owed_pong: None,
            seen: 0,
            messages_only: true,
            config,
        }
    }

    /// Looks at the front of `input`, which must be what the last call left plus what arrived since. Handshake
    /// bytes and commands are taken off; traffic is the caller's to take.
    ///
    /// `room` is how many messages may come. Without any, commands at the front are still heard; traffic, and
    /// what is behind it, has to wait. `now` is asked only where it matters: at the end of the handshake, and
    /// when a PING arrives.
    pub(crate) fn poll(
        &mut self,
        input: &mut BytesMut,
        room: u32,
        now: impl Fn() -> Instant,
    ) -> Result<Option<Event>, ProtocolError> {
        if input.len() > self.seen {
            self.heartbeat.alive();
        }
        let event = self.advance(input, room, now)?;
        let taken = if let Some(Event::Traffic { bytes, .. }) = event { bytes } else { 0 };
        self.seen = input.len().saturating_sub(taken);
        Ok(event)
    }

    /// Bytes that go out before further traffic. The caller takes them all and writes them between two messages:
    /// before ZMTP 3.1 a subscription is a message, and would otherwise end up inside another one.
    ///
    /// Ask again when they are written: what is owed to the peer is put here only when nothing else is.
    pub(crate) fn control(&mut self) -> &mut BytesMut {
        if self.control.is_empty() {
            if let Some(context) = self.owed_pong.take() {
                put_pong(&mut self.control, &context);
            }
            if std::mem::take(&mut self.owed_ping) {
                put_ping(&mut self.control, self.config.heartbeat.ttl);
            }
        }
        &mut self.control
    }

    /// Whether [`control`](Self::control) holds anything.
    #[inline]
    pub(crate) fn owes(&self) -> bool {
        !self.control.is_empty() || self.owed_ping || self.owed_pong.is_some()
    }

    /// Puts a command into `control`, as the peer's version spells it. Only once the engine is ready.
    pub(crate) fn send_command(&mut self, command: &Command) {
        debug_assert!(self.is_ready(), "the peer's version is not known yet");
        command.put(&mut self.control, self.version);
    }

    /// How many bytes must stand at the front of `input` before `poll` can get any further: more than there are,
    /// if `poll` just returned nothing for want of bytes, so that a long body can be read into its place.
    /// 0 if that is not known, or nothing has begun.
    pub(crate) fn wants(&self) -> usize {
        self.handshake.as_ref().map_or_else(|| self.scanner.wants(), |handshake| handshake.wants())
    }

    /// Tells whether the driver reads. While it does not, the peer cannot prove life and need not.
    pub(crate) fn set_reading(&mut self, reading: bool, now: Instant) {
        self.heartbeat.set_reading(reading, now);
    }

    /// When to call `handle_timeout`.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_ready() { self.heartbeat.poll_timeout() } else { self.handshake_due }
    }

    /// Does what is due. To be called after reading what has arrived, since that may prove life.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if self.is_ready() {
            self.owed_ping |= self.heartbeat.handle_timeout(now)?;
        } else if self.handshake_due.is_some_and(|due| due <= now) {
            let after = self.config.handshake_timeout.unwrap_or_default();
            return Err(ProtocolError::HandshakeTimeout { after });
        }
        Ok(())
    }

    /// Whether the handshake is over.
    pub(crate) const fn is_ready(&self) -> bool {
        self.handshake.is_none()
    }

    fn advance(
        &mut self,
        input: &mut BytesMut,
        room: u32,
        now: impl Fn() -> Instant,
    ) -> Result<Option<Event>, ProtocolError> {
        if let Some(handshake) = &mut self.handshake {
            let Some(peer) = handshake.poll(input, &mut self.control)? else { return Ok(None) };
            self.version = peer.version();
            self.heartbeat.start(&self.config.heartbeat, &peer, now());
            self.handshake = None;
            return Ok(Some(Event::Ready(peer)));
        }
        loop {
            let command = match self.scanner.scan(input, room)? {
                Found::Nothing => return Ok(None),
                Found::Traffic { bytes, messages } => return Ok(Some(Event::Traffic { bytes, messages })),
                _ if self.messages_only => return Err(ProtocolError::CommandOnLane),
                Found::Command(header) => self.command(header, input, &now)?,
                Found::Subscription(header) => {
                    let command = Command::from_message(body(header, input));
                    input.advance(header.total());
                    command
                }
            };
            if let Some(command) = command {
                let len = command.prefix().map_or(0, |prefix| prefix.len());
                if len > MAX_PREFIX {
                    return Err(ProtocolError::PrefixTooLong { limit: MAX_PREFIX, len });
                }
                return Ok(Some(Event::Command(command)));
            }
        }
    }

    /// Takes a command off the front of the input: answers it, or passes it on if it is for the pattern.
    fn command(
        &mut self,
        header: Header,
        input: &mut BytesMut,
        now: &impl Fn() -> Instant,
    ) -> Result<Option<Command>, ProtocolError> {
        let publisher = self.config.kind.takes_subscriptions();
        let radio = self.config.kind == SocketKind::Radio;
        // Topics and groups are copied, since they live long and must not keep the read buffer alive.
        let command = match Received::parse(body(header, input))? {
            Received::Subscribe(topic) if publisher => Some(Command::Subscribe(topic.into())),
            Received::Cancel(topic) if publisher => Some(Command::Cancel(topic.into())),
            Received::Join(group) if radio => Some(Command::Join(Group::new(group)?)),
            Received::Leave(group) if radio => Some(Command::Leave(Group::new(group)?)),
            Received::Sent(packets) if self.config.extras.datagrams => Some(Command::Sent(packets)),
            Received::Ping { ttl, context } if self.version > Version::V2_0 => {
                self.heartbeat.announced(ttl, now());
                self.owed_pong = Some(context.into());
                None
            }
            _ => None,
        };
        input.advance(header.total());
        Ok(command)
    }
}

/// The body of the whole frame at the front.
fn body(header: Header, input: &[u8]) -> &[u8] {
    input.get(header.head..header.total()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
