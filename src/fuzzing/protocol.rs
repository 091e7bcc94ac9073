//! What a peer may send: the greeting, the handshake, frames, commands; and what a user may type.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use zocket_transport::{Endpoint, Purpose, Transport};

use super::Choices;
use crate::message::{Frame, Group, Message};
use crate::options::SocketOptions;
use crate::pipe::ChunkQueue;
use crate::zmtp::command::{Command, MAX_CONTEXT, Received};
use crate::zmtp::frame::Header;
use crate::zmtp::metadata::{Extras, MAX_ROUTING_ID, Metadata, put_own};
use crate::zmtp::{Config, Engine, Event, ProtocolError, SocketKind, Version};

const KINDS: [SocketKind; 6] = [
    SocketKind::Pull,
    SocketKind::XPub,
    SocketKind::Router,
    SocketKind::Sub,
    SocketKind::Radio,
    SocketKind::Dish,
];
const LIMIT: u64 = 5000;
const FRAMES: u32 = 9;

/// A socket's side of a connection, and all that came of it.
struct Peer {
    engine: Engine,
    input: BytesMut,
    now: Instant,
    said: Vec<u8>,
    heard: Heard,
    held: Vec<u8>,
}

#[derive(Debug, Default, PartialEq)]
struct Heard {
    is_ready: bool,
    messages: Vec<Message>,
    commands: Vec<Command>,
    error: Option<ProtocolError>,
}

impl Peer {
    fn new(kind: SocketKind, start: Instant) -> Self {
        let options = SocketOptions::default();
        let config = Config { max_message_bytes: LIMIT, max_frames: FRAMES, ..options.engine_config(kind) };
        let engine = Engine::new(Arc::new(config), start);
        let (said, heard, held) = (Vec::new(), Heard::default(), Vec::new());
        Self { engine, input: BytesMut::new(), now: start, said, heard, held }
    }

    fn feed(&mut self, bytes: &[u8], room: u32) {
        self.input.extend_from_slice(bytes);
        while self.heard.error.is_none() {
            let before = self.input.len();
            match self.engine.poll(&mut self.input, room, || self.now) {
                Ok(None) => break,
                Ok(Some(Event::Ready(_))) => self.heard.is_ready = true,
                Ok(Some(Event::Command(command))) => self.heard.commands.push(command),
                Ok(Some(Event::Traffic { bytes, messages })) => self.take(bytes, messages, room),
                Err(error) => self.heard.error = Some(error),
            }
            assert!(self.input.len() <= before, "the input grew");
        }
        let control = self.engine.control();
        self.said.extend_from_slice(control);
        control.clear();
    }

    fn take(&mut self, bytes: usize, messages: u32, room: u32) {
        assert!(
            bytes > 0 && bytes <= self.input.len() && messages <= room,
            "{bytes} bytes, {messages} messages"
        );
        self.held.extend_from_slice(&self.input.split_to(bytes));
        if messages == 0 {
            return;
        }
        let mut queue = ChunkQueue::default();
        queue.append_copy(&self.held, messages as usize);
        self.held.clear();
        for _ in 0..messages {
            let message = queue.pop_message().expect("as many as were announced");
            assert!(message.byte_len() as u64 <= LIMIT && message.len() <= FRAMES as usize);
            self.heard.messages.push(message);
        }
        assert_eq!((queue.messages(), queue.bytes()), (0, 0), "they end where they should");
    }
}

/// Feeds the same bytes whole and in pieces of the lengths that the first few say; the answer must be the same.
fn however_it_is_cut(kind: SocketKind, before: &[u8], data: &[u8]) -> Heard {
    let start = Instant::now();
    let cuts: Vec<_> = data.iter().take(8).map(|byte| usize::from(*byte) + 1).collect();
    let mut whole = Peer::new(kind, start);
    whole.feed(before, u32::MAX);
    whole.feed(data, u32::MAX);
    for cuts in [&[1][..], &cuts] {
        let mut pieces = Peer::new(kind, start);
        pieces.feed(before, 1);
        let (mut rest, mut cut) = (data, 0);
        while !rest.is_empty() && !cuts.is_empty() {
            let len = cuts[cut % cuts.len()].min(rest.len());
            let (piece, behind) = rest.split_at(len);
            pieces.feed(piece, 1);
            (rest, cut) = (behind, cut + 1);
        }
        if !data.is_empty() {
            assert_eq!(pieces.heard, whole.heard, "cut into {cuts:?}");
        }
    }
    whole.heard
}

/// What a peer of a type that `kind` talks to says until it is ready.
fn handshake(kind: SocketKind) -> Vec<u8> {
    let theirs = match kind {
        SocketKind::Pull => SocketKind::Push,
        SocketKind::XPub => SocketKind::Sub,
        SocketKind::Sub => SocketKind::Pub,
        SocketKind::Radio => SocketKind::Dish,
        SocketKind::Dish => SocketKind::Radio,
        _ => SocketKind::Dealer,
    };
    let mut wire = BytesMut::from(&b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03\x01NULL"[..]);
    wire.resize(64, 0);
    let mut ready = BytesMut::from(&b"\x05READY"[..]);
    put_own(&mut ready, theirs, b"", Extras::default());
    crate::zmtp::command::put_command(&mut wire, &ready);
    wire.to_vec()
}

/// The greeting and the handshake.
pub fn greeting(data: &[u8]) {
    let kind = KINDS[data.len() % KINDS.len()];
    however_it_is_cut(kind, b"", data);
}

/// Frames, after the handshake: the scanner.
pub fn frames(data: &[u8]) {
    let mut choices = Choices(data);
    let kind = KINDS[choices.below(KINDS.len())];
    let heard = however_it_is_cut(kind, &handshake(kind), choices.0);
    assert!(heard.is_ready);
    let (messages, broken) = plainly(choices.0, kind);
    assert_eq!(heard.messages, messages);
    assert_eq!(heard.error.is_some(), broken, "{:?}", heard.error);
}

/// The plainest reading of frames: the messages that are no subscriptions, and whether a rule is broken then.
fn plainly(mut data: &[u8], kind: SocketKind) -> (Vec<Message>, bool) {
    let (mut messages, mut parts, mut bytes) = (Vec::new(), Vec::<Frame>::new(), 0);
    while let Some(header) = Header::decode(data) {
        let room = LIMIT - if header.command { 0 } else { bytes };
        let misplaced = kind == SocketKind::Dish
            && !header.command
            && match (parts.len(), header.more) {
                (0, true) => header.body > Group::MAX_LENGTH,
                (frames, more) => more || frames != 1,
            };
        if header.body as u64 > room || misplaced {
            return (messages, true);
        }
        let Some(body) = data.get(header.head..header.total()) else { break };
        data = &data[header.total()..];
        if header.command {
            let broken = match Received::parse(body) {
                Ok(Received::Join(group) | Received::Leave(group)) => {
                    kind == SocketKind::Radio && Group::new(group).is_err()
                }
                other => other.is_err(),
            };
            if broken {
                return (messages, true);
            }
            continue;
        }
        bytes += header.body as u64;
        parts.push(body.into());
        if header.more {
            if parts.len() >= FRAMES as usize {
                return (messages, true);
            }
            continue;
        }
        let is_subscription = parts.len() == 1 && matches!(body.first(), Some(0 | 1));
        if !(is_subscription && kind.takes_subscriptions()) {
            messages.push(Message::from(std::mem::take(&mut parts)));
        }
        parts.clear();
        bytes = 0;
    }
    (messages, false)
}

/// One command, and one topic through both encodings.
pub fn command(data: &[u8]) {
    match Received::parse(data) {
        Ok(Received::Ping { context, .. }) => assert!(context.len() <= MAX_CONTEXT),
        Ok(
            Received::Subscribe(subject)
            | Received::Cancel(subject)
            | Received::Join(subject)
            | Received::Leave(subject),
        ) => assert!(data.ends_with(subject)),
        Ok(Received::Sent(_) | Received::Other) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Command::from_message(data);
    for command in [Command::Subscribe(data.into()), Command::Cancel(data.into())] {
        let mut wire = BytesMut::new();
        command.put(&mut wire, Version::V3_1);
        let header = Header::decode(&wire).expect("a whole header");
        assert_eq!(header.total(), wire.len());
        wire.advance(header.head);
        let read = match Received::parse(&wire) {
            Ok(Received::Subscribe(topic)) => Command::Subscribe(topic.into()),
            Ok(Received::Cancel(topic)) => Command::Cancel(topic.into()),
            other => unreachable!("{other:?}"),
        };
        assert_eq!(read, command);
        wire.clear();
        command.put(&mut wire, Version::V3_0);
        wire.advance(Header::decode(&wire).expect("a whole header").head);
        assert_eq!(Command::from_message(&wire), Some(command));
    }
    let Ok(group) = Group::new(data) else { return };
    for version in [Version::V3_1, Version::V2_0] {
        let mut wire = BytesMut::new();
        Command::Join(group.clone()).put(&mut wire, version);
        wire.advance(Header::decode(&wire).expect("a whole header").head);
        assert!(matches!(Received::parse(&wire), Ok(Received::Join(read)) if group == *read));
    }
}

/// The properties of a READY.
pub fn metadata(data: &[u8]) {
    let mut choices = Choices(data);
    let kind = KINDS[choices.below(KINDS.len())];
    match Metadata::parse(choices.0, kind) {
        Ok(found) => {
            let info = crate::zmtp::PeerInfo::new(Version::V3_1, "NULL", found);
            assert!(info.routing_id().len() <= MAX_ROUTING_ID && info.properties().count() <= 256);
            assert!(info.properties().map(|(_, value)| value.len()).sum::<usize>() <= data.len());
        }
        Err(error) => assert!(error.to_string().len() < 500, "a peer's text is cut short"),
    }
}

/// A connection, byte by byte and second by second.
pub fn engine(data: &[u8]) {
    let mut choices = Choices(data);
    let kind = KINDS[choices.below(KINDS.len())];
    let mut peer = Peer::new(kind, Instant::now());
    if choices.below(4) > 0 {
        peer.feed(&handshake(kind), 1);
    }
    while !choices.is_empty() && peer.heard.error.is_none() {
        match choices.below(8) {
            0..4 => {
                let room = u32::from(choices.byte() % 4);
                let len = choices.len();
                let bytes = choices.bytes(len);
                peer.feed(bytes, room);
                let (wants, has) = (peer.engine.wants(), peer.input.len());
                assert!(
                    room == 0 || wants == 0 || wants > has || peer.heard.error.is_some(),
                    "{wants} of {has}"
                );
            }
            4 => {
                peer.now += Duration::from_millis(u64::from(choices.byte()) << 6);
                while let Some(due) = peer.engine.poll_timeout().filter(|due| *due <= peer.now) {
                    if let Err(error) = peer.engine.handle_timeout(peer.now) {
                        peer.heard.error = Some(error);
                        break;
                    }
                    assert!(peer.engine.poll_timeout().is_none_or(|next| next > due), "time must go on");
                }
            }
            5 => peer.engine.set_reading(choices.below(2) == 0, peer.now),
            6 if peer.engine.is_ready() => {
                peer.engine.send_command(&Command::Subscribe(Frame::from(&b"topic"[..])))
            }
            _ => peer.feed(&[], u32::MAX),
        }
    }
}

/// What a user may type for an endpoint.
pub fn endpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let endpoint = match text.parse::<Endpoint>() {
        Ok(endpoint) => endpoint,
        Err(error) => return assert!(error.to_string().len() < 8 * Endpoint::MAX_LENGTH),
    };
    assert_eq!(endpoint.as_str(), text);
    assert_eq!(Endpoint::new(endpoint.scheme(), endpoint.address()).ok(), Some(endpoint.clone()));
    let transports: &[&dyn Transport] = &[
        #[cfg(feature = "tcp")]
        &zocket_transport::tcp::Tcp::new(),
        #[cfg(all(feature = "ipc", unix))]
        &zocket_transport::ipc::Ipc::new(),
    ];
    for transport in transports {
        for purpose in [Purpose::Bind, Purpose::Connect] {
            if let Err(error) = transport.check(&endpoint, purpose) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
