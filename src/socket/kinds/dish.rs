//! DISH: hears the groups it joined. RFC 48.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::error::{JoinError, RecvError, TryRecvError};
use crate::message::{Group, GroupError, Message};
use crate::options::SocketOptions;
use crate::pattern::groups::{Admitted, Member};
use crate::pipe::PipeId;
use crate::socket::{Composition, Pattern, RecvStream, Socket};
use crate::zmtp::SocketKind;

/// The pattern of [`Dish`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Kind {}

impl Composition for Kind {
    type Outbound = Member;
    type Inbound = Admitted;
    const KIND: SocketKind = SocketKind::Dish;

    fn compose(_: &SocketOptions) -> (Member, Admitted) {
        (Member::default(), Admitted::default())
    }
}

impl Pattern for Kind {}

/// Receives, from all its radios in turn, the messages to the groups it joined, each with its [`Group`]. Without a
/// group it receives nothing. Groups are joined anew on every connection. Talks to [`Radio`](crate::Radio), where
/// there is an example.
///
/// A radio whose message is not a group and one frame is disconnected.
///
/// # Over `udp://`
///
/// A DISH binds, an address of its own or a multicast group that it then joins, and hears whoever sends there, through
/// one pipe. It gets every message of every group and drops what it has not joined. Messages may be lost, doubled or out
/// of order, and nobody is held up: what arrives while the queue is at its mark is dropped and
/// [reported](crate::Event::Dropped), as is what no RADIO sends.
pub type Dish = Socket<Kind>;

impl Socket<Kind> {
    /// Joins a group: text, bytes, or a [`Group`] that was checked before. Radios hear of it as soon as they are
    /// connected.
    ///
    /// # Errors
    ///
    /// The group is none, or joined already; or the socket is closed.
    pub fn join<G>(&self, group: G) -> Result<(), JoinError>
    where
        G: TryInto<Group>,
        G::Error: Into<GroupError>,
    {
        let group = group.try_into().map_err(Into::into)?;
        // Both halves change under the outbound lock, since there is no count that would set them right after a
        // `leave` in between. The filter first: what a radio sends because of this must find it in place.
        let joined = self.core.with_open_outbound(|member, view| {
            if member.has_joined(&group) {
                return Err(JoinError::AlreadyJoined);
            }
            self.core.with_inbound(|admitted| admitted.join(group.clone()));
            member.join(group, view);
            Ok(())
        });
        joined.unwrap_or(Err(JoinError::Closed))
    }

    /// Leaves a group. What had arrived for it is not received any more.
    ///
    /// # Errors
    ///
    /// The group was not joined, or the socket is closed.
    pub fn leave<G>(&self, group: G) -> Result<(), JoinError>
    where
        G: TryInto<Group>,
        G::Error: Into<GroupError>,
    {
        let group = group.try_into().map_err(Into::into)?;
        let left = self.core.with_open_outbound(|member, view| {
            self.core.with_inbound(|admitted| admitted.leave(&group));
            member.leave(group, view)
        });
        match left {
            Some(true) => Ok(()),
            Some(false) => Err(JoinError::NotJoined),
            None => Err(JoinError::Closed),
        }
    }

    /// Receives the next message and its group, taking radios in turn.
    ///
    /// # Errors
    ///
    /// The socket is closed and everything that had arrived has been received.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken unless the future returns it.
    pub async fn recv(&self) -> Result<(Group, Message), RecvError> {
        self.recv_from().await.map(|(_, group, message)| (group, message))
    }

    /// As [`recv`](Self::recv), and says which pipe the message came from.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// As [`recv`](Self::recv).
    pub async fn recv_from(&self) -> Result<(PipeId, Group, Message), RecvError> {
        let mut message = Message::new();
        let origin = self.core.receive(&mut message).await.ok_or(RecvError::Closed)?;
        let (group, message) = part(message);
        Ok((origin.pipe, group, message))
    }

    /// As [`recv`](Self::recv), but never waits.
    ///
    /// # Errors
    ///
    /// Nothing has arrived, or the socket is closed.
    pub fn try_recv(&self) -> Result<(Group, Message), TryRecvError> {
        let mut message = Message::new();
        match self.core.try_recv(&mut message) {
            Poll::Ready(Some(_)) => Ok(part(message)),
            Poll::Ready(None) => Err(TryRecvError::Closed),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// Waits for a message, then appends it and whatever else has arrived to `into`, `max` messages at most.
    /// Returns how many. Cheaper than as many [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken unless the future returns it.
    pub async fn recv_many(&self, into: &mut Vec<(Group, Message)>, max: usize) -> Result<usize, RecvError> {
        if max == 0 {
            return Ok(0);
        }
        let before = into.len();
        into.push(self.recv().await?);
        let mut more = Vec::new();
        self.core.recv_more(&mut more, max - 1);
        into.extend(more.into_iter().map(part));
        Ok(into.len() - before)
    }

    /// The socket as a [`Stream`] of groups and messages, which ends when it is closed.
    #[must_use]
    pub fn stream(&self) -> RecvStream<'_, Kind> {
        RecvStream::new(self)
    }
}

/// A message as it travelled, in its two parts.
fn part(mut message: Message) -> (Group, Message) {
    let group = message.pop_front().unwrap_or_default();
    (Group::from_checked(group), message)
}

impl Stream for RecvStream<'_, Kind> {
    type Item = (Group, Message);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<(Group, Message)>> {
        self.poll_message(cx).map(|message| message.map(part))
    }
}
