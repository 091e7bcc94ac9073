//! What may arrive as datagrams: at a link, at a bound address, and at a multicast group.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::Choices;
use crate::options::SocketOptions;
use crate::zmtp::SocketKind;
use crate::zmtp::datagram::hello::{Answer, Caller, Doorkeeper};
use crate::zmtp::datagram::publication::Audience;
use crate::zmtp::datagram::{Link, put_unknown};

const ID: u64 = 7;

/// Both ends of a link.
fn meet(now: Instant) -> (Doorkeeper<u8>, Link, Link) {
    let config = |kind| Arc::new(SocketOptions::default().engine_config(kind));
    let doorkeeper = Doorkeeper::new(config(SocketKind::XPub), now);
    let mut caller = Caller::new(config(SocketKind::XSub), ID, now);
    let mut answer = BytesMut::new();
    loop {
        let mut question = BytesMut::new();
        assert!(caller.poll_packet(&mut question, now), "there is something to ask");
        answer.clear();
        if let Some(call) = doorkeeper.handle(&question, 0, &mut answer, now) {
            let (_, mut called) = doorkeeper.admit(&call, now).expect("it is one of ours");
            called.poll_packet(&mut answer, now);
            let Ok(Some(Answer::Accepted(met))) = caller.handle(&answer, now) else {
                unreachable!("it was accepted")
            };
            return (doorkeeper, called, met.1);
        }
        assert!(
            caller.handle(&answer, now).is_ok_and(|answer| answer.is_none()),
            "a cookie is no answer yet"
        );
    }
}

/// Whatever datagrams come, nothing panics, strangers are answered with no more than they sent, and what a link says is
/// understood by the other end.
pub fn datagram(data: &[u8]) {
    let (mut choices, mut now) = (Choices(data), Instant::now());
    let (mut doorkeeper, mut called, mut caller) = meet(now);
    let config = SocketOptions::default().engine_config(SocketKind::XSub);
    let mut audience = Audience::default();
    while !choices.is_empty() {
        let (kind, len) = (choices.byte() % 12, choices.len());
        let body = choices.bytes(len);
        let packet = [&[kind][..], &ID.to_be_bytes(), body].concat();
        let ended = called.handle(&packet, now).is_err() | caller.handle(&packet, now).is_err();
        for packet in [&packet[..], body] {
            let mut answer = BytesMut::new();
            if doorkeeper.handle(packet, 1, &mut answer, now).is_none() && answer.is_empty() {
                put_unknown(&mut answer, packet);
            }
            assert!(answer.len() <= packet.len(), "more than was asked");
        }
        audience.handle(&[b"zmp1", body].concat(), kind, &config, now);
        audience.handle(body, kind, &config, now);
        now += Duration::from_millis(u64::from(kind) * 100);
        audience.handle_timeout(now);
        if ended || called.handle_timeout(now).is_err() || caller.handle_timeout(now).is_err() {
            break;
        }
        let mut said = BytesMut::new();
        while called.poll_packet(&mut said, now) {
            caller.handle(&said, now).expect("what one end says the other understands");
            said.clear();
        }
        doorkeeper.ended(kind, u64::from(kind), now);
    }
    called.finish();
    audience.finish();
}
