//! The socket types, one short file each: a choice of two pattern halves, and what only that type can do.

mod dealer;
mod dish;
mod pair;
mod publish;
mod pull;
mod push;
mod radio;
mod rep;
mod req;
mod router;
mod sub;
mod xpub;
mod xsub;

pub use self::dealer::Dealer;
pub use self::dish::Dish;
pub use self::pair::Pair;
pub use self::publish::Pub;
pub use self::pull::Pull;
pub use self::push::Push;
pub use self::radio::Radio;
pub use self::rep::{Rep, Request};
pub use self::req::Req;
pub use self::router::Router;
pub use self::sub::Sub;
pub use self::xpub::XPub;
pub use self::xsub::XSub;

use super::Pattern;

/// The socket types as types, for code that is generic over them: `Socket<kind::Push>` is [`Push`].
pub mod kind {
    pub use super::dealer::Kind as Dealer;
    pub use super::dish::Kind as Dish;
    pub use super::pair::Kind as Pair;
    pub use super::publish::Kind as Pub;
    pub use super::pull::Kind as Pull;
    pub use super::push::Kind as Push;
    pub use super::radio::Kind as Radio;
    pub use super::rep::Kind as Rep;
    pub use super::req::Kind as Req;
    pub use super::router::Kind as Router;
    pub use super::sub::Kind as Sub;
    pub use super::xpub::Kind as XPub;
    pub use super::xsub::Kind as XSub;

    /// Which types have which options: bounds of [`SocketBuilder`](crate::SocketBuilder)'s methods.
    pub mod has {
        pub use crate::socket::kinds::{
            Conflates, Named, PicksLane, Probes, Publishes, Queues, Spreads, Waits, Welcomes,
        };
    }
}

/// Types with a send queue whose options make sense.
pub trait Queues: Pattern {}
impl Queues for kind::Push {}
impl Queues for kind::Pub {}
impl Queues for kind::XPub {}
impl Queues for kind::XSub {}
impl Queues for kind::Dealer {}
impl Queues for kind::Router {}
impl Queues for kind::Pair {}
impl Queues for kind::Rep {}
impl Queues for kind::Radio {}

/// Types that wait for a peer, and may be told to wait until it is there.
pub trait Waits: Pattern {}
impl Waits for kind::Push {}
impl Waits for kind::Dealer {}
impl Waits for kind::Pair {}

/// Types that can keep only the newest message.
pub trait Conflates: Pattern {}
impl Conflates for kind::Push {}
impl Conflates for kind::Pull {}
impl Conflates for kind::Pub {}
impl Conflates for kind::Sub {}
impl Conflates for kind::Dealer {}

/// Types that tell peers their routing id.
pub trait Named: Pattern {}
impl Named for kind::Req {}
impl Named for kind::Dealer {}
impl Named for kind::Router {}

/// Types that can announce themselves with an empty message.
pub trait Probes: Pattern {}
impl Probes for kind::Dealer {}
impl Probes for kind::Router {}

/// Types that publish.
pub trait Publishes: Pattern {}
impl Publishes for kind::Pub {}
impl Publishes for kind::XPub {}
impl Publishes for kind::Radio {}

/// Types whose messages may be spread over the lanes of a link, since they promise order only within a topic, or leave
/// it to their user.
pub trait Spreads: Pattern {}
impl Spreads for kind::Pub {}
impl Spreads for kind::XPub {}
impl Spreads for kind::Sub {}
impl Spreads for kind::XSub {}
impl Spreads for kind::Radio {}
impl Spreads for kind::Dish {}
impl Spreads for kind::Dealer {}
impl Spreads for kind::Router {}

/// Types whose user says which lane a message goes on.
pub trait PicksLane: Spreads {}
impl PicksLane for kind::Dealer {}
impl PicksLane for kind::Router {}

/// Types that can greet new peers with a message.
pub trait Welcomes: Pattern {}
impl Welcomes for kind::Pub {}
impl Welcomes for kind::XPub {}
