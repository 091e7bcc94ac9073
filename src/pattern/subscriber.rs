//! Subscribing: SUB and XSUB.
//!
//! [`Subscriber`] tells publishers what is wanted. A topic is counted, and goes out with its first subscription
//! and its last cancellation. A publisher that is not there hears nothing: when it comes, [`Outbound::greet`]
//! names each topic once, as one snapshot, and nothing was queued for it that would say the same again.
//!
//! [`Filtered`] reads. It asks the topics again, since messages may be under way when a topic is cancelled and
//! old publishers do not filter; what nobody wants is dropped.
//!
//! Source: RFC 29, "The SUB socket type" and "The XSUB socket type".

use std::collections::HashMap;

use super::fair_queue::FairQueue;
use super::subscriptions::{Removed, Subscriptions};
use super::{Inbound, Lanes, Origin, Outbound, Outlets, Routed, Welcome};
use crate::message::{Frame, Message, Outgoing};
use crate::pipe::PipeId;
use crate::zmtp::{Command, MAX_PREFIX, PeerInfo};

/// Prefixes, each as often as it was subscribed to.
#[derive(Debug, Default)]
struct Topics {
    trie: Subscriptions,
    /// Subscriptions beyond the first: few topics have any.
    repeats: HashMap<Frame, usize>,
}

impl Topics {
    /// The trie is about pipes; here all belongs to the socket itself.
    const SELF: PipeId = PipeId::new(0, 0);

    /// Whether it was the first subscription to this topic.
    fn add(&mut self, topic: &[u8]) -> bool {
        let first = self.trie.add(topic, Self::SELF).new;
        if !first {
            *self.repeats.entry(Frame::from(topic)).or_default() += 1;
        }
        first
    }

    /// Whether it was the last subscription to this topic; `None` if there was none.
    fn remove(&mut self, topic: &[u8]) -> Option<bool> {
        if let Some(count) = self.repeats.get_mut(topic) {
            *count -= 1;
            if *count == 0 {
                self.repeats.remove(topic);
            }
            return Some(false);
        }
        (self.trie.remove(topic, Self::SELF) != Removed::Unknown).then_some(true)
    }
}

/// Tells publishers what is wanted.
#[derive(Debug, Default)]
pub(crate) struct Subscriber {
    topics: Topics,
    attached: Vec<PipeId>,
    live: Live,
    repeats: Repeats,
}

/// The pipes with a link: those who hear of changes.
#[derive(Debug, Default)]
pub(super) struct Live(Vec<PipeId>);

impl Live {
    pub(super) fn add(&mut self, pipe: PipeId) {
        if !self.0.contains(&pipe) {
            self.0.push(pipe);
        }
    }

    pub(super) fn remove(&mut self, pipe: PipeId) {
        self.0.retain(|&other| other != pipe);
    }

    pub(super) fn tell(&self, command: &Command, outlets: &mut impl Outlets) {
        self.0.iter().for_each(|&pipe| outlets.command(pipe, command.clone()));
    }
}

/// What goes out beyond a topic's first subscription and last cancellation. For the publisher it changes
/// nothing, but a verbose XPUB tells its application.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Nothing: SUB.
    #[default]
    Silent,
    /// Subscriptions: XSUB.
    Subscribes,
    /// Cancellations too, even of topics that were never subscribed to.
    All,
}

impl Subscriber {
    pub(crate) fn new(repeats: Repeats) -> Self {
        Self { repeats, ..Self::default() }
    }

    /// How many distinct topics are subscribed to.
    pub(crate) fn topics(&self) -> usize {
        self.topics.trie.len()
    }

    pub(crate) fn subscribe(&mut self, topic: &Frame, outlets: &mut impl Outlets) {
        if self.topics.add(topic) || self.repeats != Repeats::Silent {
            self.live.tell(&Command::Subscribe(topic.clone()), outlets);
        }
    }

    /// Takes one subscription back. False if there was none.
    pub(crate) fn unsubscribe(&mut self, topic: &Frame, outlets: &mut impl Outlets) -> bool {
        let removed = self.topics.remove(topic);
        if removed == Some(true) || self.repeats == Repeats::All {
            self.live.tell(&Command::Cancel(topic.clone()), outlets);
        }
        removed.is_some()
    }
}

impl Outbound for Subscriber {
    fn any_pipe(&self) -> bool {
        false
    }

    fn attach(&mut self, pipe: PipeId) {
        self.attached.push(pipe);
    }

    fn identify(&mut self, pipe: PipeId, peer: &PeerInfo, _outlets: &mut impl Outlets) -> Welcome {
        if peer.is_silent() {
            // Whoever speaks there does not listen.
            self.attached.retain(|&other| other != pipe);
        } else {
            self.live.add(pipe);
        }
        Welcome::Accept { name: None }
    }

    fn lost(&mut self, pipe: PipeId) -> Vec<Message> {
        self.live.remove(pipe);
        Vec::new()
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.attached.retain(|&other| other != pipe);
        self.lost(pipe)
    }

    fn wants(&self, topic: &[u8]) -> bool {
        self.topics.trie.any(topic)
    }

    fn greet(&self) -> Vec<Command> {
        let mut commands = Vec::with_capacity(self.topics());
        self.topics.trie.each(Topics::SELF, |topic| commands.push(Command::Subscribe(topic.into())));
        commands
    }

    /// XSUB: a single frame that starts with 1 or 0 subscribes or cancels; all else goes to every publisher. No
    /// publisher takes a prefix that is too long.
    fn route(&mut self, message: &mut Outgoing<'_>, outlets: &mut impl Outlets) -> Routed {
        match message.only() {
            Some([0 | 1, topic @ ..]) if topic.len() > MAX_PREFIX => return Routed::Unroutable,
            Some([1, topic @ ..]) => self.subscribe(&Frame::from(topic), outlets),
            Some([0, topic @ ..]) => {
                self.unsubscribe(&Frame::from(topic), outlets);
            }
            _ => outlets.copy(&self.attached, message),
        }
        Routed::Sent
    }
}

/// Reads what is wanted: SUB.
#[derive(Debug, Default)]
pub(crate) struct Filtered {
    queue: FairQueue,
    topics: Topics,
}

impl Filtered {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn subscribe(&mut self, topic: &Frame) {
        self.topics.add(topic);
    }

    /// Takes one subscription back. False if there was none.
    pub(crate) fn unsubscribe(&mut self, topic: &Frame) -> bool {
        self.topics.remove(topic).is_some()
    }
}

impl Inbound for Filtered {
    fn ready(&mut self, pipe: PipeId) {
        self.queue.ready(pipe);
    }

    fn next(&mut self, lanes: &mut impl Lanes, into: &mut Message) -> Option<Origin> {
        self.queue.next_wanted(lanes, into, |topic| self.topics.trie.any(topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::fake::{FakeLanes, FakeOutlets, peer, pipe, receive};
    use crate::zmtp::SocketKind;

    struct Bench {
        subscriber: Subscriber,
        outlets: FakeOutlets,
    }

    impl Bench {
        fn new(repeats: Repeats) -> Self {
            let mut bench = Self { subscriber: Subscriber::new(repeats), outlets: FakeOutlets::default() };
            for n in 0..2 {
                bench.outlets.open(pipe(n), 9);
                bench.subscriber.attach(pipe(n));
            }
            bench.identify(0);
            bench
        }

        fn identify(&mut self, n: u32) {
            self.subscriber.identify(pipe(n), &peer(SocketKind::Pub, ""), &mut self.outlets);
        }

        fn subscribe(&mut self, topic: &str) {
            self.subscriber.subscribe(&topic.into(), &mut self.outlets);
        }

        fn unsubscribe(&mut self, topic: &str) -> bool {
            self.subscriber.unsubscribe(&topic.into(), &mut self.outlets)
        }

        fn route(&mut self, message: impl Into<Message>) {
            assert_eq!(
                self.subscriber.route(&mut (&mut message.into()).into(), &mut self.outlets),
                Routed::Sent
            );
        }

        fn told(&mut self) -> Vec<(usize, Command)> {
            self.outlets.commands.drain(..).map(|(pipe, command)| (pipe.slot(), command)).collect()
        }
    }

    fn subscribe(topic: &str) -> Command {
        Command::Subscribe(topic.into())
    }

    fn cancel(topic: &str) -> Command {
        Command::Cancel(topic.into())
    }

    #[test]
    fn publishers_hear_of_the_first_subscription_and_the_last_cancellation() {
        let mut bench = Bench::new(Repeats::Silent);
        bench.identify(1);
        bench.subscribe("a");
        bench.subscribe("a");
        assert!(bench.unsubscribe("a"));
        assert_eq!(bench.told(), [(0, subscribe("a")), (1, subscribe("a"))]);
        assert!(bench.unsubscribe("a"));
        assert!(!bench.unsubscribe("a"));
        assert_eq!(bench.told(), [(0, cancel("a")), (1, cancel("a"))]);
    }

    #[test]
    fn a_publisher_that_is_away_hears_each_topic_once_in_the_greeting() {
        let mut bench = Bench::new(Repeats::Silent);
        for topic in ["a", "b", "a", "gone"] {
            bench.subscribe(topic);
        }
        bench.unsubscribe("gone");
        bench.told();
        bench.identify(1);
        let mut greeting = bench.subscriber.greet();
        greeting.sort_by_key(|command| format!("{command:?}"));
        assert_eq!(greeting, [subscribe("a"), subscribe("b")]);
        assert_eq!(bench.told(), [], "the greeting says it all");
        bench.subscriber.lost(pipe(0));
        bench.subscribe("c");
        assert_eq!(bench.told(), [(1, subscribe("c"))]);
        bench.subscriber.detach(pipe(1));
        bench.subscribe("d");
        assert_eq!(bench.told(), []);
    }

    #[test]
    fn xsub_subscribes_by_messages_and_passes_repeats_on() {
        let mut bench = Bench::new(Repeats::Subscribes);
        bench.route("\u{1}a");
        bench.route("\u{1}a");
        bench.route("\0a");
        assert_eq!(bench.told(), [(0, subscribe("a")), (0, subscribe("a"))]);
        bench.route("\0a");
        bench.route("\0a");
        assert_eq!(bench.told(), [(0, cancel("a"))]);
        assert_eq!(bench.subscriber.topics(), 0);
        let mut bench = Bench::new(Repeats::All);
        bench.route("\0a");
        assert_eq!(bench.told(), [(0, cancel("a"))]);
    }

    #[test]
    fn other_messages_of_an_xsub_go_to_every_publisher() {
        let mut bench = Bench::new(Repeats::Subscribes);
        bench.route("up");
        bench.route("");
        bench.route(["\u{1}a", "b"]);
        assert_eq!(bench.outlets.sent(), [(0, "up"), (1, "up"), (0, ""), (1, ""), (0, "b"), (1, "b")]);
        assert_eq!(bench.told(), []);
    }

    #[test]
    fn a_silent_peer_is_told_nothing_and_what_it_says_is_asked_about() {
        let mut bench = Bench::new(Repeats::Subscribes);
        bench.subscriber.identify(pipe(1), &PeerInfo::silent(SocketKind::Pub), &mut bench.outlets);
        bench.subscribe("a");
        bench.route("up");
        assert_eq!(bench.told(), [(0, subscribe("a"))]);
        assert_eq!(bench.outlets.sent(), [(0, "up")]);
        assert!(bench.subscriber.wants(b"ab") && !bench.subscriber.wants(b"b"));
    }

    #[test]
    fn only_what_is_subscribed_to_is_read() {
        let mut lanes = FakeLanes::default();
        let mut filtered = Filtered::new();
        filtered.subscribe(&"a".into());
        filtered.subscribe(&"a".into());
        for text in ["b", "a1", "", "a2", "b"] {
            if lanes.arrive(pipe(0), text) {
                filtered.ready(pipe(0));
            }
        }
        let mut read = |filtered: &mut Filtered| receive(filtered, &mut lanes).map(|(_, it)| it.to_text());
        assert_eq!(read(&mut filtered).as_deref(), Some("a1"));
        assert!(filtered.unsubscribe(&"a".into()), "one subscription is left");
        assert_eq!(read(&mut filtered).as_deref(), Some("a2"));
        assert!(filtered.unsubscribe(&"a".into()));
        assert!(!filtered.unsubscribe(&"a".into()));
        assert_eq!(read(&mut filtered), None);
    }
}
