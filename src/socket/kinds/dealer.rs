//! DEALER: spreads messages, collects messages, adds nothing. RFC 28.

use crate::options::SocketOptions;
use crate::pattern::by_lane::ByLane;
use crate::pattern::fair_queue::FairQueue;
use crate::pattern::load_balance::LoadBalance;
use crate::socket::{Composition, Pattern, Receives, Sends, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`Dealer`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = ByLane;
    type Inbound = FairQueue;
    const KIND: SocketKind = SocketKind::Dealer;

    fn compose(options: &SocketOptions) -> (ByLane, FairQueue) {
        let balance = if options.immediate { LoadBalance::only_live } else { LoadBalance::new };
        (ByLane::new(options.link.lanes.count(), balance), FairQueue::new())
    }
}

impl Pattern for Kind {}
impl Sends for Kind {}
impl Receives for Kind {}

/// Sends to its peers in turn and receives from them in turn, without keeping questions and answers apart: any
/// number may be under way. To talk to a [`Rep`](crate::Rep), put an empty frame before the body. Waits while
/// all peers are full, or while there is none. Talks to [`Rep`](crate::Rep), [`Router`](crate::Router), where
/// there is an example, and other dealers.
///
/// Over `udp://` a message may not arrive; that it is gone from the queue is all that is known (more in
/// [the guide](crate::guide::transports#udp)).
pub type Dealer = Socket<Kind>;
