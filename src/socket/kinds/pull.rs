//! PULL: takes messages from its peers in turn. RFC 30.

use crate::options::SocketOptions;
use crate::pattern::Nothing;
use crate::pattern::fair_queue::FairQueue;
use crate::socket::{Composition, Pattern, Receives, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`Pull`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = Nothing;
    type Inbound = FairQueue;
    const KIND: SocketKind = SocketKind::Pull;

    fn compose(_: &SocketOptions) -> (Nothing, FairQueue) {
        (Nothing, FairQueue::new())
    }
}

impl Pattern for Kind {}
impl Receives for Kind {}

/// Collects messages from its peers, one whole message from each in turn. A peer whose queue is full is not
/// read, which holds that peer back and no other. Talks to [`Push`](crate::Push), where there is an example.
///
/// Over `udp://` messages may be missing, which is counted, but come in order and never twice (more in
/// [the guide](crate::guide::transports#udp)).
pub type Pull = Socket<Kind>;
