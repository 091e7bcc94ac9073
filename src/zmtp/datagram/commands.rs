//! Commands over a link of datagrams: all of them, in order, for they say what the messages are that the peer wants.
//!
//! Each direction is one run of bytes, the frames of the commands. A packet has a piece of it and says where that
//! belongs; the peer says how far it has heard. What it has not heard in time is sent again from there.
//!
//! Invariant: a packet passes every network whole, and no more are under way than the peer was seen to take.

use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};

use crate::message::{Frame, Group};
use crate::zmtp::Version;
use crate::zmtp::command::{Command, MAX_PREFIX, Received};
use crate::zmtp::error::ProtocolError;
use crate::zmtp::frame::Header;

/// So many bytes go into a packet.
const PIECE: usize = 1_200;

/// The most bytes under way: a small part of what a kernel keeps for a socket that is not being read.
const MOST: usize = 32 * PIECE;

/// How much is under way at first: who has told nothing yet may be behind a slow line.
const AT_FIRST: usize = 4 * PIECE;

/// Waits for an answer, doubling.
const RESEND_FIRST: Duration = Duration::from_millis(100);
const RESEND_LONGEST: Duration = Duration::from_secs(1);

/// After so many waits in a row, about a minute, a peer that tells nothing is given up, though it may answer all else: what
/// waits for it would grow with each subscription that comes or goes.
const MOST_WAITS: u32 = 64;

/// After so many answers that say nothing new the next piece is lost, and not just overtaken.
const STALLED: u8 = 3;

/// The longest command: a subscription's name and prefix.
const MAX_COMMAND: usize = MAX_PREFIX + 10;

/// What the peer has not heard.
#[derive(Debug)]
pub(super) struct Outgoing {
    bytes: BytesMut,
    /// Where the first of them is in the whole run.
    first: u64,
    /// How many of them are under way.
    flown: usize,
    /// How many may be.
    window: usize,
    /// When they are sent again.
    due: Option<Instant>,
    pause: Duration,
    /// Waits since a whole piece was heard, or all that was under way.
    waits: u32,
    /// Answers since one said something new.
    stalls: u8,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            bytes: BytesMut::new(),
            first: 0,
            flown: 0,
            window: AT_FIRST,
            due: None,
            pause: RESEND_FIRST,
            waits: 0,
            stalls: 0,
        }
    }
}

impl Outgoing {
    pub(super) fn push(&mut self, command: &Command) {
        command.put(&mut self.bytes, Version::V3_1);
    }

    /// The peer has heard everything before this place.
    pub(super) fn acknowledged(&mut self, next: u64, now: Instant) {
        let heard = usize::try_from(next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        if heard > self.bytes.len() {
            return;
        }
        if heard == 0 {
            self.stalls = self.stalls.saturating_add(1);
            if self.stalls >= STALLED && self.flown > 0 {
                (self.stalls, self.flown) = (0, 0);
                self.window = self.window.midpoint(PIECE);
            }
            return;
        }
        // Bytes now and then are not enough.
        let is_much = heard >= PIECE.min(self.flown.max(1)) || heard == self.bytes.len();
        if is_much {
            self.waits = 0;
        }
        self.bytes.advance(heard);
        if self.bytes.is_empty() {
            // Subscriptions are made once, most of them at the start.
            self.bytes = BytesMut::new();
        }
        self.first = next;
        self.flown = self.flown.saturating_sub(heard);
        self.window = self.window.saturating_mul(2).min(MOST);
        (self.pause, self.stalls) = (RESEND_FIRST, 0);
        self.due = if self.flown > 0 { now.checked_add(self.pause) } else { None };
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if self.due.is_some_and(|due| due <= now) {
            self.waits = self.waits.saturating_add(1);
            if self.waits >= MOST_WAITS {
                return Err(ProtocolError::HeartbeatTimeout {
                    after: RESEND_LONGEST.saturating_mul(MOST_WAITS),
                });
            }
            self.pause = self.pause.saturating_mul(2).min(RESEND_LONGEST);
            (self.due, self.flown, self.window) = (None, 0, PIECE);
        }
        Ok(())
    }

    /// Whether a piece may go out.
    pub(super) fn is_owed(&self) -> bool {
        self.flown < self.window.min(self.bytes.len())
    }

    /// Writes the next piece and its place.
    pub(super) fn put_piece(&mut self, out: &mut BytesMut, now: Instant) {
        let end = self.flown.saturating_add(PIECE).min(self.window).min(self.bytes.len());
        out.put_u64(self.first.saturating_add(self.flown as u64));
        out.put_slice(self.bytes.get(self.flown..end).unwrap_or_default());
        self.flown = end;
        if self.due.is_none() {
            self.due = now.checked_add(self.pause);
        }
    }
}

/// What the peer says.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// How much has been heard.
    heard: u64,
    /// The start of a command.
    rest: BytesMut,
}

impl Incoming {
    pub(super) const fn heard(&self) -> u64 {
        self.heard
    }

    /// Takes a piece. Returns the commands that it ends.
    pub(super) fn take(&mut self, place: u64, piece: &[u8]) -> Result<Vec<Command>, ProtocolError> {
        let known = self.heard.checked_sub(place).and_then(|known| usize::try_from(known).ok());
        let new = known.and_then(|known| piece.get(known..)).unwrap_or_default();
        self.heard = self.heard.saturating_add(new.len() as u64);
        self.rest.put_slice(new);
        let mut commands = Vec::new();
        while let Some(header) = Header::decode(&self.rest) {
            if !header.command {
                return Err(ProtocolError::MalformedCommand { name: "COMMANDS".into() });
            }
            if header.body > MAX_COMMAND {
                return Err(ProtocolError::PrefixTooLong { limit: MAX_PREFIX, len: header.body });
            }
            if self.rest.len() < header.total() {
                break;
            }
            let mut frame = self.rest.split_to(header.total());
            frame.advance(header.head);
            commands.extend(command(&frame)?);
        }
        if self.rest.is_empty() {
            self.rest = BytesMut::new();
        }
        Ok(commands)
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
        Received::Ping { .. } | Received::Sent(_) | Received::Other => None,
    })
}
