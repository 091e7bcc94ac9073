//! RADIO and DISH: JOIN and LEAVE, and messages that are a group and one frame.

use super::*;
use crate::message::{Group, GroupError};

fn group(name: &str) -> Group {
    Group::new(name).unwrap()
}

fn dish() -> Peer {
    Peer::ready(SocketKind::Dish, "RADIO")
}

#[test]
fn a_radio_hears_libzmqs_joins_and_nothing_else_that_is_for_publishers() {
    let mut radio = Peer::ready(SocketKind::Radio, "DISH");
    radio.feed(b"\x04\x06\x04JOINA\x04\x0B\x09SUBSCRIBEA\x04\x07\x05LEAVEA\x04\x05\x04JOIN").unwrap();
    let expected = [Command::Join(group("A")), Command::Leave(group("A")), Command::Join(group(""))];
    assert_eq!(radio.commands, expected);
    radio.feed(b"\x00\x02\x01A").unwrap();
    assert_eq!((radio.messages.len(), radio.commands.len()), (1, 3), "a message, and no old subscription");

    let mut publisher = Peer::ready(SocketKind::Pub, "SUB");
    publisher.feed(b"\x04\x06\x04JOINA").unwrap();
    assert_eq!(publisher.commands, []);
}

#[test]
fn a_dish_says_its_joins_in_libzmqs_bytes() {
    let mut dish = dish();
    dish.engine.send_command(&Command::Join(group("A")));
    dish.engine.send_command(&Command::Leave(group("A")));
    assert_eq!(dish.sent(), b"\x04\x06\x04JOINA\x04\x07\x05LEAVEA");
}

#[test]
fn a_dish_takes_a_group_and_one_frame_also_with_a_command_in_between() {
    let mut dish = dish();
    let longest = [&b"\x01\xFF"[..], &[b'g'; 255], b"\x00\x01x"].concat();
    dish.feed(&[b"\x01\x01A\x00\x02hi\x01\x00\x00\x00", &longest[..]].concat()).unwrap();
    dish.feed(b"\x01\x01A\x04\x07\x04PING\x00\x00\x00\x01y").unwrap();
    let longest = "g".repeat(255);
    let expected = [["A", "hi"], ["", ""], [&longest, "x"], ["A", "y"]];
    assert_eq!(dish.messages, expected.map(Message::from));
}

#[test]
fn what_is_no_group_and_one_frame_ends_the_connection_at_the_header_that_tells() {
    let too_long = |len| Err(ProtocolError::BadGroup(GroupError::TooLong { len }));
    for (bytes, expected) in [
        (&b"\x00\x02"[..], Err(ProtocolError::NotGrouped)),
        (b"\x00\x00", Err(ProtocolError::NotGrouped)),
        (b"\x01\x01A\x01\x00", Err(ProtocolError::NotGrouped)),
        (b"\x01\x01A\x01\x05", Err(ProtocolError::NotGrouped)),
        (b"\x03\0\0\0\0\0\0\x01\0", too_long(256)),
        (b"\x03\0\0\0\0\0\x01\0\0", too_long(65_536)),
    ] {
        let mut peer = dish();
        assert_eq!(peer.feed(&[b"\x01\x01A\x00\x02hi", bytes].concat()), expected, "{bytes:?}");
        assert_eq!(peer.messages.len(), 1, "what came before is handed over");
    }
    let whole = [&b"\x03\0\0\0\0\0\0\x01\0"[..], &[b'g'; 256], b"\x00\x00"].concat();
    assert_eq!(dish().feed(&whole), too_long(256));
    assert_eq!(dish().feed(&[&b"\x01\x01A\x00\x02hi"[..], &whole].concat()), too_long(256));
}

#[test]
fn a_join_of_what_is_no_group_ends_the_connection() {
    for (name, error) in
        [("g".repeat(256), GroupError::TooLong { len: 256 }), ("a\0b".into(), GroupError::ZeroByte)]
    {
        for verb in ["\x04JOIN", "\x05LEAVE"] {
            let mut radio = Peer::ready(SocketKind::Radio, "DISH");
            let outcome = radio.feed(&command(format!("{verb}{name}").as_bytes()));
            assert_eq!(outcome, Err(ProtocolError::BadGroup(error)));
        }
    }
}
