//! Links over datagrams: one task for each dialled peer ([`line`]), and one for each bound address, which serves all its
//! peers ([`hall`]).
//!
//! [`zmtp::datagram`](crate::zmtp::datagram) says what goes over them. What arrives is always read, for a descriptor
//! cannot stop one peer; without room in the lane it is dropped and counted. A task works in rounds: it looks at the
//! clock, lets peers in turn write their shares, sends those together, and reads a share of what arrived.
//!
//! Invariant: however busy some peers are, all others are heard and have their turn.

mod hall;
mod line;
mod peer;
mod turns;

use super::alarm::{Alarm, now};
use super::datagrams::READ_BUDGET;

pub(super) use hall::Hall;
pub(super) use line::call;

/// How many rounds one `poll` makes until other tasks may run: about a millisecond, where all of them are full.
const ROUNDS: usize = 4;
