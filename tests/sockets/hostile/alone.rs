//! What bad peers cost: memory and descriptors, measured in a process of its own, which is this test binary again,
//! since tests beside it would disturb the count.

use std::future::Future;
use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zocket::{Disconnect, Endpoint, Event, Message, Pull, Push};

use super::{COMMAND, MORE, frame, handshaken, header, within};

/// Runs `body` in a process of its own, with at most so many descriptors.
fn alone(test: &str, descriptors: &str, body: impl Future<Output = ()>) {
    const MARK: &str = "ZOCKET_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(body);
    }
    let path = module_path!().split_once("::").map_or("", |(_, path)| path);
    let script =
        format!("ulimit -n {descriptors} || echo 'the limit of descriptors stays'; exec \"$0\" \"$@\"");
    let child = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args([&format!("{path}::{test}"), "--exact", "--nocapture"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    println!("{said}");
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

/// Resident memory in bytes, where the system tells.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

fn grew_at_most(mebibytes: usize, before: Option<usize>, what: &str) {
    let (Some(before), Some(after)) = (before, resident()) else {
        return println!("{what}: memory is not measured on this system");
    };
    let grown = after.saturating_sub(before);
    println!("{what}: {} KiB", grown >> 10);
    assert!(grown <= mebibytes << 20, "{what}: grew by {grown} bytes");
}

async fn peers_of(at: &Endpoint, count: usize, sends: &[u8]) -> Vec<TcpStream> {
    let mut peers = Vec::new();
    for _ in 0..count {
        let mut peer = TcpStream::connect(at.address()).await.unwrap();
        peer.write_all(sends).await.unwrap();
        peers.push(peer);
    }
    peers
}

#[test]
fn memory_follows_what_arrives_and_not_what_is_claimed() {
    alone("memory_follows_what_arrives_and_not_what_is_claimed", "1024", async {
        let pull = Pull::builder().max_message_bytes(u64::MAX).max_frames(u32::MAX).build();
        let at = pull.bind("tcp://127.0.0.1:0").await.unwrap();
        let mut held = peers_of(&at, 1, &handshaken("PUSH", frame(0, b"warm"))).await;
        assert_eq!(within("a message", pull.recv()).await.unwrap(), "warm");

        let before = resident();
        for size in [i64::MAX as u64, u64::MAX, 1 << 40, 1 << 30] {
            let claim = [frame(0, b"whole"), header(0, size), vec![0; 10]].concat();
            held.extend(peers_of(&at, 50, &handshaken("PUSH", claim)).await);
            for _ in 0..50 {
                assert_eq!(within("what came before", pull.recv()).await.unwrap(), "whole");
            }
        }
        grew_at_most(32, before, "200 false lengths");

        let before = resident();
        let frames = [[MORE, 0].repeat(1_000_000), vec![0, 0], frame(0, b"next")].concat();
        held.extend(peers_of(&at, 1, &handshaken("PUSH", frames)).await);
        let first: Message = within("a million frames", pull.recv()).await.unwrap();
        assert_eq!(first.len(), 1_000_001);
        drop(first);
        assert_eq!(within("the next message", pull.recv()).await.unwrap(), "next");
        grew_at_most(96, before, "a million frames, received");

        let before = resident();
        let ping = &[COMMAND, 7, 4, b'P', b'I', b'N', b'G', 0, 0];
        let frames = [&[MORE, 0], &ping[..]].concat().repeat(1_000_000);
        held.extend(peers_of(&at, 1, &handshaken("PUSH", [frames, vec![0, 0]].concat())).await);
        let first: Message = within("frames with PINGs between them", pull.recv()).await.unwrap();
        assert_eq!(first.len(), 1_000_001);
        drop(first);
        grew_at_most(64, before, "a PING between any two frames of a million");

        let before = resident();
        let ping = frame(COMMAND, b"\x04PING\0\0sixteen bytes...");
        held.extend(peers_of(&at, 1, &handshaken("PUSH", ping.repeat(1_000_000))).await);
        grew_at_most(96, before, "a million PINGs of a peer that reads no PONG");
    });
}

#[test]
fn ten_thousand_silent_peers_make_way_for_a_good_one() {
    alone("ten_thousand_silent_peers_make_way_for_a_good_one", "\"$(ulimit -H -n)\"", async {
        const ALLOWED: usize = 1000;
        let pull = Pull::builder().max_handshakes(ALLOWED).build();
        let mut events = pull.monitor();
        let at = pull.bind("tcp://127.0.0.1:0").await.unwrap();
        let counting = tokio::spawn(async move {
            let (mut crowded, mut good) = (0, false);
            while let Some(event) = events.next().await {
                match event {
                    Event::HandshakeFailed { reason: Disconnect::Crowded, .. } => crowded += 1,
                    // The rest, when the socket closes.
                    Event::HandshakeFailed { reason: Disconnect::Closed, .. } => {}
                    Event::HandshakeFailed { reason, .. } => panic!("{reason}"),
                    Event::Ready { .. } => good = true,
                    Event::Lagged { missed } => panic!("{missed} events missed"),
                    _ => {}
                }
            }
            (crowded, good)
        });
        let before = resident();
        let mut silent = Vec::new();
        let push = Push::new();
        while silent.len() < 10_000 {
            match TcpStream::connect(at.address()).await {
                Ok(peer) => silent.push(peer),
                Err(error) => {
                    println!("{} peers only: {error}", silent.len());
                    silent.truncate(silent.len() - 100);
                    break;
                }
            }
            if silent.len() == 3 * ALLOWED {
                push.connect(&at).unwrap();
            }
        }
        within("the good peer", push.connected(&at)).await.unwrap();
        push.send("still served").await.unwrap();
        assert_eq!(within("the good peer", pull.recv()).await.unwrap(), "still served");
        grew_at_most(96, before, "silent peers, both ends of their connections");
        let peers = silent.len();
        assert_eq!(
            within("the oldest to be cut off", silent[0].read_to_end(&mut Vec::new())).await.unwrap(),
            11
        );
        push.close().await;
        within("closing", pull.close()).await;
        let (crowded, good) = within("events", counting).await.unwrap();
        println!("{peers} silent peers, {crowded} made way");
        // Others still have their fair time, or wait in the backlog for a place.
        assert!(good && crowded >= peers.saturating_sub(ALLOWED + 1024 + 1), "{crowded} of {peers} made way");
    });
}

#[test]
fn descriptors_may_run_out_and_come_back() {
    alone("descriptors_may_run_out_and_come_back", "64", async {
        let pull = Pull::new();
        let mut events = pull.monitor();
        let at = pull.bind("tcp://127.0.0.1:0").await.unwrap();
        let good = Push::new();
        good.connect(&at).unwrap();
        within("the good peer", good.connected(&at)).await.unwrap();

        let open = || std::fs::File::open("/dev/null").ok();
        let mut hoard: Vec<_> = std::iter::from_fn(open).collect();
        assert!(hoard.len() < 64, "the limit holds");
        // One for the peer's own end; none is left for ours.
        hoard.pop();
        let mut peer = TcpStream::connect(at.address()).await.unwrap();
        peer.write_all(&handshaken("PUSH", frame(0, b"let in"))).await.unwrap();
        for _ in 0..3 {
            loop {
                match within("the failure", events.next()).await.unwrap() {
                    Event::AcceptFailed { endpoint, reason: Disconnect::Io(_), retry_after } => {
                        assert!(endpoint == at && !retry_after.is_zero());
                        break;
                    }
                    Event::Disconnected { reason, .. } => panic!("{reason}"),
                    _ => {}
                }
            }
            good.send("undisturbed").await.unwrap();
            assert_eq!(within("the good peer", pull.recv()).await.unwrap(), "undisturbed");
        }
        drop(hoard);
        assert_eq!(within("the peer that had to wait", pull.recv()).await.unwrap(), "let in");
    });
}

#[test]
fn peers_that_come_and_go_leave_nothing_behind() {
    alone("peers_that_come_and_go_leave_nothing_behind", "1024", async {
        const CROWD: usize = 100;
        let pull = Pull::new();
        let at = pull.bind("tcp://127.0.0.1:0").await.unwrap();
        let mut before = None;
        for round in 0..120 {
            if round == 20 {
                before = resident();
            }
            let mut events = pull.monitor();
            drop(peers_of(&at, CROWD, &handshaken("PUSH", frame(0, b"hello"))).await);
            let mut gone = 0;
            while gone < CROWD {
                let event = within("their end", events.next()).await;
                let ended = matches!(event, Some(Event::Disconnected { .. } | Event::HandshakeFailed { .. }));
                gone += usize::from(ended);
            }
            while pull.try_recv().is_ok() {}
        }
        grew_at_most(2, before, "ten thousand peers that came and went");
    });
}
