//! One pipe for each message, in turn: PUSH, DEALER, and below REQ.
//!
//! Pipes with room form a ring. One that answers `Full` leaves it until `resume`, one that answers `Gone` for
//! good, so a message meets each full pipe once and then no more. Turns go by whole messages.
//! A pipe that is attached is in the ring, or full, or (with `only_live`) without a link.
//!
//! Source: RFC 30, "The PUSH socket type"; RFC 28, "The DEALER socket type".

use super::ring::Ring;
use super::{Offer, Outbound, Outlets, Routed, Welcome};
use crate::message::{Message, Outgoing};
use crate::pipe::{PipeId, Table};
use crate::zmtp::{PeerInfo, Prefix};

#[derive(Debug, Default)]
pub(crate) struct LoadBalance {
    ring: Ring,
    pipes: Table<Standing>,
    /// How many pipes stand at `Full`.
    full: usize,
    only_live: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    InRing,
    Full,
    /// Not to be used before the next handshake.
    Offline,
}

impl LoadBalance {
    /// Uses pipes from their attachment on, whether anybody answered or not.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Uses pipes only while they have a link: no message waits for a peer that may never come.
    pub(crate) fn only_live() -> Self {
        Self { only_live: true, ..Self::default() }
    }

    /// Offers to each pipe with room, from the one whose turn it is, until one takes. Says which, or why none.
    #[inline]
    pub(crate) fn choose(&mut self, mut offer: impl FnMut(PipeId) -> Offer) -> Result<PipeId, Routed> {
        while let Some(pipe) = self.ring.current() {
            match offer(pipe) {
                Offer::Taken => {
                    self.ring.advance();
                    return Ok(pipe);
                }
                refusal => self.refused(pipe, refusal),
            }
        }
        Err(if self.full > 0 { Routed::Blocked } else { Routed::NoPeer })
    }

    #[cold]
    fn refused(&mut self, pipe: PipeId, refusal: Offer) {
        self.ring.leave();
        if refusal == Offer::Full {
            self.pipes.insert_at(pipe, Standing::Full);
            self.full += 1;
        } else {
            self.pipes.vacate(pipe);
        }
    }

    /// Takes the pipe out of whatever it stands in; it is attached no more.
    fn remove(&mut self, pipe: PipeId) -> Option<Standing> {
        let standing = self.pipes.vacate(pipe)?;
        match standing {
            Standing::InRing => self.ring.remove(pipe),
            Standing::Full => self.full -= 1,
            Standing::Offline => {}
        }
        Some(standing)
    }

    fn enter(&mut self, pipe: PipeId) {
        self.pipes.insert_at(pipe, Standing::InRing);
        self.ring.join(pipe);
    }
}

impl Outbound for LoadBalance {
    fn attach(&mut self, pipe: PipeId) {
        if self.pipes.get(pipe).is_some() {
            return;
        }
        if self.only_live {
            self.pipes.insert_at(pipe, Standing::Offline);
        } else {
            self.enter(pipe);
        }
    }

    fn identify(&mut self, pipe: PipeId, _peer: &PeerInfo, _outlets: &mut impl Outlets) -> Welcome {
        if self.pipes.get(pipe) == Some(&Standing::Offline) {
            self.enter(pipe);
        }
        Welcome::Accept { name: None }
    }

    fn lost(&mut self, pipe: PipeId) -> Vec<Message> {
        if self.only_live && self.remove(pipe).is_some() {
            self.pipes.insert_at(pipe, Standing::Offline);
        }
        Vec::new()
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.remove(pipe);
        Vec::new()
    }

    fn resume(&mut self, pipe: PipeId) {
        if self.pipes.get(pipe) == Some(&Standing::Full) {
            self.full -= 1;
            self.enter(pipe);
        }
    }

    #[inline]
    fn route(&mut self, message: &mut Outgoing<'_>, outlets: &mut impl Outlets) -> Routed {
        match self.choose(|pipe| outlets.offer(pipe, Prefix::NONE, message)) {
            Ok(_) => Routed::Sent,
            Err(why) => why,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pattern::fake::{FakeOutlets, peer, pipe};
    use crate::zmtp::SocketKind;

    fn send(balance: &mut LoadBalance, outlets: &mut FakeOutlets, text: &str) -> Routed {
        let mut message = Message::from(text);
        let routed = balance.route(&mut (&mut message).into(), outlets);
        assert!(routed == Routed::Sent || message == text, "a message that was not sent is whole");
        routed
    }

    #[test]
    fn messages_go_round_the_pipes() {
        let mut outlets = FakeOutlets::default();
        let mut balance = LoadBalance::new();
        for n in 0..3 {
            outlets.open(pipe(n), 9);
            balance.attach(pipe(n));
        }
        for text in ["a", "b", "c", "d"] {
            assert_eq!(send(&mut balance, &mut outlets, text), Routed::Sent);
        }
        assert_eq!(outlets.sent(), [(0, "a"), (1, "b"), (2, "c"), (0, "d")]);
    }

    #[test]
    fn a_full_pipe_is_passed_over_and_not_asked_again_until_it_resumes() {
        let mut outlets = FakeOutlets::default();
        let mut balance = LoadBalance::new();
        outlets.open(pipe(0), 1);
        outlets.open(pipe(1), 3);
        balance.attach(pipe(0));
        balance.attach(pipe(1));
        for text in ["a", "b", "c", "d"] {
            assert_eq!(send(&mut balance, &mut outlets, text), Routed::Sent);
        }
        assert_eq!(send(&mut balance, &mut outlets, "e"), Routed::Blocked);
        assert_eq!(send(&mut balance, &mut outlets, "e"), Routed::Blocked);
        assert_eq!(outlets.refusals, 2, "one refusal each");
        outlets.drain(pipe(0));
        balance.resume(pipe(0));
        balance.resume(pipe(0));
        assert_eq!(send(&mut balance, &mut outlets, "e"), Routed::Sent);
        assert_eq!(send(&mut balance, &mut outlets, "f"), Routed::Blocked);
    }

    #[test]
    fn without_pipes_there_is_no_peer() {
        let mut outlets = FakeOutlets::default();
        let mut balance = LoadBalance::new();
        assert_eq!(send(&mut balance, &mut outlets, "a"), Routed::NoPeer);
        balance.attach(pipe(0));
        assert_eq!(send(&mut balance, &mut outlets, "a"), Routed::NoPeer, "it was gone already");
        outlets.open(pipe(1), 0);
        balance.attach(pipe(1));
        assert_eq!(send(&mut balance, &mut outlets, "a"), Routed::Blocked);
        balance.detach(pipe(1));
        assert_eq!(send(&mut balance, &mut outlets, "a"), Routed::NoPeer);
    }

    #[test]
    fn only_live_pipes_are_used_between_a_handshake_and_a_loss() {
        let mut outlets = FakeOutlets::default();
        let mut balance = LoadBalance::only_live();
        outlets.open(pipe(0), 9);
        balance.attach(pipe(0));
        assert_eq!(send(&mut balance, &mut outlets, "a"), Routed::NoPeer);
        balance.identify(pipe(0), &peer(SocketKind::Pull, ""), &mut outlets);
        assert_eq!(send(&mut balance, &mut outlets, "a"), Routed::Sent);
        balance.lost(pipe(0));
        assert_eq!(send(&mut balance, &mut outlets, "b"), Routed::NoPeer);
        balance.identify(pipe(0), &peer(SocketKind::Pull, ""), &mut outlets);
        assert_eq!(send(&mut balance, &mut outlets, "b"), Routed::Sent);
        balance.detach(pipe(0));
        balance.identify(pipe(0), &peer(SocketKind::Pull, ""), &mut outlets);
        assert_eq!(send(&mut balance, &mut outlets, "c"), Routed::NoPeer, "detached is for good");
    }

    #[test]
    fn a_full_pipe_that_loses_its_link_comes_back_once() {
        let mut outlets = FakeOutlets::default();
        let mut balance = LoadBalance::only_live();
        outlets.open(pipe(0), 1);
        balance.attach(pipe(0));
        balance.identify(pipe(0), &peer(SocketKind::Pull, ""), &mut outlets);
        assert_eq!(send(&mut balance, &mut outlets, "a"), Routed::Sent);
        assert_eq!(send(&mut balance, &mut outlets, "b"), Routed::Blocked);
        balance.lost(pipe(0));
        assert_eq!(send(&mut balance, &mut outlets, "b"), Routed::NoPeer);
        outlets.drain(pipe(0));
        balance.identify(pipe(0), &peer(SocketKind::Pull, ""), &mut outlets);
        balance.resume(pipe(0));
        assert_eq!(send(&mut balance, &mut outlets, "b"), Routed::Sent);
        assert_eq!(send(&mut balance, &mut outlets, "c"), Routed::Blocked);
        assert_eq!(outlets.refusals, 2, "it stood in the ring once");
    }

    proptest! {
        #[test]
        fn no_pipe_with_room_is_missed_and_none_gets_two_more_than_another(
            steps in prop::collection::vec((0_u32..6, 0_u8..8), 1..200),
        ) {
            let mut outlets = FakeOutlets::default();
            let mut balance = LoadBalance::new();
            let mut counts = [0_i32; 2];
            for n in 0..6 {
                outlets.open(pipe(n), if n < 2 { usize::MAX } else { 2 });
                balance.attach(pipe(n));
            }
            for (n, step) in steps {
                match step {
                    0 => {
                        outlets.drain(pipe(n));
                        balance.resume(pipe(n));
                    }
                    1 if n >= 2 => drop(balance.detach(pipe(n))),
                    2 => balance.attach(pipe(n)),
                    _ => {
                        prop_assert_eq!(send(&mut balance, &mut outlets, "m"), Routed::Sent);
                        if let Some(count) = counts.get_mut(outlets.last().slot()) {
                            *count += 1;
                        }
                    }
                }
                prop_assert!((counts[0] - counts[1]).abs() <= 1, "{:?}", counts);
            }
        }
    }
}
