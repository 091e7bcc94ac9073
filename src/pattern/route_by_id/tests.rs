use super::*;
use crate::pattern::fake::{FakeLanes, FakeOutlets, peer, pipe, receive};
use crate::zmtp::SocketKind;

const MANDATORY: Options = Options { mandatory: true, handover: false };
const HANDOVER: Options = Options { mandatory: true, handover: true };

struct Bench {
    router: RouteById,
    outlets: FakeOutlets,
}

impl Bench {
    fn new(options: Options) -> Self {
        let mut bench = Self { router: RouteById::new(options), outlets: FakeOutlets::default() };
        for n in 0..4 {
            bench.outlets.open(pipe(n), 1);
            bench.router.attach(pipe(n));
        }
        bench
    }

    fn identify(&mut self, n: u32, name: &str) -> Welcome {
        self.router.identify(pipe(n), &peer(SocketKind::Dealer, name), &mut self.outlets)
    }

    fn send<const N: usize>(&mut self, frames: [&[u8]; N]) -> Routed {
        let mut message = Message::from(frames);
        let routed = self.router.route(&mut (&mut message).into(), &mut self.outlets);
        assert!(routed == Routed::Sent || message == frames, "a message that was not sent is whole");
        routed
    }
}

fn accepted(name: &str) -> Welcome {
    Welcome::Accept { name: Some(name.into()) }
}

fn made_up(welcome: &Welcome) -> Frame {
    match welcome {
        Welcome::Accept { name: Some(name) } => name.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_goes_to_the_peer_it_names_without_the_name() {
    let mut bench = Bench::new(MANDATORY);
    assert_eq!(bench.identify(0, "a"), accepted("a"));
    assert_eq!(bench.identify(1, "b"), accepted("b"));
    assert_eq!(bench.send([b"b", b"", b"x"]), Routed::Sent);
    assert_eq!(bench.outlets.log, [(pipe(1), Message::from(["", "x"]))]);
}

#[test]
fn a_peer_without_a_name_gets_five_bytes_that_count_up() {
    let mut bench = Bench::new(MANDATORY);
    bench.router.next = u32::MAX;
    let first = made_up(&bench.identify(0, ""));
    assert_eq!(first, [0, 255, 255, 255, 255]);
    assert_eq!(bench.identify(1, "\0\0\0\0\0"), accepted("\0\0\0\0\0"), "a peer may call itself that");
    assert_eq!(made_up(&bench.identify(2, "")), [0, 0, 0, 0, 1]);
    assert_eq!(bench.send([&first, b"x"]), Routed::Sent);
    bench.router.lost(pipe(0));
    assert_eq!(bench.send([&first, b"x"]), Routed::Unroutable);
    assert_eq!(made_up(&bench.identify(0, "")), first, "the same after a reconnection");
}

#[test]
fn what_cannot_go_is_an_error_or_waits_if_mandatory_and_else_is_counted() {
    for options in [MANDATORY, Options::default()] {
        let mut bench = Bench::new(options);
        bench.identify(0, "a");
        bench.identify(1, "b");
        bench.outlets.close(pipe(1));
        assert_eq!(bench.send([b"a", b"x"]), Routed::Sent);
        let routed = [
            bench.send([b"a", b"full"]),
            bench.send([b"b", b"gone"]),
            bench.send([b"c", b"unknown"]),
            bench.send([b"a"]),
        ];
        if options.mandatory {
            let [full, rest @ ..] = routed;
            assert_eq!((full, rest), (Routed::Blocked, [Routed::Unroutable; 3]));
        } else {
            assert_eq!(routed, [Routed::Sent; 4]);
        }
        assert_eq!(bench.router.dropped(), if options.mandatory { 0 } else { 3 });
        assert_eq!(bench.outlets.log.len(), 1);
    }
}

#[test]
fn who_comes_with_a_taken_name_is_muted_until_it_is_free() {
    let mut bench = Bench::new(MANDATORY);
    bench.identify(0, "a");
    for n in 1..4 {
        assert_eq!(bench.identify(n, "a"), Welcome::Mute);
    }
    assert_eq!(bench.router.unmute(), None);
    bench.router.detach(pipe(1));
    bench.router.lost(pipe(0));
    assert_eq!(bench.router.unmute(), Some((pipe(2), "a".into())), "in the order in which they came");
    assert_eq!(bench.router.unmute(), None);
    assert_eq!(bench.send([b"a", b"x"]), Routed::Sent);
    assert_eq!(bench.outlets.last(), pipe(2));
    assert_eq!(bench.identify(0, "a"), Welcome::Mute, "its name went to another");
    bench.router.detach(pipe(2));
    assert_eq!(bench.identify(1, "a"), accepted("a"), "who comes before `unmute` is asked");
    assert_eq!(bench.router.unmute(), None);
    bench.router.detach(pipe(1));
    assert_eq!(bench.router.unmute(), Some((pipe(3), "a".into())));
}

#[test]
fn with_handover_the_newcomer_takes_the_name_and_the_old_pipe_leaves_without_it() {
    let mut bench = Bench::new(HANDOVER);
    bench.identify(0, "a");
    assert_eq!(bench.identify(1, "a"), Welcome::Replace { name: "a".into(), evicted: pipe(0) });
    bench.router.lost(pipe(0));
    bench.router.detach(pipe(0));
    assert_eq!(bench.send([b"a", b"x"]), Routed::Sent);
    assert_eq!(bench.outlets.last(), pipe(1));
}

#[test]
fn a_name_given_by_the_application_needs_no_link_and_is_not_taken_over() {
    let mut bench = Bench::new(HANDOVER);
    assert_eq!(bench.router.name_pipe(pipe(0), "server".into()), Ok(()));
    assert_eq!(bench.router.name_pipe(pipe(1), "server".into()), Err(NameTaken));
    assert_eq!(bench.send([b"server", b"x"]), Routed::Sent);
    assert_eq!(bench.identify(0, "its own"), accepted("server"));
    assert_eq!(bench.identify(1, "server"), Welcome::Mute);
    bench.router.lost(pipe(0));
    assert_eq!(bench.router.unmute(), None);
    bench.router.detach(pipe(0));
    assert_eq!(bench.router.unmute(), Some((pipe(1), "server".into())));
    assert_eq!(bench.router.name_pipe(pipe(2), "server".into()), Err(NameTaken));
}

#[test]
fn a_peer_that_comes_back_under_another_name_is_reached_by_that_one() {
    let mut bench = Bench::new(MANDATORY);
    bench.identify(0, "a");
    bench.router.lost(pipe(0));
    assert_eq!(bench.send([b"a", b"x"]), Routed::Unroutable);
    assert_eq!(bench.identify(0, "b"), accepted("b"));
    assert_eq!(bench.send([b"a", b"x"]), Routed::Unroutable);
    assert_eq!(bench.send([b"b", b"x"]), Routed::Sent);
}

fn read(named: &mut Named, lanes: &mut FakeLanes) -> Vec<String> {
    std::iter::from_fn(|| receive(named, lanes)).map(|(_, message)| message.to_text()).collect()
}

#[test]
fn what_is_read_has_the_name_of_its_sender_in_front() {
    let (mut named, mut lanes) = (Named::new(), FakeLanes::default());
    named.attach(pipe(0));
    named.identify(pipe(0), Some(&"a".into()));
    lanes.arrive(pipe(0), ["", "x"]);
    named.ready(pipe(0));
    assert_eq!(read(&mut named, &mut lanes), ["a  x"]);
}

#[test]
fn a_lane_without_a_name_is_not_read_until_it_has_one() {
    let (mut named, mut lanes) = (Named::new(), FakeLanes::default());
    named.attach(pipe(0));
    lanes.arrive(pipe(0), "x");
    named.ready(pipe(0));
    assert!(read(&mut named, &mut lanes).is_empty());
    named.identify(pipe(0), Some(&"a".into()));
    assert_eq!(read(&mut named, &mut lanes), ["a x"]);
}

#[test]
fn what_waits_after_a_handover_keeps_the_old_name_and_is_read() {
    let (mut named, mut lanes) = (Named::new(), FakeLanes::default());
    for n in 0..2 {
        named.attach(pipe(n));
        named.identify(pipe(n), Some(&"a".into()));
        lanes.arrive(pipe(n), format!("from {n}"));
        named.ready(pipe(n));
    }
    named.detach(pipe(0));
    assert_eq!(read(&mut named, &mut lanes), ["a from 0", "a from 1"]);
    assert!(named.lanes.get(pipe(0)).is_none(), "forgotten when empty");
    named.detach(pipe(1));
    assert!(named.lanes.get(pipe(1)).is_none());
}

#[test]
fn a_lane_that_never_had_a_name_is_emptied_when_its_pipe_goes() {
    let (mut named, mut lanes) = (Named::new(), FakeLanes::default());
    named.attach(pipe(0));
    for _ in 0..3 {
        lanes.arrive(pipe(0), "x");
        named.ready(pipe(0));
    }
    named.detach(pipe(0));
    assert!(read(&mut named, &mut lanes).is_empty());
    assert!(!lanes.pop(pipe(0), &mut Message::new()) && named.lanes.get(pipe(0)).is_none());
}

#[test]
fn what_arrived_before_a_reconnection_is_read_under_the_name_of_its_time() {
    let mut named = Named::new();
    let mut lanes = FakeLanes::default();
    named.attach(pipe(0));
    named.identify(pipe(0), Some(&"old".into()));
    for body in ["1", "2"] {
        if lanes.arrive(pipe(0), body) {
            named.ready(pipe(0));
        }
    }
    named.lost(pipe(0), 2);
    named.identify(pipe(0), Some(&"new".into()));
    lanes.arrive(pipe(0), "3");
    let read: Vec<_> =
        std::iter::from_fn(|| receive(&mut named, &mut lanes)).map(|(_, message)| message).collect();
    assert_eq!(read, [["old", "1"], ["old", "2"], ["new", "3"]].map(Message::from));
}

#[test]
fn what_comes_before_its_sender_is_known_anew_waits_for_the_new_name() {
    let (mut named, mut lanes) = (Named::new(), FakeLanes::default());
    named.attach(pipe(0));
    named.identify(pipe(0), Some(&"old".into()));
    lanes.arrive(pipe(0), "1");
    named.ready(pipe(0));
    named.lost(pipe(0), 1);
    lanes.arrive(pipe(0), "2");
    assert_eq!(read(&mut named, &mut lanes), ["old 1"]);
    named.identify(pipe(0), Some(&"new".into()));
    assert_eq!(read(&mut named, &mut lanes), ["new 2"]);
    named.lost(pipe(0), 0);
    lanes.arrive(pipe(0), "3");
    named.ready(pipe(0));
    assert!(read(&mut named, &mut lanes).is_empty());
    named.identify(pipe(0), Some(&"newer".into()));
    assert_eq!(read(&mut named, &mut lanes), ["newer 3"]);
}

#[test]
fn what_came_over_a_link_that_never_had_a_name_is_not_read_under_the_next() {
    let (mut named, mut lanes) = (Named::new(), FakeLanes::default());
    named.attach(pipe(0));
    for is_read in [false, true] {
        lanes.arrive(pipe(0), "nobody's");
        named.ready(pipe(0));
        if is_read {
            assert!(read(&mut named, &mut lanes).is_empty());
        }
        named.lost(pipe(0), 1);
        named.identify(pipe(0), Some(&"a".into()));
        lanes.arrive(pipe(0), "a's");
        assert_eq!(read(&mut named, &mut lanes), ["a a's"]);
        named.lost(pipe(0), 0);
    }
}
