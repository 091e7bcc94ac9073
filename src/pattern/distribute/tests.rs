use super::*;
use crate::pattern::fake::{FakeOutlets, peer, pipe};
use crate::zmtp::SocketKind;

struct Bench {
    publisher: Distribute,
    outlets: FakeOutlets,
}

impl Bench {
    fn new(options: Options, pipes: u32, capacity: usize) -> Self {
        let mut bench = Self { publisher: Distribute::new(options), outlets: FakeOutlets::default() };
        for n in 0..pipes {
            bench.outlets.open(pipe(n), capacity);
            bench.publisher.attach(pipe(n));
            bench.identify(n);
        }
        bench
    }

    fn xpub(verbose: Verbose) -> Self {
        Self::new(Options { notices: true, verbose, ..Options::default() }, 2, 9)
    }

    fn identify(&mut self, n: u32) {
        self.publisher.identify(pipe(n), &peer(SocketKind::Sub, ""), &mut self.outlets);
    }

    fn subscribe(&mut self, n: u32, topic: &str) -> Option<Message> {
        self.publisher.command(pipe(n), Command::Subscribe(topic.into()))
    }

    fn cancel(&mut self, n: u32, topic: &str) -> Option<Message> {
        self.publisher.command(pipe(n), Command::Cancel(topic.into()))
    }

    fn publish(&mut self, text: &str) -> Routed {
        self.publisher.route(&mut Outgoing::Bytes(text.as_bytes()), &mut self.outlets)
    }
}

fn told(notice: Option<Message>) -> Option<String> {
    notice.map(|notice| notice.first().escape_ascii().to_string())
}

fn subscribed(topic: &str) -> Option<String> {
    Some(format!("\\x01{topic}"))
}

fn cancelled(topic: &str) -> Option<String> {
    Some(format!("\\x00{topic}"))
}

#[test]
fn a_message_goes_to_those_who_subscribed_and_once_to_each() {
    let mut bench = Bench::new(Options::default(), 3, 9);
    bench.subscribe(0, "a");
    bench.subscribe(0, "ab");
    bench.subscribe(2, "");
    assert_eq!(bench.publish("abc"), Routed::Sent);
    assert_eq!(bench.publish("x"), Routed::Sent);
    assert_eq!(bench.outlets.sent(), [(2, "abc"), (0, "abc"), (2, "x")]);
    bench.cancel(2, "");
    assert_eq!(bench.publish("x"), Routed::Sent);
    assert_eq!(bench.outlets.log.len(), 3);
}

#[test]
fn a_silent_peer_is_sent_everything_and_nobody_is_told_of_it() {
    let options = Options { notices: true, welcome: Some("welcome".into()), ..Options::default() };
    let mut bench = Bench::new(options, 0, 9);
    bench.outlets.open(pipe(0), 9);
    bench.publisher.identify(pipe(0), &PeerInfo::silent(SocketKind::Sub), &mut bench.outlets);
    assert_eq!((bench.publish("a"), bench.publisher.topics()), (Routed::Sent, 0));
    assert_eq!(bench.publisher.lost(pipe(0)), Vec::<Message>::new());
    assert_eq!(bench.publish("never"), Routed::Sent);
    assert_eq!(bench.outlets.sent(), [(0, "a")]);
}

#[test]
fn only_the_first_frame_is_matched() {
    let mut bench = Bench::new(Options::default(), 1, 9);
    bench.subscribe(0, "b");
    bench.publisher.route(&mut (&mut Message::from(["a", "b"])).into(), &mut bench.outlets);
    bench.publisher.route(&mut (&mut Message::from(["b", "a"])).into(), &mut bench.outlets);
    assert_eq!(bench.outlets.log, [(pipe(0), Message::from(["b", "a"]))]);
}

#[test]
fn a_full_pipe_misses_messages_and_nobody_waits() {
    let mut bench = Bench::new(Options::default(), 2, 1);
    bench.subscribe(0, "");
    bench.subscribe(1, "");
    bench.publish("a");
    bench.outlets.drain(pipe(1));
    assert_eq!(bench.publish("b"), Routed::Sent);
    assert_eq!((bench.outlets.missed, bench.outlets.log.len()), (1, 3));
}

#[test]
fn with_no_drop_one_full_pipe_holds_the_message_back_from_all() {
    let mut bench = Bench::new(Options { no_drop: true, ..Options::default() }, 3, 1);
    bench.subscribe(0, "a");
    bench.subscribe(1, "a");
    bench.subscribe(1, "b");
    assert_eq!(bench.publish("b"), Routed::Sent);
    assert_eq!(bench.publish("a"), Routed::Blocked);
    assert_eq!(bench.publish("c"), Routed::Sent, "nobody who matches is full");
    assert_eq!(bench.outlets.log.len(), 1);
    bench.outlets.drain(pipe(1));
    assert_eq!(bench.publish("a"), Routed::Sent);
    assert_eq!((bench.outlets.log.len(), bench.outlets.missed), (3, 0));
}

#[test]
fn by_default_the_first_and_the_last_subscription_of_a_topic_are_told() {
    let mut bench = Bench::xpub(Verbose::FirstOnly);
    assert_eq!(told(bench.subscribe(0, "a")), subscribed("a"));
    assert_eq!(told(bench.subscribe(0, "a")), None);
    assert_eq!(told(bench.subscribe(1, "a")), None);
    assert_eq!(told(bench.cancel(0, "a")), None);
    assert_eq!(told(bench.cancel(1, "a")), cancelled("a"));
    assert_eq!(told(bench.cancel(1, "a")), cancelled("a"), "unknown to us");
}

#[test]
fn verbose_tells_every_subscription_and_all_tells_every_cancellation_too() {
    let mut bench = Bench::xpub(Verbose::Subscribes);
    assert_eq!(told(bench.subscribe(0, "a")), subscribed("a"));
    assert_eq!(told(bench.subscribe(1, "a")), subscribed("a"));
    assert_eq!(told(bench.cancel(0, "a")), None);
    let mut bench = Bench::xpub(Verbose::All);
    bench.subscribe(0, "a");
    assert_eq!(told(bench.subscribe(1, "a")), subscribed("a"));
    assert_eq!(told(bench.cancel(0, "a")), cancelled("a"));
}

#[test]
fn a_peer_that_goes_is_cancelled_in_its_name_where_it_was_the_last() {
    for leave in [Outbound::lost, Outbound::detach] {
        let mut bench = Bench::xpub(Verbose::FirstOnly);
        bench.subscribe(0, "mine");
        bench.subscribe(0, "ours");
        bench.subscribe(1, "ours");
        let notices: Vec<Message> = leave(&mut bench.publisher, pipe(0));
        assert_eq!(notices, [Message::from("\0mine")]);
        assert!(leave(&mut bench.publisher, pipe(0)).is_empty());
        assert_eq!(bench.publisher.topics(), 1);
    }
    let mut bench = Bench::xpub(Verbose::All);
    bench.subscribe(0, "ours");
    bench.subscribe(1, "ours");
    assert_eq!(bench.publisher.lost(pipe(0)), [Message::from("\0ours")]);
}

#[test]
fn a_publisher_tells_nothing() {
    let mut bench = Bench::new(Options::default(), 1, 9);
    assert_eq!(bench.subscribe(0, "a"), None);
    assert!(bench.publisher.detach(pipe(0)).is_empty());
}

#[test]
fn a_subscriber_that_comes_back_starts_empty() {
    let mut bench = Bench::new(Options::default(), 1, 9);
    bench.subscribe(0, "");
    bench.publisher.lost(pipe(0));
    bench.publish("a");
    assert_eq!(bench.subscribe(0, ""), None);
    bench.publish("b");
    bench.identify(0);
    bench.publish("c");
    bench.subscribe(0, "");
    bench.publish("d");
    assert_eq!(bench.outlets.sent(), [(0, "d")]);
}

#[test]
fn every_peer_that_arrives_is_welcomed() {
    let options = Options { welcome: Some("hi".into()), ..Options::default() };
    let mut bench = Bench::new(options, 1, 9);
    bench.publisher.lost(pipe(0));
    bench.identify(0);
    assert_eq!(bench.outlets.sent(), [(0, "hi"), (0, "hi")]);
}

#[test]
fn in_manual_mode_the_application_decides() {
    let options = Options { notices: true, manual: true, ..Options::default() };
    let mut bench = Bench::new(options, 2, 9);
    assert_eq!(told(bench.subscribe(0, "a")), subscribed("a"));
    assert_eq!(told(bench.subscribe(1, "a")), subscribed("a"), "each is told");
    bench.publish("a");
    assert!(bench.publisher.subscribe(pipe(0), b"b"));
    bench.publish("b");
    assert_eq!(bench.outlets.sent(), [(0, "b")]);
    assert_eq!(told(bench.cancel(1, "a")), cancelled("a"));
    assert!(bench.publisher.unsubscribe(pipe(0), b"b"));
    assert!(!bench.publisher.unsubscribe(pipe(0), b"b"));
    assert_eq!(bench.publisher.lost(pipe(0)), [Message::from("\0a")], "what it asked for");
    assert!(!bench.publisher.subscribe(pipe(0), b"b"), "not there");
    assert_eq!(bench.publisher.topics(), 0);
}
