//! The only pipe: PAIR.
//!
//! The first pipe to be attached has the place until it is detached; on the connecting side that is before
//! anybody answered. Others are refused at their handshake, when there is a peer to refuse.
//!
//! Source: RFC 31, "SHALL accept only one connection".

use super::{Offer, Outbound, Outlets, Routed, Welcome};
use crate::message::{Message, Outgoing};
use crate::pipe::PipeId;
use crate::zmtp::{PeerInfo, Prefix};

#[derive(Debug, Default)]
pub(crate) struct Exclusive {
    pipe: Option<PipeId>,
    /// Whether the peer is connected now.
    live: bool,
    only_live: bool,
}

impl Exclusive {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Uses the pipe only while it has a link.
    pub(crate) fn only_live() -> Self {
        Self { only_live: true, ..Self::default() }
    }
}

impl Outbound for Exclusive {
    fn attach(&mut self, pipe: PipeId) {
        self.pipe.get_or_insert(pipe);
    }

    fn identify(&mut self, pipe: PipeId, _peer: &PeerInfo, _outlets: &mut impl Outlets) -> Welcome {
        // One that came too late has the place if the first has left since.
        if *self.pipe.get_or_insert(pipe) != pipe {
            return Welcome::Refuse;
        }
        self.live = true;
        Welcome::Accept { name: None }
    }

    fn lost(&mut self, pipe: PipeId) -> Vec<Message> {
        self.live &= self.pipe != Some(pipe);
        Vec::new()
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.lost(pipe);
        self.pipe.take_if(|only| *only == pipe);
        Vec::new()
    }

    #[inline]
    fn route(&mut self, message: &mut Outgoing<'_>, outlets: &mut impl Outlets) -> Routed {
        let Some(pipe) = self.pipe.filter(|_| self.live || !self.only_live) else { return Routed::NoPeer };
        match outlets.offer(pipe, Prefix::NONE, message) {
            Offer::Taken => Routed::Sent,
            Offer::Full => Routed::Blocked,
            Offer::Gone => {
                self.pipe = None;
                Routed::NoPeer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::fake::{FakeOutlets, peer, pipe};
    use crate::zmtp::SocketKind;

    #[test]
    fn a_second_peer_is_refused_until_the_first_is_gone() {
        let mut outlets = FakeOutlets::default();
        let mut pair = Exclusive::new();
        let info = peer(SocketKind::Pair, "");
        pair.attach(pipe(0));
        pair.attach(pipe(1));
        assert_eq!(pair.identify(pipe(1), &info, &mut outlets), Welcome::Refuse);
        assert_eq!(pair.identify(pipe(0), &info, &mut outlets), Welcome::Accept { name: None });
        pair.lost(pipe(0));
        assert_eq!(
            pair.identify(pipe(1), &info, &mut outlets),
            Welcome::Refuse,
            "the first is dialling again"
        );
        pair.detach(pipe(1));
        pair.detach(pipe(0));
        pair.attach(pipe(2));
        assert_eq!(pair.identify(pipe(2), &info, &mut outlets), Welcome::Accept { name: None });
    }

    #[test]
    fn messages_wait_for_a_peer_that_is_being_dialled_and_for_room() {
        let mut outlets = FakeOutlets::default();
        let mut pair = Exclusive::new();
        let mut message = Message::from("a");
        assert_eq!(pair.route(&mut Outgoing::Made(&mut message), &mut outlets), Routed::NoPeer);
        outlets.open(pipe(0), 1);
        pair.attach(pipe(0));
        assert_eq!(pair.route(&mut Outgoing::Made(&mut message), &mut outlets), Routed::Sent);
        let mut message = Message::from("b");
        assert_eq!(pair.route(&mut Outgoing::Made(&mut message), &mut outlets), Routed::Blocked);
        outlets.close(pipe(0));
        assert_eq!(pair.route(&mut Outgoing::Made(&mut message), &mut outlets), Routed::NoPeer);
        assert_eq!(message, "b");
    }

    #[test]
    fn a_peer_that_must_be_there_gets_nothing_while_it_is_away() {
        let mut pair = Exclusive::only_live();
        let mut outlets = FakeOutlets::default();
        outlets.open(pipe(0), 9);
        pair.attach(pipe(0));
        assert_eq!(pair.route(&mut Outgoing::Bytes(b"early"), &mut outlets), Routed::NoPeer);
        pair.identify(pipe(0), &peer(SocketKind::Pair, ""), &mut outlets);
        assert_eq!(pair.route(&mut Outgoing::Bytes(b"now"), &mut outlets), Routed::Sent);
        pair.lost(pipe(0));
        assert_eq!(pair.route(&mut Outgoing::Bytes(b"late"), &mut outlets), Routed::NoPeer);
    }
}
