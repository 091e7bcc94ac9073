//! A datagram a system call: what every system has. Not every one tells to which of several addresses a datagram came:
//! answers leave from the one that the way back has.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::why;
use crate::{Datagrams, ReceiveBatch, SendBatch};

/// A socket.
#[derive(Debug)]
pub(super) struct Line(UdpSocket);

impl Line {
    pub(super) const fn new(socket: UdpSocket) -> Self {
        Self(socket)
    }
}

impl Datagrams for Line {
    fn poll_send(&self, cx: &mut Context<'_>, batch: &SendBatch) -> Poll<io::Result<usize>> {
        let Some((datagram, to)) = batch.iter().next() else { return Poll::Ready(Ok(0)) };
        let sent = match to {
            Some(to) => self.0.poll_send_to(cx, datagram, to.peer),
            None => self.0.poll_send(cx, datagram),
        };
        sent.map_ok(|_| 1).map_err(|error| why(error, &self.0))
    }

    fn poll_receive(&self, cx: &mut Context<'_>, into: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        into.clear();
        let Some(slot) = into.slots().next() else { return Poll::Ready(Ok(())) };
        let mut slot = ReadBuf::new(slot);
        let from = ready!(self.0.poll_recv_from(cx, &mut slot))?;
        let len = slot.filled().len();
        into.filled(from.into(), len, len);
        Poll::Ready(Ok(()))
    }
}
