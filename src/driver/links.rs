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

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant as Time;

use tokio::time::{Instant, Sleep, sleep_until};

use super::datagrams::READ_BUDGET;

pub(super) use hall::Hall;
pub(super) use line::call;

/// How many rounds one `poll` makes until other tasks may run: about a millisecond, where all of them are full.
const ROUNDS: usize = 4;

fn now() -> Time {
    Instant::now().into_std()
}

/// A task's only timer.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready at the deadline.
    fn poll(&mut self, deadline: Option<Time>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline.map(Instant::from_std) else { return Poll::Pending };
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}
