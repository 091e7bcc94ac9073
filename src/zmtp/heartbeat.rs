//! Heartbeats: finding out that a silent peer is gone. Timers only; the engine writes the PINGs.
//!
//! Two clocks can end a connection. After a PING of ours the peer has `timeout` to send anything. And a peer's
//! own PING may carry a TTL: if it then sends nothing for so long, it wants to be given up. Any bytes at all
//! prove life and stop both clocks. While *we* do not read, because the lane is full, the peer's silence is our
//! doing: the clocks stand still, and start afresh when reading goes on. PINGs go out all the while.
//!
//! Source: RFC 37, "Ping and Pong"; libzmq's `stream_engine_base.cpp`.

use std::time::{Duration, Instant};

use super::Version;
use super::error::ProtocolError;
use super::metadata::PeerInfo;

/// How a socket keeps watch over its peers.
#[derive(Debug, Clone)]
pub(crate) struct HeartbeatConfig {
    /// Time between PINGs; none, or zero, is no PINGs and no expiry.
    pub(crate) interval: Option<Duration>,
    /// How long a peer may be silent after a PING; zero is for ever.
    pub(crate) timeout: Duration,
    /// Our own TTL, told in our PINGs; zero is none.
    pub(crate) ttl: Duration,
    /// Watch only peers that are zockets. Others stop answering PINGs when they stop reading (libzmq does), and
    /// would be given up for being busy.
    pub(crate) zocket_only: bool,
}

/// The timers of one connection. Idle until [`start`](Self::start).
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    /// None while no PINGs are sent.
    interval: Option<Duration>,
    next_ping: Option<Instant>,
    answer: Clock,
    ttl: Clock,
    paused: bool,
}

/// A time that the peer has to prove life.
#[derive(Debug, Default)]
struct Clock {
    span: Duration,
    /// None while the clock is stopped.
    due: Option<Instant>,
}

impl Clock {
    fn run(&mut self, now: Instant) {
        // A time too far away to be told is never.
        self.due = if self.span.is_zero() { None } else { now.checked_add(self.span) };
    }

    fn check(&self, now: Instant) -> Result<(), ProtocolError> {
        match self.due {
            Some(due) if due <= now => Err(ProtocolError::HeartbeatTimeout { after: self.span }),
            _ => Ok(()),
        }
    }
}

impl Heartbeat {
    /// The handshake is over. ZMTP 2.0 has no heartbeats.
    pub(crate) fn start(&mut self, config: &HeartbeatConfig, peer: &PeerInfo, now: Instant) {
        let watched = peer.version() > Version::V2_0 && (peer.is_zocket() || !config.zocket_only);
        self.interval = config.interval.filter(|interval| watched && !interval.is_zero());
        self.answer.span = config.timeout;
        self.schedule(now);
    }

    /// Bytes arrived.
    #[inline]
    pub(crate) const fn alive(&mut self) {
        self.answer.due = None;
        self.ttl.due = None;
    }

    /// A PING of the peer's arrived with this TTL. Holds for every peer: it asks for it itself.
    pub(crate) fn announced(&mut self, ttl: Duration, now: Instant) {
        self.ttl.span = ttl;
        self.ttl.run(now);
    }

    pub(crate) fn set_reading(&mut self, reading: bool, now: Instant) {
        if reading && self.paused {
            for clock in [&mut self.answer, &mut self.ttl] {
                if clock.due.is_some() {
                    clock.run(now);
                }
            }
        }
        self.paused = !reading;
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let expiries = [self.answer.due, self.ttl.due];
        let expiries = expiries.into_iter().flatten().filter(|_| !self.paused);
        expiries.chain(self.next_ping).min()
    }

    /// Says whether a PING is to be sent now.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<bool, ProtocolError> {
        if !self.paused {
            self.answer.check(now)?;
            self.ttl.check(now)?;
        }
        let ping = self.next_ping.is_some_and(|at| at <= now);
        if ping {
            self.schedule(now);
            // An unanswered PING's clock is not set back by the next one.
            if self.answer.due.is_none() {
                self.answer.run(now);
            }
        }
        Ok(ping)
    }

    fn schedule(&mut self, now: Instant) {
        self.next_ping = self.interval.and_then(|interval| now.checked_add(interval));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::kind::SocketKind;
    use crate::zmtp::metadata::Metadata;

    const SECOND: Duration = Duration::from_secs(1);

    fn config() -> HeartbeatConfig {
        HeartbeatConfig { interval: Some(10 * SECOND), timeout: 4 * SECOND, ttl: SECOND, zocket_only: true }
    }

    fn started(now: Instant) -> Heartbeat {
        let mut heartbeat = Heartbeat::default();
        heartbeat.start(&config(), &PeerInfo::for_test(SocketKind::Pull, b""), now);
        heartbeat
    }

    fn expired(seconds: u32) -> Result<bool, ProtocolError> {
        Err(ProtocolError::HeartbeatTimeout { after: seconds * SECOND })
    }

    #[test]
    fn a_silent_peer_is_given_up_after_a_ping_and_the_timeout() {
        let start = Instant::now();
        let mut heartbeat = started(start);
        assert_eq!(heartbeat.poll_timeout(), Some(start + 10 * SECOND));
        assert_eq!(heartbeat.handle_timeout(start + 9 * SECOND), Ok(false));
        assert_eq!(heartbeat.handle_timeout(start + 10 * SECOND), Ok(true));
        assert_eq!(heartbeat.poll_timeout(), Some(start + 14 * SECOND));
        assert_eq!(heartbeat.handle_timeout(start + 14 * SECOND), expired(4));
    }

    #[test]
    fn any_bytes_prove_life() {
        let start = Instant::now();
        let mut heartbeat = started(start);
        assert_eq!(heartbeat.handle_timeout(start + 10 * SECOND), Ok(true));
        heartbeat.announced(SECOND, start + 11 * SECOND);
        heartbeat.alive();
        assert_eq!(heartbeat.poll_timeout(), Some(start + 20 * SECOND));
    }

    #[test]
    fn the_clock_of_an_unanswered_ping_is_not_set_back_by_the_next() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::default();
        let config = HeartbeatConfig { timeout: 25 * SECOND, ..config() };
        heartbeat.start(&config, &PeerInfo::for_test(SocketKind::Pull, b""), start);
        for seconds in [10, 20, 30] {
            assert_eq!(heartbeat.handle_timeout(start + seconds * SECOND), Ok(true));
        }
        assert_eq!(heartbeat.handle_timeout(start + 35 * SECOND), expired(25));
    }

    #[test]
    fn a_peers_ttl_holds_even_if_we_send_no_pings() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.poll_timeout(), None);
        heartbeat.announced(3 * SECOND, start);
        assert_eq!(heartbeat.handle_timeout(start + 3 * SECOND), expired(3));
        heartbeat.announced(Duration::ZERO, start);
        assert_eq!(heartbeat.poll_timeout(), None);
    }

    #[test]
    fn the_clocks_stand_still_while_we_do_not_read_and_then_start_afresh() {
        let start = Instant::now();
        let mut heartbeat = started(start);
        heartbeat.announced(3 * SECOND, start);
        heartbeat.set_reading(false, start + SECOND);
        assert_eq!(heartbeat.handle_timeout(start + 10 * SECOND), Ok(true));
        assert_eq!(heartbeat.handle_timeout(start + 99 * SECOND), Ok(true));
        assert_eq!(heartbeat.poll_timeout(), Some(start + 109 * SECOND));
        heartbeat.set_reading(true, start + 100 * SECOND);
        heartbeat.set_reading(true, start + 102 * SECOND);
        assert_eq!(heartbeat.poll_timeout(), Some(start + 103 * SECOND));
        assert_eq!(heartbeat.handle_timeout(start + 103 * SECOND), expired(3));
    }

    #[test]
    fn by_default_only_zockets_are_watched_and_2_0_peers_never() {
        let start = Instant::now();
        let watched = |version, zocket_only| {
            let peer = PeerInfo::new(version, "NULL", Metadata::default());
            let mut heartbeat = Heartbeat::default();
            heartbeat.start(&HeartbeatConfig { zocket_only, ..config() }, &peer, start);
            heartbeat.poll_timeout().is_some()
        };
        assert!(watched(Version::V3_0, false));
        assert!(!watched(Version::V3_0, true));
        assert!(!watched(Version::V2_0, false));
    }

    #[test]
    fn endless_times_are_never() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::default();
        let peer = PeerInfo::for_test(SocketKind::Pull, b"");
        let endless = HeartbeatConfig { interval: Some(Duration::MAX), timeout: Duration::MAX, ..config() };
        heartbeat.start(&endless, &peer, start);
        assert_eq!(heartbeat.poll_timeout(), None);
        heartbeat.start(&HeartbeatConfig { interval: Some(Duration::ZERO), ..config() }, &peer, start);
        assert_eq!(heartbeat.poll_timeout(), None);
        heartbeat.start(&HeartbeatConfig { timeout: Duration::ZERO, ..config() }, &peer, start);
        assert_eq!(heartbeat.handle_timeout(start + 10 * SECOND), Ok(true));
        assert_eq!(heartbeat.poll_timeout(), Some(start + 20 * SECOND));
    }
}
