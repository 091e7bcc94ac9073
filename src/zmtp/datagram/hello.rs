//! How a link over datagrams begins: HELLO, COOKIE, HELLO again, ACCEPT or REFUSE.
//!
//! A HELLO carries the properties of a READY. Until its sender has shown that it gets our packets, it is answered with a
//! cookie that is smaller than the question, and nothing is kept: the cookie is a keyed hash of the address, the link id
//! and the time, good for ten to twenty seconds. For as long a link that has ended is remembered, or else a late copy of
//! the HELLO that began it would begin it anew, and old messages would follow.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};
use zocket_transport::CloseReason;

use super::{Kind, Link, split};
use crate::zmtp::error::ProtocolError;
use crate::zmtp::mechanism::null;
use crate::zmtp::metadata::{Extras, Metadata, PeerInfo, put_own};
use crate::zmtp::{Config, Version};

/// What a HELLO starts with: the protocol and its version.
const MAGIC: &[u8] = b"zmtp-u1";

/// The largest HELLO and ACCEPT: some hundred bytes is what they have, and every network passes these whole.
const MAX_HELLO: usize = 1_200;

/// Every so many seconds cookies change.
const EPOCH: u64 = 10;

/// How long a cookie is good.
const COOKIE_LIFE: Duration = Duration::from_secs(2 * EPOCH);

/// So many ended links are remembered: fifty a second. With more, all cookies are made worthless, and callers who have
/// one are given another.
const REMEMBERED: usize = 1024;

const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_LONGEST: Duration = Duration::from_secs(1);

/// Reads what a peer says of itself.
fn peer_info(properties: &[u8], config: &Config) -> Result<PeerInfo, ProtocolError> {
    let info = PeerInfo::new(Version::V3_1, null::NAME, Metadata::parse(properties, config.kind)?);
    if !info.is_zocket() {
        return Err(ProtocolError::BadMetadata {
            rule: "over udp, where only zockets talk, X-Zocket is one",
        });
    }
    Ok(info)
}

pub(super) fn put_accept(out: &mut BytesMut, id: u64, config: &Config) {
    Kind::Accept.put(out, id);
    put_own(out, config.kind, &config.routing_id, Extras::default());
}

// ── Calling ─────────────────────────────────────────────────────────────────────────────────────

/// The calling side, until it is answered.
#[derive(Debug)]
pub(crate) struct Caller {
    config: Arc<Config>,
    id: u64,
    cookie: u64,
    /// When the next HELLO goes out.
    due: Instant,
    pause: Duration,
    ends: Option<Instant>,
}

/// What a caller was told.
#[derive(Debug)]
pub(crate) enum Answer {
    Accepted(Box<(PeerInfo, Link)>),
    Refused(CloseReason),
}

impl Caller {
    /// A caller whose link is to have this id, a random one.
    pub(crate) fn new(config: Arc<Config>, id: u64, now: Instant) -> Self {
        let ends = config.handshake_timeout.and_then(|timeout| now.checked_add(timeout));
        Self { config, id, cookie: 0, due: now, pause: AGAIN_FIRST, ends }
    }

    /// Writes a HELLO, if it is time for one.
    pub(crate) fn poll_packet(&mut self, out: &mut BytesMut, now: Instant) -> bool {
        if now < self.due {
            return false;
        }
        Kind::Hello.put(out, self.id);
        out.put_slice(MAGIC);
        out.put_u64(self.cookie);
        put_own(out, self.config.kind, &self.config.routing_id, Extras::default());
        self.due = now.checked_add(self.pause).unwrap_or(now);
        self.pause = self.pause.saturating_mul(2).min(AGAIN_LONGEST);
        true
    }

    /// Takes a packet; what answers another call, or none, is nothing.
    pub(crate) fn handle(&mut self, packet: &[u8], now: Instant) -> Result<Option<Answer>, ProtocolError> {
        let Some((kind, id, mut body)) = split(packet) else { return Ok(None) };
        if id != self.id {
            return Ok(None);
        }
        match kind {
            Kind::Cookie => {
                if let Ok(cookie) = body.try_get_u64()
                    && cookie != self.cookie
                {
                    (self.cookie, self.due) = (cookie, now);
                }
                Ok(None)
            }
            Kind::Accept if packet.len() <= MAX_HELLO => {
                let info = peer_info(body, &self.config)?;
                let link = Link::new(&self.config, self.id, &info, now);
                Ok(Some(Answer::Accepted(Box::new((info, link)))))
            }
            Kind::Refuse => Ok(Some(Answer::Refused(reason(body)))),
            _ => Ok(None),
        }
    }

    /// Writes that it gives up, if it may have been let in.
    pub(crate) fn put_bye(&self, out: &mut BytesMut) {
        if self.cookie != 0 {
            Kind::Bye.put(out, self.id);
            out.put_u64(0);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        Some(self.ends.map_or(self.due, |ends| ends.min(self.due)))
    }

    pub(crate) fn handle_timeout(&self, now: Instant) -> Result<(), ProtocolError> {
        match (self.ends, self.config.handshake_timeout) {
            (Some(ends), Some(after)) if ends <= now => Err(ProtocolError::HandshakeTimeout { after }),
            _ => Ok(()),
        }
    }
}

// ── Answering ───────────────────────────────────────────────────────────────────────────────────

/// The side that is called, by callers with addresses of this type. Keeps a key, and nothing of those who call.
#[derive(Debug)]
pub(crate) struct Doorkeeper<A> {
    config: Arc<Config>,
    keys: RandomState,
    since: Instant,
    /// Links that have ended, and when.
    ended: HashSet<(A, u64)>,
    order: VecDeque<(Instant, A, u64)>,
}

/// Somebody who called, and has shown that it is where it says.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) id: u64,
    properties: &'a [u8],
}

impl<A: Hash + Eq + Copy> Doorkeeper<A> {
    pub(crate) fn new(config: Arc<Config>, now: Instant) -> Self {
        let (ended, order) = (HashSet::new(), VecDeque::new());
        Self { config, keys: RandomState::new(), since: now, ended, order }
    }

    /// Takes a packet. If it is a call that needs no more than an answer, that is written.
    pub(crate) fn handle<'a>(
        &self,
        packet: &'a [u8],
        from: A,
        out: &mut BytesMut,
        now: Instant,
    ) -> Option<Call<'a>> {
        let (Kind::Hello, id, body) = split(packet)? else { return None };
        let mut properties = body.strip_prefix(MAGIC).filter(|_| packet.len() <= MAX_HELLO)?;
        let shown = properties.try_get_u64().ok()?;
        let epoch = now.saturating_duration_since(self.since).as_secs().checked_div(EPOCH)?;
        let cookie = |epoch: u64| self.keys.hash_one((from, id, epoch));
        if shown != cookie(epoch) && epoch.checked_sub(1).is_none_or(|before| shown != cookie(before)) {
            Kind::Cookie.put(out, id);
            out.put_u64(cookie(epoch));
            return None;
        }
        let call = Call { id, properties };
        if self.ended.contains(&(from, id)) {
            put_refuse(out, &call, CloseReason::TryLater);
            return None;
        }
        Some(call)
    }

    /// A link has ended: who calls for it does not get it again.
    pub(crate) fn ended(&mut self, from: A, id: u64, now: Instant) {
        while let Some(&(at, from, id)) = self.order.front()
            && now.saturating_duration_since(at) > COOKIE_LIFE
        {
            self.order.pop_front();
            self.ended.remove(&(from, id));
        }
        if self.order.len() >= REMEMBERED {
            self.order.clear();
            self.ended.clear();
            self.keys = RandomState::new();
        } else if self.ended.insert((from, id)) {
            self.order.push_back((now, from, id));
        }
    }

    /// What the caller says of itself, and the link that it may have.
    pub(crate) fn admit(&self, call: &Call<'_>, now: Instant) -> Result<(PeerInfo, Link), ProtocolError> {
        let info = peer_info(call.properties, &self.config)?;
        let mut link = Link::new(&self.config, call.id, &info, now);
        link.accept();
        Ok((info, link))
    }
}

/// Writes the answer to a call that is refused.
pub(crate) fn put_refuse(out: &mut BytesMut, call: &Call<'_>, why: CloseReason) {
    Kind::Refuse.put(out, call.id);
    let code = REASONS.into_iter().find(|(_, reason)| *reason == why).map_or(0, |(code, _)| code);
    out.put_u8(code);
}

/// The reasons for a refusal, as they are told. Others are 0.
const REASONS: [(u8, CloseReason); 4] = [
    (1, CloseReason::Protocol),
    (2, CloseReason::SocketType),
    (3, CloseReason::NotAllowed),
    (4, CloseReason::TryLater),
];

fn reason(body: &[u8]) -> CloseReason {
    let told = REASONS.into_iter().find(|(code, _)| body.first() == Some(code));
    told.map_or(CloseReason::Internal, |(_, reason)| reason)
}
