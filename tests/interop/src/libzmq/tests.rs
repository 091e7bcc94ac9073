//! libzmq talks to libzmq: the wrapper is right before anything is held against it.

use std::sync::Arc;
use std::time::Duration;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

fn socket(context: &Context, kind: Kind) -> Socket {
    let socket = context.socket(kind).unwrap();
    for option in [Opt::ReceiveTimeout, Opt::SendTimeout, Opt::Linger] {
        socket.set(option, 20_000).unwrap();
    }
    socket.watch().unwrap();
    socket
}

fn pair(binding: Kind, connecting: Kind) -> (Socket, Socket) {
    let context = Context::new();
    let (binder, connecter) = (socket(&context, binding), socket(&context, connecting));
    connecter.connect(&binder.bind("tcp://127.0.0.1:0").unwrap()).unwrap();
    for side in [&binder, &connecter] {
        side.until(EventKind::HandshakeSucceeded, LIMIT).unwrap().expect("a handshake");
    }
    (binder, connecter)
}

#[test]
fn version_is_4_3_5_with_curve_and_ipc() {
    assert_eq!(version(), (4, 3, 5));
    assert!(has(c"curve") && has(c"ipc"));
}

#[test]
fn multipart_messages_arrive_whole() {
    let (pull, push) = pair(Kind::Pull, Kind::Push);
    let message = [b"a".to_vec(), Vec::new(), vec![7; 300_000]];
    push.send_multipart(&message).unwrap();
    assert_eq!(pull.recv_multipart().unwrap(), message);
}

#[test]
fn a_reused_msg_receives_frame_after_frame() {
    let (pull, push) = pair(Kind::Pull, Kind::Push);
    push.send(b"first", Flags::MORE).unwrap();
    push.send_msg(&mut Msg::from(vec![1; 100]), Flags::MORE).unwrap();
    push.send_msg(&mut Msg::from(&b"last"[..]), Flags::NONE).unwrap();
    let mut message = Msg::new();
    let mut seen = Vec::new();
    while {
        pull.recv_into(&mut message, Flags::NONE).unwrap();
        seen.push((message.as_bytes().to_vec(), message.more()));
        message.more()
    } {}
    assert_eq!(seen, [(b"first".to_vec(), true), (vec![1; 100], true), (b"last".to_vec(), false)]);
}

#[test]
fn frames_from_empty_to_large_survive_either_way_of_making_them() {
    for len in [0, 1, 29, 30, 33, 34, 100_000] {
        let bytes = vec![5; len];
        for message in [Msg::from(&bytes[..]), Msg::from(bytes.clone())] {
            assert_eq!((message.as_bytes(), message.len()), (&bytes[..], len));
            assert_eq!((message.more(), message.is_empty()), (false, len == 0));
        }
        assert_eq!(Msg::zeroed(len).as_bytes(), vec![0; len]);
    }
}

#[test]
fn a_shared_body_is_sent_many_times_and_given_back() {
    let (pull, push) = pair(Kind::Pull, Kind::Push);
    let body = Arc::new(vec![5; 100_000]);
    for _ in 0..10 {
        push.send_msg(&mut Msg::from(Arc::clone(&body)), Flags::NONE).unwrap();
    }
    for _ in 0..10 {
        assert_eq!(pull.recv_multipart().unwrap(), [&body[..]]);
    }
    drop(push);
    // Its context ends with it, and with the context all that it held.
    drop(pull);
    assert_eq!(Arc::strong_count(&body), 1);
}

#[test]
fn a_poller_says_which_sockets_are_ready() {
    let pairs = [(), (), ()].map(|()| pair(Kind::Pull, Kind::Push));
    let (pulls, pushes): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let mut poller = Poller::new(&pulls, Ready::IN);
    assert_eq!(poller.wait(Duration::from_millis(10)).unwrap().count(), 0);
    pushes[1].send(b"here", Flags::NONE).unwrap();
    assert_eq!(poller.wait(LIMIT).unwrap().collect::<Vec<_>>(), [1]);
}

#[test]
fn waiting_ends_at_its_limit() {
    let (pull, push) = pair(Kind::Pull, Kind::Push);
    assert_eq!(pull.recv_timeout(Duration::from_millis(10)).unwrap(), None);
    assert_eq!(pull.recv_into(&mut Msg::new(), Flags::DONT_WAIT), Err(Error::AGAIN));
    assert!(push.poll(Ready::OUT, LIMIT).unwrap());
    assert_eq!(push.until(EventKind::Disconnected, Duration::from_millis(10)).unwrap(), None);
}

#[test]
fn events_tell_the_story_of_a_connection() {
    let (pull, push) = pair(Kind::Pull, Kind::Push);
    drop(push);
    let event = pull.until(EventKind::Disconnected, LIMIT).unwrap().expect("the peer left");
    assert!(event.endpoint.starts_with("tcp://127.0.0.1:"), "{event:?}");
}

#[test]
fn options_are_read_back() {
    let context = Context::with_io_threads(2).unwrap();
    let dealer = socket(&context, Kind::Dealer);
    dealer.set_bytes(Opt::RoutingId, b"me").unwrap();
    dealer.set_wide(Opt::MaxMessageSize, 1 << 40).unwrap();
    assert_eq!(dealer.get_bytes(Opt::RoutingId, 255).unwrap(), b"me");
    assert_eq!(dealer.get(Opt::Linger).unwrap(), 20_000);
    assert_eq!(dealer.set(Opt::SendHighWater, -5), Err(Error::INVALID));
    assert_eq!(dealer.kind(), Kind::Dealer);
}

#[test]
fn shutdown_wakes_a_blocked_receiver() {
    let context = Context::new();
    let pull = socket(&context, Kind::Pull);
    let receiver = std::thread::spawn(move || pull.recv_multipart());
    context.shutdown();
    assert_eq!(receiver.join().unwrap(), Err(Error::TERMINATED));
}

#[test]
fn errors_say_their_number_and_text() {
    assert_eq!(Error::AGAIN.to_string(), "libzmq: Resource temporarily unavailable (11)");
    assert_eq!(Error::TERMINATED.to_string(), "libzmq: Context was terminated (156384765)");
    assert_eq!(Error::INVALID.number(), 22);
}
