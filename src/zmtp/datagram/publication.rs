//! What a PUB says to a multicast group: messages, to whoever listens, who never says anything.
//!
//! A datagram is `"zmp1"(4) publication(8) number(8) frames`, numbers big-endian. A publication is what one socket of a
//! PUB sends for as long as it is open; its id is random, and its numbers ascend from 1. A datagram without frames tells
//! the number of the last message, again and again, so that a loss at the end shows and who is silent is known to live.
//!
//! Invariant: whoever sends what to a group, a listener remembers a bounded number of publications.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};

use super::ledger::{Arrival, Ledger, Missed};
use super::{SILENT, check_message, put_frames, watched};
use crate::zmtp::Config;

/// The protocol and its version.
const MAGIC: &[u8] = b"zmp1";

/// The most publications that a listener remembers: far more than publish to a group, and some 60 KiB.
const REMEMBERED: usize = 256;

/// The sending side.
#[derive(Debug)]
pub(crate) struct Publication {
    id: u64,
    /// The number of the last message.
    sent: u64,
    interval: Duration,
    /// When the last number is told.
    due: Option<Instant>,
}

impl Publication {
    /// A publication of this id, a random one.
    pub(crate) fn new(id: u64, config: &Config, now: Instant) -> Self {
        let interval = watched(&config.heartbeat).interval.unwrap_or_default();
        // At once, so that whoever listens counts from the first message.
        Self { id, sent: 0, interval, due: Some(now) }
    }

    fn put(&self, out: &mut BytesMut, number: u64) {
        out.put_slice(MAGIC);
        out.put_u64(self.id);
        out.put_u64(number);
    }

    /// As [`Link::put_message`](super::Link::put_message).
    pub(crate) fn put_message(
        &mut self,
        out: &mut BytesMut,
        frames: impl FnOnce(&mut BytesMut),
    ) -> Result<usize, usize> {
        let number = self.sent.saturating_add(1);
        let put = put_frames(out, |out| self.put(out, number), frames);
        if put.is_ok_and(|size| size > 0) {
            self.sent = number;
        }
        put
    }

    /// Tells the last number.
    pub(crate) fn put_last(&self, out: &mut BytesMut) {
        self.put(out, self.sent);
    }

    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is time to tell the last number.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = now.checked_add(self.interval);
        }
        is_due
    }
}

/// What a datagram meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// The frames of a message.
    Message(&'a [u8]),
    Nothing,
    /// A message of a publication for which there is no place.
    Crowded,
    /// No PUB sends this.
    Malformed,
}

/// The listening side, where publications come from addresses of this type.
#[derive(Debug)]
pub(crate) struct Audience<A> {
    publications: HashMap<(A, u64), Followed>,
    /// What became of messages of publications that are forgotten.
    missed: Missed,
    /// The first time of all ledgers, or an earlier one.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Followed {
    ledger: Ledger,
    /// When it was heard last.
    at: Instant,
}

impl<A> Default for Audience<A> {
    fn default() -> Self {
        Self { publications: HashMap::new(), missed: Missed::default(), due: None }
    }
}

impl<A: Eq + Hash + Copy> Audience<A> {
    /// Takes a datagram.
    pub(crate) fn handle<'a>(
        &mut self,
        datagram: &'a [u8],
        from: A,
        config: &Config,
        now: Instant,
    ) -> Heard<'a> {
        let Some(mut frames) = datagram.strip_prefix(MAGIC) else { return Heard::Malformed };
        let (Ok(id), Ok(number)) = (frames.try_get_u64(), frames.try_get_u64()) else {
            return Heard::Malformed;
        };
        let is_message = !frames.is_empty();
        if is_message && (number == 0 || check_message(config, frames).is_err()) {
            return Heard::Malformed;
        }
        // Who comes later has missed nothing.
        let before = if is_message { number.saturating_sub(1) } else { number };
        let Some(followed) = self.follow((from, id), before, now) else {
            return if is_message { Heard::Crowded } else { Heard::Nothing };
        };
        followed.at = now;
        let heard = if is_message {
            match followed.ledger.arrived(number, now) {
                Arrival::Next => Heard::Message(frames),
                Arrival::Old => Heard::Nothing,
                Arrival::Absurd => Heard::Malformed,
            }
        } else if followed.ledger.told(number, now) {
            Heard::Nothing
        } else {
            Heard::Malformed
        };
        let due = followed.ledger.poll_timeout();
        self.due = self.due.into_iter().chain(due).min();
        heard
    }

    /// The publication, one that is new after the message of this number. `None`: there is no place for another.
    fn follow(&mut self, key: (A, u64), before: u64, now: Instant) -> Option<&mut Followed> {
        if self.publications.len() >= REMEMBERED && !self.publications.contains_key(&key) {
            // Not for whoever comes: what a forgotten publication sent before would then be delivered again. Who lives tells
            // its number once a minute at least, unless it has rarer heartbeats.
            let (&oldest, followed) = self.publications.iter().min_by_key(|(_, followed)| followed.at)?;
            if now.saturating_duration_since(followed.at) < SILENT {
                return None;
            }
            let forgotten = self.publications.remove(&oldest)?;
            self.miss(forgotten);
        }
        Some(
            self.publications
                .entry(key)
                .or_insert_with(|| Followed { ledger: Ledger::after(before), at: now }),
        )
    }

    fn miss(&mut self, mut forgotten: Followed) {
        self.missed.add(forgotten.ledger.finish());
    }

    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Returns the messages that have not come since that was last told.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Missed {
        let mut missed = Missed::default();
        if self.due.is_some_and(|due| due <= now) {
            missed = std::mem::take(&mut self.missed);
            for followed in self.publications.values_mut() {
                missed.add(followed.ledger.handle_timeout(now));
            }
            let dues = self.publications.values().filter_map(|followed| followed.ledger.poll_timeout());
            self.due = dues.min();
        }
        missed
    }

    /// At the end.
    pub(crate) fn finish(&mut self) -> Missed {
        let publications = std::mem::take(&mut self.publications);
        publications.into_values().for_each(|followed| self.miss(followed));
        std::mem::take(&mut self.missed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::Frame;
    use crate::zmtp::{HeartbeatConfig, SocketKind};

    const HERE: u8 = 7;
    const SECOND: Duration = Duration::from_secs(1);

    fn config() -> Arc<Config> {
        Arc::new(Config {
            kind: SocketKind::Pub,
            routing_id: Frame::new(),
            handshake_timeout: None,
            heartbeat: HeartbeatConfig {
                interval: Some(15 * SECOND),
                timeout: SECOND,
                ttl: Duration::ZERO,
                zocket_only: true,
            },
            max_message_bytes: 1 << 20,
            max_frames: 100,
            extras: crate::zmtp::Extras::default(),
        })
    }

    fn message(publication: &mut Publication) -> BytesMut {
        let mut out = BytesMut::new();
        assert_eq!(publication.put_message(&mut out, |out| out.put_slice(&[0, 1, b'x'])), Ok(3));
        out
    }

    fn last(publication: &Publication) -> BytesMut {
        let mut out = BytesMut::new();
        publication.put_last(&mut out);
        out
    }

    #[test]
    fn each_publication_is_counted_by_itself_from_where_it_was_first_heard() {
        let (config, now) = (config(), Instant::now());
        let mut audience = Audience::default();
        let [mut one, mut two] = [1, 2].map(|id| Publication::new(id, &config, now));
        let ones: Vec<_> = (0..6).map(|_| message(&mut one)).collect();
        let twos: Vec<_> = (0..6).map(|_| message(&mut two)).collect();
        let mut hear = |datagram: &[u8]| match audience.handle(datagram, HERE, &config, now) {
            Heard::Message(frames) => {
                assert_eq!(frames, [0, 1, b'x']);
                true
            }
            Heard::Nothing => false,
            odd => panic!("{odd:?}: {datagram:?}"),
        };
        assert!(hear(&ones[2]) && hear(&twos[0]) && hear(&ones[4]));
        assert!(!hear(&ones[2]) && !hear(&ones[3]) && !hear(&ones[3]), "copies, and a late one");
        assert!(hear(&twos[5]));
        assert!(!hear(&last(&one)) && !hear(&last(&two)));
        let due = audience.poll_timeout().unwrap();
        assert_eq!(audience.handle_timeout(now), Missed::default());
        assert_eq!(audience.handle_timeout(due), Missed { lost: 4, late: 1 }, "four of the second");
        let due = audience.poll_timeout().unwrap();
        assert_eq!(audience.handle_timeout(due), Missed { lost: 1, late: 0 }, "the last of the first");
        assert_eq!((audience.poll_timeout(), audience.finish()), (None, Missed::default()));
    }

    #[test]
    fn the_last_number_is_told_at_once_and_then_at_every_heartbeat() {
        let now = Instant::now();
        let mut publication = Publication::new(1, &config(), now);
        assert!(publication.handle_timeout(now) && !publication.handle_timeout(now));
        assert_eq!(publication.poll_timeout(), Some(now + 15 * SECOND));
        assert!(publication.handle_timeout(now + 15 * SECOND));
    }

    #[test]
    fn a_flood_of_publications_makes_nobody_forget_those_that_live() {
        let (config, start) = (config(), Instant::now());
        let mut audience = Audience::default();
        let mut real = Publication::new(0, &config, start);
        let first = message(&mut real);
        assert_eq!(audience.handle(&first, HERE, &config, start), Heard::Message(&[0, 1, b'x']));
        for id in 1..10_000 {
            let now = start + Duration::from_millis(id * 10);
            let mut flood = Publication::new(id, &config, now);
            let datagram = message(&mut flood);
            let heard = audience.handle(&datagram, HERE, &config, now);
            assert_eq!(heard == Heard::Crowded, id >= REMEMBERED as u64, "{id}: {heard:?}");
            if id % 1_000 == 0 {
                audience.handle(&last(&real), HERE, &config, now);
            }
            assert_eq!(audience.handle(&first, HERE, &config, now), Heard::Nothing, "a copy");
        }
        assert_eq!(audience.publications.len(), REMEMBERED);
        let late = start + Duration::from_secs(300);
        let mut new = Publication::new(20_000, &config, late);
        let datagram = message(&mut new);
        assert_eq!(audience.handle(&datagram, HERE, &config, late), Heard::Message(&[0, 1, b'x']));
    }

    #[test]
    fn who_has_no_heartbeats_set_is_not_forgotten_between_those_it_has() {
        let (mut config, start) = ((*config()).clone(), Instant::now());
        config.heartbeat.interval = None;
        let mut audience = Audience::default();
        let mut real = Publication::new(0, &config, start);
        let first = message(&mut real);
        assert!(real.handle_timeout(start));
        assert_eq!(audience.handle(&first, HERE, &config, start), Heard::Message(&[0, 1, b'x']));
        let next = real.poll_timeout().unwrap();
        for id in 1..1_000 {
            audience.handle(&message(&mut Publication::new(id, &config, next)), HERE, &config, next);
        }
        assert_eq!(audience.handle(&first, HERE, &config, next), Heard::Nothing, "a copy");
    }

    #[test]
    fn what_no_pub_sends_is_told_from_what_one_does() {
        let (config, now) = (config(), Instant::now());
        let mut audience = Audience::default();
        let mut publication = Publication::new(1, &config, now);
        let good = message(&mut publication);
        let mut absurd = good.clone();
        absurd[12..20].fill(255);
        assert_eq!(audience.handle(&good, HERE, &config, now), Heard::Message(&[0, 1, b'x']));
        for wrong in [
            &good[..19],
            &good[..22],
            &good[1..],
            &absurd,
            b"",
            &[&good[..12], &[0; 8], &good[20..]].concat(),
        ] {
            assert_eq!(audience.handle(wrong, HERE, &config, now), Heard::Malformed, "{wrong:?}");
        }
        assert_eq!(audience.finish(), Missed::default());
    }
}
