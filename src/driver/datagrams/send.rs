//! RADIO, and PUB to a multicast group: what is sent, is sent to whoever is there.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant as Time;

use bytes::BytesMut;
use zocket_transport::Datagrams;

use super::{open, poll_take, report_dropped};
use crate::driver::alarm::{Alarm, now};
use crate::driver::packets::{Packets, Rest, is_nobody_there, lend};
use crate::driver::{Ends, Port, Remains};
use crate::error::Disconnect;
use crate::event::Dropped;
use crate::pipe::{Batch, PipeId};
use crate::zmtp::datagram::publication::Publication;
use crate::zmtp::{SocketKind, radio};

/// Sends what a dialled pipe holds until the link ends. Returns why it ended, and what it had not sent.
pub(in crate::driver) async fn transmit(
    wire: Box<dyn Datagrams>,
    port: Arc<dyn Port>,
    pipe: PipeId,
    ends: Ends,
) -> (Disconnect, Remains) {
    let config = port.engine_config();
    let (speech, listener) = match (config.kind, getrandom::u64()) {
        (SocketKind::Radio, _) => (Speech::Radio(BytesMut::new()), SocketKind::Dish),
        (_, Ok(id)) => (Speech::Publication(Publication::new(id, &config, now())), SocketKind::Sub),
        (_, Err(error)) => return (io::Error::from(error).into(), Remains::default()),
    };
    if let Err(why) = open(&*port, pipe, listener, ends) {
        return (why, Remains::default());
    }
    let batch = Batch::default();
    let mut sender =
        Sender { wire, port, pipe, batch, gathered: 0, speech, alarm: Alarm::default(), rest: None };
    let why = poll_fn(|cx| sender.poll(cx)).await;
    (why, Remains { pipe: Some(pipe), was_ready: true, batch: sender.batch })
}

/// How messages become datagrams.
enum Speech {
    /// As libzmq has it. With a message's frames.
    Radio(BytesMut),
    Publication(Publication),
}

impl Speech {
    /// Writes the datagram of a message, whose frames are written by `put`. Returns their size, zero if there are none;
    /// an error is the size of those of which no datagram can be made.
    fn put_message(&mut self, out: &mut BytesMut, put: impl FnOnce(&mut BytesMut)) -> Result<usize, usize> {
        match self {
            Self::Publication(publication) => publication.put_message(out, put),
            Self::Radio(frames) => {
                frames.clear();
                put(frames);
                let is_sent = frames.is_empty() || radio::put_datagram(out, frames);
                if is_sent { Ok(frames.len()) } else { Err(frames.len()) }
            }
        }
    }

    /// Writes what is to be said now, beside messages.
    fn put_due(&mut self, out: &mut BytesMut, now: Time) {
        if let Self::Publication(publication) = self
            && publication.handle_timeout(now)
        {
            publication.put_last(out);
        }
    }

    /// Writes what is to be said at the end.
    fn put_end(&self, out: &mut BytesMut) {
        if let Self::Publication(publication) = self {
            publication.put_last(out);
        }
    }

    const fn poll_timeout(&self) -> Option<Time> {
        match self {
            Self::Publication(publication) => publication.poll_timeout(),
            Self::Radio(_) => None,
        }
    }
}

struct Sender {
    wire: Box<dyn Datagrams>,
    port: Arc<dyn Port>,
    pipe: PipeId,
    batch: Batch,
    /// So much of the batch is in datagrams that the kernel has not got.
    gathered: usize,
    speech: Speech,
    alarm: Alarm,
    rest: Rest,
}

impl Sender {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Disconnect> {
        let mut rest = self.rest.take();
        let ended = lend(&mut rest, |packets, _| self.poll_with(packets, cx));
        self.rest = rest;
        ended
    }

    fn poll_with(&mut self, packets: &mut Packets, cx: &mut Context<'_>) -> Poll<Disconnect> {
        loop {
            packets.put(None, |out| self.speech.put_due(out, now()));
            self.gather(packets);
            if let Err(why) = ready!(self.poll_flush(packets, cx)) {
                return Poll::Ready(why);
            }
            if !self.batch.is_empty() || !packets.is_empty() {
                continue;
            }
            match poll_take(&*self.port, self.pipe, cx, &mut self.batch) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(why)) => {
                    packets.put(None, |out| self.speech.put_end(out));
                    // If the kernel takes it at once.
                    drop(self.poll_flush(packets, cx));
                    return Poll::Ready(why);
                }
                Poll::Pending if self.alarm.poll(self.speech.poll_timeout(), cx).is_pending() => {
                    return Poll::Pending;
                }
                Poll::Pending => {}
            }
        }
    }

    /// Makes datagrams of the messages in the batch, until they are many.
    fn gather(&mut self, packets: &mut Packets) {
        while !packets.is_full() {
            let (batch, ahead, speech) = (&self.batch, self.gathered, &mut self.speech);
            let put =
                packets.put(None, |out| speech.put_message(out, |frames| batch.copy_message(ahead, frames)));
            match put {
                Ok(0) => return,
                Ok(frames) => {
                    packets.counts(frames);
                    self.gathered += frames;
                }
                // Those before it first.
                Err(_) if self.gathered > 0 => return,
                Err(frames) => {
                    self.batch.advance(frames);
                    report_dropped(&*self.port, self.pipe, 1, Dropped::TooLarge);
                }
            }
        }
    }

    /// An error: the link must be given up.
    fn poll_flush(&mut self, packets: &mut Packets, cx: &mut Context<'_>) -> Poll<Result<(), Disconnect>> {
        let Self { wire, port, pipe, batch, gathered, .. } = self;
        let flushed = packets.poll_flush(&**wire, cx, |gone| {
            batch.advance(gone.frames);
            *gathered -= gone.frames;
            let dropped = u64::from(gone.sent.is_err() && gone.frames > 0);
            report_dropped(&**port, *pipe, dropped, Dropped::NotSent);
        });
        match flushed {
            // Which is nothing to a sender of ours.
            Poll::Ready(Err(error)) if is_nobody_there(&error) => Poll::Ready(Ok(())),
            Poll::Ready(sent) => Poll::Ready(sent.map_err(Disconnect::from)),
            Poll::Pending => {
                batch.settle();
                port.blocked(pipe.lane(0), cx, batch).map_or(Poll::Pending, |why| Poll::Ready(Err(why)))
            }
        }
    }
}
