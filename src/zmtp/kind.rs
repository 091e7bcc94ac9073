//! The socket types, by the names and numbers that travel on the wire.
//!
//! ZMTP 3 sends the name in the `Socket-Type` property; ZMTP 2.0 sends the number as a byte of its greeting.
//! The numbers are also those of the C API (`ZMQ_PAIR` and so on).
//!
//! Source: RFC 37, "Socket-Type Property"; RFC 15 for the numbers 0 to 8; libzmq for the others.

use std::fmt;

/// A type of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketKind {
    /// One peer, both ways.
    Pair,
    /// Sends to every subscriber.
    Pub,
    /// Receives what it subscribed to.
    Sub,
    /// Asks, and waits for the answer.
    Req,
    /// Answers.
    Rep,
    /// Asks many at once, in turn.
    Dealer,
    /// Answers by the peer's routing id.
    Router,
    /// Receives work from all pushers.
    Pull,
    /// Spreads work over all pullers.
    Push,
    /// PUB that lets the application see subscriptions.
    XPub,
    /// SUB that subscribes by sending messages.
    XSub,
    /// Sends to every member of a group.
    Radio = 14,
    /// Receives what is sent to the groups it joined.
    Dish = 15,
}

impl SocketKind {
    /// In the order of their numbers.
    pub(crate) const ALL: [Self; 13] = [
        Self::Pair,
        Self::Pub,
        Self::Sub,
        Self::Req,
        Self::Rep,
        Self::Dealer,
        Self::Router,
        Self::Pull,
        Self::Push,
        Self::XPub,
        Self::XSub,
        Self::Radio,
        Self::Dish,
    ];

    /// The name on the wire: upper case, without a prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pair => "PAIR",
            Self::Pub => "PUB",
            Self::Sub => "SUB",
            Self::Req => "REQ",
            Self::Rep => "REP",
            Self::Dealer => "DEALER",
            Self::Router => "ROUTER",
            Self::Pull => "PULL",
            Self::Push => "PUSH",
            Self::XPub => "XPUB",
            Self::XSub => "XSUB",
            Self::Radio => "RADIO",
            Self::Dish => "DISH",
        }
    }

    /// The kind that has exactly this name on the wire.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The number in a ZMTP 2.0 greeting and in the C API.
    pub(crate) const fn code(self) -> u8 {
        // The variants have their numbers; a test holds them to it.
        self as u8
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether a socket of this kind tells its peers its routing id, even an empty one.
    pub(crate) const fn tells_routing_id(self) -> bool {
        matches!(self, Self::Req | Self::Dealer | Self::Router)
    }

    /// Whether peers subscribe at a socket of this kind.
    pub(crate) const fn takes_subscriptions(self) -> bool {
        matches!(self, Self::Pub | Self::XPub)
    }

    /// Whether peers say at a socket of this kind what they want: they subscribe, or join groups.
    pub(crate) const fn takes_commands(self) -> bool {
        self.takes_subscriptions() || matches!(self, Self::Radio)
    }
}

impl fmt::Display for SocketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back_to_the_kind() {
        for (code, kind) in (0..=10).chain([14, 15]).zip(SocketKind::ALL) {
            assert_eq!(kind.code(), code);
            assert_eq!(SocketKind::from_code(code), Some(kind));
            assert_eq!(SocketKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!((SocketKind::from_code(11), SocketKind::from_code(16)), (None, None));
        assert_eq!(SocketKind::from_name("req"), None);
        assert_eq!((SocketKind::Pair.code(), SocketKind::Rep.code(), SocketKind::XSub.code()), (0, 4, 10));
    }
}
