//! A caller and who is called, over a network that loses, doubles and reorders, seeded.

use std::time::{Duration, Instant};

use super::hello::{Answer, Caller, Doorkeeper};
use super::*;
use crate::message::Frame;
use crate::zmtp::SocketKind;

const HERE: u8 = 7;

fn config(kind: SocketKind) -> Arc<Config> {
    Arc::new(Config {
        kind,
        routing_id: Frame::new(),
        handshake_timeout: Some(Duration::from_secs(60)),
        heartbeat: HeartbeatConfig {
            interval: Some(Duration::from_secs(1)),
            timeout: Duration::from_secs(30),
            ttl: Duration::ZERO,
            zocket_only: true,
        },
        max_message_bytes: 1 << 20,
        max_frames: 100,
        extras: crate::zmtp::Extras::default(),
    })
}

/// One direction of the network.
struct Wire {
    random: fastrand::Rng,
    /// Of a hundred packets, so many are lost, and as many doubled, and as many overtaken by later ones.
    percent: u8,
    packets: Vec<Vec<u8>>,
}

impl Wire {
    fn new(seed: u64, percent: u8) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), percent, packets: Vec::new() }
    }

    fn happens(&mut self) -> bool {
        self.random.u8(..100) < self.percent
    }

    fn send(&mut self, packet: &[u8]) {
        if self.happens() {
            return;
        }
        for _ in 0..=u8::from(self.happens()) {
            let mut place = self.packets.len();
            while place > 0 && self.happens() {
                place -= 1;
            }
            self.packets.insert(place, packet.to_vec());
        }
    }

    fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.packets)
    }
}

/// Writes what a link owes.
fn flush(link: &mut Link, wire: &mut Wire, now: Instant) {
    let mut packet = BytesMut::new();
    while link.poll_packet(&mut packet, now) {
        wire.send(&packet);
        packet.clear();
    }
}

/// Two ends that have met, over a network of this quality, and the time it took.
fn meet(seed: u64, percent: u8) -> (Link, Link, [Wire; 2], Instant) {
    let mut now = Instant::now();
    let (ours, theirs) = (config(SocketKind::Sub), config(SocketKind::Pub));
    let mut wires = [Wire::new(seed, percent), Wire::new(seed + 1, percent)];
    let mut caller = Caller::new(ours, seed, now);
    let doorkeeper = Doorkeeper::new(theirs, now);
    let mut called: Option<Link> = None;
    loop {
        caller.handle_timeout(now).expect("the handshake is in time");
        let mut packet = BytesMut::new();
        if caller.poll_packet(&mut packet, now) {
            wires[0].send(&packet);
        }
        for packet in wires[0].take() {
            let mut answer = BytesMut::new();
            if let Some(call) = doorkeeper.handle(&packet, HERE, &mut answer, now) {
                match &mut called {
                    Some(link) => link.accept(),
                    none => *none = Some(doorkeeper.admit(&call, now).unwrap().1),
                }
            }
            assert!(answer.len() <= packet.len(), "an answer is no larger than the question");
            if !answer.is_empty() {
                wires[1].send(&answer);
            }
        }
        if let Some(called) = &mut called {
            flush(called, &mut wires[1], now);
        }
        for packet in wires[1].take() {
            if let Some(Answer::Accepted(met)) = caller.handle(&packet, now).unwrap() {
                let (info, link) = *met;
                assert_eq!((info.kind(), info.is_zocket()), (Some(SocketKind::Pub), true));
                return (link, called.expect("who accepted is there"), wires, now);
            }
        }
        now += Duration::from_millis(50);
    }
}

fn put(link: &mut Link, frames: &[u8]) -> BytesMut {
    let mut packet = BytesMut::new();
    assert_eq!(link.put_message(&mut packet, |out| out.put_slice(frames)), Ok(frames.len()));
    packet
}

#[test]
fn over_a_bad_network_nothing_is_delivered_twice_or_out_of_order_and_all_is_counted() {
    for seed in 0..60 {
        let percent = u8::try_from(seed % 31).unwrap();
        let (mut sub, mut publisher, [mut up, mut down], mut now) = meet(seed, percent);
        let topics: Vec<Frame> = (0..40).map(|n| Frame::from(format!("{n} ").repeat(n * 40))).collect();
        topics.iter().for_each(|topic| sub.send_command(&Command::Subscribe(topic.clone())));
        let (mut sent, mut last, mut delivered, mut missed) = (0_u64, 0, 0, 0);
        let mut subscribed = Vec::new();
        for round in 0..2_000 {
            let told = sub.handle_timeout(now).unwrap();
            missed += told.lost + told.late;
            publisher.handle_timeout(now).unwrap();
            if round < 1_000 {
                sent += 1;
                down.send(&put(&mut publisher, &[&[0, 8][..], &sent.to_be_bytes()].concat()));
            }
            flush(&mut sub, &mut up, now);
            flush(&mut publisher, &mut down, now);
            // Now and then, so that packets meet on the way.
            if round % 5 == 0 {
                for packet in down.take() {
                    if let Heard::Message(frames) = sub.handle(&packet, now).unwrap() {
                        let number = u64::from_be_bytes(frames[2..].try_into().unwrap());
                        assert!(number > last, "seed {seed}: {number} after {last}");
                        (last, delivered) = (number, delivered + 1);
                    }
                }
                for packet in up.take() {
                    if let Heard::Commands(commands) = publisher.handle(&packet, now).unwrap() {
                        subscribed.extend(commands);
                    }
                }
            }
            now += Duration::from_millis(20);
        }
        let told = sub.finish();
        assert_eq!((told.lost, told.late), (0, 0), "seed {seed}: it was told without the end");
        assert_eq!(delivered + missed, sent, "seed {seed}: what was not delivered was counted, once");
        assert!(percent > 0 || missed == 0, "seed {seed}");
        let expected: Vec<_> = topics.into_iter().map(Command::Subscribe).collect();
        assert_eq!(subscribed, expected, "seed {seed}: every command once, in order");
        assert!(!sub.is_owing() && sub.outgoing.poll_timeout().is_none(), "seed {seed}: and acknowledged");
    }
}

#[test]
fn the_longest_prefix_gets_through_in_pieces_and_a_longer_one_ends_the_link() {
    use crate::zmtp::MAX_PREFIX;
    for (len, is_taken) in [(MAX_PREFIX, true), (MAX_PREFIX + 1, false)] {
        let (mut sub, mut publisher, [mut up, mut down], mut now) = meet(4, 10);
        let longest = Command::Subscribe(vec![7; len].into());
        sub.send_command(&longest);
        sub.send_command(&Command::Cancel("after".into()));
        let mut heard = Vec::new();
        let mut failed = None;
        for _ in 0..2_000 {
            sub.handle_timeout(now).unwrap();
            flush(&mut sub, &mut up, now);
            for packet in up.take() {
                assert!(packet.len() <= 1_300, "pieces pass every network");
                match publisher.handle(&packet, now) {
                    Ok(Heard::Commands(commands)) => heard.extend(commands),
                    Ok(_) => {}
                    Err(error) => failed = Some(error),
                }
            }
            flush(&mut publisher, &mut down, now);
            down.take().iter().for_each(|packet| drop(sub.handle(packet, now)));
            now += Duration::from_millis(10);
        }
        if is_taken {
            assert_eq!((heard, failed), (vec![longest, Command::Cancel("after".into())], None));
        } else {
            assert!(matches!(failed, Some(ProtocolError::PrefixTooLong { .. })), "{failed:?}");
        }
    }
}

#[test]
fn an_unproven_caller_costs_nothing_and_a_cookie_is_good_for_one_address_link_and_time() {
    let now = Instant::now();
    let doorkeeper: Doorkeeper<u8> = Doorkeeper::new(config(SocketKind::Pub), now);
    let mut caller = Caller::new(config(SocketKind::Sub), 5, now);
    let (mut question, mut answer, mut again) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
    assert!(caller.poll_packet(&mut question, now));
    assert!(doorkeeper.handle(&question, HERE, &mut answer, now).is_none());
    assert!(!answer.is_empty() && answer.len() < question.len());
    assert!(caller.handle(&answer, now).unwrap().is_none());
    assert!(caller.poll_packet(&mut again, now), "the cookie goes back at once");
    let proven = |from: u8, seconds| {
        let now = now + Duration::from_secs(seconds);
        doorkeeper.handle(&again, from, &mut BytesMut::new(), now).is_some()
    };
    assert!(proven(HERE, 0) && proven(HERE, 9) && proven(HERE, 10));
    assert!(!proven(HERE, 20), "too late");
    assert!(!proven(HERE + 1, 0), "from elsewhere");
    let mut other = again.clone();
    other[8] ^= 1;
    assert!(doorkeeper.handle(&other, HERE, &mut answer, now).is_none(), "for another link");
}

#[test]
fn a_caller_of_the_wrong_kind_is_told_so() {
    let now = Instant::now();
    let doorkeeper = Doorkeeper::new(config(SocketKind::Pull), now);
    let mut caller = Caller::new(config(SocketKind::Sub), 5, now);
    let mut told = None;
    for _ in 0..2 {
        let (mut question, mut answer) = (BytesMut::new(), BytesMut::new());
        caller.poll_packet(&mut question, now);
        if let Some(call) = doorkeeper.handle(&question, HERE, &mut answer, now) {
            let error = doorkeeper.admit(&call, now).unwrap_err();
            hello::put_refuse(&mut answer, &call, error.told().unwrap());
        }
        told = caller.handle(&answer, now).unwrap();
    }
    let told = told.unwrap();
    assert!(matches!(told, Answer::Refused(zocket_transport::CloseReason::SocketType)), "{told:?}");
}

#[test]
fn a_link_that_ended_is_not_begun_again_by_a_late_copy_of_its_call() {
    let now = Instant::now();
    let mut doorkeeper = Doorkeeper::new(config(SocketKind::Pub), now);
    let prove = |doorkeeper: &Doorkeeper<u8>, id: u64, from: u8, now| {
        let mut caller = Caller::new(config(SocketKind::Sub), id, now);
        let (mut question, mut answer) = (BytesMut::new(), BytesMut::new());
        caller.poll_packet(&mut question, now);
        assert!(doorkeeper.handle(&question, from, &mut answer, now).is_none());
        assert!(caller.handle(&answer, now).unwrap().is_none());
        question.clear();
        caller.poll_packet(&mut question, now);
        question
    };
    let call = prove(&doorkeeper, 5, HERE, now);
    let mut answer = BytesMut::new();
    assert!(doorkeeper.handle(&call, HERE, &mut answer, now).is_some());
    doorkeeper.ended(HERE, 5, now);
    for seconds in 0..40 {
        let later = now + Duration::from_secs(seconds);
        answer.clear();
        assert!(doorkeeper.handle(&call, HERE, &mut answer, later).is_none(), "after {seconds} s");
        assert!(answer.len() < call.len());
        // Others make it forget, once that does no harm.
        doorkeeper.ended(HERE + 1, seconds, later);
    }
    let waiting = prove(&doorkeeper, 6, HERE, now + Duration::from_secs(40));
    let later = now + Duration::from_secs(41);
    assert!(doorkeeper.handle(&waiting, HERE, &mut answer, later).is_some());
    (0..100_000).for_each(|id| doorkeeper.ended(HERE, id, later));
    for id in 99_000..100_000 {
        let call = prove(&doorkeeper, id, HERE + 2, later);
        assert!(
            doorkeeper.handle(&call, HERE + 2, &mut answer, later).is_some(),
            "others are as welcome as ever"
        );
    }
    assert!(
        doorkeeper.handle(&waiting, HERE, &mut answer, later).is_none(),
        "with a cookie of before: again"
    );
}

#[test]
fn only_zockets_with_little_to_say_are_let_in() {
    let now = Instant::now();
    let doorkeeper = Doorkeeper::new(config(SocketKind::Pub), now);
    let property = |name: &str, value: &[u8]| {
        let mut out = vec![u8::try_from(name.len()).unwrap()];
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        [out, value.to_vec()].concat()
    };
    let kind = property("Socket-Type", b"SUB");
    let zocket = [kind.clone(), property("X-Zocket", b"1")].concat();
    let large = [zocket.clone(), property("large", &[0; 1_200])].concat();
    for (properties, is_heard, is_let_in) in
        [(kind, true, false), (zocket, true, true), (large, false, false)]
    {
        let mut cookie = [0; 8];
        let mut answer = BytesMut::new();
        for _ in 0..2 {
            let hello = [&[1][..], &[0; 8], b"zmtp-u1", &cookie, &properties].concat();
            answer.clear();
            if let Some(call) = doorkeeper.handle(&hello, HERE, &mut answer, now) {
                assert_eq!(doorkeeper.admit(&call, now).is_ok(), is_let_in);
                assert!(is_heard);
                cookie = [1; 8];
            } else if is_heard {
                cookie.copy_from_slice(&answer[9..]);
            } else {
                assert!(answer.is_empty());
            }
        }
        assert!(!is_heard || cookie == [1; 8], "it was heard");
    }
}

#[test]
fn silence_ends_a_link_and_the_last_number_rides_on_pings() {
    let (mut sub, mut publisher, _, now) = meet(1, 0);
    put(&mut publisher, &[0, 0]);
    let later = now + Duration::from_secs(2);
    publisher.handle_timeout(later).unwrap();
    let mut packet = BytesMut::new();
    assert!(publisher.poll_packet(&mut packet, later));
    for _ in 0..2 {
        assert_eq!(sub.handle(&packet, later), Ok(Heard::Nothing));
    }
    let told = sub.handle_timeout(later + Duration::from_secs(1)).unwrap();
    assert_eq!((told.lost, told.late), (1, 0), "lost, with nothing behind it");
    let silent = publisher.handle_timeout(later + Duration::from_secs(30));
    assert!(matches!(silent, Err(ProtocolError::HeartbeatTimeout { .. })));
    packet.clear();
    publisher.put_bye(&mut packet);
    assert_eq!(sub.handle(&packet, later), Ok(Heard::Bye));
}

#[test]
fn a_peer_that_lives_and_acknowledges_nothing_is_given_up() {
    let (mut sub, mut publisher, _, start) = meet(1, 0);
    let mut now = start;
    let ended = loop {
        sub.send_command(&Command::Subscribe(Frame::copy_from_slice(b"comes and goes")));
        let mut sent = BytesMut::new();
        while sub.poll_packet(&mut sent, now) {}
        sub.handle(&put(&mut publisher, &[0, 0]), now).unwrap();
        now += Duration::from_secs(1);
        if let Err(error) = sub.handle_timeout(now) {
            break error;
        }
        assert!(now < start + Duration::from_secs(100), "still waiting");
    };
    assert!(matches!(ended, ProtocolError::HeartbeatTimeout { .. }), "{ended}");
    assert!(now > start + Duration::from_secs(50));
}

#[test]
fn a_peer_that_acknowledges_a_byte_now_and_then_does_not_make_what_waits_for_it_grow_for_ever() {
    let (mut sub, mut publisher, _, start) = meet(1, 0);
    let mut now = start;
    for second in 1..=3_600_u64 {
        sub.send_command(&Command::Subscribe(Frame::copy_from_slice(b"comes and goes")));
        let mut sent = BytesMut::new();
        while sub.poll_packet(&mut sent, now) {}
        sub.handle(&put(&mut publisher, &[0, 0]), now).unwrap();
        if second % 50 == 0 {
            let heard = (second / 50).to_be_bytes();
            sub.handle(&[&[Kind::Ack as u8][..], &1_u64.to_be_bytes(), &heard].concat(), now).unwrap();
        }
        now += Duration::from_secs(1);
        if sub.handle_timeout(now).is_err() {
            return;
        }
    }
    panic!("after an hour, and 72 of some 90,000 bytes, the link is kept");
}

#[test]
fn an_idle_link_without_heartbeats_set_lives_though_every_second_packet_is_lost() {
    let start = Instant::now();
    let mut links = [SocketKind::Push, SocketKind::Pull].map(|kind| {
        let mut config = (*config(kind)).clone();
        (config.heartbeat.interval, config.heartbeat.timeout) = (None, Duration::ZERO);
        Link::new(&Arc::new(config), 1, &PeerInfo::for_test(kind, b""), start)
    });
    let (mut now, mut packets) = (start, 0);
    while now < start + 24 * LONGEST {
        for here in [0, 1, 0] {
            links[here].handle_timeout(now).unwrap();
            let mut packet = BytesMut::new();
            while links[here].poll_packet(&mut packet, now) {
                packets += 1;
                if packets % 2 == 0 {
                    assert_eq!(links[1 - here].handle(&packet, now), Ok(Heard::Nothing));
                }
                packet.clear();
            }
        }
        now = links.iter().filter_map(Link::poll_timeout).min().unwrap();
    }
    assert!(packets > 1_000, "{packets}");
}

#[test]
fn a_silent_peer_is_given_up_whatever_the_heartbeat() {
    for (interval, timeout) in [(None, 0), (Some(0), 0), (Some(u64::MAX), u64::MAX), (Some(1), 0)] {
        let now = Instant::now();
        let mut config = (*config(SocketKind::Pub)).clone();
        config.heartbeat.interval = interval.map(Duration::from_secs);
        config.heartbeat.timeout = Duration::from_secs(timeout);
        let peer = PeerInfo::for_test(SocketKind::Sub, b"");
        let mut link = Link::new(&Arc::new(config), 1, &peer, now);
        let (mut now, start) = (now, now);
        while link.handle_timeout(now).is_ok() {
            now = link.poll_timeout().expect("there is always a next time");
        }
        assert!(now - start <= Duration::from_secs(2 * 3600), "{interval:?} {timeout}");
    }
}

#[test]
fn what_is_no_message_ends_the_link_and_what_does_not_fit_is_not_sent() {
    for frames in [&[0][..], &[0, 2, 1], &[1, 0], &[0, 0, 0], &[4, 0], &[1, 0].repeat(101)] {
        let (mut sub, mut publisher, _, now) = meet(3, 0);
        let packet = put(&mut publisher, frames);
        assert!(sub.handle(&packet, now).is_err(), "{frames:?}");
    }
    let (mut sub, mut publisher, _, now) = meet(3, 0);
    let mut absurd = put(&mut publisher, &[0, 0]);
    absurd[9..17].fill(255);
    assert!(sub.handle(&absurd, now).is_err(), "and nothing was counted");
    let told = sub.finish();
    assert_eq!((told.lost, told.late), (0, 0));
    let (_, mut publisher, _, _) = meet(3, 0);
    let mut packet = BytesMut::from("before");
    for (size, expected) in [(MAX_PACKET - SHORT, true), (MAX_PACKET - SHORT + 1, false)] {
        let put = publisher.put_message(&mut packet, |out| out.put_bytes(0, size));
        assert_eq!(put, if expected { Ok(size) } else { Err(size) });
        packet.truncate(6);
    }
    assert_eq!(publisher.put_message(&mut packet, |_| {}), Ok(0));
    assert_eq!((&packet[..], publisher.sent), (&b"before"[..], 1), "only what was sent has a number");
}

#[test]
fn who_asks_for_a_link_that_is_gone_is_told_in_no_more_bytes() {
    let (mut sub, publisher, _, now) = meet(9, 0);
    let later = now + Duration::from_secs(2);
    sub.handle_timeout(later).unwrap();
    let (mut ping, mut answer) = (BytesMut::new(), BytesMut::new());
    assert!(sub.poll_packet(&mut ping, later));
    put_unknown(&mut answer, &ping);
    assert!(answer.len() <= ping.len());
    assert_eq!(sub.handle(&answer, now), Ok(Heard::Bye));
    let mut bye = BytesMut::new();
    publisher.put_bye(&mut bye);
    let mut none = BytesMut::new();
    put_unknown(&mut none, &bye);
    put_unknown(&mut none, &ping[..SHORT - 1]);
    assert!(none.is_empty(), "or nothing would ever end");
}

#[test]
fn no_bytes_panic_or_make_anything_grow() {
    let now = Instant::now();
    let mut random = fastrand::Rng::with_seed(11);
    let (mut sub, mut publisher, _, _) = meet(2, 0);
    let doorkeeper = Doorkeeper::new(config(SocketKind::Pub), now);
    let mut hello = BytesMut::new();
    Caller::new(config(SocketKind::Sub), 2, now).poll_packet(&mut hello, now);
    for round in 0..50_000_u32 {
        let mut packet: Vec<u8> = if round % 2 == 0 {
            let mut packet = vec![random.u8(..12)];
            packet.extend(2_u64.to_be_bytes());
            let length = random.usize(..40);
            packet.extend(std::iter::repeat_with(|| random.u8(..)).take(length));
            packet
        } else {
            hello.to_vec()
        };
        packet.truncate(random.usize(..=packet.len()));
        if !packet.is_empty() && random.bool() {
            let place = random.usize(..packet.len());
            packet[place] = random.u8(..);
        }
        for link in [&mut sub, &mut publisher] {
            drop(link.handle(&packet, now));
            assert!(link.outgoing.poll_timeout().is_none());
        }
        let mut answer = BytesMut::new();
        assert!(doorkeeper.handle(&packet, HERE, &mut answer, now).is_none());
        if answer.is_empty() {
            put_unknown(&mut answer, &packet);
        }
        assert!(answer.len() <= packet.len());
        drop(Caller::new(config(SocketKind::Sub), 2, now).handle(&packet, now));
    }
}
