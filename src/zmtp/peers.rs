//! Which socket types may talk to each other.
//!
//! Both sides check it, on the property or byte that names the other's type. The relation is symmetric.
//!
//! Source: RFC 37, "Socket-Type Property", as libzmq's `mechanism.cpp` has it.

use super::kind::SocketKind;

/// Whether a socket of kind `own` accepts a peer of kind `peer`.
pub(crate) const fn may_talk(own: SocketKind, peer: SocketKind) -> bool {
    use SocketKind::{Dealer, Dish, Pair, Pub, Pull, Push, Radio, Rep, Req, Router, Sub, XPub, XSub};
    match own {
        Req => matches!(peer, Rep | Router),
        Rep => matches!(peer, Req | Dealer),
        Dealer => matches!(peer, Rep | Dealer | Router),
        Router => matches!(peer, Req | Dealer | Router),
        Pub | XPub => matches!(peer, Sub | XSub),
        Sub | XSub => matches!(peer, Pub | XPub),
        Push => matches!(peer, Pull),
        Pull => matches!(peer, Push),
        Pair => matches!(peer, Pair),
        Radio => matches!(peer, Dish),
        Dish => matches!(peer, Radio),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each kind in the order of `ALL`, who may talk to it: the table, written out once more by name.
    const TABLE: [&str; 13] = [
        "PAIR",
        "SUB XSUB",
        "PUB XPUB",
        "REP ROUTER",
        "REQ DEALER",
        "REP DEALER ROUTER",
        "REQ DEALER ROUTER",
        "PUSH",
        "PULL",
        "SUB XSUB",
        "PUB XPUB",
        "DISH",
        "RADIO",
    ];

    #[test]
    fn the_table_is_libzmqs_and_symmetric() {
        for (own, row) in SocketKind::ALL.into_iter().zip(TABLE) {
            for peer in SocketKind::ALL {
                let allowed = row.split(' ').any(|name| name == peer.name());
                assert_eq!(may_talk(own, peer), allowed, "{own} with {peer}");
                assert_eq!(may_talk(own, peer), may_talk(peer, own), "{own} with {peer}");
            }
        }
    }
}
