//! The address stack in front of a request: frames up to and including the first empty one.
//!
//! Each ROUTER that a request passes puts an id on top; the REQ at its origin put the empty delimiter below.
//! A REP takes the stack off, keeps it, and sends it back in front of the reply as it was.
//!
//! Source: RFC 28, "The REP socket type"; where a message is malformed, libzmq.

use crate::message::{Frame, Message};

/// The envelope with its delimiter, and the body. A message without a delimiter, or with nothing behind it, is
/// no request and comes back.
pub(crate) fn split(message: Message) -> Result<(Vec<Frame>, Message), Message> {
    let Some(delimiter) = message.frames().iter().position(|frame| frame.is_empty()) else {
        return Err(message);
    };
    if delimiter + 1 == message.len() {
        return Err(message);
    }
    let mut envelope = message.into_frames();
    let body = if delimiter + 2 == envelope.len() {
        envelope.pop().map_or_else(Message::new, Message::from)
    } else {
        envelope.split_off(delimiter + 1).into()
    };
    Ok((envelope, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_apart<const N: usize>(frames: [&str; N]) -> Option<(Message, Message)> {
        split(Message::from(frames)).ok().map(|(envelope, body)| (Message::from(envelope), body))
    }

    #[test]
    fn the_first_empty_frame_ends_the_envelope() {
        let both = |envelope: &[&str], body: &[&str]| {
            let message =
                |frames: &[&str]| frames.iter().map(|&frame| Frame::from(frame)).collect::<Message>();
            Some((message(envelope), message(body)))
        };
        assert_eq!(taken_apart(["", "body"]), both(&[""], &["body"]));
        assert_eq!(taken_apart(["b", "a", "", "x", "y"]), both(&["b", "a", ""], &["x", "y"]));
        assert_eq!(taken_apart(["a", "", "", "x"]), both(&["a", ""], &["", "x"]));
        assert_eq!(taken_apart(["", ""]), both(&[""], &[""]));
    }

    #[test]
    fn without_a_delimiter_or_a_body_it_is_no_request() {
        assert_eq!(taken_apart(["body"]), None);
        assert_eq!(taken_apart(["id", "body"]), None);
        assert_eq!(taken_apart([""]), None);
        assert_eq!(taken_apart(["id", ""]), None);
        let message = Message::from(["id", "body"]);
        assert_eq!(split(message.clone()), Err(message));
    }
}
