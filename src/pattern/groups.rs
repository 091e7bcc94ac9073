//! Groups: RADIO and DISH. A message's first frame is its group, compared as a whole.
//!
//! [`Broadcast`] copies a message to every pipe whose peer joined its group. Joins live from a handshake to the loss
//! of the link, as subscriptions do.
//!
//! [`Member`] tells radios what is joined: a new one by [`Outbound::greet`], which names each group once. [`Admitted`]
//! reads, and asks the groups again, since messages may be under way when a group is left.
//!
//! Source: RFC 48.

use std::collections::HashSet;

use super::fair_queue::FairQueue;
use super::subscriber::Live;
use super::subscriptions::Subscriptions;
use super::{Inbound, Lanes, Offer, Origin, Outbound, Outlets, Routed, Welcome};
use crate::message::{Group, Message, Outgoing};
use crate::pipe::{PipeId, Table};
use crate::zmtp::{Command, PeerInfo};

/// A copy for every member: RADIO.
#[derive(Debug, Default)]
pub(crate) struct Broadcast {
    /// Wait for all members to have room, rather than let the full ones miss a message.
    no_drop: bool,
    joined: Subscriptions,
    /// The pipes with a link.
    peers: Table<()>,
    /// Those of them whose peers never say what they joined, and are sent everything.
    silent: Vec<PipeId>,
    /// Kept for its memory.
    members: Vec<PipeId>,
}

impl Broadcast {
    pub(crate) fn new(no_drop: bool) -> Self {
        Self { no_drop, ..Self::default() }
    }

    /// How many distinct groups have members.
    pub(crate) fn groups(&self) -> usize {
        self.joined.len()
    }
}

impl Outbound for Broadcast {
    fn any_pipe(&self) -> bool {
        false
    }

    fn identify(&mut self, pipe: PipeId, peer: &PeerInfo, _outlets: &mut impl Outlets) -> Welcome {
        self.peers.insert_at(pipe, ());
        if peer.is_silent() {
            self.silent.push(pipe);
        }
        Welcome::Accept { name: None }
    }

    fn lost(&mut self, pipe: PipeId) -> Vec<Message> {
        self.peers.vacate(pipe);
        self.joined.remove_all(pipe, None);
        self.silent.retain(|&silent| silent != pipe);
        Vec::new()
    }

    fn command(&mut self, from: PipeId, command: Command) -> Option<Message> {
        if self.peers.get(from).is_some() {
            match command {
                Command::Join(group) => drop(self.joined.add(&group, from)),
                Command::Leave(group) => drop(self.joined.remove(&group, from)),
                Command::Subscribe(_) | Command::Cancel(_) | Command::Sent(_) => {}
            }
        }
        None
    }

    fn route(&mut self, message: &mut Outgoing<'_>, outlets: &mut impl Outlets) -> Routed {
        self.members.clear();
        self.joined.holders(message.first(), &mut self.members);
        self.members.extend(&self.silent);
        outlets.lane_by(message.first());
        // All are asked before anything is sent: found out half way, it would go twice to those before.
        if self.no_drop && self.members.iter().any(|&pipe| outlets.room(pipe) == Offer::Full) {
            return Routed::Blocked;
        }
        if !self.members.is_empty() {
            outlets.copy(&self.members, message);
        }
        Routed::Sent
    }
}

/// Tells radios what is joined: DISH.
#[derive(Debug, Default)]
pub(crate) struct Member {
    groups: HashSet<Group>,
    live: Live,
}

impl Member {
    pub(crate) fn has_joined(&self, group: &Group) -> bool {
        self.groups.contains(group)
    }

    pub(crate) fn join(&mut self, group: Group, outlets: &mut impl Outlets) {
        self.live.tell(&Command::Join(group.clone()), outlets);
        self.groups.insert(group);
    }

    /// False if the group was not joined.
    pub(crate) fn leave(&mut self, group: Group, outlets: &mut impl Outlets) -> bool {
        let had_joined = self.groups.remove(&group);
        if had_joined {
            self.live.tell(&Command::Leave(group), outlets);
        }
        had_joined
    }
}

impl Outbound for Member {
    fn identify(&mut self, pipe: PipeId, _peer: &PeerInfo, _outlets: &mut impl Outlets) -> Welcome {
        self.live.add(pipe);
        Welcome::Accept { name: None }
    }

    fn lost(&mut self, pipe: PipeId) -> Vec<Message> {
        self.live.remove(pipe);
        Vec::new()
    }

    fn greet(&self) -> Vec<Command> {
        self.groups.iter().cloned().map(Command::Join).collect()
    }

    fn route(&mut self, _message: &mut Outgoing<'_>, _outlets: &mut impl Outlets) -> Routed {
        Routed::NoPeer
    }
}

/// Reads what is for a group that was joined: DISH.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    queue: FairQueue,
    groups: HashSet<Group>,
}

impl Admitted {
    pub(crate) fn join(&mut self, group: Group) {
        self.groups.insert(group);
    }

    pub(crate) fn leave(&mut self, group: &Group) {
        self.groups.remove(group);
    }
}

impl Inbound for Admitted {
    fn ready(&mut self, pipe: PipeId) {
        self.queue.ready(pipe);
    }

    fn next(&mut self, lanes: &mut impl Lanes, into: &mut Message) -> Option<Origin> {
        self.queue.next_wanted(lanes, into, |group| self.groups.contains(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::fake::{FakeLanes, FakeOutlets, peer, pipe, receive};
    use crate::zmtp::SocketKind;

    fn group(name: &str) -> Group {
        Group::new(name).unwrap()
    }

    fn join(name: &str) -> Command {
        Command::Join(group(name))
    }

    fn leave(name: &str) -> Command {
        Command::Leave(group(name))
    }

    struct Radio {
        broadcast: Broadcast,
        outlets: FakeOutlets,
    }

    impl Radio {
        fn new(no_drop: bool, pipes: u32, capacity: usize) -> Self {
            let mut radio = Self { broadcast: Broadcast::new(no_drop), outlets: FakeOutlets::default() };
            for n in 0..pipes {
                radio.outlets.open(pipe(n), capacity);
                radio.broadcast.attach(pipe(n));
                radio.identify(n);
            }
            radio
        }

        fn identify(&mut self, n: u32) {
            self.broadcast.identify(pipe(n), &peer(SocketKind::Dish, ""), &mut self.outlets);
        }

        fn hear(&mut self, n: u32, command: Command) {
            assert_eq!(self.broadcast.command(pipe(n), command), None, "nobody is told");
        }

        fn send(&mut self, group: &str, body: &str) -> Routed {
            let mut message = Message::from([group, body]);
            self.broadcast.route(&mut (&mut message).into(), &mut self.outlets)
        }
    }

    #[test]
    fn a_message_goes_to_all_who_joined_exactly_its_group() {
        let mut radio = Radio::new(false, 3, 9);
        for (n, name) in [(0, "a"), (0, "ab"), (1, "ab"), (2, "")] {
            radio.hear(n, join(name));
        }
        for name in ["ab", "a", "", "abc", "b"] {
            assert_eq!(radio.send(name, name), Routed::Sent);
        }
        assert_eq!(radio.outlets.sent(), [(0, "ab"), (1, "ab"), (0, "a"), (2, "")]);
        assert_eq!(radio.outlets.log[0].1, ["ab", "ab"]);
        assert_eq!(radio.broadcast.groups(), 3);
    }

    #[test]
    fn for_one_peer_a_group_is_joined_or_not_however_often_it_said_so() {
        let mut radio = Radio::new(false, 1, 9);
        radio.hear(0, leave("a"));
        radio.hear(0, join("a"));
        radio.hear(0, join("a"));
        radio.send("a", "once");
        radio.hear(0, leave("a"));
        radio.send("a", "never");
        assert_eq!(radio.outlets.sent(), [(0, "once")]);
    }

    #[test]
    fn who_never_says_what_it_joined_gets_everything_while_it_is_there() {
        let mut radio = Radio::new(false, 2, 9);
        radio.broadcast.lost(pipe(1));
        radio.send("a", "never");
        radio.broadcast.identify(pipe(1), &PeerInfo::silent(SocketKind::Dish), &mut radio.outlets);
        radio.hear(0, join("a"));
        for group in ["a", "b", ""] {
            radio.send(group, group);
        }
        radio.broadcast.lost(pipe(1));
        radio.send("b", "never");
        assert_eq!(radio.outlets.sent(), [(0, "a"), (1, "a"), (1, "b"), (1, "")]);
    }

    #[test]
    fn joins_vanish_with_the_link_and_count_from_the_next_handshake_on() {
        for leave in [Outbound::lost, Outbound::detach] {
            let mut radio = Radio::new(false, 2, 9);
            radio.hear(0, join("a"));
            radio.hear(1, join("a"));
            let told: Vec<Message> = leave(&mut radio.broadcast, pipe(0));
            assert!(told.is_empty());
            radio.hear(0, join("a"));
            radio.send("a", "1");
            radio.identify(0);
            radio.hear(0, join("a"));
            radio.send("a", "2");
            assert_eq!(radio.outlets.sent(), [(1, "1"), (1, "2"), (0, "2")]);
        }
    }

    #[test]
    fn a_full_member_misses_the_message_or_with_no_drop_holds_it_back_from_all() {
        for no_drop in [false, true] {
            let mut radio = Radio::new(no_drop, 2, 1);
            radio.hear(0, join("a"));
            radio.hear(1, join("a"));
            radio.hear(1, join("b"));
            radio.send("b", "1");
            let expected = if no_drop { (Routed::Blocked, 1, 0) } else { (Routed::Sent, 2, 1) };
            let routed = radio.send("a", "2");
            assert_eq!((routed, radio.outlets.log.len(), radio.outlets.missed), expected);
            assert_eq!(radio.send("c", "3"), Routed::Sent, "nobody who matches is full");
        }
    }

    #[test]
    fn radios_hear_of_joins_and_one_that_comes_later_of_what_is_joined_then() {
        let (mut member, mut outlets) = (Member::default(), FakeOutlets::default());
        for n in 0..2 {
            outlets.open(pipe(n), 9);
            member.attach(pipe(n));
        }
        member.identify(pipe(0), &peer(SocketKind::Radio, ""), &mut outlets);
        member.join(group("a"), &mut outlets);
        member.join(group("b"), &mut outlets);
        assert!(member.leave(group("a"), &mut outlets));
        assert!(!member.leave(group("a"), &mut outlets));
        assert_eq!(outlets.commands, [(pipe(0), join("a")), (pipe(0), join("b")), (pipe(0), leave("a"))]);
        assert_eq!(member.greet(), [join("b")]);
        member.identify(pipe(1), &peer(SocketKind::Radio, ""), &mut outlets);
        member.lost(pipe(0));
        member.join(group("c"), &mut outlets);
        member.detach(pipe(1));
        member.join(group("d"), &mut outlets);
        assert_eq!(outlets.commands[3..], [(pipe(1), join("c"))]);
    }

    #[test]
    fn only_what_is_joined_is_read() {
        let (mut admitted, mut lanes) = (Admitted::default(), FakeLanes::default());
        admitted.join(group("a"));
        for frames in [["ab", "1"], ["a", "2"], ["", "3"], ["a", "4"]] {
            if lanes.arrive(pipe(0), frames) {
                admitted.ready(pipe(0));
            }
        }
        let (from, message) = receive(&mut admitted, &mut lanes).unwrap();
        assert_eq!((from.pipe, message), (pipe(0), ["a", "2"].into()));
        admitted.leave(&group("a"));
        assert_eq!(receive(&mut admitted, &mut lanes), None);
    }
}
