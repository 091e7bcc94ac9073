//! The handshake: greeting, then the mechanism's commands, until the peer is known.
//!
//! A ladder of stages; each takes its bytes off the front of the input once all of them are there. A ZMTP 2.0
//! peer leaves the ladder early: its greeting ends with its socket type, and a frame with its routing id follows.
//!
//! Invariant: whatever the peer claims, at most [`MAX_COMMAND`] bytes are waited for.
//!
//! Source: RFC 37, "Overall Behavior"; RFC 15 for 2.0; libzmq's `zmtp_engine.cpp` for what goes out when.

use bytes::{Buf, BytesMut};

use super::command::{put_command, put_error};
use super::error::ProtocolError;
use super::frame::Header;
use super::greeting::{self, Generation};
use super::kind::SocketKind;
use super::mechanism::null::{self, Null};
use super::mechanism::{Mechanism, Next};
use super::metadata::{MAX_ROUTING_ID, Metadata, PeerInfo};
use super::peers::may_talk;
use super::{Config, Version};

/// The largest command of a handshake. libzmq's are below 1 KiB; the rest is for its users' properties.
pub(crate) const MAX_COMMAND: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Handshake {
    kind: SocketKind,
    routing_id: crate::message::Frame,
    mechanism: Box<dyn Mechanism>,
    stage: Stage,
    wants: usize,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// Until the peer's major version is there.
    Opening,
    /// The rest of a ZMTP 3 greeting.
    Greeting,
    /// The rest of a ZMTP 2.0 greeting, and the routing id.
    Old,
    /// The mechanism's commands.
    Commands(Version),
}

/// How a stage ended.
enum Outcome {
    /// The input must be this long for the next look.
    Wants(usize),
    Next(Stage),
    Done(PeerInfo),
}

impl Handshake {
    /// Starts at once: what we say first goes to `out`.
    pub(crate) fn new(config: &Config, out: &mut BytesMut) -> Self {
        out.extend_from_slice(&greeting::opening(&config.routing_id));
        let mechanism = Box::new(Null::new(config.kind, config.routing_id.clone(), config.extras));
        Self {
            kind: config.kind,
            routing_id: config.routing_id.clone(),
            mechanism,
            stage: Stage::Opening,
            wants: 0,
        }
    }

    /// How long the input must be before the handshake gets any further.
    pub(crate) const fn wants(&self) -> usize {
        self.wants
    }

    /// Takes what it can off the front of `input` and puts answers into `out`. Returns the peer at the end.
    pub(crate) fn poll(
        &mut self,
        input: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<Option<PeerInfo>, ProtocolError> {
        loop {
            let outcome = match self.stage {
                Stage::Opening => self.opening(input, out)?,
                Stage::Greeting => self.greeting(input, out)?,
                Stage::Old => self.old(input)?,
                Stage::Commands(version) => self.command(version, input, out)?,
            };
            match outcome {
                Outcome::Wants(len) => {
                    self.wants = len;
                    return Ok(None);
                }
                Outcome::Next(stage) => self.stage = stage,
                Outcome::Done(peer) => return Ok(Some(peer)),
            }
        }
    }

    /// Reads the peer's major version and answers in kind: this is where 2.0 peers get a greeting of their own.
    fn opening(&self, input: &BytesMut, out: &mut BytesMut) -> Result<Outcome, ProtocolError> {
        match greeting::generation(input)? {
            None => Ok(Outcome::Wants(greeting::OPENING)),
            Some(Generation::Three) => {
                greeting::put_rest(out, self.mechanism.name());
                Ok(Outcome::Next(Stage::Greeting))
            }
            // 2.0 has no mechanisms, which is as good as NULL and nothing else.
            Some(Generation::Two) if self.mechanism.name() != null::NAME => {
                let theirs = String::new();
                Err(ProtocolError::MechanismMismatch { ours: self.mechanism.name(), theirs })
            }
            Some(Generation::Two) => {
                out.extend_from_slice(&[self.kind.code()]);
                super::frame::put_header(out, self.routing_id.len(), false, false);
                out.extend_from_slice(&self.routing_id);
                Ok(Outcome::Next(Stage::Old))
            }
        }
    }

    fn greeting(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<Outcome, ProtocolError> {
        let Some(whole) = input.first_chunk() else { return Ok(Outcome::Wants(greeting::LEN_3)) };
        let version = greeting::read(whole, self.mechanism.name())?;
        input.advance(greeting::LEN_3);
        self.step(version, None, out)
    }

    /// A 2.0 peer's socket type and routing id frame. The type may be a number we do not know, but if we know
    /// it, it has to be one we talk to. (libzmq does not look at it, and lets a PUSH talk to a SUB.)
    fn old(&self, input: &mut BytesMut) -> Result<Outcome, ProtocolError> {
        let Some((start, frame)) = input.split_at_checked(greeting::LEN_2) else {
            return Ok(Outcome::Wants(greeting::LEN_2));
        };
        let kind = start.last().copied().and_then(SocketKind::from_code);
        if let Some(theirs) = kind.filter(|kind| !may_talk(self.kind, *kind)) {
            return Err(ProtocolError::KindMismatch { ours: self.kind, theirs });
        }
        let Some(header) = Header::decode(frame) else {
            return Ok(Outcome::Wants(greeting::LEN_2.saturating_add(Header::head_wanted(frame))));
        };
        if header.body > MAX_ROUTING_ID {
            return Err(ProtocolError::RoutingIdTooLong { len: header.body });
        }
        let end = greeting::LEN_2.saturating_add(header.total());
        let Some(routing_id) = frame.get(header.head..header.total()) else { return Ok(Outcome::Wants(end)) };
        let metadata = Metadata::old(kind, routing_id)?;
        input.advance(end);
        Ok(Outcome::Done(PeerInfo::new(Version::V2_0, null::NAME, metadata)))
    }

    /// One command of the peer's. That its frame is flagged as a command is not asked for: libzmq does not.
    fn command(
        &mut self,
        version: Version,
        input: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Result<Outcome, ProtocolError> {
        let Some(header) = Header::decode(input) else {
            return Ok(Outcome::Wants(if input.is_empty() { 0 } else { Header::head_wanted(input) }));
        };
        if header.body > MAX_COMMAND {
            let (limit, claimed) = (MAX_COMMAND as u64, header.body as u64);
            return Err(ProtocolError::HandshakeTooLarge { limit, claimed });
        }
        let total = header.total();
        let Some(body) = input.get(header.head..total) else { return Ok(Outcome::Wants(total)) };
        let outcome = self.step(version, Some(body), out);
        input.advance(total);
        outcome
    }

    fn step(
        &mut self,
        version: Version,
        from_peer: Option<&[u8]>,
        out: &mut BytesMut,
    ) -> Result<Outcome, ProtocolError> {
        let step = self.mechanism.step(from_peer).inspect_err(|error| {
            // libzmq closes without a word. The other side's log is the better place to read it.
            if let ProtocolError::KindMismatch { .. } | ProtocolError::UnknownKind { .. } = error {
                put_error(out, "socket types do not match");
            }
        })?;
        if let Some(body) = step.send {
            put_command(out, &body);
        }
        Ok(match step.next {
            Next::Wait => Outcome::Next(Stage::Commands(version)),
            Next::Done(metadata) => Outcome::Done(PeerInfo::new(version, self.mechanism.name(), metadata)),
        })
    }
}
