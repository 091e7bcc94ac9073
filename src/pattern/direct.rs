//! Answers to the pipe that asked: REP.
//!
//! A reply belongs to one session of a pipe, the time between a handshake and the loss of the link. Whoever
//! dials again is told nothing that was meant for the connection before: sessions are numbered, a request
//! remembers its number, and a reply to an older one has nowhere to go.
//!
//! Source: RFC 28, "The REP socket type": replies go to the originating peer, or are dropped if it is gone.

use super::fair_queue::{FairQueue, Turn};
use super::{Inbound, Lanes, Offer, Origin, Outbound, Outlets, Routed, Welcome};
use crate::message::{Frame, Message, Outgoing};
use crate::pipe::{PipeId, Table};
use crate::zmtp::{PeerInfo, Prefix};

/// The session of each pipe. Both halves count, in the same critical sections, so that a request is numbered
/// when it is taken and a reply is checked when it is sent.
#[derive(Debug, Default)]
struct Sessions(Table<u32>);

impl Sessions {
    fn begin(&mut self, pipe: PipeId) {
        // Odd while the link is up.
        if let Some(session) = self.0.get_mut(pipe) {
            *session = session.wrapping_add(if is_up(*session) { 2 } else { 1 });
        }
    }

    fn end(&mut self, pipe: PipeId) {
        if let Some(session) = self.0.get_mut(pipe).filter(|session| is_up(**session)) {
            *session = session.wrapping_add(1);
        }
    }

    fn of(&self, pipe: PipeId) -> Option<u32> {
        self.0.get(pipe).copied()
    }
}

const fn is_up(session: u32) -> bool {
    session % 2 == 1
}

/// The sending half.
#[derive(Debug, Default)]
pub(crate) struct Direct {
    sessions: Sessions,
}

impl Direct {
    /// Sends `envelope` and `message` if the session still lasts.
    pub(crate) fn reply(
        &mut self,
        pipe: PipeId,
        session: u32,
        envelope: Prefix<'_>,
        message: &mut Outgoing<'_>,
        outlets: &mut impl Outlets,
    ) -> Routed {
        if !is_up(session) || self.sessions.of(pipe) != Some(session) {
            return Routed::Unroutable;
        }
        match outlets.offer(pipe, envelope, message) {
            Offer::Taken => Routed::Sent,
            Offer::Full => Routed::Blocked,
            Offer::Gone => Routed::Unroutable,
        }
    }
}

impl Outbound for Direct {
    fn any_pipe(&self) -> bool {
        false
    }

    fn attach(&mut self, pipe: PipeId) {
        self.sessions.0.insert_at(pipe, 0);
    }

    fn identify(&mut self, pipe: PipeId, _peer: &PeerInfo, _outlets: &mut impl Outlets) -> Welcome {
        self.sessions.begin(pipe);
        Welcome::Accept { name: None }
    }

    fn lost(&mut self, pipe: PipeId) -> Vec<Message> {
        self.sessions.end(pipe);
        Vec::new()
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.sessions.0.vacate(pipe);
        Vec::new()
    }

    /// Names nobody: replies go through [`Direct::reply`].
    fn route(&mut self, _message: &mut Outgoing<'_>, _outlets: &mut impl Outlets) -> Routed {
        Routed::Unroutable
    }
}

/// The receiving half: requests, numbered by session.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    queue: FairQueue,
    sessions: Sessions,
    askers: Table<Asker>,
}

#[derive(Debug, Default)]
struct Asker {
    /// How many requests in its lane came over a link that is gone: nobody waits for their replies.
    stale: usize,
    /// In process, whom we connect to may ask before it is known here. That is read once it is.
    is_early: bool,
}

impl Requests {
    /// Reads what came before its asker was known: it is known now, or will not be.
    fn hear_early(&mut self, pipe: PipeId) {
        if self.askers.get_mut(pipe).is_some_and(|asker| std::mem::take(&mut asker.is_early)) {
            self.queue.ready(pipe);
        }
    }
}

impl Inbound for Requests {
    fn attach(&mut self, pipe: PipeId) {
        self.sessions.0.insert_at(pipe, 0);
        self.askers.insert_at(pipe, Asker::default());
    }

    fn identify(&mut self, pipe: PipeId, _name: Option<&Frame>) {
        self.sessions.begin(pipe);
        self.hear_early(pipe);
    }

    fn lost(&mut self, pipe: PipeId, waiting: usize) {
        self.sessions.end(pipe);
        if let Some(asker) = self.askers.get_mut(pipe) {
            asker.stale = waiting;
        }
        self.hear_early(pipe);
    }

    fn detach(&mut self, pipe: PipeId) {
        self.sessions.0.vacate(pipe);
        self.askers.vacate(pipe);
    }

    fn ready(&mut self, pipe: PipeId) {
        self.queue.ready(pipe);
    }

    fn next(&mut self, lanes: &mut impl Lanes, into: &mut Message) -> Option<Origin> {
        let Self { queue, sessions, askers } = self;
        let (mut session, mut envelope) = (0, None);
        let Origin { pipe, .. } = queue.next_by(|from| {
            let mut asker = askers.get_mut(from);
            session = match (sessions.of(from), &mut asker) {
                (Some(now), Some(Asker { stale: 0, .. })) if is_up(now) => now,
                (_, Some(asker)) if asker.stale == 0 => {
                    asker.is_early = true;
                    return Turn::Empty;
                }
                // Its link or its pipe is gone.
                _ => 0,
            };
            // Else nearly every request would be made in three frames and a vector, to be made one again.
            envelope = lanes.open(from);
            if !lanes.pop(from, into) {
                return Turn::Empty;
            }
            if let Some(asker) = asker {
                asker.stale = asker.stale.saturating_sub(1);
            }
            // A lane that is empty now stays in the ring: who asks again at once does so behind all others.
            Turn::Taken
        })?;
        Some(Origin { pipe, session, envelope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::fake::{FakeLanes, FakeOutlets, peer, pipe, receive};
    use crate::zmtp::SocketKind;

    struct Bench {
        rep: Direct,
        outlets: FakeOutlets,
    }

    impl Bench {
        fn new() -> Self {
            let mut bench = Self { rep: Direct::default(), outlets: FakeOutlets::default() };
            bench.outlets.open(pipe(0), 1);
            bench.rep.attach(pipe(0));
            bench.identify();
            bench
        }

        fn identify(&mut self) {
            self.rep.identify(pipe(0), &peer(SocketKind::Req, ""), &mut self.outlets);
        }

        fn reply(&mut self, session: u32) -> Routed {
            let envelope = [Frame::from("id"), Frame::new()];
            self.rep.reply(
                pipe(0),
                session,
                Prefix::Frames(&envelope),
                &mut Outgoing::Bytes(b"yes"),
                &mut self.outlets,
            )
        }
    }

    #[test]
    fn a_request_that_comes_before_its_asker_is_known_waits_until_it_is() {
        let (mut requests, mut lanes) = (Requests::default(), FakeLanes::default());
        requests.attach(pipe(0));
        for _link in 0..2 {
            assert!(lanes.arrive(pipe(0), ["", "early"]));
            requests.ready(pipe(0));
            assert!(receive(&mut requests, &mut lanes).is_none());
            requests.identify(pipe(0), None);
            let (from, _) = receive(&mut requests, &mut lanes).expect("its asker is known");
            assert!(is_up(from.session));
            requests.lost(pipe(0), 0);
        }
        // Nor is it kept for good if its asker never is.
        lanes.arrive(pipe(0), ["", "early"]);
        requests.ready(pipe(0));
        assert!(receive(&mut requests, &mut lanes).is_none());
        requests.lost(pipe(0), 1);
        let (from, _) = receive(&mut requests, &mut lanes).expect("its asker is gone");
        assert!(!is_up(from.session));
    }

    #[test]
    fn askers_who_ask_again_at_once_are_heard_in_turn() {
        let (mut requests, mut lanes) = (Requests::default(), FakeLanes::default());
        let ask = |requests: &mut Requests, lanes: &mut FakeLanes, asker| {
            if lanes.arrive(pipe(asker), ["", "?"]) {
                requests.ready(pipe(asker));
            }
        };
        (0..3).for_each(|asker| ask(&mut requests, &mut lanes, asker));
        let mut heard = Vec::new();
        for _ in 0..9 {
            let (from, _) = receive(&mut requests, &mut lanes).expect("all have asked");
            let asker = u32::try_from(from.pipe.slot()).unwrap();
            heard.push(asker);
            ask(&mut requests, &mut lanes, asker);
        }
        assert_eq!(heard, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_reply_goes_to_its_asker_behind_the_envelope() {
        let mut bench = Bench::new();
        let session = bench.rep.sessions.of(pipe(0)).unwrap();
        assert_eq!(bench.reply(session), Routed::Sent);
        assert_eq!(bench.outlets.log, [(pipe(0), Message::from(["id", "", "yes"]))]);
        assert_eq!(bench.reply(session), Routed::Blocked);
    }

    #[test]
    fn a_reply_does_not_reach_a_peer_that_came_back_in_between() {
        let mut bench = Bench::new();
        let session = bench.rep.sessions.of(pipe(0)).unwrap();
        bench.rep.lost(pipe(0));
        assert_eq!(bench.reply(session), Routed::Unroutable);
        let offline = bench.rep.sessions.of(pipe(0)).unwrap();
        assert_eq!(bench.reply(offline), Routed::Unroutable);
        bench.identify();
        assert_eq!(bench.reply(session), Routed::Unroutable);
        bench.identify();
        let session = bench.rep.sessions.of(pipe(0)).unwrap();
        assert_eq!(bench.reply(session), Routed::Sent);
        bench.rep.detach(pipe(0));
        assert_eq!(bench.reply(session), Routed::Unroutable);
        assert_eq!(bench.outlets.log.len(), 1);
    }

    #[test]
    fn a_request_read_after_its_link_is_lost_is_not_taken_for_one_of_the_next() {
        let mut requests = Requests::default();
        let mut lanes = FakeLanes::default();
        requests.attach(pipe(0));
        requests.identify(pipe(0), None);
        for request in ["one", "two"] {
            if lanes.arrive(pipe(0), request) {
                requests.ready(pipe(0));
            }
        }
        let (first, _) = receive(&mut requests, &mut lanes).unwrap();
        requests.lost(pipe(0), 1);
        requests.identify(pipe(0), None);
        lanes.arrive(pipe(0), "three");
        let sessions: Vec<_> =
            (0..2).map(|_| receive(&mut requests, &mut lanes).unwrap().0.session).collect();
        assert!(is_up(first.session) && !is_up(sessions[0]) && is_up(sessions[1]));
        assert_ne!(first.session, sessions[1]);
    }
}
